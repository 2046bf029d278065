//! Puts a server together and checks that its parts fit.

use std::fmt;
use std::sync::Arc;
#[cfg(engine)]
use std::sync::OnceLock;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use sockeye_proto::Config;
use sockeye_proto::deflate::Deflate;
use tower::Service;

#[cfg(engine)]
use super::Handler;
use super::admission::Admission;
use super::bind::Bind;
use super::body::{self, Fallback};
use super::event::Observer;
use super::host::{HostPattern, HostRoutes};
use super::listener::Terms;
use super::listening::Listening;
use super::metrics::ServerMetrics;
use super::request::{ConnectionInfo, UpgradeRequest};
use super::routes::Routes;
use super::shutdown::Lifecycle;
#[cfg(engine)]
use super::workforce::{Balance, Wishes, Workforce};
use super::{
    AsyncHandler, BoundServer, ConfigError, ConnectionLimits, Drain, HandshakeLimits, HandshakeOutcome,
    ProxyProtocol, Rejection, Route, Server, ServerEvent, ServerHandle, ShutdownReport, TcpOptions,
    TrustedProxies,
};
use crate::driver::DriverKind;
#[cfg(engine)]
use crate::engine::Workers;
#[cfg(engine)]
#[cfg(engine)]
use crate::hub::{Hub, HubConfig};
#[cfg(feature = "tls")]
use crate::tls::ServerTls;
use crate::upgrade::{Context, Settings};
use crate::{BoxError, OriginPolicy, QueueLimits, Result};

/// Builds a [`Server`].
pub struct ServerBuilder {
    binds: Vec<Bind>,
    tcp: TcpOptions,
    #[cfg(feature = "tls")]
    tls: Option<ServerTls>,
    /// With the domain they belong to.
    routes: Vec<(Option<String>, String, Route)>,
    fallback: Option<Fallback>,
    origins: OriginPolicy,
    proxies: TrustedProxies,
    proxy_protocol: Option<ProxyProtocol>,
    connections: ConnectionLimits,
    handshake: HandshakeLimits,
    settings: Settings,
    drain: Drain,
    observer: Observer,
    lifecycle: Arc<Lifecycle>,
    #[cfg(engine)]
    wishes: Wishes,
    #[cfg(engine)]
    hub: HubConfig,
}

/// What all connections of a server share.
#[derive(Debug)]
pub(super) struct Shared {
    #[cfg(feature = "tls")]
    pub(super) tls: Option<ServerTls>,
    pub(super) tcp: TcpOptions,
    pub(super) listening: Listening,
    pub(super) routes: Routes,
    pub(super) fallback: Option<Fallback>,
    pub(super) proxies: TrustedProxies,
    pub(super) proxy_protocol: Option<ProxyProtocol>,
    pub(super) handshake: HandshakeLimits,
    pub(super) admission: Arc<Admission>,
    pub(super) lifecycle: Arc<Lifecycle>,
    pub(super) metrics: ServerMetrics,
    pub(super) observer: Observer,
    pub(super) context: Context,
    #[cfg(engine)]
    pub(super) workforce: Workforce,
    /// Where its topics are.
    #[cfg(engine)]
    pub(super) hub: Arc<Hub>,
    /// The workers, once they are at work.
    #[cfg(engine)]
    pub(super) workers: OnceLock<Workers>,
}

impl Shared {
    /// How listeners are opened.
    pub(super) fn listener_terms(&self) -> Terms {
        Terms {
            tcp: self.tcp,
            #[cfg(engine)]
            balanced: self.workforce.balanced(),
            #[cfg(not(engine))]
            balanced: 0,
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        let is_tls = self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let is_tls = false;
        is_tls
    }

    /// Counts what came of a handshake, and tells of it.
    pub(super) fn handshake(
        &self,
        outcome: HandshakeOutcome,
        connection: &ConnectionInfo,
        request: Option<&UpgradeRequest>,
        rejection: Option<&Rejection>,
    ) {
        self.metrics.handshake(outcome);
        self.observer.tell(ServerEvent::Handshake {
            connection,
            request,
            outcome,
            rejection,
        });
    }
}

impl ServerBuilder {
    pub(super) fn new() -> Self {
        Self {
            binds: Vec::new(),
            tcp: TcpOptions::default(),
            #[cfg(feature = "tls")]
            tls: None,
            routes: Vec::new(),
            fallback: None,
            origins: OriginPolicy::default(),
            proxies: TrustedProxies::default(),
            proxy_protocol: None,
            connections: ConnectionLimits::default(),
            handshake: HandshakeLimits::default(),
            settings: Settings::default(),
            drain: Drain::default(),
            observer: Observer::default(),
            lifecycle: Lifecycle::new(),
            #[cfg(engine)]
            wishes: Wishes::default(),
            #[cfg(engine)]
            hub: HubConfig::default(),
        }
    }

