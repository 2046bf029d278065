//! What the API answers: JSON, also where something is wrong.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

pub(super) fn json(value: &Value) -> Response {
    json_text(value.to_string())
}

pub(super) fn json_text(text: String) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (headers, text).into_response()
}

/// A body that is not said to be JSON is refused: a page of another origin can send others without being asked.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default();
    if kind.trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not_json",
        "the body must be application/json",
    ))
}

/// Why an operation was not done.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// The same for programs: one of a fixed set.
    code: &'static str,
    message: String,
    header: Option<(HeaderName, &'static str)>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl ToString) -> Self {
        Self {
            status,
            code,
            message: message.to_string(),
            header: None,
        }
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(super) fn unauthorized() -> Self {
        let why = "give the server's token: Authorization: Bearer TOKEN";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", why).with(WWW_AUTHENTICATE, "Bearer")
    }

    pub(super) fn invalid(why: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", why)
    }

    pub(super) fn too_large(most: usize) -> Self {
        let why = format!("a message has at most {most} bytes here");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why)
    }

    pub(super) fn unavailable(why: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why).with(RETRY_AFTER, "1")
    }

    pub(super) fn no_connection(id: u64) -> Self {
        let why = format!("there is no open WebSocket {id}");
        Self::new(StatusCode::NOT_FOUND, "not_found", why)
    }

    /// For paths of the API that are none.
    pub(super) async fn unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "see /api/openapi.json")
    }

    /// For other methods than those of a path.
    pub(super) async fn method() -> Self {
        let why = "see /api/openapi.json for the methods of this path";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", why)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        let mut response = json(&body);
        *response.status_mut() = self.status;
        if let Some((name, value)) = self.header {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
