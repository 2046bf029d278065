//! What the machinery around a server asks: is it alive, may it get work, what did it do.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::error::{Failure, chain};

/// Where the server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// Asked to stop: no new work, please.
    Draining,
}

/// Bounds of the buckets for durations, in seconds.
const SECONDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 600.0, 3600.0, 86_400.0,
];

/// Bounds of the buckets for sizes, in bytes.
const BYTES: &[f64] = &[
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    16_777_216.0,
];

/// How often the recorder sorts new samples into its buckets when nobody asks for them.
const UPKEEP: Duration = Duration::from_secs(5);

/// Starts to record metrics, for the rest of the process. Durations and sizes are histograms, because those of
/// several servers can be added up.
pub(super) fn record_metrics() -> Result<PrometheusHandle, Failure> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), BYTES))
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| Failure::new(format!("cannot record metrics: {}", chain(&error))))?;
    let upkeep = recorder.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    Ok(recorder)
}

/// `/healthz`: the process answers. It stays so while it drains; a restart would only cut connections.
pub(super) fn healthz() -> Response {
    plain(StatusCode::OK, "ok\n")
}

/// `/readyz`: new connections are welcome.
pub(super) fn readyz(phase: Phase) -> Response {
    match phase {
        Phase::Serving => plain(StatusCode::OK, "ready\n"),
        Phase::Draining => plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}

/// `/metrics`: the text format of Prometheus.
pub(super) fn metrics(recorder: Option<&PrometheusHandle>) -> Response {
    match recorder {
        Some(recorder) => {
            let headers = [
                (CONTENT_TYPE, "text/plain; version=0.0.4"),
                (CACHE_CONTROL, "no-store"),
            ];
            (headers, recorder.render()).into_response()
        }
        None => plain(
            StatusCode::NOT_FOUND,
            "metrics are off; start with --metrics on\n",
        ),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], text).into_response()
}
