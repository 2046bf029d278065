//! Checks a request against RFC 6455 §4.2.1.

use std::collections::HashSet;

use http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme};
use http::{Method, Request, Uri, Version};

use super::{Acceptance, Refusal};
use crate::Subprotocol;
use crate::extension::{self, Extension};
use crate::handshake::authority::HostPort;
use crate::handshake::field::{Field, Single};
use crate::handshake::key::Key;
use crate::handshake::tokens::{self, list_has_token};

/// Whether a request means to open a WebSocket, well-formed or not.
///
/// Only two fields are looked at: `Upgrade`, and `Sec-WebSocket-Key` in case a proxy removed the former. So a
/// request that fails this is ordinary HTTP, and one that passes gets a useful answer from
/// [`Upgrade::check`].
///
/// ```
/// use http::Request;
/// use sockeye_proto::handshake::server::wants_websocket;
///
/// let page = Request::get("/").header("Host", "example.org").body(()).unwrap();
/// assert!(!wants_websocket(page.headers()));
/// let socket = Request::get("/").header("Upgrade", "h2c, WebSocket").body(()).unwrap();
/// assert!(wants_websocket(socket.headers()));
/// ```
pub fn wants_websocket(headers: &HeaderMap) -> bool {
    tokens::elements(Field::Upgrade.lines(headers)).any(|element| element.eq_ignore_ascii_case(b"websocket"))
        || headers.contains_key(Field::Key.name())
}

/// A request that passed every check of RFC 6455 §4.2.1.
///
/// ```
/// use http::Request;
/// use sockeye_proto::handshake::server::Upgrade;
///
/// let request = Request::get("/chat")
///     .header("Host", "example.org")
///     .header("Upgrade", "websocket")
///     .header("Connection", "keep-alive, Upgrade")
///     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
///     .header("Sec-WebSocket-Version", "13")
///     .header("Sec-WebSocket-Protocol", "v2.chat, v1.chat")
///     .body(())
///     .unwrap();
/// let upgrade = Upgrade::from_request(&request)?;
/// assert_eq!(upgrade.host(), "example.org");
/// assert_eq!(upgrade.subprotocols()[1], "v1.chat");
///
/// let response = upgrade.accept().response();
/// assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// # Ok::<(), sockeye_proto::handshake::server::Refusal>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    host: Authority,
    origin: Option<String>,
    key: Key,
    subprotocols: Vec<Subprotocol>,
    extensions: Vec<Extension>,
}

impl Upgrade {
    /// Checks a request of which an HTTP library gave the parts.
    ///
    /// Fields are checked in the order in which their status helps most: what is not a WebSocket request at
    /// all is told so before the finer points.
    ///
    /// # Errors
    ///
    /// A [`Refusal`], which [`Rejection::from`](super::Rejection) turns into a response.
    pub fn check(method: &Method, version: Version, uri: &Uri, headers: &HeaderMap) -> Result<Self, Refusal> {
        // RFC 6455 §4.2.1: "An HTTP/1.1 or higher GET request". Higher versions have no Upgrade (RFC 9113
        // §8.6).
        if version != Version::HTTP_11 {
            return Err(Refusal::HttpVersion);
        }
        if method != Method::GET {
            return Err(Refusal::Method);
        }
        let host = host(uri, headers)?;
        check_no_content(headers)?;
        check_list(Field::Upgrade, "websocket", headers)?;
        check_list(Field::Connection, "upgrade", headers)?;
        check_version(headers)?;
        Ok(Self {
            host,
            key: key(headers)?,
            origin: origin(headers)?,
            subprotocols: subprotocols(headers)?,
            extensions: extensions(headers)?,
        })
    }

    /// Checks a request.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn from_request<T>(request: &Request<T>) -> Result<Self, Refusal> {
        Self::check(
            request.method(),
            request.version(),
            request.uri(),
            request.headers(),
        )
    }

    /// The host and port that the client wants: those of an absolute request target, else those of the `Host`
    /// field.
    pub fn host(&self) -> &Authority {
        &self.host
    }

    /// The `Origin` field as sent. Browsers always send it; what other programs send proves nothing.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The `Sec-WebSocket-Key` field.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The subprotocols that the client offers, in its order of preference, none twice.
    pub fn subprotocols(&self) -> &[Subprotocol] {
        &self.subprotocols
    }

    /// The first subprotocol of `preference` that the client offers.
    pub fn choose_subprotocol<S: AsRef<str>>(&self, preference: &[S]) -> Option<&Subprotocol> {
        preference
            .iter()
            .find_map(|wanted| self.offer_of(wanted.as_ref()))
    }

    /// The extensions that the client offers, in its order of preference.
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// Begins the response that accepts this request.
    pub fn accept(&self) -> Acceptance<'_> {
        Acceptance::new(self)
    }

    pub(super) fn offer_of(&self, name: &str) -> Option<&Subprotocol> {
        self.subprotocols.iter().find(|offered| ***offered == *name)
    }
}

