//! Tables that tell what a code stands for.

use super::super::DeflateError;
use super::bits::low;

/// What the next bits stand for, in one number:
///
/// | bits | what |
/// |---|---|
/// | 0–7 | how many bits it takes, extra ones included |
/// | 8–11 | how many of them are the code |
/// | 13–15 | [`INVALID`](Self::INVALID), [`END`](Self::END), [`SPECIAL`](Self::SPECIAL) |
/// | 16–30 | the value, to which that of the extra bits is added |
/// | 31 | [`FLAG`](Self::FLAG) |
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Entry(u32);

impl Entry {
    /// Of a symbol's value: it is a literal; or the length before it.
    pub(super) const FLAG: u32 = 1 << 31;
    /// Neither a literal nor a length or a distance: one of the two below, or else the code is longer than the table's root
    /// and goes on in another part of the table, whose place is the value and whose bits are in place of the code's.
    const SPECIAL: u32 = 1 << 15;
    /// The end of the block.
    pub(super) const END: u32 = Self::SPECIAL | 1 << 14;
    /// No symbol has this code, or one that must not occur.
    pub(super) const INVALID: u32 = Self::SPECIAL | 1 << 13;

    /// A symbol, for a table to add its code.
    pub(super) const fn symbol(value: u32, extra: u32, flags: u32) -> Self {
        Self(value << 16 | extra | flags)
    }

    const fn with_code(self, bits: u32) -> Self {
        Self(self.0 + bits * 0x101)
    }

    const fn further(start: usize, bits: u32, root: u32) -> Self {
        Self((start as u32) << 16 | Self::SPECIAL | bits << 8 | root)
    }

    #[inline(always)]
    pub(super) const fn is_flagged(self) -> bool {
        self.0 & Self::FLAG != 0
    }

    #[inline(always)]
    pub(super) const fn is_special(self) -> bool {
        self.0 & Self::SPECIAL != 0
    }

    #[inline(always)]
    pub(super) const fn is_end(self) -> bool {
        self.0 & Self::END == Self::END
    }

    #[inline(always)]
    pub(super) const fn is_further(self) -> bool {
        self.0 & (Self::END | Self::INVALID) == Self::SPECIAL
    }

    /// How many bits it takes.
    #[inline(always)]
    pub(super) const fn bits(self) -> u32 {
        self.0 & 0xFF
    }

    /// How many bits the code takes.
    #[inline(always)]
    pub(super) const fn code_bits(self) -> u32 {
        self.0 >> 8 & 0xF
    }

    /// The value without extra bits.
    #[inline(always)]
    pub(super) const fn base(self) -> usize {
        (self.0 >> 16 & 0x7FFF) as usize
    }

    /// The value; `bits` begin with the code.
    #[inline(always)]
    pub(super) const fn value(self, bits: u64) -> usize {
        self.base() + (low(bits, self.bits()) >> self.code_bits()) as usize
    }
}

/// A symbol that has a code, and how long that is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Coded(u16);

impl Coded {
    const SYMBOL_BITS: u32 = 9;

    #[inline]
    pub(super) const fn new(symbol: usize, length: u32) -> Self {
        Self(symbol as u16 | (length as u16) << Self::SYMBOL_BITS)
    }

    #[inline]
    pub(super) const fn symbol(self) -> usize {
        (self.0 & ((1 << Self::SYMBOL_BITS) - 1)) as usize
    }

    #[inline]
    const fn length(self) -> usize {
        (self.0 >> Self::SYMBOL_BITS) as usize & MAX_LENGTH
    }
}

/// The longest code (RFC 1951 §3.2.7).
const MAX_LENGTH: usize = 15;

/// As many symbols as any code has (RFC 1951 §3.2.6).
const MAX_SYMBOLS: usize = 288;

/// A table of `SIZE` entries, a power of two, for codes of which at most `ROOT` bits are looked up at once.
///
/// 2048 entries are more than enough for 288 symbols and a root of 10 bits, and 512 for 32 symbols and one of 8.
pub(super) struct Table<const SIZE: usize, const ROOT: u32> {
    entries: [Entry; SIZE],
    /// How many bits are looked up first: fewer where no code is longer.
    root: u32,
}

impl<const SIZE: usize, const ROOT: u32> Table<SIZE, ROOT> {
    const MASK: usize = SIZE - 1;

