//! The WebSocket protocol as a state machine: bytes in, events out.
//!
//! This crate speaks RFC 6455 and RFC 7692 (permessage-deflate) for both roles and does nothing else. It has no
//! socket, no clock, no runtime and no randomness of its own, so one implementation serves every transport, every
//! event loop, tests and simulations. The `sockeye` crate puts it on tokio.

#![forbid(unsafe_code)]

mod close;
mod config;
mod connection;
pub mod deflate;
mod error;
pub mod extension;
mod frame;
pub mod handshake;
mod mask;
mod message;
mod role;
mod subprotocol;
mod utf8;
#[cfg(test)]
mod work;

pub use close::{CloseCode, CloseFrame, MAX_CLOSE_REASON, ReasonTooLong};
pub use config::{Config, Delivery, Keepalive};
pub use connection::{Chunk, Connection, Event, Received, Shutdown, State, Workspace};
pub use error::{Error, Limit, ProtocolError, SendError, Timeout};
pub use frame::{FrameHeader, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN, Opcode};
pub use mask::{Mask, MaskKeys};
pub use message::{Compress, Message, MessageKind};
pub use role::Role;
pub use subprotocol::{InvalidSubprotocol, Subprotocol};
