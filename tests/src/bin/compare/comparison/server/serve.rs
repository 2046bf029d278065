//! The echo servers, each as its library's documentation has it, on a current-thread tokio runtime.
//!
//! How a connection ends is dropped: the load resets its connections, and notices itself if a server ends one.

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError, upgrade};
use futures_util::{StreamExt, TryStreamExt, future};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sockeye::server::Server;
use sockeye::{Config, WebSocket};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::Library;

/// Sockeye's default is 64 KiB; the peers' are 64 MiB.
const LARGEST_MESSAGE: u64 = 16 * 1024 * 1024;

/// Serves on a free port, which it prints, until the process is killed.
pub(in crate::comparison) fn serve(library: Library) -> Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            match library {
                Library::Sockeye => sockeye().await,
                Library::TokioTungstenite => tokio_tungstenite(WebSocketConfig::default()).await,
                Library::TokioTungstenite4k => {
                    tokio_tungstenite(WebSocketConfig::default().read_buffer_size(4 * 1024)).await
                }
                Library::Fastwebsockets => fastwebsockets().await,
            }
        })
}

async fn sockeye() -> Result<()> {
    let server = Server::builder()
        .route("/", |mut ws: WebSocket| async move {
            while let Some(message) = ws.recv().await? {
                ws.send(message).await?;
            }
            Ok(())
        })
        .limits(Config {
            max_message_size: LARGEST_MESSAGE,
            ..Config::server()
        })
        .bind("127.0.0.1:0")
        .listen()
        .await?;
    println!("{}", server.tcp_address().context("no TCP address")?.port());
    server.serve().await;
    Ok(())
}

async fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    Ok(listener)
}

/// The next connection. Answers leave at once, as with Sockeye, which sets this by default.
async fn accept(listener: &TcpListener) -> Result<TcpStream> {
    let (stream, _) = listener.accept().await.context("accept")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// After `echo-server.rs` among the crate's examples.
async fn tokio_tungstenite(config: WebSocketConfig) -> Result<()> {
    async fn echo(stream: TcpStream, config: WebSocketConfig) -> tungstenite::Result<()> {
        let (sink, stream) = tokio_tungstenite::accept_async_with_config(stream, Some(config))
            .await?
            .split();
        stream
            .try_filter(|message| future::ready(message.is_text() || message.is_binary()))
            .forward(sink)
            .await
    }

    let listener = listen().await?;
    loop {
        let stream = accept(&listener).await?;
        tokio::spawn(echo(stream, config));
    }
}

/// After `echo_server.rs` among the crate's examples.
async fn fastwebsockets() -> Result<()> {
    async fn echo(upgrade: upgrade::UpgradeFut) -> Result<(), WebSocketError> {
        let mut ws = FragmentCollector::new(upgrade.await?);
        loop {
            let frame = ws.read_frame().await?;
            match frame.opcode {
                OpCode::Close => return Ok(()),
                OpCode::Text | OpCode::Binary => ws.write_frame(frame).await?,
                _ => {}
            }
        }
    }

    async fn upgraded(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, WebSocketError> {
        let (response, upgrade) = upgrade::upgrade(&mut request)?;
        tokio::spawn(tokio::task::unconstrained(echo(upgrade)));
        Ok(response)
    }

    let listener = listen().await?;
    loop {
        let stream = accept(&listener).await?;
        tokio::spawn(
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(upgraded))
                .with_upgrades(),
        );
    }
}
