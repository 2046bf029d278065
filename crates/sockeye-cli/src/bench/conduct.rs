//! The coordinator: starts the threads of the load, sets the times, watches, and gathers what they found.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
#[cfg(target_os = "linux")]
use sockeye::driver::Uring;
use sockeye::driver::{Driver, DriverKind, Readiness, Waker};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::clock::{Clock, NEVER};
use super::cpu::CpuTime;
use super::load::{Agreed, Load, Meter, Part, Report, Task};
use super::plan::{Plan, share};
use super::progress::{Progress, Seen};
use super::scenario::Scenario;
use super::server::{Memory, Processes, kernel_memory};
use super::tally::{Counted, Interval, Latencies, Totals, latencies};
use super::trouble::Troubles;
use crate::error::Failure;

/// What came of a run.
#[derive(Debug)]
pub(super) struct Findings<S> {
    pub(super) started: Timestamp,
    pub(super) interrupted: bool,
    pub(super) driver: DriverKind,
    /// How long opening the connections took.
    pub(super) connecting: Duration,
    /// When things began to count, and how long they did.
    pub(super) counts_from: Timestamp,
    pub(super) measured: Duration,
    pub(super) interval: Duration,
    pub(super) intervals: Vec<Span>,
    pub(super) latencies: Latencies,
    pub(super) service: Latencies,
    pub(super) lateness: Latencies,
    pub(super) opening: Latencies,
    pub(super) totals: Totals,
    pub(super) counted: Counted,
    pub(super) troubles: Troubles,
    pub(super) agreed: Option<Agreed>,
    /// CPU time of each thread, and the part of it that was waiting.
    pub(super) threads: Vec<(CpuTime, Duration)>,
    /// Of the whole program.
    pub(super) own_cpu: CpuTime,
    /// Messages that came between the two looks at CPU times, and how far those are apart.
    pub(super) between: Between,
    pub(super) server: Option<Server>,
    /// Its processes that have ended, which leave nothing to know of them.
    pub(super) server_gone: Vec<u32>,
    pub(super) kernel: Kernel,
    pub(super) parts: Vec<S>,
}

/// What all threads saw in an interval.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) received: u64,
    pub(super) latencies: Latencies,
}

/// What lies between two looks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Between {
    pub(super) messages: u64,
    pub(super) time: Duration,
}

/// What the server took.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) pids: Vec<u32>,
    pub(super) cpu: CpuTime,
    /// Before the first connection.
    pub(super) before: Memory,
    /// When things began to count, and at the end of that time.
    pub(super) open: Memory,
    pub(super) after: Memory,
}

/// Memory of the system's own objects, sockets among them, in bytes: of the whole machine.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kernel {
    pub(super) before: u64,
    pub(super) after: u64,
}

/// Numbers at a moment.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    server: CpuTime,
    memory: Memory,
    kernel: u64,
    own: CpuTime,
    messages: u64,
}

/// A run under way.
struct Run<S> {
    processes: Processes,
    wakers: Vec<Waker>,
    meters: Vec<Arc<Meter>>,
    reports: UnboundedReceiver<Report<S>>,
    intervals: Vec<Span>,
    parts: Vec<Part<S>>,
    settled: usize,
}

