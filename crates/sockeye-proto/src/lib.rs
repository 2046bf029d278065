//! Sockeye.

pub mod deflate;
pub mod extension;
pub mod handshake;
mod role;
mod subprotocol;

pub use role::Role;
pub use subprotocol::{InvalidSubprotocol, Subprotocol};
