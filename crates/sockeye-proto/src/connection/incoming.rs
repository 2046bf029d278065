//! The data message in progress: what its frames add up to.

use super::gathered::Gathered;
use super::receive::{ChunkPlace, Lent};
use super::workspace::Workspace;
use crate::config::{Config, Delivery};
use crate::copy;
use crate::error::{Error, Limit, ProtocolError};
use crate::mask::Mask;
use crate::message::MessageKind;
use crate::utf8::Utf8Validator;

/// How many bytes of text are unmasked, checked and copied at a time: they stay in the innermost cache.
const GATHER_BLOCK: usize = 16 * 1024;

/// From so many bytes on that have come and that are to come, these are worth a call of their own to be received where
/// they stay.
const MIN_ROOM: usize = 32 * 1024;

/// How many bytes are received at once where they stay: they do not push each other out of the second cache before they
/// are unmasked.
const MAX_ROOM: usize = 512 * 1024;

/// The data message in progress.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) kind: MessageKind,
    pub(super) compressed: bool,
    fragments: u32,
    /// Bytes of payload on the wire, by the headers so far.
    wire_size: u64,
    /// Bytes after inflation.
    size: u64,
    /// Whether no chunk was handed out yet.
    fresh: bool,
    utf8: Utf8Validator,
    pub(super) body: Body,
}

/// What a message in progress, or the frame of it in progress, has been assembled to.
#[derive(Debug)]
pub(super) enum Body {
    Text(String),
    /// Also text that is delivered in frames, which need not end with a code point.
    Binary(Gathered),
}

impl Body {
    /// Its length, and how long it can get without being moved.
    fn memory(&self) -> (usize, usize) {
        match self {
            Self::Text(text) => (text.len(), text.capacity()),
            Self::Binary(binary) => (binary.len(), binary.capacity()),
        }
    }

    /// Moves to `memory`, which is empty.
    fn move_to(&mut self, mut memory: Gathered) {
        match self {
            Self::Text(text) => {
                let mut moved = String::from_utf8(memory.into_vec()).unwrap_or_default();
                copy::append_str(&mut moved, text);
                *text = moved;
            }
            Self::Binary(binary) => {
                memory.append(binary.as_bytes());
                *binary = memory;
            }
        }
    }
}

impl Incoming {
    pub(super) fn new(kind: MessageKind, compressed: bool, delivery: Delivery) -> Self {
        let body = match kind {
            MessageKind::Text if delivery == Delivery::Messages => Body::Text(String::new()),
            _ => Body::Binary(Gathered::new()),
        };
        let utf8 = Utf8Validator::default();
        Self {
            kind,
            compressed,
            fragments: 0,
            wire_size: 0,
            size: 0,
            fresh: true,
            utf8,
            body,
        }
    }

    /// Counts a frame of the message, by its header, against the limits.
    pub(super) fn add_frame(&mut self, payload_len: u64, config: &Config) -> Result<(), Limit> {
        if payload_len > config.max_frame_size {
            return Err(Limit::FrameSize(config.max_frame_size));
        }
        self.wire_size = self.wire_size.saturating_add(payload_len);
        self.fragments = self.fragments.saturating_add(1);
        if self.wire_size > self.max_wire_size(config.max_message_size) {
            return Err(Limit::MessageSize(config.max_message_size));
        }
        if self.fragments > config.max_fragments {
            return Err(Limit::Fragments(config.max_fragments));
        }
        Ok(())
    }

    /// How many bytes on the wire a message of at most `max` bytes may take in as many frames as came so far.
    ///
    /// DEFLATE makes incompressible data larger: by an eighth if a compressor knows only fixed codes, and by some
    /// bytes with each flush. Twice the size leaves room for any sane compressor. Without a bound a peer could
    /// send blocks that inflate to nothing for ever.
    fn max_wire_size(&self, max: u64) -> u64 {
        if self.compressed {
            let flushes = 16 * u64::from(self.fragments);
            max.saturating_mul(2).saturating_add(64 + flushes)
        } else {
            max
        }
    }

    /// Takes over the workspace's buffer, at the start of a body, so that its memory is used again.
    pub(super) fn reuse(&mut self, workspace: &mut Workspace) {
        match &mut self.body {
            Body::Text(text) if text.capacity() == 0 => *text = workspace.start_text(),
            Body::Binary(binary) if binary.capacity() == 0 => *binary = workspace.start_binary(),
            _ => {}
        }
    }

    /// Makes room for a piece of the message: in the memory of an earlier large one, or else, of a first frame, for
    /// what is still to come of it, though for no more than came so far. A frame that arrives in a few pieces is moved
    /// little, and a declared length reserves nothing.
    pub(super) fn reserve(&mut self, piece: usize, remaining: u64, workspace: &mut Workspace) {
        let (len, capacity) = self.body.memory();
        if capacity - len >= piece {
            return;
        }
        let all = usize::try_from(remaining).unwrap_or(usize::MAX);
        let all = (len + piece).saturating_add(all);
        if let Some(large) = workspace.take_large(len + piece, all) {
            self.body.move_to(large);
        } else if self.fragments == 1 {
            // Memory that fits each of many fragments would be moved with each.
            let wanted = piece + remaining.min((len + piece) as u64) as usize;
            match &mut self.body {
                Body::Text(text) => text.reserve_exact(wanted),
                Body::Binary(binary) => binary.reserve_exact(wanted),
            }
        }
    }

