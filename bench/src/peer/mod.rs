//! The servers: which there are, what each can do, how it is built and started.

mod build;
mod child;
mod scripts;
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
    /// C++, of the sources in the crate libuwebsockets-sys
    Uwebsockets,
    /// C++, of other sources: needs --uws-sources
    UwebsocketsSources,
    /// Callbacks, on io_uring
    SockeyeUring,
    /// Callbacks, on epoll
    SockeyeReadiness,
    /// Async handlers on tokio
    SockeyeAsync,
    Fastwebsockets,
    /// Rust, as it comes
    TokioTungstenite,
    /// With a read buffer of 4 KiB, as its documentation advises for many connections
    TokioTungstenite4k,
    TokioWebsockets,
    Yawc,
    SockudoWs,
    ActixWs,
    Axum,
    /// JavaScript on Node.js, with `bufferutil`
    Ws,
    /// JavaScript on Bun's own server
    Bun,
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
    /// A script, and what runs it.
    Script { name: &'static str, runtime: Runtime },
}

/// What runs scripts.
#[derive(Clone, Copy, Debug)]
enum Runtime {
    Node,
    Bun,
}

/// Whether and how a library compresses. All else that is measured all of them can.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deflate {
    Never,
    /// With and without context takeover.
    Both,
}

impl Peer {
    /// As it is called in reports.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Uwebsockets => "µWebSockets",
            Self::UwebsocketsSources => "µWebSockets (sources)",
            Self::SockeyeUring => "Sockeye (uring)",
            Self::SockeyeReadiness => "Sockeye (readiness)",
            Self::SockeyeAsync => "Sockeye (async)",
            Self::Fastwebsockets => "fastwebsockets",
            Self::TokioTungstenite => "tokio-tungstenite",
            Self::TokioTungstenite4k => "tokio-tungstenite (4 KiB)",
            Self::TokioWebsockets => "tokio-websockets",
            Self::Yawc => "yawc",
            Self::SockudoWs => "sockudo-ws",
            Self::ActixWs => "actix-ws",
            Self::Axum => "axum",
            Self::Ws => "ws (Node.js)",
            Self::Bun => "Bun",
        }
    }

    /// The server that reports call so.
    pub(crate) fn titled(title: &str) -> Option<Self> {
        Self::value_variants()
            .iter()
            .copied()
            .find(|peer| peer.title() == title)
    }

    /// Whether it is another library for Rust.
    pub(crate) const fn is_rust_rival(self) -> bool {
        match self {
            Self::SockeyeUring | Self::SockeyeReadiness | Self::SockeyeAsync => false,
            _ => matches!(self.program(), Program::Rust { .. }),
        }
    }

    /// The package whose version counts.
    const fn package(self) -> &'static str {
        match self {
            Self::Uwebsockets | Self::UwebsocketsSources => "libuwebsockets-sys",
            Self::SockeyeUring | Self::SockeyeReadiness | Self::SockeyeAsync => "sockeye",
            Self::Fastwebsockets => "fastwebsockets",
            Self::TokioTungstenite | Self::TokioTungstenite4k => "tokio-tungstenite",
            Self::TokioWebsockets => "tokio-websockets",
            Self::Yawc => "yawc",
            Self::SockudoWs => "sockudo-ws",
            Self::ActixWs => "actix-ws",
            Self::Axum => "axum",
            Self::Ws => "ws",
            Self::Bun => "bun",
        }
    }

    const fn program(self) -> Program {
        match self {
            Self::Uwebsockets | Self::UwebsocketsSources => Program::Uwebsockets,
            Self::SockeyeUring => Program::Rust {
                name: "sockeye",
                options: &["--driver", "uring"],
            },
            Self::SockeyeReadiness => Program::Rust {
                name: "sockeye",
                options: &["--driver", "readiness"],
            },
            Self::TokioTungstenite4k => Program::Rust {
                name: "tokio-tungstenite",
                options: &["--read-buffer", "4096"],
            },
            Self::Ws => Program::Script {
                name: "ws.js",
                runtime: Runtime::Node,
            },
            Self::Bun => Program::Script {
                name: "bun.js",
                runtime: Runtime::Bun,
            },
            _ => Program::Rust {
                name: self.package(),
                options: &[],
            },
        }
    }

    const fn deflate(self) -> Deflate {
        match self {
            Self::Fastwebsockets
            | Self::TokioTungstenite
            | Self::TokioTungstenite4k
            | Self::TokioWebsockets
            | Self::ActixWs
            | Self::Axum => Deflate::Never,
            _ => Deflate::Both,
        }
    }

    /// Whether the library can do what a scenario asks for.
    pub(crate) fn can(self, scenario: &Scenario) -> bool {
        scenario.compression == Compression::Off || self.deflate() == Deflate::Both
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
