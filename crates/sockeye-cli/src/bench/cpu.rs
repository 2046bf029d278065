//! CPU time of this program and of others.

use std::time::Duration;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::time::{ClockId, clock_gettime};

/// CPU time, in all and by where it was spent.
///
/// The system knows the whole to the nanosecond, and divides it into the two parts by its own rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CpuTime {
    pub(super) whole: Duration,
    pub(super) user: Duration,
    pub(super) system: Duration,
}

impl CpuTime {
    /// Of the thread that asks.
    pub(super) fn of_this_thread() -> Self {
        #[cfg(target_os = "linux")]
        let (clock, who) = (ClockId::CLOCK_THREAD_CPUTIME_ID, UsageWho::RUSAGE_THREAD);
        #[cfg(not(target_os = "linux"))]
        let (clock, who) = (ClockId::CLOCK_PROCESS_CPUTIME_ID, UsageWho::RUSAGE_SELF);
        Self::of(clock, who)
    }

    /// The whole alone, which is quicker.
    pub(super) fn whole_of_this_thread() -> Duration {
        #[cfg(target_os = "linux")]
        let clock = ClockId::CLOCK_THREAD_CPUTIME_ID;
        #[cfg(not(target_os = "linux"))]
        let clock = ClockId::CLOCK_PROCESS_CPUTIME_ID;
        clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
    }

    /// Of the whole program.
    pub(super) fn of_this_process() -> Self {
        Self::of(ClockId::CLOCK_PROCESS_CPUTIME_ID, UsageWho::RUSAGE_SELF)
    }

    fn of(clock: ClockId, who: UsageWho) -> Self {
        let usage = getrusage(who).ok();
        let part = |time: fn(&Usage) -> TimeVal| {
            usage
                .as_ref()
                .map_or(Duration::ZERO, |usage| duration(time(usage)))
        };
        Self {
            whole: clock_gettime(clock).map_or(Duration::ZERO, Duration::from),
            user: part(Usage::user_time),
            system: part(Usage::system_time),
        }
    }

    /// What was spent since then.
    pub(super) fn since(self, then: Self) -> Self {
        Self {
            whole: self.whole.saturating_sub(then.whole),
            user: self.user.saturating_sub(then.user),
            system: self.system.saturating_sub(then.system),
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            whole: self.whole + other.whole,
            user: self.user + other.user,
            system: self.system + other.system,
        }
    }
}

fn duration(time: TimeVal) -> Duration {
    let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_cpu_time() {
        let begun = CpuTime::of_this_thread();
        let mut spent = CpuTime::default();
        let mut sum = 0_u64;
        while spent.whole < Duration::from_millis(2) {
            sum = sum.wrapping_add(std::hint::black_box(1));
            spent = CpuTime::of_this_thread().since(begun);
        }
        assert!(sum > 0 && spent.user + spent.system > Duration::ZERO);
    }
}
