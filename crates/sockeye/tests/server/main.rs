//! The server as clients meet it, over sockets.

mod acceptor;
#[cfg(feature = "axum")]
mod axum_glue;
mod control;
mod events;
mod frames;
mod handshake;
mod hooks;
mod hostile;
#[cfg(feature = "hyper")]
mod hyper_glue;
mod limits;
mod others;
mod peer;
mod proxy_protocol;
mod routing;
#[cfg(all(feature = "tls", unix))]
mod secured;
mod shutdown;
mod slow;
mod sockets;
#[cfg(feature = "tls")]
mod tls;
#[cfg(unix)]
mod topics;
#[cfg(unix)]
mod workers;
