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
    entries: VecDeque<Incoming>,
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
        self.entries.is_empty()
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

    pub(super) fn push_message(&mut self, message: sockeye_proto::Message<'_>) {
        self.size += message.as_bytes().len() + OVERHEAD;
        self.entries.push_back(Incoming::Message(match message {
            sockeye_proto::Message::Text(text) => Message::text(text),
            sockeye_proto::Message::Binary(bytes) => Message::from(bytes),
        }));
    }

    pub(super) fn push_chunk(&mut self, chunk: &sockeye_proto::Chunk<'_>) {
        self.size += chunk.payload.len() + OVERHEAD;
        self.entries.push_back(Incoming::Chunk(Chunk {
            kind: chunk.kind,
            payload: Bytes::copy_from_slice(chunk.payload),
            starts_message: chunk.starts_message,
            ends_frame: chunk.ends_frame,
            ends_message: chunk.ends_message,
        }));
    }

    pub(super) fn pop(&mut self) -> Option<Incoming> {
        let entry = self.entries.pop_front()?;
        let payload = match &entry {
            Incoming::Message(message) => message.len(),
            Incoming::Chunk(chunk) => chunk.payload.len(),
        };
        self.size -= payload + OVERHEAD;
        if self.entries.is_empty() {
            // An idle connection owns no buffers.
            self.entries = VecDeque::new();
        }
        Some(entry)
    }

    pub(super) fn clear(&mut self) {
        self.entries = VecDeque::new();
        self.size = 0;
    }
}