    pub(super) const fn new() -> Self {
        const { assert!(SIZE.is_power_of_two() && SIZE >= 1 << ROOT) };
        Self {
            entries: [Entry(Entry::INVALID); SIZE],
            root: 0,
        }
    }

    /// What leaves of some bits the index of an entry.
    #[inline(always)]
    pub(super) fn mask(&self) -> usize {
        ((1 << self.root) - 1) & Self::MASK
    }

    /// What `bits` begin with. `mask` is the table's own, which a loop keeps at hand.
    #[inline(always)]
    pub(super) fn look(&self, bits: u64, mask: usize) -> Entry {
        self.entries[bits as usize & mask & Self::MASK]
    }

    /// What `bits` go on with after the root, which led to `entry`.
    #[inline(always)]
    pub(super) fn look_further(&self, entry: Entry, bits: u64) -> Entry {
        let index = low(bits, entry.code_bits()) as usize;
        self.entries[(entry.base() + index) & Self::MASK]
    }

    /// What `bits` begin with, and how many of them led to the part of the table where that is.
    #[inline(always)]
    pub(super) fn find(&self, bits: u64) -> (Entry, u32) {
        let entry = self.look(bits, self.mask());
        if !entry.is_further() {
            return (entry, 0);
        }
        let used = entry.bits();
        (self.look_further(entry, bits >> used), used)
    }

    /// Makes the table of a code (RFC 1951 §3.2.2): of the symbols that have one, in their order. `symbols` are their entries,
    /// the first one that of the symbol `first`.
    ///
    /// # Errors
    ///
    /// Too many codes, or too few for all bits to mean something. Only if `may_lack` is there an exception, which is zlib's: no
    /// code at all, or a single one of one bit.
    #[inline(never)]
    pub(super) fn build<const N: usize>(
        &mut self,
        coded: &[Coded],
        first: usize,
        symbols: &[Entry; N],
        sorted: &mut Sorted,
        may_lack: bool,
    ) -> Result<(), DeflateError> {
        const { assert!(N.is_power_of_two()) };
        let mut counts = [0_u16; MAX_LENGTH + 1];
        for symbol in coded {
            counts[symbol.length()] += 1;
        }
        // How many of all codes of a length are free, below zero if too many are taken; and which lengths occur.
        let (mut starts, mut start, mut free, mut lengths) = ([0; MAX_LENGTH + 1], 0, 1_i32, 0_u32);
        for length in 1..=MAX_LENGTH {
            starts[length] = start;
            start += counts[length];
            free = 2 * free - i32::from(counts[length]);
            lengths |= u32::from(counts[length] > 0) << length;
        }
        if free < 0 {
            return Err(DeflateError::InvalidData);
        }
        let longest = lengths.checked_ilog2().unwrap_or_default() as usize;
        let shortest = lengths.trailing_zeros() as usize;
        if free > 0 {
            if !may_lack || longest > 1 {
                return Err(DeflateError::InvalidData);
            }
            let only = coded
                .first()
                .map(|symbol| symbols[symbol.symbol().wrapping_sub(first) % N]);
            let invalid = Entry(Entry::INVALID);
            self.entries[0] = only.unwrap_or(invalid).with_code(1);
            self.entries[1] = invalid.with_code(1);
            self.root = 1;
            return Ok(());
        }
        let sorted = &mut sorted.0;
        for symbol in coded {
            let length = symbol.length();
            let at = usize::from(starts[length]) % sorted.len();
            sorted[at] = symbols[symbol.symbol().wrapping_sub(first) % N].with_code(length as u32);
            starts[length] += 1;
        }
        let root = longest.min(ROOT as usize);
        self.root = root as u32;
        let (mut code, mut rest) = (0, &sorted[..]);
        for (length, &count) in counts.iter().enumerate().take(root + 1).skip(shortest) {
            // What is there holds for a bit more, whatever that is. Before the first length nothing is there.
            self.double(1 << (length - 1));
            let (of_length, longer) = rest.split_at(count.into());
            for &entry in of_length {
                self.entries[reversed(code, length) & Self::MASK] = entry;
                code += 1;
            }
            code <<= 1;
            rest = longer;
        }
        if longest > root {
            self.build_further(code, &counts, longest, rest);
        }
        Ok(())
    }

    /// Repeats the first `half` entries after themselves, and what follows up to a chunk.
    #[inline]
    fn double(&mut self, half: usize) {
        for from in (0..half).step_by(CHUNK) {
            self.entries.copy_within(from..from + CHUNK, half + from);
        }
    }

