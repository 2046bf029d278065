//! The timers of a worker: one coarse hashed wheel, one entry for each slot.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// How exact a timer is.
const TICK: Duration = Duration::from_millis(100);
/// How many ticks the wheel turns once in. An entry that is further away stays where it is for another round.
const SPOKES: usize = 512;
const CHUNK: usize = 256;
/// No entry.
const NONE: u32 = u32::MAX;
/// The entry is on no spoke.
const IDLE: u32 = u32::MAX;

/// When to look at which slot.
///
/// Each slot has at most one entry, and traffic does not touch it: who is early when its time has come is armed anew. An
/// entry never fires before its time, and at most a tick after it.
#[derive(Debug)]
pub(super) struct Wheel {
    epoch: Instant,
    /// The tick that was looked at last.
    at: u32,
    /// The first entry of each spoke.
    spokes: Box<[u32]>,
    entries: Vec<Box<[Entry]>>,
    armed: usize,
    /// No entry fires before this; it is looked for anew when it has come.
    next: Instant,
}

/// Entries of a spoke are a list, linked both ways.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// When it fires; [`IDLE`] if it does not.
    tick: u32,
    previous: u32,
    next: u32,
}

const VACANT: Entry = Entry {
    tick: IDLE,
    previous: NONE,
    next: NONE,
};

/// A time, to the tick.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp(NonZeroU32);

