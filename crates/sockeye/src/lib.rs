//! The complete WebSocket system for Rust: server and client on tokio.

mod error;
mod message;
mod metrics;
mod session;
#[cfg(feature = "tls")]
pub mod tls;
mod websocket;

pub use error::{Error, Refusal, Result};
pub use message::{AsMessage, Chunk, Message, Utf8Bytes};
pub use session::{CloseInfo, QueueLimits};
pub use sockeye_proto as proto;
pub use sockeye_proto::{CloseCode, Compress, Config, Delivery, Keepalive, MessageKind};
pub use websocket::{Receiver, Sender, WebSocket};
