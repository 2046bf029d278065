//! The client: from a URL to an open WebSocket.
//!
//! [`connect`] takes the defaults; a [`Client`] holds headers, subprotocols, TLS, compression, limits and timeouts
//! for as many connections as wanted. One attempt goes through the phases of [`ConnectTimeouts`] in their order,
//! each in a module of its own: `address` reads the URL, `dial` finds and connects to the host, once it is this attempt's
//! `turn`, `proxy` asks a proxy for the way, `tls` encrypts, `handshake` asks for the WebSocket and `refusal` reads the
//! answer of a server that says no; `redirect` decides whether to ask elsewhere, and `cookies` keeps what servers set.
//! What comes out is a session as the server has it.

mod address;
mod auth;
mod builder;
#[cfg(feature = "cookies")]
pub mod cookies;
mod dial;
mod exchange;
mod handshake;
mod info;
mod mask_keys;
mod metrics;
mod phase;
mod proxy;
pub mod reconnect;
mod redirect;
mod refusal;
#[cfg(feature = "tls")]
mod tls;
mod turn;

use std::future::Future;
use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sockeye_proto::Config;
use sockeye_proto::deflate::{Deflate, Pool};
use sockeye_proto::handshake::HeadLimits;
use sockeye_proto::handshake::client::{Request, RequestError, Target};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::Instrument;

use crate::error::{Error, Kind, Result};
use crate::metrics::SessionMetrics;
use crate::session::QueueLimits;
#[cfg(feature = "tls")]
use crate::tls::{ClientTls, TlsInfo};
use crate::websocket::WebSocket;
use address::Location;
pub use builder::ClientBuilder;
use dial::{Dialed, Dialer, Endpoint};
pub use dial::{Resolve, Resolving, TcpOptions};
pub use info::ConnectionInfo;
use metrics::ClientMetrics;
use phase::Clock;
pub use phase::ConnectTimeouts;
pub use proxy::{Proxy, ProxyPolicy};
use redirect::{Journey, Redirects};
use turn::{Remote, Turn};

/// Opens a WebSocket with the defaults of [`Client`].
///
/// The URL begins with `ws://` or `wss://`; `http://` and `https://` mean the same. A user name and password in it
/// are sent as Basic authentication. `ws+unix:/run/chat.sock:/room?name=blue` asks for `/room?name=blue` through a
/// Unix socket, with `Host: localhost`; `wss+unix:` does so under TLS.
///
/// ```no_run
/// # async fn example() -> sockeye::Result<()> {
/// let mut ws = sockeye::connect("wss://echo.example.org/").await?;
/// ws.send("hello").await?;
/// println!("{:?}", ws.recv().await?);
/// ws.close(sockeye::CloseCode::NORMAL, "").await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As [`Client::connect`].
///
/// # Cancel safety
///
/// Dropping the future gives the attempt up and closes what was opened.
pub async fn connect(url: impl AsRef<str>) -> Result<WebSocket> {
    Client::default().connect(url).await
}

/// Opens WebSockets that have headers, TLS, limits and so on in common.
///
/// Cheap to clone. Connections of one client share the working memory for compression.
///
/// ```no_run
/// use sockeye::{Client, Config};
///
/// # async fn example() -> sockeye::Result<()> {
/// let client = Client::builder()
///     .header("X-Api-Key", "c2FsbW9u")
///     .subprotocol("graphql-transport-ws")
///     .limits(Config { max_message_size: 1024 * 1024, ..Config::client() })
///     .build()?;
/// let ws = client.connect("wss://api.example.org/graphql").await?;
/// assert_eq!(ws.subprotocol(), Some("graphql-transport-ws"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    settings: Arc<Settings>,
}

/// What the connections of a client have in common.
#[derive(Clone, Debug)]
struct Settings {
    headers: HeaderMap,
    subprotocols: Vec<String>,
    subprotocol_required: bool,
    compression: Option<Deflate>,
    config: Arc<Config>,
    queues: QueueLimits,
    head_limits: HeadLimits,
    timeouts: ConnectTimeouts,
    dialer: Dialer,
    one_pending_per_host: bool,
    proxy: ProxyPolicy,
    redirects: Redirects,
    #[cfg(feature = "cookies")]
    cookies: Option<cookies::CookieStore>,
    /// Where to connect instead of the URL's host.
    #[cfg(unix)]
    unix_socket: Option<PathBuf>,
    /// Without one of its own a client uses the one all share, which trusts the system's roots.
    #[cfg(feature = "tls")]
    tls: Option<ClientTls>,
    pool: Arc<Pool>,
    session_metrics: Arc<SessionMetrics>,
    metrics: ClientMetrics,
}

