//! `/.sse`: what a request looked like and the time, as server-sent events.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, interval_at};

use super::dump;
use super::health::Phase;

const SECOND: Duration = Duration::from_secs(1);

/// Sends `server` and `request` once, then `time` each second until the server drains.
pub(super) fn respond(hostname: &str, request: &Parts, phase: watch::Receiver<Phase>) -> Response {
    let greeting = [("server", hostname.to_owned()), ("request", dump::head(request))];
    let greeting = stream::iter(greeting).map(|(name, text)| Event::default().event(name).data(text));

    let ticks = interval_at(Instant::now() + SECOND, SECOND);
    let times = stream::unfold((ticks, phase), |(mut ticks, mut phase)| async move {
        let second_passed = tokio::select! {
            _ = ticks.tick() => true,
            _ = phase.wait_for(|phase| *phase == Phase::Draining) => false,
        };
        let now = httpdate::fmt_http_date(SystemTime::now());
        second_passed.then(|| (Event::default().event("time").data(now), (ticks, phase)))
    });
    let events = greeting.chain(times).enumerate();
    let events = events.map(|(index, event)| Ok::<_, Infallible>(event.id((index + 1).to_string())));
    ([(CACHE_CONTROL, "no-store")], Sse::new(events)).into_response()
}
