//! What a page gives to the WebSockets that are made on it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use http::HeaderValue;
use sockeye_proto::deflate::Deflate;
use sockeye_proto::{CloseCode, Subprotocol};
use tokio::runtime::Handle;
use url::Url;

use super::DomException;
use super::core::Core;
use super::event_loop::EventLoop;
use super::exception::{Exception, Reporter};
use crate::client::Client;
use crate::error::Result;
use crate::message::Utf8Bytes;

/// How many bytes wait to be sent before a WebSocket counts as full.
const MAX_BUFFERED: u64 = 256 * 1024 * 1024;

/// What WebSockets have from their surroundings, as on a page: a base for relative URLs, an origin, a loop that runs
/// their listeners, and the client that opens their connections.
///
/// Cheap to clone. The default has none of a page: no base, no origin, and a loop for each WebSocket on the current
/// tokio runtime.
///
/// ```
/// use sockeye::web::{Environment, WebSocket};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), sockeye::web::DomException> {
/// let page = Environment::builder().base_url("https://example.org/game/").build()?;
/// let ws = WebSocket::new_in(&page, "live?room=1", ())?;
/// assert_eq!(ws.url(), "wss://example.org/game/live?room=1");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Environment {
    settings: Arc<Settings>,
    /// The WebSockets that were made here.
    sockets: Arc<Mutex<Vec<Weak<dyn Unload>>>>,
}

#[derive(Debug)]
struct Settings {
    base: Option<Url>,
    origin: Option<HeaderValue>,
    client: Client,
    #[cfg(feature = "cookies")]
    cookies: Option<crate::cookies::CookieStore>,
    compression: Option<Deflate>,
    event_loop: Option<EventLoop>,
    runtime: Option<Handle>,
    max_buffered: u64,
    reporter: Reporter,
}

/// What ends with its page.
pub(super) trait Unload: Send + Sync {
    /// Closes it; gives it up if it is not open yet.
    fn unload(&self, frame: (CloseCode, Utf8Bytes));
}

impl Unload for Core {
    fn unload(&self, frame: (CloseCode, Utf8Bytes)) {
        self.close(Some(frame));
    }
}

impl Environment {
    /// Starts from the default.
    pub fn builder() -> EnvironmentBuilder {
        EnvironmentBuilder::default()
    }

    /// What happens when a page goes away ("make disappear", WebSockets Standard §5): WebSockets that are connecting are
    /// given up, and open ones are closed with 1001.
    pub fn unload(&self) {
        let sockets = std::mem::take(&mut *self.sockets());
        for socket in sockets.iter().filter_map(Weak::upgrade) {
            socket.unload((CloseCode::GOING_AWAY, Utf8Bytes::default()));
        }
    }

    /// Remembers a WebSocket for [`unload`](Self::unload).
    pub(super) fn adopt(&self, socket: &Arc<impl Unload + 'static>) {
        let socket = Arc::downgrade(socket);
        let mut sockets = self.sockets();
        if sockets.len() == sockets.capacity() {
            sockets.retain(|socket| socket.strong_count() > 0);
        }
        sockets.push(socket);
    }

    fn sockets(&self) -> MutexGuard<'_, Vec<Weak<dyn Unload>>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What relative URLs are relative to.
    pub(crate) fn base(&self) -> Option<&Url> {
        self.settings.base.as_ref()
    }

    pub(crate) fn max_buffered(&self) -> u64 {
        self.settings.max_buffered
    }

    pub(crate) fn reporter(&self) -> &Reporter {
        &self.settings.reporter
    }

    /// Where connections run.
    pub(crate) fn runtime(&self) -> Result<Handle, DomException> {
        match &self.settings.runtime {
            Some(runtime) => Ok(runtime.clone()),
            None => Handle::try_current().map_err(|_| {
                DomException::new("there is no tokio runtime to connect on", "NotSupportedError")
            }),
        }
    }

    /// The loop for a new WebSocket.
    pub(crate) fn event_loop(&self, runtime: &Handle) -> EventLoop {
        match &self.settings.event_loop {
            Some(event_loop) => event_loop.clone(),
            None => EventLoop::on(Some(runtime.clone())),
        }
    }

