//! The page of the chat and its two files, served by axum.

use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

/// Nothing runs or is fetched that is not ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'";

pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(|| page("text/html", include_str!("index.html"))))
        .route(
            "/chat.js",
            get(|| page("text/javascript", include_str!("chat.js"))),
        )
        .route("/chat.css", get(|| page("text/css", include_str!("chat.css"))))
}

async fn page(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let kind = format!("{kind}; charset=utf-8");
    (
        [(CONTENT_TYPE, kind.as_str()), (CONTENT_SECURITY_POLICY, POLICY)],
        text,
    )
        .into_response()
}
