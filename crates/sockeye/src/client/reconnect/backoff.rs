//! How long to wait before the next attempt.

use std::time::Duration;

/// How long to wait before each attempt: a random time, whose bound grows with every failure.
///
/// RFC 6455 §7.2.3 asks for a random delay before the first attempt, so that the clients of a server that was restarted
/// do not all come back at once, and for truncated exponential back-off after that.
///
/// ```
/// use std::time::Duration;
/// use sockeye::reconnect::Backoff;
///
/// let backoff = Backoff { first: Duration::from_millis(500), ..Backoff::default() };
/// // The second failure in a row, half-way through the range.
/// assert_eq!(backoff.delay(2, 0.5), Duration::from_millis(500));
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Backoff {
    /// The bound of the wait after the first failure. Default: 5 s, which RFC 6455 calls reasonable. A server with
    /// few clients bears less.
    pub first: Duration,
    /// By what the bound is multiplied for each further failure; at least 1. Default: 2.
    pub factor: f64,
    /// The largest bound. Default: 60 s.
    pub max: Duration,
    /// The shortest wait. Default: none.
    pub min: Duration,
    /// How a wait is drawn from what the bound allows. Default: [`Jitter::Full`].
    pub jitter: Jitter,
    /// How long a connection has to stay open for the failures before it to be forgotten. Default: 10 s. A server that
    /// accepts and closes at once is thus asked less and less often.
    pub reset_after: Duration,
    /// How long a wait a refusing server may ask for, with `Retry-After` in seconds (RFC 9110 §10.2.3). Default: 5 min.
    /// What it asks for is waited in addition. The form with a date is not read.
    pub max_retry_after: Duration,
}

/// How a wait is drawn at random.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Jitter {
    /// Evenly between nothing and the bound. Spreads clients best.
    #[default]
    Full,
    /// Evenly between half the bound and the bound.
    Equal,
    /// The bound itself. For one client alone, and for tests.
    None,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(5),
            factor: 2.0,
            max: Duration::from_secs(60),
            min: Duration::ZERO,
            jitter: Jitter::Full,
            reset_after: Duration::from_secs(10),
            max_retry_after: Duration::from_secs(300),
        }
    }
}

impl Backoff {
    /// The wait after this many failures in a row; `random` lies between 0 and 1.
    #[must_use]
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        let bound = self.bound(failures);
        let random = random.clamp(0.0, 1.0);
        let delay = match self.jitter {
            Jitter::Full => part(bound, random),
            Jitter::Equal => part(bound, 0.5 + random / 2.0),
            Jitter::None => bound,
        };
        delay.max(self.min)
    }

    fn bound(&self, failures: u32) -> Duration {
        // More would not change a number that is infinite by then.
        let exponent = failures.saturating_sub(1).min(10_000).cast_signed();
        let seconds = self.first.as_secs_f64() * self.factor.powi(exponent);
        // Nothing times infinity is no number, and nothing here.
        let grown = if self.first.is_zero() { 0.0 } else { seconds };
        Duration::try_from_secs_f64(grown).map_or(self.max, |bound| bound.min(self.max))
    }

    /// What cannot be meant.
    pub(super) fn mistake(&self) -> Option<&'static str> {
        if !self.factor.is_finite() || self.factor < 1.0 {
            return Some("the factor of a back-off is at least 1");
        }
        (self.min > self.max).then_some("the shortest wait of a back-off is longer than the longest")
    }
}

/// So much of it; all of it if that is no number.
fn part(bound: Duration, fraction: f64) -> Duration {
    // As a floating point number the longest duration rounds up to one that is too long.
    Duration::try_from_secs_f64(bound.as_secs_f64() * fraction).map_or(bound, |part| part.min(bound))
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn seconds(backoff: &Backoff, random: f64) -> Vec<f64> {
        (1..=6)
            .map(|failures| backoff.delay(failures, random).as_secs_f64())
            .collect()
    }

    #[test]
    fn the_bound_doubles_up_to_the_longest() {
        let backoff = Backoff::default();
        assert_eq!(seconds(&backoff, 1.0), [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]);
        assert_eq!(seconds(&backoff, 0.5), [2.5, 5.0, 10.0, 20.0, 30.0, 30.0]);
        assert_eq!(seconds(&backoff, 0.0), [0.0; 6]);
    }

    #[test]
    fn jitter_says_what_part_of_the_bound_is_random() {
        for (jitter, lowest, highest) in [
            (Jitter::Full, 0.0, 5.0),
            (Jitter::Equal, 2.5, 5.0),
            (Jitter::None, 5.0, 5.0),
        ] {
            let backoff = Backoff {
                jitter,
                ..Backoff::default()
            };
            assert_eq!(backoff.delay(1, 0.0).as_secs_f64(), lowest, "{jitter:?}");
            assert_eq!(backoff.delay(1, 1.0).as_secs_f64(), highest, "{jitter:?}");
        }
    }

    #[test]
    fn full_jitter_is_spread_evenly() {
        const DRAWS: usize = 10_000;
        let mut random = SmallRng::seed_from_u64(7);
        let backoff = Backoff::default();
        let mut tenths = [0_usize; 10];
        for _ in 0..DRAWS {
            let delay = backoff.delay(3, random.random::<f64>());
            assert!(delay <= Duration::from_secs(20));
            tenths[((delay.as_secs_f64() / 2.0) as usize).min(9)] += 1;
        }
        // Five standard deviations (30 each) from what is expected.
        assert!(
            tenths.iter().all(|&count| count.abs_diff(DRAWS / 10) < 150),
            "{tenths:?}"
        );
    }

    #[test]
    fn the_shortest_wait_is_kept() {
        let backoff = Backoff {
            min: Duration::from_secs(1),
            ..Backoff::default()
        };
        assert_eq!(backoff.delay(1, 0.0), Duration::from_secs(1));
        assert_eq!(backoff.delay(1, 1.0), Duration::from_secs(5));
    }

    #[test]
    fn no_number_of_failures_overflows() {
        for backoff in [
            Backoff::default(),
            Backoff {
                first: Duration::ZERO,
                ..Backoff::default()
            },
            Backoff {
                factor: f64::MAX,
                ..Backoff::default()
            },
            Backoff {
                first: Duration::MAX,
                ..Backoff::default()
            },
        ] {
            for failures in [0, 1, 2, 5_000, u32::MAX] {
                assert!(
                    backoff.delay(failures, 1.0) <= backoff.max,
                    "{backoff:?} {failures}"
                );
            }
        }
        for jitter in [Jitter::Full, Jitter::Equal, Jitter::None] {
            let endless = Backoff {
                max: Duration::MAX,
                jitter,
                ..Backoff::default()
            };
            assert_eq!(endless.delay(u32::MAX, 1.0), Duration::MAX, "{jitter:?}");
            assert_eq!(endless.mistake(), None);
        }
        let never = Backoff {
            first: Duration::ZERO,
            ..Backoff::default()
        };
        assert_eq!(never.delay(u32::MAX, 1.0), Duration::ZERO);
    }

    #[test]
    fn what_cannot_be_meant_is_a_mistake() {
        let default = Backoff::default;
        assert_eq!(default().mistake(), None);
        for wrong in [
            Backoff {
                factor: 0.5,
                ..default()
            },
            Backoff {
                factor: f64::NAN,
                ..default()
            },
            Backoff {
                factor: f64::INFINITY,
                ..default()
            },
            Backoff {
                min: Duration::from_secs(61),
                ..default()
            },
        ] {
            assert!(wrong.mistake().is_some(), "{wrong:?}");
        }
    }
}
