//! The search for repetitions.

use super::block::Block;
use super::token::{MAX_MATCH, MIN_MATCH};

/// Where byte sequences were seen of late: for each hash of as many bytes as the shortest match has, the latest position, in
/// the lower half of a slot, and the one before.
///
/// Positions have numbers that go on from message to message. What an earlier message left here has a number from before
/// the message began, so nothing has to be cleared for it, until numbers run out.
pub(super) struct Index {
    slots: Box<[u32; SLOTS]>,
    /// The number of the next message's first position; those before may be in the slots.
    next: u16,
}

/// The most slots that are of use, for messages of some KiB and more.
const SLOTS: usize = 1 << MAX_BITS;
const MAX_BITS: u32 = 14;
const MIN_BITS: u32 = 9;

/// How many bits of a word are beyond the shortest match.
const UNCOMPARED: usize = u64::BITS as usize - 8 * MIN_MATCH;

impl Index {
    pub(super) fn new() -> Self {
        let slots = vec![0; SLOTS].into_boxed_slice();
        Self {
            slots: slots.try_into().unwrap_or_else(|_| Box::new([0; SLOTS])),
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
        // In a message for which numbers do not suffice at all they start over. A candidate may then not be what it seems,
        // but its bytes are compared in any case; and the slots were empty at the start, so what is found depends on
        // the message alone.
        self.next = base.saturating_add(length);
        Search {
            slots: &mut self.slots,
            base,
            message,
            window,
            // About two slots for each byte of a short message: fewer make it meet what has the same hash by chance, more
            // would drive out of the processor's cache what others need.
            shift: u64::BITS - (usize::BITS - message.len().leading_zeros()).clamp(MIN_BITS, MAX_BITS),
            at: 0,
        }
    }
}

/// The search for repetitions in one message.
pub(super) struct Search<'a> {
    slots: &'a mut [u32; SLOTS],
    base: u16,
    message: &'a [u8],
    window: usize,
    /// How far the hash is shifted to be the number of a slot.
    shift: u32,
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

impl Search<'_> {
    /// A match of this length is taken without a look whether one that begins a byte later is longer.
    const GOOD: usize = 16;
    /// How many positions of a match are entered in the index, the last ones: the others were entered where it repeats them.
    const ENTERED: usize = 2;

    /// Fills a block with what comes next; the bytes it stands for, which are none at the end of the message.
    pub(super) fn fill(&mut self, block: &mut Block) -> &[u8] {
        let message = self.message;
        let start = self.at;
        let mut at = start;
        while at < message.len() && block.has_room() {
            let mut found = self.find_latest(at);
            if found.length < MIN_MATCH {
                block.literal(message[at]);
                at += 1;
                continue;
            }
            if found.length < Self::GOOD && at + 1 < message.len() {
                let later = self.find_longest(at + 1);
                // Which one is longer nobody can foretell, so there is no branch.
                let is_longer = later.length > found.length;
                block.literal_if(is_longer, message[at]);
                found = if is_longer { later } else { found };
                at += usize::from(is_longer);
            }
            block.reference(found.length, found.distance);
            at += found.length;
            for entered in at - Self::ENTERED..at {
                self.enter(entered, load(message, entered));
            }
        }
        self.at = at;
        &message[start..at]
    }

    /// Enters the position `at` in the index, where the bytes `word` are; what the slot held.
    #[inline]
    fn enter(&mut self, at: usize, word: u64) -> u32 {
        // The multiplier is that of Fibonacci hashing: 2 ^ 64 divided by the golden ratio.
        let hash = (word << UNCOMPARED).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift;
        let number = self.number(at);
        let slot = &mut self.slots[hash as usize % SLOTS];
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
        let word = load(self.message, at);
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
        let word = load(self.message, at);
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
        let rest = self.message.len() - at;
        if found.length == size_of::<u64>() && rest > size_of::<u64>() {
            found.length = common(self.message, at, found.distance);
        }
        // Beyond the end of the message all bytes are zeros.
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
            word: load(self.message, at - (distance & valid)),
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
    /// All ones if it is within the message and the window, zeros otherwise.
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

/// Eight bytes of the message from `at` on, which is within it; zeros beyond its end.
#[inline]
fn load(message: &[u8], at: usize) -> u64 {
    let rest = &message[at..];
    if let Some(bytes) = rest.first_chunk() {
        return u64::from_le_bytes(*bytes);
    }
    let mut bytes = [0; 8];
    bytes[..rest.len()].copy_from_slice(rest);
    u64::from_le_bytes(bytes)
}

/// How many bytes from `at` on are what was `distance` bytes before, of which the first eight are.
fn common(message: &[u8], at: usize, distance: usize) -> usize {
    let limit = (message.len() - at).min(MAX_MATCH);
    let (new, old) = (&message[at..][..limit], &message[at - distance..][..limit]);
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
