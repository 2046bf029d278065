//! The server's side: read a request, check it, answer it.
//!
//! 1. [`RequestReader`] finds the head in what was received and parses it. (With hyper or axum that is done
//!    already.)
//! 2. [`wants_websocket`] tells cheaply whether the request is meant for us at all.
//! 3. [`Upgrade::check`] enforces RFC 6455 §4.2.1 and gives a typed request, or a [`Refusal`].
//! 4. [`Upgrade::accept`] builds the 101 response; a [`Rejection`] builds any other.

mod acceptance;
mod refusal;
mod rejection;
mod request_reader;
mod upgrade;

pub use acceptance::{Acceptance, NotOffered};
pub use refusal::Refusal;
pub use rejection::{InvalidStatus, Rejection};
pub use request_reader::{RequestHead, RequestReader};
pub use upgrade::{Upgrade, wants_websocket};
