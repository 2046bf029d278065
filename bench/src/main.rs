//! Runs servers of other libraries and Sockeye's in turn, and says what each costs: CPU time per message, messages per
//! second, latency, memory.
//!
//! ```sh
//! cargo xtask bench --quick
//! ```

#[cfg(not(target_os = "linux"))]
compile_error!("the benchmark pins processes to cores and reads their accounts under /proc: it needs Linux");

mod certificate;
mod host;
mod load;
mod measure;
mod payload;
mod peer;
mod report;
mod scenario;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};

use certificate::Certificate;
use host::Cores;
use measure::Effort;
use peer::{Built, Peer, Workshop};
use report::{Measured, Report};
use scenario::Scenario;

/// Measure WebSocket servers beside each other: CPU time per message, rate, latency, memory
///
/// Each server runs alone on one core, the load on another. The servers take turns within each round, and tables
/// show medians of all rounds.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", version = None, max_term_width = 100)]
#[command(after_help = "\
Examples:
  cargo xtask bench --quick
  cargo xtask bench --peers uwebsockets,sockeye-uring --scenarios echo-20B --rounds 9
  cargo xtask bench --scenarios echo-300B-emoji-w4-c50-tls,idle-2000
  cargo xtask bench --list

Two cores are needed, and nothing else should run. Results are in reports/bench: report.md, report.json, plots.")]
struct Arguments {
    /// Only these, the first of which the others are compared with; all by default
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Scenarios by name, or standard ones by a part of their names; all standard ones by default
    #[arg(long, value_delimiter = ',')]
    scenarios: Vec<String>,
    /// Fewer scenarios, 3 rounds of 0.5 seconds
    #[arg(long)]
    quick: bool,
    /// How often each scenario is measured with each server
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), default_value = "6", default_value_if("quick", "true", "3"))]
    rounds: u16,
    /// How long one measurement takes
    #[arg(long, value_name = "SECONDS", default_value = "1.5", default_value_if("quick", "true", "0.5"), value_parser = seconds)]
    seconds: Duration,
    /// A folder with checkouts of uWebSockets and uSockets in it, for the peer uwebsockets-sources
    #[arg(long, value_name = "FOLDER")]
    uws_sources: Option<PathBuf>,
    /// Where results are written
    #[arg(long, value_name = "FOLDER", default_value = "reports/bench")]
    out: PathBuf,
    /// Only print the peers and the standard scenarios
    #[arg(long)]
    list: bool,
}

fn seconds(text: &str) -> Result<Duration> {
    let seconds: f64 = text.parse()?;
    ensure!((0.05..=600.0).contains(&seconds), "between 0.05 and 600");
    Ok(Duration::from_secs_f64(seconds))
}

impl Arguments {
    fn peers(&self) -> Vec<Peer> {
        if !self.peers.is_empty() {
            return self.peers.clone();
        }
        Peer::value_variants()
            .iter()
            .copied()
            .filter(|&peer| peer != Peer::UwebsocketsSources || self.uws_sources.is_some())
            .collect()
    }

    fn scenarios(&self) -> Result<Vec<Scenario>> {
        if self.scenarios.is_empty() {
            return Ok(scenario::standard(self.quick));
        }
        let mut all = Vec::new();
        for wanted in &self.scenarios {
            for scenario in scenario::matching(wanted, self.quick)? {
                if !all.contains(&scenario) {
                    all.push(scenario);
                }
            }
        }
        Ok(all)
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if arguments.list {
        list();
        return Ok(());
    }
    let scenarios = arguments.scenarios()?;
    let servers = Workshop::open(arguments.uws_sources.clone())?.build(&arguments.peers())?;
    let reference = servers.first().map_or("", |server| server.peer.title());
    let cores = Cores::choose()?;
    host::raise_file_limit()?;
    host::pin(cores.other)?;
    let certificate = Certificate::new()?;
    let effort = Effort {
        rounds: usize::from(arguments.rounds),
        duration: arguments.seconds,
    };
    let mut report = Report {
        facts: facts(&cores, &servers, effort),
        reference,
        scenarios: Vec::new(),
    };
    for (n, scenario) in scenarios.iter().enumerate() {
        eprintln!("{} of {}: {scenario}", n + 1, scenarios.len());
        let measured = Measured {
            scenario: scenario.to_string(),
            rows: measure::scenario(scenario, &servers, effort, &certificate, &cores),
        };
        let mut text = String::new();
        measured.write(reference, &mut text)?;
        println!("{text}");
        report.scenarios.push(measured);
        report.write(&arguments.out)?;
    }
    eprintln!("results are in {}", arguments.out.display());
    Ok(())
}

fn list() {
    println!("Peers:");
    for peer in Peer::value_variants() {
        if let Some(value) = peer.to_possible_value() {
            println!("  {:22} {}", value.get_name(), peer.title());
        }
    }
    println!("\nStandard scenarios; those of --quick are marked:");
    let quick = scenario::standard(true);
    for scenario in scenario::standard(false) {
        let mark = if quick.contains(&scenario) { '*' } else { ' ' };
        println!("  {mark} {scenario}");
    }
    println!(
        "\nAny other can be asked for by its name:\n  \
         echo-SIZE-CONTENT-wWINDOW-cCONNECTIONS[-half]\n  \
         publish-SIZE-CONTENT-tTOPICS-pPUBLISHERS-mMEMBERS\n  \
         idle-CONNECTIONS\n  handshakes-cCONCURRENT\n\
         each with -shared or -dedicated for compression and -tls behind it. SIZE is a number of B, KB or MB; \
         CONTENT is binary, ascii, chinese, emoji or json."
    );
}

/// What a reader must know to place the numbers.
fn facts(cores: &Cores, servers: &[Built], effort: Effort) -> Vec<(String, String)> {
    let mut facts = host::facts(cores);
    facts.push((
        "effort".to_owned(),
        format!("{} rounds of {:?}", effort.rounds, effort.duration),
    ));
    for server in servers {
        facts.push((server.peer.title().to_owned(), server.version.clone()));
    }
    facts
}
