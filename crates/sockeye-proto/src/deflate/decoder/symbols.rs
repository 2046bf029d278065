//! The symbols of a block.

use super::super::DeflateError;
use super::bits::Bits;
use super::codes::Codes;
use super::output::Output;

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

/// As many bytes of input as one round of [`decode_fast`] takes.
const MIN_INPUT: usize = 16;

/// As much room as it needs: for three literals, the longest repetition and what may be written beyond that.
const MIN_ROOM: usize = 3 + 258 + Output::BEYOND;

/// As many bits as a distance takes.
const DISTANCE_BITS: u32 = 15 + 13;

/// Decodes while there is plenty of input and of room; whether the block ended.
pub(super) fn decode_fast(
    codes: &Codes,
    bits: &mut Bits,
    input: &mut &[u8],
    output: &mut Output<'_>,
) -> Result<bool, DeflateError> {
    let (literals, distances) = (&codes.literals, &codes.distances);
    let (literal_mask, distance_mask) = (literals.mask(), distances.mask());
    // What is in registers, as the compiler need not fear that anybody else sees it.
    let (mut local, mut rest) = (*bits, *input);
    let mut is_end = false;
    while rest.len() >= MIN_INPUT && output.room() >= MIN_ROOM {
        refill(&mut local, &mut rest);
        let mut entry = literals.look(local.peek(), literal_mask);
        if entry.is_flagged() {
            local.skip(entry.bits());
            output.push(entry.base() as u8);
            entry = literals.look(local.peek(), literal_mask);
            if entry.is_flagged() {
                local.skip(entry.bits());
                output.push(entry.base() as u8);
                entry = literals.look(local.peek(), literal_mask);
                if entry.is_flagged() {
                    local.skip(entry.bits());
                    output.push(entry.base() as u8);
                    continue;
                }
            }
        }
        if entry.is_special() {
            if entry.is_further() {
                local.skip(entry.bits());
                entry = literals.look_further(entry, local.peek());
            }
            if entry.is_flagged() {
                local.skip(entry.bits());
                output.push(entry.base() as u8);
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
        if local.count() < DISTANCE_BITS {
            refill(&mut local, &mut rest);
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
        output.copy_fast(length, distance)?;
    }
    (*bits, *input) = (local, rest);
    Ok(is_end)
}

#[inline(always)]
fn refill(bits: &mut Bits, input: &mut &[u8]) {
    if let Some(word) = input.first_chunk() {
        *input = &input[bits.refill_word(*word)..];
    }
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
        let (mut used, mut entry) = (0, literals.look(bits.peek(), literals.mask()));
        if entry.is_further() {
            used = entry.bits();
            entry = literals.look_further(entry, bits.peek() >> used);
        }
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
        entry = distances.look(bits.peek() >> used, distances.mask());
        if entry.is_further() {
            used += entry.bits();
            entry = distances.look_further(entry, bits.peek() >> used);
        }
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