    /// Serves WebSockets at this path: `/chat`, `/rooms/{room}`, `/files/{*path}`. A static segment beats a
    /// parameter, a parameter a wildcard; a wildcard stands for one byte at least, so that `/{*rest}` leaves
    /// out `/`.
    #[must_use]
    pub fn route<A>(self, path: impl Into<String>, handler: impl AsyncHandler<A>) -> Self {
        self.route_with(path, Route::new(handler))
    }

    /// Serves WebSockets at this path on terms of its own.
    #[must_use]
    pub fn route_with(mut self, path: impl Into<String>, route: Route) -> Self {
        self.routes.push((None, path.into(), route));
        self
    }

    /// Serves WebSockets at this path by the callbacks of this handler, on [workers](Self::workers). Paths
    /// are as for [`route`](Self::route).
    ///
    /// ```
    /// use sockeye::server::{Handler, Server, Socket};
    /// use sockeye::MessageRef;
    ///
    /// struct Echo;
    ///
    /// impl Handler for Echo {
    ///     type Data = ();
    ///
    ///     fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
    ///         socket.send(message);
    ///     }
    /// }
    ///
    /// let server = Server::builder().handle("/echo", Echo).bind("127.0.0.1:0").build()?;
    /// # Ok::<(), sockeye::Error>(())
    /// ```
    #[cfg(engine)]
    #[must_use]
    pub fn handle(self, path: impl Into<String>, handler: impl Handler) -> Self {
        self.route_with(path, Route::handler(handler))
    }

    /// The most workers that a server may have: more threads than any machine has cores are a mistake.
    #[cfg(engine)]
    pub const MAX_WORKERS: usize = 4096;

    /// How many workers serve: threads, each with connections of its own, which never leave it. All
    /// connections are theirs then, also those of async handlers and of the fallback, whose tasks run on a
    /// runtime of the worker's thread.
    ///
    /// Default: one per core if any route has a [`Handler`]; else none, and everything runs on the runtime
    /// that the server was started on, as 0 has it too. More than [`MAX_WORKERS`](Self::MAX_WORKERS) are an
    /// error when the server is built.
    #[cfg(engine)]
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.wishes.workers = Some(workers);
        self
    }

    /// How publish/subscribe works between the WebSockets of this server.
    #[cfg(engine)]
    #[must_use]
    pub fn hub(mut self, hub: HubConfig) -> Self {
        self.hub = hub;
        self
    }

    /// Which driver moves the bytes of the workers. Default:
    /// [`DriverKind::Auto`](crate::driver::DriverKind::Auto). The one that was chosen is logged, and shown by
    /// the metric `sockeye_server_workers`.
    #[cfg(engine)]
    #[must_use]
    pub fn driver(mut self, driver: DriverKind) -> Self {
        self.wishes.driver = driver;
        self
    }

    /// Binds each worker to one of the processors that the process may use. Worth it on a machine that does
    /// nothing else. Default: `false`. Only on Linux.
    #[cfg(engine)]
    #[must_use]
    pub fn pin(mut self, pin: bool) -> Self {
        self.wishes.pin = pin;
        self
    }

    /// How new connections come to the workers. Default: [`Balance::Kernel`].
    #[cfg(engine)]
    #[must_use]
    pub fn balance(mut self, balance: Balance) -> Self {
        self.wishes.balance = balance;
        self
    }

