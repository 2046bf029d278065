//! Responses other than 101.

use std::borrow::Cow;

use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Response, StatusCode};

use super::Refusal;
use crate::handshake::Field;
use crate::handshake::field::{self, HeaderError};

/// A response that turns a handshake down: status, header fields and a body.
///
/// Made from a [`Refusal`], or by the application for its own reasons. The connection is to be closed after
/// it.
///
/// ```
/// use sockeye_proto::handshake::server::Rejection;
///
/// let rejection = Rejection::forbidden("this origin is not on the list");
/// let mut out = Vec::new();
/// rejection.write(&mut out);
/// assert!(out.starts_with(b"HTTP/1.1 403 Forbidden\r\n"));
/// assert!(out.ends_with(b"\r\n\r\nthis origin is not on the list\n"));
/// ```
#[derive(Debug, Clone)]
pub struct Rejection {
    status: StatusCode,
    // Boxed, to be small as the error of a `Result`.
    headers: Box<HeaderMap>,
    body: Cow<'static, [u8]>,
}

impl Rejection {
    /// A response with an empty body.
    ///
    /// # Errors
    ///
    /// [`InvalidStatus`] unless `status` is a redirection (304 excepted), a client error or a server error:
    /// 1xx would not end the request, and 2xx and 304 are no answers to a handshake.
    pub fn new(status: StatusCode) -> Result<Self, InvalidStatus> {
        match status.as_u16() {
            304 => Err(InvalidStatus),
            300..=599 => Ok(Self::bare(status)),
            _ => Err(InvalidStatus),
        }
    }

    /// 403 Forbidden, for instance for an origin that is not welcome (RFC 6455 §4.2.2). `reason` becomes the
    /// body.
    pub fn forbidden(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::bare(StatusCode::FORBIDDEN).with_text(reason)
    }

    /// 404 Not Found, for a resource that is none of ours (RFC 6455 §4.2.2). `reason` becomes the body.
    pub fn not_found(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::bare(StatusCode::NOT_FOUND).with_text(reason)
    }

    /// 500 Internal Server Error, for a mistake on this side. `reason` becomes the body.
    pub fn internal_error(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::bare(StatusCode::INTERNAL_SERVER_ERROR).with_text(reason)
    }

