//! The limits of a server that concern more than one connection, or a connection before it is a WebSocket.

use std::time::Duration;

use super::ConfigError;

/// How many connections there may be.
///
/// A connection over a limit is answered 503 if its transport allows an answer without waiting, and closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The most connections at a time, HTTP and WebSocket together. Default: `None`, which takes the
    /// process's limit on open files and leaves a sixteenth of it, 64 at least, for everything else.
    pub max_connections: Option<usize>,
    /// The most connections at a time of one IPv4 address or one IPv6 /64. Default: `None`, no limit: many
    /// people share an address behind a company's or a phone network's, so that any number would be a guess.
    /// Connections from trusted proxies are counted by the client's address, once the request has told it.
    pub max_per_address: Option<usize>,
    /// The most connections at a time that have not sent the whole head of a request yet, TLS included.
    /// Default: `None`, no limit of their own: each has [`HandshakeLimits::timeout`] for it, and counts for
    /// the other limits. With one, clients that ask for nothing cannot take all places, only these.
    pub max_half_open: Option<usize>,
    /// How fast new connections may come. Default: `None`, no limit: after an outage everybody comes back at
    /// once, and only you know what your machine can take.
    pub rate: Option<ConnectionRate>,
    /// Counts and logs what would be refused, and refuses nothing, to find the right numbers. The limit on
    /// open files is still kept. Default: `false`.
    pub dry_run: bool,
}

/// A token bucket: `burst` connections at once, `per_second` in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionRate {
    /// Connections per second in the long run.
    pub per_second: u32,
    /// Connections that may come at once after a quiet time.
    pub burst: u32,
}

#[expect(
    clippy::derivable_impls,
    reason = "the defaults are decisions, and stand in one place"
)]
impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_connections: None,
            max_per_address: None,
            max_half_open: None,
            rate: None,
            dry_run: false,
        }
    }
}

impl ConnectionLimits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let zero = |name| Err(ConfigError::zero(name));
        if self.max_connections == Some(0) {
            return zero("max_connections");
        }
        if self.max_per_address == Some(0) {
            return zero("max_per_address");
        }
        if self.max_half_open == Some(0) {
            return zero("max_half_open");
        }
        match self.rate {
            Some(rate) if rate.per_second == 0 => zero("rate.per_second"),
            Some(rate) if rate.burst == 0 => zero("rate.burst"),
            _ => Ok(()),
        }
    }

    pub(super) fn max_connections(&self) -> usize {
        self.max_connections
            .unwrap_or_else(|| for_open_files(open_files_limit()))
    }
}

fn for_open_files(limit: usize) -> usize {
    limit.saturating_sub((limit / 16).max(64)).max(1)
}

#[cfg(unix)]
fn open_files_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
fn open_files_limit() -> usize {
    // Windows has no such limit; this is one for memory's sake.
    1 << 20
}

/// What a client may take to get from accepted to upgraded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// The largest request head, in bytes: request line and headers. Default: 16 KiB, which leaves room for
    /// large cookies and tokens. Reached: 431.
    pub max_head_size: usize,
    /// The most header lines. Default: 100. Reached: 431.
    pub max_headers: usize,
    /// From accepted to the end of the 101 response, the TLS handshake and the upgrade hook included; also
    /// how long a later request on the same connection may take to send its head. A total: sending a byte now
    /// and then does not prolong it. Default: 10 s. Reached: the connection is closed, after a 503 if it was
    /// the hook that took too long.
    pub timeout: Duration,
    /// From accepted to the end of the TLS handshake. Default: 5 s. Reached: the connection is closed.
    pub tls_timeout: Duration,
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self {
            max_head_size: 16 * 1024,
            max_headers: 100,
            timeout: Duration::from_secs(10),
            tls_timeout: Duration::from_secs(5),
        }
    }
}

impl HandshakeLimits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        // A handshake of a common browser has about 500 bytes and 15 headers.
        if self.max_head_size < 1024 {
            return Err(ConfigError::new("max_head_size must be at least 1024 bytes"));
        }
        if self.max_headers < 16 {
            return Err(ConfigError::new("max_headers must be at least 16"));
        }
        if self.timeout.is_zero() {
            return Err(ConfigError::zero("timeout"));
        }
        if self.tls_timeout.is_zero() {
            return Err(ConfigError::zero("tls_timeout"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_documented() {
        let handshake = HandshakeLimits::default();
        assert_eq!(handshake.max_head_size, 16_384);
        assert_eq!(handshake.max_headers, 100);
        assert_eq!(handshake.timeout, Duration::from_secs(10));
        assert_eq!(handshake.tls_timeout, Duration::from_secs(5));
        handshake.check().unwrap();

        let connections = ConnectionLimits::default();
        assert_eq!(connections.max_per_address, None);
        assert_eq!(connections.max_half_open, None);
        assert_eq!(connections.rate, None);
        assert!(!connections.dry_run);
        connections.check().unwrap();
    }

    #[test]
    fn max_connections_follows_the_limit_on_open_files() {
        for (files, expected) in [(20_000, 18_750), (1024, 960), (100, 36), (10, 1)] {
            assert_eq!(for_open_files(files), expected);
        }
        let configured = ConnectionLimits {
            max_connections: Some(5),
            ..ConnectionLimits::default()
        };
        assert_eq!(configured.max_connections(), 5);
    }

    #[test]
    fn values_that_let_nobody_in_are_errors() {
        let rate = |per_second, burst| Some(ConnectionRate { per_second, burst });
        for limits in [
            ConnectionLimits {
                max_connections: Some(0),
                ..ConnectionLimits::default()
            },
            ConnectionLimits {
                max_per_address: Some(0),
                ..ConnectionLimits::default()
            },
            ConnectionLimits {
                max_half_open: Some(0),
                ..ConnectionLimits::default()
            },
            ConnectionLimits {
                rate: rate(0, 1),
                ..ConnectionLimits::default()
            },
            ConnectionLimits {
                rate: rate(1, 0),
                ..ConnectionLimits::default()
            },
        ] {
            assert!(limits.check().is_err(), "{limits:?}");
        }
        for limits in [
            HandshakeLimits {
                max_head_size: 100,
                ..HandshakeLimits::default()
            },
            HandshakeLimits {
                max_headers: 3,
                ..HandshakeLimits::default()
            },
            HandshakeLimits {
                timeout: Duration::ZERO,
                ..HandshakeLimits::default()
            },
            HandshakeLimits {
                tls_timeout: Duration::ZERO,
                ..HandshakeLimits::default()
            },
        ] {
            assert!(limits.check().is_err(), "{limits:?}");
        }
    }
}
