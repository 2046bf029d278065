//! WebSockets on a hyper server of your own.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use hyper::body::Incoming;
//!
//! async fn serve(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     match sockeye::hyper::upgrade(&mut request) {
//!         Ok((response, upgrading)) => {
//!             tokio::spawn(upgrading.run(|mut ws| async move {
//!                 while let Some(message) = ws.recv().await? {
//!                     ws.send(message).await?;
//!                 }
//!                 Ok(())
//!             }));
//!             Ok(response)
//!         }
//!         Err(rejection) => Ok(sockeye::hyper::response(rejection)),
//!     }
//! }
//! ```
//!
//! Serve the connection with hyper's `with_upgrades`, and give it a timer and a `header_read_timeout`: without a
//! timer hyper lets a client take all the time in the world to send its request. Limits on connections, deadlines of
//! the handshake as a whole and graceful shutdown are the business of whoever accepts; [`Server`](crate::Server) has
//! them, for what is upgraded in its fallback too.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::Full;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sockeye_proto::deflate::Deflate;
use sockeye_proto::extension::Extension;
use sockeye_proto::handshake::server::{Refusal, Rejection};
use sockeye_proto::handshake::{HeaderError, server};
use sockeye_proto::{Config, Subprotocol};

use crate::error::Kind;
#[cfg(engine)]
use crate::hub::{Hub, Publisher};
use crate::session::{Driver, Joined};
use crate::upgrade::{Accepted, Adoption, Context, Settings, check_origin, choose_subprotocol, mistake};
use crate::{Error, HandlerResult, OriginPolicy, QueueLimits, Result, WebSocket};

/// Accepts a request for a WebSocket on default terms: pages of the same host only, no subprotocol, no compression.
///
/// Send the response; then the future gives the WebSocket.
///
/// # Errors
/// The request is not a proper handshake, or comes from a page of another host. [`response`] makes the answer.
pub fn upgrade<B>(
    request: &mut Request<B>,
) -> std::result::Result<(Response<Full<Bytes>>, Upgrading), Rejection> {
    Upgrade::new(request)?.accept()
}

/// The response that turns a handshake down.
pub fn response(rejection: Rejection) -> Response<Full<Bytes>> {
    rejection
        .into_response()
        .map(|body| Full::new(Bytes::from(body.into_owned())))
}

/// A request for a WebSocket that passed every check of RFC 6455 §4.2.1, and the terms on which it will be accepted.
#[derive(Debug)]
pub struct Upgrade {
    handshake: server::Upgrade,
    request_headers: HeaderMap,
    on_upgrade: OnUpgrade,
    adoption: Option<Adoption>,
    origins: OriginPolicy,
    subprotocols: Vec<String>,
    settings: Settings,
    #[cfg(engine)]
    topics: Option<Arc<Hub>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    data: http::Extensions,
}

impl Upgrade {
    /// Checks a request.
    ///
    /// # Errors
    /// It is not a proper handshake.
    pub fn new<B>(request: &mut Request<B>) -> std::result::Result<Self, Refusal> {
        let on_upgrade = hyper::upgrade::on(&mut *request);
        Self::from_parts(
            request.method(),
            request.version(),
            request.uri(),
            request.headers(),
            on_upgrade,
            request.extensions().get().cloned(),
        )
    }

    pub(crate) fn from_parts(
        method: &Method,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
        on_upgrade: OnUpgrade,
        adoption: Option<Adoption>,
    ) -> std::result::Result<Self, Refusal> {
        Ok(Self {
            handshake: server::Upgrade::check(method, version, uri, headers)?,
            request_headers: headers
                .get_all(http::header::ORIGIN)
                .iter()
                .map(|origin| (http::header::ORIGIN, origin.clone()))
                .collect(),
            on_upgrade,
            adoption,
            origins: OriginPolicy::same_origin(),
            subprotocols: Vec::new(),
            settings: Settings::default(),
            #[cfg(engine)]
            topics: None,
            headers: Vec::new(),
            data: http::Extensions::new(),
        })
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn offered_subprotocols(&self) -> &[Subprotocol] {
        self.handshake.subprotocols()
    }

    /// The extensions that the client offers, in its order of preference.
    pub fn offered_extensions(&self) -> &[Extension] {
        self.handshake.extensions()
    }

    /// Which pages may connect. Default: [`OriginPolicy::same_origin`], whereby the scheme is not compared, since
    /// it is not known here whether the client's connection is under TLS.
    #[must_use]
    pub fn origins(mut self, policy: OriginPolicy) -> Self {
        self.origins = policy;
        self
    }

    /// The subprotocols spoken here. The first of them that the client offers, in the client's order, is agreed on;
    /// a client that offers none of them goes without.
    #[must_use]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Gives the WebSocket the topics of this publisher, to [subscribe](WebSocket::subscribe) to. Default: those of the
    /// [`Server`](crate::Server) in whose fallback this is; none elsewhere.
    #[cfg(engine)]
    #[must_use]
    pub fn topics(mut self, publisher: &Publisher) -> Self {
        self.topics = Some(publisher.hub());
        self
    }

    /// Compresses messages if the client offers it. Default: `None`, no compression.
    #[must_use]
    pub fn compression(mut self, compression: impl Into<Option<Deflate>>) -> Self {
        self.settings.compression = compression.into();
        self
    }

    /// Limits and timeouts. Default: [`Config::server`].
    #[must_use]
    pub fn limits(mut self, limits: Config) -> Self {
        self.settings.config = Arc::new(limits);
        self
    }

    /// How much waits in memory.
    #[must_use]
    pub fn queues(mut self, queues: QueueLimits) -> Self {
        self.settings.queues = queues;
        self
    }

    /// Adds a header field to the response, for instance `Set-Cookie`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Keeps a value with the WebSocket, where [`WebSocket::data`] finds it by its type.
    #[must_use]
    pub fn data<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.data.insert(value);
        self
    }

