//! What a driver has done so far.

/// What a driver has done since it was made: turns, and the system calls they took.
///
/// In steady state a small message costs [`Readiness`](super::Readiness) one call to receive and one to send, and a share of one
/// that waits; `Uring` a share of one that waits, submits and collects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Turns that were taken.
    pub turns: u64,
    /// Events that turns told of.
    pub events: u64,
    /// Calls that wait for events; with io_uring those that submit work, too.
    pub waits: u64,
    /// Calls that receive.
    pub receives: u64,
    /// Calls that send.
    pub sends: u64,
    /// Calls that accept.
    pub accepts: u64,
}

impl Counters {
    /// All calls together.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.waits + self.receives + self.sends + self.accepts
    }
}
