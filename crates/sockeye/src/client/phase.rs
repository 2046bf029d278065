//! The phases of connecting and their timeouts.

use std::future::Future;
use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// How long each phase of connecting may take.
///
/// `Duration::MAX` is no limit.
///
/// ```
/// use std::time::Duration;
/// use sockeye::{Client, ConnectTimeouts};
///
/// let timeouts = ConnectTimeouts { connect: Duration::from_secs(2), ..ConnectTimeouts::default() };
/// let client = Client::builder().timeouts(timeouts).build()?;
/// # Ok::<(), sockeye::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectTimeouts {
    /// Looking up the host's addresses. Default: 10 s.
    pub resolve: Duration,
    /// TCP, all addresses together; each gets an equal share of what is left. Default: 10 s.
    pub connect: Duration,
    /// The TLS handshake. Default: 10 s.
    pub tls: Duration,
    /// From the opening handshake's request to the end of the head of its response. The body of a refusal is read
    /// for as long as this leaves time. Default: 10 s.
    pub handshake: Duration,
}

impl Default for ConnectTimeouts {
    fn default() -> Self {
        let all = Duration::from_secs(10);
        Self {
            resolve: all,
            connect: all,
            tls: all,
            handshake: all,
        }
    }
}

/// A phase, as errors name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Resolve,
    Connect,
    #[cfg(feature = "tls")]
    Tls,
    Handshake,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Resolve => "looking up the host",
            Self::Connect => "connecting",
            #[cfg(feature = "tls")]
            Self::Tls => "the TLS handshake",
            Self::Handshake => "the opening handshake",
        }
    }

    /// Runs a phase under its limit.
    pub(super) async fn within<T>(self, limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(self.timed_out(limit)),
        }
    }

    pub(super) fn timed_out(self, limit: Duration) -> Error {
        Error::new(Kind::ConnectTimeout(self.name(), limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_phase_that_takes_too_long_is_named_with_its_limit() {
        for (phase, want) in [
            (Phase::Resolve, "looking up the host took longer than 3s"),
            (Phase::Connect, "connecting took longer than 3s"),
            (Phase::Handshake, "the opening handshake took longer than 3s"),
        ] {
            let limit = Duration::from_secs(3);
            let error = phase
                .within(limit, std::future::pending::<Result<()>>())
                .await
                .unwrap_err();
            assert!(error.is_timeout());
            assert_eq!(error.to_string(), want);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_duration_is_no_limit() {
        let done = Phase::Connect.within(Duration::MAX, async { Ok(7) }).await;
        assert_eq!(done.unwrap(), 7);
    }
}
