//! Async handlers under the Autobahn test suite: a server that sends every message back.
//!
//! `cargo xtask test autobahn` runs it; handlers of callbacks are tested with the program, `sockeye serve`. It prints
//! where its endpoint is, and serves until it is ended.

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use sockeye::proto::deflate::Deflate;
use sockeye::tls::{Identity, Pem, ServerTls};
use sockeye::{Config, HandlerResult, QueueLimits, Server, WebSocket};

/// Echoes to an Autobahn fuzzing client
#[derive(Parser, Debug)]
struct Options {
    /// Threads that serve; 0 serves on tokio's own runtime
    #[arg(long, default_value = "0")]
    workers: usize,
    /// Whether to agree to permessage-deflate
    #[arg(long, value_enum, default_value_t)]
    compression: Compression,
    /// Serve over TLS, with a certificate made for this run
    #[arg(long)]
    tls: bool,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Compression {
    On,
    #[default]
    Off,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let compression = (options.compression == Compression::On).then(Deflate::default);
    // Room for the largest cases: 16 MiB messages in 65,536 fragments and more, echoes queued while the suite sends.
    let limits = Config {
        max_message_size: 64 * 1024 * 1024,
        max_fragments: 100_000,
        message_timeout: None,
        ..Config::server()
    };
    let queues = QueueLimits {
        send: 64 * 1024 * 1024,
        ..QueueLimits::default()
    };
    let mut server = Server::builder()
        .workers(options.workers)
        .route("/echo", echo)
        .limits(limits)
        .queues(queues)
        .compression(compression)
        .bind("127.0.0.1:0");
    if options.tls {
        server = server.tls(self_signed()?);
    }
    let server = server.listen().await?;
    let scheme = if options.tls { "wss" } else { "ws" };
    let address = server.tcp_address().context("no TCP address")?;
    println!("{scheme}://{address}/echo");
    server.serve().await;
    Ok(())
}

async fn echo(mut ws: WebSocket) -> HandlerResult {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

fn self_signed() -> Result<ServerTls> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    let identity = Identity::new(
        Pem::bytes(made.cert.pem()),
        Pem::bytes(made.signing_key.serialize_pem()),
    );
    Ok(ServerTls::builder().identity(identity).build()?)
}
