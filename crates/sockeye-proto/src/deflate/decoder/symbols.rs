//! The symbols of a block.

use super::super::DeflateError;
use super::bits::Bits;
use super::codes::Codes;
use super::output::Output;
use super::table::Entry;

/// Why decoding stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// There is not enough input for a symbol, and all of it was taken.
    NoInput,
    /// There is no room for a symbol.
    NoRoom,
    /// A repetition is to be copied: so long, from so far back.
    Repetition { length: usize, distance: usize },
    /// The block ended.
    End,
}

/// As much room as a round of [`decode_fast`] needs: for four literals, the longest repetition and what may be written beyond that.
const MIN_ROOM: usize = 4 + 258 + Output::BEYOND;

/// As many bits as a distance takes.
const DISTANCE_BITS: u32 = 15 + 13;

/// Decodes while there is plenty of input and of room; whether the block ended.
///
/// Not inlined, so that all registers are for it.
#[inline(never)]
pub(super) fn decode_fast(
    codes: &Codes,
    bits: &mut Bits,
    input: &mut &[u8],
    output: &mut Output<'_>,
) -> Result<bool, DeflateError> {
    let (literals, distances) = (&codes.literals, &codes.distances);
    let (literal_mask, distance_mask) = (literals.mask(), distances.mask());
    // What is in registers, as the compiler need not fear that anybody else sees it.
    let (mut local, mut rest, mut out) = (*bits, *input, output.lend());
    let mut is_end = false;
    while out.room() >= MIN_ROOM && refill(&mut local, &mut rest) {
        // What is asked again and again is foretold better where each time has a place of its own.
        let mut entry = literals.look(local.peek(), literal_mask);
        if entry.is_flagged() {
            push_literal(entry, &mut local, &mut out);
            entry = literals.look(local.peek(), literal_mask);
            if entry.is_flagged() {
                push_literal(entry, &mut local, &mut out);
                entry = literals.look(local.peek(), literal_mask);
                if entry.is_flagged() {
                    push_literal(entry, &mut local, &mut out);
                    entry = literals.look(local.peek(), literal_mask);
                    if entry.is_flagged() {
                        push_literal(entry, &mut local, &mut out);
                        continue;
                    }
                }
            }
        }
        let before = local;
        if entry.is_special() {
            if entry.is_further() {
                local.skip(entry.bits());
                entry = literals.look_further(entry, local.peek());
            }
            if entry.is_flagged() {
                push_literal(entry, &mut local, &mut out);
                continue;
            }
            if entry.is_end() {
                local.skip(entry.bits());
                is_end = true;
                break;
            }
            if entry.is_special() {
                return Err(DeflateError::InvalidData);
            }
        }
        let length = entry.value(local.peek());
        local.skip(entry.bits());
        if local.count() < DISTANCE_BITS && !refill(&mut local, &mut rest) {
            // The other loop can tell whether the distance is there.
            local = before;
            break;
        }
        let mut entry = distances.look(local.peek(), distance_mask);
        if entry.is_special() {
            if entry.is_further() {
                local.skip(entry.bits());
                entry = distances.look_further(entry, local.peek());
            }
            if entry.is_special() {
                return Err(DeflateError::InvalidData);
            }
        }
        let distance = entry.value(local.peek());
        local.skip(entry.bits());
        out.copy_fast(length, distance)?;
    }
    let produced = out.produced();
    output.advance_to(produced);
    (*bits, *input) = (local, rest);
    Ok(is_end)
}

#[inline(always)]
fn push_literal(entry: Entry, bits: &mut Bits, output: &mut Output<'_>) {
    bits.skip(entry.bits());
    output.push(entry.base() as u8);
}

/// Takes a word of input; whether there was one.
#[inline(always)]
fn refill(bits: &mut Bits, input: &mut &[u8]) -> bool {
    let word = input.first_chunk();
    if let Some(word) = word {
        *input = &input[bits.refill_word(*word)..];
    }
    word.is_some()
}

/// Decodes symbol by symbol until something lacks or a repetition comes.
pub(super) fn decode(
    codes: &Codes,
    bits: &mut Bits,
    input: &mut &[u8],
    output: &mut Output<'_>,
) -> Result<Stop, DeflateError> {
    let (literals, distances) = (&codes.literals, &codes.distances);
    loop {
        bits.refill(input);
        let (entry, mut used) = literals.find(bits.peek());
        if bits.count() < used + entry.code_bits() {
            return Ok(Stop::NoInput);
        }
        if entry.is_flagged() {
            if output.room() == 0 {
                return Ok(Stop::NoRoom);
            }
            output.push(entry.base() as u8);
            bits.skip(used + entry.bits());
            continue;
        }
        if entry.is_end() {
            bits.skip(used + entry.bits());
            return Ok(Stop::End);
        }
        if entry.is_special() {
            return Err(DeflateError::InvalidData);
        }
        let length = entry.value(bits.peek() >> used);
        used += entry.bits();
        if bits.count() < used {
            return Ok(Stop::NoInput);
        }
        let (entry, further) = distances.find(bits.peek() >> used);
        used += further;
        if bits.count() < used + entry.code_bits() {
            return Ok(Stop::NoInput);
        }
        if entry.is_special() {
            return Err(DeflateError::InvalidData);
        }
        let distance = entry.value(bits.peek() >> used);
        used += entry.bits();
        if bits.count() < used {
            return Ok(Stop::NoInput);
        }
        bits.skip(used);
        output.check(distance)?;
        return Ok(Stop::Repetition { length, distance });
    }
}
