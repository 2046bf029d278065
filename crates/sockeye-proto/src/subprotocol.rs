//! The name of a subprotocol, a validated token.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use crate::handshake::tokens::is_token;

/// The name of an application protocol spoken over a WebSocket, such as `graphql-transport-ws`.
///
/// A value is a token in the sense of RFC 6455 §4.1: one or more visible ASCII characters without the
/// separators `( ) < > @ , ; : \ " / [ ] ? = { }`. Names are compared exactly as written, case included.
///
/// ```
/// use sockeye_proto::Subprotocol;
///
/// let chat = Subprotocol::new("chat.v2")?;
/// assert_eq!(chat, "chat.v2");
/// assert_ne!(chat, "Chat.v2");
/// assert!(Subprotocol::new("two words").is_err());
/// # Ok::<(), sockeye_proto::InvalidSubprotocol>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subprotocol(Box<str>);

impl Subprotocol {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`InvalidSubprotocol`] when the name is empty or has a character that a token may not have.
    pub fn new(name: impl Into<Box<str>>) -> Result<Self, InvalidSubprotocol> {
        let name = name.into();
        if is_token(name.as_bytes()) {
            Ok(Self(name))
        } else {
            Err(InvalidSubprotocol)
        }
    }

    /// Checks a name as it stands in a header field.
    pub(crate) fn from_bytes(name: &[u8]) -> Result<Self, InvalidSubprotocol> {
        std::str::from_utf8(name)
            .map_err(|_| InvalidSubprotocol)
            .and_then(Self::new)
    }

    /// The name as it travels in the header field.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Subprotocol {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Subprotocol {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

// `Eq`, `Ord` and `Hash` are those of the string, as `Borrow` demands.
impl Borrow<str> for Subprotocol {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Subprotocol {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Subprotocol {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl FromStr for Subprotocol {
    type Err = InvalidSubprotocol;

    fn from_str(name: &str) -> Result<Self, InvalidSubprotocol> {
        Self::new(name)
    }
}

impl TryFrom<&str> for Subprotocol {
    type Error = InvalidSubprotocol;

    fn try_from(name: &str) -> Result<Self, InvalidSubprotocol> {
        Self::new(name)
    }
}

impl TryFrom<String> for Subprotocol {
    type Error = InvalidSubprotocol;

    fn try_from(name: String) -> Result<Self, InvalidSubprotocol> {
        Self::new(name)
    }
}

impl From<Subprotocol> for String {
    fn from(name: Subprotocol) -> Self {
        name.0.into()
    }
}

impl fmt::Debug for Subprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Subprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A subprotocol name is empty or has a character that a token may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error(
    "a subprotocol name is one or more visible ASCII characters without separators such as commas and spaces"
)]
pub struct InvalidSubprotocol;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_names_and_nothing_else_is() {
        for name in [
            "chat",
            "v10.stomp",
            "soap+xml",
            "a",
            "!#$%&'*+-.^_`|~09AZaz",
            "constructor",
        ] {
            assert_eq!(Subprotocol::new(name).as_deref(), Ok(name));
        }
        for name in [
            "", " ", "a b", "a,b", "a/b", "a\"", "a\0", "a\r\nb", "naïve", "(", "\u{7f}", "a=b", "{a}",
        ] {
            assert_eq!(Subprotocol::new(name), Err(InvalidSubprotocol), "{name:?}");
        }
        assert_eq!(Subprotocol::from_bytes(b"\xff"), Err(InvalidSubprotocol));
    }

    #[test]
    fn names_differ_in_case() {
        assert_ne!(Subprotocol::new("chat"), Subprotocol::new("Chat"));
    }
}
