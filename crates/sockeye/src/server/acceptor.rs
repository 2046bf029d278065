//! WebSockets on byte streams of the program's own: no listener, no routes, no HTTP but the one request.

use std::future::Future;
#[cfg(engine)]
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use sockeye_proto::Config;
use sockeye_proto::deflate::Deflate;
use sockeye_proto::handshake::HeadLimits;
use sockeye_proto::handshake::server::{Refusal, Rejection, RequestHead, RequestReader, Upgrade};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Accept, HandshakeLimits};
use crate::error::{ConnectPhase, Kind, Lateness};
#[cfg(engine)]
use crate::hub::{Hub, Publisher};
use crate::opening::Opening;
use crate::spread::next_share;
use crate::upgrade::{Accepted, Context, Settings, check_origin, choose_subprotocol, mistake};
use crate::websocket::Agreement;
use crate::{Error, OriginPolicy, QueueLimits, Result, WebSocket};

/// How much is read at once until the handshake is done, in bytes.
const READ_SIZE: usize = 4096;

/// Takes the opening handshake of a client on this stream, with the defaults of [`Acceptor`].
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> sockeye::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let url = format!("ws://{}/", listener.local_addr()?);
/// # let client = tokio::spawn(async move { sockeye::connect(url).await?.recv().await });
/// let (stream, _) = listener.accept().await?;
/// let mut ws = sockeye::server::accept(stream).await?;
/// ws.send("hello").await?;
/// ws.close(sockeye::CloseCode::NORMAL, "").await?;
/// # assert_eq!(client.await.unwrap()?, Some("hello".into()));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Acceptor::accept`].
///
/// # Cancel safety
/// Dropping the future drops the stream.
pub async fn accept<IO>(io: IO) -> Result<WebSocket>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Acceptor::new().accept(io).await
}

/// Takes opening handshakes on streams that the program accepted itself: TCP, TLS, Unix sockets, pipes in
/// memory.
///
/// What a [`Server`](super::Server) has beyond this, the program does itself: listening, routes, limits on
/// connections, other HTTP requests (they are answered 426 here), shutdown.
#[derive(Clone, Debug)]
pub struct Acceptor {
    origins: OriginPolicy,
    subprotocols: Vec<String>,
    handshake: HandshakeLimits,
    settings: Settings,
    #[cfg(engine)]
    topics: Option<Arc<Hub>>,
}

impl Default for Acceptor {
    fn default() -> Self {
        Self::new()
    }
}

impl Acceptor {
    /// Default terms: pages of the same host only, no subprotocol, no compression.
    pub fn new() -> Self {
        Self {
            origins: OriginPolicy::same_origin(),
            subprotocols: Vec::new(),
            handshake: HandshakeLimits::default(),
            settings: Settings::default(),
            #[cfg(engine)]
            topics: None,
        }
    }

    /// Which pages may connect. Default: [`OriginPolicy::same_origin`], whereby the scheme is not compared,
    /// since it is not known here whether the stream is under TLS.
    #[must_use]
    pub fn origins(mut self, policy: OriginPolicy) -> Self {
        self.origins = policy;
        self
    }

    /// The subprotocols spoken here. The first of them that the client offers, in the client's order, is
    /// agreed on; a client that offers none of them goes without.
    #[must_use]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// What a client may take to ask. `tls_timeout` has no part in it.
    #[must_use]
    pub fn handshake_limits(mut self, limits: HandshakeLimits) -> Self {
        self.handshake = limits;
        self
    }

    /// Limits and timeouts. Default: [`Config::server`].
    #[must_use]
    pub fn limits(mut self, limits: Config) -> Self {
        self.settings.config = limits.into();
        self
    }

    /// How much waits in memory.
    #[must_use]
    pub fn queues(mut self, queues: QueueLimits) -> Self {
        self.settings.queues = queues;
        self
    }

    /// Compresses messages with clients that offer it. Default: `None`, no compression.
    #[must_use]
    pub fn compression(mut self, compression: impl Into<Option<Deflate>>) -> Self {
        self.settings.compression = compression.into();
        self
    }

    /// Gives the WebSockets the topics of this publisher, to [subscribe](WebSocket::subscribe) to: those of a
    /// [`Server`](super::Server), or of [`Publisher::new`]. Default: none.
    #[cfg(engine)]
    #[must_use]
    pub fn topics(mut self, publisher: &Publisher) -> Self {
        self.topics = Some(publisher.hub());
        self
    }

