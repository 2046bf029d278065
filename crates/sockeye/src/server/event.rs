//! What a server tells the application about handshakes and connections besides what it logs and counts.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sockeye_proto::handshake::server::Rejection;

use super::{Address, ConnectedClient, ConnectionInfo, UpgradeRequest};
use crate::{CloseInfo, Error};

/// Something that happened on a server, for [`ServerBuilder::on_event`](super::ServerBuilder::on_event).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ServerEvent<'a> {
    /// The server listens on this address.
    #[non_exhaustive]
    Listening {
        /// The address, with the port that the system chose.
        address: &'a Address,
    },
    /// A handshake was answered, or came to nothing.
    #[non_exhaustive]
    Handshake {
        /// The connection that it came on.
        connection: &'a ConnectionInfo,
        /// The request; `None` if none came that could be understood.
        request: Option<&'a UpgradeRequest>,
        /// What came of it.
        outcome: HandshakeOutcome,
        /// The answer, unless it was 101 or there was none.
        rejection: Option<&'a Rejection>,
    },
    /// A WebSocket of one of the routes is open; its handler runs from here on.
    #[non_exhaustive]
    Opened {
        /// Who it is.
        client: &'a ConnectedClient,
        /// The request that it came of.
        request: &'a UpgradeRequest,
    },
    /// A WebSocket of one of the routes whose [`Handler`](super::Handler) has callbacks is open.
    #[non_exhaustive]
    SocketOpened {
        /// The connection that it is on.
        connection: &'a ConnectionInfo,
        /// The pattern of its route.
        route: &'a str,
        /// The request that it came of.
        request: &'a UpgradeRequest,
    },
    /// A WebSocket of one of the routes is closed, and its handler is done.
    #[non_exhaustive]
    Closed {
        /// The connection that it was on.
        connection: &'a ConnectionInfo,
        /// The code under which the end is counted and logged: ours if the connection failed and the peer was
        /// told, the peer's otherwise.
        code: u16,
        /// What the peer said.
        info: &'a CloseInfo,
        /// Why, if the connection failed.
        failure: Option<&'a Error>,
    },
}

/// What came of an opening handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeOutcome {
    /// 101.
    Accepted,
    /// Not a proper handshake, or one that asks for what is not there.
    Invalid,
    /// No route for the path or the subprotocols.
    NotFound,
    /// Turned down by the Origin policy.
    Origin,
    /// Turned down by the upgrade hook.
    Rejected,
    /// Turned down by a limit on connections.
    Limit,
    /// Too slow.
    Timeout,
    /// The TLS handshake failed.
    Tls,
    /// A mistake of the hook, or a connection that was lost on the way.
    Failed,
    /// Turned down because [all were closed](super::ServerHandle::close_all) before it was answered.
    Closing,
}

impl HandshakeOutcome {
    pub(super) const ALL: [Self; 10] = [
        Self::Accepted,
        Self::Invalid,
        Self::NotFound,
        Self::Origin,
        Self::Rejected,
        Self::Limit,
        Self::Timeout,
        Self::Tls,
        Self::Failed,
        Self::Closing,
    ];

    /// Its label in the metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Origin => "origin",
            Self::Rejected => "rejected",
            Self::Limit => "limit",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Failed => "failed",
            Self::Closing => "closing",
        }
    }
}

type Observe = Arc<dyn Fn(ServerEvent<'_>) + Send + Sync>;

/// Whoever wants to know.
#[derive(Clone, Default)]
pub(super) struct Observer(Option<Observe>);

impl Observer {
    pub(super) fn new(observe: impl Fn(ServerEvent<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }

    /// Whether anybody wants to know.
    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Tells it. A panic there is nobody else's trouble.
    pub(super) fn tell(&self, event: ServerEvent<'_>) {
        if let Some(observe) = &self.0
            && catch_unwind(AssertUnwindSafe(|| observe(event))).is_err()
        {
            tracing::error!("the observer of the server's events panicked");
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_outcomes_is_in_the_order_of_the_enum() {
        let in_order = |(at, outcome): (usize, &HandshakeOutcome)| *outcome as usize == at;
        assert!(HandshakeOutcome::ALL.iter().enumerate().all(in_order));
    }

    #[test]
    fn an_observer_that_panics_harms_nobody() {
        let observer = Observer::new(|_| panic!("on purpose"));
        let address = Address::Unix(None);
        observer.tell(ServerEvent::Listening { address: &address });
    }
}
