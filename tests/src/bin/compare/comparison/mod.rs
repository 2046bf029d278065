//! The two comparisons, of servers and of clients, and what they share.

mod client;
mod host;
mod kind;
mod report;
mod server;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use serde_json::Value;

use kind::Kind;

/// Time for caches, branch predictors and the libraries' buffers to settle before anything is counted.
const WARM_UP: Duration = Duration::from_millis(150);

/// What an echoed message costs, with Sockeye and with other libraries.
///
/// Each library runs in a process of its own, alone on one core; what it talks to runs on another, over the loopback
/// interface.
#[derive(Parser, Debug)]
#[command(name = "compare", version = None)]
struct Arguments {
    #[command(subcommand)]
    comparison: Comparison,
}

#[derive(Subcommand, Debug)]
enum Comparison {
    /// Servers: the CPU time of an echoed message and the memory of an idle connection
    Server(server::Arguments),
    /// Clients: the CPU time of a message sent and its echo received, and how many of them a second has room for
    Client(client::Arguments),
    /// Be the server of one library until killed; prints the port
    #[command(hide = true)]
    Serve { library: server::Library },
    /// Be the client of one library, as a plan in JSON has it; prints what it took
    #[command(hide = true)]
    Connect { plan: String },
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
    let limit = host::raise_file_limit()?;
    match Arguments::parse().comparison {
        Comparison::Server(arguments) => server::compare(&arguments, limit),
        Comparison::Client(arguments) => client::compare(&arguments),
        Comparison::Serve { library } => {
            host::end_with_parent()?;
            server::serve(library)
        }
        Comparison::Connect { plan } => {
            host::end_with_parent()?;
            client::connect(&plan)
        }
    }
}
