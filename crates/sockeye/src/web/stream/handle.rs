//! The handle that programs hold, and the dictionaries of the proposal.

use std::fmt;
use std::sync::Arc;

use sockeye_proto::CloseCode;
use tokio::task::AbortHandle;

use super::attempt::{Attempt, Core};
use super::error::{StreamError, WebSocketError};
use super::readable::WebSocketReadable;
use super::writable::WebSocketWritable;
use crate::error::{Error, Kind};
use crate::message::Utf8Bytes;
use crate::web::environment::Unload;
use crate::web::websocket::close_frame;
use crate::web::{AbortSignal, DomException, Environment, protocols, url};

/// A WebSocket as two streams of messages, with back-pressure both ways.
///
/// This follows a proposal ([whatwg/websockets#48](https://github.com/whatwg/websockets/pull/48)), which Chrome ships
/// and which is not part of the WHATWG standard: it changes here when it changes there.
///
/// A handle, cheap to clone; clones are the same WebSocketStream.
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
/// use sockeye::web::{WebSocketStream, WebSocketStreamOptions};
///
/// let wss = WebSocketStream::new(&url, WebSocketStreamOptions::default())?;
/// let mut info = wss.opened().await?;
/// info.writable.write("Hello, server!").await?;
/// assert_eq!(info.readable.read().await?, Some("Hello, server!".into()));
/// wss.close((4001, "seen enough"))?;
/// assert_eq!(wss.closed().await?.close_code, Some(4001));
/// # Ok(())
/// # }
/// ```
///
/// # Back-pressure
///
/// Nothing is read for a [readable](WebSocketReadable) that is not: once
/// [`QueueLimits::receive`](crate::QueueLimits::receive) bytes wait for it, TCP holds the server back. That holds back
/// its Close frame as well: who only waits for [`closed`](Self::closed) should drop the readable. A
/// [write](WebSocketWritable::write) is done when the network has the message.
///
/// # Dropping
///
/// | dropped | what happens |
/// |---|---|
/// | the handle, while connecting | the attempt is given up |
/// | the handle, later | nothing, as long as there are the streams |
/// | the readable | what arrives is thrown away; the writable goes on, and so does the closing handshake |
/// | the writable | nothing more is sent; the readable goes on |
/// | all three | what was written is sent, then the connection is closed with no code (the server sees 1005) |
///
/// # What does not compile
///
/// No URL, options that are none, and protocols that are no list:
///
/// ```compile_fail
/// let wss = sockeye::web::WebSocketStream::new();
/// ```
///
/// ```compile_fail
/// let wss = sockeye::web::WebSocketStream::new("ws://localhost/", true);
/// ```
///
/// ```compile_fail
/// let options = sockeye::web::WebSocketStreamOptions { protocols: "chat", ..Default::default() };
/// ```
///
/// Close information that is none, and a code that is no 16-bit number:
///
/// ```compile_fail
/// fn example(wss: sockeye::web::WebSocketStream) { wss.close(true); }
/// ```
///
/// ```compile_fail
/// fn example(wss: sockeye::web::WebSocketStream) { wss.close(65_536); }
/// ```
///
/// What is neither text nor bytes:
///
/// ```compile_fail
/// async fn example(writable: &mut sockeye::web::WebSocketWritable) {
///     struct CannotStringify;
///     writable.write(CannotStringify).await;
/// }
/// ```
///
/// Bytes that change while they are written:
///
/// ```compile_fail
/// async fn example(writable: &mut sockeye::web::WebSocketWritable) {
///     let mut buffer = vec![0; 1024];
///     let write = writable.write(&buffer);
///     buffer.resize(65_536, 0);
///     write.await;
/// }
/// ```
#[derive(Clone, Debug)]
pub struct WebSocketStream {
    handle: Arc<Handle>,
}

/// What there is once for all clones.
struct Handle {
    core: Arc<Core>,
    /// The task that opens the connection.
    attempt: Option<AbortHandle>,
}

/// The options of [`WebSocketStream::new`].
#[derive(Clone, Default, Debug)]
pub struct WebSocketStreamOptions {
    /// The subprotocols to ask for. Default: none.
    pub protocols: Vec<String>,
    /// What gives the attempt to connect up. Once the connection is open it does nothing. Default: none.
    pub signal: Option<AbortSignal>,
}

/// What [`WebSocketStream::opened`] gives.
#[derive(Debug)]
#[non_exhaustive]
pub struct WebSocketOpenInfo {
    /// The extensions in use, as the server named them; may be empty.
    pub extensions: Utf8Bytes,
    /// The subprotocol in use; empty if there is none.
    pub protocol: Utf8Bytes,
    /// The messages that arrive.
    pub readable: WebSocketReadable,
    /// Takes the messages to be sent.
    pub writable: WebSocketWritable,
}

/// The code and the reason of a Close frame.
///
/// For [`WebSocketStream::close`] and [`WebSocketError::new`] a code, a code with a reason, or `()` become one by
/// themselves.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct WebSocketCloseInfo {
    /// The code. [`WebSocketStream::closed`] always gives one: 1005 if the peer's Close frame had none.
    pub close_code: Option<u16>,
    /// The reason; empty if there is none.
    pub reason: Utf8Bytes,
}

