//! The peer of this name. As its own benchmarks do, it answers up to 32 messages that are ready before it flushes; its
//! buffers are left as they come.

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use contract::{Compression, LARGEST_MESSAGE, Options, Peer, Topics, Transport};
use futures_util::{FutureExt, SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use yawc::{DeflatePool, Frame, HttpWebSocket, OpCode, WebSocket, WebSocketError};

/// How many messages are answered before a flush.
const BATCH: usize = 32;

fn main() -> Result<()> {
    let options = Options::parse();
    let plain = yawc::Options::default()
        .with_limits(LARGEST_MESSAGE, 2 * LARGEST_MESSAGE)
        .with_fragment_timeout(Duration::from_secs(60))
        .with_utf8();
    let server = Server {
        topics: Topics::default(),
        settings: match options.compression {
            Compression::Off => plain.without_compression(),
            Compression::Shared => plain
                .with_balanced_compression()
                .server_no_context_takeover()
                .client_no_context_takeover()
                .with_compression_threshold(0)
                .with_deflate_pool(DeflatePool::new(64)),
            Compression::Dedicated => plain.with_balanced_compression().with_compression_threshold(0),
        },
    };
    contract::run(async move { contract::accept_for(&options, server).await })
}

type Delivery = (OpCode, Bytes);

#[derive(Clone)]
struct Server {
    topics: Topics<Delivery>,
    settings: yawc::Options,
}

impl Peer for Server {
    async fn serve<S: Transport>(self, stream: S) -> Result<()> {
        let service = service_fn(move |request| upgraded(self.clone(), request));
        http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await?;
        Ok(())
    }
}

async fn upgraded(
    server: Server,
    mut request: Request<Incoming>,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let path = request.uri().path().to_owned();
    let (response, upgrade) = WebSocket::upgrade_with_options(&mut request, server.settings)?;
    tokio::spawn(async move {
        let ws = upgrade.await?;
        if path == contract::ECHO {
            echo(ws).await
        } else {
            member(ws, &path, server.topics).await
        }
    });
    Ok(response)
}

async fn echo(mut ws: HttpWebSocket) -> Result<(), WebSocketError> {
    let mut ready = 0;
    while let Some(frame) = ws.next().await {
        let mut frame = Some(frame);
        while let Some(next) = frame {
            if is_data(&next) {
                ws.feed(next).await?;
            }
            ready += 1;
            frame = if ready < BATCH {
                ws.next().now_or_never().flatten()
            } else {
                None
            };
        }
        ws.flush().await?;
        ready = 0;
    }
    Ok(())
}

async fn member(mut ws: HttpWebSocket, path: &str, topics: Topics<Delivery>) -> Result<(), WebSocketError> {
    let (publish, mut deliveries) = topics.join(path);
    loop {
        tokio::select! {
            frame = ws.next() => match frame {
                // Fails only without subscribers, and this connection is one.
                Some(frame) if is_data(&frame) => {
                    drop(publish.send((frame.opcode(), frame.payload().clone())));
                }
                Some(_) => {}
                None => return Ok(()),
            },
            delivery = deliveries.recv() => {
                let Ok(delivery) = delivery else { return Ok(()) };
                ws.feed(frame_of(delivery)).await?;
                while let Ok(delivery) = deliveries.try_recv() {
                    ws.feed(frame_of(delivery)).await?;
                }
                ws.flush().await?;
            }
        }
    }
}

fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}

fn frame_of((opcode, payload): Delivery) -> Frame {
    match opcode {
        OpCode::Text => Frame::text(payload),
        _ => Frame::binary(payload),
    }
}
