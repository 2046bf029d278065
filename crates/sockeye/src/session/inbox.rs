//! What was received and not taken by the application yet.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::message::{Chunk, Message};

/// What an entry costs beside its payload, in bytes: many small messages count as much as one large one.
const OVERHEAD: usize = size_of::<Incoming>() + 32;

/// One entry: a message or a chunk, as the connection delivers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Incoming {
    Message(Message),
    Chunk(Chunk),
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

    pub(super) fn push_message(&mut self, message: Message) {
        self.size += message.len() + OVERHEAD;
        self.push(Incoming::Message(message));
    }

    pub(super) fn push_chunk(&mut self, chunk: &sockeye_proto::Chunk<'_>) {
        self.size += chunk.payload.len() + OVERHEAD;
        self.push(Incoming::Chunk(Chunk {
            kind: chunk.kind,
            payload: Bytes::copy_from_slice(chunk.payload),
            starts_message: chunk.starts_message,
            ends_frame: chunk.ends_frame,
            ends_message: chunk.ends_message,
        }));
    }

    pub(super) fn pop(&mut self) -> Option<Incoming> {
        let entry = self.first.take()?;
        self.first = self.rest.pop_front();
        let payload = match &entry {
            Incoming::Message(message) => message.len(),
            Incoming::Chunk(chunk) => chunk.payload.len(),
        };
        self.size -= payload + OVERHEAD;
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            // An idle connection owns no buffers.
            self.rest = VecDeque::new();
        }
        Some(entry)
    }

    pub(super) fn clear(&mut self) {
        self.first = None;
        self.rest = VecDeque::new();
        self.size = 0;
    }

    fn push(&mut self, entry: Incoming) {
        if self.first.is_none() {
            self.first = Some(entry);
        } else {
            self.rest.push_back(entry);
        }
    }
}
