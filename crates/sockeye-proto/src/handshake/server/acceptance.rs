//! The 101 response.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::Upgrade;
use crate::Subprotocol;
use crate::deflate::{Deflate, Parameters};
use crate::extension::Extension;
use crate::handshake::Negotiated;
use crate::handshake::field::{self, Field, HeaderError};

/// The response that accepts a request, under construction.
///
/// As it begins, no subprotocol is chosen and nothing is compressed.
///
/// ```
/// # use sockeye_proto::handshake::{client, server};
/// # let request = client::Request::new("ws://example.org/", [7; 16])?;
/// # let request = request.subprotocol("v1.chat")?.subprotocol("v2.chat")?.to_http();
/// let upgrade = server::Upgrade::from_request(&request)?;
/// let acceptance = upgrade.accept().prefer(&["v2.chat", "v1.chat"]).header("Set-Cookie", "seen=1")?;
/// assert_eq!(acceptance.negotiated().subprotocol.unwrap(), "v2.chat");
/// assert_eq!(acceptance.response().headers()["set-cookie"], "seen=1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Acceptance<'a> {
    upgrade: &'a Upgrade,
    subprotocol: Option<&'a Subprotocol>,
    deflate: Option<(Parameters, Extension)>,
    headers: HeaderMap,
}

impl<'a> Acceptance<'a> {
    pub(super) fn new(upgrade: &'a Upgrade) -> Self {
        Self {
            upgrade,
            subprotocol: None,
            deflate: None,
            headers: HeaderMap::new(),
        }
    }

    /// Chooses the first subprotocol of `preference` that the client offers, or none.
    ///
    /// To refuse a client that offers none of them, look with [`Upgrade::choose_subprotocol`] first.
    #[must_use]
    pub fn prefer<S: AsRef<str>>(mut self, preference: &[S]) -> Self {
        self.subprotocol = self.upgrade.choose_subprotocol(preference);
        self
    }

    /// Chooses this subprotocol.
    ///
    /// # Errors
    ///
    /// [`NotOffered`] if the client did not offer it. RFC 6455 §4.2.2: "the value chosen MUST be derived from
    /// the client's handshake".
    pub fn subprotocol(mut self, name: &str) -> Result<Self, NotOffered> {
        self.subprotocol = Some(self.upgrade.offer_of(name).ok_or(NotOffered)?);
        Ok(self)
    }

    /// Agrees to compression if the client offers what `options` allow, else goes on without it.
    #[must_use]
    pub fn deflate(mut self, options: &Deflate) -> Self {
        self.deflate = options.accept(self.upgrade.extensions());
        self
    }

    /// Adds a header field, for instance `Set-Cookie`.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] if name or value is malformed, or if the field belongs to the handshake: `Upgrade`,
    /// `Connection`, `Sec-WebSocket-*`, and `Content-Length` and `Transfer-Encoding`, which a 101 must not
    /// have (RFC 9110 §8.6, RFC 9112 §6.1).
    pub fn header(
        mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Result<Self, HeaderError> {
        field::append(&mut self.headers, name, value, field::is_handshake)?;
        Ok(self)
    }

    /// What this response settles.
    pub fn negotiated(&self) -> Negotiated {
        Negotiated {
            subprotocol: self.subprotocol.cloned(),
            deflate: self.deflate.as_ref().map(|(parameters, _)| *parameters),
        }
    }

    /// The response for an HTTP library.
    pub fn response(&self) -> Response<()> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = self.headers.clone();
        for (field, value) in self.fields() {
            // Cannot fail: base64, tokens and constants are visible ASCII.
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(field.name(), value);
            }
        }
        response
    }

    /// Appends the response as it travels over HTTP/1.1.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
        for (field, value) in self.fields() {
            field::write_line(out, field.as_str(), value.as_bytes());
        }
        field::write_lines(out, &self.headers);
        out.extend_from_slice(b"\r\n");
    }

    /// The fields of the handshake itself (RFC 6455 §4.2.2).
    fn fields(&self) -> impl Iterator<Item = (Field, String)> {
        let always = [
            (Field::Upgrade, "websocket".to_owned()),
            (Field::Connection, "Upgrade".to_owned()),
            (Field::Accept, self.upgrade.key().accept()),
        ];
        let subprotocol = self.subprotocol.map(|name| (Field::Protocol, name.to_string()));
        let extension = self
            .deflate
            .as_ref()
            .map(|(_, extension)| (Field::Extensions, extension.to_string()));
        always.into_iter().chain(subprotocol).chain(extension)
    }
}

/// The client did not offer what the server wants to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the client did not offer this")]
pub struct NotOffered;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn request() -> Request<()> {
        Request::get("/")
            .header("Host", "a")
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Protocol", "chat, superchat")
            .header("Sec-WebSocket-Extensions", "x-one, permessage-deflate")
            .body(())
            .unwrap()
    }

    fn upgrade() -> Upgrade {
        Upgrade::from_request(&request()).unwrap()
    }

    #[test]
    fn the_response_has_every_field_once() {
        let upgrade = upgrade();
        let acceptance = upgrade.accept().subprotocol("chat").unwrap();
        let acceptance = acceptance.deflate(&Deflate::default());
        let acceptance = acceptance
            .header("set-cookie", "a=1")
            .unwrap()
            .header("Set-Cookie", "b=2")
            .unwrap();
        let mut out = Vec::new();
        acceptance.write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
             client_no_context_takeover\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"
        );
        let response = acceptance.response();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers().len(), 7);
        assert!(acceptance.negotiated().deflate.is_some());
    }

    #[test]
    fn nothing_is_chosen_unless_asked_for() {
        let upgrade = upgrade();
        assert_eq!(upgrade.accept().negotiated(), Negotiated::default());
        assert_eq!(upgrade.accept().response().headers().len(), 3);
    }

    #[test]
    fn the_server_preference_decides_among_the_offers() {
        let upgrade = upgrade();
        let chosen = |preference: &[&str]| upgrade.accept().prefer(preference).negotiated().subprotocol;
        assert_eq!(chosen(&["x", "superchat", "chat"]).unwrap(), "superchat");
        assert_eq!(chosen(&["CHAT"]), None);
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn what_was_not_offered_cannot_be_chosen() {
        let upgrade = upgrade();
        assert_eq!(upgrade.accept().subprotocol("Chat").unwrap_err(), NotOffered);
        assert_eq!(upgrade.accept().subprotocol("").unwrap_err(), NotOffered);
    }

    #[test]
    fn compression_is_left_out_if_not_offered() {
        let mut request = request();
        request.headers_mut().remove("sec-websocket-extensions");
        let upgrade = Upgrade::from_request(&request).unwrap();
        let acceptance = upgrade.accept().deflate(&Deflate::default());
        assert_eq!(acceptance.negotiated().deflate, None);
        assert!(
            !acceptance
                .response()
                .headers()
                .contains_key("sec-websocket-extensions")
        );
    }

    #[test]
    fn fields_of_the_handshake_cannot_be_set() {
        let upgrade = upgrade();
        for name in [
            "Upgrade",
            "Connection",
            "Sec-WebSocket-Accept",
            "sec-websocket-protocol",
            "Content-Length",
        ] {
            assert_eq!(
                upgrade.accept().header(name, "x").unwrap_err(),
                HeaderError::Reserved,
                "{name}"
            );
        }
        assert_eq!(
            upgrade.accept().header("X", "a\r\nb: c").unwrap_err(),
            HeaderError::Value
        );
    }
}