    /// 503 Service Unavailable, for a server that has no room now. `reason` becomes the body.
    pub fn unavailable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::bare(StatusCode::SERVICE_UNAVAILABLE).with_text(reason)
    }

    /// Sets a plain text body; a line end is added.
    #[must_use]
    pub fn with_text(self, text: impl Into<Cow<'static, str>>) -> Self {
        let mut text = text.into().into_owned();
        text.push('\n');
        self.with_body(
            HeaderValue::from_static("text/plain; charset=utf-8"),
            text.into_bytes(),
        )
    }

    /// Sets a body of any type.
    #[must_use]
    pub fn with_body(mut self, content_type: HeaderValue, body: impl Into<Cow<'static, [u8]>>) -> Self {
        self.headers.insert(CONTENT_TYPE, content_type);
        self.body = body.into();
        self
    }

    /// Adds a header field.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] if name or value is malformed, or if the field is `Connection`, `Content-Length` or
    /// `Transfer-Encoding`, which follow from the rest.
    pub fn with_header(
        mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Result<Self, HeaderError> {
        field::append(&mut self.headers, name, value, field::is_framing)?;
        Ok(self)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The header fields, without those that frame the message.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The response for an HTTP library, which adds `Content-Length`.
    pub fn into_response(self) -> Response<Cow<'static, [u8]>> {
        let close = HeaderValue::from_static(self.connection());
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = *self.headers;
        response.headers_mut().insert(CONNECTION, close);
        response
    }

    /// Appends the response as it travels over HTTP/1.1.
    ///
    /// The body is written too, so this is no answer to a HEAD request.
    pub fn write(&self, out: &mut Vec<u8>) {
        let reason = self.status.canonical_reason().unwrap_or_default();
        out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", self.status.as_u16()).as_bytes());
        field::write_lines(out, &self.headers);
        field::write_line(out, "Content-Length", self.body.len().to_string().as_bytes());
        field::write_line(out, "Connection", self.connection().as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.body);
    }

    fn bare(status: StatusCode) -> Self {
        Self {
            status,
            headers: Box::default(),
            body: Cow::Borrowed(b""),
        }
    }

    /// RFC 9110 §7.8: who sends `Upgrade` names it in `Connection` too.
    fn connection(&self) -> &'static str {
        if self.headers.contains_key(UPGRADE) {
            "Upgrade, close"
        } else {
            "close"
        }
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        let mut rejection = Self::bare(refusal.status()).with_text(sentence(&refusal.to_string()));
        let headers = &mut rejection.headers;
        // RFC 9110 §15.5.6: a 405 MUST list the methods that are allowed.
        if refusal.status() == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        // RFC 9110 §15.5.22: a 426 MUST say what to upgrade to.
        if refusal.status() == StatusCode::UPGRADE_REQUIRED {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        // RFC 6455 §4.2.2: who does not get version 13 is told about it.
        let about_version = matches!(
            refusal,
            Refusal::Missing(Field::Version)
                | Refusal::Repeated(Field::Version)
                | Refusal::Invalid(Field::Version)
        );
        if about_version || refusal.status() == StatusCode::UPGRADE_REQUIRED {
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        rejection
    }
}

/// The status of a rejection is not a redirection, a client error or a server error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("a handshake is rejected with a status of 300 to 599 other than 304")]
pub struct InvalidStatus;

/// An error message as a sentence for people.
fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(['.']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::HeadError;

    fn written(rejection: &Rejection) -> String {
        let mut out = Vec::new();
        rejection.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_refusal_has_its_status() {
        use Field::*;
        for (refusal, want) in [
            (Refusal::Head(HeadError::Syntax), 400),
            (Refusal::Head(HeadError::LineEnding), 400),
            (Refusal::Head(HeadError::FoldedLine), 400),
            (Refusal::Head(HeadError::ControlCharacter), 400),
            (Refusal::Head(HeadError::StartLineTooLong), 414),
            (Refusal::Head(HeadError::TooLong), 431),
            (Refusal::Head(HeadError::TooManyHeaders), 431),
            (Refusal::Head(HeadError::Version), 505),
            (Refusal::HttpVersion, 505),
            (Refusal::Method, 405),
            (Refusal::Target, 400),
            (Refusal::Content, 400),
            (Refusal::Missing(Host), 400),
            (Refusal::Missing(Upgrade), 426),
            (Refusal::Invalid(Upgrade), 400),
            (Refusal::Missing(Key), 400),
            (Refusal::Repeated(Key), 400),
            (Refusal::Missing(Version), 400),
            (Refusal::WebSocketVersion, 426),
            (Refusal::RepeatedSubprotocol, 400),
        ] {
            let rejection = Rejection::from(refusal);
            assert_eq!(rejection.status().as_u16(), want, "{refusal:?}");
            assert!(rejection.body().ends_with(b".\n"), "{refusal:?}");
        }
    }

    #[test]
    fn statuses_bring_the_fields_they_demand() {
        assert_eq!(
            written(&Rejection::from(Refusal::WebSocketVersion)),
            "HTTP/1.1 426 Upgrade Required\r\nContent-Type: text/plain; charset=utf-8\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nContent-Length: 42\r\nConnection: Upgrade, close\r\n\r\n\
             The WebSocket protocol version is not 13.\n",
        );
        assert_eq!(
            written(&Rejection::from(Refusal::Method)),
            "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\nAllow: GET\r\n\
             Content-Length: 40\r\nConnection: close\r\n\r\nA WebSocket handshake is a GET request.\n",
        );
        let missing = Rejection::from(Refusal::Missing(Field::Version));
        assert_eq!(missing.headers()["sec-websocket-version"], "13");
    }

    #[test]
    fn the_application_decides_status_fields_and_body() {
        let rejection = Rejection::new(StatusCode::UNAUTHORIZED)
            .unwrap()
            .with_header("WWW-Authenticate", "Bearer")
            .unwrap()
            .with_body(HeaderValue::from_static("application/json"), &b"{}"[..]);
        assert_eq!(
            written(&rejection),
            "HTTP/1.1 401 Unauthorized\r\nWww-Authenticate: Bearer\r\nContent-Type: application/json\r\n\
             Content-Length: 2\r\nConnection: close\r\n\r\n{}",
        );
        let response = rejection.into_response();
        assert_eq!(response.headers()["connection"], "close");
        assert_eq!(response.body().as_ref(), b"{}");
    }

    #[test]
    fn common_rejections_have_their_status() {
        for (rejection, status) in [
            (Rejection::forbidden("why"), 403),
            (Rejection::not_found("why"), 404),
            (Rejection::internal_error("why"), 500),
            (Rejection::unavailable("why"), 503),
        ] {
            assert_eq!(
                (rejection.status().as_u16(), rejection.body()),
                (status, &b"why\n"[..])
            );
        }
    }

    #[test]
    fn fields_that_frame_the_message_are_refused() {
        for name in ["Connection", "content-length", "Transfer-Encoding"] {
            assert_eq!(
                Rejection::not_found("").with_header(name, "x").unwrap_err(),
                HeaderError::Reserved
            );
        }
        assert_eq!(
            Rejection::not_found("")
                .with_header("Location", "/\r\nA: b")
                .unwrap_err(),
            HeaderError::Value
        );
    }

    #[test]
    fn statuses_that_reject_nothing_are_refused() {
        for status in [100, 101, 103, 200, 204, 304, 600, 999] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Rejection::new(status).unwrap_err(), InvalidStatus, "{status}");
        }
        for status in [302, 400, 401, 429, 503] {
            assert_eq!(
                Rejection::new(StatusCode::from_u16(status).unwrap())
                    .unwrap()
                    .status(),
                status
            );
        }
    }
}
