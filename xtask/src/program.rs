//! Builds and starts the programs under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::checkout;
use crate::process::{Running, Source, run_quiet};

/// Time for an optimised build of everything on two slow cores.
const BUILD_TIME: Duration = Duration::from_secs(25 * 60);

/// Time from starting the server to its ready line.
const START_TIME: Duration = Duration::from_secs(30);

/// A `cargo` command in the checkout.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(checkout::root());
    command
}

pub(crate) fn host() -> Result<String> {
    let text = run_quiet(Command::new("rustc").arg("-vV"), Duration::from_secs(60))?;
    let host = text
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc names no host")?;
    Ok(host.to_owned())
}

/// Builds a program of the workspace with the release profile; returns where it is.
pub(crate) fn build(package: &str, program: &str) -> Result<PathBuf> {
    eprintln!("building {program}, release profile");
    let mut command = cargo();
    command.args(["build", "--release", "--message-format=json-render-diagnostics"]);
    let messages = run_quiet(command.args(["--package", package, "--bin", program]), BUILD_TIME)?;
    executable(&messages, program).with_context(|| format!("cargo built no program called {program}"))
}

/// Builds a program of a package that is no part of the workspace, with the release profile; returns where it is.
pub(crate) fn build_in(package: &Path, program: &str) -> Result<PathBuf> {
    eprintln!("building {program}, release profile");
    let mut command = cargo();
    command.current_dir(package);
    command.args(["build", "--release", "--message-format=json-render-diagnostics"]);
    let messages = run_quiet(command.args(["--bin", program]), BUILD_TIME)?;
    executable(&messages, program).with_context(|| format!("cargo built no program called {program}"))
}

/// Finds a program's path in cargo's messages.
fn executable(messages: &str, program: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
        target: Option<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok())
        .filter(|message| {
            message
                .target
                .as_ref()
                .is_some_and(|target| target.name == program)
        })
        .find_map(|message| message.executable)
}

/// The program `sockeye`, built.
pub(crate) fn sockeye() -> Result<PathBuf> {
    build("sockeye-cli", "sockeye")
}

/// What moves the bytes of a server's workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// The best that the system has.
    Auto,
    Uring,
    Readiness,
}

impl Driver {
    /// Those that this system has.
    pub(crate) fn all() -> Result<&'static [Self]> {
        Ok(if has_uring()? {
            &[Self::Uring, Self::Readiness]
        } else {
            &[Self::Readiness]
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Readiness => "readiness",
        }
    }
}

/// Whether servers may use io_uring here: kernels are older, and containers forbid it.
pub(crate) fn has_uring() -> Result<bool> {
    static KNOWN: Mutex<Option<bool>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = *known {
        return Ok(known);
    }
    let folder = checkout::reports("driver");
    checkout::renew(&folder)?;
    let server = Server::start(&sockeye()?, Driver::Auto, &[], &folder.join("server.log"))?;
    Ok(*known.insert(server.driver == Driver::Uring.name()))
}

/// A running `sockeye serve`, ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// The address of the page, as printed: `http://127.0.0.1:PORT/`.
    pub(crate) page: String,
    /// The driver of its workers, as printed.
    driver: String,
    _running: Running,
}

impl Server {
    /// Starts the server on a free loopback port; its output is copied to `log`.
    pub(crate) fn start(program: &Path, driver: Driver, options: &[&str], log: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .args(["serve", "--host", "127.0.0.1", "--port", "0"])
            .args(["--driver", driver.name()])
            .args(options);
        let mut running = Running::start(&mut command, Some(log))?;
        let mut banner = |wanted: fn(&str) -> Option<String>| {
            running.wait_for(START_TIME, |line| {
                (line.source == Source::Stdout).then(|| wanted(&line.text))?
            })
        };
        let page = banner(page_address).context("the server printed no address")?;
        let driver = banner(workers_driver).context("the server did not tell of its workers")?;
        Ok(Self {
            page,
            driver,
            _running: running,
        })
    }

    /// The address of the echo endpoint.
    pub(crate) fn echo(&self) -> String {
        format!(
            "{}/echo",
            self.page.replacen("http", "ws", 1).trim_end_matches('/')
        )
    }
}

fn page_address(line: &str) -> Option<String> {
    let word = line
        .split_whitespace()
        .find(|word| word.starts_with("http://") || word.starts_with("https://"))?;
    Some(word.to_owned())
}

/// The driver in the banner's line about workers: `Workers     2 (uring)`.
fn workers_driver(line: &str) -> Option<String> {
    let (_, driver) = line.trim_start().strip_prefix("Workers")?.split_once('(')?;
    Some(driver.strip_suffix(')')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_is_the_one_of_the_named_target() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"build-script"},"executable":"/t/b"}
            {"reason":"compiler-artifact","target":{"name":"sockeye"},"executable":null}
            {"reason":"compiler-artifact","target":{"name":"sockeye"},"executable":"/t/sockeye"}
            {"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "sockeye"), Some(PathBuf::from("/t/sockeye")));
        assert_eq!(executable(messages, "other"), None);
    }

    #[test]
    fn page_address_is_found_in_the_banner() {
        let line = "  Console page   http://127.0.0.1:3000/";
        assert_eq!(page_address(line).as_deref(), Some("http://127.0.0.1:3000/"));
        assert_eq!(page_address("Echo endpoint  ws://127.0.0.1:3000/echo"), None);
    }

    #[test]
    fn driver_is_found_in_the_banner() {
        assert_eq!(
            workers_driver("  Workers     2 (uring)").as_deref(),
            Some("uring")
        );
        assert_eq!(workers_driver("  Listening   127.0.0.1:3000"), None);
    }
}
