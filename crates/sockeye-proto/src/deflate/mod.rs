//! Compression of messages: the permessage-deflate extension (RFC 7692).
//!
//! [`Deflate`] says what one side wants. A server answers a client's offers with [`Deflate::accept`]; a
//! client makes them with [`Deflate::offer`] and checks the answer with [`Deflate::confirm`]. Either way
//! the result is a set of [`Parameters`] that both sides keep to.

mod negotiation;
mod options;
mod parameters;

pub use negotiation::NegotiationError;
pub use options::{Deflate, Level, MemLevel, WindowBits};
pub use parameters::{EXTENSION_NAME, Parameters};
