//! The buffers that the connections of a thread share.

use std::time::Instant;

use super::gathered::Gathered;
use super::receive::{INFLATE_STEP, Progress};
use crate::message::MessageKind;

/// A message is begun in the memory of the one before, unless that is larger than this, in bytes: one that is begun and
/// not ended costs its sender next to nothing.
const KEEP_CAPACITY: usize = 64 * 1024;

/// Larger memory waits, up to this size in bytes, for a message that outgrows what it was begun in. To the allocator
/// large memory is dear: it may have to be asked of the operating system, page by page, and given back each time.
const KEEP_LARGE: usize = 4 * 1024 * 1024;

/// How much of it waits in all, in bytes: large messages of several connections tend to be on their way at a time.
const KEEP_ALL: usize = 16 * 1024 * 1024;

/// Of large memory a message gets no more than so many times what arrived of it.
const MAX_ADVANCE: usize = 8;

/// From this length on, in bytes, a message is worth more than the memory it was gathered in: who wants to keep it takes
/// that over, rather than to copy the message.
const WORTH_TAKING: usize = 4 * 1024;

/// Buffers for messages that cannot be lent from the input: those that span reads or fragments, or are compressed.
///
/// One workspace serves any number of connections that take turns, so that an idle connection owns no buffer.
/// What an event lends from it is valid until the next call that takes it. It keeps the memory of large messages, of up to
/// 4 MiB each and 16 MiB in all, for the next large ones.
#[derive(Debug, Default)]
pub struct Workspace {
    pub(super) text: String,
    pub(super) binary: Gathered,
    pub(super) control: Vec<u8>,
    /// [`INFLATE_STEP`] bytes, made on first use.
    pub(super) inflated: Vec<u8>,
    /// Empty memory of large messages that were handed out, the last one used at the end.
    large: Vec<Gathered>,
    /// What a connection left that had something in progress, for the next one that has.
    progress: Option<Box<Progress>>,
}

impl Workspace {
    /// An empty workspace: allocates nothing until it is needed.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            text: String::new(),
            binary: Gathered::new(),
            control: Vec::new(),
            inflated: Vec::new(),
            large: Vec::new(),
            progress: None,
        }
    }

    /// Takes the text message that the last event lent from here; see [`Received::takeable`](super::Received).
    pub fn take_text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Takes the binary message that the last event lent from here; see [`Received::takeable`](super::Received).
    pub fn take_binary(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.binary).into_vec()
    }

    /// Whether the memory of the message that was lent from here will not be used for the next one, or is mostly filled
    /// by a message that is worth it.
    pub(super) fn is_takeable(&self, kind: MessageKind) -> bool {
        let (len, capacity) = match kind {
            MessageKind::Text => (self.text.len(), self.text.capacity()),
            MessageKind::Binary => (self.binary.len(), self.binary.capacity()),
        };
        capacity > KEEP_LARGE || (len >= WORTH_TAKING && len >= capacity / 2)
    }

    pub(super) fn inflated(&mut self) -> &mut [u8] {
        if self.inflated.is_empty() {
            self.inflated.resize(INFLATE_STEP, 0);
        }
        &mut self.inflated
    }

    /// Memory for a text that begins.
    pub(super) fn start_text(&mut self) -> String {
        let mut text = std::mem::take(&mut self.text);
        if text.capacity() > KEEP_CAPACITY {
            self.keep_large(text.into_bytes().into());
            return String::new();
        }
        text.clear();
        text
    }

    /// Memory for bytes that begin.
    pub(super) fn start_binary(&mut self) -> Gathered {
        let mut binary = std::mem::take(&mut self.binary);
        if binary.capacity() > KEEP_CAPACITY {
            self.keep_large(binary);
            return Gathered::new();
        }
        binary.clear();
        binary
    }

    /// Lends a text from here, until the next one is.
    pub(super) fn put_text(&mut self, text: String) {
        let before = std::mem::replace(&mut self.text, text);
        self.keep_large(before.into_bytes().into());
    }

    /// Lends bytes from here, until the next ones are.
    pub(super) fn put_binary(&mut self, binary: Gathered) {
        let before = std::mem::replace(&mut self.binary, binary);
        self.keep_large(before);
    }

    /// Keeps memory for large messages, if it is some.
    fn keep_large(&mut self, mut memory: Gathered) {
        if !(KEEP_CAPACITY + 1..=KEEP_LARGE).contains(&memory.capacity()) {
            return;
        }
        memory.clear();
        self.large.push(memory);
        let mut kept: usize = self.large.iter().map(Gathered::capacity).sum();
        while kept > KEEP_ALL {
            kept -= self.large.remove(0).capacity();
        }
    }

    /// Large memory for a message of which so many bytes arrived, if there is some: room for `wanted`, if possible, and not
    /// for less than twice what arrived or all that is wanted.
    pub(super) fn take_large(&mut self, arrived: usize, wanted: usize) -> Option<Gathered> {
        if arrived <= KEEP_CAPACITY {
            return None;
        }
        let fits = arrived.saturating_mul(2).min(wanted)..=MAX_ADVANCE.saturating_mul(arrived);
        let candidates = self.large.iter().enumerate().rev();
        let candidates = candidates.filter(|(_, memory)| fits.contains(&memory.capacity()));
        // The last one used may still be in the cache.
        let best = candidates.min_by_key(|(_, memory)| memory.capacity() < wanted)?.0;
        Some(self.large.remove(best))
    }

    /// Room for what begins now.
    pub(super) fn progress(&mut self, now: Instant) -> Box<Progress> {
        match self.progress.take() {
            Some(mut progress) => {
                progress.restart_clock(now);
                progress
            }
            None => Box::new(Progress::new(now)),
        }
    }

    /// Takes back what [`Workspace::progress`] gave, now that nothing is in progress.
    pub(super) fn keep(&mut self, idle: Box<Progress>) {
        self.progress = Some(idle);
    }
}
