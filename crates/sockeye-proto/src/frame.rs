//! Frames: opcodes and headers (RFC 6455 §5.2).

use std::fmt;
use std::ops::Deref;

use crate::error::ProtocolError;

/// The longest payload of a control frame, in bytes (RFC 6455 §5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// The longest frame header: two bytes, a 64-bit length and a masking key.
pub const MAX_HEADER_LEN: usize = 14;

/// What a frame is (RFC 6455 §11.8). Reserved opcodes cannot be built.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message in progress.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The start, or the answer, of the closing handshake.
    Close = 0x8,
    /// A request for a Pong.
    Ping = 0x9,
    /// The answer to a Ping, or an unsolicited sign of life.
    Pong = 0xA,
}

impl Opcode {
    /// The opcode of these four bits, or `None` if they are reserved.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// Whether this is Close, Ping or Pong.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// One frame as an application sees it: its payload unmasked and, where its message is compressed, inflated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// What the frame is. The first frame of a message tells the kind; the others are continuations.
    pub opcode: Opcode,
    /// Whether this frame is the last of its message; always so for control frames.
    pub fin: bool,
    /// The payload. Of text, a frame may begin and end inside a code point.
    pub payload: &'a [u8],
}

/// The header of one frame, as it is on the wire.
///
/// ```
/// use sockeye_proto::{FrameHeader, Opcode};
///
/// let header = FrameHeader::parse(&[0x81, 0x05, b'H', b'e']).unwrap().unwrap();
/// assert_eq!(header.0.opcode, Opcode::Text);
/// assert_eq!(header.0.payload_len, 5);
/// assert_eq!(header.1, 2); // bytes of header
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// Whether this frame is the last of its message.
    pub fin: bool,
    /// The first reserved bit: set on the first frame of a compressed message (RFC 7692 §6).
    pub rsv1: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The masking key, present on every frame from a client and on none from a server.
    pub mask: Option<[u8; 4]>,
    /// The length of the payload, in bytes: at most 2⁶³ − 1.
    pub payload_len: u64,
}

impl FrameHeader {
    /// Reads a header from the front of `bytes`; gives it with its length in bytes, or `None` if more bytes are
    /// needed.
    ///
    /// # Errors
    ///
    /// The bytes so far cannot be the start of a valid frame: reserved bits or opcode, a control frame that is
    /// fragmented or longer than 125 bytes, a length that is not coded minimally or has its top bit set.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        #[cfg(test)]
        crate::work::count(bytes.len().min(MAX_HEADER_LEN));
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        // RFC 6455 §5.2: RSV2 and RSV3 MUST be 0 unless an extension defines them; none that we speak does.
        if first & 0x30 != 0 {
            return Err(ProtocolError::ReservedBits);
        }
        let opcode = Opcode::from_bits(first & 0x0F).ok_or(ProtocolError::ReservedOpcode)?;
        let fin = first & 0x80 != 0;
        let rsv1 = first & 0x40 != 0;
        if opcode.is_control() && !fin {
            return Err(ProtocolError::FragmentedControl);
        }
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        let short = second & 0x7F;
        if opcode.is_control() && short as usize > MAX_CONTROL_PAYLOAD {
            return Err(ProtocolError::ControlTooLong);
        }
        let (payload_len, mut at) = match short {
            126 => match bytes.get(2..4) {
                Some(&[a, b]) => (u64::from(u16::from_be_bytes([a, b])), 4),
                _ => return Ok(None),
            },
            127 => match bytes.get(2..10) {
                Some(&[a, b, c, d, e, f, g, h]) => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10),
                _ => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        // RFC 6455 §5.2: the minimal number of bytes MUST be used; the most significant bit MUST be 0.
        if (short == 126 && payload_len < 126) || (short == 127 && payload_len <= 0xFFFF) {
            return Err(ProtocolError::LengthNotMinimal);
        }
        if payload_len > i64::MAX as u64 {
            return Err(ProtocolError::LengthTopBit);
        }
        let mask = if second & 0x80 == 0 {
            None
        } else {
            let Some(&[a, b, c, d]) = bytes.get(at..at + 4) else {
                return Ok(None);
            };
            at += 4;
            Some([a, b, c, d])
        };
        Ok(Some((
            Self {
                fin,
                rsv1,
                opcode,
                mask,
                payload_len,
            },
            at,
        )))
    }

    /// The bytes of this header.
    #[must_use]
    pub fn to_bytes(&self) -> HeaderBytes {
        let (bytes, len) = self.encode();
        HeaderBytes {
            bytes,
            len: len as u8,
        }
    }

    #[inline]
    pub(crate) const fn first_byte(fin: bool, rsv1: bool, opcode: Opcode) -> u8 {
        ((fin as u8) << 7) | ((rsv1 as u8) << 6) | opcode as u8
    }

