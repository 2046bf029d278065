//! Compression of messages: the permessage-deflate extension (RFC 7692).
//!
//! [`Deflate`] says what one side wants. A server answers a client's offers with [`Deflate::accept`]; a
//! client makes them with [`Deflate::offer`] and checks the answer with [`Deflate::confirm`]. Either way
//! the result is a set of [`Parameters`] that both sides keep to.
//!
//! With them each connection has a [`Compressor`] for what it sends and a [`Decompressor`] for what it
//! receives. Both borrow their working memory from a [`Pool`] while a message is in flight. Between
//! messages they hold nothing, unless context takeover was agreed on: then the last bytes stay, of what was received as many
//! as the sender's window holds, of what was sent some more and a table of what is where in them ([`Compressor`] says how much).
//!
//! What is received is inflated by a decoder of our own (`decoder`). What is sent is compressed at levels 2 to 5 by a compressor
//! of our own (`encoder`), at the others by zlib-rs (`library`), of which, with context takeover and a window of more than
//! 2 KiB, a connection keeps a whole compressor.
//!
//! ```
//! use std::sync::Arc;
//! use sockeye_proto::Role;
//! use sockeye_proto::deflate::{Compressor, Decompressor, Deflate, Pool};
//!
//! let options = Deflate::default();
//! let (parameters, _) = options.accept(&options.offer()).unwrap();
//! let pool = Arc::new(Pool::default());
//!
//! // The client sends a message.
//! let mut compressor = Compressor::new(Role::Client, parameters, &options, Arc::clone(&pool));
//! let mut payload = Vec::new();
//! compressor.compress(b"to and fro and to and fro", true, &mut payload)?;
//!
//! // The server receives it, in steps of at most 16 bytes.
//! let mut decompressor = Decompressor::new(Role::Server, parameters, pool);
//! let (mut message, mut buffer) = (Vec::new(), [0; 16]);
//! let mut rest = &payload[..];
//! while !rest.is_empty() {
//!     let step = decompressor.inflate(rest, &mut buffer)?;
//!     rest = &rest[step.consumed..];
//!     message.extend_from_slice(&buffer[..step.produced]);
//! }
//! loop {
//!     let step = decompressor.finish(&mut buffer)?;
//!     message.extend_from_slice(&buffer[..step.produced]);
//!     if step.done {
//!         break;
//!     }
//! }
//! assert_eq!(message, b"to and fro and to and fro");
//! # Ok::<(), sockeye_proto::deflate::DeflateError>(())
//! ```

mod compressor;
mod decoder;
mod decompressor;
mod encoder;
mod history;
mod library;
mod negotiation;
mod options;
mod parameters;
mod pool;

pub use compressor::Compressor;
pub use decompressor::{Decompressor, Finished, Inflated};
pub use negotiation::NegotiationError;
pub use options::{Deflate, Level, MemLevel, WindowBits};
pub use parameters::{EXTENSION_NAME, Parameters};
pub(crate) use pool::Settings;
pub use pool::{Pool, PoolStats};

/// What ends each sync flush of a compressor: the body of an empty stored block. RFC 7692 §7.2.1 has the
/// sender remove it from the end of a message and §7.2.2 has the receiver put it back.
const TRAILER: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Why a message could not be compressed or decompressed. The stream is then lost, and with it the
/// connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DeflateError {
    /// The peer sent something that is not DEFLATE (RFC 1951), or refers back further than it may.
    #[error("invalid compressed data")]
    InvalidData,
    /// A message ended in the middle of a compressed block.
    #[error("a compressed message ended within a block")]
    Truncated,
    /// The compression library failed, which no input can bring about.
    #[error("the compression library failed")]
    Internal,
}

impl DeflateError {
    /// Whether what the peer sent caused the error.
    pub const fn is_peers_fault(self) -> bool {
        !matches!(self, Self::Internal)
    }
}
