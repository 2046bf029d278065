//! From messages to bytes: framing, compression and masking into the caller's output buffer.

use std::num::NonZeroUsize;

use bytes::Bytes;

use crate::deflate::Compressor;
use crate::error::SendError;
use crate::frame::{FrameHeader, HeaderBytes, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN, Opcode};
use crate::mask::{Mask, MaskKeys};
use crate::message::{Compress, Message, MessageKind};
use crate::prepared::Prepared;
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
        kind: MessageKind,
        payload: &[u8],
        compress: Compress,
        threshold: Option<NonZeroUsize>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.fragmented.is_some() {
            return Err(SendError::FragmentInProgress);
        }
        let compressed = self.compresses(compress, payload.len());
        let whole = DataFrame {
            opcode: kind.opcode(),
            fin: true,
            compressed,
            rsv1: compressed,
        };
        match threshold {
            None => self.data(whole, payload, out),
            Some(threshold) => self.split(whole, payload, threshold, out),
        }
    }

    /// The bytes that carry a prepared message, `None` if they have to be masked. They must be sent.
    pub(super) fn prepared<'p>(
        &mut self,
        prepared: &'p Prepared,
        compress: Compress,
        threshold: Option<NonZeroUsize>,
    ) -> Result<Option<&'p Bytes>, SendError> {
        if self.fragmented.is_some() {
            return Err(SendError::FragmentInProgress);
        }
        if self.keys.is_some() {
            return Ok(None);
        }
        let compressed = self.compresses(compress, prepared.as_bytes().len());
        let compressor = self.compressor.as_mut().filter(|_| compressed);
        let frames = prepared
            .frames(compressor.as_deref(), threshold)
            .map_err(|_| SendError::Compression)?;
        if let Some(compressor) = compressor {
            compressor.forget();
        }
        Ok(Some(frames))
    }

    /// The header of a message whose payload needs no work, `None` if it has to be compressed, cut or masked.
    pub(super) fn header(
        &self,
        kind: MessageKind,
        payload_len: usize,
        compress: Compress,
        threshold: Option<NonZeroUsize>,
    ) -> Result<Option<HeaderBytes>, SendError> {
        if self.fragmented.is_some() {
            return Err(SendError::FragmentInProgress);
        }
        let is_cut = threshold.is_some_and(|threshold| payload_len > threshold.get());
        if is_cut || self.keys.is_some() || self.compresses(compress, payload_len) {
            return Ok(None);
        }
        let header = FrameHeader {
            fin: true,
            rsv1: false,
            opcode: kind.opcode(),
            mask: None,
            payload_len: payload_len as u64,
        };
        Ok(Some(header.to_bytes()))
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
        for piece in pieces(whole.opcode, whole.rsv1, payload, threshold) {
            self.frame(piece.opcode, piece.payload, piece.rsv1, piece.fin, out);
        }
        Ok(())
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

/// One of the frames that a message is cut into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) opcode: Opcode,
    pub(crate) rsv1: bool,
    pub(crate) payload: &'a [u8],
    pub(crate) fin: bool,
}

/// Cuts a message into frames of at most `threshold` bytes, at least one.
pub(crate) fn pieces(
    opcode: Opcode,
    rsv1: bool,
    payload: &[u8],
    threshold: NonZeroUsize,
) -> impl Iterator<Item = Piece<'_>> {
    let mut next = Some((opcode, rsv1, payload));
    std::iter::from_fn(move || {
        let (opcode, rsv1, rest) = next?;
        let (payload, after) = rest.split_at(rest.len().min(threshold.get()));
        next = (!after.is_empty()).then_some((Opcode::Continuation, false, after));
        Some(Piece {
            opcode,
            rsv1,
            payload,
            fin: next.is_none(),
        })
    })
}
