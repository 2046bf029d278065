//! The servers that the suite tests: how they run, and how they are reached.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::switch;
use crate::process::{Running, Source};
use crate::program::{self, Driver, Server};

/// What the largest cases need: 16 MiB messages, 65,536 fragments, echoes queued while the suite still sends.
const ROOM_FOR_THE_LARGEST_CASES: [&str; 8] = [
    "--max-message-size",
    "64MiB",
    "--max-fragments",
    "100000",
    "--queue-size",
    "64MiB",
    "--message-timeout",
    "off",
];

/// Time from starting a server to its ready line.
const START_TIME: Duration = Duration::from_secs(30);

/// What moves a server's bytes, and what answers its messages.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `sockeye serve`: callbacks on workers, over io_uring
    Uring,
    /// `sockeye serve`: callbacks on workers, over epoll or its like
    Readiness,
    /// An async handler, whose task runs on a worker
    Piped,
    /// An async handler on tokio's own runtime, without workers
    Runtime,
}

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Plain,
    Tls,
}

impl Transport {
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Tls => "-tls",
        }
    }
}

impl Place {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Uring => "uring",
            Self::Readiness => "readiness",
            Self::Piped => "piped",
            Self::Runtime => "runtime",
        }
    }

    /// The transport that quick runs take.
    pub(super) fn usual(self) -> Transport {
        match self {
            Self::Readiness => Transport::Tls,
            Self::Uring | Self::Piped | Self::Runtime => Transport::Plain,
        }
    }

    /// Whether it stands for one of the drivers.
    pub(super) fn has_driver(self) -> bool {
        matches!(self, Self::Uring | Self::Readiness)
    }
}

/// A running server under test, ended when dropped.
#[derive(Debug)]
pub(super) struct Target {
    /// Its echo endpoint.
    pub(super) url: String,
    _running: Program,
}

#[derive(Debug)]
enum Program {
    Sockeye { _server: Server },
    Async { _running: Running },
}

impl Target {
    /// Starts a server on a free port; its output is copied to a file in `folder`.
    pub(super) fn start(
        place: Place,
        transport: Transport,
        compression: bool,
        folder: &Path,
    ) -> Result<Self> {
        let log = folder.join("server.log");
        let compression = ["--compression", switch(compression)];
        match place {
            Place::Uring => Self::callbacks(Driver::Uring, transport, &compression, &log),
            Place::Readiness => Self::callbacks(Driver::Readiness, transport, &compression, &log),
            Place::Piped => Self::async_handler(&["--workers", "2"], transport, &compression, &log),
            Place::Runtime => Self::async_handler(&["--workers", "0"], transport, &compression, &log),
        }
    }

    fn callbacks(driver: Driver, transport: Transport, compression: &[&str], log: &Path) -> Result<Self> {
        let tls: &[&str] = match transport {
            Transport::Plain => &[],
            Transport::Tls => &["--tls-self-signed"],
        };
        let options = [compression, tls, &ROOM_FOR_THE_LARGEST_CASES].concat();
        let server = Server::start(&program::sockeye()?, driver, &options, log)?;
        Ok(Self {
            url: server.echo(),
            _running: Program::Sockeye { _server: server },
        })
    }

    fn async_handler(
        workers: &[&str],
        transport: Transport,
        compression: &[&str],
        log: &Path,
    ) -> Result<Self> {
        let tls: &[&str] = match transport {
            Transport::Plain => &[],
            Transport::Tls => &["--tls"],
        };
        let program = program::build("sockeye-tests", "autobahn_server")?;
        let mut command = Command::new(program);
        command.args(workers).args(compression).args(tls);
        let mut running = Running::start(&mut command, Some(log))?;
        let url = running
            .wait_for(START_TIME, |line| {
                let is_address = line.source == Source::Stdout && line.text.starts_with("ws");
                is_address.then(|| line.text.clone())
            })
            .context("the server printed no address")?;
        Ok(Self {
            url,
            _running: Program::Async { _running: running },
        })
    }
}
