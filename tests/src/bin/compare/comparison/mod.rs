//! Runs each library's client as a child process on one core, reflects its messages from another, and reports.

mod child;
mod figures;
mod host;
mod kind;
mod library;
mod links;
#[path = "../../../../../bench/src/machine.rs"]
mod machine;
mod messages;
mod plan;
mod reflector;
mod report;
mod task;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::Value;

use kind::Kind;
use library::Library;
use machine::Cores;
use plan::{Compression, Plan, Scenario};
use reflector::Reflector;
use report::{Report, Row, Sample};

const KINDS: [Kind; 2] = [Kind::Text, Kind::Binary];

/// One message that fits a packet, one that takes a few, one that fills socket buffers.
const SIZES: [usize; 3] = [20, 1024, 64 * 1024];

/// One message at a time, where latency counts, and many on the way, where throughput does.
const WINDOWS: [usize; 2] = [1, 64];

/// What an echoed message costs a client: its CPU time, and how many of them a second has room for
///
/// Each library's client runs in a process of its own, alone on one core; what it talks to runs on another, over the
/// loopback interface.
#[derive(Parser, Debug)]
#[command(name = "compare", version = None, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    effort: Effort,
    /// Only this library; may be repeated
    #[arg(long, value_enum)]
    library: Vec<Library>,
    /// How many connections each client has, all in one thread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// Use tokio's multi-threaded runtime, as `#[tokio::main]` does, with the threads it makes for one core
    #[arg(long)]
    multi_thread: bool,
}

#[derive(Subcommand, Debug)]
enum Role {
    /// Be the client of one library, as a plan in JSON has it; prints what it took
    #[command(hide = true)]
    Connect { plan: String },
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
        let mut scenarios = Vec::new();
        for compression in Compression::ALL {
            for window in WINDOWS {
                for payload_len in SIZES {
                    scenarios.extend(KINDS.map(|kind| Scenario {
                        kind,
                        payload_len,
                        window,
                        compression,
                    }));
                }
            }
        }
        scenarios.retain(|scenario| self.effort.wants(&scenario.to_string()));
        scenarios
    }
}

/// How long and how often to measure, and where to write it down.
#[derive(Args, Debug)]
struct Effort {
    /// A short run, to see that everything works
    #[arg(long)]
    quick: bool,
    /// How often each scenario is measured with each library
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// How long each measurement takes, in seconds
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=60))]
    seconds: Option<u16>,
    /// Only scenarios whose name contains this, such as "20 B"; may be repeated, then all of them
    #[arg(long)]
    scenario: Vec<String>,
    /// Write every sample to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Effort {
    fn wants(&self, name: &str) -> bool {
        self.scenario.iter().all(|wanted| name.contains(wanted.as_str()))
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

    /// Prints the report, and writes its samples where they are wanted.
    fn publish(&self, report: &impl Display, samples: impl FnOnce() -> Value) -> Result<()> {
        println!("{report}");
        match &self.json {
            Some(path) => write_json(path, &samples()),
            None => Ok(()),
        }
    }
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    std::fs::write(path, serde_json::to_vec_pretty(value)?)
        .with_context(|| format!("cannot write {}", path.display()))
}

pub(super) fn run() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.role {
        Some(Role::Connect { plan }) => {
            host::end_with_parent()?;
            task::connect(plan)
        }
        None => compare(&arguments),
    }
}

/// Measures and prints.
fn compare(arguments: &Arguments) -> Result<()> {
    let cores = Cores::choose()?;
    machine::pin(cores.other)?;
    let mut libraries = arguments.libraries();
    if libraries.contains(&Library::Ws) && !child::has_ws() {
        eprintln!("no Node.js or no `ws`, which `cargo xtask setup` installs: measuring without it");
        libraries.retain(|library| *library != Library::Ws);
    }
    let mut facts = host::facts(
        &cores,
        &[
            "tokio-tungstenite",
            "tokio-websockets",
            "fastwebsockets",
            "yawc",
            "tokio",
        ],
    );
    if libraries.contains(&Library::Ws) {
        facts.0.push(("Node.js", child::node_versions()?));
    }
    let rows = measure(arguments, &libraries, &cores)?;
    let report = Report {
        facts,
        connections: arguments.connections,
        multi_thread: arguments.multi_thread,
        rows,
    };
    arguments.effort.publish(&report, || report.to_json())
}

/// Every scenario with every library, in turn, so that whatever else the machine does hits all of them alike.
fn measure(arguments: &Arguments, libraries: &[Library], cores: &Cores) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for scenario in arguments.scenarios() {
        let first = rows.len();
        let able = libraries
            .iter()
            .filter(|library| scenario.compression == Compression::Off || library.compresses());
        rows.extend(able.map(|library| Row::new(scenario, *library)));
        let rows = &mut rows[first..];
        for round in 0..arguments.effort.rounds() as usize {
            eprintln!("{scenario}: round {}", round + 1);
            // Each library takes each place in the order: none is always the first.
            for turn in 0..rows.len() {
                let row = &mut rows[(turn + round) % rows.len()];
                let sample = echo(row.library, scenario, arguments, cores)
                    .with_context(|| format!("{}, {scenario}", row.library.title()))?;
                row.samples.push(sample);
            }
        }
    }
    Ok(rows)
}

fn echo(library: Library, scenario: Scenario, arguments: &Arguments, cores: &Cores) -> Result<Sample> {
    let mut reflector = Reflector::bind()?;
    let plan = Plan {
        library,
        port: reflector.port(),
        scenario,
        connections: arguments.connections.into(),
        multi_thread: arguments.multi_thread,
        warm_up: library.warm_up(),
        run: arguments.effort.duration(),
    };
    let mut child = child::Child::start(&plan, cores)?;
    let reflected = reflector.run(plan.connections, || child.is_running())?;
    Ok(Sample {
        taken: child.finish()?,
        wire_bytes_per_message: reflected.bytes as f64 / reflected.messages.max(1) as f64,
    })
}
