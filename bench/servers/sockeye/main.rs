//! The peer of this name: Sockeye's server, with `async` handlers or with callbacks on a driver.

mod asynchronous;
mod callbacks;

use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use contract::{Compression, LARGEST_MESSAGE, Options};
use sockeye::driver::DriverKind;
use sockeye::proto::deflate::Deflate;
use sockeye::server::{Server, ServerBuilder};
use sockeye::tls::ServerTls;
use sockeye::{Config, Keepalive, QueueLimits};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Callbacks on one worker with this driver, in place of `async` handlers
    #[arg(long, value_enum)]
    driver: Option<Driver>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Driver {
    Uring,
    Readiness,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let builder = settings(&arguments.options)?;
    let builder = match arguments.driver {
        None => asynchronous::routes(builder),
        Some(Driver::Uring) => callbacks::routes(builder).workers(1).driver(DriverKind::Uring),
        Some(Driver::Readiness) => callbacks::routes(builder)
            .workers(1)
            .driver(DriverKind::Readiness),
    };
    contract::run(serve(builder))
}

async fn serve(builder: ServerBuilder) -> Result<()> {
    let server = builder.listen().await?;
    println!("{}", server.tcp_address().context("no TCP address")?.port());
    server.serve().await;
    Ok(())
}

/// What goes for all routes.
fn settings(options: &Options) -> Result<ServerBuilder> {
    let builder = Server::builder()
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
        .queues(QueueLimits {
            send: LARGEST_MESSAGE,
            ..QueueLimits::default()
        })
        .bind("127.0.0.1:0");
    Ok(match (&options.tls_certificate, &options.tls_key) {
        (Some(chain), Some(key)) => builder.tls(ServerTls::from_pem_files(chain, key)?),
        _ => builder,
    })
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
