//! The buffers that the connections of a thread share.

use std::time::Instant;

use super::incoming::{KEEP_CAPACITY, WORTH_TAKING};
use super::receive::{INFLATE_STEP, Progress};
use crate::message::MessageKind;

/// Buffers for messages that cannot be lent from the input: those that span reads or fragments, or are compressed.
///
/// One workspace serves any number of connections that take turns, so that an idle connection owns no buffer.
/// What an event lends from it is valid until the next call that takes it.
#[derive(Debug, Default)]
pub struct Workspace {
    pub(super) text: String,
    pub(super) binary: Vec<u8>,
    pub(super) control: Vec<u8>,
    /// [`INFLATE_STEP`] bytes, made on first use.
    pub(super) inflated: Vec<u8>,
    /// What a connection left that had something in progress, for the next one that has.
    progress: Option<Box<Progress>>,
}

impl Workspace {
    /// An empty workspace: allocates nothing until it is needed.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            text: String::new(),
            binary: Vec::new(),
            control: Vec::new(),
            inflated: Vec::new(),
            progress: None,
        }
    }

    /// Takes the text message that the last event lent from here; see [`Received::takeable`](super::Received).
    pub fn take_text(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Takes the binary message that the last event lent from here; see [`Received::takeable`](super::Received).
    pub fn take_binary(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.binary)
    }

    /// Whether the memory of the message that was lent from here will not be used for the next one, or is mostly filled
    /// by a message that is worth it.
    pub(super) fn is_takeable(&self, kind: MessageKind) -> bool {
        let (len, capacity) = match kind {
            MessageKind::Text => (self.text.len(), self.text.capacity()),
            MessageKind::Binary => (self.binary.len(), self.binary.capacity()),
        };
        capacity > KEEP_CAPACITY || (len >= WORTH_TAKING && len >= capacity / 2)
    }

    pub(super) fn inflated(&mut self) -> &mut [u8] {
        if self.inflated.is_empty() {
            self.inflated.resize(INFLATE_STEP, 0);
        }
        &mut self.inflated
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