/// Runs a load to its end, or until it is interrupted. `part` makes the scenario of the thread that has so many
/// connections from a number on; `started_with` gets what wakes the threads.
pub(super) async fn conduct<S: Scenario>(
    plan: Plan,
    server_pids: &[u32],
    quiet: bool,
    part: impl Fn(usize, usize) -> S,
    started_with: impl FnOnce(&[Waker]),
) -> Result<Findings<S>, Failure> {
    let plan = Arc::new(plan);
    let clock = Arc::new(Clock::start(plan.threads));
    let processes = Processes::find(server_pids, &plan);
    let before = (processes.memory(), kernel_memory());
    let started = Timestamp::now();
    let begun = Instant::now();
    let length = (plan.duration / 50).max(Duration::from_millis(200));
    let (sender, reports) = mpsc::unbounded_channel();
    let mut run = Run {
        processes,
        wakers: Vec::new(),
        meters: Vec::new(),
        reports,
        intervals: Vec::new(),
        parts: Vec::new(),
        settled: 0,
    };
    let driver = kind_of(plan.driver)?;
    for thread in 0..plan.threads {
        let numbers = share(plan.connections, plan.threads, thread);
        let (first, connections) = (numbers.start, numbers.len());
        let meter = Arc::new(Meter::default());
        run.meters.push(Arc::clone(&meter));
        let task = Task {
            plan: Arc::clone(&plan),
            clock: Arc::clone(&clock),
            scenario: part(first, connections),
            first,
            connections,
            interval: length,
            meter,
            reports: sender.clone(),
        };
        run.wakers.push(start(driver, task)?);
    }
    drop(sender);
    started_with(&run.wakers);

    let mut progress = Progress::new(quiet, plan.connections, plan.warmup, plan.duration);
    let mut interrupts = crate::connect::interrupts();
    let mut ticks = interval(Duration::from_millis(100));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut interrupted = false;
    let mut connecting = None;
    let (mut first, mut last) = (None, None);
    let mut step: Option<(Instant, Instant)> = None;
    while run.parts.len() < plan.threads {
        let next_step = match (step, first.is_some(), last.is_some()) {
            (Some((from, _)), false, _) => Some(from),
            (Some((_, to)), true, false) => Some(to),
            _ => None,
        };
        tokio::select! {
            report = run.reports.recv() => match report {
                Some(report) => run.take(report)?,
                None => return Err(Failure::new("a thread of the load ended before its time")),
            },
            () = crate::connect::until(next_step) => {
                let look = Some(run.look());
                if first.is_none() { first = look } else { last = look }
            }
            Some(()) = interrupts.recv() => {
                if interrupted {
                    // The second one: at once, with what there is.
                    return Err(Failure::with_status("interrupted", crate::status::INTERRUPTED));
                }
                interrupted = true;
                last = last.or_else(|| first.map(|_| run.look()));
                clock.stop();
                run.wake();
            }
            _ = ticks.tick() => progress.show(&run.seen()),
        }
        if connecting.is_none() && run.settled == plan.threads {
            connecting = Some(begun.elapsed());
            if !S::CHURNS && run.sum(|meter| &meter.opened) == 0 {
                clock.stop();
                run.wake();
            } else if !interrupted {
                let now = Instant::now() + plan.settle;
                clock.set(plan.settle, plan.warmup, plan.duration);
                run.wake();
                step = Some((now + plan.warmup, now + plan.warmup + plan.duration));
                progress.flows();
            }
        }
    }
    progress.end();
    // The threads may be done a moment before the timer here has fired.
    let last = last.or_else(|| first.is_some().then(|| run.look()));
    let counts_from = first.as_ref().map_or(started, |first| {
        let past = first.at - begun;
        started + jiff::SignedDuration::try_from(past).unwrap_or_default()
    });
    let times = clock.times();
    let measured = match times.begin {
        NEVER => Duration::ZERO,
        _ => Duration::from_nanos(times.to.saturating_sub(times.from)),
    };
    Ok(run.findings(
        Looks { before, first, last },
        Findings {
            started,
            interrupted,
            driver,
            connecting: connecting.unwrap_or_else(|| begun.elapsed()),
            counts_from,
            measured,
            interval: length,
            ..Findings::empty()
        },
    ))
}

struct Looks {
    before: (Memory, u64),
    first: Option<Look>,
    last: Option<Look>,
}

/// Which driver it will be.
fn kind_of(asked: DriverKind) -> Result<DriverKind, Failure> {
    asked
        .resolve()
        .map_err(|error| Failure::usage(format!("--driver: {error}")))
}

/// Starts a thread; gives what wakes it.
fn start<S: Scenario>(kind: DriverKind, task: Task<S>) -> Result<Waker, Failure> {
    match kind {
        #[cfg(target_os = "linux")]
        DriverKind::Uring => start_with(Uring::new, task),
        _ => start_with(Readiness::new, task),
    }
}

fn start_with<D: Driver + 'static, S: Scenario>(
    make: fn() -> io::Result<D>,
    task: Task<S>,
) -> Result<Waker, Failure> {
    let failed = |error: io::Error| Failure::new(format!("cannot start the load: {error}"));
    let (tell, told) = std::sync::mpsc::channel();
    // A driver stays on its thread.
    let work = move || match make() {
        Ok(driver) => {
            // The coordinator waits for it.
            let _ = tell.send(Ok(driver.waker()));
            Load::<D, S>::new(task).run(driver);
        }
        Err(error) => {
            let _ = tell.send(Err(error));
        }
    };
    let thread = std::thread::Builder::new().name("load".to_owned());
    thread.spawn(work).map_err(failed)?;
    match told.recv() {
        Ok(started) => started.map_err(failed),
        Err(_) => Err(Failure::new("cannot start the load: its thread ended")),
    }
}

