//! The client process: this program once more, or Node.js.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::library::Library;
use super::machine::{self, Cores};
use super::messages::messages;
use super::plan::{Plan, Taken};

/// A client that runs; dropping this ends it.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
}

impl Child {
    /// Starts the client, with its messages.
    pub(super) fn start(plan: &Plan, cores: &Cores) -> Result<Self> {
        let mut command = match plan.library {
            Library::Ws => {
                let mut command = Command::new("node");
                command.arg(tests().join("node/compare.mjs"));
                command
            }
            _ => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("connect");
                command
            }
        };
        command
            .arg(serde_json::to_string(plan)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = machine::spawn_measured(&mut command, cores).context("cannot start the client")?;
        let stdin = process.stdin.take();
        let child = Self { process };
        let messages = messages(plan.scenario.kind, plan.scenario.payload_len);
        // It connects when it has read them all.
        stdin
            .context("the client has no input")?
            .write_all(&messages)
            .context("the client does not read its messages")?;
        Ok(child)
    }

    pub(super) fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.try_wait()?.is_none())
    }

    /// Waits for it to end; gives what it took.
    pub(super) fn finish(mut self) -> Result<Taken> {
        let mut output = String::new();
        let stdout = self.process.stdout.as_mut().context("the client has no output")?;
        stdout.read_to_string(&mut output)?;
        let status = self.process.wait()?;
        ensure!(status.success(), "the client failed: {status}");
        serde_json::from_str(&output).with_context(|| format!("the client printed {output:?}"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether Node.js and its `ws` are there.
pub(super) fn has_ws() -> bool {
    package_of_ws().is_file() && node_version().is_ok()
}

/// The versions of Node.js and of `ws`.
pub(super) fn node_versions() -> Result<String> {
    let package: serde_json::Value = serde_json::from_slice(&std::fs::read(package_of_ws())?)?;
    let ws = package["version"].as_str().context("ws has no version")?;
    Ok(format!("{}, ws {ws}", node_version()?))
}

fn node_version() -> Result<String> {
    let output = Command::new("node").arg("--version").output()?;
    ensure!(output.status.success(), "node --version failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn package_of_ws() -> PathBuf {
    tests().join("../.tools/node/node_modules/ws/package.json")
}

fn tests() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