    /// Adds routes for one domain: `chat.example.com`, or `*.example.com`, where a label `*` stands for any
    /// one label. Which one a request is for, its `Host` field says, or its
    /// [trusted proxy](Self::trusted_proxies); the port does not matter.
    ///
    /// The routes of the domain are tried before those of all domains, and those of its name before those of
    /// a pattern.
    ///
    /// ```
    /// use sockeye::Server;
    /// # use sockeye::{HandlerResult, WebSocket};
    /// # async fn chat(_: WebSocket) -> HandlerResult { Ok(()) }
    /// # async fn echo(_: WebSocket) -> HandlerResult { Ok(()) }
    ///
    /// let builder = Server::builder()
    ///     .host("chat.example.com", |routes| routes.route("/", chat))
    ///     .route("/", echo);
    /// # drop(builder);
    /// ```
    #[must_use]
    pub fn host(mut self, name: impl Into<String>, routes: impl FnOnce(HostRoutes) -> HostRoutes) -> Self {
        let name = name.into();
        let routes = routes(HostRoutes::default()).routes.into_iter();
        self.routes
            .extend(routes.map(|(path, route)| (Some(name.clone()), path, route)));
        self
    }

    /// Gives every request that is not for a WebSocket, or for none of the routes, to this service; an axum
    /// `Router` is one. Default: 426 at the paths of routes, 404 elsewhere.
    ///
    /// Connections that the service upgrades by itself stay in the server's limits and counts, and are
    /// dropped at the deadline of its shutdown. WebSockets made with `sockeye::axum` or `sockeye::hyper` are
    /// closed before, like those of routes.
    ///
    /// How long its requests take is its own business, with one limit: a client that takes no byte of a
    /// response for 60 s is dropped.
    ///
    /// Its requests carry an `Arc<ConnectionInfo>` as an extension
    /// ([`ConnectionInfo`](super::ConnectionInfo)).
    #[must_use]
    pub fn fallback<S, B>(mut self, service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.fallback = Some(body::fallback(service));
        self
    }

    /// Listens here as well. See [`Bind`] for what can be written; at least one is needed.
    #[must_use]
    pub fn bind(mut self, address: impl Into<Bind>) -> Self {
        self.binds.push(address.into());
        self
    }

    /// How TCP sockets are set up.
    #[must_use]
    pub fn tcp_options(mut self, options: TcpOptions) -> Self {
        self.tcp = options;
        self
    }

    /// Serves TLS on all listeners. Keep a clone to [`reload`](ServerTls::reload) certificates.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Which pages may connect, for routes that say nothing else. Default: [`OriginPolicy::same_origin`].
    #[must_use]
    pub fn origins(mut self, policy: OriginPolicy) -> Self {
        self.origins = policy;
        self
    }

