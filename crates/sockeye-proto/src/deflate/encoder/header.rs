//! How a block describes its code (RFC 1951 §3.2.7).

use super::bits::Bits;
use super::code::Code;
use super::token::{DISTANCES, Distances, LITERALS, Literals};

/// The lengths of a block's codes, as they are described: themselves in a code, runs of the same length shortened.
pub(super) struct Header {
    runs: [Run; LITERALS + DISTANCES],
    len: usize,
    code: Code<19, 32>,
    /// How many lengths of `code` are written.
    code_lengths: usize,
}

/// A length, or a symbol that repeats one, and its extra bits.
#[derive(Clone, Copy, Default)]
struct Run {
    symbol: u8,
    extra: u8,
}

/// "Copy the previous code length 3 - 6 times", "repeat a code length of 0 for 3 - 10 times" and "11 - 138 times".
const PREVIOUS: u8 = 16;
const ZEROS: u8 = 17;
const MANY_ZEROS: u8 = 18;

/// The longest code of a length: its own length has three bits.
const MAX_LENGTH: usize = 7;

/// The order in which the lengths of the code for lengths are written.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

impl Header {
    pub(super) const fn new() -> Self {
        Self {
            runs: [Run { symbol: 0, extra: 0 }; LITERALS + DISTANCES],
            len: 0,
            code: Code::new(),
            code_lengths: 0,
        }
    }

    /// Makes the description of these codes.
    pub(super) fn make(&mut self, literals: &Literals, distances: &Distances) {
        self.len = 0;
        self.code.clear();
        // A run may go on from the one alphabet to the other.
        let mut lengths = [0; LITERALS + DISTANCES];
        let (literals, distances) = (
            &literals.lengths[..literals.end()],
            &distances.lengths[..distances.end()],
        );
        let len = literals.len() + distances.len();
        lengths[..literals.len()].copy_from_slice(literals);
        lengths[literals.len()..len].copy_from_slice(distances);
        for run in lengths[..len].chunk_by(|one, other| one == other) {
            self.push_run(run[0], run.len());
        }
        self.code.make_lengths(MAX_LENGTH);
        self.code_lengths = ORDER
            .iter()
            .rposition(|&symbol| self.code.lengths[symbol] > 0)
            .map_or(4, |last| (last + 1).max(4));
    }

    fn push_run(&mut self, length: u8, mut count: usize) {
        if length == 0 {
            while count >= 11 {
                let zeros = count.min(138);
                self.push(MANY_ZEROS, zeros - 11);
                count -= zeros;
            }
            if count >= 3 {
                self.push(ZEROS, count - 3);
                return;
            }
        } else {
            self.push(length, 0);
            count -= 1;
            while count >= 3 {
                let copies = count.min(6);
                self.push(PREVIOUS, copies - 3);
                count -= copies;
            }
        }
        for _ in 0..count {
            self.push(length, 0);
        }
    }

    fn push(&mut self, symbol: u8, extra: usize) {
        // No run is longer than what it stands for, so there is room.
        if let Some(run) = self.runs.get_mut(self.len) {
            *run = Run {
                symbol,
                extra: extra as u8,
            };
            self.len += 1;
            self.code.count(symbol.into());
        }
    }

    /// How many bits it takes.
    pub(super) fn cost(&self) -> usize {
        let extra = [PREVIOUS, ZEROS, MANY_ZEROS].map(usize::from);
        let extra = extra.map(|symbol| self.code.counts[symbol] * extra_bits(symbol));
        14 + 3 * self.code_lengths + self.code.cost(&self.code.lengths) + extra.iter().sum::<u32>() as usize
    }

    /// Writes it to `out`, from `at` on; where it ends.
    pub(super) fn write(
        &mut self,
        literals: &Literals,
        distances: &Distances,
        bits: &mut Bits,
        out: &mut [u8],
        at: usize,
    ) -> usize {
        bits.put(literals.end() as u64 - 257, 5);
        bits.put(distances.end() as u64 - 1, 5);
        bits.put(self.code_lengths as u64 - 4, 4);
        let mut at = bits.flush(out, at);
        for &symbol in &ORDER[..self.code_lengths] {
            bits.put(self.code.lengths[symbol].into(), 3);
            at = bits.flush(out, at);
        }
        self.code.make_words(extra_bits);
        for run in &self.runs[..self.len] {
            let word = self.code.words[usize::from(run.symbol)];
            let value = word & 0xFFFF | u32::from(run.extra) << (word >> 16 & 0x1F);
            bits.put(value.into(), word >> 24);
            at = bits.flush(out, at);
        }
        at
    }
}

/// How many extra bits follow a symbol.
fn extra_bits(symbol: usize) -> u32 {
    match u8::try_from(symbol) {
        Ok(PREVIOUS) => 2,
        Ok(ZEROS) => 3,
        Ok(MANY_ZEROS) => 7,
        _ => 0,
    }
}