impl Wheel {
    const PER_SECOND: u32 = 1_000_000_000 / TICK.subsec_nanos();

    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            at: 0,
            spokes: vec![NONE; SPOKES].into(),
            entries: Vec::new(),
            armed: 0,
            next: now,
        }
    }

    /// Has the slot looked at when this time has come, or earlier if that was arranged before.
    pub(super) fn arm(&mut self, index: usize, at: Instant) {
        let tick = self.tick_after(at);
        let current = self.entry(index).tick;
        if current <= tick {
            return;
        }
        if current != IDLE {
            self.unlink(index);
        }
        let spoke = tick as usize % SPOKES;
        let next = self.spokes[spoke];
        if next != NONE {
            self.entry(next as usize).previous = index as u32;
        }
        *self.entry(index) = Entry {
            tick,
            previous: NONE,
            next,
        };
        self.spokes[spoke] = index as u32;
        let at = self.time_of(tick);
        if self.armed == 0 || at < self.next {
            self.next = at;
        }
        self.armed += 1;
    }

    /// Forgets the slot.
    pub(super) fn disarm(&mut self, index: usize) {
        if self.entry(index).tick != IDLE {
            self.unlink(index);
        }
    }

    /// Puts the slots whose time has come into `due`; they are not armed any more.
    #[inline]
    pub(super) fn advance(&mut self, now: Instant, due: &mut Vec<usize>) {
        if self.armed > 0 && self.next <= now {
            self.turn(now, due);
        }
    }

    fn turn(&mut self, now: Instant, due: &mut Vec<usize>) {
        let now = self.ticks(now);
        // More than a round behind, each spoke is looked at once all the same.
        let first = (self.at + 1).max(now.saturating_sub(SPOKES as u32 - 1));
        for tick in first..=now {
            let mut index = self.spokes[tick as usize % SPOKES];
            while index != NONE {
                let Entry { tick, next, .. } = *self.entry(index as usize);
                if tick <= now {
                    self.unlink(index as usize);
                    due.push(index as usize);
                }
                index = next;
            }
        }
        self.at = self.at.max(now);
        let mut ahead = (1..=SPOKES as u32).map(|ahead| self.at + ahead);
        let next = ahead.find(|tick| self.spokes[*tick as usize % SPOKES] != NONE);
        self.next = self.time_of(next.unwrap_or(self.at));
    }

    /// How long to wait until something may be due; `None` if nothing is armed.
    #[inline]
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        (self.armed > 0).then(|| self.next.saturating_duration_since(now))
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(super) fn armed(&self) -> usize {
        self.armed
    }

    /// A time, to the tick, in less memory.
    pub(super) fn stamp(&self, at: Instant) -> Stamp {
        Stamp(NonZeroU32::MIN.saturating_add(self.ticks(at)))
    }

    /// When a stamp was made, at most a tick too late.
    pub(super) fn time_of_stamp(&self, stamp: Stamp) -> Instant {
        self.time_of(stamp.0.get())
    }

    fn time_of(&self, tick: u32) -> Instant {
        self.epoch + TICK * tick
    }

    /// How many ticks are over.
    #[inline]
    fn ticks(&self, now: Instant) -> u32 {
        let since = now.saturating_duration_since(self.epoch);
        let seconds = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        let ticks = seconds.saturating_mul(Self::PER_SECOND);
        ticks
            .saturating_add(since.subsec_nanos() / TICK.subsec_nanos())
            .min(IDLE - 1)
    }

    /// The first tick that is not before this time and still to come.
    fn tick_after(&self, at: Instant) -> u32 {
        let whole = self.ticks(at);
        let tick = whole.saturating_add(u32::from(self.time_of(whole) < at));
        tick.max(self.at + 1).min(IDLE - 1)
    }

    fn entry(&mut self, index: usize) -> &mut Entry {
        while self.entries.len() <= index / CHUNK {
            self.entries.push(vec![VACANT; CHUNK].into());
        }
        &mut self.entries[index / CHUNK][index % CHUNK]
    }

    fn unlink(&mut self, index: usize) {
        let Entry { tick, previous, next } = std::mem::replace(self.entry(index), VACANT);
        match previous {
            NONE => self.spokes[tick as usize % SPOKES] = next,
            previous => self.entry(previous as usize).next = next,
        }
        if next != NONE {
            self.entry(next as usize).previous = previous;
        }
        self.armed -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(wheel: &mut Wheel, now: Instant) -> Vec<usize> {
        let mut due = Vec::new();
        wheel.advance(now, &mut due);
        due.sort_unstable();
        due
    }

    #[test]
    fn an_entry_fires_once_and_never_early() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let at = start + Duration::from_millis(1234);
        wheel.arm(3, at);
        let mut fired = None;
        for millis in 0..3000 {
            let now = start + Duration::from_millis(millis);
            match due(&mut wheel, now)[..] {
                [] => {}
                [3] if fired.is_none() => fired = Some(now),
                ref other => panic!("{other:?}"),
            }
        }
        let fired = fired.unwrap();
        assert!(fired >= at && fired <= at + TICK, "{:?}", fired - start);
        assert_eq!(wheel.wait(start), None);
    }

    #[test]
    fn waiting_as_long_as_told_leads_to_each_entry() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        for (index, seconds) in [0, 1, 7, 60, 61, 200, 3600].into_iter().enumerate() {
            wheel.arm(index, start + Duration::from_secs(seconds));
        }
        let (mut now, mut order, mut waits) = (start, Vec::new(), 0);
        while let Some(wait) = wheel.wait(now) {
            now += wait;
            order.extend(due(&mut wheel, now));
            waits += 1;
            assert!(waits < 10_000);
        }
        assert_eq!(order, [0, 1, 2, 3, 4, 5, 6]);
        assert!(now < start + Duration::from_secs(3601));
    }

    #[test]
    fn arming_moves_an_entry_forward_and_never_back() {
        let start = Instant::now();
        let seconds = |seconds| start + Duration::from_secs(seconds);
        let mut wheel = Wheel::new(start);
        wheel.arm(0, seconds(10));
        wheel.arm(0, seconds(20));
        wheel.arm(1, seconds(10));
        wheel.arm(1, seconds(5));
        wheel.arm(2, seconds(5));
        wheel.disarm(2);
        assert_eq!(due(&mut wheel, seconds(6)), [1]);
        assert_eq!(due(&mut wheel, seconds(11)), [0]);
        assert!(due(&mut wheel, seconds(1000)).is_empty());
    }

    #[test]
    fn a_worker_that_slept_for_long_misses_nothing() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        for index in 0..2000 {
            wheel.arm(index, start + Duration::from_millis(index as u64 * 77));
        }
        let all: Vec<_> = (0..2000).collect();
        assert_eq!(due(&mut wheel, start + Duration::from_secs(100_000)), all);
        wheel.arm(5, start);
        assert_eq!(due(&mut wheel, start + Duration::from_secs(100_001)), [5]);
    }
}
