//! When connections are opened, and when those that take too long are given up.

use std::collections::VecDeque;
use std::ops::Range;

use sockeye::driver::Key;

use crate::bench::clock::{Moment, NEVER, nanos};
use crate::bench::content::Noise;
use crate::bench::plan::Plan;

/// The connections of a thread that are to be opened, and those that are being opened.
#[derive(Debug)]
pub(super) struct Dials {
    /// When connections are due to be opened, the next one last, with their places.
    due: Vec<(Moment, usize)>,
    /// How many are being opened, and may be.
    opening: usize,
    most: usize,
    /// When those that are being opened or closed are given up.
    deadlines: VecDeque<(Moment, Key)>,
    /// How long either may take, in nanoseconds.
    timeout: u64,
}

impl Dials {
    /// Those of these numbers, spread over the ramp that all threads share: each somewhere within its own
    /// part of it.
    pub(super) fn new(plan: &Plan, now: Moment, numbers: Range<usize>) -> Self {
        let mut noise = Noise::new(now ^ numbers.start as u64);
        let share = nanos(plan.ramp) as f64 / plan.connections as f64;
        let due = numbers.enumerate().map(|(place, number)| {
            let turn = number as f64 + noise.fraction();
            (now + (turn * share) as u64, place)
        });
        let mut due: Vec<_> = due.collect();
        due.reverse();
        Self {
            due,
            opening: 0,
            most: plan.connecting.div_ceil(plan.threads),
            deadlines: VecDeque::new(),
            timeout: nanos(plan.connect_timeout),
        }
    }

    /// The next connection that is to be opened now: when it was due, and its place.
    pub(super) fn next_due(&mut self, at: Moment) -> Option<(Moment, usize)> {
        if self.opening >= self.most {
            return None;
        }
        self.due.pop_if(|(due, _)| *due <= at)
    }

    /// The next connection that is to be given up now, unless it has got on.
    pub(super) fn next_overdue(&mut self, at: Moment) -> Option<Key> {
        let &(deadline, key) = self.deadlines.front()?;
        if deadline > at {
            return None;
        }
        self.deadlines.pop_front();
        Some(key)
    }

    /// When the next of either is due.
    pub(super) fn next_moment(&self) -> Moment {
        let due = self.due.last().filter(|_| self.opening < self.most);
        let due = due.map_or(NEVER, |(due, _)| *due);
        let deadline = self.deadlines.front().map_or(NEVER, |(deadline, _)| *deadline);
        due.min(deadline)
    }

    /// This one is being opened.
    pub(super) fn begun(&mut self, key: Key, at: Moment) {
        self.opening += 1;
        self.limit(key, at);
    }

    /// One that was being opened is open, or has failed.
    pub(super) fn done(&mut self) {
        self.opening -= 1;
    }

    /// From now on this one has only so long for what it is doing.
    pub(super) fn limit(&mut self, key: Key, at: Moment) {
        self.deadlines.push_back((at + self.timeout, key));
    }

    /// No more are to be opened.
    pub(super) fn clear(&mut self) {
        self.due.clear();
    }

    /// Whether all were tried.
    pub(super) fn are_done(&self) -> bool {
        self.due.is_empty() && self.opening == 0
    }
}
