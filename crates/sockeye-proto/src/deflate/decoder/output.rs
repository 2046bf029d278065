//! What is produced, and what it repeats.

use super::super::DeflateError;
use super::super::history::History;

/// Where a step writes what it produces, which may repeat what was produced before.
pub(super) struct Output<'a> {
    bytes: &'a mut [u8],
    produced: usize,
    /// What was produced before the step.
    history: &'a History,
}

impl<'a> Output<'a> {
    /// How many bytes [`copy_fast`](Self::copy_fast) may write beyond those it produces.
    pub(super) const BEYOND: usize = CHUNK - 1;

    pub(super) fn new(bytes: &'a mut [u8], history: &'a History) -> Self {
        Self {
            bytes,
            produced: 0,
            history,
        }
    }

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

    /// Whether a repetition may go so far back.
    ///
    /// # Errors
    ///
    /// It is further than the window, or than anything was produced.
    #[inline(always)]
    pub(super) fn check(&self, distance: usize) -> Result<(), DeflateError> {
        let is_within = distance <= self.history.window() && distance <= self.produced + self.history.len();
        is_within.then_some(()).ok_or(DeflateError::InvalidData)
    }

    /// Repeats what is `distance` bytes back, which was checked, as far as there is room; how far that is.
    pub(super) fn copy(&mut self, length: usize, distance: usize) -> usize {
        let length = length.min(self.room());
        let mut left = length;
        if let Some(back) = distance.checked_sub(self.produced)
            && back > 0
        {
            let old = left.min(back);
            self.history
                .read(back, &mut self.bytes[self.produced..self.produced + old]);
            self.produced += old;
            left -= old;
        }
        // What is repeated may go on in what it became: then with each piece there is twice as much of it.
        let from = self.produced - distance.min(self.produced);
        while left > 0 {
            let piece = left.min(self.produced - from);
            self.bytes.copy_within(from..from + piece, self.produced);
            self.produced += piece;
            left -= piece;
        }
        length
    }

    /// As [`copy`](Self::copy) with its check. There must be room for the length and [`BEYOND`](Self::BEYOND).
    #[inline(always)]
    pub(super) fn copy_fast(&mut self, length: usize, distance: usize) -> Result<(), DeflateError> {
        if distance > self.produced || distance < CHUNK || distance > self.history.window() {
            self.check(distance)?;
            self.copy(length, distance);
            return Ok(());
        }
        let (mut to, end) = (self.produced, self.produced + length);
        self.produced = end;
        while to < end {
            self.bytes.copy_within(to - distance..to - distance + CHUNK, to);
            to += CHUNK;
        }
        Ok(())
    }
}

/// How much is copied at once.
const CHUNK: usize = 16;
