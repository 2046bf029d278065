//! What one side receives.

use std::sync::Arc;

use zlib_rs::{InflateError, InflateFlush, Status};

use super::history::History;
use super::pool::Decoder;
use super::{DeflateError, Parameters, Pool, TRAILER};
use crate::Role;

/// Decompresses the messages that one side of a connection receives (RFC 7692 §7.2.2).
///
/// For each message, call [`inflate`](Self::inflate) until the payload is consumed and then
/// [`finish`](Self::finish) until it is done. Each call produces at most as much as the output buffer
/// holds, so that the caller can stop a message that grows too large.
///
/// Between messages it holds the last bytes received if context takeover was agreed on, at most
/// [`WindowBits::window_size`](super::WindowBits::window_size) of them, and nothing otherwise.
#[derive(Debug)]
pub struct Decompressor {
    pool: Arc<Pool>,
    keeps_context: bool,
    window_size: usize,
    /// What was produced of late. Empty between messages without context takeover.
    history: History,
    message: Option<Message>,
    failed: Option<DeflateError>,
}

/// A message of which something was received.
#[derive(Debug)]
struct Message {
    decoder: Decoder,
    position: Position,
    /// The latest step filled its output, so there may be more without further input.
    is_filled: bool,
    /// How much of [`TRAILER`] was appended.
    trailer: usize,
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

/// What one call of [`Decompressor::inflate`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inflated {
    /// How many bytes of the input were used.
    pub consumed: usize,
    /// How many bytes of the output were filled.
    pub produced: usize,
}

/// What one call of [`Decompressor::finish`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Finished {
    /// How many bytes of the output were filled.
    pub produced: usize,
    /// The message is complete. Otherwise the output was filled and there may be more.
    pub done: bool,
}

impl Decompressor {
    /// The decompressor of the side that plays `role`, for what the other side sends.
    pub fn new(role: Role, parameters: Parameters, pool: Arc<Pool>) -> Self {
        let sender = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let window_size = parameters.window_bits(sender).window_size();
        Self {
            pool,
            keeps_context: parameters.keeps_context(sender),
            window_size,
            history: History::new(window_size),
            message: None,
            failed: None,
        }
    }

    /// Decompresses some more of a message's payload into `output`.
    ///
    /// All input is consumed, or all of `output` is filled, or both. The input may be split anywhere.
    ///
    /// # Errors
    ///
    /// A [`DeflateError`] if the payload is not valid. Every later call then fails with the same error.
    pub fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<Inflated, DeflateError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if input.is_empty() && self.message.is_none() {
            return Ok(Inflated::default());
        }
        self.decompress(input, output).map_err(|error| self.fail(error))
    }

    /// Ends a message: decompresses what is left of it into `output`.
    ///
    /// Call it until it says that it is done. An empty `output` makes no progress.
    ///
    /// # Errors
    ///
    /// A [`DeflateError`] if the payload is not valid or not complete. Every later call then fails with the
    /// same error.
    pub fn finish(&mut self, output: &mut [u8]) -> Result<Finished, DeflateError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.append_trailer(output).map_err(|error| self.fail(error))
    }

    fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Result<Inflated, DeflateError> {
        let message = match &mut self.message {
            Some(message) => message,
            none => none.insert(Message::begin(&self.pool, self.keeps_context, &mut self.history)?),
        };
        message.step(input, output, &mut self.history)
    }

    fn append_trailer(&mut self, output: &mut [u8]) -> Result<Finished, DeflateError> {
        let Some(message) = &mut self.message else {
            return Ok(Finished {
                produced: 0,
                done: true,
            });
        };
        let mut produced = 0;
        if message.trailer == 0 {
            // First what lacked room before. Only then does it show where in the stream the payload ends.
            produced = message.step(&[], output, &mut self.history)?.produced;
            if produced == output.len() {
                return Ok(Finished {
                    produced,
                    done: false,
                });
            }
            // A message that ends with a final block should have another empty block after it (RFC 7692
            // §7.2.3.4), but some senders leave it out and nothing is lost without it.
            if message.position == Position::Ended {
                self.end_message();
                return Ok(Finished { produced, done: true });
            }
        }
        let trailer = &TRAILER[message.trailer..];
        let step = message.step(trailer, &mut output[produced..], &mut self.history)?;
        message.trailer += step.consumed;
        produced += step.produced;
        if produced == output.len() {
            return Ok(Finished {
                produced,
                done: false,
            });
        }
        if !message.is_at_border() {
            return Err(DeflateError::Truncated);
        }
        self.end_message();
        Ok(Finished { produced, done: true })
    }

    fn end_message(&mut self) {
        if let Some(Message { mut decoder, .. }) = self.message.take() {
            if !self.keeps_context {
                decoder.buffer = self.history.take_buffer();
            }
            self.pool.put_decoder(decoder);
        }
    }

    fn fail(&mut self, error: DeflateError) -> DeflateError {
        self.end_message();
        self.history = History::new(self.window_size);
        self.failed = Some(error);
        error
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        self.end_message();
    }
}

