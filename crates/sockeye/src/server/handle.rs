//! What a running server can be asked and told from outside.

use std::sync::Arc;

#[cfg(engine)]
use sockeye_proto::Prepared;
use sockeye_proto::{CloseCode, CloseFrame};

#[cfg(engine)]
use super::OnWorkers;
#[cfg(engine)]
use super::clients::ConnectedSocket;
use super::host::HostPattern;
use super::listener::Listener;
use super::shutdown::Lifecycle;
use super::{
    Address, AllClosed, Bind, Broadcast, ConnectedClient, Drain, ForProtocol, Route, ShutdownReport,
};
#[cfg(engine)]
use crate::engine::Workers;
#[cfg(engine)]
use crate::hub::{PublishError, Publisher};
use crate::message::AsMessage;
use crate::{Error, Result};

/// A handle to a server: knows how it is, reaches its clients, changes its routes and listeners, shuts it
/// down. Clones are handles to the same server.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    lifecycle: Arc<Lifecycle>,
    drain: Drain,
}

impl ServerHandle {
    pub(super) fn new(lifecycle: Arc<Lifecycle>, drain: Drain) -> Self {
        Self { lifecycle, drain }
    }

    /// Begins a graceful shutdown as the server was configured; see [`Drain`] for its steps. Only the first
    /// call counts. The [`report`](Self::report) comes when it is over.
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

    /// Requests for a WebSocket that are not answered yet: those that an upgrade hook is thinking about.
    pub fn pending_requests(&self) -> usize {
        self.lifecycle.clients().pending()
    }

    /// The open WebSockets, in the order in which their connections were accepted; those in the closing
    /// handshake are still among them.
    ///
    /// It is a list of its own, made anew by each call; what opens or closes afterwards does not change it.
    /// WebSockets of a [`Handler`](super::Handler) are not in it: workers keep no list of them, but can be
    /// [asked](Self::sockets).
    pub fn clients(&self) -> Vec<ConnectedClient> {
        self.lifecycle.clients().list()
    }

    /// The open WebSockets of routes with a [`Handler`](super::Handler), in the order in which their
    /// connections were accepted. Each worker is asked for its own, so the list is not of one moment.
    ///
    /// # Cancel safety
    /// Cancel safe; the workers answer all the same.
    #[cfg(engine)]
    pub async fn sockets(&self) -> Vec<ConnectedSocket> {
        match self.lifecycle.server() {
            Ok(server) => match server.workers.get() {
                Some(workers) => workers.list().await.into_iter().map(ConnectedSocket).collect(),
                None => Vec::new(),
            },
            Err(_) => Vec::new(),
        }
    }

    #[cfg(engine)]
    fn with_workers<T>(&self, tell: impl FnOnce(&Workers) -> T) -> Option<T> {
        let server = self.lifecycle.server().ok()?;
        Some(tell(server.workers.get()?))
    }

    /// Sends a message to every open WebSocket, without waiting for any. Who is behind is not sent it, and
    /// named in the result: send it to them later, [close](crate::Sender::start_close) or
    /// [drop](crate::Sender::abort) them, or let them miss it.
    ///
    /// WebSockets of a [`Handler`](super::Handler) are sent it by their workers, a moment later and as their
    /// own back-pressure has it. How many that were, [`on_workers`](Broadcast::on_workers) knows when they
    /// have done so.
    ///
    /// Each connection of an async handler frames, and compresses, the message for itself; on workers that is
    /// done once for all. To send to some only, choose among [`clients`](Self::clients), or
    /// [publish](Self::publish).
    ///
    /// ```
    /// # async fn example(server: sockeye::server::ServerHandle) {
    /// let broadcast = server.broadcast("the tide is in");
    /// for client in &broadcast.behind {
    ///     // Whoever has a megabyte before him is not interested, or not there.
    ///     client.sender().abort();
    /// }
    /// let reached = broadcast.on_workers.reached().await;
    /// println!("{} and {} have it on its way", broadcast.sent, reached.sent);
    /// # }
    /// ```
    pub fn broadcast(&self, message: impl AsMessage) -> Broadcast {
        #[cfg(engine)]
        let on_workers = self.with_workers(|workers| {
            let message = Prepared::new(message.as_message());
            OnWorkers::new(workers.broadcast(&message))
        });
        let broadcast = self.lifecycle.clients().broadcast(message);
        #[cfg(engine)]
        let broadcast = Broadcast {
            on_workers: on_workers.unwrap_or_default(),
            ..broadcast
        };
        broadcast
    }

    /// What publishes to the topics of this server, from any thread.
    ///
    /// # Errors
    /// [`Error::is_config`]: the server is not built yet, or has ended.
    #[cfg(engine)]
    pub fn publisher(&self) -> Result<Publisher> {
        let server = self.lifecycle.server()?;
        Ok(Publisher::of(Arc::clone(&server.hub)))
    }

    /// Publishes a message to the subscribers of a topic, on all workers: as [`Publisher::publish`] of a
    /// [`publisher`](Self::publisher), which is cheaper to keep.
    ///
    /// # Errors
    /// As there; and [`PublishError::NoServer`] if there is no [`publisher`](Self::publisher).
    #[cfg(engine)]
    pub fn publish(&self, topic: &str, message: impl AsMessage) -> std::result::Result<(), PublishError> {
        let publisher = self.publisher().map_err(|_| PublishError::NoServer)?;
        publisher.publish(topic, message.as_message())
    }

