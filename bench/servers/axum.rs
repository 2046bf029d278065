//! The peer of this name, after its `websockets` and `chat` examples; connections are served by hyper as `axum::serve`
//! does it.

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::any;
use clap::Parser;
use contract::{LARGEST_MESSAGE, Options, Peer, Topics, Transport};
use futures_util::{SinkExt, StreamExt};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;

fn main() -> Result<()> {
    let options = Options::parse();
    let router = Router::new()
        .route(contract::ECHO, any(upgrade_echo))
        .route("/{topic}", any(upgrade_member))
        .with_state(Topics::default());
    contract::run(async move { contract::accept_for(&options, Server(router)).await })
}

#[derive(Clone)]
struct Server(Router);

impl Peer for Server {
    async fn serve<S: Transport>(self, stream: S) -> Result<()> {
        http1::Builder::new()
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.0))
            .with_upgrades()
            .await?;
        Ok(())
    }
}

fn with_limits(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .max_message_size(LARGEST_MESSAGE)
        .max_frame_size(LARGEST_MESSAGE)
}

async fn upgrade_echo(upgrade: WebSocketUpgrade) -> Response {
    with_limits(upgrade).on_upgrade(async |mut ws: WebSocket| {
        while let Some(Ok(message)) = ws.recv().await {
            if is_data(&message) && ws.send(message).await.is_err() {
                return;
            }
        }
    })
}

async fn upgrade_member(
    upgrade: WebSocketUpgrade,
    uri: Uri,
    State(topics): State<Topics<Message>>,
) -> Response {
    with_limits(upgrade).on_upgrade(async move |ws| {
        // How a connection ends is of no interest.
        drop(member(ws, uri.path(), topics).await);
    })
}

async fn member(ws: WebSocket, path: &str, topics: Topics<Message>) -> Result<()> {
    let (publish, mut deliveries) = topics.join(path);
    let (mut sink, mut stream) = ws.split();
    loop {
        tokio::select! {
            message = stream.next() => match message.transpose()? {
                // Fails only without subscribers, and this connection is one.
                Some(message) if is_data(&message) => drop(publish.send(message)),
                Some(_) => {}
                None => return Ok(()),
            },
            delivery = deliveries.recv() => {
                sink.feed(delivery?).await?;
                while let Ok(delivery) = deliveries.try_recv() {
                    sink.feed(delivery).await?;
                }
                sink.flush().await?;
            }
        }
    }
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}
