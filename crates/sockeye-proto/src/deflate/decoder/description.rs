//! How a block describes its codes.

use super::super::DeflateError;
use super::bits::Bits;
use super::codes::{Codes, DISTANCES, END, LITERALS};
use super::table::{Coded, Entry, Sorted, Table};

/// The description of a block's codes (RFC 1951 §3.2.7), as far as it was read.
pub(super) struct Description {
    part: Part,
    /// How many lengths are described: of literals and of both codes.
    literals: usize,
    all: usize,
    /// Of the lengths the description is written in, the symbols that have a code.
    lengths: Table<128, 7>,
    length_codes: [u8; 32],
    length_count: usize,
    /// How many lengths were read, and the last one.
    at: usize,
    previous: u32,
    /// The symbols that have a code, those of distances after those of literals.
    coded: [Coded; 512],
    coded_len: usize,
    coded_literals: usize,
    sorted: Sorted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Counts,
    LengthCodes,
    Lengths,
}

/// The order in which the lengths of the code for lengths are written.
const ORDER: [u8; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// What the symbols of the code for lengths stand for: how often a length is there, and from bit 8 on which. Flagged is "copy
/// the previous code length".
static LENGTH_ENTRIES: [Entry; 32] = {
    let mut entries = [Entry::symbol(0, 0, Entry::INVALID); 32];
    let mut length = 0;
    while length < 16 {
        entries[length as usize] = Entry::symbol(length << 8 | 1, 0, 0);
        length += 1;
    }
    entries[16] = Entry::symbol(3, 2, Entry::FLAG);
    entries[17] = Entry::symbol(3, 3, 0);
    entries[18] = Entry::symbol(11, 7, 0);
    entries
};

/// No length.
const NONE: u32 = 16;

impl Description {
    pub(super) const fn new() -> Self {
        Self {
            part: Part::Counts,
            literals: 0,
            all: 0,
            lengths: Table::new(),
            length_codes: [0; 32],
            length_count: 0,
            at: 0,
            previous: NONE,
            coded: [Coded::new(0, 0); 512],
            coded_len: 0,
            coded_literals: 0,
            sorted: Sorted::new(),
        }
    }

    pub(super) fn restart(&mut self) {
        self.part = Part::Counts;
    }

    /// Reads on, and makes the codes when the description is complete; whether it is.
    pub(super) fn read(
        &mut self,
        bits: &mut Bits,
        input: &mut &[u8],
        codes: &mut Codes,
    ) -> Result<bool, DeflateError> {
        if self.part == Part::Counts {
            bits.refill(input);
            let Some(counts) = bits.take(14) else {
                return Ok(false);
            };
            self.start(counts)?;
        }
        if self.part == Part::LengthCodes {
            while self.at < self.length_count {
                if bits.count() < 3 {
                    bits.refill(input);
                }
                let Some(length) = bits.take(3) else {
                    return Ok(false);
                };
                self.length_codes[usize::from(ORDER[self.at])] = length as u8;
                self.at += 1;
            }
            self.start_lengths()?;
        }
        if !self.read_lengths(bits, input)? {
            return Ok(false);
        }
        let (literals, distances) = self.coded[..self.coded_len].split_at(self.coded_literals);
        // Without it the block would not end.
        if !literals.iter().any(|coded| coded.symbol() == END) {
            return Err(DeflateError::InvalidData);
        }
        codes.build(literals, distances, self.literals, &mut self.sorted)?;
        Ok(true)
    }

    fn start(&mut self, counts: u32) -> Result<(), DeflateError> {
        self.literals = 257 + (counts & 0x1F) as usize;
        let distances = 1 + (counts >> 5 & 0x1F) as usize;
        self.length_count = 4 + (counts >> 10) as usize;
        if self.literals > LITERALS || distances > DISTANCES {
            return Err(DeflateError::InvalidData);
        }
        self.all = self.literals + distances;
        self.length_codes = [0; 32];
        self.at = 0;
        self.part = Part::LengthCodes;
        Ok(())
    }

    fn start_lengths(&mut self) -> Result<(), DeflateError> {
        let (mut coded, mut len) = ([Coded::default(); 32], 0);
        for (symbol, &length) in self.length_codes.iter().enumerate() {
            coded[len % 32] = Coded::new(symbol, length.into());
            len += usize::from(length > 0);
        }
        self.lengths
            .build(&coded[..len], 0, &LENGTH_ENTRIES, &mut self.sorted, false)?;
        self.at = 0;
        self.previous = NONE;
        self.coded_len = 0;
        self.coded_literals = 0;
        self.part = Part::Lengths;
        Ok(())
    }

    /// Reads on in the lengths; whether they are complete.
    ///
    /// Not inlined, so that all registers are for it.
    #[inline(never)]
    fn read_lengths(&mut self, bits: &mut Bits, input: &mut &[u8]) -> Result<bool, DeflateError> {
        let mask = self.lengths.mask();
        let (mut local, mut at, mut previous) = (*bits, self.at, self.previous);
        let (mut coded_len, mut coded_literals) = (self.coded_len, self.coded_literals);
        // Nobody can foretell whether a symbol has a code, so there is no branch.
        let mut push = |symbol, length| {
            self.coded[coded_len % 512] = Coded::new(symbol, length);
            coded_len += usize::from(length > 0);
            coded_literals = if symbol < self.literals {
                coded_len
            } else {
                coded_literals
            };
        };
        'reading: while at < self.all {
            local.refill(input);
            // Four of at most 14 bits each.
            for _ in 0..4 {
                let entry = self.lengths.look(local.peek(), mask);
                if local.count() < entry.bits() {
                    break 'reading;
                }
                let count = entry.value(local.peek()) & 0xFF;
                let length = match entry.is_flagged() {
                    true => previous,
                    false => (entry.base() >> 8) as u32,
                };
                local.skip(entry.bits());
                if length == NONE || count > self.all - at {
                    return Err(DeflateError::InvalidData);
                }
                previous = length;
                push(at, length);
                if count > 1 && length > 0 {
                    for symbol in at + 1..at + count {
                        push(symbol, length);
                    }
                }
                at += count;
                if at == self.all {
                    break 'reading;
                }
            }
        }
        (*bits, self.at, self.previous) = (local, at, previous);
        (self.coded_len, self.coded_literals) = (coded_len, coded_literals);
        Ok(at == self.all)
    }
}