    /// The client for a connection that asks for these subprotocols, by the rules of the handshake request (WebSockets
    /// Standard §4, "establish a WebSocket connection").
    pub(crate) fn client(&self, protocols: &[Subprotocol]) -> Result<Client> {
        let Settings {
            origin,
            client,
            compression,
            ..
        } = &*self.settings;
        let mut builder = client
            .to_builder()
            .by_the_standard(protocols.iter().map(|name| name.to_string()))
            .compression(compression.clone());
        if let Some(origin) = origin {
            builder = builder.origin(origin.clone());
        }
        #[cfg(feature = "cookies")]
        if let Some(store) = &self.settings.cookies {
            builder = builder.cookies(store.clone());
        }
        builder.build()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base: None,
            origin: None,
            client: Client::default(),
            #[cfg(feature = "cookies")]
            cookies: None,
            // What browsers offer: `permessage-deflate; client_max_window_bits`.
            compression: Some(Deflate {
                server_no_context_takeover: false,
                client_no_context_takeover: false,
                ..Deflate::default()
            }),
            event_loop: None,
            runtime: None,
            max_buffered: MAX_BUFFERED,
            reporter: Reporter::default(),
        }
    }
}

/// Builds an [`Environment`].
#[derive(Default)]
#[must_use]
pub struct EnvironmentBuilder {
    settings: Settings,
    error: Option<DomException>,
}

impl EnvironmentBuilder {
    /// The URL of the page: relative URLs are relative to it, and its origin is sent with each handshake unless
    /// [`origin`](Self::origin) gives another. Default: none.
    pub fn base_url(mut self, url: impl AsRef<str>) -> Self {
        match Url::parse(url.as_ref()) {
            Ok(url) => {
                let origin = url.origin().ascii_serialization();
                self.settings.origin = self
                    .settings
                    .origin
                    .or_else(|| HeaderValue::try_from(origin).ok());
                self.settings.base = Some(url);
            }
            Err(error) => {
                let error = DomException::syntax(format!("the base URL cannot be used: {error}"));
                self.error.get_or_insert(error);
            }
        }
        self
    }

    /// The value of the `Origin` field of handshakes. Default: the origin of the [base URL](Self::base_url); without
    /// one the field is not sent, as there is no page that a server could want to know.
    pub fn origin(mut self, origin: impl TryInto<HeaderValue>) -> Self {
        match origin.try_into() {
            Ok(origin) => self.settings.origin = Some(origin),
            Err(_) => {
                let error = DomException::syntax("the origin has characters that a header cannot carry");
                self.error.get_or_insert(error);
            }
        }
        self
    }

    /// The client that opens the connections, for its TLS, proxies, cookies, limits and timeouts. Its subprotocols, its
    /// compression, its redirections and its delivery are not used: the standard says what they are. Default:
    /// [`Client::default`].
    pub fn client(mut self, client: Client) -> Self {
        self.settings.client = client;
        self
    }

    /// Where cookies are kept that servers set, and taken from. It can be shared with other environments and clients.
    /// Default: that of the [client](Self::client), if it has one.
    #[cfg(feature = "cookies")]
    pub fn cookies(mut self, store: crate::cookies::CookieStore) -> Self {
        self.settings.cookies = Some(store);
        self
    }

    /// What to offer of permessage-deflate. Default: `permessage-deflate; client_max_window_bits`, as browsers do. It
    /// costs memory for as long as a connection is open if the server agrees; `None` offers nothing.
    pub fn compression(mut self, options: impl Into<Option<Deflate>>) -> Self {
        self.settings.compression = options.into();
        self
    }

    /// The loop that all WebSockets of this environment share. Default: each has one of its own, run by tokio.
    pub fn event_loop(mut self, event_loop: EventLoop) -> Self {
        self.settings.event_loop = Some(event_loop);
        self
    }

    /// The tokio runtime that connections run on. Default: the one that is current where a WebSocket is made.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.settings.runtime = Some(runtime);
        self
    }

    /// How many bytes a WebSocket holds for a server that does not take them. One more, and it counts as full: the
    /// connection is dropped, with an `error` event. Default: 256 MiB.
    pub fn max_buffered(mut self, bytes: u64) -> Self {
        self.settings.max_buffered = bytes;
        self
    }

    /// Is called when a listener panics, which stops neither other listeners nor the connection. Default: the panic
    /// is only logged through `tracing`.
    pub fn on_exception(mut self, hook: impl Fn(&Exception) + Send + Sync + 'static) -> Self {
        self.settings.reporter = Reporter(Some(Arc::new(hook)));
        self
    }

    /// Makes the environment.
    ///
    /// # Errors
    ///
    /// `SyntaxError`: the base URL or the origin cannot be used.
    pub fn build(self) -> Result<Environment, DomException> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(Environment {
                settings: Arc::new(self.settings),
                sockets: Arc::default(),
            }),
        }
    }
}

impl fmt::Debug for EnvironmentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}
