//! The server as clients meet it, over sockets.

mod handshake;
mod hooks;
mod limits;
mod peer;
mod shutdown;
mod sockets;
#[cfg(feature = "tls")]
mod tls;
