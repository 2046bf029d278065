//! How much may wait for a subscriber that is behind.

use crate::session::{Overflow, QueueLimits};

/// How much may wait for a subscriber that is behind, and what happens beyond.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pressure {
    /// Bytes of frames that may wait when a message is published. One message may go beyond it, if nothing waits before.
    pub(crate) max: usize,
    pub(crate) policy: Overflow,
}

impl Pressure {
    pub(crate) const fn of(queues: &QueueLimits) -> Self {
        Self {
            max: queues.send,
            policy: queues.overflow,
        }
    }

    /// Whether messages wait where they can still be dropped.
    pub(crate) const fn queues(self) -> bool {
        matches!(self.policy, Overflow::DropOldest | Overflow::KeepLatest)
    }

    /// Whether a message for which there is no room waits, rather than being dropped at once: where it can be dropped later; or
    /// for the end of a message that is being sent in fragments.
    pub(crate) const fn lets_wait(self, is_sending_fragments: bool) -> bool {
        self.queues() || is_sending_fragments
    }

    /// Whether a connection ends with the first message that is dropped.
    pub(crate) const fn closes(self) -> bool {
        matches!(self.policy, Overflow::Close)
    }

    /// How much may wait as bytes, in order and for good.
    pub(crate) const fn for_output(self) -> usize {
        if self.queues() { self.max / 2 } else { self.max }
    }

    /// How much may wait as messages.
    pub(super) const fn for_messages(self) -> usize {
        self.max - self.max / 2
    }
}
