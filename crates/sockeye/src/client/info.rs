//! What is known about an open connection.

use std::net::SocketAddr;
use std::time::Duration;

use sockeye_proto::handshake::client::Target;

use super::dial::Dialed;
use crate::error::ConnectPhase;
#[cfg(feature = "tls")]
use crate::tls::TlsInfo;

/// The facts about a client's connection, in [`WebSocket::data`](crate::WebSocket::data).
///
/// Beside it there are the opening handshake's request as it was sent (`http::Request<()>`) and the server's answer
/// (`http::Response<()>`).
///
/// ```no_run
/// use sockeye::client::ConnectionInfo;
///
/// # async fn example() -> sockeye::Result<()> {
/// let ws = sockeye::connect("wss://example.org/feed").await?;
/// if let Some(info) = ws.data().get::<ConnectionInfo>() {
///     println!("{} is at {:?}", info.url, info.peer);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The URL that answered: after redirections the last one. Without user name and password.
    pub url: String,
    /// The other end of the TCP connection: the server, or the proxy before it. `None` for Unix sockets and for
    /// transports of the caller's own.
    pub peer: Option<SocketAddr>,
    /// This end of the TCP connection.
    pub local: Option<SocketAddr>,
    /// How long each phase of connecting took, in their order; those of redirections are summed. Waiting for the turn
    /// ([`one_pending_per_host`](crate::ClientBuilder::one_pending_per_host)) counts in none.
    pub phases: Vec<(ConnectPhase, Duration)>,
    /// What TLS agreed on with the server; `None` on a plain connection.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsInfo>,
}

impl ConnectionInfo {
    /// Of a transport that the caller brought.
    pub(super) fn unknown(target: &Target) -> Self {
        Self {
            url: target.to_string(),
            peer: None,
            local: None,
            phases: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    pub(super) fn of(target: &Target, dialed: &Dialed) -> Self {
        Self {
            peer: dialed.peer,
            local: dialed.local,
            ..Self::unknown(target)
        }
    }
}