    /// Makes the response, which has to be sent, and the future of the WebSocket.
    ///
    /// # Errors
    /// The page may not connect (403), or the terms cannot be met, which the log explains (500).
    pub fn accept(self) -> std::result::Result<(Response<Full<Bytes>>, Upgrading), Rejection> {
        check_origin(
            &self.origins,
            &self.request_headers,
            self.handshake.host().as_str(),
        )?;
        if let Some(name) = self.settings.zero() {
            return Err(mistake(&format!("{name} must be more than zero")));
        }
        let mut acceptance = self.handshake.accept();
        if let Some(deflate) = &self.settings.compression {
            acceptance = acceptance.deflate(deflate);
        }
        if let Some(name) = choose_subprotocol(self.handshake.subprotocols(), &self.subprotocols) {
            acceptance = acceptance.subprotocol(name).map_err(|error| mistake(&error))?;
        }
        for (name, value) in self.headers {
            acceptance = acceptance
                .header(name, value)
                .map_err(|error: HeaderError| mistake(&error))?;
        }
        let response = acceptance.response().map(|()| Full::default());
        let accepted = Accepted::new(&acceptance, self.settings, self.data, Context::of_process());
        #[cfg(engine)]
        let accepted = {
            let of_server = || self.adoption.as_ref().and_then(Adoption::hub);
            accepted.with_hub(self.topics.or_else(of_server))
        };
        Ok((
            response,
            Upgrading {
                on_upgrade: self.on_upgrade,
                adoption: self.adoption,
                accepted: Some(accepted),
            },
        ))
    }
}

/// The WebSocket that comes once the 101 response was sent.
///
/// As a future it gives the [`WebSocket`], with its driver in a task of its own. [`run`](Self::run) is cheaper.
pub struct Upgrading {
    on_upgrade: OnUpgrade,
    /// The server in whose fallback this happens, if there is one.
    adoption: Option<Adoption>,
    accepted: Option<Accepted>,
}

type Io = TokioIo<hyper::upgrade::Upgraded>;

impl Upgrading {
    /// Runs this handler, and its connection with it in the same task, until both are done.
    ///
    /// When the handler has returned `Ok` and no handle is kept elsewhere, the WebSocket is closed with 1000 unless
    /// that happened already; when it returns an error or panics, with 1011 at once.
    ///
    /// # Errors
    /// [`Error::is_connection_lost`](crate::Error::is_connection_lost): the response could not be sent.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection.
    pub async fn run<F, Fut>(mut self, handler: F) -> Result<()>
    where
        F: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        let (websocket, driver) = std::future::poll_fn(|cx| self.poll_open(cx)).await?;
        Joined::new(driver, Box::pin(async move { handler(websocket).await })).await;
        Ok(())
    }

    fn poll_open(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(WebSocket, Driver<Io>)>> {
        let upgraded = ready!(Pin::new(&mut self.on_upgrade).poll(cx));
        let lost = |error| Error::with_source(Kind::Io, error);
        let Some(accepted) = self.accepted.take() else {
            return Poll::Ready(Err(Error::new(Kind::Aborted)));
        };
        // What the client sent behind its request, hyper hands out first.
        let open = upgraded.map(|upgraded| accepted.open(TokioIo::new(upgraded), &[]));
        if let (Some(adoption), Ok((websocket, _))) = (&self.adoption, &open) {
            adoption.adopt(websocket.weak());
        }
        Poll::Ready(open.map_err(lost))
    }
}

impl Future for Upgrading {
    type Output = Result<WebSocket>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Result<WebSocket>> {
        let (websocket, driver) = ready!(self.poll_open(cx))?;
        tokio::spawn(driver.stand_by());
        Poll::Ready(Ok(websocket))
    }
}

impl fmt::Debug for Upgrading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrading").finish_non_exhaustive()
    }
}
