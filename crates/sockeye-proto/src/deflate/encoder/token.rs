//! What a compressed message consists of: literal bytes, and references to what came before.

use super::code::{Code, Words, word};

/// The shortest repetition that is looked for. DEFLATE has references of 3 and of 4 bytes, which hardly gain anything and
/// keep longer ones from being found.
pub(super) const MIN_MATCH: usize = 5;

/// The longest one that DEFLATE has.
pub(super) const MAX_MATCH: usize = 258;

/// Ends each block (RFC 1951 §3.2.5).
pub(super) const END_OF_BLOCK: usize = 256;

/// How many symbols the alphabet of literals and lengths has, and how many that of distances.
pub(super) const LITERALS: usize = 286;
pub(super) const DISTANCES: usize = 30;

/// The codes of both.
pub(super) type Literals = Code<LITERALS, 512>;
pub(super) type Distances = Code<DISTANCES, 32>;

/// The distance symbol of a literal: DEFLATE has none of this number, so its code has no bits.
const NO_DISTANCE: u32 = 30;

/// A literal or a reference, as the symbols and extra bits that it is written with:
///
/// | bits | |
/// |---|---|
/// | 0–8 | the symbol of the literal or length |
/// | 9–13 | the length's extra bits |
/// | 14–18 | the symbol of the distance |
/// | 19–31 | the distance's extra bits |
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Token(u32);

impl Token {
    #[inline]
    pub(super) const fn literal(byte: u8) -> Self {
        Self(byte as u32 | NO_DISTANCE << 14)
    }

    /// "`length` bytes as they were `distance` bytes before": at most [`MAX_MATCH`] and 32 Ki.
    #[inline]
    pub(super) fn reference(length: usize, distance: usize) -> Self {
        let length = LENGTHS[length.wrapping_sub(SHORTEST) % LENGTHS.len()];
        let (symbol, extra) = distance_symbol(distance as u32 - 1);
        Self(u32::from(length) | symbol << 14 | extra << 19)
    }

    #[inline]
    pub(super) const fn symbol(self) -> usize {
        (self.0 & 0x1FF) as usize
    }

    #[inline]
    pub(super) const fn distance_symbol(self) -> usize {
        (self.0 >> 14 & 0x1F) as usize
    }

    /// The bits that it is written with, and how many they are: at most 48.
    #[inline]
    pub(super) fn written(self, literals: &Words<512>, distances: &Words<32>) -> (u64, u32) {
        let literal = literals[self.symbol() % literals.len()];
        let distance = distances[self.distance_symbol() % distances.len()];
        // A literal has extra bits, a distance and its extra bits too: none of each. So there is no branch here.
        let (first, len) = with_extra(literal, self.0 >> 9 & 0x1F);
        let (second, more) = with_extra(distance, self.0 >> 19);
        (first | second << len, len + more)
    }
}

/// The bits of a code and the extra ones after it, and how many they are.
#[inline]
fn with_extra(word: u32, extra: u32) -> (u64, u32) {
    let bits = word & 0xFFFF | extra << (word >> 16 & 0x1F);
    (bits.into(), word >> 24)
}

/// The length of the first length symbol.
const SHORTEST: usize = 3;

/// The symbol of each length and its extra bits, as in a [`Token`] (RFC 1951 §3.2.5).
static LENGTHS: [u16; 256] = {
    let mut lengths = [0; 256];
    let (mut symbol, mut at) = (END_OF_BLOCK + 1, 0);
    while at < 255 {
        let mut extra = 0;
        while extra < 1 << length_extra(symbol) && at < 255 {
            lengths[at] = (symbol | extra << 9) as u16;
            extra += 1;
            at += 1;
        }
        symbol += 1;
    }
    // The longest has a symbol of its own.
    lengths[255] = LITERALS as u16 - 1;
    lengths
};

/// How many extra bits follow a symbol of the first alphabet.
pub(super) const fn length_extra(symbol: usize) -> u32 {
    match symbol {
        265..285 => (symbol as u32 - 261) / 4,
        _ => 0,
    }
}

/// How many extra bits follow a symbol of the second.
pub(super) const fn distance_extra(symbol: usize) -> u32 {
    (symbol as u32 / 2).saturating_sub(1)
}

/// The symbol of a distance, less one, and its extra bits (RFC 1951 §3.2.5): two symbols for each power of two.
#[inline]
fn distance_symbol(distance: u32) -> (u32, u32) {
    let extra = (distance | 2).ilog2() - 1;
    let symbol = 2 * extra + (distance >> extra);
    (symbol & 0x1F, distance & ((1 << extra) - 1))
}

/// The lengths of the code that needs no description (RFC 1951 §3.2.6).
pub(super) static FIXED_LENGTHS: [u8; LITERALS] = {
    let mut lengths = [8; LITERALS];
    let mut symbol = 144;
    while symbol < 280 {
        lengths[symbol] = if symbol < 256 { 9 } else { 7 };
        symbol += 1;
    }
    lengths
};
pub(super) static FIXED_DISTANCE_LENGTHS: [u8; DISTANCES] = [5; DISTANCES];

/// That code.
pub(super) static FIXED: Words<512> = {
    let mut fixed = [0; 512];
    let mut symbol = 0;
    while symbol < LITERALS {
        let number = symbol as u16;
        let code = match symbol {
            0..144 => 0b0011_0000 + number,
            144..256 => 0b1_1001_0000 + number - 144,
            256..280 => number - 256,
            _ => 0b1100_0000 + number - 280,
        };
        fixed[symbol] = word(code, FIXED_LENGTHS[symbol] as u32, length_extra(symbol));
        symbol += 1;
    }
    fixed
};
pub(super) static FIXED_DISTANCES: Words<32> = {
    let mut fixed = [0; 32];
    let mut symbol = 0;
    while symbol < DISTANCES {
        fixed[symbol] = word(symbol as u16, 5, distance_extra(symbol));
        symbol += 1;
    }
    fixed
};