impl<S> Run<S> {
    fn take(&mut self, report: Report<S>) -> Result<(), Failure> {
        match report {
            Report::Settled => self.settled += 1,
            Report::Interval(Interval {
                index,
                received,
                latencies: seen,
            }) => {
                while self.intervals.len() <= index {
                    self.intervals.push(Span {
                        received: 0,
                        latencies: latencies(),
                    });
                }
                let span = &mut self.intervals[index];
                span.received += received;
                // They have the same bounds.
                let _ = span.latencies.add(&seen);
            }
            Report::Done(part) => self.parts.push(*part),
            Report::Broken(why) => return Err(Failure::new(format!("the load broke down: {why}"))),
        }
        Ok(())
    }

    /// Lets the threads look at the clock's times.
    fn wake(&self) {
        for waker in &self.wakers {
            waker.wake();
        }
    }

    fn sum(&self, number: fn(&Meter) -> &AtomicU64) -> u64 {
        self.meters
            .iter()
            .map(|meter| number(meter).load(Ordering::Relaxed))
            .sum()
    }

    fn look(&self) -> Look {
        Look {
            at: Instant::now(),
            server: self.processes.cpu(),
            memory: self.processes.memory(),
            kernel: kernel_memory(),
            own: CpuTime::of_this_process(),
            messages: self.sum(|meter| &meter.received),
        }
    }

    fn seen(&self) -> Seen<'_> {
        Seen {
            opened: self.sum(|meter| &meter.opened),
            failed: self.sum(|meter| &meter.failed),
            lost: self.sum(|meter| &meter.lost),
            received: self.sum(|meter| &meter.received),
            latest: self.intervals.last().map(|span| &span.latencies),
        }
    }

    fn findings(self, looks: Looks, mut findings: Findings<S>) -> Findings<S> {
        for span in &self.intervals {
            let _ = findings.latencies.add(&span.latencies);
        }
        findings.intervals = self.intervals;
        if let (Some(first), Some(last)) = (looks.first, looks.last) {
            findings.own_cpu = last.own.since(first.own);
            findings.between = Between {
                messages: last.messages - first.messages,
                time: last.at - first.at,
            };
            findings.kernel = Kernel {
                before: looks.before.1,
                after: last.kernel,
            };
            findings.server_gone = self.processes.gone();
            let is_known = !self.processes.is_empty() && findings.server_gone.is_empty();
            findings.server = is_known.then(|| Server {
                pids: self.processes.pids().to_vec(),
                cpu: last.server.since(first.server),
                before: looks.before.0,
                open: first.memory,
                after: last.memory,
            });
        }
        for part in self.parts {
            let tally = part.tally;
            findings.counted.add(&tally.counted);
            findings.totals.add(&tally.total);
            let _ = findings.service.add(&tally.service);
            let _ = findings.lateness.add(&tally.lateness);
            let _ = findings.opening.add(&tally.opening);
            findings.troubles.merge(tally.troubles);
            findings.threads.push((part.cpu, part.waited));
            findings.agreed = findings.agreed.or(part.agreed);
            findings.parts.push(part.scenario);
        }
        findings
    }
}

impl<S> Findings<S> {
    fn empty() -> Self {
        Self {
            started: Timestamp::default(),
            interrupted: false,
            driver: DriverKind::Auto,
            connecting: Duration::ZERO,
            counts_from: Timestamp::default(),
            measured: Duration::ZERO,
            interval: Duration::ZERO,
            intervals: Vec::new(),
            latencies: latencies(),
            service: latencies(),
            lateness: latencies(),
            opening: latencies(),
            totals: Totals::default(),
            counted: Counted::default(),
            troubles: Troubles::default(),
            agreed: None,
            threads: Vec::new(),
            own_cpu: CpuTime::default(),
            between: Between::default(),
            server: None,
            server_gone: Vec::new(),
            kernel: Kernel::default(),
            parts: Vec::new(),
        }
    }
}
