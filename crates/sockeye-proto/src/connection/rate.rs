//! The limit on how many control frames arrive in a second.

use std::time::Duration;

use crate::error::Limit;

/// Counts control frames in each second of a connection's life.
#[derive(Debug)]
pub(super) struct ControlRate {
    /// The second that is counted in.
    second: u32,
    count: u32,
}

impl ControlRate {
    pub(super) const fn new() -> Self {
        Self { second: 0, count: 0 }
    }

    /// Counts a frame that came when the connection was of this age.
    pub(super) fn count(&mut self, max: u32, age: Duration) -> Result<(), Limit> {
        // Only whether it is another second matters, so it may wrap.
        let second = age.as_secs() as u32;
        if second != self.second {
            *self = Self { second, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        if self.count > max {
            Err(Limit::ControlRate(max))
        } else {
            Ok(())
        }
    }
}
