//! From an opening handshake that is done to a running connection: where handles and driver of a session are made.

use std::sync::Arc;

use sockeye_proto::Connection;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::QueueLimits;
use crate::metrics::SessionMetrics;
use crate::session::{Driver, Shared};
use crate::websocket::{Agreement, WebSocket};

/// What a connection starts with.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) connection: Connection,
    pub(crate) agreement: Agreement,
    pub(crate) limits: QueueLimits,
    pub(crate) metrics: Arc<SessionMetrics>,
    /// What the peer sent behind the opening handshake.
    pub(crate) leftover: Vec<u8>,
}

impl Opening {
    /// Starts the session: the handle for the application, and the driver that somebody has to run.
    pub(crate) fn start<IO: AsyncRead + AsyncWrite + Unpin>(self, io: IO) -> (WebSocket, Driver<IO>) {
        let shared = Shared::new(self.connection, self.limits, self.metrics);
        (
            WebSocket::new(shared.clone(), self.agreement),
            Driver::new(io, shared, self.leftover),
        )
    }
}
