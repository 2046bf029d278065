//! What one client is to do, as the parent process tells it: JSON that a client in any language can read.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::kind::{self, Kind};
use super::library::Library;

/// How messages are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Compression {
    /// permessage-deflate is not offered.
    Off,
    /// Each message by itself: no context takeover in either direction.
    Single,
    /// Each message with the window that those before it left: context takeover in both directions.
    Context,
}

impl Compression {
    pub(super) const ALL: [Self; 3] = [Self::Off, Self::Single, Self::Context];
}

/// An echo of one kind, size, window and compression.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Scenario {
    pub(super) kind: Kind,
    pub(super) payload_len: usize,
    /// How many messages each connection has on the way.
    pub(super) window: usize,
    pub(super) compression: Compression,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = kind::size(self.payload_len);
        write!(f, "{size} {}, window {}", self.kind, self.window)?;
        f.write_str(match self.compression {
            Compression::Off => "",
            Compression::Single => ", deflate",
            Compression::Context => ", deflate with context",
        })
    }
}

/// All that a client has to know; the messages come on its standard input, one behind the other.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plan {
    pub(super) library: Library,
    /// On the loopback interface.
    pub(super) port: u16,
    #[serde(flatten)]
    pub(super) scenario: Scenario,
    pub(super) connections: usize,
    /// Which of tokio's runtimes.
    pub(super) multi_thread: bool,
    /// In milliseconds, as `run`.
    #[serde(serialize_with = "to_millis", deserialize_with = "from_millis")]
    pub(super) warm_up: Duration,
    #[serde(serialize_with = "to_millis", deserialize_with = "from_millis")]
    pub(super) run: Duration,
}

impl Plan {
    pub(super) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }
}

/// What the measured part of a client took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Taken {
    pub(super) messages: u64,
    /// In seconds, as all of these.
    pub(super) elapsed: f64,
    /// The time of all its threads on their core, as the scheduler counts it: exact.
    pub(super) cpu: f64,
    /// How the ticks of the clock found it: a sample, good for a proportion.
    pub(super) user: f64,
    pub(super) system: f64,
}

fn to_millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_millis() as u64)
}

fn from_millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}
