//! What is produced, and what it repeats.

use super::super::DeflateError;
use super::super::history::History;

/// Where a step writes what it produces, which may repeat what was produced before.
pub(super) struct Output<'a> {
    bytes: &'a mut [u8],
    produced: usize,
    /// What was produced before the step, and how far back a repetition may go.
    history: &'a History,
    window: usize,
}

/// How much is copied at once.
const CHUNK: usize = 16;

impl<'a> Output<'a> {
    /// How many bytes [`copy_fast`](Self::copy_fast) may write beyond those it produces.
    pub(super) const BEYOND: usize = 2 * CHUNK - 1;

    pub(super) fn new(bytes: &'a mut [u8], history: &'a History) -> Self {
        Self {
            bytes,
            produced: 0,
            history,
            window: history.window(),
        }
    }

    /// Itself, for a loop to have in registers; [`advance_to`](Self::advance_to) tells how far that came.
    #[inline(always)]
    pub(super) fn lend(&mut self) -> Output<'_> {
        Output {
            bytes: self.bytes,
            ..*self
        }
    }

    pub(super) fn advance_to(&mut self, produced: usize) {
        self.produced = produced;
    }

    #[inline(always)]
    pub(super) fn produced(&self) -> usize {
        self.produced
    }

    #[inline(always)]
    pub(super) fn room(&self) -> usize {
        self.bytes.len() - self.produced
    }

    /// Appends a byte. There must be room.
    #[inline(always)]
    pub(super) fn push(&mut self, byte: u8) {
        self.bytes[self.produced] = byte;
        self.produced += 1;
    }

    /// Appends as much of `bytes` as there is room for; how much that is.
    pub(super) fn append(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.room());
        self.bytes[self.produced..][..len].copy_from_slice(&bytes[..len]);
        self.produced += len;
        len
    }

    /// Checks that a repetition goes no further back than it may.
    ///
    /// # Errors
    ///
    /// It is further than the window, or than anything was produced.
    #[inline(always)]
    pub(super) fn check(&self, distance: usize) -> Result<(), DeflateError> {
        if distance > self.window || distance > self.produced + self.history.len() {
            return Err(DeflateError::InvalidData);
        }
        Ok(())
    }

    /// Repeats what is `distance` bytes back, which was checked, as far as there is room; how far that is.
    pub(super) fn copy(&mut self, length: usize, distance: usize) -> usize {
        let length = length.min(self.room());
        copy(self.bytes, self.produced, self.history, length, distance);
        self.produced += length;
        length
    }

    /// As [`copy`](Self::copy) with its check. There must be room for the length and [`BEYOND`](Self::BEYOND).
    #[inline(always)]
    pub(super) fn copy_fast(&mut self, length: usize, distance: usize) -> Result<(), DeflateError> {
        let (mut to, end) = (self.produced, self.produced + length);
        if distance > to || distance < CHUNK || distance > self.window {
            self.check(distance)?;
            self.produced = end;
            if distance > to
                && length <= 2 * CHUNK
                && let Some(chunks) = self.history.run(distance - to).first_chunk()
            {
                let chunks: &[u8; 2 * CHUNK] = chunks;
                self.bytes[to..to + 2 * CHUNK].copy_from_slice(chunks);
            } else {
                copy(self.bytes, to, self.history, length, distance);
            }
            return Ok(());
        }
        self.produced = end;
        let bytes = &mut self.bytes[..end + Self::BEYOND];
        // Most are not longer than two chunks, so that the processor foretells the end of the loop.
        bytes.copy_within(to - distance..to - distance + CHUNK, to);
        to += CHUNK;
        bytes.copy_within(to - distance..to - distance + CHUNK, to);
        to += CHUNK;
        while to < end {
            bytes.copy_within(to - distance..to - distance + CHUNK, to);
            to += CHUNK;
        }
        Ok(())
    }
}

/// Copies to `bytes[to..to + length]` what is `distance` bytes before, of which `history` has what is before all `bytes`.
fn copy(bytes: &mut [u8], mut to: usize, history: &History, length: usize, distance: usize) {
    let end = to + length;
    if distance > to {
        let back = distance - to;
        let old = length.min(back);
        history.read(back, &mut bytes[to..to + old]);
        to += old;
    }
    // What is repeated may go on in what it became: then with each piece there is twice as much of it.
    let from = to.saturating_sub(distance);
    while to < end {
        let piece = (end - to).min(to - from);
        bytes.copy_within(from..from + piece, to);
        to += piece;
    }
}
