//! What one side receives.

use std::sync::Arc;

use super::decoder::Decoder;
use super::history::History;
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
    /// Of the message that something was received of.
    decoder: Option<Box<Decoder>>,
    /// What was produced of late. Empty between messages without context takeover.
    history: History,
    keeps_context: bool,
    failed: Option<DeflateError>,
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
        Self {
            pool,
            decoder: None,
            history: History::new(parameters.window_bits(sender)),
            keeps_context: parameters.keeps_context(sender),
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
        if input.is_empty() && self.decoder.is_none() {
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
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => none.insert(begin(&self.pool, self.keeps_context, &mut self.history)),
        };
        decoder.step(input, output, &mut self.history)
    }

    fn append_trailer(&mut self, output: &mut [u8]) -> Result<Finished, DeflateError> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(Finished {
                produced: 0,
                done: true,
            });
        };
        let mut produced = 0;
        if decoder.trailer == 0 {
            // First what lacked room before. Only then does it show where in the stream the payload ends.
            produced = decoder.step(&[], output, &mut self.history)?.produced;
            if produced == output.len() {
                return Ok(Finished {
                    produced,
                    done: false,
                });
            }
            // A message that ends with a final block should have another empty block after it (RFC 7692
            // §7.2.3.4), but some senders leave it out and nothing is lost without it.
            if decoder.is_ended() {
                self.end_message();
                return Ok(Finished { produced, done: true });
            }
        }
        let trailer = &TRAILER[decoder.trailer..];
        let step = decoder.step(trailer, &mut output[produced..], &mut self.history)?;
        decoder.trailer += step.consumed;
        produced += step.produced;
        if produced == output.len() {
            return Ok(Finished {
                produced,
                done: false,
            });
        }
        if !decoder.is_at_border() {
            return Err(DeflateError::Truncated);
        }
        self.end_message();
        Ok(Finished { produced, done: true })
    }

    fn end_message(&mut self) {
        if let Some(mut decoder) = self.decoder.take() {
            if !self.keeps_context {
                decoder.buffer = self.history.take_buffer();
            }
            self.pool.put_decoder(decoder);
        }
    }

    fn fail(&mut self, error: DeflateError) -> DeflateError {
        self.end_message();
        self.history.take_buffer();
        self.failed = Some(error);
        error
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        self.end_message();
    }
}

/// A decoder for a message that begins.
fn begin(pool: &Pool, keeps_context: bool, history: &mut History) -> Box<Decoder> {
    let mut decoder = pool.take_decoder();
    if !keeps_context {
        history.use_buffer(std::mem::take(&mut decoder.buffer));
    }
    decoder
}