    /// Makes the parts for codes longer than the root, the first of which is `code`.
    fn build_further(
        &mut self,
        mut code: usize,
        counts: &[u16; MAX_LENGTH + 1],
        longest: usize,
        mut rest: &[Entry],
    ) {
        let root = self.root as usize;
        let (mut prefix, mut start, mut end) = (usize::MAX, 0, 1 << root);
        for length in root + 1..=longest {
            let (of_length, longer) = rest.split_at(counts[length].into());
            for (at, &entry) in of_length.iter().enumerate() {
                let reversed = reversed(code, length);
                let low = reversed & ((1 << root) - 1);
                if low != prefix {
                    // A part has room for the longest of its codes.
                    let mut bits = length - root;
                    let mut codes = of_length.len() - at;
                    while codes < 1 << bits && root + bits < longest {
                        bits += 1;
                        codes = 2 * codes + usize::from(counts[root + bits]);
                    }
                    (prefix, start, end) = (low, end, end + (1 << bits));
                    self.entries[low & Self::MASK] = Entry::further(start, bits as u32, self.root);
                }
                let entry = Entry(entry.0 - self.root * 0x101);
                for at in (start + (reversed >> root)..end).step_by(1 << (length - root)) {
                    self.entries[at & Self::MASK] = entry;
                }
                code += 1;
            }
            code <<= 1;
            rest = longer;
        }
    }
}

const CHUNK: usize = 8;

/// The entries of a code's symbols, sorted by the length of their codes: kept so as not to be cleared for each table.
pub(super) struct Sorted([Entry; MAX_SYMBOLS.next_power_of_two()]);

impl Sorted {
    pub(super) const fn new() -> Self {
        Self([Entry(0); MAX_SYMBOLS.next_power_of_two()])
    }
}

/// RFC 1951 §3.1.1: Huffman codes begin with their highest bit.
#[inline]
fn reversed(code: usize, length: usize) -> usize {
    usize::from((code as u16).reverse_bits() >> (16 - length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check<const SIZE: usize, const ROOT: u32>(lengths: &[u8], noise: u64) {
        static SYMBOLS: [Entry; 512] = {
            let mut symbols = [Entry(0); 512];
            let mut symbol = 0;
            while symbol < symbols.len() {
                symbols[symbol] = Entry::symbol(symbol as u32, 0, 0);
                symbol += 1;
            }
            symbols
        };
        let coded: Vec<Coded> = (0..)
            .zip(lengths)
            .map(|(symbol, &length)| Coded::new(symbol, length.into()))
            .collect();
        let mut table = Table::<SIZE, ROOT>::new();
        table
            .build(&coded, 0, &SYMBOLS, &mut Sorted::new(), false)
            .unwrap();
        let mut code = 0;
        for length in 1..=MAX_LENGTH {
            code <<= 1;
            for (symbol, _) in lengths
                .iter()
                .enumerate()
                .filter(|(_, of)| usize::from(**of) == length)
            {
                let bits = reversed(code, length) as u64 | noise << length;
                let (entry, used) = table.find(bits);
                let used = (used + entry.bits()) as usize;
                assert_eq!((entry.base(), used), (symbol, length), "{lengths:?}");
                code += 1;
            }
        }
    }

    proptest! {
        #[test]
        fn each_code_leads_to_its_symbol_whatever_follows(
            splits in prop::collection::vec(any::<prop::sample::Index>(), 1..287),
            deepen in 0..3_usize,
            noise in any::<u64>(),
        ) {
            let mut lengths = vec![0_u8];
            for split in splits {
                // Now and then the deepest becomes deeper, so that codes get long.
                let deepest = lengths.iter().rposition(|length| lengths.iter().all(|other| other <= length));
                let at = if split.index(3) < deepen { deepest.unwrap() } else { split.index(lengths.len()) };
                if usize::from(lengths[at]) < MAX_LENGTH {
                    lengths[at] += 1;
                    lengths.insert(split.index(lengths.len()), lengths[at]);
                }
            }
            check::<2048, 10>(&lengths, noise);
            if lengths.len() <= 32 {
                check::<512, 8>(&lengths, noise);
            }
            if lengths.iter().all(|&length| length <= 7) {
                check::<128, 7>(&lengths, noise);
            }
        }
    }
}
