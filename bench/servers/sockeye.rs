//! The peer of this name: Sockeye's server with `async` handlers.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use contract::{Compression, LARGEST_MESSAGE, Options, Topics};
use sockeye::proto::deflate::Deflate;
use sockeye::server::{Server, UpgradeRequest};
use sockeye::tls::ServerTls;
use sockeye::{Config, HandlerResult, Keepalive, Message, WebSocket};
use tokio::sync::broadcast::error::RecvError;

fn main() -> Result<()> {
    contract::run(serve(Options::parse()))
}

async fn serve(options: Options) -> Result<()> {
    let topics = Topics::default();
    let mut builder = Server::builder()
        .route(contract::ECHO, echo)
        .route("/{*topic}", move |ws: WebSocket, request: UpgradeRequest| {
            member(ws, request, topics.clone())
        })
        .compression(compression(options.compression))
        .limits(Config {
            max_message_size: LARGEST_MESSAGE as u64,
            max_frame_size: LARGEST_MESSAGE as u64,
            // As late as the other servers': no ping falls into a measurement.
            keepalive: Some(Keepalive {
                interval: Duration::from_secs(900),
                timeout: Duration::from_secs(60),
            }),
            ..Config::server()
        })
        .bind("127.0.0.1:0");
    if let (Some(chain), Some(key)) = (options.tls_certificate, options.tls_key) {
        builder = builder.tls(ServerTls::from_pem_files(chain, key)?);
    }
    let server = builder.listen().await?;
    println!("{}", server.tcp_address().context("no TCP address")?.port());
    server.serve().await;
    Ok(())
}

fn compression(wanted: Compression) -> Option<Deflate> {
    match wanted {
        Compression::Off => None,
        // As all others, it compresses messages of any size.
        Compression::Shared => Some(Deflate {
            threshold: 0,
            ..Deflate::default()
        }),
        Compression::Dedicated => Some(Deflate {
            threshold: 0,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            ..Deflate::default()
        }),
    }
}

async fn echo(mut ws: WebSocket) -> HandlerResult {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

async fn member(mut ws: WebSocket, request: UpgradeRequest, topics: Topics<Message>) -> HandlerResult {
    let (publish, mut deliveries) = topics.join(request.path());
    loop {
        tokio::select! {
            message = ws.recv() => match message? {
                // Fails only without subscribers, and this connection is one.
                Some(message) => drop(publish.send(message)),
                None => return Ok(()),
            },
            delivery = deliveries.recv() => match delivery {
                Ok(message) => ws.send(message).await?,
                Err(RecvError::Lagged(_) | RecvError::Closed) => return Ok(()),
            },
        }
    }
}