    /// The proxies whose word about the client is believed. Default: none.
    #[must_use]
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = proxies;
        self
    }

    /// Reads a header of the PROXY protocol from load balancers that pass bytes on. Default: `None`, which
    /// takes what connections bring as it is.
    #[must_use]
    pub fn proxy_protocol(mut self, protocol: impl Into<Option<ProxyProtocol>>) -> Self {
        self.proxy_protocol = protocol.into();
        self
    }

    /// How many connections there may be.
    #[must_use]
    pub fn connection_limits(mut self, limits: ConnectionLimits) -> Self {
        self.connections = limits;
        self
    }

    /// What a client may take to get from accepted to upgraded.
    #[must_use]
    pub fn handshake_limits(mut self, limits: HandshakeLimits) -> Self {
        self.handshake = limits;
        self
    }

    /// Limits and timeouts of WebSockets, for routes that say nothing else. Default: [`Config::server`].
    #[must_use]
    pub fn limits(mut self, limits: Config) -> Self {
        self.settings.config = Arc::new(limits);
        self
    }

    /// How much waits in memory for each WebSocket, for routes that say nothing else.
    #[must_use]
    pub fn queues(mut self, queues: QueueLimits) -> Self {
        self.settings.queues = queues;
        self
    }

    /// Compresses messages with clients that offer it, for routes that say nothing else. Default: `None`, no
    /// compression, since it costs processor time and memory and leaks lengths of secrets that are compressed
    /// together with what an attacker chose.
    #[must_use]
    pub fn compression(mut self, compression: impl Into<Option<Deflate>>) -> Self {
        self.settings.compression = compression.into();
        self
    }

    /// Calls this function whenever something happens that a [`ServerEvent`] tells of. It runs where that
    /// happens, so it must not block.
    ///
    /// ```
    /// use sockeye::server::{Server, ServerEvent};
    ///
    /// let builder = Server::builder().on_event(|event| match event {
    ///     ServerEvent::Opened { client, .. } => println!("{} is here", client.connection().peer),
    ///     ServerEvent::Closed { connection, code, .. } => println!("{} left with {code}", connection.peer),
    ///     _ => {}
    /// });
    /// # drop(builder);
    /// ```
    #[must_use]
    pub fn on_event(mut self, observe: impl Fn(ServerEvent<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Observer::new(observe);
        self
    }

    /// How [`ServerHandle::shutdown`] ends the server.
    #[must_use]
    pub fn drain(mut self, drain: Drain) -> Self {
        self.drain = drain;
        self
    }

    /// A handle to the server to be, for whoever needs one before it runs: a readiness page, a signal
    /// handler.
    pub fn server_handle(&self) -> ServerHandle {
        ServerHandle::new(Arc::clone(&self.lifecycle), self.drain.clone())
    }

    /// Checks the settings. Install a metrics recorder before this.
    ///
    /// # Errors
    /// [`Error::is_config`](crate::Error::is_config): routes that cannot stand together, or values that
    /// cannot work. The message says which.
    pub fn build(self) -> Result<Server> {
        if self.binds.is_empty() {
            return Err(ConfigError::new("nothing to listen on; call bind(\"127.0.0.1:3000\")").into());
        }
        self.connections.check()?;
        self.handshake.check()?;
        self.drain.check()?;
        if let Some(protocol) = &self.proxy_protocol {
            protocol.check()?;
        }
        if let Some(name) = self.settings.zero() {
            return Err(ConfigError::new(format!("{name} must be more than zero")).into());
        }
        #[cfg(engine)]
        let workforce = self
            .wishes
            .settle(self.routes.iter().any(|(.., route)| route.callbacks().is_some()))?;
        #[cfg(engine)]
        let hub = Hub::new(self.hub, workforce.workers)
            .map_err(|error| ConfigError::new(format!("the history of the hub: {error}")))?;
        let context = Context::new();
        #[cfg(engine)]
        let context = context.with_hub(Arc::clone(&hub));
        let routes = Routes::new(self.origins, self.settings);
        for (host, path, route) in self.routes {
            let host = host.map(|name| HostPattern::new(&name)).transpose()?;
            routes.mount(host.as_ref(), &path, route)?;
        }
        let (listening, changes) = Listening::new();
        let shared = Arc::new(Shared {
            #[cfg(feature = "tls")]
            tls: self.tls,
            tcp: self.tcp,
            listening,
            routes,
            fallback: self.fallback,
            proxies: self.proxies,
            proxy_protocol: self.proxy_protocol,
            handshake: self.handshake,
            admission: Arc::new(Admission::new(&self.connections, Instant::now())),
            lifecycle: self.lifecycle,
            metrics: ServerMetrics::new(),
            observer: self.observer,
            context,
            #[cfg(engine)]
            workforce,
            #[cfg(engine)]
            hub,
            #[cfg(engine)]
            workers: OnceLock::new(),
        });
        shared.lifecycle.built(Arc::downgrade(&shared));
        Ok(Server::new(self.binds, self.drain, shared, changes))
    }

    /// Builds the server and opens its listeners.
    ///
    /// # Errors
    /// As [`build`](Self::build) and [`Server::listen`].
    pub async fn listen(self) -> Result<BoundServer> {
        self.build()?.listen().await
    }

    /// Builds the server and runs it until it is shut down.
    ///
    /// # Errors
    /// As [`build`](Self::build) and [`Server::listen`].
    ///
    /// # Cancel safety
    /// As [`BoundServer::serve`].
    pub async fn serve(self) -> Result<ShutdownReport> {
        Ok(self.listen().await?.serve().await)
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("binds", &self.binds)
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}
