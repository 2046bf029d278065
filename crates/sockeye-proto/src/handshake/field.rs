//! The header fields of the opening handshake, and the rules for those that a caller adds.

use std::fmt;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};

use super::tokens::trim;

/// A header field of the opening handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// `Host`
    Host,
    /// `Origin`
    Origin,
    /// `Upgrade`
    Upgrade,
    /// `Connection`
    Connection,
    /// `Sec-WebSocket-Key`
    Key,
    /// `Sec-WebSocket-Version`
    Version,
    /// `Sec-WebSocket-Accept`
    Accept,
    /// `Sec-WebSocket-Protocol`
    Protocol,
    /// `Sec-WebSocket-Extensions`
    Extensions,
}

impl Field {
    /// The name as the RFCs spell it.
    ///
    /// ```
    /// use sockeye_proto::handshake::Field;
    ///
    /// assert_eq!(Field::Key.as_str(), "Sec-WebSocket-Key");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "Host",
            Self::Origin => "Origin",
            Self::Upgrade => "Upgrade",
            Self::Connection => "Connection",
            Self::Key => "Sec-WebSocket-Key",
            Self::Version => "Sec-WebSocket-Version",
            Self::Accept => "Sec-WebSocket-Accept",
            Self::Protocol => "Sec-WebSocket-Protocol",
            Self::Extensions => "Sec-WebSocket-Extensions",
        }
    }

    /// What a message has to have of this field, for people.
    pub(super) const fn wanted(self) -> &'static str {
        match self {
            Self::Upgrade => "Upgrade: websocket",
            Self::Connection => "Connection: Upgrade",
            other => other.as_str(),
        }
    }

    /// The name as a key of a header map.
    pub(super) const fn name(self) -> HeaderName {
        match self {
            Self::Host => HOST,
            Self::Origin => ORIGIN,
            Self::Upgrade => UPGRADE,
            Self::Connection => CONNECTION,
            Self::Key => SEC_WEBSOCKET_KEY,
            Self::Version => SEC_WEBSOCKET_VERSION,
            Self::Accept => SEC_WEBSOCKET_ACCEPT,
            Self::Protocol => SEC_WEBSOCKET_PROTOCOL,
            Self::Extensions => SEC_WEBSOCKET_EXTENSIONS,
        }
    }

    /// All lines of this field.
    pub(super) fn lines(self, headers: &HeaderMap) -> impl Iterator<Item = &HeaderValue> {
        headers.get_all(self.name()).iter()
    }

    /// The trimmed value of this field, if it has one line only.
    pub(super) fn single(self, headers: &HeaderMap) -> Single<'_> {
        let mut lines = self.lines(headers);
        match (lines.next(), lines.next()) {
            (None, _) => Single::Missing,
            (Some(line), None) => Single::Value(trim(line.as_bytes())),
            (Some(_), Some(_)) => Single::Repeated,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a message has of a field that may stand in it once.
pub(super) enum Single<'a> {
    Missing,
    Value(&'a [u8]),
    Repeated,
}

/// A header field that a caller wants to add to a handshake is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The name is not a token.
    #[error("a header name is not valid")]
    Name,
    /// The value has a character that would end the line or is otherwise forbidden, such as CR, LF or NUL.
    #[error("a header value has characters that are not allowed there")]
    Value,
    /// The handshake itself sets this field, or it would change where the message ends.
    #[error("a header belongs to the handshake and cannot be set")]
    Reserved,
    /// There are more fields than a header map can hold.
    #[error("there are too many headers")]
    TooMany,
}

/// Adds a field after checking that its name passes `reserved` and that both parts keep to their line.
pub(super) fn append(
    headers: &mut HeaderMap,
    name: impl TryInto<HeaderName>,
    value: impl TryInto<HeaderValue>,
    reserved: fn(&HeaderName) -> bool,
) -> Result<(), HeaderError> {
    let name = name.try_into().map_err(|_| HeaderError::Name)?;
    let value = value.try_into().map_err(|_| HeaderError::Value)?;
    if reserved(&name) {
        return Err(HeaderError::Reserved);
    }
    headers
        .try_append(name, value)
        .map_err(|_| HeaderError::TooMany)?;
    Ok(())
}

/// Fields that say where a message ends and what becomes of its connection.
pub(super) fn is_framing(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
}

/// Fields that a handshake message sets itself.
pub(super) fn is_handshake(name: &HeaderName) -> bool {
    is_framing(name) || *name == UPGRADE || name.as_str().starts_with("sec-websocket-")
}

/// Writes one header line.
pub(super) fn write_line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes the lines of `headers`, names in the usual capitals.
///
/// Names are compared without case (RFC 9110 §5.1), but small devices exist that do not.
pub(super) fn write_lines(out: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        let start = out.len();
        write_line(out, name.as_str(), value.as_bytes());
        let written = &mut out[start..start + name.as_str().len()];
        let mut capital = true;
        for byte in &mut *written {
            if capital {
                byte.make_ascii_uppercase();
            }
            capital = *byte == b'-';
        }
        if let [b'S', b'e', b'c', b'-', b'W', b'e', b'b', s, ..] = written {
            s.make_ascii_uppercase();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_breaks_its_line_is_refused() {
        let mut headers = HeaderMap::new();
        let mut add = |name: &str, value: &str| append(&mut headers, name, value, is_handshake);
        for name in ["", "a b", "a:", "a\r\nb", "ä", "a\0"] {
            assert_eq!(add(name, "x"), Err(HeaderError::Name), "{name:?}");
        }
        for value in ["a\r\nB: c", "a\n", "\r", "a\0", "\x7f"] {
            assert_eq!(add("x", value), Err(HeaderError::Value), "{value:?}");
        }
        assert!(headers.is_empty());
    }

    #[test]
    fn fields_of_the_handshake_are_reserved_in_any_case() {
        let mut headers = HeaderMap::new();
        for name in [
            "Upgrade",
            "CONNECTION",
            "content-length",
            "Transfer-Encoding",
            "Sec-WebSocket-Accept",
            "sec-websocket-key",
            "Sec-WebSocket-Extensions",
            "Sec-WebSocket-Future",
        ] {
            assert_eq!(
                append(&mut headers, name, "x", is_handshake),
                Err(HeaderError::Reserved),
                "{name}"
            );
        }
        assert!(headers.is_empty());
    }

    #[test]
    fn lines_are_written_with_capitals() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "a=b"),
            ("x-9-up", ""),
            ("sec-websocket-version", "13"),
        ] {
            append(&mut headers, name, value, is_framing).unwrap();
        }
        let mut out = Vec::new();
        write_lines(&mut out, &headers);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Set-Cookie: a=b\r\nX-9-Up: \r\nSec-WebSocket-Version: 13\r\n"
        );
    }
}
