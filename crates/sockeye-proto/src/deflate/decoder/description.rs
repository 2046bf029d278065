//! How a block describes its codes.

use super::super::DeflateError;
use super::bits::{Bits, low};
use super::codes::{Codes, DISTANCES, END, LITERALS};
use super::table::{Coded, Entry, Table};

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
                bits.refill(input);
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
        codes.build(literals, distances, self.literals)?;
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
        self.lengths.build(&coded[..len], 0, &LENGTH_ENTRIES, false)?;
        self.at = 0;
        self.previous = NONE;
        self.coded_len = 0;
        self.coded_literals = 0;
        self.part = Part::Lengths;
        Ok(())
    }

    /// Reads on in the lengths; whether they are complete.
    fn read_lengths(&mut self, bits: &mut Bits, input: &mut &[u8]) -> Result<bool, DeflateError> {
        let mask = self.lengths.mask();
        while self.at < self.all {
            if bits.count() < 14 {
                bits.refill(input);
            }
            let entry = self.lengths.look(bits.peek(), mask);
            if bits.count() < entry.bits() {
                return Ok(false);
            }
            let count = (entry.base() & 0xFF) + (low(bits.peek(), entry.bits()) >> entry.code_bits()) as usize;
            let length = if entry.is_flagged() { self.previous } else { (entry.base() >> 8) as u32 };
            bits.skip(entry.bits());
            if length == NONE || count > self.all - self.at {
                return Err(DeflateError::InvalidData);
            }
            self.previous = length;
            // Nobody can foretell whether a symbol has a code; most runs of them are of one.
            self.push(self.at, length);
            if count > 1 && length > 0 {
                for symbol in self.at + 1..self.at + count {
                    self.push(symbol, length);
                }
            }
            self.at += count;
        }
        Ok(true)
    }

    #[inline(always)]
    fn push(&mut self, symbol: usize, length: u32) {
        self.coded[self.coded_len % 512] = Coded::new(symbol, length);
        self.coded_len += usize::from(length > 0);
        if symbol < self.literals {
            self.coded_literals = self.coded_len;
        }
    }
}
