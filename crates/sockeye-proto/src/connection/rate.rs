//! The limit on how many control frames arrive in a second.

use std::time::{Duration, Instant};

use crate::error::Limit;

const WINDOW: Duration = Duration::from_secs(1);

/// Counts control frames in windows of one second.
#[derive(Debug)]
pub(super) struct ControlRate {
    window_start: Instant,
    count: u32,
}

impl ControlRate {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            window_start: now,
            count: 0,
        }
    }

    pub(super) fn count(&mut self, max: u32, now: Instant) -> Result<(), Limit> {
        if now.saturating_duration_since(self.window_start) >= WINDOW {
            self.window_start = now;
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        if self.count > max {
            Err(Limit::ControlRate(max))
        } else {
            Ok(())
        }
    }
}
