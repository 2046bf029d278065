//! A WebSocket endpoint: its handler, and who may have it on which terms.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sockeye_proto::deflate::Deflate;
use sockeye_proto::handshake::server::Rejection;
use sockeye_proto::{Config, Subprotocol};

#[cfg(engine)]
use super::Handler;
use super::{Accept, ConfigError, Decline, ForProtocol, UpgradeRequest};
#[cfg(engine)]
use crate::engine::AnyHandler;
use crate::session::HandlerFuture;
use crate::upgrade::Overrides;
use crate::{HandlerResult, OriginPolicy, QueueLimits, WebSocket};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type ErasedHandler = Arc<dyn Fn(WebSocket, UpgradeRequest) -> HandlerFuture + Send + Sync>;
type Hook = Arc<dyn Fn(UpgradeRequest) -> BoxFuture<Result<Accept, Decline>> + Send + Sync>;

/// What serves a WebSocket: an async function of the [`WebSocket`], or of the [`WebSocket`] and the
/// [`UpgradeRequest`] that asked for it.
///
/// When it has returned `Ok` and no handle is kept elsewhere, the WebSocket is closed with 1000 unless that
/// happened already. When it returns an error or panics, the WebSocket is closed with 1011 at once, and no
/// other is harmed.
pub trait AsyncHandler<Arguments>: Send + Sync + 'static {
    /// Serves one WebSocket.
    fn serve(
        &self,
        websocket: WebSocket,
        request: UpgradeRequest,
    ) -> impl Future<Output = HandlerResult> + Send + 'static;
}

impl<F, Fut> AsyncHandler<(WebSocket,)> for F
where
    F: Fn(WebSocket) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    fn serve(
        &self,
        websocket: WebSocket,
        _: UpgradeRequest,
    ) -> impl Future<Output = HandlerResult> + Send + 'static {
        self(websocket)
    }
}

impl<F, Fut> AsyncHandler<(WebSocket, UpgradeRequest)> for F
where
    F: Fn(WebSocket, UpgradeRequest) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = HandlerResult> + Send + 'static,
{
    fn serve(
        &self,
        websocket: WebSocket,
        request: UpgradeRequest,
    ) -> impl Future<Output = HandlerResult> + Send + 'static {
        self(websocket, request)
    }
}

/// What serves the WebSockets of a route.
#[derive(Clone)]
enum Kind {
    Async(ErasedHandler),
    #[cfg(engine)]
    Callbacks(Arc<dyn AnyHandler>),
}

/// A WebSocket endpoint. What it does not say, the server's settings say.
#[derive(Clone)]
pub struct Route {
    handler: Kind,
    pub(super) hook: Option<Hook>,
    pub(super) origins: Option<OriginPolicy>,
    pub(super) subprotocols: Vec<String>,
    pub(super) for_protocol: ForProtocol,
    pub(super) overrides: Overrides,
}

impl Route {
    /// An endpoint served by this handler.
    pub fn new<A>(handler: impl AsyncHandler<A>) -> Self {
        let handler = Arc::new(handler);
        // Called within the future, so that a panic before the handler's first await is the handler's too.
        Self::with(Kind::Async(Arc::new(move |websocket, request| {
            let handler = Arc::clone(&handler);
            Box::pin(async move { handler.serve(websocket, request).await })
        })))
    }

    /// An endpoint served by this handler's callbacks, on the server's
    /// [workers](super::ServerBuilder::workers).
    ///
    /// A [hook](Self::on_upgrade) is asked before [`Handler::upgrade`], which has the last word.
    #[cfg(engine)]
    pub fn handler(handler: impl Handler) -> Self {
        Self::with(Kind::Callbacks(Arc::new(handler)))
    }

    fn with(handler: Kind) -> Self {
        Self {
            handler,
            hook: None,
            origins: None,
            subprotocols: Vec::new(),
            for_protocol: ForProtocol::Any,
            overrides: Overrides::default(),
        }
    }

    /// Runs the async handler.
    pub(super) fn serve(&self, websocket: WebSocket, request: UpgradeRequest) -> HandlerFuture {
        match &self.handler {
            Kind::Async(handler) => handler(websocket, request),
            // Its WebSockets are opened on a worker.
            #[cfg(engine)]
            Kind::Callbacks(_) => Box::pin(async { Ok(()) }),
        }
    }

