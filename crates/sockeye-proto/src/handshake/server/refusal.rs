//! Why a request is not an acceptable opening handshake, and with which status that is answered.

use http::StatusCode;

use crate::handshake::{Field, HeadError};

/// The reason why a request was refused.
///
/// Each has an HTTP status; [`Rejection::from`](super::Rejection) makes the whole response.
///
/// ```
/// use http::StatusCode;
/// use sockeye_proto::handshake::{Field, server::Refusal};
///
/// let refusal = Refusal::Missing(Field::Key);
/// assert_eq!(refusal.status(), StatusCode::BAD_REQUEST);
/// assert_eq!(refusal.to_string(), "the request has no Sec-WebSocket-Key header field");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The bytes are not an HTTP/1.1 head, or it exceeds a limit. Status 400, 414, 431 or 505.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The method is not GET. Status 405.
    #[error("a WebSocket handshake is a GET request")]
    Method,
    /// The version is not HTTP/1.1. Status 505.
    #[error("a WebSocket handshake is an HTTP/1.1 request")]
    HttpVersion,
    /// The request target is neither a path nor an absolute `ws`, `wss`, `http` or `https` URL. Status 400.
    #[error("the request target is not a path or a WebSocket URL")]
    Target,
    /// The request announces content, which has no place before the first frame and is how requests are
    /// smuggled past proxies. Status 400.
    #[error("a WebSocket handshake has no content")]
    Content,
    /// A field that must be there is not, or lacks the element that matters. For `Upgrade` the status is 426, for
    /// others 400.
    #[error("the request has no {} header field", .0.wanted())]
    Missing(Field),
    /// A field that may be there once is there more often. Status 400.
    #[error("the request has more than one {0} header field")]
    Repeated(Field),
    /// A field does not have the value or form it must have. Status 400.
    #[error("the request's {0} header field is not valid")]
    Invalid(Field),
    /// The same subprotocol is offered twice. Status 400.
    #[error("the request offers a subprotocol twice")]
    RepeatedSubprotocol,
    /// The client speaks another version of the WebSocket protocol than 13. Status 426.
    #[error("the WebSocket protocol version is not 13")]
    WebSocketVersion,
}

impl Refusal {
    /// The status that answers this refusal.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Head(HeadError::StartLineTooLong) => StatusCode::URI_TOO_LONG,
            Self::Head(HeadError::TooLong | HeadError::TooManyHeaders) => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::Head(HeadError::Version) | Self::HttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Missing(Field::Upgrade) | Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            Self::Head(_)
            | Self::Target
            | Self::Content
            | Self::Missing(_)
            | Self::Repeated(_)
            | Self::Invalid(_)
            | Self::RepeatedSubprotocol => StatusCode::BAD_REQUEST,
        }
    }
}
