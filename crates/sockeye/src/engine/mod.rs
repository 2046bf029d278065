//! The engine: workers that serve many WebSockets each, by callbacks.
//!
//! A [`worker`] is a thread with a [driver](crate::driver). Each connection has a [`slot`] there, from accepted to closed, and
//! never leaves its worker: first it is at the [`door`], then it is an [`open`](session) WebSocket of a [`handler`], then
//! it is closing. [`owner`] hears from the driver and does what follows.
//!
//! Nothing here waits, and nothing is shared between threads but the [`mailbox`].

mod bell;
mod common;
mod desk;
mod door;
mod ending;
mod entrance;
mod flow;
mod handler;
mod leaving;
mod mailbox;
mod news;
mod open;
mod owner;
mod pipe;
mod piped;
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
mod workers;

pub(crate) use desk::Desk;
pub use handler::{CloseEvent, Handler};
pub(crate) use mailbox::Listed;
pub use mailbox::{Gone, SocketHandle, Unsent};
pub(crate) use pipe::Pipe;
pub(crate) use route::{AnyHandler, Seat};
pub use socket::{Sent, Socket};
pub(crate) use workers::{Plan, Workers};
