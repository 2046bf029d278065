//! The servers: which there are, what each can do, how it is built and started.

mod build;
mod child;
mod uwebsockets;

use std::path::PathBuf;

use clap::ValueEnum;
use contract::Compression;

pub(crate) use build::Workshop;
pub(crate) use child::Child;

use crate::scenario::Scenario;

/// A library, with its settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Peer {
    /// µWebSockets of the crate libuwebsockets-sys
    Uwebsockets,
    /// µWebSockets of other sources: needs --uws-sources
    UwebsocketsSources,
    /// Sockeye, async handlers
    Sockeye,
}

/// What a server is made of.
#[derive(Clone, Copy, Debug)]
enum Program {
    /// C++: µWebSockets' sources and a file of ours.
    Uwebsockets,
    /// A program of this package, behind a feature of the same name, and its options.
    Rust {
        name: &'static str,
        options: &'static [&'static str],
    },
}

/// What a library can do of what is measured. Echo over plain TCP all can.
#[derive(Clone, Copy, Debug)]
struct Abilities {
    shared_compression: bool,
    dedicated_compression: bool,
}

impl Abilities {
    const ALL: Self = Self {
        shared_compression: true,
        dedicated_compression: true,
    };
}

impl Peer {
    /// As it is called in reports.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Uwebsockets => "µWebSockets",
            Self::UwebsocketsSources => "µWebSockets (sources)",
            Self::Sockeye => "Sockeye (async)",
        }
    }

    /// The crate whose version counts.
    const fn package(self) -> &'static str {
        match self {
            Self::Uwebsockets | Self::UwebsocketsSources => "libuwebsockets-sys",
            Self::Sockeye => "sockeye",
        }
    }

    const fn program(self) -> Program {
        match self {
            Self::Uwebsockets | Self::UwebsocketsSources => Program::Uwebsockets,
            Self::Sockeye => Program::Rust {
                name: "sockeye",
                options: &[],
            },
        }
    }

    const fn abilities(self) -> Abilities {
        match self {
            Self::Uwebsockets | Self::UwebsocketsSources | Self::Sockeye => Abilities::ALL,
        }
    }

    /// Whether the library can do what a scenario asks for.
    pub(crate) fn can(self, scenario: &Scenario) -> bool {
        let abilities = self.abilities();
        match scenario.compression {
            Compression::Off => true,
            Compression::Shared => abilities.shared_compression,
            Compression::Dedicated => abilities.dedicated_compression,
        }
    }
}

/// A server's program, ready to be started.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) peer: Peer,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The versions that count.
    pub(crate) version: String,
}
