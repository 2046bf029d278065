//! The peer of this name, after `simple_echo.rs`, `pubsub_echo.rs` and the server for Autobahn in the crate.

use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::BytesMut;
use clap::Parser;
use contract::{LARGEST_MESSAGE, Options, Peer, Transport};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use sockudo_ws::deflate::{DeflateConfig, negotiate_server_deflate};
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::{CompressedWebSocketStream, Compression, Config, Error, Message, PubSub, WebSocketStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

fn main() -> Result<()> {
    let options = Options::parse();
    let config = Config::builder()
        .max_message_size(LARGEST_MESSAGE)
        .max_frame_size(LARGEST_MESSAGE)
        .max_backpressure(LARGEST_MESSAGE)
        .idle_timeout(900)
        .auto_ping(false)
        .build();
    let server = Server {
        topics: Arc::new(PubSub::new()),
        config,
        deflate: match options.compression {
            contract::Compression::Off => None,
            contract::Compression::Shared => Compression::Shared.to_deflate_config(),
            contract::Compression::Dedicated => Compression::Dedicated.to_deflate_config(),
        },
    };
    contract::run(async move { contract::accept_for(&options, server).await })
}

#[derive(Clone)]
struct Server {
    topics: Arc<PubSub>,
    config: Config,
    deflate: Option<DeflateConfig>,
}

impl Peer for Server {
    async fn serve<S: Transport>(self, mut stream: S) -> Result<()> {
        let (path, deflate) = shake_hands(&mut stream, self.deflate.as_ref()).await?;
        match deflate {
            None => converse(WebSocketStream::server(stream, self.config), &path, &self.topics).await,
            Some(deflate) => {
                let ws = CompressedWebSocketStream::server(stream, self.config, deflate);
                converse(ws, &path, &self.topics).await
            }
        }
    }
}

/// Answers the opening handshake; gives the path, and the compression that was agreed to.
async fn shake_hands(
    stream: &mut impl Transport,
    deflate: Option<&DeflateConfig>,
) -> Result<(String, Option<DeflateConfig>)> {
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        ensure!(stream.read_buf(&mut buffer).await? > 0, "the client went away");
        let Some((request, _)) = parse_request(&buffer)? else {
            continue;
        };
        let agreed = match (request.extensions, deflate) {
            (Some(offers), Some(policy)) => negotiate_server_deflate(offers, policy),
            _ => None,
        };
        let extension = agreed.as_ref().map(|agreed| agreed.to_response_header());
        let response = build_response(&generate_accept_key(request.key), None, extension.as_deref());
        stream.write_all(&response).await?;
        stream.flush().await?;
        return Ok((request.path.into_owned(), agreed.map(|agreed| agreed.config)));
    }
}

async fn converse<W>(mut ws: W, path: &str, topics: &PubSub) -> Result<()>
where
    W: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Unpin,
{
    if path == contract::ECHO {
        while let Some(message) = ws.next().await.transpose()? {
            if is_data(&message) {
                ws.send(message).await?;
            }
        }
        return Ok(());
    }
    let (sender, mut deliveries) = mpsc::unbounded_channel();
    let id = topics.create_subscriber(sender);
    topics.subscribe(id, path);
    let outcome = member(&mut ws, path, topics, &mut deliveries).await;
    topics.remove_subscriber(id);
    outcome
}

async fn member<W>(
    ws: &mut W,
    path: &str,
    topics: &PubSub,
    deliveries: &mut mpsc::UnboundedReceiver<Message>,
) -> Result<()>
where
    W: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Unpin,
{
    loop {
        tokio::select! {
            message = ws.next() => match message.transpose()? {
                Some(message) if is_data(&message) => {
                    topics.publish(path, message);
                }
                Some(_) => {}
                None => return Ok(()),
            },
            delivery = deliveries.recv() => {
                let Some(delivery) = delivery else { return Ok(()) };
                ws.feed(delivery).await?;
                while let Ok(delivery) = deliveries.try_recv() {
                    ws.feed(delivery).await?;
                }
                ws.flush().await?;
            }
        }
    }
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}
