//! Runs each library's client as a child process on one core, reflects its messages from another, and reports.

mod child;
mod library;
mod links;
mod messages;
mod plan;
mod reflector;
mod report;
mod task;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use super::host::{self, Cores};
use super::{Effort, Kind};
use library::Library;
use plan::{Compression, Plan, Scenario};
use reflector::Reflector;
use report::{Report, Row, Sample};
pub(super) use task::connect;

const KINDS: [Kind; 2] = [Kind::Text, Kind::Binary];

/// One message that fits a packet, one that takes a few, one that fills socket buffers.
const SIZES: [usize; 3] = [20, 1024, 64 * 1024];

/// One message at a time, where latency counts, and many on the way, where throughput does.
const WINDOWS: [usize; 2] = [1, 64];

#[derive(Args, Debug)]
pub(super) struct Arguments {
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

/// Measures and prints.
pub(super) fn compare(arguments: &Arguments) -> Result<()> {
    let cores = Cores::choose()?;
    host::pin(cores.other)?;
    let mut libraries = arguments.libraries();
    if libraries.contains(&Library::Ws) && !child::has_ws() {
        eprintln!("no Node.js or no `ws`, which `cargo xtask setup` installs: measuring without it");
        libraries.retain(|library| *library != Library::Ws);
    }
    let mut facts = host::facts(
        &cores,
        ["client", "echo"],
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
