//! The time that counts: its intervals, and the CPU time that the thread spends in it.

use std::time::Duration;

use crate::bench::clock::{Moment, Times, nanos};
use crate::bench::cpu::CpuTime;

/// Measures the thread that it is on.
#[derive(Debug)]
pub(super) struct Measure {
    /// Length of an interval, in nanoseconds.
    length: u64,
    /// The interval that runs: how many came before it.
    interval: usize,
    /// The CPU time of the thread when things began to count, and how long it has waited awake since.
    begun: Option<CpuTime>,
    waited: Duration,
    /// Both, of the time that counts; known at its end.
    spent: (CpuTime, Duration),
}

impl Measure {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length: nanos(length),
            interval: 0,
            begun: None,
            waited: Duration::ZERO,
            spent: (CpuTime::default(), Duration::ZERO),
        }
    }

    /// The interval that runs.
    pub(super) fn interval(&self) -> usize {
        self.interval
    }

    /// When it ends.
    pub(super) fn interval_end(&self, times: Times) -> Moment {
        let lengths = self.length.saturating_mul(self.interval as u64 + 1);
        times.from.saturating_add(lengths)
    }

    /// Begins once things count. Gives the interval that is over, if one is: the last one ends with the time
    /// that counts, while the thread still `is_running`.
    pub(super) fn look(&mut self, at: Moment, times: Times, is_running: bool) -> Option<usize> {
        let Times { from, to, .. } = times;
        if at < from {
            return None;
        }
        if self.begun.is_none() {
            self.begun = Some(CpuTime::of_this_thread());
            self.waited = Duration::ZERO;
        }
        let now = (at.min(to).saturating_sub(from) / self.length) as usize;
        let over = self.interval;
        self.interval = now.max(over);
        (now > over || (at >= to && is_running)).then_some(over)
    }

    /// Notes CPU time that went into waiting for the clock.
    pub(super) fn waited(&mut self, time: Duration) {
        self.waited += time;
    }

    /// Nothing counts any more.
    pub(super) fn stop(&mut self) {
        if let Some(begun) = self.begun {
            self.spent = (CpuTime::of_this_thread().since(begun), self.waited);
        }
    }

    /// The CPU time of the thread while things counted, and the part of it in which it waited awake.
    pub(super) fn spent(&self) -> (CpuTime, Duration) {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = Times {
        begin: 50,
        from: 100,
        to: 130,
    };

    fn measure() -> Measure {
        Measure::new(Duration::from_nanos(10))
    }

    #[test]
    fn before_things_count_no_interval_ends() {
        let mut measure = measure();
        assert_eq!(measure.look(99, TIMES, true), None);
        measure.stop();
        assert_eq!(measure.spent(), (CpuTime::default(), Duration::ZERO));
    }

    #[test]
    fn intervals_end_one_after_the_other() {
        let mut measure = measure();
        let looks = [
            (100, None),
            (109, None),
            (110, Some(0)),
            (119, None),
            (120, Some(1)),
        ];
        for (at, over) in looks {
            assert_eq!(measure.look(at, TIMES, true), over, "at {at}");
        }
        assert_eq!((measure.interval(), measure.interval_end(TIMES)), (2, 130));
    }

    #[test]
    fn a_late_look_ends_the_interval_that_ran_and_goes_on_with_that_of_the_moment() {
        let mut measure = measure();
        assert_eq!(measure.look(125, TIMES, true), Some(0));
        assert_eq!(measure.interval(), 2);
    }

    #[test]
    fn an_interval_that_is_cut_short_ends_with_the_time_that_counts() {
        let mut measure = measure();
        let cut = Times { to: 105, ..TIMES };
        assert_eq!(measure.look(105, cut, true), Some(0));
        assert_eq!(measure.look(106, cut, false), None);
    }

    #[test]
    fn waiting_before_things_count_is_not_told() {
        let mut measure = measure();
        measure.waited(Duration::from_secs(3));
        measure.look(100, TIMES, true);
        measure.waited(Duration::from_secs(1));
        measure.stop();
        measure.waited(Duration::from_secs(5));
        assert_eq!(measure.spent().1, Duration::from_secs(1));
    }
}
