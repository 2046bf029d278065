//! Close codes and Close frames (RFC 6455 §7.4, §5.5.1).

use std::fmt;

/// The longest reason a Close frame can carry, in bytes of UTF-8.
///
/// RFC 6455 §5.5: a control frame carries at most 125 bytes, two of which are the code.
pub const MAX_CLOSE_REASON: usize = 123;

/// A status code that may travel in a Close frame (RFC 6455 §7.4 and the IANA registry).
///
/// Codes that only describe what happened locally (1005 "no status", 1006 "abnormal closure", 1015 "TLS
/// handshake") and codes nobody may use (0–999, 1004, 1016–2999, 5000 and above) cannot be built.
///
/// ```
/// use sockeye_proto::CloseCode;
///
/// assert_eq!(CloseCode::new(3001).unwrap().get(), 3001);
/// assert_eq!(CloseCode::new(1006), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection has been fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: an endpoint is going away: a server shuts down, a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that this endpoint cannot accept.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: data that does not fit its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a policy was violated and no more fitting code exists.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message too big to process.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: the client expected an extension that the server did not negotiate.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: the endpoint met a condition that it did not expect.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts; a client may reconnect after a random delay.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the service is overloaded; try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway received an invalid response from upstream.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// Makes a close code, or `None` if `code` may not appear on the wire.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// What the code means, in a few words; `None` for 3000–4999, whose meaning is the application's.
    #[must_use]
    pub const fn meaning(self) -> Option<&'static str> {
        Some(match self.0 {
            1000 => "normal closure",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1007 => "invalid payload data",
            1008 => "policy violation",
            1009 => "message too big",
            1010 => "mandatory extension missing",
            1011 => "internal error",
            1012 => "service restart",
            1013 => "try again later",
            1014 => "bad gateway",
            _ => return None,
        })
    }
}

/// What a close code means, in a few words: also of the codes that never travel and only tell what happened here
/// (1005, 1006, 1015). `None` for those without a meaning of their own, 3000–4999 among them.
///
/// ```
/// use sockeye_proto::close_description;
///
/// assert_eq!(close_description(1001), Some("going away"));
/// assert_eq!(close_description(1006), Some("connection lost without a closing handshake"));
/// assert_eq!(close_description(4001), None);
/// ```
#[must_use]
pub const fn close_description(code: u16) -> Option<&'static str> {
    match code {
        1005 => Some("closed without a status code"),
        1006 => Some("connection lost without a closing handshake"),
        1015 => Some("TLS handshake failed"),
        _ => match CloseCode::new(code) {
            Some(code) => code.meaning(),
            None => None,
        },
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.meaning() {
            Some(meaning) => write!(f, "{} ({meaning})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

/// The body of a Close frame: why the connection ends.
///
/// A Close frame may also have no body at all; that is `None` wherever an `Option<CloseFrame>` appears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CloseFrame<'a> {
    code: CloseCode,
    reason: &'a str,
}

impl<'a> CloseFrame<'a> {
    /// Makes a close frame body.
    ///
    /// # Errors
    ///
    /// `reason` is longer than [`MAX_CLOSE_REASON`] bytes.
    pub const fn new(code: CloseCode, reason: &'a str) -> Result<Self, ReasonTooLong> {
        if reason.len() > MAX_CLOSE_REASON {
            return Err(ReasonTooLong { length: reason.len() });
        }
        Ok(Self { code, reason })
    }

    /// Makes a close frame body, cutting `reason` at a character boundary if it is too long.
    #[must_use]
    pub fn truncated(code: CloseCode, reason: &'a str) -> Self {
        let mut end = reason.len().min(MAX_CLOSE_REASON);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Self {
            code,
            reason: &reason[..end],
        }
    }

    /// The status code.
    #[must_use]
    pub const fn code(&self) -> CloseCode {
        self.code
    }

    /// The reason, meant for logs rather than for people (RFC 6455 §7.1.6); may be empty.
    #[must_use]
    pub const fn reason(&self) -> &'a str {
        self.reason
    }
}

/// A close reason of more than [`MAX_CLOSE_REASON`] bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("close reason of {length} bytes; at most {MAX_CLOSE_REASON} fit in a Close frame")]
pub struct ReasonTooLong {
    /// The length that was asked for, in bytes.
    pub length: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_may_travel_can_be_built() {
        let valid = |code: u16| CloseCode::new(code).is_some();
        for code in [
            1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
        ] {
            assert!(valid(code), "{code}");
        }
        for code in [
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
        ] {
            assert!(!valid(code), "{code}");
        }
    }

    #[test]
    fn a_reason_of_123_bytes_fits_and_124_does_not() {
        let fits = "x".repeat(123);
        assert_eq!(CloseFrame::new(CloseCode::NORMAL, &fits).unwrap().reason(), fits);
        let long = "x".repeat(124);
        assert_eq!(
            CloseFrame::new(CloseCode::NORMAL, &long),
            Err(ReasonTooLong { length: 124 })
        );
    }

    #[test]
    fn truncation_never_splits_a_character() {
        let long = "鮭".repeat(50);
        let frame = CloseFrame::truncated(CloseCode::NORMAL, &long);
        assert_eq!(frame.reason(), "鮭".repeat(41));
    }
}
