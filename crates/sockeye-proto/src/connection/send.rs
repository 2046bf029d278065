//! From messages to bytes: framing, compression and masking into the caller's output buffer.

use std::num::NonZeroUsize;

use bytes::Bytes;

use crate::copy;
use crate::deflate::Compressor;
use crate::error::SendError;
use crate::frame::{Frame, FrameHeader, HeaderBytes, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN, Opcode};
use crate::mask::{Mask, MaskKeys};
use crate::message::{Compress, Message, MessageKind};
use crate::prepared::{Prepared, PreparedForm};
use crate::utf8::Utf8Validator;

/// The sending half of a connection, but for its compressor.
pub(super) struct Sender {
    /// Where a client takes its masking keys from; a server has none.
    keys: Option<Box<Keys>>,
    /// The fragmented message in progress.
    fragmented: Option<Fragmented>,
}

/// In a box, so that a server's connection has room for a thin pointer only.
struct Keys(Box<dyn MaskKeys>);

#[derive(Clone, Copy, Debug)]
struct Fragmented {
    kind: MessageKind,
    compressed: bool,
    /// The text so far, which may end inside a code point if it is sent in frames of bytes.
    utf8: Utf8Validator,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender")
            .field("masks", &self.keys.is_some())
            .field("fragmented", &self.fragmented)
            .finish()
    }
}

impl Sender {
    pub(super) fn new(keys: Option<Box<dyn MaskKeys>>) -> Self {
        Self {
            keys: keys.map(|keys| Box::new(Keys(keys))),
            fragmented: None,
        }
    }

    pub(super) const fn is_client(&self) -> bool {
        self.keys.is_some()
    }

    /// Forgets the message in progress: no data follows a Close frame.
    pub(super) fn discard(&mut self) {
        self.fragmented = None;
    }