    /// Reads the request, answers it, and starts the WebSocket, its driver in a task of its own.
    ///
    /// # Errors
    /// [`Error::is_handshake`]: the client asked for something else, or may not connect; it was told so and
    /// the stream is closed. Or it left, or took longer than [`HandshakeLimits::timeout`], which is
    /// [`Error::is_timeout`]. Limits that cannot work are [`Error::is_config`].
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream.
    pub async fn accept<IO>(&self, io: IO) -> Result<WebSocket>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.accept_with(io, |_| async { Ok(Accept::new()) }).await
    }

    /// As [`accept`](Self::accept), and asks this function about the request, after the Origin check and
    /// before the answer. Its time counts as part of the handshake's.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream.
    pub async fn accept_with<IO, F, Fut>(&self, mut io: IO, hook: F) -> Result<WebSocket>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: FnOnce(Request<()>) -> Fut,
        Fut: Future<Output = Result<Accept, Rejection>>,
    {
        check(&self.settings)?;
        let limit = self.handshake.timeout;
        let exchange = self.exchange(&mut io, hook);
        let (accepted, leftover) = tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| too_slow(limit))??;
        let (websocket, driver) = accepted.open(io, &leftover);
        tokio::spawn(driver.stand_by());
        Ok(websocket)
    }

    /// Starts a WebSocket whose opening handshake was done elsewhere, its driver in a task of its own.
    /// `leftover` is what the client sent behind its request and was read along with it.
    ///
    /// Nothing is compressed: what extensions were agreed on, is not known here.
    ///
    /// # Errors
    /// [`Error::is_config`]: limits that cannot work.
    pub fn resume<IO>(&self, io: IO, leftover: impl Into<Vec<u8>>) -> Result<WebSocket>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        check(&self.settings)?;
        let now = tokio::time::Instant::now().into_std();
        let (websocket, driver) = Opening {
            connection: self.settings.connection(None, next_share(), now),
            agreement: Agreement {
                #[cfg(engine)]
                hub: self.topics.clone(),
                ..Agreement::default()
            },
            limits: self.settings.queues.clone(),
            metrics: Context::of_process().metrics(),
            leftover: leftover.into(),
        }
        .start(io);
        tokio::spawn(driver.stand_by());
        Ok(websocket)
    }

    /// The handshake: what was accepted, and what came behind the request.
    async fn exchange<IO, F, Fut>(&self, io: &mut IO, hook: F) -> Result<(Accepted, Vec<u8>)>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
        F: FnOnce(Request<()>) -> Fut,
        Fut: Future<Output = Result<Accept, Rejection>>,
    {
        let mut received = Vec::new();
        let decision = match read_head(io, &self.handshake, &mut received).await? {
            Ok(RequestHead { request, len, .. }) => {
                received.drain(..len);
                self.decide(request, hook).await
            }
            Err(refusal) => Err(refusal.into()),
        };
        let mut out = Vec::new();
        let result = match decision {
            Ok((accepted, response)) => {
                out = response;
                Ok((accepted, received))
            }
            Err(rejection) => {
                rejection.write(&mut out);
                let text = String::from_utf8_lossy(rejection.body()).trim_end().to_owned();
                let status = rejection.status();
                tracing::debug!(status = status.as_u16(), text, "handshake refused");
                Err(failed(format!(
                    "the client was turned down with {status}: {text}"
                )))
            }
        };
        io.write_all(&out).await.map_err(lost)?;
        io.flush().await.map_err(lost)?;
        if result.is_err() {
            io.shutdown().await.map_err(lost)?;
        }
        result
    }

    async fn decide<F, Fut>(&self, request: Request<()>, hook: F) -> Result<(Accepted, Vec<u8>), Rejection>
    where
        F: FnOnce(Request<()>) -> Fut,
        Fut: Future<Output = Result<Accept, Rejection>>,
    {
        let upgrade = Upgrade::from_request(&request)?;
        check_origin(&self.origins, request.headers(), upgrade.host().as_str())?;
        let accept = hook(request).await?;
        let settings = accept.overrides.apply(&self.settings);
        check(&settings).map_err(|error| mistake(&error))?;
        let mut acceptance = upgrade.accept();
        if let Some(deflate) = &settings.compression {
            acceptance = acceptance.deflate(deflate);
        }
        let route = choose_subprotocol(upgrade.subprotocols(), &self.subprotocols);
        let acceptance = accept.respond(acceptance, route).map_err(|what| mistake(&what))?;
        let mut response = Vec::new();
        acceptance.write(&mut response);
        let accepted = Accepted::new(&acceptance, settings, accept.data, Context::of_process());
        #[cfg(engine)]
        let accepted = accepted.with_hub(self.topics.clone());
        Ok((accepted, response))
    }
}

/// Reads up to the end of the request's head, perhaps further.
async fn read_head<IO: AsyncRead + Unpin>(
    io: &mut IO,
    limits: &HandshakeLimits,
    received: &mut Vec<u8>,
) -> Result<std::result::Result<RequestHead, Refusal>> {
    let mut reader = RequestReader::new(HeadLimits {
        max_bytes: limits.max_head_size,
        max_headers: limits.max_headers,
    });
    loop {
        received.reserve(READ_SIZE);
        let read = (&mut *io).take(READ_SIZE as u64).read_buf(received).await;
        if read.map_err(lost)? == 0 {
            return Err(failed("the client left before it had asked"));
        }
        match reader.read(received) {
            Ok(Some(head)) => return Ok(Ok(head)),
            Ok(None) => {}
            Err(error) => return Ok(Err(error.into())),
        }
    }
}

fn check(settings: &Settings) -> Result<()> {
    match settings.zero() {
        Some(name) => Err(Error::config(format!("{name} must be more than zero"))),
        None => Ok(()),
    }
}

fn failed(how: impl Into<String>) -> Error {
    Error::connecting(ConnectPhase::Handshake, how)
}

fn lost(error: std::io::Error) -> Error {
    Error::connecting_by(ConnectPhase::Handshake, "the connection was lost", error)
}

fn too_slow(limit: Duration) -> Error {
    Error::new(Kind::ConnectTimeout(Lateness {
        phase: ConnectPhase::Handshake,
        host: "the client".to_owned(),
        limit,
        total: false,
        detail: String::new(),
    }))
}