/// A server that answers the phone.
#[derive(Debug)]
struct Reached {
    dialed: Dialed,
    /// The right to go on with it, until the opening handshake is over.
    turn: Option<Turn>,
}

impl Client {
    /// Starts from the defaults: no compression, [`Config::client`], the system's root certificates.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Starts from the settings of this client, to make one that differs in some. Both count in the same metrics.
    ///
    /// ```
    /// use sockeye::Client;
    ///
    /// let client = Client::builder().origin("https://example.org").build()?;
    /// let chat = client.to_builder().subprotocol("chat").build()?;
    /// # Ok::<(), sockeye::Error>(())
    /// ```
    pub fn to_builder(&self) -> ClientBuilder {
        ClientBuilder {
            settings: Settings::clone(&self.settings),
            error: None,
        }
    }

    /// Opens a WebSocket.
    ///
    /// The addresses of the host race (RFC 8305): IPv6 and IPv4 in turn, each 250 ms after the one before, or at once
    /// when one fails; the first that connects wins. Clients take turns to connect to one server, see
    /// [`one_pending_per_host`](ClientBuilder::one_pending_per_host). Proxies are asked only if
    /// [told to](ClientBuilder::proxy). Redirections are followed only if [told to](ClientBuilder::redirects); they are
    /// refusals without. The request as it was sent, the server's answer with its header fields, and the
    /// [`ConnectionInfo`] are in [`WebSocket::data`]:
    ///
    /// ```no_run
    /// # async fn example(client: sockeye::Client) -> sockeye::Result<()> {
    /// let ws = client.connect("ws://localhost:3000/").await?;
    /// if let Some(response) = ws.data().get::<http::Response<()>>() {
    ///     println!("{:?}", response.headers().get("server"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - The URL cannot be used ([`Error::is_config`]), or it asks for TLS and this crate was built without.
    /// - The host is unknown or does not accept the connection ([`Error::is_connect`]).
    /// - The proxy gave no way to the host ([`Error::is_proxy`]).
    /// - TLS failed ([`Error::is_tls`]).
    /// - The server answered with another status than 101 ([`Error::refusal`] has status, header fields and body),
    ///   or its answer breaks RFC 6455 §4.1, or it redirects where the client does not follow
    ///   ([`Error::is_handshake`]).
    /// - A phase took longer than [`ConnectTimeouts`] allow ([`Error::is_timeout`]).
    ///
    /// [`Error::phase`] tells how far the attempt came.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up and closes what was opened.
    pub async fn connect(&self, url: impl AsRef<str>) -> Result<WebSocket> {
        let attempt = async {
            let location = address::locate(url.as_ref())?;
            let settings = Arc::clone(&self.settings);
            // In a task of its own: an attempt that its caller holds and does not poll must not stand at the head of
            // a line (`turn`) for ever. Dropping the set aborts the task.
            let mut task = JoinSet::new();
            task.spawn(async move { settings.connect(location).await }.in_current_span());
            match task.join_next().await {
                Some(Ok(result)) => result,
                Some(Err(stopped)) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
                // The runtime is shutting down.
                Some(Err(_)) | None => Err(Error::new(Kind::Aborted)),
            }
        };
        self.settings.counted(attempt).await
    }

    /// Opens a WebSocket over a transport that is connected already, such as a Unix socket, a tunnel or a pipe in
    /// memory.
    ///
    /// The URL says what to ask the server for; nothing is resolved, and `io` is used as it is: for a `wss://` URL
    /// it has to be encrypted already.
    ///
    /// ```no_run
    /// # #[cfg(unix)]
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let io = tokio::net::UnixStream::connect("/run/chat.sock").await?;
    /// let ws = sockeye::Client::default().handshake(io, "ws://localhost/chat").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), from the opening handshake on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up and drops `io`.
    pub async fn handshake<IO>(&self, io: IO, url: impl AsRef<str>) -> Result<WebSocket>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let attempt = async {
            let clock = Clock::start(&self.settings.timeouts);
            let journey = self.settings.journey(address::parse(url.as_ref())?);
            let request = self.settings.request(&journey)?;
            let info = ConnectionInfo::unknown(request.target());
            let answer = self.settings.open(io, &journey, &request, info, &clock).await?;
            answer.opened().await
        };
        self.settings.counted(attempt).await
    }
}

