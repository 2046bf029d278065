//! WebSockets in an axum application.
//!
//! ```
//! use axum::Router;
//! use axum::response::Response;
//! use axum::routing::any;
//! use sockeye::axum::WebSocketUpgrade;
//!
//! async fn echo(upgrade: WebSocketUpgrade) -> Response {
//!     upgrade.protocols(["chat.v2", "chat.v1"]).on_upgrade(|mut ws| async move {
//!         while let Some(message) = ws.recv().await? {
//!             ws.send(message).await?;
//!         }
//!         Ok(())
//!     })
//! }
//!
//! let app: Router = Router::new().route("/echo", any(echo));
//! ```
//!
//! Two things that `axum::serve` does not do, and [`Server`](crate::Server) with the router as its fallback does: it
//! sets no deadline for requests, and its graceful shutdown forgets WebSockets.

use std::future::Future;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use hyper::upgrade::OnUpgrade;
use sockeye_proto::deflate::Deflate;
use sockeye_proto::extension::Extension;
use sockeye_proto::handshake::Field;
use sockeye_proto::handshake::server::{Refusal, Rejection};
use sockeye_proto::{Config, Subprotocol};

use crate::hyper::Upgrade;
use crate::{HandlerResult, OriginPolicy, QueueLimits, WebSocket};

/// An extractor that checks the handshake, and then makes the WebSocket.
///
/// Route it with `any`, not `get`, so that a wrong method is answered as RFC 6455 wants. It needs HTTP/1.1.
#[derive(Debug)]
#[must_use = "nothing is upgraded until `on_upgrade` is called"]
pub struct WebSocketUpgrade(Upgrade);

impl WebSocketUpgrade {
    /// The subprotocols that the client offers, in its order of preference.
    pub fn offered_protocols(&self) -> &[Subprotocol] {
        self.0.offered_subprotocols()
    }

    /// The extensions that the client offers, in its order of preference.
    pub fn offered_extensions(&self) -> &[Extension] {
        self.0.offered_extensions()
    }

    /// The subprotocols spoken here. The first of them that the client offers, in the client's order, is agreed on;
    /// a client that offers none of them goes without.
    pub fn protocols<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self(self.0.subprotocols(names))
    }

    /// Which pages may connect. Default: those of the same host; see
    /// [`Upgrade::origins`](crate::hyper::Upgrade::origins).
    pub fn origins(self, policy: OriginPolicy) -> Self {
        Self(self.0.origins(policy))
    }

    /// Gives the WebSocket the topics of this publisher, to [subscribe](crate::WebSocket::subscribe) to. Default: those of
    /// the [`Server`](crate::Server) in whose fallback this is; none elsewhere.
    ///
    /// ```no_run
    /// use axum::extract::State;
    /// use axum::response::Response;
    /// use axum::routing::any;
    /// use sockeye::axum::WebSocketUpgrade;
    /// use sockeye::hub::{HubConfig, Publisher};
    ///
    /// async fn prices(State(publisher): State<Publisher>, upgrade: WebSocketUpgrade) -> Response {
    ///     upgrade.topics(&publisher).on_upgrade(|mut ws| async move {
    ///         ws.subscribe("prices")?;
    ///         while ws.recv().await?.is_some() {}
    ///         Ok(())
    ///     })
    /// }
    ///
    /// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    /// let publisher = Publisher::new(HubConfig::default())?;
    /// let app = axum::Router::new().route("/prices", any(prices)).with_state(publisher.clone());
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// axum::serve(listener, app).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(engine)]
    pub fn topics(self, publisher: &crate::hub::Publisher) -> Self {
        Self(self.0.topics(publisher))
    }

    /// Compresses messages if the client offers it. Default: `None`, no compression.
    pub fn compression(self, compression: impl Into<Option<Deflate>>) -> Self {
        Self(self.0.compression(compression))
    }

    /// Limits and timeouts. Default: [`Config::server`].
    pub fn limits(self, limits: Config) -> Self {
        Self(self.0.limits(limits))
    }

    /// How much waits in memory.
    pub fn queues(self, queues: QueueLimits) -> Self {
        Self(self.0.queues(queues))
    }

    /// Adds a header field to the response, for instance `Set-Cookie`.
    pub fn header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self(self.0.header(name, value))
    }

    /// Keeps a value with the WebSocket, where [`WebSocket::data`] finds it by its type.
    pub fn data<T: Clone + Send + Sync + 'static>(self, value: T) -> Self {
        Self(self.0.data(value))
    }

    /// Accepts, and runs this handler in a task of its own once the response was sent.
    ///
    /// When the handler has returned `Ok` and no handle is kept elsewhere, the WebSocket is closed with 1000 unless
    /// that happened already; when it returns an error or panics, with 1011 at once. The response is 403 if the page
    /// may not connect.
    #[must_use = "the response has to be returned"]
    pub fn on_upgrade<F, Fut>(self, handler: F) -> Response
    where
        F: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output = HandlerResult> + Send + 'static,
    {
        match self.0.accept() {
            Ok((response, upgrading)) => {
                tokio::spawn(async move {
                    if let Err(error) = upgrading.run(handler).await {
                        tracing::debug!(%error, "connection lost before the handshake was complete");
                    }
                });
                response.map(Body::new)
            }
            Err(rejection) => into_response(rejection),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = WebSocketRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, WebSocketRejection> {
        // hyper leaves it with each HTTP/1.1 request that asks for an upgrade.
        let on_upgrade = parts
            .extensions
            .remove::<OnUpgrade>()
            .ok_or(WebSocketRejection::NotUpgradable)?;
        let Parts {
            method,
            version,
            uri,
            headers,
            extensions,
            ..
        } = parts;
        Ok(Self(Upgrade::from_parts(
            method,
            *version,
            uri,
            headers,
            on_upgrade,
            extensions.get().cloned(),
        )?))
    }
}

/// Why [`WebSocketUpgrade`] could not be extracted. As a response it has the status that RFC 6455 wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebSocketRejection {
    /// The request is not a proper handshake.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The connection cannot be upgraded: the request asks for no upgrade or is not HTTP/1.1, or the server or a
    /// layer before this one does not support upgrades. Answered 426.
    #[error("the connection cannot be upgraded")]
    NotUpgradable,
}

impl IntoResponse for WebSocketRejection {
    fn into_response(self) -> Response {
        let refusal = match self {
            Self::Refused(refusal) => refusal,
            Self::NotUpgradable => Refusal::Missing(Field::Upgrade),
        };
        into_response(refusal.into())
    }
}

fn into_response(rejection: Rejection) -> Response {
    rejection
        .into_response()
        .map(|body| Body::from(body.into_owned()))
}
