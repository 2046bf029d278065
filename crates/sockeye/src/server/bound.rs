//! A server from its settings to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::bind::Bind;
use super::builder::Shared;
use super::listener::{Listener, accept_loop};
use super::shutdown::Lifecycle;
use super::{Address, Drain, ServerBuilder, ServerHandle, ShutdownReport, TcpOptions, connection};
use crate::Result;

/// A WebSocket server whose settings were checked and that does not listen yet.
///
/// ```no_run
/// use sockeye::WebSocket;
/// use sockeye::server::Server;
///
/// #[tokio::main]
/// async fn main() -> sockeye::Result<()> {
///     Server::builder()
///         .route("/echo", |mut ws: WebSocket| async move {
///             while let Some(message) = ws.recv().await? {
///                 ws.send(message).await?;
///             }
///             Ok(())
///         })
///         .bind("127.0.0.1:3000")
///         .serve()
///         .await?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Server {
    binds: Vec<Bind>,
    tcp: TcpOptions,
    drain: Drain,
    shared: Arc<Shared>,
}

impl Server {
    /// Starts from the defaults.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    pub(super) fn new(binds: Vec<Bind>, tcp: TcpOptions, drain: Drain, shared: Arc<Shared>) -> Self {
        Self {
            binds,
            tcp,
            drain,
            shared,
        }
    }

    /// Opens the listeners: all of them, or none.
    ///
    /// # Errors
    /// [`Error::is_config`](crate::Error::is_config), with a [`BindError`](super::BindError) as its source: an address
    /// that is taken, not there, or not allowed.
    pub async fn listen(self) -> Result<BoundServer> {
        let listeners = Listener::bind_all(self.binds, self.tcp).await?;
        self.shared.lifecycle.listening();
        for listener in &listeners {
            tracing::info!(address = %listener.address(), "listening");
        }
        Ok(BoundServer {
            listeners,
            drain: self.drain,
            shared: self.shared,
        })
    }
}

/// A server that listens: clients can connect, and are served once [`serve`](Self::serve) runs.
#[derive(Debug)]
pub struct BoundServer {
    listeners: Vec<Listener>,
    drain: Drain,
    shared: Arc<Shared>,
}

impl BoundServer {
    /// What the server listens on.
    pub fn addresses(&self) -> Vec<Address> {
        self.listeners
            .iter()
            .map(|listener| listener.address().clone())
            .collect()
    }

    /// The first TCP address that the server listens on; with port 0 the place to learn the port.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.listeners
            .iter()
            .find_map(|listener| match listener.address() {
                Address::Tcp(address) => Some(*address),
                Address::Unix(_) => None,
            })
    }

    /// A handle, to shut the server down.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.shared.lifecycle), self.drain.clone())
    }

    /// Serves until [`ServerHandle::shutdown`] is called and the shutdown is over.
    ///
    /// # Cancel safety
    /// Dropping the future ends the server at once: listeners are closed and connections dropped.
    pub async fn serve(self) -> ShutdownReport {
        let lifecycle = Arc::clone(&self.shared.lifecycle);
        let _abort = AbortOnDrop(Arc::clone(&lifecycle));
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            accepting.spawn(accept(listener, Arc::clone(&self.shared)));
        }

        let drain = lifecycle.asked().await;
        let asked_at = Instant::now();
        tracing::info!(connections = lifecycle.open(), notice = ?drain.notice, "shutting down");
        tokio::time::sleep(drain.notice).await;
        // This closes the listeners.
        accepting.shutdown().await;
        let report = lifecycle.drain(drain, asked_at).await;
        tracing::info!(closed = report.closed, forced = report.forced, elapsed = ?report.elapsed, "shut down");
        report
    }
}

/// Ends the connections when the server's future is dropped before it is done.
struct AbortOnDrop(Arc<Lifecycle>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn accept(listener: Listener, shared: Arc<Shared>) -> Infallible {
    accept_loop(
        || listener.accept(),
        |(socket, peer)| connection::spawn(&shared, socket, peer, listener.address().clone()),
    )
    .await
}
