//! From messages to bytes: framing, compression and masking into the caller's output buffer.

use std::num::NonZeroUsize;

use crate::deflate::Compressor;
use crate::error::SendError;
use crate::frame::{FrameHeader, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN, Opcode};
use crate::mask::{Mask, MaskKeys};
use crate::message::{Compress, Message, MessageKind};
use crate::utf8::Utf8Validator;

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
    /// The text so far, which may end inside a code point if it is sent in frames of bytes.
    utf8: Utf8Validator,
}

/// A data frame, but for its payload.
#[derive(Clone, Copy, Debug)]
struct DataFrame {
    opcode: Opcode,
    fin: bool,
    compressed: bool,
    /// Marks the first frame of a compressed message (RFC 7692 §6.1).
    rsv1: bool,
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

    /// Appends a whole message, in frames of at most `threshold` bytes.
    pub(super) fn message(
        &mut self,
        message: Message<'_>,
        compress: Compress,
        threshold: Option<NonZeroUsize>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.fragmented.is_some() {
            return Err(SendError::FragmentInProgress);
        }
        let payload = message.as_bytes();
        let compressed = self.compresses(compress, payload.len());
        let whole = DataFrame {
            opcode: message.kind().opcode(),
            fin: true,
            compressed,
            rsv1: compressed,
        };
        match threshold {
            None => self.data(whole, payload, out),
            Some(threshold) => self.split(whole, payload, threshold, out),
        }
    }

    /// Appends a fragment of whole code points, or of bytes.
    pub(super) fn fragment(
        &mut self,
        message: Message<'_>,
        fin: bool,
        compress: Compress,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let kind = message.kind();
        if let Some(first) = &self.fragmented
            && kind == MessageKind::Text
            && first.kind == kind
            && !first.utf8.is_at_boundary()
        {
            return Err(SendError::Utf8Invalid);
        }
        let utf8 = Utf8Validator::default();
        self.continued(kind, message.as_bytes(), fin, compress, utf8, out)
    }

    /// Appends the next frame of a message, whose text is checked here: `opcode` says whether it is the first.
    pub(super) fn data_frame(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        fin: bool,
        compress: Compress,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let (kind, mut utf8) = match (&self.fragmented, opcode) {
            (None, Opcode::Text) => (MessageKind::Text, Utf8Validator::default()),
            (None, Opcode::Binary) => (MessageKind::Binary, Utf8Validator::default()),
            (None, _) => return Err(SendError::OrphanContinuation),
            (Some(first), Opcode::Continuation) => (first.kind, first.utf8),
            (Some(_), _) => return Err(SendError::FragmentInProgress),
        };
        if kind == MessageKind::Text {
            utf8.feed(payload, |_| ()).map_err(|_| SendError::Utf8Invalid)?;
            if fin && !utf8.is_at_boundary() {
                return Err(SendError::Utf8Invalid);
            }
        }
        self.continued(kind, payload, fin, compress, utf8, out)
    }

    /// Appends the next fragment of the message in progress, or the first of a new one; `utf8` is its text so far.
    fn continued(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
        compress: Compress,
        utf8: Utf8Validator,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let (opcode, compressed, rsv1) = match &self.fragmented {
            Some(first) if first.kind != kind => return Err(SendError::FragmentKind),
            Some(first) => (Opcode::Continuation, first.compressed, false),
            None => {
                // How long the message gets is not known yet: without an order it is worth compressing.
                let compressed = self.compressor.is_some() && compress != Compress::Never;
                (kind.opcode(), compressed, compressed)
            }
        };
        let frame = DataFrame {
            opcode,
            fin,
            compressed,
            rsv1,
        };
        self.data(frame, payload, out)?;
        self.fragmented = (!fin).then_some(Fragmented {
            kind,
            compressed,
            utf8,
        });
        Ok(())
    }

    /// Whether a message has begun and its last fragment was not sent.
    pub(super) fn is_midway(&self) -> bool {
        self.fragmented.is_some()
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

    /// Appends a message in frames of at most `threshold` bytes. Compressed, it is one stream that is cut: only the
    /// first frame is marked (RFC 7692 §6.1).
    fn split(
        &mut self,
        whole: DataFrame,
        payload: &[u8],
        threshold: NonZeroUsize,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let inflated = payload;
        let mut deflated = Vec::new();
        let payload = match &mut self.compressor {
            Some(compressor) if whole.compressed => {
                let done = compressor.compress(inflated, true, &mut deflated);
                done.map_err(|_| SendError::Compression)?;
                &deflated
            }
            _ => inflated,
        };
        let (mut opcode, mut rsv1, mut rest) = (whole.opcode, whole.rsv1, payload);
        loop {
            let (piece, after) = rest.split_at(rest.len().min(threshold.get()));
            self.frame(opcode, piece, rsv1, after.is_empty(), out);
            if after.is_empty() {
                return Ok(());
            }
            (opcode, rsv1, rest) = (Opcode::Continuation, false, after);
        }
    }

    fn data(&mut self, frame: DataFrame, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        let DataFrame {
            opcode,
            fin,
            compressed,
            rsv1,
        } = frame;
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
