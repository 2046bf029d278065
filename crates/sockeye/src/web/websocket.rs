//! The handle that programs hold.

use std::sync::Arc;

use sockeye_proto::{CloseCode, MAX_CLOSE_REASON};

use super::connection;
use super::core::Core;
use super::data::{BinaryType, Data};
use super::dom_exception::DomException;
use super::environment::Environment;
use super::event::{CloseEvent, Event, MessageEvent};
use super::event_target::Attribute;
use super::listener::{AddEventListenerOptions, IntoListener, Listener};
use super::protocols::{self, IntoProtocols};
use super::url;
use crate::error::Error;
use crate::message::Utf8Bytes;

/// How far a connection is. It only ever moves forward.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
pub enum ReadyState {
    /// 0: the connection is being opened.
    Connecting = 0,
    /// 1: messages go both ways.
    Open = 1,
    /// 2: [`close`](WebSocket::close) was called, or one side has sent a Close frame.
    Closing = 2,
    /// 3: the connection has ended, or could not be opened.
    Closed = 3,
}

/// A WebSocket as scripts in browsers have it (WebSockets Standard §3).
///
/// A handle, cheap to clone; clones are the same WebSocket. The [module](super) tells how it differs from a browser's.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = sockeye::Server::builder()
/// #     .route("/", async |mut ws: sockeye::WebSocket| {
/// #         while let Some(message) = ws.recv().await? { ws.send(message).await?; }
/// #         Ok(())
/// #     })
/// #     .bind("127.0.0.1:0").listen().await?;
/// # let url = format!("ws://{}/", server.addresses()[0]);
/// # tokio::spawn(server.serve());
/// use sockeye::web::WebSocket;
///
/// let (done, closed) = tokio::sync::oneshot::channel();
/// let done = std::sync::Mutex::new(Some(done));
///
/// let ws = WebSocket::new(&url, ())?;
/// let socket = ws.clone();
/// ws.set_on_open(move |_| socket.send("Hello, server!").unwrap());
/// let socket = ws.clone();
/// ws.set_on_message(move |event| {
///     assert_eq!(event.data().as_text(), Some("Hello, server!"));
///     socket.close(1000, "bye").unwrap();
/// });
/// ws.set_on_close(move |event| {
///     let done = done.lock().unwrap().take().unwrap();
///     done.send((event.code(), event.was_clean())).unwrap();
/// });
/// assert_eq!(closed.await?, (1000, true));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WebSocket {
    core: Arc<Core>,
}

impl WebSocket {
    /// [`ReadyState::Connecting`].
    pub const CONNECTING: ReadyState = ReadyState::Connecting;
    /// [`ReadyState::Open`].
    pub const OPEN: ReadyState = ReadyState::Open;
    /// [`ReadyState::Closing`].
    pub const CLOSING: ReadyState = ReadyState::Closing;
    /// [`ReadyState::Closed`].
    pub const CLOSED: ReadyState = ReadyState::Closed;

    /// Begins to connect, and returns at once. `protocols` are the subprotocols to ask for: `()` for none, a string, or
    /// a list of strings.
    ///
    /// What goes wrong with the connection, a [blocked port](https://fetch.spec.whatwg.org/#port-blocking) included,
    /// is told by the events `error` and `close`.
    ///
    /// # Errors
    ///
    /// - `SyntaxError`: the URL cannot be parsed, is relative, has a scheme other than `ws`, `wss`, `http` and `https`,
    ///   or a fragment; a subprotocol is not a token or is listed twice.
    /// - `NotSupportedError`: there is no tokio runtime to connect on.
    pub fn new(url: impl AsRef<str>, protocols: impl IntoProtocols) -> Result<Self, DomException> {
        Self::new_in(&Environment::default(), url, protocols)
    }

