//! The peer of this name, after `echo-server.rs` among the crate's examples: messages that are ready are answered before
//! the answers are flushed.

use anyhow::Result;
use clap::Parser;
use contract::{LARGEST_MESSAGE, Options, Peer, Topics, Transport};
use futures_util::{SinkExt, StreamExt, TryStreamExt, future};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// The read buffer of each connection, in bytes; the library's own default without this
    #[arg(long)]
    read_buffer: Option<usize>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut config = WebSocketConfig::default()
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE));
    if let Some(size) = arguments.read_buffer {
        config = config.read_buffer_size(size);
    }
    let server = Server {
        topics: Topics::default(),
        config,
    };
    contract::run(async move { contract::accept_for(&arguments.options, server).await })
}

#[derive(Clone)]
struct Server {
    topics: Topics<Message>,
    config: WebSocketConfig,
}

impl Peer for Server {
    async fn serve<S: Transport>(self, stream: S) -> Result<()> {
        let mut path = String::new();
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            request.uri().path().clone_into(&mut path);
            Ok(response)
        };
        let ws = tokio_tungstenite::accept_hdr_async_with_config(stream, look, Some(self.config)).await?;
        let (mut sink, mut stream) = ws.split();
        if path == contract::ECHO {
            let messages = stream.try_filter(|message| future::ready(is_data(message)));
            messages.forward(sink).await?;
            return Ok(());
        }
        let (publish, mut deliveries) = self.topics.join(&path);
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
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}
