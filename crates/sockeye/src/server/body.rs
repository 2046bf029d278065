//! The body of every response of a server, and the service for what is not a WebSocket.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use sockeye_proto::handshake::server::Rejection;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use crate::BoxError;

/// A response body of any origin.
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// What serves the requests that are not for a WebSocket.
pub(super) type Fallback = BoxCloneSyncService<Request<Incoming>, Response<Body>, BoxError>;

pub(super) fn empty() -> Body {
    full(Bytes::new())
}

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

pub(super) fn rejection(rejection: Rejection) -> Response<Body> {
    rejection.into_response().map(|body| full(body.into_owned()))
}

/// Makes any HTTP service the fallback.
pub(super) fn fallback<S, B>(service: S) -> Fallback
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    BoxCloneSyncService::new(
        service
            .map_response(|response: Response<B>| {
                response.map(|body| body.map_err(Into::into).boxed_unsync())
            })
            .map_err(Into::into),
    )
}
