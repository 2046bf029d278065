//! What a running server can be asked and told from outside.

use std::sync::Arc;

use super::shutdown::Lifecycle;
use super::{Drain, ShutdownReport};

/// A handle to a server: shuts it down and knows how it is. Clones are handles to the same server.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    lifecycle: Arc<Lifecycle>,
    drain: Drain,
}

impl ServerHandle {
    pub(super) fn new(lifecycle: Arc<Lifecycle>, drain: Drain) -> Self {
        Self { lifecycle, drain }
    }

    /// Begins a graceful shutdown as the server was configured; see [`Drain`] for its steps. Only the first call
    /// counts. The [`report`](Self::report) comes when it is over.
    pub fn shutdown(&self) {
        self.shutdown_with(self.drain.clone());
    }

    /// Begins a graceful shutdown on other terms than those configured, such as 1012 for a restart.
    pub fn shutdown_with(&self, drain: Drain) {
        self.lifecycle.ask(drain);
    }

    /// Waits until the server has ended, and tells how.
    ///
    /// # Cancel safety
    /// Cancel safe; waiting does not begin a shutdown, and not waiting does not stop one.
    pub async fn report(&self) -> ShutdownReport {
        self.lifecycle.report().await
    }

    /// Whether new connections should be sent here: the server listens and no shutdown has begun.
    pub fn is_ready(&self) -> bool {
        self.lifecycle.is_ready()
    }

    /// Open connections, HTTP and WebSocket.
    pub fn connections(&self) -> usize {
        self.lifecycle.open()
    }

    /// Open WebSockets.
    pub fn websockets(&self) -> usize {
        self.lifecycle.websockets()
    }
}
