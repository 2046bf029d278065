//! The two codes of a block.

use std::sync::LazyLock;

use super::super::DeflateError;
use super::table::{Coded, Entry, Sorted, Table};

/// The codes of a block: one for literals, lengths and the end of the block, and one for distances.
pub(super) struct Codes {
    pub(super) literals: Table<2048, 10>,
    pub(super) distances: Table<512, 8>,
}

/// How many symbols the alphabets have that a block describes codes for (RFC 1951 §3.2.5).
pub(super) const LITERALS: usize = 286;
pub(super) const DISTANCES: usize = 30;

/// The symbol that ends a block.
pub(super) const END: usize = 256;

/// "BTYPE=01": the codes that need no description (RFC 1951 §3.2.6).
pub(super) static FIXED: LazyLock<Codes> = LazyLock::new(|| {
    let length = |symbol| match symbol {
        0..=143 => 8,
        144..=255 => 9,
        256..=279 => 7,
        _ => 8,
    };
    let literals: [Coded; 288] = std::array::from_fn(|symbol| Coded::new(symbol, length(symbol)));
    let distances: [Coded; 32] = std::array::from_fn(|symbol| Coded::new(symbol, 5));
    let mut codes = Codes::new();
    codes
        .build(&literals, &distances, 0, &mut Sorted::new())
        .expect("these codes are complete");
    codes
});

impl Codes {
    pub(super) const fn new() -> Self {
        Self {
            literals: Table::new(),
            distances: Table::new(),
        }
    }

    /// Makes the tables. `first_distance` is the number of the first distance's symbol.
    pub(super) fn build(
        &mut self,
        literals: &[Coded],
        distances: &[Coded],
        first_distance: usize,
        sorted: &mut Sorted,
    ) -> Result<(), DeflateError> {
        static LITERAL_ENTRIES: [Entry; 512] = literal_entries();
        static DISTANCE_ENTRIES: [Entry; 32] = distance_entries();
        self.literals.build(literals, 0, &LITERAL_ENTRIES, sorted, true)?;
        self.distances
            .build(distances, first_distance, &DISTANCE_ENTRIES, sorted, true)
    }
}

const fn literal_entries() -> [Entry; 512] {
    // Symbols 286 and 287 "will never actually occur in the compressed data".
    let mut entries = [Entry::symbol(0, 0, Entry::INVALID); 512];
    let mut symbol = 0;
    while symbol < END {
        entries[symbol] = Entry::symbol(symbol as u32, 0, Entry::FLAG);
        symbol += 1;
    }
    entries[END] = Entry::symbol(0, 0, Entry::END);
    let (mut base, mut code) = (3, 0);
    while code < 28 {
        let extra = if code < 8 { 0 } else { code / 4 - 1 };
        entries[END + 1 + code as usize] = Entry::symbol(base, extra, 0);
        base += 1 << extra;
        code += 1;
    }
    entries[LITERALS - 1] = Entry::symbol(258, 0, 0);
    entries
}

const fn distance_entries() -> [Entry; 32] {
    // Symbols 30 and 31 "will never actually occur in the compressed data".
    let mut entries = [Entry::symbol(0, 0, Entry::INVALID); 32];
    let (mut base, mut code) = (1, 0);
    while code < DISTANCES as u32 {
        let extra = if code < 4 { 0 } else { code / 2 - 1 };
        entries[code as usize] = Entry::symbol(base, extra, 0);
        base += 1 << extra;
        code += 1;
    }
    entries
}
