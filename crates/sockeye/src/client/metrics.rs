//! What a client counts besides what its WebSockets count.

use std::time::Duration;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

use crate::error::Result;

/// Handles, registered once. A recorder must be installed before the client is built.
#[derive(Clone)]
pub(super) struct ClientMetrics {
    handshakes: [Counter; Outcome::ALL.len()],
    connect_seconds: Histogram,
}

/// How an attempt to connect ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// 101.
    Accepted,
    /// Another status than 101.
    Refused,
    /// The answer was no proper one, or none came.
    Invalid,
    /// The host is unknown or does not accept connections.
    Unreachable,
    /// The proxy gave no way to the host.
    Proxy,
    /// The TLS handshake failed.
    Tls,
    /// A phase was too slow.
    Timeout,
    /// The URL or an option cannot be used.
    Config,
}

impl Outcome {
    const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Refused,
        Self::Invalid,
        Self::Unreachable,
        Self::Proxy,
        Self::Tls,
        Self::Timeout,
        Self::Config,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::Unreachable => "unreachable",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Config => "config",
        }
    }

    fn of<T>(result: &Result<T>) -> Self {
        match result {
            Ok(_) => Self::Accepted,
            Err(error) if error.is_proxy() => Self::Proxy,
            Err(error) if error.refusal().is_some() => Self::Refused,
            Err(error) if error.is_connect() => Self::Unreachable,
            Err(error) if error.is_tls() => Self::Tls,
            Err(error) if error.is_timeout() => Self::Timeout,
            Err(error) if error.is_config() => Self::Config,
            Err(_) => Self::Invalid,
        }
    }
}

impl ClientMetrics {
    pub(super) fn new() -> Self {
        describe_counter!(
            "sockeye_client_handshakes_total",
            "attempts to open a WebSocket, by outcome"
        );
        describe_histogram!(
            "sockeye_client_connect_seconds",
            Unit::Seconds,
            "from the start of an attempt to the open WebSocket"
        );
        Self {
            handshakes: Outcome::ALL
                .map(|outcome| counter!("sockeye_client_handshakes_total", "outcome" => outcome.label())),
            connect_seconds: histogram!("sockeye_client_connect_seconds"),
        }
    }

    /// Counts an attempt that took this long.
    pub(super) fn attempted<T>(&self, result: &Result<T>, time: Duration) {
        self.handshakes[Outcome::of(result) as usize].increment(1);
        if result.is_ok() {
            self.connect_seconds.record(time);
        }
    }
}

impl std::fmt::Debug for ClientMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientMetrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ConnectPhase, Error, Kind, Lateness, Refusal};

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        assert!(
            Outcome::ALL
                .iter()
                .enumerate()
                .all(|(at, outcome)| *outcome as usize == at)
        );
    }

    #[test]
    fn each_failure_counts_as_its_own_outcome() {
        let refusal = Refusal {
            status: http::StatusCode::FORBIDDEN,
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
        };
        let failed = |phase| Kind::Connecting(phase, "no".into());
        let late = Lateness {
            phase: ConnectPhase::Tls,
            host: "a".into(),
            limit: Duration::ZERO,
            total: false,
            detail: String::new(),
        };
        for (kind, want) in [
            (Kind::Refused("a".into(), Box::new(refusal)), Outcome::Refused),
            (failed(ConnectPhase::Resolve), Outcome::Unreachable),
            (failed(ConnectPhase::Connect), Outcome::Unreachable),
            (failed(ConnectPhase::Proxy), Outcome::Proxy),
            (failed(ConnectPhase::Tls), Outcome::Tls),
            (failed(ConnectPhase::Handshake), Outcome::Invalid),
            (Kind::Tls("no".into()), Outcome::Tls),
            (Kind::ConnectTimeout(late), Outcome::Timeout),
            (Kind::Config("no".into()), Outcome::Config),
        ] {
            assert_eq!(Outcome::of(&Err::<(), _>(Error::new(kind))), want);
        }
        assert_eq!(Outcome::of(&Ok(())), Outcome::Accepted);
    }
}
