//! WebSockets for tokio: a server and a client that share one [`WebSocket`] type, over the protocol core
//! [`sockeye_proto`]. They are strict about RFC 6455 and RFC 7692, bounded in everything a peer can make grow, and
//! cancel safe.
//!
//! A server:
//!
//! ```no_run
//! use sockeye::{HandlerResult, Server, WebSocket};
//!
//! async fn echo(mut ws: WebSocket) -> HandlerResult {
//!     while let Some(message) = ws.recv().await? {
//!         ws.send(message).await?;
//!     }
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> sockeye::Result<()> {
//!     Server::builder().route("/echo", echo).bind("127.0.0.1:3000").serve().await?;
//!     Ok(())
//! }
//! ```
//!
//! A client that talks to it, here in the same program and on a port that the system chooses:
//!
//! ```
//! # use sockeye::{HandlerResult, Server, WebSocket};
//! # async fn echo(mut ws: WebSocket) -> HandlerResult {
//! #     while let Some(message) = ws.recv().await? {
//! #         ws.send(message).await?;
//! #     }
//! #     Ok(())
//! # }
//! use sockeye::CloseCode;
//!
//! #[tokio::main]
//! async fn main() -> sockeye::Result<()> {
//!     let server = Server::builder().route("/echo", echo).bind("127.0.0.1:0").listen().await?;
//!     let address = server.addresses()[0].clone();
//!     tokio::spawn(server.serve());
//!
//!     let mut ws = sockeye::connect(format!("ws://{address}/echo")).await?;
//!     ws.send("hello").await?;
//!     assert_eq!(ws.recv().await?, Some("hello".into()));
//!     ws.close(CloseCode::NORMAL, "").await?;
//!     Ok(())
//! }
//! ```
//!
//! # Where to look
//!
//! | for | see |
//! |---|---|
//! | receiving, sending, closing, splitting in two | [`WebSocket`], [`Sender`], [`Receiver`], [`Message`] |
//! | a server: listeners, routes, limits, shutdown | [`Server`], [`server::ServerBuilder`], [`server::Route`] |
//! | the fast way to serve: callbacks on workers | [`server::Handler`], [`server::Socket`], [`server::SocketHandle`] |
//! | publish/subscribe between the WebSockets of a server | [`hub`], [`server::Socket::subscribe`], [`WebSocket::subscribe`], [`server::ServerHandle::publisher`] |
//! | accepting or rejecting a request | [`server::UpgradeRequest`], [`server::Accept`], [`server::Rejection`], [`OriginPolicy`] |
//! | a client: headers, subprotocols, TLS, timeouts | [`connect()`], [`Client`] |
//! | where a client connects, and what it found there | [`ClientBuilder`], [`client::Resolve`], [`client::ConnectionInfo`] |
//! | the browser's API: `onmessage`, `readyState`, `bufferedAmount` | [`web::WebSocket`], [`web::WebSocketStream`] |
//! | proxies, redirections, cookies of a client | [`Proxy`], [`ProxyPolicy`], [`ClientBuilder::redirects`], [`cookies`] |
//! | a client that comes back after failures | [`reconnect`] |
//! | limits and timeouts of a connection | [`Config`], [`QueueLimits`] |
//! | compression, off by default | [`proto::deflate::Deflate`] |
//! | certificates | [`tls::ServerTls`], [`tls::ClientTls`] |
//! | WebSockets in a program that serves HTTP already | [`axum`], [`hyper`] |
//! | WebSockets on streams that the program accepted itself | [`server::accept`], [`server::Acceptor`] |
//! | messages too large for memory | [`WebSocket::recv_reader`], [`Sender::message_writer`], or piece by piece [`WebSocket::recv_chunk`], [`Sender::send_fragment`] |
//! | a connection as a stream of bytes | [`WebSocket::into_byte_stream`] |
//! | round trips, frames, pauses | [`WebSocket::ping`], [`WebSocket::recv_frame`], [`Sender::send_frame`], [`Receiver::pause`] |
//! | the protocol without I/O | [`proto`] |
//!
//! # Features
//!
//! | feature | default | what it brings |
//! |---|---|---|
//! | `client` | yes | [`connect()`] and [`Client`] |
//! | `server` | yes | [`Server`] |
//! | `web` | yes | [`web`]: the browser's WebSocket API |
//! | `cookies` | yes | [`cookies::CookieStore`], with the public suffix list |
//! | `tls` | yes | `wss://` for both, by rustls with aws-lc-rs |
//! | `hyper` | no | [`hyper::upgrade`], for a bare hyper server |
//! | `axum` | no | [`axum::WebSocketUpgrade`], an extractor |
//!
//! # Cancel safety
//!
//! Every async method of [`WebSocket`], [`Sender`] and [`Receiver`] may be a branch of `select!` or be put under a
//! timeout. A dropped `recv` leaves its message for the next one, a dropped `send` has sent nothing, a dropped
//! [`close`](WebSocket::close) goes on by itself. Dropping a `connect` gives the attempt up.
//!
//! # Back-pressure
//!
//! When the application does not take what arrives, reading stops and TCP holds the peer back; when the peer does not
//! take what is sent, `send` waits, and a peer that takes nothing for a while is dropped. [`QueueLimits`] has the
//! numbers.
//!
//! # Errors
//!
//! [`Error`] is one opaque type that answers questions: was it [closed](Error::is_closed), [lost](Error::is_connection_lost),
//! a [limit](Error::is_limit)? Nothing panics on input, and a handler that panics closes its own connection only, with
//! 1011.
//!
//! # Metrics and traces
//!
//! Connections, handshakes, messages, closes and reached limits are counted through the `metrics` facade; connections
//! have `tracing` spans. The guide lists them.
//!
//! # What it does not do yet
//!
//! There is no WebSocket over HTTP/2 or HTTP/3, and no Socket.IO.

#![deny(unsafe_code)]
// What lies beneath client and server is compiled whole; with fewer features some of it has no caller.
#![cfg_attr(
    not(all(feature = "client", feature = "server", feature = "tls")),
    allow(dead_code, unused_imports)
)]

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "client")]
pub mod client;
#[cfg(engine)]
pub mod driver;
#[cfg(engine)]
mod engine;
mod error;
#[cfg(engine)]
pub mod hub;
#[cfg(feature = "hyper")]
pub mod hyper;
mod message;
mod metrics;
mod opening;
#[cfg(any(feature = "server", feature = "hyper"))]
mod origin;
#[cfg(feature = "server")]
pub mod server;
mod session;
#[cfg(any(feature = "client", feature = "server"))]
mod socket;
#[cfg(any(feature = "server", feature = "hyper"))]
mod spread;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(any(feature = "server", feature = "hyper"))]
mod upgrade;
#[cfg(feature = "web")]
pub mod web;
mod websocket;

#[cfg(feature = "client")]
#[cfg(feature = "cookies")]
pub use client::cookies;
#[cfg(feature = "client")]
pub use client::{Client, ClientBuilder, ConnectTimeouts, Proxy, ProxyPolicy, connect, reconnect};
pub use error::{ConnectPhase, Error, Refusal, Result};
pub use message::{AsMessage, Chunk, Frame, Message, Utf8Bytes};
#[cfg(any(feature = "server", feature = "hyper"))]
pub use origin::{BadOrigin, Origin, OriginPolicy, OriginRefusal};
#[cfg(feature = "server")]
pub use server::Server;
pub use session::{CloseInfo, Overflow, QueueLimits};
pub use sockeye_proto as proto;
pub use sockeye_proto::Message as MessageRef;
pub use sockeye_proto::{
    CloseCode, Compress, Config, Delivery, Keepalive, MessageKind, Opcode, close_description,
};
pub use websocket::{ByteStream, MessageReader, MessageWriter, Receiver, Sender, WeakSender, WebSocket};

/// An error of any type, which `?` makes from whatever the application uses.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a handler of WebSockets returns.
pub type HandlerResult = std::result::Result<(), BoxError>;
