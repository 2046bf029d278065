//! From messages to bytes: framing, compression and masking into the caller's output buffer.

use crate::deflate::Compressor;
use crate::error::SendError;
use crate::frame::{FrameHeader, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN, Opcode};
use crate::mask::{Mask, MaskKeys};
use crate::message::{Compress, Message, MessageKind};

/// The sending half of a connection.
pub(super) struct Sender {
    /// Where a client takes its masking keys from; a server has none.
    keys: Option<Box<dyn MaskKeys>>,
    compressor: Option<Compressor>,
    /// The fragmented message in progress.
    fragmented: Option<Fragmented>,
}

#[derive(Clone, Copy, Debug)]
struct Fragmented {
    kind: MessageKind,
    compressed: bool,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("masks", &self.keys.is_some())
            .field("compressor", &self.compressor)
            .field("fragmented", &self.fragmented)
            .finish()
    }
}

impl Sender {
    pub(super) fn new(keys: Option<Box<dyn MaskKeys>>, compressor: Option<Compressor>) -> Self {
        Self {
            keys,
            compressor,
            fragmented: None,
        }
    }

    pub(super) fn is_client(&self) -> bool {
        self.keys.is_some()
    }

    /// Gives back the compressor's memory: no data follows a Close frame.
    pub(super) fn discard(&mut self) {
        self.compressor = None;
        self.fragmented = None;
    }

    pub(super) fn message(
        &mut self,
        message: Message<'_>,
        compress: Compress,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.fragmented.is_some() {
            return Err(SendError::FragmentInProgress);
        }
        let payload = message.as_bytes();
        let compressed = self.compresses(compress, payload.len());
        self.data(
            message.kind().opcode(),
            payload,
            compressed,
            compressed,
            true,
            out,
        )
    }

    pub(super) fn fragment(
        &mut self,
        message: Message<'_>,
        fin: bool,
        compress: Compress,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let kind = message.kind();
        let payload = message.as_bytes();
        let (opcode, compressed, rsv1) = match self.fragmented {
            Some(first) if first.kind != kind => return Err(SendError::FragmentKind),
            Some(first) => (Opcode::Continuation, first.compressed, false),
            None => {
                // How long the message gets is not known yet: without an order it is worth compressing.
                let compressed = self.compressor.is_some() && compress != Compress::Never;
                (kind.opcode(), compressed, compressed)
            }
        };
        self.data(opcode, payload, compressed, rsv1, fin, out)?;
        self.fragmented = if fin {
            None
        } else {
            Some(Fragmented { kind, compressed })
        };
        Ok(())
    }

    pub(super) fn control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            return Err(SendError::ControlTooLong(payload.len()));
        }
        self.frame(opcode, payload, false, true, out);
        Ok(())
    }

    fn compresses(&self, compress: Compress, length: usize) -> bool {
        match (&self.compressor, compress) {
            (None, _) | (_, Compress::Never) => false,
            (Some(_), Compress::Always) => true,
            (Some(compressor), Compress::Auto) => compressor.is_worthwhile(length),
        }
    }

    fn data(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        compressed: bool,
        rsv1: bool,
        fin: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        match &mut self.compressor {
            Some(compressor) if compressed => {
                // The length of the header depends on the compressed length: guess it by the length that went in,
                // compress behind the gap, and move the payload in the rare case that the guess was wrong.
                let start = out.len();
                let mask = self.keys.as_mut().map(|keys| keys.next_key());
                let mut header = FrameHeader {
                    fin,
                    rsv1,
                    opcode,
                    mask,
                    payload_len: payload.len() as u64,
                };
                let (_, guess) = header.encode();
                out.resize(start + guess, 0);
                if compressor.compress(payload, fin, out).is_err() {
                    out.truncate(start);
                    return Err(SendError::Compression);
                }
                header.payload_len = (out.len() - start - guess) as u64;
                let (bytes, len) = header.encode();
                if len < guess {
                    out.drain(start..start + guess - len);
                } else if len > guess {
                    out.splice(start..start, [0; MAX_HEADER_LEN].into_iter().take(len - guess));
                }
                out[start..start + len].copy_from_slice(&bytes[..len]);
                if let Some(key) = mask {
                    Mask::new(key).apply(&mut out[start + len..]);
                }
            }
            _ => self.frame(opcode, payload, rsv1, fin, out),
        }
        Ok(())
    }

    fn frame(&mut self, opcode: Opcode, payload: &[u8], rsv1: bool, fin: bool, out: &mut Vec<u8>) {
        let mask = self.keys.as_mut().map(|keys| keys.next_key());
        let header = FrameHeader {
            fin,
            rsv1,
            opcode,
            mask,
            payload_len: payload.len() as u64,
        };
        let (bytes, len) = header.encode();
        out.reserve(len + payload.len());
        out.extend_from_slice(&bytes[..len]);
        match mask {
            Some(key) => Mask::new(key).apply_copy(payload, out),
            None => out.extend_from_slice(payload),
        }
    }
}
