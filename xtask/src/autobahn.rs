//! Conformance: the Autobahn test suite against servers, against the client, and against the browser's API of the client.

mod cases;
mod place;
mod verdicts;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::checkout;
use crate::process::Running;
use crate::program;
use crate::setup::{self, Suite};
use place::{Place, Target, Transport};
use verdicts::Verdicts;

/// The name that reports call the side under test.
const AGENT: &str = "sockeye";

/// No case may keep a run waiting for longer: the suite's own limits are 480 s for the largest compression
/// cases, which take some 20 s, and much less for the others.
const CASE_TIME: Duration = Duration::from_secs(180);

/// A bound for a whole run, whatever its cases do.
const QUICK_TIME: Duration = Duration::from_secs(15 * 60);
const FULL_TIME: Duration = Duration::from_secs(75 * 60);

/// What to run of the suite; without options, the quick set for both roles: the server's in each of its places, over TLS
/// in one of them, the client's through both of its faces; with and without compression, async handlers without.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Run all 517 cases, not only groups 1-7, 9, 10 and sizes 1-6 of 12 and 13, and servers on both drivers also over TLS
    #[arg(long)]
    full: bool,
    /// Run only the server's role
    #[arg(long, conflicts_with = "client")]
    server: bool,
    /// Run only the client's role
    #[arg(long)]
    client: bool,
    /// Where the server runs; repeat it, or separate several with commas
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "client")]
    place: Vec<Place>,
    /// Whether the server is reached over TLS
    #[arg(long, value_enum, conflicts_with = "client")]
    tls: Option<Choice>,
    /// Whether compression is negotiated
    #[arg(long, value_enum, default_value_t)]
    compression: Choice,
    /// Test the echo server at this URL instead of Sockeye's
    #[arg(long, value_name = "URL", conflicts_with_all = ["client", "place", "tls"])]
    url: Option<String>,
    /// Test this Autobahn client (called with --url, --agent and --compression) instead of Sockeye's
    #[arg(long, value_name = "PROGRAM", requires = "client")]
    client_program: Option<PathBuf>,
}

/// One, the other, or one after the other.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Choice {
    On,
    Off,
    #[default]
    Both,
}

impl Choice {
    fn takes(self, on: bool) -> bool {
        match self {
            Self::On => on,
            Self::Off => !on,
            Self::Both => true,
        }
    }
}

/// Who is tested.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    /// Sockeye's server.
    Server(Place, Transport),
    /// Whatever serves at this URL.
    Foreign(String),
    Client,
    /// The client as browsers have it.
    WebClient,
}

impl Role {
    /// For titles and the names of folders.
    fn name(&self) -> String {
        match self {
            Self::Server(place, transport) => format!("server-{}{}", place.name(), transport.suffix()),
            Self::Foreign(_) => "server".to_owned(),
            Self::Client => "client".to_owned(),
            Self::WebClient => "web-client".to_owned(),
        }
    }

    /// What the client of `sockeye-tests` is told.
    fn arguments(&self) -> &'static [&'static str] {
        match self {
            Self::WebClient => &["--face", "web"],
            _ => &[],
        }
    }
}

/// One pass through the suite.
#[derive(Debug)]
struct Run {
    role: Role,
    compression: bool,
    cases: Vec<String>,
    limit: Duration,
    /// Where the suite's reports and all logs go.
    folder: PathBuf,
}

