//! Runs scenarios: each with every server in turn, round after round, so that whatever else the machine does hits all of
//! them alike.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::certificate::Certificate;
use crate::host::{KernelMemory, Memory, Times};
use crate::load::{Echo, Handshakes, Load, Publish, Tally, hold};
use crate::machine::Cores;
use crate::peer::{Built, Child};
use crate::scenario::{Scenario, Shape};

/// How long a load runs before it counts.
const WARM_UP: Duration = Duration::from_millis(300);

/// Time for the kernel to free what connections that were just opened needed for a moment.
const SETTLE: Duration = Duration::from_millis(500);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Of each load, without its warm-up.
    pub(crate) duration: Duration,
}

impl Effort {
    fn rounds_of(&self, scenario: &Scenario) -> usize {
        match scenario.shape {
            // Memory does not vary with what else the machine does.
            Shape::Idle { .. } => 1,
            _ => self.rounds,
        }
    }

    /// About how long a scenario takes with these servers, on two cores that have nothing else to do.
    pub(crate) fn time_for(&self, scenario: &Scenario, servers: &[Built]) -> Duration {
        // Measured: to start a server, and for a connection's handshake on both sides.
        let start = Duration::from_millis(60);
        let each = Duration::from_micros(if scenario.tls { 900 } else { 80 });
        let once = match scenario.shape {
            Shape::Idle { connections } => 2 * SETTLE + each * connections as u32,
            Shape::Echo {
                connections,
                half_load,
                ..
            } => {
                let full = if half_load {
                    WARM_UP + self.duration / 2
                } else {
                    Duration::ZERO
                };
                full + WARM_UP + self.duration + each * connections as u32
            }
            Shape::Publish { topics, members, .. } => {
                WARM_UP + self.duration + each * (topics * members) as u32
            }
            Shape::Handshakes { .. } => WARM_UP + self.duration,
        };
        let runs = able(scenario, servers).count() * self.rounds_of(scenario);
        (start + once) * runs as u32
    }
}

/// The servers that can do what a scenario asks for.
fn able<'a>(scenario: &Scenario, servers: &'a [Built]) -> impl Iterator<Item = &'a Built> {
    servers.iter().filter(|server| server.peer.can(scenario))
}

/// What one server did in one scenario, round after round.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) peer: String,
    /// For loads; empty for idle connections.
    pub(crate) loads: Vec<LoadSample>,
    /// For idle connections.
    pub(crate) idle: Option<IdleSample>,
    /// Why there are no more samples.
    pub(crate) failure: Option<String>,
}

/// One load.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct LoadSample {
    /// Which round; a server that failed in one has no sample of it.
    pub(crate) round: usize,
    /// Messages, deliveries or handshakes.
    pub(crate) count: u64,
    /// Bytes that came back for each of them.
    pub(crate) bytes_each: f64,
    pub(crate) seconds: f64,
    /// Seconds that the server was on its core.
    pub(crate) server_cpu: f64,
    /// The share of them in user space, by the clock's ticks.
    pub(crate) user_share: f64,
    /// Seconds that the load was on its core.
    pub(crate) load_cpu: f64,
    /// The server's resident memory at the end, in bytes.
    pub(crate) resident: u64,
    pub(crate) latency: Latency,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// Idle connections: what each takes, in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct IdleSample {
    pub(crate) connections: usize,
    pub(crate) resident: f64,
    /// Of that, heap and stacks.
    pub(crate) anonymous: f64,
    /// Of the kernel's own objects on the whole machine: both ends of each connection.
    pub(crate) kernel_slab: f64,
    /// In buffers of TCP, both ends.
    pub(crate) kernel_buffers: f64,
    /// The server without connections, in bytes.
    pub(crate) base: u64,
}

impl LoadSample {
    /// Microseconds of the server's CPU time for each message.
    pub(crate) fn cpu_per_message(&self) -> f64 {
        self.server_cpu * 1e6 / self.count.max(1) as f64
    }
}

