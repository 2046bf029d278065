//! Compressed messages: inflated step by step, within the limits of a message.

use std::ops::Range;

use super::super::incoming::Incoming;
use super::{ChunkPlace, Context, INFLATE_STEP, Lent, Phase, Progress, Reading};
use crate::config::Config;
use crate::deflate::{Decompressor, Finished, Inflated};
use crate::error::{Error, ProtocolError};

impl Progress {
    /// Lends the next piece of a compressed message: as much as fits into one step.
    pub(super) fn stream_inflated(
        &mut self,
        frame: &mut Reading,
        input: &mut [u8],
        payload: Range<usize>,
        context: &mut Context<'_>,
    ) -> Result<(usize, Option<Lent>), Error> {
        let config = context.rules.config;
        let (Some(message), Some(decompressor)) = (&mut self.message, &mut context.decompressor) else {
            return Ok((payload.len(), None));
        };
        let step = context.workspace.inflated();
        // Only as much is unmasked as one step may need, or large input would be masked again and again.
        let payload = payload.start..payload.end.min(payload.start + INFLATE_STEP);
        let before = *frame;
        frame.take(&mut input[payload.clone()]);
        let mut inflated = Inflated::default();
        if !payload.is_empty() {
            inflated = inflate(decompressor, &input[payload.clone()], step)?;
            // What did not fit stays in the caller's input as it came: masked.
            *frame = before.skip(inflated.consumed);
            let mut rest = *frame;
            rest.take(&mut input[payload.start + inflated.consumed..payload.end]);
        }
        let Inflated {
            consumed,
            mut produced,
        } = inflated;
        let mut drained = produced < step.len();
        message.check(&step[..produced], config)?;
        if frame.remaining == 0 && frame.fin && drained {
            let end = finish(decompressor, &mut step[produced..])?;
            message.check(&step[produced..produced + end.produced], config)?;
            produced += end.produced;
            drained = end.done;
        }
        let mut used = consumed;
        if consumed == payload.len() && !drained {
            // The last byte counts as read once all it amounts to is handed out: as long as something is left to
            // hand out, something is left of the input.
            let held = consumed.min(1);
            used -= held;
            self.phase = Phase::Draining { frame: *frame, held };
        }
        if produced == 0 && frame.remaining > 0 {
            return Ok((used, None));
        }
        let ends_frame = frame.remaining == 0 && drained;
        let chunk = message.chunk(ChunkPlace::Inflated(produced), ends_frame, frame.fin)?;
        Ok((used, Some(chunk)))
    }

    /// Lends the next piece of what a compressed message still holds after the bytes that came.
    pub(super) fn drain(
        &mut self,
        frame: &Reading,
        context: &mut Context<'_>,
    ) -> Result<Option<Lent>, Error> {
        let config = context.rules.config;
        let (Some(message), Some(decompressor)) = (&mut self.message, &mut context.decompressor) else {
            self.phase = Phase::Header;
            return Ok(None);
        };
        let step = context.workspace.inflated();
        let (produced, drained) = if frame.fin && frame.remaining == 0 {
            let end = finish(decompressor, step)?;
            (end.produced, end.done)
        } else {
            let produced = inflate(decompressor, &[], step)?.produced;
            (produced, produced < step.len())
        };
        message.check(&step[..produced], config)?;
        if drained {
            self.phase = frame.rest();
        }
        if produced == 0 && frame.remaining > 0 {
            return Ok(None);
        }
        let ends_frame = frame.remaining == 0 && drained;
        let chunk = message.chunk(ChunkPlace::Inflated(produced), ends_frame, frame.fin)?;
        Ok(Some(chunk))
    }
}

/// Inflates all of `input`, and what is left at the end of the message, into its body.
pub(super) fn inflate_into(
    message: &mut Incoming,
    decompressor: &mut Decompressor,
    input: &[u8],
    ends_message: bool,
    step: &mut [u8],
    config: &Config,
) -> Result<(), Error> {
    let mut rest = input;
    let mut drained = rest.is_empty();
    while !drained {
        let inflated = inflate(decompressor, rest, step)?;
        rest = &rest[inflated.consumed..];
        drained = rest.is_empty() && inflated.produced < step.len();
        message.push(&step[..inflated.produced], config)?;
    }
    let mut finished = !ends_message;
    while !finished {
        let end = finish(decompressor, step)?;
        finished = end.done;
        message.push(&step[..end.produced], config)?;
    }
    Ok(())
}

/// Inflates one step.
fn inflate(
    decompressor: &mut Decompressor,
    input: &[u8],
    step: &mut [u8],
) -> Result<Inflated, ProtocolError> {
    match decompressor.inflate(input, step) {
        // Without this a fault of the library would make an endless loop.
        Ok(done) if input.is_empty() || done.consumed + done.produced > 0 => Ok(done),
        _ => Err(ProtocolError::DeflateInvalid),
    }
}

/// Inflates one step of what the decompressor still holds at the end of a message.
fn finish(decompressor: &mut Decompressor, step: &mut [u8]) -> Result<Finished, ProtocolError> {
    match decompressor.finish(step) {
        Ok(end) if end.done || end.produced > 0 => Ok(end),
        _ => Err(ProtocolError::DeflateInvalid),
    }
}
