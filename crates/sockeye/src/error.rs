//! The error of the library.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::{CloseCode, Delivery, SendError};

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
    /// A phase of connecting failed; the text names the host and says what to do, where that is known.
    Connecting(ConnectPhase, String),
    /// A phase of connecting took too long.
    ConnectTimeout(Lateness),
    /// This host answered the opening handshake with another status than 101.
    Refused(String, Box<Refusal>),
    /// This proxy answered the request for a way to the host with another status than 2xx.
    ProxyRefused(ProxyRefusal),
    /// TLS settings that cannot be used.
    Tls(String),
    /// An address, URL, or option that cannot be used.
    Config(String),
    /// An error of the application, passed through from a handler.
    Application(String),
    /// What was asked for is not what the connection delivers, which is this.
    Delivery(Delivery),
}

/// A phase on the way from a URL to an open WebSocket, in the order in which they come.
///
/// [`ConnectTimeouts`](crate::ConnectTimeouts) has a limit for each; [`Error::phase`] tells in which one an attempt
/// failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum ConnectPhase {
    /// Looking up the addresses of the host.
    Resolve,
    /// Connecting to one of them, by TCP or through a Unix socket.
    Connect,
    /// Asking a proxy for a way to the host.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// The opening handshake of RFC 6455 §4.
    Handshake,
}

impl fmt::Display for ConnectPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "looking up the host",
            Self::Connect => "connecting",
            Self::Proxy => "asking the proxy",
            Self::Tls => "the TLS handshake",
            Self::Handshake => "the opening handshake",
        })
    }
}

/// Which limit of time an attempt to connect reached, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Lateness {
    /// The phase it was in.
    pub(crate) phase: ConnectPhase,
    /// The host of that phase: the server, or a proxy.
    pub(crate) host: String,
    pub(crate) limit: Duration,
    /// The limit is the one of the whole attempt.
    pub(crate) total: bool,
    /// What else is known, such as the addresses that did not answer; may be empty.
    pub(crate) detail: String,
}

impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, limit, .. } = self;
        match self.phase {
            ConnectPhase::Resolve => write!(f, "looking up {host}"),
            ConnectPhase::Connect => write!(f, "connecting to {host}"),
            ConnectPhase::Proxy => write!(f, "asking the proxy {host}"),
            phase @ (ConnectPhase::Tls | ConnectPhase::Handshake) => write!(f, "{phase} with {host}"),
        }?;
        if self.total {
            write!(
                f,
                " was not done when the {limit:?} of the whole attempt were over"
            )?;
        } else {
            write!(f, " took longer than {limit:?}")?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

/// How many bytes of the body of a refusal its `Debug` output shows.
const SHOWN_OF_BODY: usize = 200;

/// What an HTTP proxy said instead of giving a way to a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ProxyRefusal {
    pub(crate) proxy: String,
    /// The host.
    pub(crate) to: String,
    pub(crate) refusal: Box<Refusal>,
}

/// The HTTP response to an opening handshake that was refused, or of a proxy that refused the way to the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: http::StatusCode,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The start of the body, at most 64 KiB.
    pub body: bytes::Bytes,
}

