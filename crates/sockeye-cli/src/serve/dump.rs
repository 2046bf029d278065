//! A request as plain text, to see what arrived: the answer to every URL that is nothing else.

use std::fmt::Write;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;

/// Most bytes of a body that are shown. The rest is read and dropped: a client that is cut off while it sends may never
/// see the answer.
const LARGEST_BODY: usize = 64 * 1024;

/// Time for the body to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Answers with the request itself.
pub(super) async fn respond(hostname: &str, request: Request) -> Response {
    // RFC 9110 §9.3.6: any 2xx would tell the client that it has a tunnel now.
    if request.method() == Method::CONNECT {
        return (StatusCode::NOT_IMPLEMENTED, "this is no proxy\n").into_response();
    }
    let (parts, body) = request.into_parts();
    let mut text = format!("Request served by {hostname}\n\n");
    text.push_str(&head(&parts));
    let (body, ending) = read(body).await;
    if !body.is_empty() {
        let _ = write!(text, "\n{}\n", String::from_utf8_lossy(&body));
    }
    if let Some(why) = ending {
        let _ = writeln!(text, "\n[{why}]");
    }
    text.push_str(FOOTER);
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, text).into_response()
}

const FOOTER: &str = "\n\
    Any path of this server answers WebSocket connections with an echo.\n\
    /.ws   a page to try it in a browser\n\
    /.sse  the same with server-sent events\n";

/// The request line and the headers, sorted by name; several of one name keep their order.
pub(super) fn head(parts: &Parts) -> String {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut text = format!("{} {target} {:?}\n\n", parts.method, parts.version);
    let mut headers: Vec<_> = parts.headers.iter().collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in headers {
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    text
}

/// The beginning of the body, and why there is no more of it.
async fn read(mut body: Body) -> (Vec<u8>, Option<String>) {
    let mut bytes = Vec::new();
    let everything = async {
        let mut cut = None;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return Some("the body broke off".to_owned());
            };
            let Ok(data) = frame.into_data() else { continue };
            let room = LARGEST_BODY - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                cut = Some(format!(
                    "only the first {LARGEST_BODY} bytes of the body are shown"
                ));
            }
        }
        cut
    };
    let ending = tokio::time::timeout(BODY_TIME, everything)
        .await
        .unwrap_or_else(|_| {
            Some(format!(
                "the body did not arrive within {} seconds",
                BODY_TIME.as_secs()
            ))
        });
    (bytes, ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn dump(request: Request) -> String {
        let response = respond("here", request).await;
        assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_dump_shows_the_request_line_sorted_headers_and_the_body() {
        let request = Request::builder()
            .method("POST")
            .uri("http://example.org/some/path?x=1")
            .header("x-zebra", "last")
            .header("accept", "second")
            .header("accept", "third")
            .body(Body::from("hello"))
            .unwrap();
        let text = dump(request).await;
        let expected = "Request served by here\n\nPOST /some/path?x=1 HTTP/1.1\n\n\
            accept: second\naccept: third\nx-zebra: last\n\nhello\n\n";
        assert_eq!(text, format!("{expected}{}", &FOOTER[1..]));
    }

    #[tokio::test]
    async fn a_dump_shows_a_bounded_part_of_the_body() {
        let long = "z".repeat(LARGEST_BODY + 1);
        let text = dump(Request::new(Body::from(long))).await;
        assert_eq!(text.matches('z').count(), LARGEST_BODY);
        assert!(text.contains("[only the first 65536 bytes of the body are shown]"));
    }

    #[tokio::test]
    async fn a_tunnel_is_refused() {
        let request = Request::builder()
            .method("CONNECT")
            .uri("example.org:80")
            .body(Body::empty())
            .unwrap();
        assert_eq!(
            respond("here", request).await.status(),
            StatusCode::NOT_IMPLEMENTED
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_not_waited_for() {
        let never = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let text = dump(Request::new(never)).await;
        assert!(
            text.contains("[the body did not arrive within 10 seconds]"),
            "{text}"
        );
    }
}
