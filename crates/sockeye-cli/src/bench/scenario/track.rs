//! What of a publisher's messages came: lost, doubled, out of order.

/// Sequence numbers of one publisher, as one subscriber sees them.
///
/// Numbers begin with 0. Of the newest [`WINDOW`](Self::WINDOW) each is remembered; what is older counts as late for the first
/// time as long as any is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::bench) struct Track {
    /// One more than the highest number so far.
    end: u64,
    /// The newest numbers that came, the highest in the lowest bit.
    seen: u128,
    /// Numbers below the highest that did not come.
    missing: u64,
    pub(in crate::bench) delivered: u64,
    pub(in crate::bench) duplicates: u64,
    /// Those that came after a later one.
    pub(in crate::bench) reordered: u64,
}

impl Track {
    const WINDOW: u64 = 128;

    /// A number came; gives whether it did so for the first time.
    pub(in crate::bench) fn note(&mut self, number: u64) -> bool {
        if number >= self.end {
            let step = number + 1 - self.end;
            self.missing += step - 1;
            self.seen = if step < Self::WINDOW { self.seen << step } else { 0 } | 1;
            self.end = number + 1;
            self.delivered += 1;
            return true;
        }
        let age = self.end - 1 - number;
        let is_new = if age < Self::WINDOW {
            let bit = 1 << age;
            let is_new = self.seen & bit == 0;
            self.seen |= bit;
            is_new
        } else {
            self.missing > 0
        };
        if is_new {
            self.missing -= 1;
            self.reordered += 1;
            self.delivered += 1;
        } else {
            self.duplicates += 1;
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many published messages did not come.
    fn lost(track: &Track, published: u64) -> u64 {
        published - track.delivered
    }

    fn track(numbers: impl IntoIterator<Item = u64>) -> Track {
        let mut track = Track::default();
        for number in numbers {
            track.note(number);
        }
        track
    }

    /// Delivered, lost of ten, duplicates, reordered.
    fn sums(track: &Track) -> [u64; 4] {
        [
            track.delivered,
            lost(track, 10),
            track.duplicates,
            track.reordered,
        ]
    }

    #[test]
    fn what_goes_wrong_is_told_apart() {
        let table: &[(&[u64], [u64; 4])] = &[
            (&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [10, 0, 0, 0]),
            (&[], [0, 10, 0, 0]),
            (&[0, 1, 3, 4, 5, 6, 7], [7, 3, 0, 0]),
            (&[0, 1, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9], [10, 0, 3, 0]),
            (&[1, 0, 2, 3, 4, 5, 6, 7, 9, 8], [10, 0, 0, 2]),
            (&[5, 6, 5], [2, 8, 1, 0]),
        ];
        for (numbers, expected) in table {
            assert_eq!(sums(&track(numbers.iter().copied())), *expected, "{numbers:?}");
        }
    }

    #[test]
    fn numbers_that_are_long_gone_are_late_once_as_long_as_some_are_missing() {
        let mut late = track((0..1000).filter(|number| *number != 7));
        assert_eq!(lost(&late, 1000), 1);
        assert!(late.note(7));
        assert_eq!((lost(&late, 1000), late.reordered), (0, 1));
        assert!(!late.note(7));
        assert_eq!(late.duplicates, 1);
    }

    #[test]
    fn a_leap_leaves_no_trace_of_what_was_before() {
        for leap in [126, 127, 128, 129, 1000] {
            let mut track = track([0, leap]);
            assert_eq!(lost(&track, leap + 1), leap - 1, "{leap}");
            assert!(track.note(1), "{leap}");
            assert_eq!(lost(&track, leap + 1), leap - 2, "{leap}");
        }
    }
}
