//! How fast a recording is played.

use std::str::FromStr;
use std::time::Duration;

/// A factor, or as fast as it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Speed {
    Times(f64),
    Max,
}

impl Speed {
    /// How long after the start something comes that was recorded at this moment; `None` is at once.
    pub(super) fn scale(self, at_us: u64) -> Option<Duration> {
        match self {
            Self::Times(factor) => {
                let seconds = Duration::from_micros(at_us).as_secs_f64() / factor;
                // A moment that is too far away for the clock never comes.
                Some(
                    Duration::try_from_secs_f64(seconds)
                        .unwrap_or(FAR_AWAY)
                        .min(FAR_AWAY),
                )
            }
            Self::Max => None,
        }
    }
}

/// Ten years.
const FAR_AWAY: Duration = Duration::from_secs(3650 * 86_400);

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.trim_end_matches('x').parse() {
            Ok(factor) if (0.001..=1_000_000.0).contains(&factor) => Ok(Self::Times(factor)),
            _ => Err(format!(
                "{text:?} is not a speed: write a factor such as 1, 0.5 or 10, or max"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_factor_or_max() {
        assert_eq!("2".parse(), Ok(Speed::Times(2.0)));
        assert_eq!("0.5x".parse(), Ok(Speed::Times(0.5)));
        assert_eq!("max".parse(), Ok(Speed::Max));
        for text in ["", "0", "-1", "NaN", "inf", "fast"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }

    #[test]
    fn time_is_scaled() {
        assert_eq!(
            Speed::Times(2.0).scale(3_000_000),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(Speed::Times(0.001).scale(u64::MAX), Some(FAR_AWAY));
        assert_eq!(Speed::Max.scale(3_000_000), None);
    }
}