/// Measures a scenario with all servers that can do it.
pub(crate) fn scenario(
    scenario: &Scenario,
    servers: &[Built],
    effort: Effort,
    certificate: &Certificate,
    cores: &Cores,
) -> Vec<Row> {
    let servers: Vec<&Built> = able(scenario, servers).collect();
    let mut rows: Vec<Row> = servers.iter().map(|server| Row::new(server)).collect();
    for round in 0..effort.rounds_of(scenario) {
        // Each takes each place in the order: none is always the first.
        for turn in 0..rows.len() {
            let place = (turn + round) % rows.len();
            let row = &mut rows[place];
            if row.failure.is_some() {
                continue;
            }
            let run = Child::start(servers[place], scenario, certificate, cores)
                .and_then(|child| row.measure(scenario, &child, effort, round));
            if let Err(error) = run {
                eprintln!("{}: {scenario}: {error:#}", row.peer);
                row.failure = Some(format!("{error:#}"));
            }
        }
    }
    rows
}

impl Row {
    fn new(server: &Built) -> Self {
        Self {
            peer: server.peer.title().to_owned(),
            loads: Vec::new(),
            idle: None,
            failure: None,
        }
    }

    fn measure(&mut self, scenario: &Scenario, child: &Child, effort: Effort, round: usize) -> Result<()> {
        let target = &child.target;
        let mut load: Box<dyn Load> = match scenario.shape {
            Shape::Idle { connections } => {
                self.idle = Some(idle(child, connections)?);
                return Ok(());
            }
            Shape::Echo {
                message,
                window,
                connections,
                half_load,
            } => {
                let mut echo = Echo::open(target, message, window, connections)?;
                if half_load {
                    let full = sample(&mut echo, child, effort.duration / 2, round)?;
                    echo.even_pace(full.count as f64 / full.seconds / 2.0)?;
                }
                Box::new(echo)
            }
            Shape::Publish {
                message,
                topics,
                publishers,
                members,
            } => Box::new(Publish::open(target, message, topics, publishers, members)?),
            Shape::Handshakes { concurrent } => Box::new(Handshakes::open(target, concurrent)?),
        };
        self.loads
            .push(sample(&mut *load, child, effort.duration, round)?);
        load.finish()
    }
}

fn sample(load: &mut dyn Load, child: &Child, duration: Duration, round: usize) -> Result<LoadSample> {
    load.run_until(Instant::now() + WARM_UP, &mut Tally::new()?)?;
    let mut tally = Tally::new()?;
    let own = Pid::this();
    let (before, load_before, start) = (child.times()?, Times::of(own)?, Instant::now());
    load.run_until(start + duration, &mut tally)?;
    let (after, load_after, elapsed) = (child.times()?, Times::of(own)?, start.elapsed());
    ensure!(tally.count > 0, "no message came back");
    let user = after.user_ticks - before.user_ticks;
    let system = after.system_ticks - before.system_ticks;
    let micros = |quantile| tally.latency.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(LoadSample {
        round,
        count: tally.count,
        bytes_each: tally.received as f64 / tally.count as f64,
        seconds: elapsed.as_secs_f64(),
        server_cpu: after.cpu.saturating_sub(before.cpu).as_secs_f64(),
        user_share: user as f64 / (user + system).max(1) as f64,
        load_cpu: load_after.cpu.saturating_sub(load_before.cpu).as_secs_f64(),
        resident: child.memory()?.resident,
        latency: Latency {
            p50: micros(0.5),
            p99: micros(0.99),
            p999: micros(0.999),
            max: tally.latency.max() as f64 / 1000.0,
        },
    })
}

fn idle(child: &Child, connections: usize) -> Result<IdleSample> {
    // What the first connection makes the program load and allocate is not the price of a connection.
    drop(hold(&child.target, 1)?);
    thread::sleep(SETTLE);
    let (before, kernel_before) = (child.memory()?, KernelMemory::now()?);
    let held = hold(&child.target, connections).context("idle connections")?;
    thread::sleep(SETTLE);
    let (after, kernel_after) = (child.memory()?, KernelMemory::now()?);
    drop(held);
    let each = |before: u64, after: u64| (after as f64 - before as f64) / connections as f64;
    let field = |field: fn(&Memory) -> u64| each(field(&before), field(&after));
    Ok(IdleSample {
        connections,
        resident: field(|memory| memory.resident),
        anonymous: field(|memory| memory.anonymous),
        kernel_slab: each(kernel_before.slab, kernel_after.slab),
        kernel_buffers: each(kernel_before.tcp_buffers, kernel_after.tcp_buffers),
        base: before.resident,
    })
}