impl WebSocketStream {
    /// Begins to connect, and returns at once.
    ///
    /// What goes wrong with the connection, a [blocked port](https://fetch.spec.whatwg.org/#port-blocking) included,
    /// is told by [`opened`](Self::opened) and [`closed`](Self::closed).
    ///
    /// # Errors
    ///
    /// As [`WebSocket::new`](crate::web::WebSocket::new).
    pub fn new(url: impl AsRef<str>, options: WebSocketStreamOptions) -> Result<Self, DomException> {
        Self::new_in(&Environment::default(), url, options)
    }

    /// As [`new`](Self::new), in an environment: with a base for relative URLs, an origin, a client of its own.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn new_in(
        environment: &Environment,
        url: impl AsRef<str>,
        options: WebSocketStreamOptions,
    ) -> Result<Self, DomException> {
        let url = url::parse(url.as_ref(), environment.base())?;
        let protocols = protocols::check(options.protocols)?;
        let runtime = environment.runtime()?;
        let core = Core::new(url);
        let attempt = match options.signal.as_ref().and_then(AbortSignal::reason) {
            Some(reason) => {
                core.fail(reason.into());
                None
            }
            None => {
                let attempt = Attempt::new(core.clone());
                let client = environment.client(&protocols);
                Some(runtime.spawn(attempt.run(client, options.signal)).abort_handle())
            }
        };
        let handle = Arc::new(Handle { core, attempt });
        environment.adopt(&handle);
        Ok(Self { handle })
    }

    /// The URL as the parser serialises it: absolute, without a default port, with what needs it percent-encoded.
    #[must_use]
    pub fn url(&self) -> &str {
        self.handle.core.url.as_str()
    }

    /// Waits until the connection is open; gives the streams.
    ///
    /// They are owned, where scripts lock them: who asks first has them.
    ///
    /// # Errors
    ///
    /// - [`WebSocketError`]: the connection could not be opened, or [`close`](Self::close) was called before it was.
    /// - The reason of the signal that was given before it was open.
    /// - `InvalidStateError`: the streams were given before.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the streams are either returned or still there.
    pub async fn opened(&self) -> Result<WebSocketOpenInfo, StreamError> {
        self.handle.core.opened().await?;
        self.handle
            .core
            .take_info()
            .ok_or_else(|| StreamError::invalid_state("the streams were given to another caller"))
    }

    /// Waits for the end of the connection; gives the code and the reason of the peer's Close frame, if the connection
    /// was closed cleanly: if Close frames went both ways, and everything was sent before the peer's arrived.
    ///
    /// # Errors
    ///
    /// - [`WebSocketError`]: the connection could not be opened, or was not closed cleanly.
    /// - The reason of the signal that was given before it was open.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn closed(&self) -> Result<WebSocketCloseInfo, StreamError> {
        let conversation = self.handle.core.opened().await?;
        Ok(conversation.ended().await.clone()?)
    }

    /// Closes the connection, after everything that was written before; if it is not open yet, gives it up. Does
    /// nothing if it is closing already.
    ///
    /// The code is 1000 or 3000 to 4999; without one the peer sees none (1005). A reason without a code goes with 1000.
    /// What arrived before can still be read, what arrives later is dropped.
    ///
    /// ```
    /// # fn example(wss: sockeye::web::WebSocketStream) -> Result<(), sockeye::web::DomException> {
    /// wss.close(())?;
    /// wss.close(1000)?;
    /// wss.close((4001, "seen enough"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - `InvalidAccessError`: another code.
    /// - `SyntaxError`: the reason is longer than 123 bytes of UTF-8.
    pub fn close(&self, info: impl Into<WebSocketCloseInfo>) -> Result<(), DomException> {
        let info = info.into();
        let frame = close_frame(info.close_code, info.given_reason())?;
        self.handle.close(frame);
        Ok(())
    }
}

impl Handle {
    fn close(&self, frame: Option<(CloseCode, Utf8Bytes)>) {
        if let Some(conversation) = self.core.conversation() {
            conversation.close(frame);
        } else {
            let error = WebSocketError::never_opened(Error::new(Kind::Aborted));
            self.core.fail(error.into());
            self.give_up();
        }
    }

    /// Stops the attempt, if it goes on.
    fn give_up(&self) {
        if let Some(attempt) = &self.attempt {
            attempt.abort();
        }
    }
}

impl Unload for Handle {
    fn unload(&self, frame: (CloseCode, Utf8Bytes)) {
        self.close(Some(frame));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

impl WebSocketCloseInfo {
    /// The reason, unless it is empty: that is no reason to send a code.
    pub(super) fn given_reason(&self) -> Option<&str> {
        Some(self.reason.as_str()).filter(|reason| !reason.is_empty())
    }
}

impl From<()> for WebSocketCloseInfo {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<u16> for WebSocketCloseInfo {
    fn from(code: u16) -> Self {
        Self::from((code, ""))
    }
}

impl From<(u16, &str)> for WebSocketCloseInfo {
    fn from((code, reason): (u16, &str)) -> Self {
        Self {
            close_code: Some(code),
            reason: reason.into(),
        }
    }
}
