//! A server from its settings to its end.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

#[cfg(engine)]
use super::ConfigError;
use super::bind::Bind;
use super::builder::Shared;
use super::listener::Listener;
use super::listening::{Changes, Listeners};
#[cfg(engine)]
use super::reception::Reception;
use super::{Address, Drain, ServerBuilder, ServerEvent, ServerHandle, ShutdownReport};
use crate::Result;
#[cfg(engine)]
use crate::engine::{Plan, Workers};

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
    drain: Drain,
    shared: Arc<Shared>,
    changes: Changes,
}

impl Server {
    /// Starts from the defaults.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    pub(super) fn new(binds: Vec<Bind>, drain: Drain, shared: Arc<Shared>, changes: Changes) -> Self {
        Self {
            binds,
            drain,
            shared,
            changes,
        }
    }

    #[cfg(all(test, engine))]
    pub(super) fn into_shared(self) -> Arc<Shared> {
        self.shared
    }

    /// Opens the listeners: all of them, or none.
    ///
    /// # Errors
    /// [`Error::is_config`](crate::Error::is_config), with a [`BindError`](super::BindError) as its source:
    /// an address that is taken, not there, or not allowed.
    pub async fn listen(self) -> Result<BoundServer> {
        let listeners = Listener::bind_all(self.binds, self.shared.listener_terms()).await?;
        self.shared.lifecycle.listening();
        self.shared.opened(&listeners);
        #[cfg(engine)]
        self.shared.start_workers()?;
        Ok(BoundServer {
            abort: AbortOnDrop(Arc::clone(&self.shared)),
            listeners,
            drain: self.drain,
            shared: self.shared,
            changes: self.changes,
        })
    }
}

impl Shared {
    /// Notes that these listeners are open, and tells of it.
    pub(super) fn opened(&self, listeners: &[Listener]) {
        for address in listeners.iter().map(Listener::address) {
            tracing::info!(%address, "listening");
            self.listening.note(address.clone());
            self.observer.tell(ServerEvent::Listening { address });
        }
    }
}

/// A server that listens: clients can connect, and are served once [`serve`](Self::serve) runs.
#[derive(Debug)]
pub struct BoundServer {
    listeners: Vec<Listener>,
    drain: Drain,
    shared: Arc<Shared>,
    changes: Changes,
    abort: AbortOnDrop,
}

impl BoundServer {
    /// What the server listens on. [`ServerHandle::addresses`] follows changes.
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

    /// How many workers there are and which driver was chosen for them; `None` for a server without workers.
    #[cfg(engine)]
    pub fn workers(&self) -> Option<(usize, crate::driver::DriverKind)> {
        let workers = self.shared.workers.get()?;
        Some((workers.count(), workers.driver()))
    }

    /// A handle, to shut the server down.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.shared.lifecycle), self.drain.clone())
    }

    /// Serves until [`ServerHandle::shutdown`] is called and the shutdown is over.
    ///
    /// # Cancel safety
    /// Dropping the future ends the server at once: listeners are closed and connections dropped, by workers
    /// a moment later.
    pub async fn serve(self) -> ShutdownReport {
        let lifecycle = Arc::clone(&self.shared.lifecycle);
        let shared = Arc::clone(&self.shared);
        let _abort = self.abort;
        let mut listeners = Listeners::new(self.shared, self.changes, self.listeners);
        let drain = tokio::select! {
            drain = lifecycle.asked() => drain,
            never = listeners.change() => match never {},
        };
        let asked_at = Instant::now();
        tracing::info!(connections = lifecycle.open(), notice = ?drain.notice, "shutting down");
        tokio::time::sleep(drain.notice).await;
        listeners.shutdown().await;
        let connections = lifecycle.open();
        #[cfg(engine)]
        shared.drain_workers(&drain);
        let report = lifecycle.drain(drain, connections, asked_at).await;
        #[cfg(engine)]
        shared.stop_workers().await;
        drop(shared);
        lifecycle.ended(report);
        tracing::info!(
            closed = report.closed,
            forced = report.forced,
            elapsed = ?report.elapsed,
            "shut down"
        );
        report
    }
}

/// Ends the connections when the server, or its future, is dropped before it is done.
#[derive(Debug)]
struct AbortOnDrop(Arc<Shared>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.lifecycle.abort();
        #[cfg(engine)]
        self.0.abort_workers();
    }
}

#[cfg(engine)]
impl Shared {
    /// Starts the workers, if there are to be any.
    fn start_workers(self: &Arc<Self>) -> Result<()> {
        let force = &self.workforce;
        if force.workers == 0 {
            return Ok(());
        }
        let plan = Plan {
            workers: force.workers,
            driver: force.driver,
            pin: force.pin,
            reception: Reception::new(Arc::clone(self)),
            metrics: self.context.metrics(),
            hub: Arc::clone(&self.hub),
        };
        let workers = Workers::start(plan)
            .map_err(|error| ConfigError::new(format!("the workers cannot be started: {error}")))?;
        tracing::info!(
            workers = workers.count(),
            driver = %workers.driver(),
            pinned = force.pin,
            "workers started"
        );
        self.metrics.workers(workers.driver(), workers.count());
        // A server is started once.
        let _ = self.workers.set(workers);
        Ok(())
    }

    /// Has the workers close their WebSockets one after the other.
    fn drain_workers(&self, drain: &Arc<Drain>) {
        if let Some(workers) = self.workers.get() {
            workers.drain(drain);
        }
    }

    /// Ends the workers, whatever they are at.
    fn abort_workers(&self) {
        if let Some(workers) = self.workers.get() {
            workers.stop();
        }
    }

    /// Ends the workers, and waits for their threads.
    async fn stop_workers(&self) {
        if let Some(workers) = self.workers.get() {
            workers.stop();
            workers.ended().await;
            self.metrics.workers(workers.driver(), 0);
        }
    }
}
