//! What becomes of published messages that a subscriber is too slow for.

/// What becomes of a published message when a subscriber has too much before it already.
///
/// What a socket's own handler sends to it is not subject to this; see `Socket::send`. Whatever is dropped is counted
/// and told to the handler's `dropped`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Backpressure {
    /// The socket is closed: who must not miss a message comes back and asks for what it missed.
    Close,
    /// The message is dropped.
    #[default]
    DropNewest,
    /// Waiting messages are dropped, the oldest first, until there is room. For telling what happened of late.
    ///
    /// While a socket is behind, half of [`max`](BackpressureLimits::max) is for messages that may still be dropped.
    /// What its own handler sends overtakes them.
    DropOldest,
    /// Of each topic only the newest message waits. For states that replace each other: positions, prices, scores.
    ///
    /// Room is as for [`DropOldest`](Self::DropOldest): with more topics than fit, the oldest are dropped.
    KeepLatest,
}

/// How much may wait for a subscriber that is behind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct BackpressureLimits {
    /// Bytes of frames that may wait for the socket when a message is published to it. Default: 1 MiB.
    ///
    /// One message may go beyond it, if nothing waits before it.
    pub max: usize,
    /// What happens beyond. Default: the newest message is dropped.
    pub policy: Backpressure,
}

impl BackpressureLimits {
    /// At most so many bytes, and what happens beyond.
    #[must_use]
    pub const fn new(max: usize, policy: Backpressure) -> Self {
        Self { max, policy }
    }

    /// Whether messages wait where they can still be dropped.
    pub(super) const fn queues(self) -> bool {
        matches!(self.policy, Backpressure::DropOldest | Backpressure::KeepLatest)
    }

    /// How much may wait as bytes, in order and for good.
    pub(super) const fn for_output(self) -> usize {
        if self.queues() { self.max / 2 } else { self.max }
    }

    /// How much may wait as messages.
    pub(super) const fn for_messages(self) -> usize {
        self.max - self.max / 2
    }
}

impl Default for BackpressureLimits {
    fn default() -> Self {
        Self::new(1024 * 1024, Backpressure::DropNewest)
    }
}
