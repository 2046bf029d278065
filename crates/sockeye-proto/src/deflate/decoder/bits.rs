//! Bits in the order of DEFLATE.

/// Reads numbers of some bits each, the first ones from the lowest bits of a byte (RFC 1951 §3.1.1).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bits {
    /// The next bits, the first one lowest. There may be more than are counted: then they are what comes next in the input.
    pending: u64,
    count: u32,
}

impl Bits {
    /// How many bits there are after [`refill_word`](Self::refill_word).
    pub(super) const REFILLED: u32 = 56;

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The next bits. Those beyond [`count`](Self::count) mean nothing.
    #[inline(always)]
    pub(super) fn peek(&self) -> u64 {
        self.pending
    }

    #[inline(always)]
    pub(super) fn skip(&mut self, count: u32) {
        self.pending >>= count & 63;
        self.count -= count;
    }

    /// The next `count` bits, if so many are there.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        if self.count < count {
            return None;
        }
        let value = low(self.pending, count) as u32;
        self.skip(count);
        Some(value)
    }

    /// Skips what is left of a byte.
    pub(super) fn align(&mut self) {
        self.skip(self.count % 8);
    }

    /// Takes [`REFILLED`](Self::REFILLED) bits or more from a word of input; how many bytes of it are used: at most 7.
    #[inline(always)]
    pub(super) fn refill_word(&mut self, word: [u8; 8]) -> usize {
        self.pending |= u64::from_le_bytes(word) << (self.count & 63);
        let used = (63 - (self.count & 63)) / 8;
        self.count |= Self::REFILLED;
        used as usize
    }

    /// As [`refill_word`](Self::refill_word), or else all input there is.
    #[inline]
    pub(super) fn refill(&mut self, input: &mut &[u8]) {
        if let Some(word) = input.first_chunk() {
            *input = &input[self.refill_word(*word)..];
            return;
        }
        while self.count < Self::REFILLED
            && let Some((&byte, rest)) = input.split_first()
        {
            self.pending |= u64::from(byte) << self.count;
            self.count += 8;
            *input = rest;
        }
    }

    /// Forgets bits that are not counted, so that other input may follow.
    pub(super) fn trim(&mut self) {
        self.pending = low(self.pending, self.count);
    }
}

/// The lowest `count` bits: less than 64.
#[inline(always)]
pub(super) const fn low(bits: u64, count: u32) -> u64 {
    bits & ((1 << (count & 63)) - 1)
}
