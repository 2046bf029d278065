//! Frames made and read by hand, without the code under test.

use std::fmt;

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// One frame, valid or not.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    /// RSV1, RSV2 and RSV3 as the three bits they are in the first byte.
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self {
            fin: true,
            rsv: 0,
            opcode,
            payload: payload.as_ref().to_vec(),
        }
    }

    pub(crate) fn text(text: impl AsRef<[u8]>) -> Self {
        Self::new(TEXT, text)
    }

    pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Self {
        Self::new(BINARY, payload)
    }

    pub(crate) fn continuation(payload: impl AsRef<[u8]>) -> Self {
        Self::new(CONTINUATION, payload)
    }

    pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Self {
        Self::new(PING, payload)
    }

    pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Self {
        Self::new(PONG, payload)
    }

    pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
    }

    pub(crate) fn close_without_code() -> Self {
        Self::new(CLOSE, "")
    }

    /// The same frame without FIN.
    pub(crate) fn more(mut self) -> Self {
        self.fin = false;
        self
    }

    /// The same frame with the bit that marks a compressed message.
    pub(crate) fn rsv1(mut self) -> Self {
        self.rsv |= 0x40;
        self
    }

    /// The bytes of the frame, masked if a key is given.
    pub(crate) fn encode(&self, key: Option<[u8; 4]>) -> Vec<u8> {
        let mut bytes = header(self, self.payload.len() as u64, key);
        let key = key.unwrap_or_default();
        bytes.extend(self.payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
        bytes
    }

    /// Reads a frame from the front of `bytes`; gives it with its masking key and its length.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, Option<[u8; 4]>, usize)> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (length, mut at) = match second & 0x7F {
            126 => (
                u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
                4,
            ),
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
            short => (u64::from(short), 2),
        };
        let mut key = None;
        if second & 0x80 != 0 {
            key = Some(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?);
            at += 4;
        }
        let end = at + usize::try_from(length).ok()?;
        let mask = key.unwrap_or_default();
        let payload = bytes.get(at..end)?.iter().zip(mask.iter().cycle());
        let frame = Self {
            fin: first & 0x80 != 0,
            rsv: first & 0x70,
            opcode: first & 0x0F,
            payload: payload.map(|(b, k)| b ^ k).collect(),
        };
        Some((frame, key, end))
    }
}

/// A header that declares `length`, whatever the payload is.
pub(crate) fn header(frame: &Frame, length: u64, key: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = vec![(u8::from(frame.fin) << 7) | frame.rsv | frame.opcode];
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    match length {
        0..=125 => bytes.push(mask_bit | length as u8),
        126..=0xFFFF => {
            bytes.push(mask_bit | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(mask_bit | 127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(key.as_ref().map_or(&[], |key| &key[..]));
    bytes
}

/// Short enough to read in a failed assertion.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.opcode {
            CONTINUATION => "Continuation",
            TEXT => "Text",
            BINARY => "Binary",
            CLOSE => "Close",
            PING => "Ping",
            PONG => "Pong",
            _ => "Reserved",
        };
        let start = &self.payload[..self.payload.len().min(40)];
        write!(f, "{name}(")?;
        if !self.fin {
            write!(f, "more, ")?;
        }
        if self.rsv != 0 {
            write!(f, "rsv {:x}, ", self.rsv)?;
        }
        write!(f, "{} bytes: {})", self.payload.len(), start.escape_ascii())
    }
}
