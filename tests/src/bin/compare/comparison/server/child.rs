//! The server process: this program once more, as one library's echo server.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use clap::ValueEnum;
use nix::unistd::Pid;

use super::Library;
use crate::comparison::host::{self, Cores, Memory, Times};

/// An echo server that runs; dropping this ends it.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    address: SocketAddr,
}

impl Child {
    /// Starts the server and waits until it listens.
    pub(super) fn start(library: Library, cores: &Cores) -> Result<Self> {
        let name = library.to_possible_value().context("a library without a name")?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["serve", name.get_name()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = host::spawn_measured(&mut command, cores).context("cannot start the server")?;
        let stdout = process.stdout.take();
        let mut child = Self {
            process,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
        };
        let mut line = String::new();
        BufReader::new(stdout.context("the server has no output")?).read_line(&mut line)?;
        let port = line.trim().parse().context("the server did not print its port")?;
        child.address.set_port(port);
        Ok(child)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn times(&self) -> Result<Times> {
        Times::of(self.pid())
    }

    pub(super) fn memory(&self) -> Result<Memory> {
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
