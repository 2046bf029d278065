//! The search for repetitions.

use std::ops::Range;

use super::block::Block;
use super::token::{MAX_MATCH, MIN_MATCH};

/// The table for messages that refer to no other one.
///
/// Positions have numbers that go on from message to message. What an earlier message left here has a number from before
/// the message began, so nothing has to be cleared for it, until numbers run out.
pub(super) struct Index {
    slots: Box<[u32]>,
    /// The number of the next message's first position; those before may be in the slots.
    next: u16,
}

/// The most slots that are of use, for messages of some KiB and more.
const MAX_BITS: u32 = 14;
const MIN_BITS: u32 = 9;

/// How many bits of a word are beyond the shortest match.
const UNCOMPARED: usize = u64::BITS as usize - 8 * MIN_MATCH;

impl Index {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![0; 1 << MAX_BITS].into_boxed_slice(),
            next: 1,
        }
    }

    /// The search in `message`. References reach back at most `window` bytes.
    pub(super) fn search<'a>(&'a mut self, message: &'a [u8], window: usize) -> Search<'a> {
        let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
        if self.next.checked_add(length).is_none() {
            self.slots.fill(0);
            self.next = 1;
        }
        let base = self.next;
        // In a message for which numbers do not suffice at all they start over. The slots were empty at its start then, so
        // what is found depends on the message alone.
        self.next = base.saturating_add(length);
        // About two slots for each byte of a short message: fewer make it meet what has the same hash by chance, more
        // would drive out of the processor's cache what others need.
        let bits = (usize::BITS - message.len().leading_zeros()).clamp(MIN_BITS, MAX_BITS);
        Search::new(&mut self.slots[..1 << bits], base, message, 0, window)
    }
}

/// The search for repetitions in a text.
///
/// It has a table of where byte sequences were seen of late: for each hash of as many bytes as the shortest match has, the
/// number of the latest position, in the lower half of a slot, and of the one before. Numbers start over after 64 Ki, so a
/// candidate may not be what it seems; but the largest window is half of that, and its bytes are compared in any case.
pub(super) struct Search<'a> {
    /// A power of two, more than one.
    slots: &'a mut [u32],
    /// How far the hash is shifted to be the number of a slot.
    shift: u32,
    /// The number of the first byte of `text`.
    base: u16,
    text: &'a [u8],
    window: usize,
    /// What was searched.
    at: usize,
}

/// A repetition of what was `distance` bytes before.
#[derive(Clone, Copy)]
struct Match {
    length: usize,
    distance: usize,
}

impl Match {
    const NONE: Self = Self {
        length: 0,
        distance: 0,
    };
}

impl<'a> Search<'a> {
    /// A match of this length is taken without a look whether one that begins a byte later is longer.
    const GOOD: usize = 16;
    /// How many positions of a match are entered in the index, the last ones: the others were entered where it repeats them.
    const ENTERED: usize = 2;

    /// The search in `text`, of which the first `at` bytes were searched before. References reach back at most `window` bytes.
    pub(super) const fn new(
        slots: &'a mut [u32],
        base: u16,
        text: &'a [u8],
        at: usize,
        window: usize,
    ) -> Self {
        Self {
            shift: u64::BITS - slots.len().ilog2(),
            slots,
            base,
            text,
            window,
            at,
        }
    }

    /// Fills a block with what comes next, up to the position `until`, or beyond it to the end of a match; how many bytes it
    /// stands for.
    ///
    /// `BOTH` says that both candidates are looked at for every position, and not the latest only. That takes a tenth more
    /// time and leaves one or two per cent less; or, where the table is full of earlier messages, so that the latest
    /// candidate is often there by chance, a thirtieth more time for four per cent less.
    pub(super) fn fill<const BOTH: bool>(&mut self, block: &mut Block, until: usize) -> usize {
        let text = self.text;
        let start = self.at;
        let mut at = start;
        while at < until && block.has_room() {
            let mut found = if BOTH {
                self.find_longest(at)
            } else {
                self.find_latest(at)
            };
            if found.length < MIN_MATCH {
                block.literal(text[at]);
                at += 1;
                continue;
            }
            if found.length < Self::GOOD && at + 1 < text.len() {
                let later = self.find_longest(at + 1);
                // Which one is longer nobody can foretell, so there is no branch.
                let is_longer = later.length > found.length;
                block.literal_if(is_longer, text[at]);
                found = if is_longer { later } else { found };
                at += usize::from(is_longer);
            }
            block.reference(found.length, found.distance);
            at += found.length;
            self.enter_all(at - Self::ENTERED..at);
        }
        self.at = at;
        at - start
    }

