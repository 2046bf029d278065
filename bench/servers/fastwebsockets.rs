//! The peer of this name, after `echo_server.rs` and `tls_server.rs` among the crate's examples.

use anyhow::Result;
use clap::Parser;
use contract::{Options, Peer, Topics, Transport};
use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, WebSocketError, upgrade};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

fn main() -> Result<()> {
    let options = Options::parse();
    let server = Server {
        topics: Topics::default(),
        tls: options.tls_certificate.is_some(),
    };
    contract::run(async move { contract::accept_for(&options, server).await })
}

type Delivery = (OpCode, Bytes);

#[derive(Clone)]
struct Server {
    topics: Topics<Delivery>,
    tls: bool,
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
    let (response, upgrade) = upgrade::upgrade(&mut request)?;
    let path = request.uri().path().to_owned();
    tokio::spawn(tokio::task::unconstrained(async move {
        let mut ws = upgrade.await?;
        // One write for a frame is better than one of two parts where it has to be encrypted.
        ws.set_writev(!server.tls);
        ws.set_max_message_size(contract::LARGEST_MESSAGE);
        let ws = FragmentCollector::new(ws);
        if path == contract::ECHO {
            echo(ws).await
        } else {
            member(ws, &path, server.topics).await
        }
    }));
    Ok(response)
}

type WebSocket = FragmentCollector<TokioIo<hyper::upgrade::Upgraded>>;

async fn echo(mut ws: WebSocket) -> Result<(), WebSocketError> {
    loop {
        let frame = ws.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => ws.write_frame(frame).await?,
            _ => {}
        }
    }
}

async fn member(mut ws: WebSocket, path: &str, topics: Topics<Delivery>) -> Result<(), WebSocketError> {
    let (publish, mut deliveries) = topics.join(path);
    loop {
        tokio::select! {
            frame = ws.read_frame() => {
                let frame = frame?;
                match frame.opcode {
                    OpCode::Close => return Ok(()),
                    OpCode::Text | OpCode::Binary => {
                        let payload = Bytes::copy_from_slice(&frame.payload);
                        // Fails only without subscribers, and this connection is one.
                        drop(publish.send((frame.opcode, payload)));
                    }
                    _ => {}
                }
            }
            delivery = deliveries.recv() => {
                let Ok((opcode, payload)) = delivery else { return Ok(()) };
                ws.write_frame(Frame::new(true, opcode, None, Payload::Borrowed(&payload))).await?;
            }
        }
    }
}
