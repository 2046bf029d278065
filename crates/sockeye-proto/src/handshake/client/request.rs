//! The request of an opening handshake.

use http::Uri;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};

use super::target::{InvalidTarget, Target};
use crate::deflate::Deflate;
use crate::handshake::field::{self, Field, HeaderError};
use crate::handshake::key::Key;
use crate::subprotocol::{InvalidSubprotocol, Subprotocol};

/// What a client asks of a server, and what its answer is checked against.
///
/// ```
/// use sockeye_proto::handshake::client::Request;
///
/// // In a program the sixteen bytes come from a source of randomness, fresh for each connection.
/// let request = Request::new("ws://example.org:9001/chat", *b"the sample nonce")?
///     .subprotocol("chat")?
///     .origin("https://example.org")?;
/// let mut out = Vec::new();
/// request.write(&mut out);
/// assert_eq!(
///     String::from_utf8(out)?,
///     "GET /chat HTTP/1.1\r\n\
///      Host: example.org:9001\r\n\
///      Upgrade: websocket\r\n\
///      Connection: Upgrade\r\n\
///      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
///      Sec-WebSocket-Version: 13\r\n\
///      Sec-WebSocket-Protocol: chat\r\n\
///      Origin: https://example.org\r\n\
///      \r\n",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Request {
    target: Target,
    pub(super) key: Key,
    pub(super) subprotocols: Vec<Subprotocol>,
    pub(super) subprotocol_required: bool,
    pub(super) deflate: Option<Deflate>,
    headers: HeaderMap,
}

impl Request {
    /// A request for `target`, which is a [`Target`], a URL or a [`Uri`].
    ///
    /// `nonce` must be random and fresh (RFC 6455 §4.1).
    ///
    /// # Errors
    ///
    /// [`InvalidTarget`] if `target` is not a WebSocket URL.
    pub fn new<T>(target: T, nonce: [u8; 16]) -> Result<Self, RequestError>
    where
        T: TryInto<Target>,
        RequestError: From<T::Error>,
    {
        Ok(Self {
            target: target.try_into()?,
            key: Key::from_nonce(nonce),
            subprotocols: Vec::new(),
            subprotocol_required: false,
            deflate: None,
            headers: HeaderMap::new(),
        })
    }

    /// Offers a subprotocol, less preferred than those offered before.
    ///
    /// # Errors
    ///
    /// If the name is not a token or was offered already. RFC 6455 §4.1: the names "MUST all be unique
    /// strings".
    pub fn subprotocol(mut self, name: &str) -> Result<Self, RequestError> {
        let name = Subprotocol::new(name)?;
        if self.subprotocols.contains(&name) {
            return Err(RequestError::RepeatedSubprotocol);
        }
        self.subprotocols.push(name);
        Ok(self)
    }

    /// Whether a server that chooses none of the offered subprotocols is refused.
    ///
    /// Default `false`, as RFC 6455 §4.1 has it. Browsers refuse.
    #[must_use]
    pub fn require_subprotocol(mut self, required: bool) -> Self {
        self.subprotocol_required = required;
        self
    }

    /// Offers compression.
    #[must_use]
    pub fn deflate(mut self, options: Deflate) -> Self {
        self.deflate = Some(options);
        self
    }

    /// Sets the `Origin` field, which a browser always sends and other clients seldom need.
    ///
    /// # Errors
    ///
    /// [`HeaderError::Value`] if the value has characters that a field may not have.
    pub fn origin(self, origin: impl TryInto<HeaderValue>) -> Result<Self, RequestError> {
        self.header(ORIGIN, origin)
    }

    /// Adds a header field, for instance `Authorization` or `Cookie`. `Origin` replaces the one before.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] if name or value is malformed, or if the field belongs to the handshake: `Host`,
    /// `Upgrade`, `Connection`, `Sec-WebSocket-*`, `Content-Length`, `Transfer-Encoding`.
    pub fn header(
        mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Result<Self, RequestError> {
        let name = name.try_into().map_err(|_| HeaderError::Name)?;
        if name == ORIGIN {
            self.headers.remove(ORIGIN);
        }
        field::append(&mut self.headers, name, value, |name| {
            *name == HOST || field::is_handshake(name)
        })?;
        Ok(self)
    }

    /// Where to connect.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The key, which the response has to answer.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The subprotocols that are offered.
    pub fn subprotocols(&self) -> &[Subprotocol] {
        &self.subprotocols
    }

    /// The request for an HTTP library, its target in origin form.
    pub fn to_http(&self) -> http::Request<()> {
        let mut request = http::Request::new(());
        *request.uri_mut() = Uri::from(self.target.path_and_query_part().clone());
        *request.headers_mut() = self.headers.clone();
        for (field, value) in self.fields() {
            // Cannot fail: base64, tokens, a checked host and constants are visible ASCII.
            if let Ok(value) = HeaderValue::try_from(value) {
                request.headers_mut().insert(field.name(), value);
            }
        }
        request
    }

    /// Appends the request as it travels over HTTP/1.1.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("GET {} HTTP/1.1\r\n", self.target.path_and_query()).as_bytes());
        for (field, value) in self.fields() {
            field::write_line(out, field.as_str(), value.as_bytes());
        }
        field::write_lines(out, &self.headers);
        out.extend_from_slice(b"\r\n");
    }

