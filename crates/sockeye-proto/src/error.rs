//! What can go wrong on a connection, whose fault it is and which close code says so.

use std::time::Duration;

use crate::close::CloseCode;

/// Why a connection failed.
///
/// An error ends the connection: no further input is read, and where the error has a
/// [close code](Error::close_code) the peer is sent a Close frame with that code and this text as its reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke a rule of the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The peer reached one of our limits.
    #[error(transparent)]
    Limit(#[from] Limit),
    /// Something took too long.
    #[error(transparent)]
    Timeout(#[from] Timeout),
    /// The transport ended before a Close frame came.
    ///
    /// This is what the browser API and RFC 6455 §7.1.5 report as code 1006.
    #[error("connection lost without a closing handshake")]
    ConnectionLost,
}

impl Error {
    /// The code for the Close frame that tells the peer, `None` where none is sent.
    #[must_use]
    pub const fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Protocol(error) => Some(error.close_code()),
            Self::Limit(limit) => Some(limit.close_code()),
            Self::Timeout(timeout) => timeout.close_code(),
            Self::ConnectionLost => None,
        }
    }

    /// Whether the peer did something it must not do, as opposed to being slow or gone.
    #[must_use]
    pub const fn is_peer_misbehaving(&self) -> bool {
        matches!(self, Self::Protocol(_) | Self::Limit(_))
    }
}

/// A rule of RFC 6455 or RFC 7692 that the peer broke.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A Close frame with a code that may not travel (RFC 6455 §7.4).
    #[error("close code that may not be sent")]
    CloseCodeInvalid,
    /// A Close frame with a body of one byte (RFC 6455 §5.5.1).
    #[error("close frame with a body of one byte")]
    CloseTooShort,
    /// A control frame of more than 125 bytes (RFC 6455 §5.5).
    #[error("control frame longer than 125 bytes")]
    ControlTooLong,
    /// Compressed data that is not valid DEFLATE (RFC 7692 §7.2.2).
    #[error("compressed data is corrupt")]
    DeflateInvalid,
    /// A control frame without FIN (RFC 6455 §5.5).
    #[error("fragmented control frame")]
    FragmentedControl,
    /// A new message before the one in progress ended (RFC 6455 §5.4).
    #[error("new message inside a fragmented message")]
    InterleavedMessage,
    /// A payload length that could have been coded shorter (RFC 6455 §5.2).
    #[error("payload length not coded minimally")]
    LengthNotMinimal,
    /// A 64-bit payload length with its most significant bit set (RFC 6455 §5.2).
    #[error("payload length with its top bit set")]
    LengthTopBit,
    /// A frame from a client that is not masked (RFC 6455 §5.1).
    #[error("frame from a client without a mask")]
    MaskMissing,
    /// A frame from a server that is masked (RFC 6455 §5.1).
    #[error("masked frame from a server")]
    MaskUnexpected,
    /// A continuation frame without a message in progress (RFC 6455 §5.4).
    #[error("continuation frame without a message")]
    OrphanContinuation,
    /// A reserved bit that no negotiated extension defines for this frame (RFC 6455 §5.2, RFC 7692 §6).
    #[error("reserved bit set")]
    ReservedBits,
    /// An opcode that RFC 6455 reserves.
    #[error("reserved opcode")]
    ReservedOpcode,
    /// Text, or a close reason, that is not UTF-8 (RFC 6455 §8.1).
    #[error("text is not valid UTF-8")]
    Utf8Invalid,
}

impl ProtocolError {
    /// 1002, or 1007 for data that does not fit its type.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::Utf8Invalid | Self::DeflateInvalid => CloseCode::INVALID_PAYLOAD,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

/// A limit of [`Config`](crate::Config) that the peer reached.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// [`Config::max_control_rate`](crate::Config::max_control_rate), in frames a second.
    #[error("more than {0} control frames in a second")]
    ControlRate(u32),
    /// [`Config::max_fragments`](crate::Config::max_fragments).
    #[error("message in more than {0} fragments")]
    Fragments(u32),
    /// [`Config::max_frame_size`](crate::Config::max_frame_size), in bytes.
    #[error("frame larger than {0} bytes")]
    FrameSize(u64),
    /// [`Config::max_message_size`](crate::Config::max_message_size), in bytes, after inflation.
    #[error("message larger than {0} bytes")]
    MessageSize(u64),
}