/// Runs the suite as asked.
///
/// # Errors
///
/// A case has another verdict than OK, or a run could not be completed.
pub(crate) fn test(options: &Options) -> Result<()> {
    let suite = setup::suite()?;
    let mut failed = Vec::new();
    for run in runs(options) {
        if let Some(reason) = run.impossible(&suite)? {
            println!("autobahn: {}: left out, {reason}", run.title());
            continue;
        }
        checkout::renew(&run.folder)?;
        let verdicts = match &run.role {
            Role::Server(place, transport) => Target::start(*place, *transport, run.compression, &run.folder)
                .and_then(|target| run.test_server(&suite, &target.url)),
            Role::Foreign(url) => run.test_server(&suite, url),
            Role::Client | Role::WebClient => run.test_client(&suite, options.client_program.as_deref()),
        };
        match verdicts {
            Ok(verdicts) => {
                println!("autobahn: {}: {verdicts}", run.title());
                for objection in verdicts.objections() {
                    println!("    {objection}");
                }
                if !verdicts.objections().is_empty() {
                    println!("    reports: {}", run.folder.display());
                    failed.push(format!(
                        "{}: {} objections",
                        run.title(),
                        verdicts.objections().len()
                    ));
                }
            }
            Err(error) => {
                println!("autobahn: {}: {error:#}", run.title());
                failed.push(format!("{}: not completed", run.title()));
            }
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        bail!("{}", failed.join("; "))
    }
}

fn runs(options: &Options) -> Vec<Run> {
    let mut roles = Vec::new();
    if let Some(url) = &options.url {
        roles.push(Role::Foreign(url.clone()));
    } else if !options.client {
        roles.extend(
            servers(options)
                .into_iter()
                .map(|(place, transport)| Role::Server(place, transport)),
        );
    }
    if !options.server && options.url.is_none() && options.place.is_empty() && options.tls.is_none() {
        roles.push(Role::Client);
        if options.client_program.is_none() {
            roles.push(Role::WebClient);
        }
    }
    let mut runs = Vec::new();
    for role in roles {
        for compression in [true, false] {
            if options.compression.takes(compression) && !(compression && is_short(&role, options)) {
                runs.push(Run {
                    compression,
                    cases: cases::selection(options.full, compression),
                    limit: if options.full { FULL_TIME } else { QUICK_TIME },
                    folder: checkout::reports(&format!("autobahn/{}-{}", role.name(), switch(compression))),
                    role: role.clone(),
                });
            }
        }
    }
    runs
}

/// Whether the longer run with compression, which is the same in all places, is left to the others.
fn is_short(role: &Role, options: &Options) -> bool {
    let is_chosen = options.full || !options.place.is_empty() || options.compression == Choice::On;
    matches!(role, Role::Server(place, _) if !place.has_driver()) && !is_chosen
}

/// Where servers are tested, and how they are reached.
fn servers(options: &Options) -> Vec<(Place, Transport)> {
    let places = if options.place.is_empty() {
        Place::value_variants()
    } else {
        &options.place
    };
    let mut servers = Vec::new();
    for place in places {
        for transport in [Transport::Plain, Transport::Tls] {
            let asked = match options.tls {
                Some(tls) => tls.takes(transport == Transport::Tls),
                // What lies above the drivers is the same for all of them: each gets one of the transports.
                None if !options.full => transport == place.usual(),
                None => transport == Transport::Plain || place.has_driver(),
            };
            if asked {
                servers.push((*place, transport));
            }
        }
    }
    servers
}

fn switch(compression: bool) -> &'static str {
    if compression { "on" } else { "off" }
}

impl Run {
    fn title(&self) -> String {
        format!("{}, compression {}", self.role.name(), switch(self.compression))
    }

    /// Why this cannot be tested here, if it cannot.
    fn impossible(&self, suite: &Suite) -> Result<Option<&'static str>> {
        Ok(match &self.role {
            Role::Server(_, Transport::Tls) if matches!(suite, Suite::Kosoku { .. }) => {
                Some("the stand-in for the suite speaks no TLS")
            }
            Role::Server(Place::Uring, _) if !program::has_uring()? => {
                Some("this system has no io_uring for us")
            }
            _ => None,
        })
    }

    /// The suite is the client.
    fn test_server(&self, suite: &Suite, url: &str) -> Result<Verdicts> {
        let mut command = self.suite_as_client(suite, url)?;
        let mut running = Running::start(&mut command, Some(&self.folder.join("suite.log")))?;
        // The stand-in tells nothing until the end.
        let patience = if matches!(suite, Suite::Wstest { .. }) {
            CASE_TIME
        } else {
            self.limit
        };
        self.follow(&mut running, patience, |line| {
            let case = line.strip_prefix("Running test case ID ")?;
            Some(case.split_whitespace().next()?.to_owned())
        })?;
        running.finish(CASE_TIME)?;
        Verdicts::read(&self.folder, &self.cases)
    }

    /// The suite is the server.
    fn test_client(&self, suite: &Suite, program: Option<&Path>) -> Result<Verdicts> {
        let program = match program {
            Some(program) => program.to_owned(),
            None => program::build("sockeye-tests", "autobahn_client")?,
        };
        let port = free_port()?;
        let mut command = self.suite_as_server(suite, port)?;
        let running = Running::start(&mut command, Some(&self.folder.join("suite.log")))?;
        wait_until_listening(port).with_context(|| {
            format!(
                "the suite does not listen on port {port}{}",
                running.quoted_tail()
            )
        })?;
        let mut command = Command::new(program);
        command
            .args(["--url", &format!("ws://127.0.0.1:{port}")])
            .args(["--agent", AGENT])
            .args(["--compression", switch(self.compression)])
            .args(self.role.arguments());
        let mut client = Running::start(&mut command, Some(&self.folder.join("client.log")))?;
        // The client knows its cases by their number in the run.
        self.follow(&mut client, CASE_TIME, |line| {
            let number: usize = line
                .strip_prefix("case ")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()?;
            self.cases.get(number.checked_sub(1)?).cloned()
        })?;
        client.finish(CASE_TIME)?;
        if matches!(suite, Suite::Kosoku { .. }) {
            // It writes the reports when the client is done, and ends; the official one serves on.
            running.finish(CASE_TIME)?;
        }
        Verdicts::read(&self.folder, &self.cases)
    }

    fn suite_as_client(&self, suite: &Suite, url: &str) -> Result<Command> {
        let mut command = suite.command();
        match suite {
            Suite::Wstest { .. } => {
                let servers = json!([{ "agent": AGENT, "url": url }]);
                let specification = self.write_specification("servers", &servers)?;
                command
                    .args(["--mode", "fuzzingclient", "--spec"])
                    .arg(specification);
            }
            Suite::Kosoku { .. } => {
                command
                    .args(["--mode", "fuzzingclient"])
                    .args(self.kosoku_arguments())
                    .arg(authority(url));
            }
        }
        Ok(command)
    }

    fn suite_as_server(&self, suite: &Suite, port: u16) -> Result<Command> {
        let mut command = suite.command();
        match suite {
            Suite::Wstest { .. } => {
                let specification =
                    self.write_specification("url", &json!(format!("ws://127.0.0.1:{port}")))?;
                command
                    .args(["--mode", "fuzzingserver", "--webport", "0", "--spec"])
                    .arg(specification);
            }
            Suite::Kosoku { .. } => {
                command
                    .args(["--mode", "fuzzingserver"])
                    .args(self.kosoku_arguments());
                command.arg(format!("127.0.0.1:{port}"));
            }
        }
        Ok(command)
    }

    fn write_specification(&self, key: &str, value: &serde_json::Value) -> Result<PathBuf> {
        let mut specification = json!({
            "outdir": self.folder,
            // Names, no patterns: the suite matches patterns as prefixes.
            "cases": self.cases,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        });
        specification[key] = value.clone();
        let path = self.folder.join("specification.json");
        checkout::write(&path, &specification.to_string())?;
        Ok(path)
    }

    fn kosoku_arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--outdir".to_owned(), self.folder.display().to_string()];
        arguments.extend(
            self.cases
                .iter()
                .flat_map(|case| ["--include".to_owned(), case.clone()]),
        );
        arguments
    }

    /// Shows how far the run is until the process that tells it ends, and gives up when a case hangs.
    fn follow(
        &self,
        running: &mut Running,
        patience: Duration,
        case_in: impl Fn(&str) -> Option<String>,
    ) -> Result<()> {
        let progress = Progress::new(self);
        let end = Instant::now() + self.limit;
        let mut current = None;
        let mut case_end = Instant::now() + patience;
        loop {
            let line = running
                .next_line(case_end.min(end))
                .with_context(|| match &current {
                    Some(case) => format!("case {case} hangs"),
                    None => "no case was started".to_owned(),
                })?;
            let Some(line) = line else { return Ok(()) };
            if let Some(case) = case_in(&line.text) {
                progress.show(&case, current.as_deref());
                current = Some(case);
                case_end = Instant::now() + patience;
            }
        }
    }
}