impl Message {
    /// How many bytes of history a message may have put back whatever its size: 32 of the largest windows.
    const FREE_RESTORES: u64 = 1 << 20;
    /// How many more for each byte of its payload: about what inflating that byte may cost at most.
    const RESTORES_PER_BYTE: u64 = 1024;

    fn begin(pool: &Pool, keeps_context: bool, history: &mut History) -> Result<Self, DeflateError> {
        let mut decoder = pool.take_decoder();
        if keeps_context {
            decoder.restore(history)?;
        } else {
            history.use_buffer(std::mem::take(&mut decoder.buffer));
        }
        Ok(Self {
            decoder,
            position: Position::Start,
            is_filled: false,
            trailer: 0,
            consumed: 0,
            restored: 0,
        })
    }

    /// Inflates until the input is consumed or the output is full.
    fn step(
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
                self.restart(history)?;
            }
            let (input, output) = (&input[total.consumed..], &mut output[total.produced..]);
            let (status, step) = self.decoder.decompress(input, output)?;
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
    fn restart(&mut self, history: &History) -> Result<(), DeflateError> {
        // A final block may be as short as two bytes, and putting back the history costs as much as
        // copying 32 KiB.
        self.restored += history.len() as u64;
        if self.restored > Self::FREE_RESTORES + Self::RESTORES_PER_BYTE * self.consumed {
            return Err(DeflateError::TooManyFinalBlocks);
        }
        self.decoder.stream.reset(false);
        self.decoder.restore(history)?;
        self.position = Position::Start;
        Ok(())
    }

    /// Whether the stream could end here: the trailer was the body of an empty block, and not swallowed by
    /// a block that goes on. Leaves the stream unusable.
    fn is_at_border(&mut self) -> bool {
        // The library does not say where it is, but only at a border does an empty final block end it.
        const EMPTY_FINAL_BLOCK: [u8; 2] = [0x03, 0x00];
        let end = Inflated {
            consumed: EMPTY_FINAL_BLOCK.len(),
            produced: 0,
        };
        self.position == Position::Ended
            || self.decoder.decompress(&EMPTY_FINAL_BLOCK, &mut [0]) == Ok((Status::StreamEnd, end))
    }
}

impl Decoder {
    fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> Result<(Status, Inflated), DeflateError> {
        let (total_in, total_out) = (self.stream.total_in(), self.stream.total_out());
        let status = self.stream.decompress(input, output, InflateFlush::SyncFlush)?;
        let consumed = (self.stream.total_in() - total_in) as usize;
        let produced = (self.stream.total_out() - total_out) as usize;
        Ok((status, Inflated { consumed, produced }))
    }

    /// Makes a fresh stream one that has just produced `history`.
    fn restore(&mut self, history: &History) -> Result<(), DeflateError> {
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