    /// Closes every open WebSocket, and answers 503 to those who have asked for one and were not answered
    /// yet. The server goes on, and gives new ones to whoever asks from now on. Gives how many were open, and
    /// not closing already.
    ///
    /// Waits for nothing: what was sent to a client before is delivered to it, then its closing handshake
    /// runs. All are closed in the same moment; [`shutdown`](Self::shutdown) spreads it over a time.
    ///
    /// # Errors
    /// [`Error::is_config`]: `reason` is longer than 123 bytes.
    pub fn close_all(&self, code: CloseCode, reason: &str) -> Result<AllClosed> {
        let frame = CloseFrame::new(code, reason).map_err(|error| Error::config(error.to_string()))?;
        let closed = self.lifecycle.clients().close(frame);
        Ok(AllClosed {
            closed,
            #[cfg(engine)]
            on_workers: self
                .with_workers(|workers| OnWorkers::new(workers.close_all(code, reason)))
                .unwrap_or_default(),
        })
    }

    /// Adds a route, for requests from now on. What the route does not say, the server's settings say.
    ///
    /// # Errors
    /// [`Error::is_config`]: as [`ServerBuilder::build`](super::ServerBuilder::build) has it for routes; or
    /// the server is not built yet, or has ended.
    pub fn mount(&self, path: &str, route: Route) -> Result<()> {
        self.mount_at(None, path, route)
    }

    fn mount_at(&self, host: Option<&HostPattern>, path: &str, route: Route) -> Result<()> {
        let server = self.lifecycle.server()?;
        #[cfg(engine)]
        if route.callbacks().is_some() && server.workforce.workers == 0 {
            let why =
                format!("route `{path}`: routes with a `Handler` need workers, and the server has none");
            return Err(Error::config(why));
        }
        server.routes.mount(host, path, route)
    }

    /// Takes away the route of this pattern and subprotocol; gives whether it was there. WebSockets that are
    /// open stay open, and requests that its hook is thinking about are answered.
    ///
    /// # Errors
    /// [`Error::is_config`]: the server is not built yet, or has ended.
    pub fn unmount(&self, path: &str, protocol: &ForProtocol) -> Result<bool> {
        Ok(self.lifecycle.server()?.routes.unmount(None, path, protocol))
    }

    /// The routes of one domain, to add some and to take some away; the name is as for
    /// [`ServerBuilder::host`](super::ServerBuilder::host).
    ///
    /// ```
    /// # use sockeye::server::{ForProtocol, Route, ServerHandle};
    /// # use sockeye::{HandlerResult, WebSocket};
    /// # async fn chat(_: WebSocket) -> HandlerResult { Ok(()) }
    /// # fn example(server: ServerHandle) -> sockeye::Result<()> {
    /// let tenant = server.host("anna.example.com")?;
    /// tenant.mount("/chat", Route::new(chat))?;
    /// tenant.unmount("/chat", &ForProtocol::Any)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::is_config`]: it is no name of a domain.
    pub fn host(&self, name: &str) -> Result<HostHandle> {
        Ok(HostHandle {
            server: self.clone(),
            host: HostPattern::new(name)?,
        })
    }

    /// What the server listens on now.
    pub fn addresses(&self) -> Vec<Address> {
        self.lifecycle
            .server()
            .map(|server| server.listening.addresses())
            .unwrap_or_default()
    }

    /// Has the server listen here as well; gives the addresses. Who connects before
    /// [`serve`](super::BoundServer::serve) runs, waits.
    ///
    /// # Errors
    /// [`Error::is_config`]: as [`Server::listen`](super::Server::listen), or the server is not built yet, is
    /// shutting down or has ended.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the server as it was.
    pub async fn listen(&self, address: impl Into<Bind>) -> Result<Vec<Address>> {
        let server = self.lifecycle.server()?;
        let listeners = Listener::bind_all(vec![address.into()], server.listener_terms()).await?;
        if !self.lifecycle.is_running() {
            return Err(Error::config("the server is shutting down"));
        }
        let addresses = listeners
            .iter()
            .map(|listener| listener.address().clone())
            .collect();
        server.opened(&listeners);
        server.listening.add(listeners);
        Ok(addresses)
    }

    /// Closes the listener of this address, one of [`addresses`](Self::addresses); gives whether there was
    /// one. Connections that came through it stay. With no listener left the server goes on with those it
    /// has.
    ///
    /// Waits until the listener is closed, which is not before [`serve`](super::BoundServer::serve) runs.
    ///
    /// # Cancel safety
    /// The listener is closed even if the future is dropped.
    pub async fn stop_listening(&self, address: &Address) -> bool {
        match self.lifecycle.server() {
            Ok(server) => server.listening.remove(address).await,
            Err(_) => false,
        }
    }
}

/// The routes of one domain on a server that runs, from [`ServerHandle::host`].
#[derive(Clone, Debug)]
pub struct HostHandle {
    server: ServerHandle,
    host: HostPattern,
}

impl HostHandle {
    /// Adds a route, as [`ServerHandle::mount`] does, for this domain.
    ///
    /// # Errors
    /// As there.
    pub fn mount(&self, path: &str, route: Route) -> Result<()> {
        self.server.mount_at(Some(&self.host), path, route)
    }

    /// Takes a route of this domain away, as [`ServerHandle::unmount`] does; gives whether it was there.
    ///
    /// # Errors
    /// As there.
    pub fn unmount(&self, path: &str, protocol: &ForProtocol) -> Result<bool> {
        let server = self.server.lifecycle.server()?;
        Ok(server.routes.unmount(Some(&self.host), path, protocol))
    }
}
