//! The complete WebSocket system for Rust: server and client on tokio.

// What lies beneath client and server is compiled whole; with fewer features some of it has no caller.
#![cfg_attr(
    not(all(feature = "client", feature = "server", feature = "tls")),
    allow(dead_code, unused_imports)
)]

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "client")]
mod client;
mod error;
#[cfg(feature = "hyper")]
pub mod hyper;
mod message;
mod metrics;
#[cfg(any(feature = "server", feature = "hyper"))]
mod origin;
#[cfg(feature = "server")]
pub mod server;
mod session;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(any(feature = "server", feature = "hyper"))]
mod upgrade;
mod websocket;

#[cfg(feature = "client")]
pub use client::{Client, ClientBuilder, ConnectTimeouts, connect};
pub use error::{Error, Refusal, Result};
pub use message::{AsMessage, Chunk, Message, Utf8Bytes};
#[cfg(any(feature = "server", feature = "hyper"))]
pub use origin::{BadOrigin, Origin, OriginPolicy, OriginRefusal};
#[cfg(feature = "server")]
pub use server::Server;
pub use session::{CloseInfo, QueueLimits};
pub use sockeye_proto as proto;
pub use sockeye_proto::{CloseCode, Compress, Config, Delivery, Keepalive, MessageKind};
pub use websocket::{Receiver, Sender, WebSocket};

/// An error of any type, which `?` makes from whatever the application uses.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a handler of WebSockets returns.
pub type HandlerResult = std::result::Result<(), BoxError>;
