//! What the two sides agreed on.

use crate::Subprotocol;
use crate::deflate::Parameters;

/// What an opening handshake settled, the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Negotiated {
    /// The subprotocol in use, if any.
    pub subprotocol: Option<Subprotocol>,
    /// How messages may be compressed, `None` if not at all.
    pub deflate: Option<Parameters>,
}
