//! What the ring's 64 bits of user data say: which operation has completed.

use super::super::Key;

/// Which operation a completion is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// Receiving, of the connection with this key.
    Receive(Key),
    /// Accepting, of the listening socket with this key.
    Accept(Key),
    /// The flight with this key.
    Flight(Key),
    /// Somebody woke the driver.
    Wake,
    /// Everything was cancelled.
    End,
    /// Nobody waits for it.
    Ignored,
}

/// The two bits of the index that keys leave alone.
const KIND: u64 = 0b11 << 30;
const RECEIVE: u64 = 0;
const ACCEPT: u64 = 0b01 << 30;
const FLIGHT: u64 = 0b10 << 30;
const OWN: u64 = 0b11 << 30;
const WAKE: u64 = OWN;
const IGNORED: u64 = OWN | 1;
const END: u64 = OWN | 2;

impl Token {
    pub(super) const fn to_bits(self) -> u64 {
        match self {
            Self::Receive(key) => key.to_bits() | RECEIVE,
            Self::Accept(key) => key.to_bits() | ACCEPT,
            Self::Flight(key) => key.to_bits() | FLIGHT,
            Self::Wake => WAKE,
            Self::End => END,
            Self::Ignored => IGNORED,
        }
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        let key = Key::from_bits(bits);
        match bits & KIND {
            RECEIVE => Self::Receive(key),
            ACCEPT => Self::Accept(key),
            FLIGHT => Self::Flight(key),
            _ if bits == WAKE => Self::Wake,
            _ if bits == END => Self::End,
            _ => Self::Ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_back() {
        for key in [Key::new(0, 0), Key::new(1, 0), Key::new(Key::MAX_INDEX, u32::MAX)] {
            for token in [
                Token::Receive(key),
                Token::Accept(key),
                Token::Flight(key),
                Token::Wake,
                Token::End,
                Token::Ignored,
            ] {
                assert_eq!(Token::from_bits(token.to_bits()), token);
            }
        }
    }
}
