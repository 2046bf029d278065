//! Round trips, and how they are distributed.

use std::time::Duration;

use serde::Serialize;

/// What is told of many round trips. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Latency {
    pub(super) count: usize,
    pub(super) min_ms: f64,
    pub(super) p50_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

impl Latency {
    /// `None` of nothing.
    pub(super) fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let at = |percent: usize| {
            // The nearest rank: the smallest time that is not exceeded by this share of all.
            let rank = (times.len() * percent).div_ceil(100).max(1);
            times.get(rank - 1).map(|time| milliseconds(*time))
        };
        Some(Self {
            count: times.len(),
            min_ms: at(0)?,
            p50_ms: at(50)?,
            p90_ms: at(90)?,
            p99_ms: at(99)?,
            max_ms: at(100)?,
        })
    }

    /// In one line.
    pub(super) fn summary(&self) -> String {
        format!(
            "min {:.2}, p50 {:.2}, p90 {:.2}, p99 {:.2}, max {:.2} ms",
            self.min_ms, self.p50_ms, self.p90_ms, self.p99_ms, self.max_ms
        )
    }
}

/// With a resolution of microseconds, which is more than a network has.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_occurred() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let latency = Latency::of(times).unwrap();
        assert_eq!(latency.count, 200);
        let found = [
            latency.min_ms,
            latency.p50_ms,
            latency.p90_ms,
            latency.p99_ms,
            latency.max_ms,
        ];
        assert_eq!(found, [1.0, 100.0, 180.0, 198.0, 200.0]);
    }

    #[test]
    fn one_time_is_every_percentile_and_none_is_nothing() {
        let latency = Latency::of(vec![Duration::from_millis(5)]).unwrap();
        assert_eq!((latency.min_ms, latency.p99_ms), (5.0, 5.0));
        assert_eq!(Latency::of(vec![]), None);
    }
}
