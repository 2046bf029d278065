//! Runs each library's echo server as a child process on one core, loads it from another, and reports.

mod child;
mod host;
mod idle;
mod load;
mod report;
mod server;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};

use child::Child;
use load::{Load, Scenario};
use report::{CpuRow, MemoryRow, Report, Sample};
use wire::Kind;

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

/// Time for caches, branch predictors and the libraries' buffers to settle before anything is counted.
const WARM_UP: Duration = Duration::from_millis(150);

/// A library under test, with its settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Library {
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

/// What an echoed message and an idle connection cost, with Sockeye and with two peers.
///
/// Each server runs alone on one core, a current-thread tokio runtime with the settings its library recommends; the
/// load comes from another core, over the loopback interface.
#[derive(Parser, Debug)]
#[command(name = "compare", version = None)]
struct Arguments {
    /// A short run, to see that everything works
    #[arg(long)]
    quick: bool,
    /// How often each scenario is measured with each library
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// How long each measurement takes, in seconds
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=60))]
    seconds: Option<u16>,
    /// Only this library; may be repeated
    #[arg(long, value_enum)]
    library: Vec<Library>,
    /// Only scenarios whose name contains this, such as "20 B"; "idle" is the one about memory
    #[arg(long)]
    scenario: Option<String>,
    /// One more scenario: a binary echo of this many bytes, one message at a time
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16 * 1024 * 1024))]
    size: Vec<u32>,
    /// Write every sample to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Be the server of one library until killed; prints the port
    #[arg(long, value_enum, value_name = "LIBRARY", hide = true)]
    serve: Option<Library>,
}

impl Arguments {
    fn libraries(&self) -> Vec<Library> {
        if self.library.is_empty() {
            Library::value_variants().to_vec()
        } else {
            self.library.clone()
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.scenario
            .as_ref()
            .is_none_or(|wanted| name.contains(wanted.as_str()))
    }

    fn scenarios(&self) -> Vec<Scenario> {
        let further = self
            .size
            .iter()
            .map(|size| Scenario::new(Kind::Binary, *size as usize, 1));
        SCENARIOS
            .into_iter()
            .filter(|scenario| self.wants(&scenario.name()))
            .chain(further)
            .collect()
    }

    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 })
    }

    fn duration(&self) -> Duration {
        match self.seconds {
            Some(seconds) => Duration::from_secs(seconds.into()),
            None if self.quick => Duration::from_millis(200),
            None => Duration::from_millis(700),
        }
    }

    fn idle_connections(&self) -> usize {
        if self.quick { 1000 } else { IDLE_CONNECTIONS }
    }
}

pub(super) fn run() -> Result<()> {
    let arguments = Arguments::parse();
    let limit = host::raise_file_limit()?;
    let cores = host::Cores::choose()?;
    if let Some(library) = arguments.serve {
        host::end_with_parent()?;
        host::pin(cores.server)?;
        return server::serve(library);
    }
    host::pin(cores.load)?;

    let cpu = measure_cpu(&arguments)?;
    let memory = if arguments.wants("idle") {
        measure_memory(&arguments, limit)?
    } else {
        Vec::new()
    };
    let report = Report {
        facts: host::facts(&cores),
        connections: CONNECTIONS,
        cpu,
        memory,
    };
    println!("{report}");
    if let Some(path) = &arguments.json {
        let json = serde_json::to_vec_pretty(&report.to_json())?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Every scenario with every library, in turn, so that whatever else the machine does hits all of them alike.
fn measure_cpu(arguments: &Arguments) -> Result<Vec<CpuRow>> {
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
        for round in 0..arguments.rounds() as usize {
            eprintln!("{}: round {}", scenario.name(), round + 1);
            // Each library takes each place in the order: none is always the first.
            for turn in 0..rows.len() {
                let row = &mut rows[(turn + round) % rows.len()];
                let sample = echo(row.library, scenario, arguments.duration())
                    .with_context(|| format!("{}, {}", row.library.title(), scenario.name()))?;
                row.samples.push(sample);
            }
        }
    }
    Ok(rows)
}

fn echo(library: Library, scenario: Scenario, duration: Duration) -> Result<Sample> {
    let child = Child::start(library)?;
    let mut load = Load::open(child.address(), scenario, CONNECTIONS)?;
    load.run_for(WARM_UP)?;
    let before = child.times()?;
    let (messages, elapsed) = load.run_for(duration)?;
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

fn measure_memory(arguments: &Arguments, file_limit: u64) -> Result<Vec<MemoryRow>> {
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
            idle::measure(library, count).with_context(|| format!("{}, idle", library.title()))
        })
        .collect()
}