    /// Room for the next bytes of a frame of which `remaining` are to come, if it is worth it to receive them where they stay:
    /// in the memory of an earlier message, or else in no more than as much as came so far.
    pub(super) fn room(&mut self, remaining: u64, workspace: &mut Workspace) -> Option<&mut [u8]> {
        let remaining = usize::try_from(remaining).unwrap_or(usize::MAX);
        let Body::Binary(binary) = &mut self.body else {
            return None;
        };
        let len = binary.len();
        if self.compressed || remaining < MIN_ROOM || len < MIN_ROOM {
            return None;
        }
        if binary.capacity() - len < MIN_ROOM {
            // What would be left over would have to be moved for.
            let growth = if remaining < len + MIN_ROOM {
                remaining
            } else {
                len
            };
            if let Some(large) = workspace.take_large(len, len.saturating_add(remaining)) {
                self.body.move_to(large);
            } else if self.fragments == 1 {
                binary.reserve_exact(growth);
            } else {
                binary.reserve(growth);
            }
        }
        match &mut self.body {
            Body::Binary(binary) => Some(binary.room(remaining.min(MAX_ROOM))),
            Body::Text(_) => None,
        }
    }

    /// Adds the first `count` bytes of the [room](Self::room) to the body, and unmasks them there.
    pub(super) fn fill(
        &mut self,
        count: usize,
        mask: &mut Option<Mask>,
        config: &Config,
    ) -> Result<(), Limit> {
        let (counted, limit) = self.count(count, config);
        if let Body::Binary(binary) = &mut self.body {
            let filled = binary.fill(counted);
            if let Some(mask) = mask {
                mask.apply(filled);
            }
        }
        limit
    }

    /// Adds the next bytes of a message that is handed out whole to its body: unmasked, checked and copied while the
    /// processor has them at hand.
    pub(super) fn gather(
        &mut self,
        bytes: &mut [u8],
        mask: &mut Option<Mask>,
        config: &Config,
    ) -> Result<(), Error> {
        let (counted, limit) = self.count(bytes.len(), config);
        let counted = &mut bytes[..counted];
        match &mut self.body {
            Body::Binary(binary) => match mask {
                Some(mask) => binary.append_masked(counted, mask),
                None => binary.append(counted),
            },
            Body::Text(text) => {
                for block in counted.chunks_mut(GATHER_BLOCK) {
                    if let Some(mask) = mask {
                        mask.apply(block);
                    }
                    self.utf8
                        .feed(block, |valid| copy::append_str(text, valid))
                        .map_err(|_| ProtocolError::Utf8Invalid)?;
                }
            }
        }
        Ok(limit?)
    }

    /// Adds the next bytes, inflated, to the body.
    pub(super) fn push(&mut self, bytes: &[u8], config: &Config) -> Result<(), Error> {
        let (counted, limit) = self.count(bytes.len(), config);
        let counted = &bytes[..counted];
        let valid = match &mut self.body {
            Body::Text(text) => self.utf8.feed(counted, |valid| copy::append_str(text, valid)),
            Body::Binary(binary) => {
                binary.append(counted);
                match self.kind {
                    MessageKind::Text => self.utf8.feed(counted, |_| ()),
                    MessageKind::Binary => Ok(()),
                }
            }
        };
        valid.map_err(|_| ProtocolError::Utf8Invalid)?;
        Ok(limit?)
    }

    /// Checks the next bytes, inflated, without keeping them.
    pub(super) fn check(&mut self, bytes: &[u8], config: &Config) -> Result<(), Error> {
        let (counted, limit) = self.count(bytes.len(), config);
        let counted = &bytes[..counted];
        if self.kind == MessageKind::Text {
            self.utf8
                .feed(counted, |_| ())
                .map_err(|_| ProtocolError::Utf8Invalid)?;
        }
        Ok(limit?)
    }

    /// Counts bytes against the limit; gives how many are below it, in which a fault comes before that of being too long,
    /// however the bytes were cut.
    fn count(&mut self, bytes: usize, config: &Config) -> (usize, Result<(), Limit>) {
        let room = config.max_message_size - self.size;
        if bytes as u64 <= room {
            self.size += bytes as u64;
            return (bytes, Ok(()));
        }
        self.size = config.max_message_size;
        (room as usize, Err(Limit::MessageSize(config.max_message_size)))
    }

    /// The next chunk of the message, which is the last if the last frame ends.
    pub(super) fn chunk(
        &mut self,
        place: ChunkPlace,
        ends_frame: bool,
        fin: bool,
    ) -> Result<Lent, ProtocolError> {
        let ends_message = ends_frame && fin;
        if ends_message {
            self.finish()?;
        }
        Ok(Lent::Chunk {
            kind: self.kind,
            place,
            starts_message: std::mem::take(&mut self.fresh),
            ends_frame,
            ends_message,
        })
    }

    /// Takes the body of the frame in progress, if anything of it was gathered.
    pub(super) fn take_frame(&mut self) -> Gathered {
        match &mut self.body {
            Body::Binary(binary) => std::mem::take(binary),
            Body::Text(text) => std::mem::take(text).into_bytes().into(),
        }
    }

    /// Whether nothing was gathered of the frame in progress.
    pub(super) fn is_frame_ungathered(&self) -> bool {
        match &self.body {
            Body::Binary(binary) => binary.len() == 0,
            Body::Text(text) => text.is_empty(),
        }
    }

    /// Ends the message: no code point may be left unfinished.
    pub(super) fn finish(&self) -> Result<(), ProtocolError> {
        self.utf8.finish().map_err(|_| ProtocolError::Utf8Invalid)
    }

    /// Whether nothing but the headers of a single frame has come so far, so that its payload can be lent.
    pub(super) const fn is_single_frame(&self) -> bool {
        !self.compressed && self.size == 0 && self.fragments == 1
    }
}
