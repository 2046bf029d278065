//! A server process.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::ValueEnum;
use nix::unistd::Pid;

use super::Built;
use crate::certificate::Certificate;
use crate::host::{Memory, Times};
use crate::load::Target;
use crate::machine::{self, Cores};
use crate::scenario::Scenario;

/// A server that runs; dropping this ends it.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    pub(crate) target: Target,
}

impl Child {
    /// Starts the server as a scenario needs it, and waits until it listens.
    pub(crate) fn start(
        built: &Built,
        scenario: &Scenario,
        certificate: &Certificate,
        cores: &Cores,
    ) -> Result<Self> {
        let mut command = Command::new(&built.program);
        command
            .args(&built.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(value) = scenario.compression.to_possible_value()
            && scenario.compression != contract::Compression::Off
        {
            command.args(["--compression", value.get_name()]);
        }
        if scenario.tls {
            command.arg("--tls-certificate").arg(certificate.chain());
            command.arg("--tls-key").arg(certificate.key());
        }
        let mut process = machine::spawn_measured(&mut command, cores)
            .with_context(|| format!("cannot start {}", built.program.display()))?;
        let stdout = process.stdout.take();
        let mut child = Self {
            process,
            target: Target {
                address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                tls: scenario.tls.then(|| certificate.client()),
                compression: scenario.compression,
            },
        };
        let mut line = String::new();
        BufReader::new(stdout.context("the server has no output")?).read_line(&mut line)?;
        let port = line.trim().parse().context("the server did not print its port")?;
        child.target.address.set_port(port);
        Ok(child)
    }

    /// The time it has been on a core.
    pub(crate) fn times(&self) -> Result<Times> {
        Times::of(self.pid())
    }

    /// The memory it has.
    pub(crate) fn memory(&self) -> Result<Memory> {
        Memory::of(self.pid())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