    /// Enters these positions in the table.
    #[inline]
    pub(super) fn enter_all(&mut self, positions: Range<usize>) {
        for at in positions {
            self.enter(at, load(self.text, at));
        }
    }

    /// Enters the position `at` in the table, where the bytes `word` are; what the slot held.
    #[inline]
    fn enter(&mut self, at: usize, word: u64) -> u32 {
        // The multiplier is that of Fibonacci hashing: 2 ^ 64 divided by the golden ratio.
        let hash = (word << UNCOMPARED).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift;
        let number = self.number(at);
        let slot = &mut self.slots[hash as usize];
        let latest = *slot;
        *slot = latest << 16 | u32::from(number);
        latest
    }

    #[inline]
    const fn number(&self, at: usize) -> u16 {
        self.base.wrapping_add(at as u16)
    }

    /// Enters the position `at` and finds the match of the latest candidate. For most positions there is none, and to ask
    /// for one only is what makes them cheap.
    #[inline(always)]
    fn find_latest(&mut self, at: usize) -> Match {
        let word = load(self.text, at);
        let slot = self.enter(at, word);
        let latest = self.candidate(slot as u16, at);
        if latest.begins_like(word) {
            self.extend(latest.compare(word), at)
        } else {
            Match::NONE
        }
    }

    /// Enters the position `at` and finds the longest match there.
    #[inline(always)]
    fn find_longest(&mut self, at: usize) -> Match {
        let word = load(self.text, at);
        let slot = self.enter(at, word);
        let latest = self.candidate(slot as u16, at);
        let second = self.candidate((slot >> 16) as u16, at);
        // Which candidate is any good cannot be foretold, so that is asked once, for both.
        if !(latest.begins_like(word) | second.begins_like(word)) {
            return Match::NONE;
        }
        let latest = self.extend(latest.compare(word), at);
        let second = self.extend(second.compare(word), at);
        // Of equal ones the nearer one costs less.
        if second.length > latest.length {
            second
        } else {
            latest
        }
    }

    /// The whole of a match at `at`, of which the first bytes were compared, as many as there are in a word.
    #[inline(always)]
    fn extend(&self, mut found: Match, at: usize) -> Match {
        let rest = self.text.len() - at;
        if found.length == size_of::<u64>() && rest > size_of::<u64>() {
            found.length = common(self.text, at, found.distance);
        }
        // Beyond the end of the text all bytes are zeros.
        found.length = found.length.min(rest);
        found
    }

    /// What lies at the position of this number, for a match at `at`.
    #[inline(always)]
    fn candidate(&self, number: u16, at: usize) -> Candidate {
        let distance = usize::from(self.number(at).wrapping_sub(number));
        // From 1 to what there is, or to the window: all ones if so, and zeros otherwise.
        let valid = usize::from(distance.wrapping_sub(1) < at.min(self.window)).wrapping_neg();
        Candidate {
            word: load(self.text, at - (distance & valid)),
            distance,
            valid,
        }
    }
}

/// Where a match may be.
#[derive(Clone, Copy)]
struct Candidate {
    /// The eight bytes there.
    word: u64,
    distance: usize,
    /// All ones if it is within the text and the window, zeros otherwise.
    valid: usize,
}

impl Candidate {
    /// Whether the shortest match is one.
    #[inline(always)]
    const fn begins_like(self, word: u64) -> bool {
        ((self.word ^ word) << UNCOMPARED == 0) & (self.valid != 0)
    }

    #[inline(always)]
    const fn compare(self, word: u64) -> Match {
        Match {
            length: ((self.word ^ word).trailing_zeros() / 8) as usize & self.valid,
            distance: self.distance,
        }
    }
}

/// Eight bytes of the text from `at` on, which is within it; zeros beyond its end.
#[inline]
fn load(text: &[u8], at: usize) -> u64 {
    let rest = &text[at..];
    if let Some(bytes) = rest.first_chunk() {
        return u64::from_le_bytes(*bytes);
    }
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(bytes)
}

/// How many bytes from `at` on are what was `distance` bytes before, of which the first eight are.
fn common(text: &[u8], at: usize, distance: usize) -> usize {
    let limit = (text.len() - at).min(MAX_MATCH);
    let (new, old) = (&text[at..][..limit], &text[at - distance..][..limit]);
    let mut length = size_of::<u64>();
    while length + size_of::<u64>() <= limit {
        let differ = load(new, length) ^ load(old, length);
        if differ != 0 {
            return length + (differ.trailing_zeros() / 8) as usize;
        }
        length += size_of::<u64>();
    }
    let rest = new[length..].iter().zip(&old[length..]);
    length + rest.take_while(|(new, old)| new == old).count()
}
