//! The error of the library.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::{CloseCode, SendError};

/// A `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
///
/// One opaque type: ask it with the `is_*` methods, print it, or look at its
/// [`source`](std::error::Error::source). New kinds may appear without breaking callers.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The connection failed by the protocol's rules.
    Protocol(sockeye_proto::Error),
    /// A command came at the wrong time.
    Send(SendError),
    /// The peer took no output for this long.
    WriteStalled(Duration),
    /// The program asked for the connection to be dropped.
    Aborted,
    /// Reading or writing the transport failed.
    Io,
    /// The server could not be found or reached; the text names it.
    Connect(String),
    /// TLS configuration or handshake.
    Tls(String),
    /// The opening handshake failed; the text says how.
    Handshake(String),
    /// The opening handshake was answered with this HTTP status.
    Refused(Box<Refusal>),
    /// A phase of connecting took too long.
    ConnectTimeout(&'static str, Duration),
    /// An address, URL, or option that cannot be used.
    Config(String),
    /// An error of the application, passed through from a handler.
    Application(String),
    /// Messages were asked for on a connection that delivers chunks.
    Delivery,
}

/// The HTTP response to an opening handshake that was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The status.
    pub status: http::StatusCode,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The start of the body, at most 64 KiB.
    pub body: bytes::Bytes,
}

impl Error {
    pub(crate) fn new(kind: Kind) -> Self {
        Self(Arc::new(Inner { kind, source: None }))
    }

    pub(crate) fn with_source(kind: Kind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(Arc::new(Inner {
            kind,
            source: Some(source.into()),
        }))
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config(message.into()))
    }

    /// An error of the application's own, so that handlers can use `?` and one error type.
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = error.into();
        Self::with_source(Kind::Application(source.to_string()), source)
    }

    /// The connection is closing or closed, so the command could not be carried out.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.0.kind, Kind::Send(SendError::Closed))
    }

    /// The transport ended without a closing handshake: what the browser API reports as code 1006.
    #[must_use]
    pub fn is_connection_lost(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::Protocol(sockeye_proto::Error::ConnectionLost) | Kind::Io
        )
    }

    /// Something took too long: a handshake, a message, an answer, a write.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::Protocol(sockeye_proto::Error::Timeout(_))
                | Kind::WriteStalled(_)
                | Kind::ConnectTimeout(..)
        )
    }

    /// The peer broke the protocol.
    #[must_use]
    pub fn is_protocol(&self) -> bool {
        matches!(self.0.kind, Kind::Protocol(sockeye_proto::Error::Protocol(_)))
    }

    /// The peer reached a limit.
    #[must_use]
    pub fn is_limit(&self) -> bool {
        matches!(self.0.kind, Kind::Protocol(sockeye_proto::Error::Limit(_)))
    }

    /// The server could not be found or reached: an unknown host name, a refused connection.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        matches!(self.0.kind, Kind::Connect(_))
    }

    /// TLS failed: a certificate that is not trusted, a file that cannot be read.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.0.kind, Kind::Tls(_))
    }

    /// The opening handshake failed, by a refusal or by a response that breaks its rules.
    #[must_use]
    pub fn is_handshake(&self) -> bool {
        matches!(self.0.kind, Kind::Handshake(_) | Kind::Refused(_))
    }

    /// An address, URL or option cannot be used.
    #[must_use]
    pub fn is_config(&self) -> bool {
        matches!(self.0.kind, Kind::Config(_))
    }

    /// The HTTP response, if the opening handshake was answered with one that refuses it.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.0.kind {
            Kind::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The protocol's error, if the connection failed by its rules.
    #[must_use]
    pub fn protocol(&self) -> Option<sockeye_proto::Error> {
        match self.0.kind {
            Kind::Protocol(error) => Some(error),
            _ => None,
        }
    }

    /// The code of the Close frame that told the peer, where one was sent.
    #[must_use]
    pub fn close_code(&self) -> Option<CloseCode> {
        self.protocol().and_then(|error| error.close_code())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("Error");
        debug.field(&self.0.kind);
        if let Some(source) = &self.0.source {
            debug.field(source);
        }
        debug.finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::Protocol(error) => error.fmt(f),
            Kind::Send(error) => error.fmt(f),
            Kind::WriteStalled(wait) => write!(f, "the peer took no data for {wait:?}"),
            Kind::Aborted => f.write_str("the connection was dropped by this program"),
            Kind::Io => f.write_str("connection lost"),
            Kind::Connect(message)
            | Kind::Tls(message)
            | Kind::Config(message)
            | Kind::Application(message) => f.write_str(message),
            Kind::Handshake(message) => write!(f, "opening handshake failed: {message}"),
            Kind::Refused(refusal) => {
                write!(f, "the server refused the WebSocket with HTTP {}", refusal.status)
            }
            Kind::ConnectTimeout(phase, wait) => write!(f, "{phase} took longer than {wait:?}"),
            Kind::Delivery => f.write_str("this connection delivers chunks: receive with recv_chunk"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<sockeye_proto::Error> for Error {
    fn from(error: sockeye_proto::Error) -> Self {
        Self::new(Kind::Protocol(error))
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Self::new(Kind::Send(error))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::with_source(Kind::Io, error)
    }
}

#[cfg(feature = "tls")]
impl From<crate::tls::TlsError> for Error {
    fn from(error: crate::tls::TlsError) -> Self {
        Self::with_source(Kind::Tls(error.to_string()), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_one_word() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn the_cause_is_the_source() {
        let error = Error::with_source(Kind::Tls("cannot read key.pem".into()), "no such file");
        assert_eq!(error.to_string(), "cannot read key.pem");
        assert!(error.is_tls());
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("no such file")
        );
    }
}
