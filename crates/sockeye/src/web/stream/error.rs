//! What the futures and the streams of a WebSocketStream fail with.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::WebSocketCloseInfo;
use crate::error::Error;
use crate::message::Utf8Bytes;
use crate::web::DomException;
use crate::web::websocket::close_frame;

/// How a connection failed; or, made by the program, what to close it with.
///
/// Part of the [proposal](super::WebSocketStream). When a connection fails, `closed`, the readable and the writable are
/// given [the same](Self::is) error. Cheap to clone; clones are the same error.
///
/// ```
/// use sockeye::web::WebSocketError;
///
/// # fn main() -> Result<(), sockeye::web::DomException> {
/// let error = WebSocketError::new("no more room", (4001, "full"))?;
/// assert_eq!(error.name(), "WebSocketError");
/// assert_eq!((error.close_code(), error.reason()), (Some(4001), "full"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct WebSocketError(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    message: Cow<'static, str>,
    close: WebSocketCloseInfo,
    failure: Option<Error>,
}

impl WebSocketError {
    /// An error with a message, and what a Close frame can carry: `()` for nothing, a code, or a code and a reason. A
    /// reason without a code goes with 1000.
    ///
    /// # Errors
    ///
    /// - `InvalidAccessError`: a code other than 1000 and 3000 to 4999.
    /// - `SyntaxError`: the reason is longer than 123 bytes of UTF-8.
    pub fn new(
        message: impl Into<Cow<'static, str>>,
        close: impl Into<WebSocketCloseInfo>,
    ) -> Result<Self, DomException> {
        let mut close = close.into();
        let frame = close_frame(close.close_code, close.given_reason())?;
        close.close_code = frame.map(|(code, _)| code.get());
        Ok(Self::of(message, close, None))
    }

    /// Any code: one that a connection ended with.
    pub(super) fn of(
        message: impl Into<Cow<'static, str>>,
        close: WebSocketCloseInfo,
        failure: Option<Error>,
    ) -> Self {
        Self(Arc::new(Inner {
            message: message.into(),
            close,
            failure,
        }))
    }

    /// There was no connection. Like for every other failure, the message does not tell why.
    pub(super) fn never_opened(failure: Error) -> Self {
        let close = WebSocketCloseInfo {
            close_code: Some(1006),
            reason: Utf8Bytes::default(),
        };
        Self::of("the connection was not opened", close, Some(failure))
    }

    /// `WebSocketError`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        "WebSocketError"
    }

    /// What went wrong, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// 0: the name has no number. Not the [close code](Self::close_code).
    #[must_use]
    pub fn code(&self) -> u16 {
        0
    }

    /// The code of the peer's Close frame; 1005 if it had none, 1006 if no Close frame came. Of an error that the
    /// program made, the code that it was made with.
    #[must_use]
    pub fn close_code(&self) -> Option<u16> {
        self.0.close.close_code
    }

    /// The reason that goes with the code.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.close.reason
    }

    /// Why the connection failed: the detail that scripts are not told. `None` for an error that the program made, and
    /// for a connection that was closed before everything was sent.
    #[must_use]
    pub fn failure(&self) -> Option<&Error> {
        self.0.failure.as_ref()
    }

    /// Whether both are the same error, and not only alike.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn close(&self) -> &WebSocketCloseInfo {
        &self.0.close
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebSocketError: {}", self.message())?;
        match self.close_code() {
            Some(code) if self.reason().is_empty() => write!(f, " ({code})"),
            Some(code) => write!(f, " ({code} {:?})", self.reason()),
            None => Ok(()),
        }
    }
}

impl std::error::Error for WebSocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.failure().map(|error| error as _)
    }
}

/// A `WebSocketError` is a `DOMException`; its code and reason are lost.
impl From<WebSocketError> for DomException {
    fn from(error: WebSocketError) -> Self {
        Self::new(error.message().to_owned(), error.name())
    }
}

/// What the futures and the streams of a [`WebSocketStream`](super::WebSocketStream) fail with, and what
/// [`cancel`](super::WebSocketReadable::cancel) and [`abort`](super::WebSocketWritable::abort) take for a reason.
#[derive(Clone, Debug)]
pub enum StreamError {
    /// The connection failed.
    WebSocket(WebSocketError),
    /// It was aborted by a signal, or what was asked for cannot be done any more.
    Dom(DomException),
}

impl StreamError {
    pub(super) fn invalid_state(message: &'static str) -> Self {
        Self::Dom(DomException::invalid_state(message))
    }

    /// The name, such as `WebSocketError` or `InvalidStateError`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::WebSocket(error) => error.name(),
            Self::Dom(error) => error.name(),
        }
    }

    /// What went wrong, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::WebSocket(error) => error.message(),
            Self::Dom(error) => error.message(),
        }
    }

    /// The failure of the connection, if it is one.
    #[must_use]
    pub fn as_websocket_error(&self) -> Option<&WebSocketError> {
        match self {
            Self::WebSocket(error) => Some(error),
            Self::Dom(_) => None,
        }
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WebSocket(error) => error.fmt(f),
            Self::Dom(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::WebSocket(error) => error.source(),
            Self::Dom(error) => error.source(),
        }
    }
}

impl From<WebSocketError> for StreamError {
    fn from(error: WebSocketError) -> Self {
        Self::WebSocket(error)
    }
}

impl From<DomException> for StreamError {
    fn from(error: DomException) -> Self {
        Self::Dom(error)
    }
}

// So that a reason that may be left out can be given as it is.

impl From<WebSocketError> for Option<StreamError> {
    fn from(error: WebSocketError) -> Self {
        Some(error.into())
    }
}

impl From<DomException> for Option<StreamError> {
    fn from(error: DomException) -> Self {
        Some(error.into())
    }
}