    /// The handler, if it is one with callbacks.
    #[cfg(engine)]
    pub(crate) fn callbacks(&self) -> Option<&Arc<dyn AnyHandler>> {
        match &self.handler {
            Kind::Callbacks(handler) => Some(handler),
            Kind::Async(_) => None,
        }
    }

    /// Asks this function about each request, after the Origin check and before the answer. Its time counts
    /// as part of the handshake's.
    #[must_use]
    pub fn on_upgrade<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(UpgradeRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Accept, Rejection>> + Send + 'static,
    {
        self.hook = Some(Arc::new(move |request| {
            let answer = hook(request);
            Box::pin(async { answer.await.map_err(Decline::from) })
        }));
        self
    }

    /// As [`on_upgrade`](Self::on_upgrade), with a function that may also leave the client to the next route
    /// that fits.
    ///
    /// ```
    /// use sockeye::server::{Accept, Decline, Rejection, Route, UpgradeRequest};
    /// # use sockeye::{HandlerResult, WebSocket};
    /// # async fn handler(_: WebSocket) -> HandlerResult { Ok(()) }
    ///
    /// let beta = Route::new(handler).on_upgrade_or_next(async |request: UpgradeRequest| {
    ///     match request.cookie("beta") {
    ///         Some("1") => Ok(Accept::new()),
    ///         Some(_) => Err(Rejection::forbidden("Not any more.").into()),
    ///         None => Err(Decline::Next),
    ///     }
    /// });
    /// # drop(beta);
    /// ```
    #[must_use]
    pub fn on_upgrade_or_next<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(UpgradeRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Accept, Decline>> + Send + 'static,
    {
        self.hook = Some(Arc::new(move |request| Box::pin(hook(request))));
        self
    }

    /// The subprotocols spoken here. The first of them that the client offers, in the client's order, is
    /// agreed on; a client that offers none of them goes without.
    #[must_use]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Serves only some of the clients of the path, by the subprotocols that they offer. Several routes may
    /// share a path this way.
    ///
    /// The path is chosen first: a client whom none of the routes of the best pattern serves is answered 404,
    /// also where a less specific pattern would take it. To leave it to that one, let a route for
    /// [`ForProtocol::Any`] pass it on ([`Decline::Next`]).
    #[must_use]
    pub fn for_protocol(mut self, protocol: ForProtocol) -> Self {
        self.for_protocol = protocol;
        self
    }

    /// Replaces the server's Origin policy.
    #[must_use]
    pub fn origins(mut self, policy: OriginPolicy) -> Self {
        self.origins = Some(policy);
        self
    }

    /// Replaces the server's limits and timeouts for WebSockets.
    #[must_use]
    pub fn limits(mut self, limits: Config) -> Self {
        self.overrides.config = Some(Arc::new(limits));
        self
    }

    /// Replaces the server's limits on what waits in memory.
    #[must_use]
    pub fn queues(mut self, queues: QueueLimits) -> Self {
        self.overrides.queues = Some(queues);
        self
    }

    /// Replaces the server's compression; `None` goes without.
    #[must_use]
    pub fn compression(mut self, compression: impl Into<Option<Deflate>>) -> Self {
        self.overrides.compression = Some(compression.into());
        self
    }

    pub(super) fn check(&self, path: &str) -> Result<(), ConfigError> {
        let named = match &self.for_protocol {
            ForProtocol::Named(name) => Some(name),
            ForProtocol::Any | ForProtocol::Absent => None,
        };
        for name in self.subprotocols.iter().chain(named) {
            Subprotocol::new(name.as_str()).map_err(|_| {
                ConfigError::new(format!(
                    "route `{path}`: `{name}` cannot be the name of a subprotocol"
                ))
            })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("hook", &self.hook.is_some())
            .field("origins", &self.origins)
            .field("subprotocols", &self.subprotocols)
            .field("for_protocol", &self.for_protocol)
            .field("overrides", &self.overrides)
            .finish_non_exhaustive()
    }
}
