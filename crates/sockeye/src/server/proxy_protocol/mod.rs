//! The PROXY protocol, versions 1 and 2: a load balancer that passes bytes on writes one header first, which
//! says whose they are. `v1` and `v2` read the two forms; who accepts a connection feeds
//! [`ProxyProtocol::read`] until it is done.

mod v1;
mod v2;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use bytes::Bytes;

use super::{Address, ConfigError, TrustedProxies};

/// Where connections may begin with a header of the PROXY protocol, which names the client.
///
/// It is read from trusted peers only. Everybody else's bytes are taken as they are, so that a header of
/// theirs is a malformed request. Which version it is shows in its first bytes; both are understood. The
/// header comes before TLS.
///
/// With it, [`ConnectionInfo::peer`](super::ConnectionInfo::peer) is the client, and
/// [`ConnectionInfo::proxied`](super::ConnectionInfo::proxied) says who told. Limits per address count the
/// client.
///
/// ```
/// use sockeye::server::{ProxyProtocol, Server, TrustedProxies};
///
/// let balancers = TrustedProxies::list(["10.0.0.0/8"])?;
/// let builder = Server::builder().proxy_protocol(ProxyProtocol::required(balancers));
/// # drop(builder);
/// # Ok::<(), sockeye::server::BadNetwork>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocol {
    trusted: TrustedProxies,
    presence: Presence,
    max_size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

/// The least that `max_size` may be: a header of version 2 for Unix sockets without any extras.
const LEAST_MAX_SIZE: usize = v2::FIXED + v2::UNIX_ADDRESSES;

impl ProxyProtocol {
    /// Every connection of these peers must begin with a header; one that does not is closed.
    pub fn required(trusted: TrustedProxies) -> Self {
        Self {
            trusted,
            presence: Presence::Required,
            max_size: 4096,
        }
    }

    /// Connections of these peers may begin with a header. The specification advises against guessing, since
    /// a peer that passes on what strangers send without writing a header of its own lets them write one:
    /// trust only peers that never do.
    pub fn optional(trusted: TrustedProxies) -> Self {
        Self {
            presence: Presence::Optional,
            ..Self::required(trusted)
        }
    }

    /// The largest header of version 2, in bytes. Default: 4096, which leaves room for a client's certificate
    /// among the extras. At least 232. A header of version 1 has 107 at most. Reached: the connection is
    /// closed.
    #[must_use]
    pub fn max_size(mut self, bytes: usize) -> Self {
        self.max_size = bytes;
        self
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.max_size < LEAST_MAX_SIZE {
            return Err(ConfigError::new(format!(
                "the largest header of the PROXY protocol must be at least {LEAST_MAX_SIZE} bytes"
            )));
        }
        Ok(())
    }

    /// Whether connections of this peer are to be [read](Self::read) before anything else.
    pub(crate) fn concerns(&self, peer: &Address) -> bool {
        self.trusted.contains(peer)
    }

    /// Looks at everything that a connection has brought so far.
    ///
    /// Give the same bytes again with more behind them as long as the answer is [`Progress::More`]; that ends
    /// at the largest size at the latest.
    pub(crate) fn read(&self, received: &[u8]) -> Result<Progress, ProxyProtocolError> {
        let progress = match begins_with(received, v2::SIGNATURE) {
            Some(true) => return v2::read(received, self.max_size),
            Some(false) => begins_with(received, v1::PREFIX),
            None => None,
        };
        match (progress, self.presence) {
            (Some(true), _) => v1::read(received),
            (None, _) => Ok(Progress::More),
            (Some(false), Presence::Optional) => Ok(Progress::Absent),
            (Some(false), Presence::Required) => Err(ProxyProtocolError::Missing),
        }
    }
}

/// Whether these bytes begin with the mark; `None` as long as that cannot be told.
fn begins_with(received: &[u8], mark: &[u8]) -> Option<bool> {
    if received.len() < mark.len() && mark.starts_with(received) {
        return None;
    }
    Some(received.starts_with(mark))
}

/// How far a header has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More bytes are needed.
    More,
    /// There is no header: all bytes are the connection's own.
    Absent,
    /// The header, and how many bytes it took. The connection's own begin behind it.
    Done(ProxyHeader, usize),
}

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProxyHeader {
    /// Client and server, in this order, as the proxy saw them. `None` when the proxy speaks for itself (a
    /// health check) or does not know: then the connection's own ends count.
    pub(crate) ends: Option<(Address, Address)>,
    pub(crate) is_tls: bool,
    pub(crate) server_name: Option<String>,
    pub(crate) unique_id: Option<Bytes>,
}

impl ProxyHeader {
    fn between(client: impl Into<SocketAddr>, server: impl Into<SocketAddr>) -> Self {
        Self {
            ends: Some((Address::Tcp(client.into()), Address::Tcp(server.into()))),
            ..Self::default()
        }
    }
}

/// What a proxy told about the client with the PROXY protocol, beyond its address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxied {
    /// The proxy: the other end of the connection that was accepted.
    pub by: Address,
    /// This end of it.
    pub at: Address,
    /// Whether the client's connection to the proxy is under TLS. Always `false` with version 1, which cannot
    /// say it.
    pub is_tls: bool,
    /// The host name that the client named to the proxy, by TLS (SNI) as a rule.
    pub server_name: Option<String>,
    /// The proxy's name for the connection, 128 bytes at most, for logs on both sides.
    pub unique_id: Option<Bytes>,
}

/// Why a connection that should begin with a header is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProxyProtocolError {
    #[error("the connection does not begin with a header of the PROXY protocol")]
    Missing,
    #[error("the header of the PROXY protocol is longer than {limit} bytes")]
    TooLong { limit: usize },
    #[error("the header of the PROXY protocol is malformed: {0}")]
    Malformed(&'static str),
    #[error("the checksum of the header of the PROXY protocol is wrong")]
    Checksum,
}
