//! Which end of a connection this is.

/// The end of a connection that this program plays.
///
/// The two ends differ in who masks (RFC 6455 §5.1), who closes TCP first (§7.1.1) and which
/// half of the permessage-deflate parameters governs what they send (RFC 7692 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that sent the opening handshake's request.
    Client,
    /// The end that answered it.
    Server,
}
