//! The peer of this name, after `echo_server.rs` among the crate's examples.

use anyhow::Result;
use clap::Parser;
use contract::{Options, Peer, Topics, Transport};
use futures_util::{SinkExt, StreamExt};
use tokio_websockets::{Config, Limits, Message, ServerBuilder};

fn main() -> Result<()> {
    let options = Options::parse();
    let server = Server(Topics::default());
    contract::run(async move { contract::accept_for(&options, server).await })
}

#[derive(Clone)]
struct Server(Topics<Message>);

impl Peer for Server {
    async fn serve<S: Transport>(self, stream: S) -> Result<()> {
        let (request, mut ws) = ServerBuilder::new()
            .config(Config::default().frame_size(usize::MAX))
            .limits(Limits::unlimited())
            .accept(stream)
            .await?;
        let path = request.uri().path();
        if path == contract::ECHO {
            while let Some(message) = ws.next().await.transpose()? {
                if is_data(&message) {
                    ws.send(message).await?;
                }
            }
            return Ok(());
        }
        let (publish, mut deliveries) = self.0.join(path);
        loop {
            tokio::select! {
                message = ws.next() => match message.transpose()? {
                    // Fails only without subscribers, and this connection is one.
                    Some(message) if is_data(&message) => drop(publish.send(message)),
                    Some(_) => {}
                    None => return Ok(()),
                },
                delivery = deliveries.recv() => {
                    ws.feed(delivery?).await?;
                    while let Ok(delivery) = deliveries.try_recv() {
                        ws.feed(delivery).await?;
                    }
                    ws.flush().await?;
                }
            }
        }
    }
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
