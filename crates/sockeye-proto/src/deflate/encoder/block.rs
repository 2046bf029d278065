//! Blocks: the parts of a message that have a code of their own.

use super::bits::Bits;
use super::code::{Code, MAX_LENGTH, Words};
use super::header::Header;
use super::token::{
    DISTANCES, Distances, END_OF_BLOCK, FIXED, FIXED_DISTANCE_LENGTHS, FIXED_DISTANCES, FIXED_LENGTHS,
    LITERALS, Literals, Token, distance_extra, length_extra,
};

/// A part of a message, as literals and references, and how often each symbol occurs in it.
pub(super) struct Block {
    tokens: Vec<Token>,
    literals: Literals,
    distances: Distances,
    header: Header,
}

/// After so many tokens a block ends: later ones may be better off with another code. A step of the search adds no more
/// than a few to it.
const TOKENS: usize = 16 * 1024;
const STEP: usize = 64;

/// The longest stored block (RFC 1951 §3.2.4).
const MAX_STORED: usize = u16::MAX as usize;

impl Block {
    pub(super) fn new() -> Self {
        Self {
            tokens: Vec::with_capacity(TOKENS + STEP),
            literals: Code::new(),
            distances: Code::new(),
            header: Header::new(),
        }
    }

    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.tokens.len() < TOKENS
    }

    #[inline]
    pub(super) fn literal(&mut self, byte: u8) {
        self.tokens.push(Token::literal(byte));
        self.literals.count(byte.into());
    }

    /// Adds the literal or does not, in the same steps.
    #[inline]
    pub(super) fn literal_if(&mut self, is_wanted: bool, byte: u8) {
        self.tokens.push(Token::literal(byte));
        self.tokens.truncate(self.tokens.len() - usize::from(!is_wanted));
        self.literals.counts[usize::from(byte)] += u32::from(is_wanted);
    }

    #[inline]
    pub(super) fn reference(&mut self, length: usize, distance: usize) {
        let token = Token::reference(length, distance);
        self.tokens.push(token);
        self.literals.count(token.symbol());
        self.distances.count(token.distance_symbol());
    }

    /// Appends the block, which stands for the bytes `plain`, in the shortest of the three forms that blocks have, and
    /// empties it.
    pub(super) fn write(&mut self, plain: &[u8], bits: &mut Bits, out: &mut Vec<u8>) {
        self.literals.count(END_OF_BLOCK);
        self.literals.make_lengths(MAX_LENGTH);
        self.distances.make_lengths(MAX_LENGTH);
        self.header.make(&self.literals, &self.distances);

        let extra = self.extra_bits();
        let own = self.header.cost()
            + self.literals.cost(&self.literals.lengths)
            + self.distances.cost(&self.distances.lengths)
            + extra;
        let fixed = self.literals.cost(&FIXED_LENGTHS) + self.distances.cost(&FIXED_DISTANCE_LENGTHS) + extra;
        let stored = 8 * (plain.len() + 5 * plain.len().div_ceil(MAX_STORED));
        // The header of each has three bits.
        let coded = 3 + own.min(fixed);
        if stored < coded {
            store(plain, bits, out);
        } else {
            let start = out.len();
            out.resize(start + coded / 8 + 2 * Bits::FLUSH, 0);
            let end = if fixed <= own {
                bits.put(0b010, 3);
                write_tokens(&self.tokens, &FIXED, &FIXED_DISTANCES, bits, out, start)
            } else {
                bits.put(0b100, 3);
                let at = self
                    .header
                    .write(&self.literals, &self.distances, bits, out, start);
                self.literals.make_words(length_extra);
                self.distances.make_words(distance_extra);
                write_tokens(
                    &self.tokens,
                    &self.literals.words,
                    &self.distances.words,
                    bits,
                    out,
                    at,
                )
            };
            out.truncate(end);
        }
        self.tokens.clear();
        self.literals.clear();
        self.distances.clear();
    }

    /// How many extra bits lengths and distances have.
    fn extra_bits(&self) -> usize {
        let lengths =
            (END_OF_BLOCK..LITERALS).map(|symbol| self.literals.counts[symbol] * length_extra(symbol));
        let distances = (0..DISTANCES).map(|symbol| self.distances.counts[symbol] * distance_extra(symbol));
        lengths.chain(distances).sum::<u32>() as usize
    }
}

/// Writes tokens and the end of their block to `out`, from `at` on; where they end.
fn write_tokens(
    tokens: &[Token],
    literals: &Words<512>,
    distances: &Words<32>,
    bits: &mut Bits,
    out: &mut [u8],
    mut at: usize,
) -> usize {
    for token in tokens {
        let (value, count) = token.written(literals, distances);
        bits.put(value, count);
        at = bits.flush(out, at);
    }
    let end = literals[END_OF_BLOCK];
    bits.put((end & 0xFFFF).into(), end >> 24);
    bits.flush(out, at)
}

/// Appends bytes as they are (RFC 1951 §3.2.4).
fn store(plain: &[u8], bits: &mut Bits, out: &mut Vec<u8>) {
    for piece in plain.chunks(MAX_STORED) {
        bits.stored(out);
        let length = piece.len() as u16;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(piece);
    }
}