    /// As [`new`](Self::new), in an environment: with a base for relative URLs, an origin, a loop of its own.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn new_in(
        environment: &Environment,
        url: impl AsRef<str>,
        protocols: impl IntoProtocols,
    ) -> Result<Self, DomException> {
        let url = url::parse(url.as_ref(), environment.base())?;
        let protocols = protocols::check(protocols.into_protocols())?;
        let runtime = environment.runtime()?;
        let event_loop = environment.event_loop(&runtime);
        let core = Core::new(url, environment.clone(), event_loop);
        environment.adopt(&core);
        let ws = Self::of(core.clone());
        runtime.spawn(connection::run(core, environment.client(&protocols)));
        Ok(ws)
    }

    pub(super) fn of(core: Arc<Core>) -> Self {
        core.handle_added();
        Self { core }
    }

    /// The URL as the parser serialises it: absolute, without a default port, with what needs it percent-encoded.
    #[must_use]
    pub fn url(&self) -> &str {
        self.core.url.as_str()
    }

    /// How far the connection is.
    #[must_use]
    pub fn ready_state(&self) -> ReadyState {
        self.core.ready_state()
    }

    /// Bytes of payload that were sent and not handed to the network yet. Text counts as UTF-8; frames and compression
    /// do not count.
    ///
    /// It falls between two tasks of the loop only, so that within a listener it changes by [`send`](Self::send) and by
    /// nothing else. What is sent once the connection is closing is added too, though it goes nowhere, and closing does
    /// not reset it.
    #[must_use]
    pub fn buffered_amount(&self) -> u64 {
        self.core.buffered_amount()
    }

    /// The extensions in use, as the server named them; empty until the connection is open.
    #[must_use]
    pub fn extensions(&self) -> Utf8Bytes {
        self.core.extensions()
    }

    /// The subprotocol in use; empty if there is none, and until the connection is open.
    #[must_use]
    pub fn protocol(&self) -> Utf8Bytes {
        self.core.protocol()
    }

    /// How binary messages are handed out.
    #[must_use]
    pub fn binary_type(&self) -> BinaryType {
        self.core.binary_type()
    }

    /// Chooses how binary messages are handed out, from the next event on.
    pub fn set_binary_type(&self, binary_type: BinaryType) {
        self.core.set_binary_type(binary_type);
    }

    /// Why the connection failed, once it is closed: the detail that the standard keeps from scripts, since they must
    /// not learn what a network looks like from inside.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.core.failure()
    }

    /// Sends a message: text for strings, binary for blobs and bytes. Never waits; see
    /// [`buffered_amount`](Self::buffered_amount).
    ///
    /// Messages leave in the order of the calls, also when a [`Blob`](super::Blob) has to be read from a file first. A
    /// file that cannot be read fails the connection.
    ///
    /// # Errors
    ///
    /// `InvalidStateError`: the connection is not open yet. When it is closing or closed, the message is dropped
    /// without an error.
    pub fn send(&self, data: impl Into<Data>) -> Result<(), DomException> {
        if self.ready_state() == ReadyState::Connecting {
            return Err(DomException::invalid_state("the connection is not open yet"));
        }
        self.core.send(data.into());
        Ok(())
    }

    /// Closes the connection, after everything that was sent before; if it is not open yet, gives it up. Does nothing
    /// if it is closing already.
    ///
    /// `code` is 1000 or 3000 to 4999; without one the peer sees none (1005). A reason without a code goes with 1000.
    ///
    /// ```
    /// # fn example(ws: sockeye::web::WebSocket) -> Result<(), sockeye::web::DomException> {
    /// ws.close(None, None)?;
    /// ws.close(1000, None)?;
    /// ws.close(4001, "seen enough")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - `InvalidAccessError`: another code.
    /// - `SyntaxError`: the reason is longer than 123 bytes of UTF-8.
    pub fn close<'a>(
        &self,
        code: impl Into<Option<u16>>,
        reason: impl Into<Option<&'a str>>,
    ) -> Result<(), DomException> {
        self.core.close(close_frame(code.into(), reason.into())?);
        Ok(())
    }

    /// Sets `onopen`: called when the connection has opened.
    ///
    /// An attribute takes its place among the listeners when it is first set. Setting it again keeps the place,
    /// [removing](Self::set_event_handler) it gives the place up.
    pub fn set_on_open(&self, handler: impl Fn(&Event) + Send + Sync + 'static) {
        self.core
            .target
            .set_attribute(Attribute::Open, Some(Listener::new(handler)));
    }

    /// Sets `onmessage`: called with each message.
    pub fn set_on_message(&self, handler: impl Fn(&MessageEvent) + Send + Sync + 'static) {
        self.core
            .target
            .set_attribute(Attribute::Message, Some(Listener::new(handler)));
    }

    /// Sets `onerror`: called when the connection has failed, before `onclose`. The event tells nothing more;
    /// [`failure`](Self::failure) does.
    pub fn set_on_error(&self, handler: impl Fn(&Event) + Send + Sync + 'static) {
        self.core
            .target
            .set_attribute(Attribute::Error, Some(Listener::new(handler)));
    }

    /// Sets `onclose`: called when the connection has ended, however it did. It is the last event.
    pub fn set_on_close(&self, handler: impl Fn(&CloseEvent) + Send + Sync + 'static) {
        self.core
            .target
            .set_attribute(Attribute::Close, Some(Listener::new(handler)));
    }

    /// Sets or, with `None`, removes the attribute for `open`, `message`, `error` or `close`. There are no others:
    /// other types do nothing.
    pub fn set_event_handler(&self, type_: &str, handler: impl Into<Option<Listener>>) {
        if let Some(attribute) = Attribute::of(type_) {
            self.core.target.set_attribute(attribute, handler.into());
        }
    }

    /// The attribute for an event type, if it is set.
    #[must_use]
    pub fn event_handler(&self, type_: &str) -> Option<Listener> {
        self.core.target.attribute(Attribute::of(type_)?)
    }

    /// Adds a listener, unless the same [`Listener`] was added for the same type before.
    ///
    /// ```
    /// # fn example(ws: sockeye::web::WebSocket) {
    /// use sockeye::web::{Event, MessageEvent};
    ///
    /// ws.add_event_listener("open", |event: &Event| println!("{event}"));
    /// ws.add_event_listener("message", |event: &MessageEvent| println!("{:?}", event.data()));
    /// # }
    /// ```
    pub fn add_event_listener<E>(&self, type_: &str, listener: impl IntoListener<E>) {
        self.add_event_listener_with(type_, listener, AddEventListenerOptions::default());
    }

    /// As [`add_event_listener`](Self::add_event_listener), with options. Listeners with and without
    /// [`capture`](AddEventListenerOptions::capture) are different ones.
    pub fn add_event_listener_with<E>(
        &self,
        type_: &str,
        listener: impl IntoListener<E>,
        options: AddEventListenerOptions,
    ) {
        self.core.target.add(type_, listener.into_listener(), options);
    }

    /// Removes a listener that was added with this type and `capture`.
    pub fn remove_event_listener(&self, type_: &str, listener: &Listener, capture: bool) {
        self.core.target.remove(type_, listener, capture);
    }

    /// Calls the listeners for an event of the program's own, on this thread, before it returns. Gives whether nobody
    /// [canceled](Event::prevent_default) it.
    ///
    /// # Errors
    ///
    /// `InvalidStateError`: the event is being dispatched already.
    pub fn dispatch_event(&self, event: &Event) -> Result<bool, DomException> {
        self.core
            .dispatch(event, false)
            .ok_or_else(|| DomException::invalid_state("the event is being dispatched already"))
    }

    /// Whether both are the same WebSocket.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }
}