impl Default for Client {
    /// A client with nothing but defaults.
    fn default() -> Self {
        Self {
            settings: Arc::new(Settings::default()),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            headers: HeaderMap::new(),
            subprotocols: Vec::new(),
            subprotocol_required: false,
            compression: None,
            config: Arc::new(Config::client()),
            queues: QueueLimits::default(),
            head_limits: HeadLimits::default(),
            timeouts: ConnectTimeouts::default(),
            dialer: Dialer::default(),
            one_pending_per_host: true,
            proxy: ProxyPolicy::none(),
            redirects: Redirects::default(),
            #[cfg(feature = "cookies")]
            cookies: None,
            #[cfg(unix)]
            unix_socket: None,
            #[cfg(feature = "tls")]
            tls: None,
            pool: Arc::default(),
            session_metrics: Arc::new(SessionMetrics::new()),
            metrics: ClientMetrics::new(),
        }
    }
}

impl Settings {
    async fn connect(&self, location: Location) -> Result<WebSocket> {
        let clock = Clock::start(&self.timeouts);
        let mut journey = self.journey(location.target);
        if location.socket.is_some() {
            journey = journey.through_socket();
        }
        loop {
            // Whatever is wrong with the request is found before anything is sent.
            let request = self.request(&journey)?;
            let socket = location.socket.as_deref().filter(|_| journey.is_at_start());
            match self.attempt(&journey, &request, socket, &clock).await? {
                Step::Arrived(ws) => return Ok(ws),
                Step::Redirected(next) => journey.go_on(next),
            }
        }
    }

    fn journey(&self, target: Target) -> Journey {
        Journey::new(target, self.redirects)
    }

    /// Sends one request to its server, by the Unix socket `socket` if there is one: what each redirection repeats.
    async fn attempt(
        &self,
        journey: &Journey,
        request: &Request,
        socket: Option<&Path>,
        clock: &Clock,
    ) -> Result<Step> {
        let target = request.target();
        if !target.is_secure() {
            let Reached { dialed, turn } = self.reach(target, socket, clock).await?;
            let info = ConnectionInfo::of(target, &dialed);
            let answer = self.open(dialed.stream, journey, request, info, clock).await?;
            drop(turn);
            return answer.step(journey).await;
        }
        #[cfg(feature = "tls")]
        {
            // Before connecting: reading the system's roots may take longer than a server waits for a handshake.
            let tls = tls::settings(self.tls.as_ref()).await?;
            let Reached { dialed, turn } = self.reach(target, socket, clock).await?;
            let mut info = ConnectionInfo::of(target, &dialed);
            let io = tls::encrypt(dialed.stream, target.host(), tls, clock).await?;
            info.tls = Some(TlsInfo::of_client(io.get_ref().1));
            let answer = self.open(io, journey, request, info, clock).await?;
            drop(turn);
            answer.step(journey).await
        }
        #[cfg(not(feature = "tls"))]
        Err(Error::config(
            "wss:// needs TLS, which this program was built without (feature `tls` of the crate `sockeye`)",
        ))
    }

    /// A byte stream to the server of `target`, not encrypted yet.
    async fn reach(&self, target: &Target, socket: Option<&Path>, clock: &Clock) -> Result<Reached> {
        #[cfg(unix)]
        if let Some(path) = socket.or(self.unix_socket.as_deref()) {
            let dialed = self.dialer.connect_unix(path, clock).await?;
            return Ok(Reached { dialed, turn: None });
        }
        #[cfg(not(unix))]
        if let Some(path) = socket {
            return Err(Error::config(format!(
                "cannot connect to {}: this system has no Unix sockets",
                path.display()
            )));
        }
        let endpoint = Endpoint::of(target);
        if let Some(proxy) = self.proxy.proxy_for(target) {
            let way = proxy::Way::to(&endpoint, proxy, &self.dialer, clock).await?;
            let turn = self.turn([way.remote()], &endpoint, clock).await?;
            let dialed = way.open(&self.dialer, self.head_limits, clock).await?;
            return Ok(Reached { dialed, turn });
        }
        let addresses = self.dialer.resolve(&endpoint, clock).await?;
        let remotes = addresses.iter().map(|address| Remote::address(*address));
        let mut turn = self.turn(remotes, &endpoint, clock).await?;
        let dialed = self.dialer.connect(&endpoint, &addresses, clock).await?;
        if let (Some(turn), Some(peer)) = (&mut turn, dialed.peer) {
            turn.keep_only(&Remote::address(peer));
        }
        Ok(Reached { dialed, turn })
    }

    /// Waits for the turn to connect to the server at `endpoint`, if clients take turns.
    async fn turn(
        &self,
        remotes: impl IntoIterator<Item = Remote>,
        endpoint: &Endpoint,
        clock: &Clock,
    ) -> Result<Option<Turn>> {
        if !self.one_pending_per_host {
            return Ok(None);
        }
        Turn::wait(remotes, &endpoint.to_string(), clock).await.map(Some)
    }