    /// Appends the bytes of this header.
    #[inline]
    pub(crate) fn append(&self, out: &mut Vec<u8>) {
        let first = Self::first_byte(self.fin, self.rsv1, self.opcode);
        let mask = u8::from(self.mask.is_some()) << 7;
        match self.payload_len {
            length @ 0..=125 => out.extend_from_slice(&[first, mask | length as u8]),
            length @ 126..=0xFFFF => {
                let [a, b] = (length as u16).to_be_bytes();
                out.extend_from_slice(&[first, mask | 126, a, b]);
            }
            length => {
                out.extend_from_slice(&[first, mask | 127]);
                out.extend_from_slice(&length.to_be_bytes());
            }
        }
        if let Some(key) = self.mask {
            out.extend_from_slice(&key);
        }
    }

    /// The bytes of this header, at the front of an array, and how many they are.
    #[must_use]
    pub fn encode(&self) -> ([u8; MAX_HEADER_LEN], usize) {
        let mut bytes = [0; MAX_HEADER_LEN];
        bytes[0] = Self::first_byte(self.fin, self.rsv1, self.opcode);
        let mut at = match self.payload_len {
            length @ 0..=125 => {
                bytes[1] = length as u8;
                2
            }
            length @ 126..=0xFFFF => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
                4
            }
            length => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&length.to_be_bytes());
                10
            }
        };
        if let Some(key) = self.mask {
            bytes[1] |= 0x80;
            bytes[at..at + 4].copy_from_slice(&key);
            at += 4;
        }
        (bytes, at)
    }
}

/// The bytes of a frame's header, to be written in front of its payload.
///
/// ```
/// use sockeye_proto::{FrameHeader, Opcode};
///
/// let header = FrameHeader { fin: true, rsv1: false, opcode: Opcode::Text, mask: None, payload_len: 5 };
/// assert_eq!(&header.to_bytes()[..], [0x81, 0x05]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HeaderBytes {
    bytes: [u8; MAX_HEADER_LEN],
    len: u8,
}

impl Deref for HeaderBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl AsRef<[u8]> for HeaderBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for HeaderBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HeaderBytes").field(&&**self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
        FrameHeader::parse(bytes)
    }

    #[test]
    fn headers_survive_encoding_at_every_length_boundary() {
        for payload_len in [
            0,
            1,
            125,
            126,
            127,
            65535,
            65536,
            u64::from(u32::MAX) + 1,
            i64::MAX as u64,
        ] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let header = FrameHeader {
                    fin: true,
                    rsv1: true,
                    opcode: Opcode::Binary,
                    mask,
                    payload_len,
                };
                let (bytes, len) = header.encode();
                assert_eq!(parse(&bytes[..len]), Ok(Some((header, len))));
                for short in 0..len {
                    assert_eq!(parse(&bytes[..short]), Ok(None), "{short} of {len} bytes");
                }
            }
        }
    }

    #[test]
    fn a_length_that_is_not_minimal_is_refused() {
        assert_eq!(parse(&[0x82, 126, 0, 125]), Err(ProtocolError::LengthNotMinimal));
        assert_eq!(
            parse(&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]),
            Err(ProtocolError::LengthNotMinimal)
        );
        assert!(parse(&[0x82, 126, 0, 126]).is_ok());
        assert!(parse(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]).is_ok());
    }

    #[test]
    fn a_64_bit_length_with_its_top_bit_set_is_refused() {
        assert_eq!(
            parse(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            Err(ProtocolError::LengthTopBit)
        );
        assert_eq!(
            parse(&[0x82, 127, 0xFF, 255, 255, 255, 255, 255, 255, 255]),
            Err(ProtocolError::LengthTopBit)
        );
        let (header, _) = parse(&[0x82, 127, 0x7F, 255, 255, 255, 255, 255, 255, 255])
            .unwrap()
            .unwrap();
        assert_eq!(header.payload_len, i64::MAX as u64);
    }

    #[test]
    fn reserved_bits_and_opcodes_are_refused_at_the_first_byte() {
        for first in [0xA0, 0x90, 0xB1, 0x91] {
            assert_eq!(parse(&[first]), Err(ProtocolError::ReservedBits));
        }
        for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
            assert_eq!(parse(&[0x80 | opcode]), Err(ProtocolError::ReservedOpcode));
        }
    }

    #[test]
    fn control_frames_are_short_and_whole() {
        for opcode in [0x8, 0x9, 0xA] {
            assert_eq!(parse(&[opcode]), Err(ProtocolError::FragmentedControl));
            assert_eq!(parse(&[0x80 | opcode, 126]), Err(ProtocolError::ControlTooLong));
            assert_eq!(parse(&[0x80 | opcode, 127]), Err(ProtocolError::ControlTooLong));
            assert!(parse(&[0x80 | opcode, 125]).unwrap().is_some());
        }
    }
}
