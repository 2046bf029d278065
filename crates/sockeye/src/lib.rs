//! The complete WebSocket system for Rust: server and client on tokio.

// What lies beneath client and server is compiled whole; with fewer features some of it has no caller.
#![cfg_attr(
    not(all(feature = "client", feature = "server", feature = "tls")),
    allow(dead_code, unused_imports)
)]

#[cfg(feature = "client")]
mod client;
mod error;
mod message;
mod metrics;
mod session;
#[cfg(feature = "tls")]
pub mod tls;
mod websocket;

#[cfg(feature = "client")]
pub use client::{Client, ClientBuilder, ConnectTimeouts, connect};
pub use error::{Error, Refusal, Result};
pub use message::{AsMessage, Chunk, Message, Utf8Bytes};
pub use session::{CloseInfo, QueueLimits};
pub use sockeye_proto as proto;
pub use sockeye_proto::{CloseCode, Compress, Config, Delivery, Keepalive, MessageKind};
pub use websocket::{Receiver, Sender, WebSocket};
