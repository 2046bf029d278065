//! The decompression library's state for one message.

use std::fmt;

use zlib_rs::{Inflate, InflateError, InflateFlush, Status};

use super::decompressor::Inflated;
use super::history::History;
use super::{DeflateError, WindowBits};

/// The decompression library's state for one message. It has room for the largest window, so one kind serves all
/// connections; it lives in a box, because an idle connection has room for one.
pub(super) struct Decoder {
    stream: Inflate,
    /// Room for the history of one message.
    pub(super) buffer: Vec<u8>,
    position: Position,
    /// The latest step filled its output, so there may be more without further input.
    is_filled: bool,
    /// How much of the trailer was appended.
    pub(super) trailer: usize,
    consumed: u64,
    /// How many bytes of history were put back after final blocks.
    restored: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// At the start of a stream.
    Start,
    Within,
    /// After a final block, which is where the library stops (RFC 7692 §7.2.3.4 lets a sender set BFINAL).
    Ended,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// How many bytes of history a message may have put back whatever its size: 32 of the largest windows.
    const FREE_RESTORES: u64 = 1 << 20;
    /// How many more for each byte of its payload: about what inflating that byte may cost at most.
    const RESTORES_PER_BYTE: u64 = 1024;

    pub(super) fn new() -> Self {
        Self {
            stream: Inflate::new(false, WindowBits::MAX.get()),
            buffer: Vec::new(),
            position: Position::Start,
            is_filled: false,
            trailer: 0,
            consumed: 0,
            restored: 0,
        }
    }

    /// Makes it as good as new, but for its memory.
    pub(super) fn restart(&mut self) {
        self.stream.reset(false);
        self.position = Position::Start;
        self.is_filled = false;
        self.trailer = 0;
        self.consumed = 0;
        self.restored = 0;
    }

    pub(super) fn is_ended(&self) -> bool {
        self.position == Position::Ended
    }

    /// Inflates until the input is consumed or the output is full.
    pub(super) fn step(
        &mut self,
        input: &[u8],
        output: &mut [u8],
        history: &mut History,
    ) -> Result<Inflated, DeflateError> {
        let mut total = Inflated::default();
        if input.is_empty() && !self.is_filled {
            return Ok(total);
        }
        loop {
            if self.position == Position::Ended {
                if total.consumed == input.len() {
                    break;
                }
                self.go_on(history)?;
            }
            let (input, output) = (&input[total.consumed..], &mut output[total.produced..]);
            let (status, step) = self.decompress(input, output)?;
            history.extend(&output[..step.produced]);
            self.consumed += step.consumed as u64;
            total.consumed += step.consumed;
            total.produced += step.produced;
            if step.consumed > 0 {
                self.position = Position::Within;
            }
            if status == Status::StreamEnd {
                self.position = Position::Ended;
            } else if step.consumed == input.len() || step.produced == output.len() {
                break;
            } else if step == Inflated::default() {
                // Neither input nor room is lacking, and still nothing happens.
                return Err(DeflateError::InvalidData);
            }
        }
        self.is_filled = total.produced == output.len();
        Ok(total)
    }

    /// Goes on after a final block. The blocks that follow may refer back across it.
    fn go_on(&mut self, history: &History) -> Result<(), DeflateError> {
        // A final block may be as short as two bytes, and putting back the history costs as much as
        // copying 32 KiB.
        self.restored += history.len() as u64;
        if self.restored > Self::FREE_RESTORES + Self::RESTORES_PER_BYTE * self.consumed {
            return Err(DeflateError::TooManyFinalBlocks);
        }
        self.stream.reset(false);
        self.restore(history)?;
        self.position = Position::Start;
        Ok(())
    }

    /// Whether the stream could end here: the trailer was the body of an empty block, and not swallowed by
    /// a block that goes on. Leaves the stream unusable.
    pub(super) fn is_at_border(&mut self) -> bool {
        // The library does not say where it is, but only at a border does an empty final block end it.
        const EMPTY_FINAL_BLOCK: [u8; 2] = [0x03, 0x00];
        let end = Inflated {
            consumed: EMPTY_FINAL_BLOCK.len(),
            produced: 0,
        };
        self.position == Position::Ended
            || self.decompress(&EMPTY_FINAL_BLOCK, &mut [0]) == Ok((Status::StreamEnd, end))
    }

    fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Result<(Status, Inflated), DeflateError> {
        let (total_in, total_out) = (self.stream.total_in(), self.stream.total_out());
        let status = self.stream.decompress(input, output, InflateFlush::SyncFlush)?;
        let consumed = (self.stream.total_in() - total_in) as usize;
        let produced = (self.stream.total_out() - total_out) as usize;
        Ok((status, Inflated { consumed, produced }))
    }

    /// Makes a fresh stream one that has just produced `history`.
    pub(super) fn restore(&mut self, history: &History) -> Result<(), DeflateError> {
        let (older, newer) = history.parts();
        for part in [older, newer] {
            self.stream.set_dictionary(part)?;
        }
        Ok(())
    }
}

impl From<InflateError> for DeflateError {
    fn from(error: InflateError) -> Self {
        match error {
            InflateError::DataError | InflateError::NeedDict { .. } => Self::InvalidData,
            InflateError::StreamError | InflateError::MemError => Self::Internal,
        }
    }
}