/// RFC 9112 §3.2: exactly one valid `Host`, in absolute form too, where the target's authority replaces it
/// (§3.2.2).
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Refusal> {
    let target_host = match uri.scheme() {
        None if uri.authority().is_none() && uri.path().starts_with('/') => None,
        Some(scheme) if is_web(scheme) => Some(uri.authority().ok_or(Refusal::Target)?),
        _ => return Err(Refusal::Target),
    };
    let text = text(
        single(Field::Host, headers)?.ok_or(Refusal::Missing(Field::Host))?,
        Field::Host,
    )?;
    HostPort::parse(text).ok_or(Refusal::Invalid(Field::Host))?;
    match target_host {
        Some(authority) => {
            HostPort::parse(authority.as_str()).ok_or(Refusal::Target)?;
            Ok(authority.clone())
        }
        None => Authority::try_from(text).map_err(|_| Refusal::Invalid(Field::Host)),
    }
}

fn is_web(scheme: &Scheme) -> bool {
    ["ws", "wss", "http", "https"]
        .iter()
        .any(|known| scheme.as_str().eq_ignore_ascii_case(known))
}

fn check_no_content(headers: &HeaderMap) -> Result<(), Refusal> {
    let empty = headers
        .get_all(CONTENT_LENGTH)
        .iter()
        .all(|length| tokens::trim(length.as_bytes()) == b"0");
    if headers.contains_key(TRANSFER_ENCODING) || !empty {
        Err(Refusal::Content)
    } else {
        Ok(())
    }
}

/// `Upgrade` and `Connection`: lists, perhaps over several lines, with `token` among their elements.
fn check_list(field: Field, token: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    match list_has_token(field.lines(headers), token) {
        Some(true) => Ok(()),
        Some(false) => Err(Refusal::Missing(field)),
        None => Err(Refusal::Invalid(field)),
    }
}

fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    match single(Field::Version, headers)? {
        Some(b"13") => Ok(()),
        // RFC 6455 §9.1 writes the version in one to three digits.
        Some([_, _, _, _, ..] | []) => Err(Refusal::Invalid(Field::Version)),
        Some(other) if other.iter().all(u8::is_ascii_digit) => Err(Refusal::WebSocketVersion),
        Some(_) => Err(Refusal::Invalid(Field::Version)),
        None => Err(Refusal::Missing(Field::Version)),
    }
}

fn key(headers: &HeaderMap) -> Result<Key, Refusal> {
    let value = single(Field::Key, headers)?.ok_or(Refusal::Missing(Field::Key))?;
    Key::parse(value).ok_or(Refusal::Invalid(Field::Key))
}

/// Two origins would leave it open which one a check sees.
fn origin(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let value = single(Field::Origin, headers)?;
    value
        .map(|value| text(value, Field::Origin).map(str::to_owned))
        .transpose()
}

/// RFC 6455 §4.1: "The elements that comprise this value MUST be non-empty strings with characters in the
/// range U+0021 to U+007E not including separator characters […] and MUST all be unique strings".
fn subprotocols(headers: &HeaderMap) -> Result<Vec<Subprotocol>, Refusal> {
    let mut seen = HashSet::new();
    let offered = tokens::elements(Field::Protocol.lines(headers)).map(|name| {
        if seen.insert(name) {
            Subprotocol::from_bytes(name).map_err(|_| Refusal::Invalid(Field::Protocol))
        } else {
            Err(Refusal::RepeatedSubprotocol)
        }
    });
    offered.collect()
}

fn extensions(headers: &HeaderMap) -> Result<Vec<Extension>, Refusal> {
    let lines = Field::Extensions.lines(headers).map(|line| line.as_bytes());
    extension::parse_list(lines).map_err(|_| Refusal::Invalid(Field::Extensions))
}

fn single(field: Field, headers: &HeaderMap) -> Result<Option<&[u8]>, Refusal> {
    match field.single(headers) {
        Single::Missing => Ok(None),
        Single::Value(value) => Ok(Some(value)),
        Single::Repeated => Err(Refusal::Repeated(field)),
    }
}

/// The value as text: visible ASCII, perhaps with spaces inside.
fn text(value: &[u8], field: Field) -> Result<&str, Refusal> {
    let visible = value.iter().all(|b| matches!(b, b' '..=b'~'));
    std::str::from_utf8(value)
        .ok()
        .filter(|_| visible)
        .ok_or(Refusal::Invalid(field))
}

#[cfg(test)]
mod tests;
