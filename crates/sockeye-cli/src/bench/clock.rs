//! The clock of a run, and the times that its threads agree on.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A moment: nanoseconds since the run began.
pub(super) type Moment = u64;

/// A moment that does not come.
pub(super) const NEVER: Moment = u64::MAX;

/// Length of a period in the unit of moments.
pub(super) fn nanos(period: Duration) -> u64 {
    u64::try_from(period.as_nanos()).unwrap_or(NEVER)
}

/// The clock, and the times that the coordinator sets and the load's threads follow.
#[derive(Debug)]
pub(super) struct Clock {
    epoch: Instant,
    /// When traffic begins.
    begin: AtomicU64,
    /// What happens from here on counts.
    from: AtomicU64,
    /// Until here.
    to: AtomicU64,
    stopped: AtomicBool,
    /// Threads that have something on the way.
    busy: AtomicUsize,
}

impl Clock {
    /// The clock of so many threads.
    pub(super) fn start(threads: usize) -> Self {
        Self {
            epoch: Instant::now(),
            begin: AtomicU64::new(NEVER),
            from: AtomicU64::new(NEVER),
            to: AtomicU64::new(NEVER),
            stopped: AtomicBool::new(false),
            busy: AtomicUsize::new(threads),
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.at(Instant::now())
    }

    pub(super) fn at(&self, instant: Instant) -> Moment {
        nanos(instant.saturating_duration_since(self.epoch))
    }

    pub(super) fn instant(&self, moment: Moment) -> Instant {
        self.epoch + Duration::from_nanos(moment)
    }

    /// Lets traffic begin after a time; gives when it begins, when it counts, and until when.
    pub(super) fn set(
        &self,
        settle: Duration,
        warmup: Duration,
        duration: Duration,
    ) -> (Moment, Moment, Moment) {
        let begin = self.now() + nanos(settle);
        let from = begin + nanos(warmup);
        let to = from + nanos(duration);
        self.from.store(from, Ordering::Relaxed);
        self.to.store(to, Ordering::Relaxed);
        // Who sees this sees the others.
        self.begin.store(begin, Ordering::Release);
        (begin, from, to)
    }

    /// Ends the run now.
    pub(super) fn stop(&self) {
        self.to.fetch_min(self.now(), Ordering::Relaxed);
        self.stopped.store(true, Ordering::Release);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// A thread says, once, that it has nothing on the way any more.
    pub(super) fn thread_is_idle(&self) {
        self.busy.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether no thread has.
    pub(super) fn is_idle(&self) -> bool {
        self.busy.load(Ordering::Acquire) == 0
    }

    /// The times as they are now.
    pub(super) fn times(&self) -> Times {
        let begin = self.begin.load(Ordering::Acquire);
        Times {
            begin,
            from: self.from.load(Ordering::Relaxed),
            to: self.to.load(Ordering::Relaxed),
        }
    }
}

/// The times that threads agree on; [`NEVER`] as long as they are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) begin: Moment,
    pub(super) from: Moment,
    pub(super) to: Moment,
}

impl Times {
    pub(super) const UNKNOWN: Self = Self {
        begin: NEVER,
        from: NEVER,
        to: NEVER,
    };

    /// Whether traffic flows at this moment.
    pub(super) const fn flows(&self, at: Moment) -> bool {
        self.begin <= at && at < self.to
    }

    /// Whether what happens at this moment counts.
    pub(super) const fn counts(&self, at: Moment) -> bool {
        self.from <= at && at < self.to
    }
}

/// When messages are due that are sent at a fixed rate, spread over connections in turn.
///
/// The moments follow from the rate alone, so whoever is late with one is not late with the next, and a latency can be
/// counted from when its message should have left: what a stall delays is not omitted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// When the first is due.
    start: Moment,
    /// Nanoseconds between two of them.
    interval: f64,
    /// How many take turns.
    turns: usize,
}

impl Pace {
    pub(super) fn new(start: Moment, per_second: f64, turns: usize) -> Self {
        Self {
            start,
            interval: 1e9 / per_second,
            turns,
        }
    }

    /// When the message with this number is due, over all that take turns.
    pub(super) fn due(&self, number: u64) -> Moment {
        self.start.saturating_add((number as f64 * self.interval) as u64)
    }

    /// When the message with this number of one of them is due.
    pub(super) fn due_of(&self, turn: usize, number: u64) -> Moment {
        self.due(number * self.turns as u64 + turn as u64)
    }

    /// The same, if the moment has come and is before the end.
    pub(super) fn due_if(&self, turn: usize, number: u64, at: Moment, end: Moment) -> Option<Moment> {
        Some(self.due_of(turn, number)).filter(|due| *due <= at && *due < end)
    }

    pub(super) fn turn_of(&self, number: u64) -> usize {
        (number % self.turns.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_each_other_at_the_rate() {
        let pace = Pace::new(1000, 1e6, 3);
        assert_eq!(
            (pace.due(0), pace.due(1), pace.due(1_000_000)),
            (1000, 2000, 1_000_001_000)
        );
        for number in 0..12 {
            let turn = pace.turn_of(number);
            assert_eq!(pace.due_of(turn, number / 3), pace.due(number));
        }
    }

    #[test]
    fn stopping_ends_what_counts() {
        let clock = Clock::start(1);
        assert_eq!(clock.times(), Times::UNKNOWN);
        let (begin, from, to) = clock.set(Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!((from - begin, to - from), (1_000_000_000, 2_000_000_000));
        let times = clock.times();
        assert!(times.flows(begin) && !times.counts(begin) && times.counts(from) && !times.flows(to));
        clock.stop();
        assert!(clock.is_stopped() && clock.times().to < from);
    }
}
