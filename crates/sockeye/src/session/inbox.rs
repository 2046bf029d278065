//! What was received and not taken by the application yet.

use std::cell::Cell;
use std::collections::VecDeque;

use bytes::Bytes;

use super::arena;
use crate::message::{Chunk, Frame, Message, Utf8Bytes};

/// What an entry costs beside its payload, in bytes: many small messages count as much as one large one.
const OVERHEAD: usize = size_of::<Incoming>() + 32;

/// How much may be held for payloads to go into shared blocks: one that is behind makes whole blocks wait with each of
/// its messages, so that of a backlog each message gets memory of its own.
const BEHIND: usize = 8 * 1024;

/// The memory of a queue for more entries than this is not kept.
const KEEP_ENTRIES: usize = 1024;

thread_local! {
    /// The memory of an inbox that ran empty, for the next one that fills.
    static SPARE: Cell<VecDeque<Incoming>> = const { Cell::new(VecDeque::new()) };
}

/// One entry: a message, a chunk or a frame, as the connection delivers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Incoming {
    Message(Message),
    Chunk(Chunk),
    Frame(Frame),
}

impl Incoming {
    fn payload_len(&self) -> usize {
        match self {
            Self::Message(message) => message.len(),
            Self::Chunk(chunk) => chunk.payload.len(),
            Self::Frame(frame) => frame.payload.len(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// The oldest entry. Most inboxes hold one at a time, and allocate nothing for it.
    first: Option<Incoming>,
    /// What came after it; not empty only if there is a first.
    rest: VecDeque<Incoming>,
    size: usize,
    /// The driver has stopped reading until there is room.
    paused: bool,
}

impl Inbox {
    /// Bytes held, overhead included.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Ends a pause; gives whether there was one.
    pub(super) fn take_paused(&mut self) -> bool {
        std::mem::take(&mut self.paused)
    }

    /// Copies what is lent, to be pushed.
    pub(super) fn copy(&self, payload: &[u8]) -> Bytes {
        if self.size <= BEHIND {
            arena::copy(payload)
        } else {
            Bytes::copy_from_slice(payload)
        }
    }

    /// Copies a message that is lent, to be pushed.
    pub(super) fn copy_message(&self, message: sockeye_proto::Message<'_>) -> Message {
        match message {
            sockeye_proto::Message::Binary(bytes) => Message::Binary(self.copy(bytes)),
            sockeye_proto::Message::Text(text) => {
                Message::Text(Utf8Bytes::from_copy(self.copy(text.as_bytes()), text))
            }
        }
    }

    pub(super) fn push_message(&mut self, message: Message) {
        self.push(Incoming::Message(message));
    }

    pub(super) fn push_chunk(&mut self, chunk: &sockeye_proto::Chunk<'_>) {
        self.push(Incoming::Chunk(Chunk {
            kind: chunk.kind,
            payload: self.copy(chunk.payload),
            starts_message: chunk.starts_message,
            ends_frame: chunk.ends_frame,
            ends_message: chunk.ends_message,
        }));
    }

    pub(super) fn push_frame(&mut self, frame: Frame) {
        self.push(Incoming::Frame(frame));
    }

    pub(super) fn pop(&mut self) -> Option<Incoming> {
        let entry = self.first.take()?;
        self.first = self.rest.pop_front();
        self.size -= entry.payload_len() + OVERHEAD;
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            // An idle connection owns no buffers.
            let rest = std::mem::take(&mut self.rest);
            if rest.capacity() <= KEEP_ENTRIES {
                SPARE.set(rest);
            }
        }
        Some(entry)
    }

    pub(super) fn clear(&mut self) {
        self.first = None;
        self.rest = VecDeque::new();
        self.size = 0;
    }

    fn push(&mut self, entry: Incoming) {
        self.size += entry.payload_len() + OVERHEAD;
        if self.first.is_none() {
            self.first = Some(entry);
        } else {
            if self.rest.capacity() == 0 {
                self.rest = SPARE.take();
            }
            self.rest.push_back(entry);
        }
    }
}
