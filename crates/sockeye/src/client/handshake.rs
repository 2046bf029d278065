//! The opening handshake over a connected transport.

use std::io;
use std::sync::Arc;

use http::HeaderMap;
use sockeye_proto::deflate::{Compressor, Decompressor, Parameters};
use sockeye_proto::handshake::HeadLimits;
use sockeye_proto::handshake::client::{Request, ResponseError, ResponseHead, ResponseReader};
use sockeye_proto::{Connection, Role};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tracing::Instrument;

use super::dial::Duplex;
use super::phase::Clock;
use super::{ConnectionInfo, Settings, refusal};
use crate::error::{ConnectPhase, Error, Result};
use crate::opening::Opening;
use crate::websocket::{Agreement, WebSocket};

/// How much is read at once until the handshake is done, in bytes. A response seldom needs more.
const READ_SIZE: usize = 4096;

impl Settings {
    /// Asks the server at the other end of `io` for a WebSocket, and starts it.
    pub(super) async fn open<IO: Duplex>(
        &self,
        mut io: IO,
        request: &Request,
        info: ConnectionInfo,
        clock: &Clock,
    ) -> Result<WebSocket> {
        let started = Instant::now();
        let host = request.target().host_header();
        let limit = clock.limit(ConnectPhase::Handshake);
        let mut received = Vec::new();
        let exchange = exchange(&mut io, request, self.head_limits, &mut received);
        let ResponseHead { response, len, .. } = match limit.hold(exchange).await {
            Some(result) => result.map_err(|failure| failure.with(&host))?,
            None => return Err(limit.passed(&host, "")),
        };
        received.drain(..len);
        let negotiated = match request.verify(&response) {
            Ok(negotiated) => negotiated,
            Err(ResponseError::Status(_)) => {
                let left = limit.time().saturating_sub(started.elapsed());
                return Err(refusal::read(io, &host, response, &received, left).await);
            }
            Err(error) => return Err(Failure::Answer(error.to_string()).with(&host)),
        };
        received.shrink_to_fit();
        let mut data = http::Extensions::new();
        data.insert(info);
        data.insert(request.to_http());
        let extensions = extensions(response.headers());
        data.insert(response);
        let agreement = Agreement {
            subprotocol: negotiated.subprotocol.map(String::from),
            extensions,
            data,
        };
        Ok(self.start(io, request, agreement, negotiated.deflate, received))
    }

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
                Box::new(rand::random::<[u8; 4]>),
                deflate.and_then(|parameters| self.codec(parameters)),
                opened_at.into_std(),
            ),
            agreement,
            limits: self.queues.clone(),
            metrics: self.session_metrics.clone(),
            leftover,
        };
        let (ws, driver) = opening.start(io);
        let session = ws.shared();
        let task = async move {
            driver.await;
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

/// Sends the request and reads up to the end of the response's head, perhaps further.
async fn exchange<IO: AsyncRead + AsyncWrite + Unpin>(
    io: &mut IO,
    request: &Request,
    limits: HeadLimits,
    received: &mut Vec<u8>,
) -> Result<ResponseHead, Failure> {
    let mut out = Vec::new();
    request.write(&mut out);
    io.write_all(&out).await?;
    io.flush().await?;

    let mut reader = ResponseReader::new(limits);
    loop {
        received.reserve(READ_SIZE);
        if (&mut *io).take(READ_SIZE as u64).read_buf(received).await? == 0 {
            return Err(Failure::Answer(match received.len() {
                0 => "the server closed the connection without an answer".to_owned(),
                _ => "the server closed the connection in the middle of its answer".to_owned(),
            }));
        }
        match reader.read(received) {
            Ok(Some(head)) => return Ok(head),
            Ok(None) => {}
            // RFC 8446 §5.1: the record of an alert. It is what a server of wss:// says to plain text.
            Err(_) if received.starts_with(&[21, 3]) => {
                return Err(Failure::Answer("the server speaks TLS; try wss://".to_owned()));
            }
            Err(error) => return Err(Failure::Answer(error.to_string())),
        }
    }
}

/// Why there is no proper answer.
#[derive(Debug)]
enum Failure {
    /// What is wrong with it.
    Answer(String),
    Lost(io::Error),
}

impl Failure {
    fn with(self, host: &str) -> Error {
        let failed = |how: &str| format!("the opening handshake with {host} failed: {how}");
        match self {
            Self::Answer(how) => Error::connecting(ConnectPhase::Handshake, failed(&how)),
            #[cfg(feature = "tls")]
            Self::Lost(error) if super::tls::is_tls(&error) => super::tls::failed(host, error),
            Self::Lost(error) => {
                Error::connecting_by(ConnectPhase::Handshake, failed("the connection was lost"), error)
            }
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
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
