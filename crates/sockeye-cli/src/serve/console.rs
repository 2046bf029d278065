//! The console page: files embedded in the program, served with validators and a strict policy.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

/// Path of the URL, and content; sorted.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

/// One strong validator for each of [`FILES`].
static ETAGS: LazyLock<Vec<String>> =
    LazyLock::new(|| FILES.iter().map(|(_, content)| etag(content)).collect());

/// Everything the page needs comes from this server and nothing runs inline; it may connect anywhere, because
/// the person who uses it chooses where.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The file at `path`, if the console has one there.
pub(super) fn file(path: &str, request: &HeaderMap) -> Option<Response> {
    let index = FILES.binary_search_by_key(&path, |(url, _)| url).ok()?;
    let content = FILES[index].1;
    let etag = ETAGS[index].as_str();
    let content_type = if path == "/" {
        "text/html; charset=utf-8"
    } else {
        content_type(path)
    };
    let headers = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Kept, but asked about each time: a new version of the program shows at once.
        (CACHE_CONTROL, "no-cache"),
        (ETAG, etag),
    ];
    Some(if is_current(request, etag) {
        (StatusCode::NOT_MODIFIED, headers).into_response()
    } else {
        (headers, content).into_response()
    })
}

fn etag(content: &[u8]) -> String {
    let digest = digest(&SHA256, content);
    let hex: String = digest.as_ref()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{hex}\"")
}

/// RFC 9110 §13.1.2: `If-None-Match` is `*` or a list, compared weakly.
fn is_current(request: &HeaderMap, etag: &str) -> bool {
    request
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_console_has_a_content_type() {
        for (url, _) in FILES {
            assert_ne!(
                content_type(url.strip_suffix('/').map_or(url, |_| "index.html")),
                "application/octet-stream",
                "{url}"
            );
        }
    }

    #[test]
    fn the_page_is_at_the_root() {
        let response = file("/", &HeaderMap::new()).unwrap();
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert!(file("/console", &HeaderMap::new()).is_none());
        assert!(file("/console/../index.html", &HeaderMap::new()).is_none());
    }

    #[test]
    fn a_browser_that_has_the_file_is_told_so() {
        let etag = ETAGS[0].as_str();
        for (known, status) in [
            (etag.to_owned(), StatusCode::NOT_MODIFIED),
            (format!("\"other\", W/{etag}"), StatusCode::NOT_MODIFIED),
            ("*".to_owned(), StatusCode::NOT_MODIFIED),
            ("\"other\"".to_owned(), StatusCode::OK),
        ] {
            let request = HeaderMap::from_iter([(IF_NONE_MATCH, known.parse().unwrap())]);
            let response = file(FILES[0].0, &request).unwrap();
            assert_eq!(response.status(), status, "{known}");
            assert_eq!(response.headers()[ETAG], etag);
        }
    }
}