    /// The fields of the handshake itself (RFC 6455 §4.1). `Host` comes first, as RFC 9110 §7.2 recommends.
    fn fields(&self) -> impl Iterator<Item = (Field, String)> {
        let always = [
            (Field::Host, self.target.host_header()),
            (Field::Upgrade, "websocket".to_owned()),
            (Field::Connection, "Upgrade".to_owned()),
            (Field::Key, self.key.to_string()),
            (Field::Version, "13".to_owned()),
        ];
        let lists = [
            (Field::Protocol, join(&self.subprotocols)),
            (
                Field::Extensions,
                join(&self.deflate.as_ref().map(Deflate::offer).unwrap_or_default()),
            ),
        ];
        always
            .into_iter()
            .chain(lists.into_iter().filter(|(_, list)| !list.is_empty()))
    }
}

fn join(elements: &[impl ToString]) -> String {
    elements
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Why a request cannot be made: always the caller's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The URL is not one of a WebSocket.
    #[error(transparent)]
    Target(#[from] InvalidTarget),
    /// A subprotocol name is not a token.
    #[error(transparent)]
    Subprotocol(#[from] InvalidSubprotocol),
    /// A subprotocol is offered twice.
    #[error("a subprotocol is offered twice")]
    RepeatedSubprotocol,
    /// An additional header field is not acceptable.
    #[error(transparent)]
    Header(#[from] HeaderError),
}

/// A [`Target`] needs no check, so making a request from one cannot fail.
impl From<std::convert::Infallible> for RequestError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request::new("ws://user:secret@example.org/a?b", [0; 16]).unwrap()
    }

    fn written(request: &Request) -> String {
        let mut out = Vec::new();
        request.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_request_has_every_field_once() {
        let request = request()
            .subprotocol("b")
            .and_then(|r| r.subprotocol("a"))
            .and_then(|r| r.header("origin", "https://old.org"))
            .and_then(|r| r.origin("https://a.org"))
            .and_then(|r| r.header("x-token", "t"))
            .unwrap()
            .deflate(Deflate::default());
        assert_eq!(
            written(&request),
            "GET /a?b HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: b, a\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
             client_no_context_takeover; client_max_window_bits\r\nOrigin: https://a.org\r\nX-Token: t\r\n\r\n"
        );
        let http = request.to_http();
        assert_eq!(http.uri(), "/a?b");
        assert_eq!(http.headers().len(), 9);
        assert_eq!(http.headers()["host"], "example.org");
    }

    #[test]
    fn user_information_is_not_sent() {
        assert!(!written(&request()).contains("secret"));
    }

    #[test]
    fn subprotocols_are_unique_tokens() {
        assert_eq!(
            request().subprotocol("").unwrap_err(),
            RequestError::Subprotocol(InvalidSubprotocol)
        );
        assert_eq!(
            request().subprotocol("a, b").unwrap_err(),
            RequestError::Subprotocol(InvalidSubprotocol)
        );
        let repeated = request().subprotocol("a").unwrap().subprotocol("a").unwrap_err();
        assert_eq!(repeated, RequestError::RepeatedSubprotocol);
        assert!(request().subprotocol("a").unwrap().subprotocol("A").is_ok());
    }

    #[test]
    fn fields_cannot_be_smuggled_in() {
        for (name, value, want) in [
            ("X", "a\r\nUpgrade: h2c", HeaderError::Value),
            ("X\r\nY", "a", HeaderError::Name),
            ("Host", "other.org", HeaderError::Reserved),
            ("Upgrade", "h2c", HeaderError::Reserved),
            ("Sec-WebSocket-Protocol", "a", HeaderError::Reserved),
            ("Content-Length", "5", HeaderError::Reserved),
        ] {
            assert_eq!(
                request().header(name, value).unwrap_err(),
                RequestError::Header(want),
                "{name}: {value:?}"
            );
        }
        assert_eq!(
            request().origin("a\nb").unwrap_err(),
            RequestError::Header(HeaderError::Value)
        );
    }

    #[test]
    fn targets_of_any_kind_are_taken() {
        let target = Target::parse("ws://a/").unwrap();
        assert!(Request::new(target, [0; 16]).is_ok());
        assert!(Request::new(&Uri::from_static("ws://a/"), [0; 16]).is_ok());
        assert_eq!(
            Request::new("ws://a/#", [0; 16]).unwrap_err(),
            RequestError::Target(InvalidTarget::Fragment)
        );
    }
}
