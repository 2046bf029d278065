//! The opening handshake over a connected transport.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Response};
use sockeye_proto::deflate::{Compressor, Decompressor, Parameters};
use sockeye_proto::handshake::client::{Request, ResponseError};
use sockeye_proto::{Connection, Role};
use tokio::time::Instant;
use tracing::Instrument;

use super::dial::Duplex;
use super::exchange::exchange;
use super::phase::Clock;
use super::redirect::{Journey, Verdict};
use super::{ConnectionInfo, Settings, Step, mask_keys, refusal};
use crate::error::{ConnectPhase, Error, Kind, Result};
use crate::opening::Opening;
use crate::websocket::{Agreement, WebSocket};

/// What a server answered to an opening handshake.
pub(super) enum Answer<IO> {
    Opened(WebSocket),
    Refused(Refused<IO>),
}

/// Another status than 101, its body not read yet.
pub(super) struct Refused<IO> {
    io: IO,
    host: String,
    response: Response<()>,
    /// What came of the body.
    received: Vec<u8>,
    /// What the body may take.
    left: Duration,
}

impl<IO: Duplex> Answer<IO> {
    /// The WebSocket, or where to ask next.
    pub(super) async fn step(self, journey: &Journey) -> Result<Step> {
        let refused = match self {
            Self::Opened(ws) => return Ok(Step::Arrived(ws)),
            Self::Refused(refused) => refused,
        };
        match journey.judge(&refused.response) {
            Verdict::Follow(next) => {
                tracing::debug!(
                    from = refused.host,
                    to = next.host_header(),
                    "websocket redirected"
                );
                Ok(Step::Redirected(next))
            }
            Verdict::Refusal => Err(refused.into_error().await),
            Verdict::Stop(reason) => Err(Error::connecting(ConnectPhase::Handshake, reason)),
        }
    }

    /// The WebSocket, or the refusal as an error.
    pub(super) async fn opened(self) -> Result<WebSocket> {
        match self {
            Self::Opened(ws) => Ok(ws),
            Self::Refused(refused) => Err(refused.into_error().await),
        }
    }
}

impl<IO: Duplex> Refused<IO> {
    /// Reads the body.
    async fn into_error(mut self) -> Error {
        let refusal = refusal::read(&mut self.io, self.response, &self.received, self.left).await;
        Error::new(Kind::Refused(self.host, refusal))
    }
}

impl Settings {
    /// Asks the server at the other end of `io` for a WebSocket, and starts it.
    pub(super) async fn open<IO: Duplex>(
        &self,
        mut io: IO,
        journey: &Journey,
        request: &Request,
        mut info: ConnectionInfo,
        clock: &Clock,
    ) -> Result<Answer<IO>> {
        let started = Instant::now();
        let host = request.target().host_header();
        let limit = clock.limit(ConnectPhase::Handshake);
        let failed = |how: &str| format!("the opening handshake with {host} failed: {how}");
        let mut out = Vec::new();
        request.write(&mut out);
        let mut received = Vec::new();
        let exchange = exchange(&mut io, &out, self.head_limits, &mut received);
        let response = match limit.hold(exchange).await {
            Some(Ok(response)) => response,
            Some(Err(failure)) => return Err(failure.error(ConnectPhase::Handshake, &host, failed)),
            None => return Err(limit.passed(&host, "")),
        };
        let negotiated = match request.verify(&response) {
            Ok(negotiated) => negotiated,
            Err(ResponseError::Status(_)) => {
                self.take_cookies(journey, &response);
                return Ok(Answer::Refused(Refused {
                    io,
                    host,
                    response,
                    received,
                    left: limit.time().saturating_sub(started.elapsed()),
                }));
            }
            Err(error) => {
                let message = failed(&error.to_string());
                return Err(Error::connecting(ConnectPhase::Handshake, message));
            }
        };
        self.take_cookies(journey, &response);
        received.shrink_to_fit();
        let mut data = http::Extensions::new();
        info.phases = clock.phases();
        data.insert(info);
        data.insert(request.to_http());
        let extensions = extensions(response.headers());
        data.insert(response);
        let agreement = Agreement {
            subprotocol: negotiated.subprotocol.map(String::from),
            extensions,
            data,
            #[cfg(engine)]
            hub: None,
        };
        let ws = self.start(io, request, agreement, negotiated.deflate, received);
        Ok(Answer::Opened(ws))
    }

    /// Takes the cookies of an answer that is one: a 101 that breaks the rules does not count.
    #[cfg(feature = "cookies")]
    fn take_cookies(&self, journey: &Journey, response: &Response<()>) {
        if let Some(store) = self.cookies_on(journey) {
            store.take(journey.target(), response.headers());
        }
    }

    #[cfg(not(feature = "cookies"))]
    fn take_cookies(&self, _: &Journey, _: &Response<()>) {}

    /// The session of a finished handshake, its driver in a task of its own.
    fn start<IO: Duplex>(
        &self,
        io: IO,
        request: &Request,
        agreement: Agreement,
        deflate: Option<Parameters>,
        leftover: Vec<u8>,
    ) -> WebSocket {
        let target = request.target();
        // No query: secrets travel there.
        let path = target.path_and_query().split('?').next();
        let span = tracing::debug_span!("websocket", server = target.host_header(), path);
        span.in_scope(|| {
            tracing::debug!(
                subprotocol = agreement.subprotocol,
                extensions = agreement.extensions,
                "websocket opened"
            );
        });
        let opened_at = Instant::now();
        let opening = Opening {
            connection: Connection::client(
                self.config.clone(),
                // RFC 6455 §5.3: unpredictable, "derived from a strong source of entropy".
                Box::new(mask_keys::next_key),
                deflate.and_then(|parameters| self.codec(parameters)),
                opened_at.into_std(),
            ),
            agreement,
            limits: self.queues.clone(),
            metrics: self.session_metrics.clone(),
            leftover,
        };
        let (ws, driver) = opening.start(io);
        let standby = driver.stand_by();
        let session = ws.shared();
        let task = async move {
            standby.await;
            let end = session.lock().close_info();
            tracing::debug!(
                code = end.code,
                reason = end.reason.as_str(),
                clean = end.clean,
                lasted = ?opened_at.elapsed(),
                "websocket closed"
            );
        };
        tokio::spawn(task.instrument(span));
        ws
    }

    fn codec(&self, parameters: Parameters) -> Option<(Compressor, Decompressor)> {
        let options = self.compression.as_ref()?;
        Some((
            Compressor::new(Role::Client, parameters, options, Arc::clone(&self.pool)),
            Decompressor::new(Role::Client, parameters, Arc::clone(&self.pool)),
        ))
    }
}

/// The extensions of the response, in one line.
fn extensions(headers: &HeaderMap) -> String {
    let lines: Vec<_> = headers
        .get_all(http::header::SEC_WEBSOCKET_EXTENSIONS)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    lines.join(", ")
}