/// A bar on a terminal, a line per chapter elsewhere.
struct Progress {
    bar: ProgressBar,
    title: String,
}

impl Progress {
    fn new(run: &Run) -> Self {
        let bar = ProgressBar::new(run.cases.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg:9} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_prefix(run.title());
        Self {
            bar,
            title: run.title(),
        }
    }

    fn show(&self, case: &str, before: Option<&str>) {
        self.bar.inc(1);
        self.bar.set_message(case.to_owned());
        if self.bar.is_hidden() && before.map(cases::chapter) != Some(cases::chapter(case)) {
            println!("autobahn: {}: group {}", self.title, cases::chapter(case));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A TCP port that nobody listens on at this moment.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr().context("no free port")?.port())
}

fn wait_until_listening(port: u16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error.into()),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The host and port of a `ws://` address.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the runs' folders.
    fn names(options: &Options) -> Vec<String> {
        let runs = runs(options);
        let names = runs.iter().filter_map(|run| run.folder.file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn without_options_both_drivers_and_the_client_run_with_and_without_compression() {
        let expected = [
            "server-uring-on",
            "server-uring-off",
            "server-readiness-tls-on",
            "server-readiness-tls-off",
            "server-piped-off",
            "server-runtime-off",
            "client-on",
            "client-off",
            "web-client-on",
            "web-client-off",
        ];
        assert_eq!(names(&Options::default()), expected);
    }

    #[test]
    fn full_run_has_both_transports_on_both_drivers() {
        let options = Options {
            full: true,
            server: true,
            compression: Choice::On,
            ..Options::default()
        };
        let expected = [
            "server-uring-on",
            "server-uring-tls-on",
            "server-readiness-on",
            "server-readiness-tls-on",
            "server-piped-on",
            "server-runtime-on",
        ];
        assert_eq!(names(&options), expected);
    }

    #[test]
    fn options_narrow_the_runs() {
        let options = Options {
            client: true,
            compression: Choice::On,
            ..Options::default()
        };
        assert_eq!(names(&options), ["client-on", "web-client-on"]);
        let options = Options {
            client_program: Some(PathBuf::from("other")),
            ..options
        };
        assert_eq!(names(&options), ["client-on"]);
        let options = Options {
            place: vec![Place::Readiness, Place::Runtime],
            tls: Some(Choice::On),
            compression: Choice::Off,
            ..Options::default()
        };
        assert_eq!(
            names(&options),
            ["server-readiness-tls-off", "server-runtime-tls-off"]
        );
        let options = Options {
            url: Some("ws://127.0.0.1:1".to_owned()),
            ..Options::default()
        };
        assert_eq!(names(&options), ["server-on", "server-off"]);
    }

    #[test]
    fn authority_is_what_stands_before_the_path() {
        assert_eq!(authority("ws://127.0.0.1:9001/echo"), "127.0.0.1:9001");
    }
}
