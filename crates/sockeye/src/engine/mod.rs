//! The engine: workers that serve many WebSockets each, by callbacks.
//!
//! A [`worker`] is a thread with a [driver](crate::driver). Each connection has a [`slot`] there, from accepted to closed, and
//! never leaves its worker: first it is at the [`door`], then it is an [`open`](session) WebSocket of a [`handler`], then
//! it is closing. [`owner`] hears from the driver and does what follows.
//!
//! Nothing here waits, and nothing is shared between threads but the [`mailbox`].

mod common;
mod door;
mod handler;
mod mailbox;
mod open;
mod owner;
mod publish;
mod read;
mod route;
mod session;
mod slab;
mod slot;
mod socket;
#[cfg(test)]
mod tests;
mod tls;
mod wheel;
mod wire;
mod worker;

pub use handler::{CloseEvent, Handler};
pub use mailbox::{Gone, SocketHandle};
pub use socket::{Sent, Socket};
