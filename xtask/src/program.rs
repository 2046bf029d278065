//! Builds and starts the programs under test.

use std::path::{Path, PathBuf};
use std::process::Command;
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

/// A running `sockeye serve`, ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// The address of the page, as printed: `http://127.0.0.1:PORT/`.
    pub(crate) page: String,
    _running: Running,
}

impl Server {
    /// Starts the server on a free loopback port; its output is copied to `log`.
    pub(crate) fn start(program: &Path, options: &[&str], log: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .args(["serve", "--host", "127.0.0.1", "--port", "0"])
            .args(options);
        let mut running = Running::start(&mut command, Some(log))?;
        let page = running
            .wait_for(START_TIME, |line| {
                (line.source == Source::Stdout).then(|| page_address(&line.text))?
            })
            .context("the server printed no address")?;
        Ok(Self {
            page,
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
}