/// Of the body the length and the beginning.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.body.len().min(SHOWN_OF_BODY);
        let more = if shown < self.body.len() { "…" } else { "" };
        let start = self.body[..shown].escape_ascii();
        f.debug_struct("Refusal")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field(
                "body",
                &format_args!("{} bytes: '{start}{more}'", self.body.len()),
            )
            .finish()
    }
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

    /// A phase of connecting failed.
    pub(crate) fn connecting(phase: ConnectPhase, message: impl Into<String>) -> Self {
        Self::new(Kind::Connecting(phase, message.into()))
    }

    /// A phase of connecting failed, by this.
    pub(crate) fn connecting_by(
        phase: ConnectPhase,
        message: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::with_source(Kind::Connecting(phase, message.into()), source)
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
                | Kind::ConnectTimeout(_)
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

    /// The phase in which an attempt to connect failed or ran out of time; `None` if this is another error.
    ///
    /// An attempt that waits for its turn (RFC 6455 §4.1) is about to connect:
    /// [`Connect`](ConnectPhase::Connect).
    #[must_use]
    pub fn phase(&self) -> Option<ConnectPhase> {
        match &self.0.kind {
            Kind::Connecting(phase, _) => Some(*phase),
            Kind::ConnectTimeout(lateness) => Some(lateness.phase),
            Kind::Refused(..) => Some(ConnectPhase::Handshake),
            Kind::ProxyRefused(_) => Some(ConnectPhase::Proxy),
            _ => None,
        }
    }

    /// The server could not be found or reached: an unknown host name, a refused connection.
    ///
    /// This and the next three are about failures; of a phase that took too long say
    /// [`is_timeout`](Self::is_timeout) and [`phase`](Self::phase).
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.failed_in(&[ConnectPhase::Resolve, ConnectPhase::Connect])
    }

    /// The proxy did not give a way to the server. One that cannot be reached is [`is_connect`](Self::is_connect).
    #[must_use]
    pub fn is_proxy(&self) -> bool {
        self.failed_in(&[ConnectPhase::Proxy]) || matches!(self.0.kind, Kind::ProxyRefused(_))
    }

    /// TLS failed: a certificate that is not trusted, a file that cannot be read.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.failed_in(&[ConnectPhase::Tls]) || matches!(self.0.kind, Kind::Tls(_))
    }

    /// The opening handshake failed, by a refusal or by a response that breaks its rules.
    #[must_use]
    pub fn is_handshake(&self) -> bool {
        self.failed_in(&[ConnectPhase::Handshake]) || matches!(self.0.kind, Kind::Refused(..))
    }

    fn failed_in(&self, phases: &[ConnectPhase]) -> bool {
        matches!(&self.0.kind, Kind::Connecting(phase, _) if phases.contains(phase))
    }

    /// An address, URL or option cannot be used.
    #[must_use]
    pub fn is_config(&self) -> bool {
        matches!(self.0.kind, Kind::Config(_))
    }

    /// What was asked for is not what the connection delivers.
    pub(crate) fn is_delivery(&self) -> bool {
        matches!(self.0.kind, Kind::Delivery(_))
    }

    /// Whether what was asked for is not what the connection delivers, which is `delivery`.
    pub(crate) fn delivers(&self, delivery: Delivery) -> bool {
        self.0.kind == Kind::Delivery(delivery)
    }

    /// The HTTP response, if the opening handshake was answered with one that refuses it, or if a proxy answered with
    /// one that refuses the way to the server ([`is_proxy`](Self::is_proxy) tells which).
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.0.kind {
            Kind::Refused(_, refusal) | Kind::ProxyRefused(ProxyRefusal { refusal, .. }) => Some(refusal),
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
            Kind::Connecting(_, message)
            | Kind::Tls(message)
            | Kind::Config(message)
            | Kind::Application(message) => f.write_str(message),
            Kind::ConnectTimeout(lateness) => lateness.fmt(f),
            Kind::Refused(host, refusal) => {
                write!(f, "{host} refused the WebSocket with HTTP {}", refusal.status)
            }
            Kind::ProxyRefused(ProxyRefusal { proxy, to, refusal }) => {
                write!(f, "{proxy} refused the way to {to} with HTTP {}", refusal.status)
            }
            Kind::Delivery(delivery) => f.write_str(match delivery {
                Delivery::Messages => "this connection delivers whole messages: receive with recv",
                Delivery::Chunks => "this connection delivers chunks: receive with recv_chunk or recv_reader",
                Delivery::Frames => "this connection delivers frames: receive with recv_frame",
            }),
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

/// For the places where a connection is used as a stream of bytes.
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        use std::io::ErrorKind;
        let kind = match error.0.kind {
            Kind::Send(SendError::Closed) => ErrorKind::BrokenPipe,
            Kind::Send(_) | Kind::Protocol(sockeye_proto::Error::Protocol(_)) => ErrorKind::InvalidData,
            Kind::Delivery(_) | Kind::Config(_) => ErrorKind::InvalidInput,
            Kind::Aborted => ErrorKind::ConnectionAborted,
            _ if error.is_connection_lost() => ErrorKind::ConnectionReset,
            _ if error.is_timeout() => ErrorKind::TimedOut,
            _ => ErrorKind::Other,
        };
        Self::new(kind, error)
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
    fn of_the_body_of_a_refusal_only_the_start_is_printed() {
        let refused = |body: Vec<u8>| {
            let refusal = Refusal {
                status: http::StatusCode::FORBIDDEN,
                headers: http::HeaderMap::new(),
                body: body.into(),
            };
            let error = Error::new(Kind::Refused("a.test".into(), Box::new(refusal)));
            format!("{error:?}")
        };
        for (body, want) in [
            (&b"no\n\x1b[31m\xff"[..], r"body: 9 bytes: 'no\n\x1b[31m\xff'"),
            (b"", "body: 0 bytes: ''"),
        ] {
            let printed = refused(body.into());
            assert!(printed.contains(want), "{printed}");
        }
        let printed = refused(vec![b'x'; 65_536]);
        assert!(
            printed.contains("body: 65536 bytes: 'xxx") && printed.contains("x…'"),
            "{printed}"
        );
        assert!(printed.len() < 500, "{}", printed.len());
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
