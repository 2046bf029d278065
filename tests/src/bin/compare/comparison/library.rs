//! The libraries that have clients.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Time for caches, branch predictors and the libraries' buffers to settle before anything is counted.
const WARM_UP: Duration = Duration::from_millis(150);

/// A library under test, with its settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
pub(super) enum Library {
    Sockeye,
    TokioTungstenite,
    /// Its documentation advises buffers of 4 KiB for many connections; its default is 128 KiB.
    TokioTungstenite4k,
    TokioWebsockets,
    Fastwebsockets,
    Yawc,
    /// Node's `ws`.
    Ws,
}

impl Library {
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Sockeye => "Sockeye",
            Self::TokioTungstenite => "tokio-tungstenite",
            Self::TokioTungstenite4k => "tokio-tungstenite, 4 KiB read buffer",
            Self::TokioWebsockets => "tokio-websockets",
            Self::Fastwebsockets => "fastwebsockets",
            Self::Yawc => "yawc",
            Self::Ws => "Node `ws`",
        }
    }

    /// How long it exchanges messages before anything is counted. Node.js compiles what runs often, in its own time.
    pub(super) const fn warm_up(self) -> Duration {
        match self {
            Self::Ws => WARM_UP.saturating_mul(4),
            _ => WARM_UP,
        }
    }

    /// Whether it has permessage-deflate.
    pub(super) const fn compresses(self) -> bool {
        matches!(self, Self::Sockeye | Self::Yawc | Self::Ws)
    }
}
