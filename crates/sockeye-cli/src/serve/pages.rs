//! What the server answers to plain HTTP: console, health, metrics, events, and a dump of everything else.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use super::health::{self, Phase};
use super::{console, dump, sse};

/// What the pages know about the server.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) hostname: String,
    pub(super) phase: watch::Receiver<Phase>,
    /// Nothing when metrics are off.
    pub(super) metrics: Option<PrometheusHandle>,
}

/// The service for every request that is no WebSocket handshake.
pub(super) fn router(site: Arc<Site>, api: Router) -> Router {
    Router::new().fallback(respond).with_state(site).merge(api)
}

async fn respond(State(site): State<Arc<Site>>, request: Request) -> Response {
    if [Method::GET, Method::HEAD].contains(request.method()) {
        let path = request.uri().path();
        match path {
            "/healthz" => return health::healthz(),
            "/readyz" => return health::readyz(*site.phase.borrow()),
            "/metrics" => return health::metrics(site.metrics.as_ref()),
            _ => {}
        }
        if let Some(response) = console::file(console_path(path), request.headers()) {
            return response;
        }
        if path.ends_with("/.sse") {
            let (parts, _) = request.into_parts();
            return sse::respond(&site.hostname, &parts, site.phase.clone());
        }
    }
    dump::respond(&site.hostname, request).await
}

/// Where the console has the file that `path` asks for. Its page is at `.ws` of every folder, and names its
/// parts relative to that.
fn console_path(path: &str) -> &str {
    match path.rfind("/console/") {
        Some(start) => &path[start..],
        None if path.ends_with("/.ws") => "/",
        None => path,
    }
}
