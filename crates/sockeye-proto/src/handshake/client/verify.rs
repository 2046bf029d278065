//! Checks a response against RFC 6455 §4.1.

use http::header::HeaderMap;
use http::{Response, StatusCode, Version};

use super::Request;
use crate::deflate::{NegotiationError, Parameters};
use crate::extension;
use crate::handshake::field::{Field, Single};
use crate::handshake::tokens::list_has_token;
use crate::handshake::{HeadError, Negotiated};
use crate::subprotocol::Subprotocol;

impl Request {
    /// Checks the server's response to this request.
    ///
    /// ```
    /// use http::Response;
    /// use sockeye_proto::handshake::client::{Request, ResponseError};
    ///
    /// let request = Request::new("ws://example.org/", *b"the sample nonce")?;
    /// let response = Response::builder()
    ///     .status(101)
    ///     .header("Upgrade", "websocket")
    ///     .header("Connection", "keep-alive, Upgrade")
    ///     .header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    ///     .body(())?;
    /// assert_eq!(request.verify(&response)?.subprotocol, None);
    ///
    /// let response = Response::builder().status(403).body(())?;
    /// assert_eq!(request.verify(&response), Err(ResponseError::Status(http::StatusCode::FORBIDDEN)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ResponseError::Status`] for anything but 101: the response is then plain HTTP, a redirection for
    /// instance. Every other error means that the server broke the protocol and the connection has to be
    /// failed.
    pub fn verify<T>(&self, response: &Response<T>) -> Result<Negotiated, ResponseError> {
        let headers = response.headers();
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ResponseError::Status(response.status()));
        }
        // RFC 9110 §15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client", nor has HTTP/1.0
        // any.
        if response.version() != Version::HTTP_11 {
            return Err(ResponseError::HttpVersion);
        }
        // RFC 6455 §4.1, step 2: the whole value matches, so this is no list.
        if !single(Field::Upgrade, headers)?.eq_ignore_ascii_case(b"websocket") {
            return Err(ResponseError::Invalid(Field::Upgrade));
        }
        // Step 3: contains a token.
        match list_has_token(Field::Connection.lines(headers), "upgrade") {
            Some(true) => {}
            Some(false) => return Err(ResponseError::Missing(Field::Connection)),
            None => return Err(ResponseError::Invalid(Field::Connection)),
        }
        // Step 4: "ignoring any leading and trailing whitespace".
        if *single(Field::Accept, headers)? != *self.key.accept().as_bytes() {
            return Err(ResponseError::Invalid(Field::Accept));
        }
        Ok(Negotiated {
            subprotocol: self.subprotocol_of(headers)?,
            deflate: self.deflate_of(headers)?,
        })
    }

    /// RFC 6455 §4.1, step 6: a subprotocol that was not asked for fails the connection.
    fn subprotocol_of(&self, headers: &HeaderMap) -> Result<Option<Subprotocol>, ResponseError> {
        let chosen = match Field::Protocol.single(headers) {
            Single::Value(chosen) => chosen,
            Single::Repeated => return Err(ResponseError::Repeated(Field::Protocol)),
            Single::Missing if self.subprotocol_required && !self.subprotocols.is_empty() => {
                return Err(ResponseError::Missing(Field::Protocol));
            }
            Single::Missing => return Ok(None),
        };
        let chosen = Subprotocol::from_bytes(chosen).map_err(|_| ResponseError::Invalid(Field::Protocol))?;
        if self.subprotocols.contains(&chosen) {
            Ok(Some(chosen))
        } else {
            Err(ResponseError::SubprotocolNotOffered)
        }
    }

    /// RFC 6455 §4.1, step 5: an extension that was not asked for fails the connection.
    fn deflate_of(&self, headers: &HeaderMap) -> Result<Option<Parameters>, ResponseError> {
        let lines = Field::Extensions.lines(headers).map(|line| line.as_bytes());
        let chosen = extension::parse_list(lines).map_err(|_| ResponseError::Invalid(Field::Extensions))?;
        match &self.deflate {
            Some(options) => Ok(options.confirm(&chosen)?),
            None if chosen.is_empty() => Ok(None),
            None => Err(ResponseError::Extension(NegotiationError::UnofferedExtension)),
        }
    }
}

/// Why a response does not complete the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// The bytes are not an HTTP/1.1 head, or it exceeds a limit.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The server answered with another status than 101.
    #[error("the server answered with status {0} instead of 101")]
    Status(StatusCode),
    /// The version is not HTTP/1.1.
    #[error("the response is not HTTP/1.1")]
    HttpVersion,
    /// A field that must be there is not, or lacks the element that matters.
    #[error("the response has no {} header field", .0.wanted())]
    Missing(Field),
    /// A field that may be there once is there more often.
    #[error("the response has more than one {0} header field")]
    Repeated(Field),
    /// A field does not have the value it must have.
    #[error("the response's {0} header field is not valid")]
    Invalid(Field),
    /// The server chose a subprotocol that was not offered.
    #[error("the server chose a subprotocol that was not offered")]
    SubprotocolNotOffered,
    /// The server chose an extension that was not offered, or parameters that the offer does not allow.
    #[error(transparent)]
    Extension(#[from] NegotiationError),
}

fn single(field: Field, headers: &HeaderMap) -> Result<&[u8], ResponseError> {
    match field.single(headers) {
        Single::Missing => Err(ResponseError::Missing(field)),
        Single::Value(value) => Ok(value),
        Single::Repeated => Err(ResponseError::Repeated(field)),
    }
}

#[cfg(test)]
mod tests;