impl Clone for WebSocket {
    fn clone(&self) -> Self {
        Self::of(self.core.clone())
    }
}

/// Dropping the last handle lets the connection go once no event of it would be heard: see the [module](super).
impl Drop for WebSocket {
    fn drop(&mut self) {
        self.core.handle_dropped();
    }
}

/// Checks the arguments of `close`, the code first.
pub(crate) fn close_frame(
    code: Option<u16>,
    reason: Option<&str>,
) -> Result<Option<(CloseCode, Utf8Bytes)>, DomException> {
    let code = match code {
        Some(code @ (1000 | 3000..=4999)) => CloseCode::new(code),
        Some(code) => {
            return Err(DomException::invalid_access(format!(
                "the close code {code} is neither 1000 nor in 3000 to 4999"
            )));
        }
        None => None,
    };
    if let Some(reason) = reason
        && reason.len() > MAX_CLOSE_REASON
    {
        return Err(DomException::syntax(format!(
            "the close reason has {} bytes; at most {MAX_CLOSE_REASON} fit",
            reason.len()
        )));
    }
    Ok(match (code, reason) {
        (None, None) => None,
        (code, reason) => Some((
            code.unwrap_or(CloseCode::NORMAL),
            reason.unwrap_or_default().into(),
        )),
    })
}