    /// Runs an attempt and counts what came of it.
    async fn counted(&self, attempt: impl Future<Output = Result<WebSocket>>) -> Result<WebSocket> {
        let started = Instant::now();
        let result = attempt.await;
        self.metrics.attempted(&result, started.elapsed());
        if let Err(error) = &result {
            tracing::debug!(%error, "websocket not opened");
        }
        result
    }

    /// The opening handshake's request where the journey is now.
    fn request(&self, journey: &Journey) -> Result<Request> {
        let headers = self.headers_for(journey)?;
        // RFC 6455 §4.1: the nonce "MUST be selected randomly for each connection".
        self.build_request(journey.target(), &headers, rand::random())
            .map_err(|error| Error::config(error.to_string()))
    }

    fn build_request(
        &self,
        target: &Target,
        headers: &HeaderMap,
        nonce: [u8; 16],
    ) -> Result<Request, RequestError> {
        let mut request = Request::new(target.clone(), nonce)?.require_subprotocol(self.subprotocol_required);
        for name in &self.subprotocols {
            request = request.subprotocol(name)?;
        }
        for (name, value) in headers {
            request = request.header(name, value)?;
        }
        if let Some(options) = &self.compression {
            request = request.deflate(options.clone());
        }
        Ok(request)
    }

    /// The user's header fields as far as they may go there, with the credentials of the URL and the cookies.
    fn headers_for(&self, journey: &Journey) -> Result<HeaderMap> {
        let mut headers = self.headers.clone();
        if !headers.contains_key(AUTHORIZATION)
            && let Some(value) = address::authorization(journey.start())?
        {
            headers.insert(AUTHORIZATION, value);
        }
        let headers: HeaderMap = headers
            .iter()
            .filter(|(name, value)| journey.may_send(name, value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Ok(self.with_cookies(headers, journey))
    }

    /// Adds the cookies of the store, if there is one, in one field with those that are there.
    #[cfg(feature = "cookies")]
    fn with_cookies(&self, mut headers: HeaderMap, journey: &Journey) -> HeaderMap {
        if let Some(store) = self.cookies_on(journey)
            && let Some(value) = store.header(journey.target(), &headers)
        {
            headers.insert(http::header::COOKIE, value);
        }
        headers
    }

    #[cfg(not(feature = "cookies"))]
    fn with_cookies(&self, headers: HeaderMap, _: &Journey) -> HeaderMap {
        headers
    }

    /// The store for the server to ask now. None for one behind a Unix socket: what it sets would be sent to whoever
    /// has the name of its host, `localhost`.
    #[cfg(feature = "cookies")]
    fn cookies_on(&self, journey: &Journey) -> Option<&cookies::CookieStore> {
        self.cookies.as_ref().filter(|_| !journey.is_at_socket())
    }
}

/// What came of one request.
enum Step {
    Arrived(WebSocket),
    Redirected(Target),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(client: &Client, url: &str) -> String {
        let journey = client.settings.journey(address::parse(url).unwrap());
        let request = client.settings.request(&journey).unwrap();
        let mut out = Vec::new();
        request.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_key_is_fresh_for_each_connection() {
        let client = Client::default();
        assert_ne!(written(&client, "ws://a/"), written(&client, "ws://a/"));
    }

    #[test]
    fn nothing_is_offered_unless_asked_for() {
        let request = written(&Client::default(), "ws://a/");
        assert!(!request.contains("Sec-WebSocket-Protocol"), "{request}");
        assert!(!request.contains("Sec-WebSocket-Extensions"), "{request}");
        assert!(!request.contains("Origin"), "{request}");
        assert!(!request.contains("Authorization"), "{request}");
    }

    #[test]
    fn credentials_of_the_url_become_basic_authentication() {
        let request = written(&Client::default(), "ws://Aladdin:open%20sesame@a/");
        assert!(
            request.contains("Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"),
            "{request}"
        );
        assert!(request.contains("Host: a\r\n"), "{request}");
    }

    #[test]
    fn an_authorization_header_wins_over_the_url() {
        let client = Client::builder()
            .header("Authorization", "Bearer x")
            .build()
            .unwrap();
        let request = written(&client, "ws://user:password@a/");
        assert!(request.contains("Authorization: Bearer x\r\n"), "{request}");
        assert!(!request.contains("Basic"), "{request}");
    }

    #[test]
    fn headers_may_have_several_lines() {
        let client = Client::builder().header("Cookie", "a=1").header("Cookie", "b=2");
        let request = written(&client.build().unwrap(), "ws://a/");
        assert!(request.contains("Cookie: a=1\r\nCookie: b=2\r\n"), "{request}");
    }
}
