//! The opening handshake over a connected transport.

use std::sync::Arc;

use http::{HeaderMap, Response};
use sockeye_proto::deflate::{Compressor, Decompressor, Parameters};
use sockeye_proto::handshake::client::{Request, ResponseError, ResponseHead, ResponseReader};
use sockeye_proto::handshake::{HeadLimits, Negotiated};
use sockeye_proto::{Connection, Role};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;
use tracing::Instrument;

use super::Settings;
use super::phase::Phase;
use super::refusal;
use crate::error::{Error, Kind, Result};
use crate::opening::Opening;
use crate::websocket::{Agreement, WebSocket};

/// How much is read at once until the handshake is done, in bytes. A response seldom needs more.
const READ_SIZE: usize = 4096;

impl Settings {
    /// Asks the server at the other end of `io` for a WebSocket, and starts it.
    pub(super) async fn open<IO>(&self, mut io: IO, request: &Request) -> Result<WebSocket>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let started = Instant::now();
        let limit = self.timeouts.handshake;
        let mut received = Vec::new();
        let exchange = exchange(&mut io, request, self.head_limits, &mut received);
        let ResponseHead { response, len, .. } = Phase::Handshake.within(limit, exchange).await?;
        received.drain(..len);
        let negotiated = match request.verify(&response) {
            Ok(negotiated) => negotiated,
            Err(ResponseError::Status(_)) => {
                let left = limit.saturating_sub(started.elapsed());
                return Err(refusal::read(io, response, &received, left).await);
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        received.shrink_to_fit();
        Ok(self.start(io, request, response, negotiated, received))
    }

    /// The session of a finished handshake, its driver in a task of its own.
    fn start<IO>(
        &self,
        io: IO,
        request: &Request,
        response: Response<()>,
        negotiated: Negotiated,
        leftover: Vec<u8>,
    ) -> WebSocket
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let extensions = extensions(response.headers());
        let mut data = http::Extensions::new();
        data.insert(response);
        let agreement = Agreement {
            subprotocol: negotiated.subprotocol.map(String::from),
            extensions,
            data,
        };
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
                negotiated.deflate.and_then(|parameters| self.codec(parameters)),
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
) -> Result<ResponseHead> {
    let mut out = Vec::new();
    request.write(&mut out);
    io.write_all(&out).await.map_err(lost)?;
    io.flush().await.map_err(lost)?;

    let mut reader = ResponseReader::new(limits);
    loop {
        received.reserve(READ_SIZE);
        if (&mut *io)
            .take(READ_SIZE as u64)
            .read_buf(received)
            .await
            .map_err(lost)?
            == 0
        {
            return Err(failed(match received.len() {
                0 => "the server closed the connection without an answer",
                _ => "the server closed the connection in the middle of its answer",
            }));
        }
        match reader.read(received) {
            Ok(Some(head)) => return Ok(head),
            Ok(None) => {}
            Err(error) => return Err(failed(error.to_string())),
        }
    }
}

fn failed(how: impl Into<String>) -> Error {
    Error::new(Kind::Handshake(how.into()))
}

fn lost(error: std::io::Error) -> Error {
    Error::with_source(Kind::Handshake("the connection was lost".to_owned()), error)
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
