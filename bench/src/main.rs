//! Runs servers of other libraries and Sockeye's in turn, and says what each costs: CPU time per message, messages per
//! second, latency, memory.
//!
//! ```sh
//! cargo xtask bench --preset quick
//! ```

#[cfg(not(target_os = "linux"))]
compile_error!("the benchmark pins processes to cores and reads their accounts under /proc: it needs Linux");

mod certificate;
mod host;
mod load;
mod machine;
mod measure;
mod micro;
mod payload;
mod peer;
mod preset;
mod proof;
mod report;
mod scenario;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};

use certificate::Certificate;
use machine::Cores;
use measure::Effort;
use micro::Micro;
use peer::{Built, Peer, Workshop};
use preset::Preset;
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
  cargo xtask bench --preset proof
  cargo xtask bench --peers uwebsockets,sockeye-uring --scenarios echo-20B --rounds 9
  cargo xtask bench --scenarios echo-300B-emoji-w4-c50-tls,idle-2000
  cargo xtask bench --list
  cargo xtask bench --preset proof --page docs/src/reference/benchmark.md
  cargo xtask bench --micro

Two cores are needed, and nothing else should run. Results are in reports/bench/PRESET: report.md, report.json, plots.
A run that is interrupted leaves what it had measured; the same command with --resume goes on.")]
struct Arguments {
    /// What is measured, unless the options below say otherwise
    #[arg(long, value_enum, default_value = "full")]
    preset: Preset,
    /// Only these, the first of which the others are compared with
    #[arg(long, value_enum, value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Scenarios by name, or standard ones by a part of their names
    #[arg(long, value_delimiter = ',')]
    scenarios: Vec<String>,
    /// How often each scenario is measured with each server
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// How long one measurement takes
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    seconds: Option<Duration>,
    /// A folder with checkouts of uWebSockets and uSockets in it, for the peer uwebsockets-sources
    #[arg(long, value_name = "FOLDER")]
    uws_sources: Option<PathBuf>,
    /// Where results are written [default: reports/bench/PRESET]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Only build what the run needs, so that nothing is compiled when it starts
    #[arg(long)]
    build: bool,
    /// Go on with the run whose results are there
    #[arg(long)]
    resume: bool,
    /// Only write the results that are there as tables into a page, between the marks of the preset
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// In place of servers, measure what each library does with every byte of a message
    #[arg(long)]
    micro: bool,
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
        if self.peers.is_empty() {
            self.preset.peers(self.uws_sources.is_some())
        } else {
            self.peers.clone()
        }
    }

    fn scenarios(&self) -> Result<Vec<Scenario>> {
        if self.scenarios.is_empty() {
            return self.preset.scenarios();
        }
        let mut all = Vec::new();
        for wanted in &self.scenarios {
            for scenario in scenario::matching(wanted, self.preset == Preset::Quick)? {
                if !all.contains(&scenario) {
                    all.push(scenario);
                }
            }
        }
        Ok(all)
    }

    fn effort(&self) -> Effort {
        let preset = self.preset.effort();
        Effort {
            rounds: self.rounds.map_or(preset.rounds, usize::from),
            duration: self.seconds.unwrap_or(preset.duration),
        }
    }

    /// What a run is called: its preset.
    fn name(&self) -> String {
        if self.micro {
            return "micro".to_owned();
        }
        let value = self.preset.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn out(&self) -> PathBuf {
        self.out
            .clone()
            .unwrap_or_else(|| PathBuf::from("reports/bench").join(self.name()))
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
    let out = arguments.out();
    match &arguments.page {
        Some(page) if arguments.micro => return Micro::read(&out)?.write_page(page),
        Some(page) => return Report::read(&out)?.write_page(page, &arguments.name()),
        None => {}
    }
    if arguments.micro {
        let workshop = Workshop::open(None)?;
        if arguments.build {
            return Micro::build(&workshop).map(drop);
        }
        return Micro::measure(&workshop, &Cores::choose()?)?.write(&out);
    }
    let scenarios = arguments.scenarios()?;
    let effort = arguments.effort();
    let servers = Workshop::open(arguments.uws_sources.clone())?.build(&arguments.peers())?;
    if arguments.build {
        return Ok(());
    }
    let cores = Cores::choose()?;
    host::raise_file_limit()?;
    machine::pin(cores.other)?;
    let certificate = Certificate::new()?;
    let reference = servers.first().map_or("", |server| server.peer.title());
    let mut report = Report {
        facts: facts(&cores, &servers, effort),
        reference: reference.to_owned(),
        scenarios: Vec::new(),
    };
    if arguments.resume {
        report.resume(&out)?;
    }
    let mut clock = Clock::start(
        scenarios
            .iter()
            .filter(|scenario| !report.has(&scenario.to_string()))
            .map(|scenario| effort.time_for(scenario, &servers)),
    );
    for (n, scenario) in scenarios.iter().enumerate() {
        let name = scenario.to_string();
        if report.has(&name) {
            continue;
        }
        eprintln!("{} of {}: {name}; {clock}", n + 1, scenarios.len());
        let measured = Measured {
            scenario: name,
            rows: measure::scenario(scenario, &servers, effort, &certificate, &cores),
        };
        clock.done(effort.time_for(scenario, &servers));
        let mut text = String::new();
        measured.write(reference, &mut text)?;
        println!("{text}");
        report.scenarios.push(measured);
        report.write(&out)?;
    }
    println!("{}", proof::table(&report));
    eprintln!("results are in {}", out.display());
    Ok(())
}

/// How long a run has taken and will take.
struct Clock {
    start: Instant,
    /// As far as it was estimated, of what is behind and of what is ahead.
    done: Duration,
    left: Duration,
}

impl Clock {
    fn start(estimates: impl Iterator<Item = Duration>) -> Self {
        let left: Duration = estimates.sum();
        eprintln!("this takes about {} on a machine that is quiet", minutes(left));
        Self {
            start: Instant::now(),
            done: Duration::ZERO,
            left,
        }
    }

    fn done(&mut self, estimate: Duration) {
        self.done += estimate;
        self.left = self.left.saturating_sub(estimate);
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = self.start.elapsed();
        // How much slower than estimated it has been so far is how much slower it will be.
        let pace = match self.done {
            Duration::ZERO => 1.0,
            done => elapsed.as_secs_f64() / done.as_secs_f64(),
        };
        let left = minutes(self.left.mul_f64(pace));
        write!(f, "after {}, about {left} left", minutes(elapsed))
    }
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02} min", seconds / 60, seconds % 60)
}

fn list() {
    println!("Peers:");
    for peer in Peer::value_variants() {
        if let Some(value) = peer.to_possible_value() {
            println!("  {:22} {}", value.get_name(), peer.title());
        }
    }
    println!("\nStandard scenarios; those of the preset quick are marked:");
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