    /// Appends a whole message, compressed if there is a compressor for it, in frames of at most `threshold` bytes.
    #[inline]
    pub(super) fn message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        compressor: Option<&mut Compressor>,
        threshold: Option<NonZeroUsize>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if self.is_midway() {
            return Err(SendError::FragmentInProgress);
        }
        let whole = DataFrame {
            opcode: kind.opcode(),
            fin: true,
            rsv1: compressor.is_some(),
        };
        match (compressor, threshold) {
            (None, None) => {
                self.frame(whole, payload, out);
                Ok(())
            }
            (compressor, None) => self.data(whole, payload, compressor, out),
            (compressor, Some(threshold)) => self.split(whole, payload, compressor, threshold, out),
        }
    }

    /// The bytes that carry a prepared message, `None` if they have to be masked. They must be sent.
    pub(super) fn prepared<'p>(
        &self,
        prepared: &'p Prepared,
        compressor: Option<&mut Compressor>,
        threshold: Option<NonZeroUsize>,
    ) -> Result<Option<&'p Bytes>, SendError> {
        if self.is_midway() {
            return Err(SendError::FragmentInProgress);
        }
        if self.is_client() {
            return Ok(None);
        }
        let frames = prepared
            .frames(compressor.as_deref(), threshold)
            .map_err(|_| SendError::Compression)?;
        if let Some(compressor) = compressor {
            compressor.forget();
        }
        Ok(Some(frames))
    }

    /// What the bytes of prepared messages depend on here, `None` if they have to be masked.
    pub(super) fn prepared_form(
        &self,
        compressor: Option<&Compressor>,
        threshold: Option<NonZeroUsize>,
    ) -> Result<Option<PreparedForm>, SendError> {
        if self.is_midway() {
            return Err(SendError::FragmentInProgress);
        }
        let compression = compressor.map(|compressor| (compressor.settings(), compressor.threshold()));
        Ok((!self.is_client()).then_some(PreparedForm {
            compression,
            threshold,
        }))
    }

    /// The header of a message whose payload needs no work, `None` if it has to be compressed, cut or masked.
    pub(super) fn header(
        &self,
        kind: MessageKind,
        payload_len: usize,
        compressor: Option<&mut Compressor>,
        threshold: Option<NonZeroUsize>,
    ) -> Result<Option<HeaderBytes>, SendError> {
        if self.is_midway() {
            return Err(SendError::FragmentInProgress);
        }
        let is_cut = threshold.is_some_and(|threshold| payload_len > threshold.get());
        if is_cut || self.is_client() || compressor.is_some() {
            return Ok(None);
        }
        let whole = DataFrame {
            opcode: kind.opcode(),
            fin: true,
            rsv1: false,
        };
        Ok(Some(whole.header(None, payload_len).to_bytes()))
    }

    /// Appends a fragment of whole code points, or of bytes.
    pub(super) fn fragment(
        &mut self,
        message: Message<'_>,
        fin: bool,
        compressor: Option<&mut Compressor>,
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
        self.continued(kind, message.as_bytes(), fin, compressor, utf8, out)
    }

    /// Appends the next frame of a message, whose text is checked here: `opcode` says whether it is the first.
    pub(super) fn data_frame(
        &mut self,
        frame: Frame<'_>,
        compressor: Option<&mut Compressor>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let Frame { opcode, fin, payload } = frame;
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
        self.continued(kind, payload, fin, compressor, utf8, out)
    }

    /// Appends the next fragment of the message in progress, or the first of a new one, which is compressed if there is
    /// a compressor for it; `utf8` is its text so far.
    fn continued(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        fin: bool,
        compressor: Option<&mut Compressor>,
        utf8: Utf8Validator,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let compressed = compressor.is_some();
        let (opcode, rsv1) = match &self.fragmented {
            Some(first) if first.kind != kind => return Err(SendError::FragmentKind),
            Some(_) => (Opcode::Continuation, false),
            None => (kind.opcode(), compressed),
        };
        self.data(DataFrame { opcode, fin, rsv1 }, payload, compressor, out)?;
        self.fragmented = (!fin).then_some(Fragmented {
            kind,
            compressed,
            utf8,
        });
        Ok(())
    }

    /// Whether a message has begun and its last fragment was not sent.
    pub(super) const fn is_midway(&self) -> bool {
        self.fragmented.is_some()
    }

    /// Whether the next fragment is compressed: the first one of a message, by `wanted`, decides for all.
    ///
    /// How long the message gets is not known with its first fragment: without an order it is worth compressing.
    pub(super) fn compresses_fragment(&self, wanted: Compress) -> bool {
        match &self.fragmented {
            Some(first) => first.compressed,
            None => wanted != Compress::Never,
        }
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
        let whole = DataFrame {
            opcode,
            fin: true,
            rsv1: false,
        };
        self.frame(whole, payload, out);
        Ok(())
    }

    /// Appends a message in frames of at most `threshold` bytes. Compressed, it is one stream that is cut: only the
    /// first frame is marked (RFC 7692 §6.1).
    fn split(
        &mut self,
        whole: DataFrame,
        payload: &[u8],
        compressor: Option<&mut Compressor>,
        threshold: NonZeroUsize,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let mut deflated = Vec::new();
        let payload = match compressor {
            Some(compressor) => {
                let done = compressor.compress(payload, true, &mut deflated);
                done.map_err(|_| SendError::Compression)?;
                &deflated
            }
            None => payload,
        };
        for Piece { frame, payload } in pieces(whole, payload, threshold) {
            self.frame(frame, payload, out);
        }
        Ok(())
    }

    /// Appends a frame of data, compressed if there is a compressor for it.
    fn data(
        &mut self,
        frame: DataFrame,
        payload: &[u8],
        compressor: Option<&mut Compressor>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let Some(compressor) = compressor else {
            self.frame(frame, payload, out);
            return Ok(());
        };
        // The length of the header depends on the compressed length: guess it by the length that went in,
        // compress behind the gap, and move the payload in the rare case that the guess was wrong.
        let start = out.len();
        let mask = self.next_key();
        let guess = frame.header(mask, payload.len()).to_bytes().len();
        out.resize(start + guess, 0);
        if compressor.compress(payload, frame.fin, out).is_err() {
            out.truncate(start);
            return Err(SendError::Compression);
        }
        let header = frame.header(mask, out.len() - start - guess).to_bytes();
        let len = header.len();
        if len < guess {
            out.drain(start..start + guess - len);
        } else if len > guess {
            out.splice(start..start, [0; MAX_HEADER_LEN].into_iter().take(len - guess));
        }
        out[start..start + len].copy_from_slice(&header);
        if let Some(key) = mask {
            Mask::new(key).apply(&mut out[start + len..]);
        }
        Ok(())
    }

    #[inline]
    fn frame(&mut self, frame: DataFrame, payload: &[u8], out: &mut Vec<u8>) {
        let mask = self.next_key();
        if mask.is_none() && payload.len() < 126 {
            // What most frames of servers are.
            out.reserve(2 + payload.len());
            out.extend_from_slice(&[frame.first_byte(), payload.len() as u8]);
            out.extend_from_slice(payload);
            return;
        }
        out.reserve(MAX_HEADER_LEN + payload.len());
        frame.header(mask, payload.len()).append(out);
        match mask {
            Some(key) => Mask::new(key).apply_copy(payload, out),
            None => copy::append(out, payload),
        }
    }

    #[inline]
    fn next_key(&mut self) -> Option<[u8; 4]> {
        self.keys.as_mut().map(|keys| keys.0.next_key())
    }
}

/// A frame, but for its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataFrame {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    /// Marks the first frame of a compressed message (RFC 7692 §6.1).
    pub(crate) rsv1: bool,
}

impl DataFrame {
    #[inline]
    const fn first_byte(self) -> u8 {
        FrameHeader::first_byte(self.fin, self.rsv1, self.opcode)
    }

    #[inline]
    pub(crate) const fn header(self, mask: Option<[u8; 4]>, payload_len: usize) -> FrameHeader {
        FrameHeader {
            fin: self.fin,
            rsv1: self.rsv1,
            opcode: self.opcode,
            mask,
            payload_len: payload_len as u64,
        }
    }
}

/// One of the frames that a message is cut into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) frame: DataFrame,
    pub(crate) payload: &'a [u8],
}

/// Cuts a message into frames of at most `threshold` bytes, at least one.
pub(crate) fn pieces(
    whole: DataFrame,
    payload: &[u8],
    threshold: NonZeroUsize,
) -> impl Iterator<Item = Piece<'_>> {
    let mut next = Some((whole, payload));
    std::iter::from_fn(move || {
        let (mut frame, rest) = next?;
        let (payload, after) = rest.split_at(rest.len().min(threshold.get()));
        frame.fin = after.is_empty();
        let continuation = DataFrame {
            opcode: Opcode::Continuation,
            rsv1: false,
            ..whole
        };
        next = (!frame.fin).then_some((continuation, after));
        Some(Piece { frame, payload })
    })
}
