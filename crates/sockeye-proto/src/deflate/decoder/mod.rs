//! A decoder of our own for DEFLATE (RFC 1951).
//!
//! The messages of a WebSocket are short: most of the time goes into what comes before the first symbol. So the lengths of a
//! block's codes are read into a list of the symbols that have one, and the tables are filled from it without clearing
//! anything. Nothing is copied between messages either: what a block refers back to is read where it lies, in the output or
//! in the [`History`].
//!
//! Input comes in pieces, split anywhere, and output goes where there is room. `bits` reads numbers; `table` is a Huffman code
//! to be looked up, `codes` the two of a block, `description` how a block describes them; `symbols` decodes what is written in
//! them into `output`.

mod bits;
mod codes;
mod description;
mod output;
mod symbols;
mod table;

use std::fmt;

use super::DeflateError;
use super::decompressor::Inflated;
use super::history::History;
use bits::Bits;
use codes::{Codes, FIXED};
use description::Description;
use output::Output;
use symbols::{Stop, decode, decode_fast};

/// What is known of one message. It has no window, so one kind serves all connections; it lives in a box, because an idle
/// connection has room for one.
pub(super) struct Decoder {
    bits: Bits,
    place: Place,
    /// The block is the last one of its stream, or the one before was if none has begun.
    is_final: bool,
    description: Description,
    /// The codes of a block that describes its own.
    codes: Codes,
    /// Room for the history of one message.
    pub(super) buffer: Vec<u8>,
    /// How much of the trailer was appended.
    pub(super) trailer: usize,
}

/// Where in a stream the decoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a block.
    Border,
    /// Before the length of a stored block.
    StoredLength,
    /// In a stored block, before so many bytes.
    Stored(usize),
    /// In the description of a block's codes.
    Description,
    /// Before a symbol.
    Symbols { is_fixed: bool },
    /// In a repetition, of which so many bytes are left.
    Repetition {
        is_fixed: bool,
        length: usize,
        distance: usize,
    },
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self {
            bits: Bits::default(),
            place: Place::Border,
            is_final: false,
            description: Description::new(),
            codes: Codes::new(),
            buffer: Vec::new(),
            trailer: 0,
        }
    }

    /// Makes it as good as new, but for its memory.
    pub(super) fn restart(&mut self) {
        self.bits = Bits::default();
        self.place = Place::Border;
        self.is_final = false;
        self.trailer = 0;
    }

    /// Whether all that came are whole blocks, and nothing is left of the last byte.
    pub(super) fn is_at_border(&self) -> bool {
        self.place == Place::Border && self.bits.count() == 0
    }

    /// As [`is_at_border`](Self::is_at_border), after a final block (RFC 7692 §7.2.3.4 lets a sender set BFINAL).
    pub(super) fn is_ended(&self) -> bool {
        self.is_at_border() && self.is_final
    }

    /// Inflates until the input is consumed or the output is full.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        history: &mut History,
    ) -> Result<Inflated, DeflateError> {
        let mut rest = input;
        let produced = self.run(&mut rest, &mut Output::new(output, history))?;
        self.bits.trim();
        history.extend(&output[..produced]);
        Ok(Inflated {
            consumed: input.len() - rest.len(),
            produced,
        })
    }

    /// Decodes until something lacks; how much was produced.
    fn run(&mut self, input: &mut &[u8], output: &mut Output<'_>) -> Result<usize, DeflateError> {
        loop {
            let is_going_on = match self.place {
                Place::Border => self.begin_block(input)?,
                Place::StoredLength => self.read_stored_length(input)?,
                Place::Stored(left) => self.copy_stored(left, input, output),
                Place::Description => {
                    let is_read = self.description.read(&mut self.bits, input, &mut self.codes)?;
                    if is_read {
                        self.place = Place::Symbols { is_fixed: false };
                    }
                    is_read
                }
                Place::Symbols { is_fixed } => self.read_symbols(is_fixed, input, output)?,
                Place::Repetition {
                    is_fixed,
                    length,
                    distance,
                } => {
                    let length = length - output.copy(length, distance);
                    self.place = match length {
                        0 => Place::Symbols { is_fixed },
                        length => Place::Repetition {
                            is_fixed,
                            length,
                            distance,
                        },
                    };
                    length == 0
                }
            };
            if !is_going_on {
                return Ok(output.produced());
            }
        }
    }

    fn begin_block(&mut self, input: &mut &[u8]) -> Result<bool, DeflateError> {
        self.bits.refill(input);
        let Some(header) = self.bits.take(3) else {
            return Ok(false);
        };
        self.is_final = header & 1 == 1;
        self.place = match header >> 1 {
            0 => {
                self.bits.align();
                Place::StoredLength
            }
            1 => Place::Symbols { is_fixed: true },
            2 => {
                self.description.restart();
                Place::Description
            }
            _ => return Err(DeflateError::InvalidData),
        };
        Ok(true)
    }

    fn end_block(&mut self) {
        if self.is_final {
            // What follows starts at a whole byte, and may refer back across it.
            self.bits.align();
        }
        self.place = Place::Border;
    }

    fn read_stored_length(&mut self, input: &mut &[u8]) -> Result<bool, DeflateError> {
        self.bits.refill(input);
        let Some(lengths) = self.bits.take(32) else {
            return Ok(false);
        };
        let length = lengths & 0xFFFF;
        // RFC 1951 §3.2.4: the length, and its one's complement.
        if lengths >> 16 != length ^ 0xFFFF {
            return Err(DeflateError::InvalidData);
        }
        self.place = Place::Stored(length as usize);
        Ok(true)
    }

    fn copy_stored(&mut self, mut left: usize, input: &mut &[u8], output: &mut Output<'_>) -> bool {
        // What was taken from the input already comes first.
        while left > 0
            && output.room() > 0
            && let Some(byte) = self.bits.take(8)
        {
            output.push(byte as u8);
            left -= 1;
        }
        if self.bits.count() == 0 {
            self.bits = Bits::default();
            let copied = output.append(&input[..left.min(input.len())]);
            *input = &input[copied..];
            left -= copied;
        }
        if left > 0 {
            self.place = Place::Stored(left);
            return false;
        }
        self.end_block();
        true
    }

    fn read_symbols(
        &mut self,
        is_fixed: bool,
        input: &mut &[u8],
        output: &mut Output<'_>,
    ) -> Result<bool, DeflateError> {
        let codes = if is_fixed { &*FIXED } else { &self.codes };
        let is_end = decode_fast(codes, &mut self.bits, input, output)?;
        let stop = match is_end {
            true => Stop::End,
            false => decode(codes, &mut self.bits, input, output)?,
        };
        match stop {
            Stop::NoInput | Stop::NoRoom => return Ok(false),
            Stop::End => self.end_block(),
            Stop::Repetition { length, distance } => {
                self.place = Place::Repetition {
                    is_fixed,
                    length,
                    distance,
                };
            }
        }
        Ok(true)
    }
}