impl Limit {
    /// 1009 for sizes, 1008 for counts and rates.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::FrameSize(_) | Self::MessageSize(_) => CloseCode::MESSAGE_TOO_BIG,
            Self::ControlRate(_) | Self::Fragments(_) => CloseCode::POLICY_VIOLATION,
        }
    }
}

/// A time limit of [`Config`](crate::Config) that ran out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Timeout {
    /// [`Config::close_timeout`](crate::Config::close_timeout): the peer did not finish the closing handshake.
    #[error("closing handshake not finished within {0:?}")]
    Close(Duration),
    /// [`Config::idle_timeout`](crate::Config::idle_timeout): nothing arrived.
    #[error("nothing received for {0:?}")]
    Idle(Duration),
    /// [`Keepalive::timeout`](crate::Keepalive::timeout): a keepalive Ping was not answered.
    #[error("ping not answered within {0:?}")]
    Keepalive(Duration),
    /// [`Config::max_lifetime`](crate::Config::max_lifetime): the connection is as old as it may get.
    #[error("connections last {0:?} at most, please reconnect")]
    Lifetime(Duration),
    /// [`Config::message_timeout`](crate::Config::message_timeout): a message did not arrive whole in time.
    #[error("message not complete within {0:?}")]
    Message(Duration),
}

impl Timeout {
    /// The code for the Close frame, `None` if the peer failed to answer one already.
    #[must_use]
    pub const fn close_code(self) -> Option<CloseCode> {
        match self {
            Self::Close(_) => None,
            Self::Idle(_) | Self::Lifetime(_) => Some(CloseCode::GOING_AWAY),
            Self::Keepalive(_) => Some(CloseCode::INTERNAL_ERROR),
            Self::Message(_) => Some(CloseCode::POLICY_VIOLATION),
        }
    }
}

/// A command that the connection cannot carry out; the connection itself is unharmed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closing or closed: RFC 6455 §5.5.1 forbids data after a Close frame.
    #[error("the connection is closing or closed")]
    Closed,
    /// The compression library failed, so nothing was appended; messages can still be sent uncompressed.
    #[error("compression failed")]
    Compression,
    /// A Ping or Pong payload of more than 125 bytes (RFC 6455 §5.5).
    #[error("control payload of {0} bytes; at most 125 fit")]
    ControlTooLong(usize),
    /// A whole message, or the first fragment of one, while a fragmented message is being sent.
    #[error("a fragmented message is in progress")]
    FragmentInProgress,
    /// A fragment of the other kind than the message it belongs to.
    #[error("fragment of another kind than its message")]
    FragmentKind,
    /// A control frame without FIN (RFC 6455 §5.5).
    #[error("a control frame cannot be fragmented")]
    FragmentedControl,
    /// A Close frame whose body is one byte, has a code that may not travel, or a reason that is not UTF-8.
    #[error("invalid body of a close frame")]
    InvalidClose,
    /// A continuation frame while no fragmented message is being sent (RFC 6455 §5.4).
    #[error("continuation frame without a message")]
    OrphanContinuation,
    /// Text that is not UTF-8, or ends inside a code point (RFC 6455 §8.1).
    #[error("text is not valid UTF-8")]
    Utf8Invalid,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::MAX_CLOSE_REASON;

    #[test]
    fn errors_stay_small() {
        assert!(size_of::<Error>() <= 32, "{}", size_of::<Error>());
        assert!(size_of::<Result<(), Error>>() <= 32);
        assert!(size_of::<SendError>() <= 32);
    }

    #[test]
    fn every_limit_names_itself_within_a_close_reason() {
        let long = Duration::new(u64::MAX, 999_999_999);
        let errors: [Error; 9] = [
            Limit::ControlRate(u32::MAX).into(),
            Limit::Fragments(u32::MAX).into(),
            Limit::FrameSize(u64::MAX).into(),
            Limit::MessageSize(u64::MAX).into(),
            Timeout::Close(long).into(),
            Timeout::Idle(long).into(),
            Timeout::Keepalive(long).into(),
            Timeout::Lifetime(long).into(),
            Timeout::Message(long).into(),
        ];
        for error in errors {
            assert!(error.to_string().len() <= MAX_CLOSE_REASON, "{error}");
        }
    }
}
