//! Runs each library's echo server as a child process on one core, loads it from another, and reports.

mod child;
mod idle;
mod load;
mod report;
mod serve;
mod wire;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use super::host::{self, Cores};
use super::{Effort, Kind, WARM_UP};
use child::Child;
use load::{Load, Scenario};
use report::{CpuRow, MemoryRow, Report, Sample};
pub(super) use serve::serve;

/// What is measured in messages: one that fits a packet, one that takes a few, one that fills socket buffers.
const SCENARIOS: [Scenario; 7] = [
    Scenario::new(Kind::Text, 20, 1),
    Scenario::new(Kind::Binary, 20, 1),
    Scenario::new(Kind::Binary, 1024, 1),
    Scenario::new(Kind::Binary, 64 * 1024, 1),
    Scenario::new(Kind::Text, 20, 16),
    Scenario::new(Kind::Binary, 20, 16),
    Scenario::new(Kind::Binary, 1024, 16),
];

/// How many connections exchange messages.
const CONNECTIONS: usize = 100;

/// How many connections are idle.
const IDLE_CONNECTIONS: usize = 10_000;

/// A library under test, with its settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Library {
    Sockeye,
    TokioTungstenite,
    /// Its documentation advises buffers of 4 KiB for many connections; its default is 128 KiB.
    TokioTungstenite4k,
    Fastwebsockets,
}

impl Library {
    const fn title(self) -> &'static str {
        match self {
            Self::Sockeye => "Sockeye",
            Self::TokioTungstenite => "tokio-tungstenite",
            Self::TokioTungstenite4k => "tokio-tungstenite, 4 KiB read buffer",
            Self::Fastwebsockets => "fastwebsockets",
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    effort: Effort,
    /// Only this library; may be repeated
    #[arg(long, value_enum)]
    library: Vec<Library>,
    /// One more scenario: a binary echo of this many bytes, one message at a time
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16 * 1024 * 1024))]
    size: Vec<u32>,
}

impl Arguments {
    fn libraries(&self) -> Vec<Library> {
        if self.library.is_empty() {
            Library::value_variants().to_vec()
        } else {
            self.library.clone()
        }
    }

    fn scenarios(&self) -> Vec<Scenario> {
        let further = self
            .size
            .iter()
            .map(|size| Scenario::new(Kind::Binary, *size as usize, 1));
        SCENARIOS
            .into_iter()
            .filter(|scenario| self.effort.wants(&scenario.name()))
            .chain(further)
            .collect()
    }

    fn idle_connections(&self) -> usize {
        if self.effort.quick { 1000 } else { IDLE_CONNECTIONS }
    }
}

/// Measures and prints. This process may open `file_limit` files.
pub(super) fn compare(arguments: &Arguments, file_limit: u64) -> Result<()> {
    let cores = Cores::choose()?;
    host::pin(cores.other)?;
    let cpu = measure_cpu(arguments, &cores)?;
    let memory = if arguments.effort.wants("idle") {
        measure_memory(arguments, &cores, file_limit)?
    } else {
        Vec::new()
    };
    let report = Report {
        facts: host::facts(
            &cores,
            ["server", "load"],
            &["tokio-tungstenite", "fastwebsockets", "tokio", "hyper"],
        ),
        connections: CONNECTIONS,
        cpu,
        memory,
    };
    arguments.effort.publish(&report, || report.to_json())
}

/// Every scenario with every library, in turn, so that whatever else the machine does hits all of them alike.
fn measure_cpu(arguments: &Arguments, cores: &Cores) -> Result<Vec<CpuRow>> {
    let mut rows = Vec::new();
    for scenario in arguments.scenarios() {
        let first = rows.len();
        rows.extend(
            arguments
                .libraries()
                .into_iter()
                .map(|library| CpuRow::new(scenario, library)),
        );
        let rows = &mut rows[first..];
        for round in 0..arguments.effort.rounds() as usize {
            eprintln!("{}: round {}", scenario.name(), round + 1);
            // Each library takes each place in the order: none is always the first.
            for turn in 0..rows.len() {
                let row = &mut rows[(turn + round) % rows.len()];
                let sample = echo(row.library, scenario, &arguments.effort, cores)
                    .with_context(|| format!("{}, {}", row.library.title(), scenario.name()))?;
                row.samples.push(sample);
            }
        }
    }
    Ok(rows)
}

fn echo(library: Library, scenario: Scenario, effort: &Effort, cores: &Cores) -> Result<Sample> {
    let child = Child::start(library, cores)?;
    let mut load = Load::open(child.address(), scenario, CONNECTIONS)?;
    load.run_for(WARM_UP)?;
    let before = child.times()?;
    let (messages, elapsed) = load.run_for(effort.duration())?;
    let after = child.times()?;
    load.finish()?;
    ensure!(messages > 0, "no message came back");
    Ok(Sample {
        messages,
        elapsed,
        cpu: after.cpu.saturating_sub(before.cpu),
        user_ticks: after.user_ticks - before.user_ticks,
        system_ticks: after.system_ticks - before.system_ticks,
    })
}

fn measure_memory(arguments: &Arguments, cores: &Cores, file_limit: u64) -> Result<Vec<MemoryRow>> {
    let wanted = arguments.idle_connections();
    // A process needs some files beside its connections.
    let count = wanted.min(file_limit.saturating_sub(100) as usize);
    if count < wanted {
        eprintln!(
            "this process may open {file_limit} files only: {count} idle connections instead of {wanted}"
        );
    }
    arguments
        .libraries()
        .into_iter()
        .map(|library| {
            eprintln!("{count} idle connections: {}", library.title());
            idle::measure(library, cores, count).with_context(|| format!("{}, idle", library.title()))
        })
        .collect()
}
