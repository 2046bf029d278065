//! What waits to be sent to one socket.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// What waits to be sent to one socket, in order: a tail that small frames are copied into, and pieces that are referenced,
/// each at its place in the tail.
#[derive(Default)]
pub struct Output {
    pieces: VecDeque<Piece>,
    /// How many bytes the pieces have.
    referenced: usize,
    tail: Vec<u8>,
    /// How much of the tail has been sent.
    sent: usize,
    /// How much of the tail comes before the last piece, or before what was sent.
    placed: usize,
}

/// Bytes that are referenced.
struct Piece {
    /// How many bytes of the tail are still to be sent between the piece before and this one.
    before: usize,
    bytes: Bytes,
}

impl Output {
    /// What was sent is removed from the tail once it is so much, in bytes, and no less than what is left.
    const WORTH_MOVING: usize = 4096;

    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.referenced + self.tail.len() - self.sent
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where to append what is to be sent next. Only appending is allowed.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Sends these bytes next, without copying them.
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let before = self.tail.len() - self.placed;
        self.placed = self.tail.len();
        self.referenced += bytes.len();
        self.pieces.push_back(Piece { before, bytes });
    }

    /// What waits, if it is all in one piece: small frames, mostly.
    pub(super) fn only(&self) -> Option<&[u8]> {
        self.pieces.is_empty().then(|| &self.tail[self.sent..])
    }

    /// Fills `slices` with what is to be sent, from the front; gives those filled.
    pub fn slices<'o, 's>(&'o self, slices: &'s mut [IoSlice<'o>]) -> &'s [IoSlice<'o>] {
        let mut at = self.sent;
        let of_pieces = self.pieces.iter().flat_map(|piece| {
            let before = &self.tail[at..at + piece.before];
            at += piece.before;
            [before, &piece.bytes[..]]
        });
        let parts = of_pieces.chain([&self.tail[self.placed..]]);
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(parts.filter(|part| !part.is_empty())) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        &slices[..filled]
    }

    /// Notes that `count` bytes from the front were sent.
    ///
    /// # Panics
    /// If that is more than wait.
    pub fn advance(&mut self, mut count: usize) {
        if count == self.len() {
            return self.clear();
        }
        while let Some(piece) = self.pieces.front_mut()
            && count > 0
        {
            let part = count.min(piece.before);
            piece.before -= part;
            self.sent += part;
            count -= part;
            let part = count.min(piece.bytes.len());
            piece.bytes.advance(part);
            self.referenced -= part;
            count -= part;
            if piece.bytes.is_empty() {
                self.pieces.pop_front();
            }
        }
        self.sent += count;
        assert!(self.sent <= self.tail.len(), "more was sent than waited");
        self.placed = self.placed.max(self.sent);
        let left = self.tail.len() - self.sent;
        // A peer that is always a little behind must not make it grow for ever.
        if left == 0 || self.sent >= Self::WORTH_MOVING.max(left) {
            self.tail.drain(..self.sent);
            self.placed -= self.sent;
            self.sent = 0;
        }
    }

    /// Throws away what waits.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.referenced = 0;
        self.tail.clear();
        self.sent = 0;
        self.placed = 0;
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("len", &self.len())
            .field("pieces", &self.pieces.len())
            .finish_non_exhaustive()
    }
}

/// Where the output of a socket lies; takes no memory but a pointer while there is none.
#[derive(Debug, Default)]
pub struct Outbox(Option<Box<Output>>);

impl Outbox {
    /// The output, to add to it.
    pub fn open(&mut self, pool: &mut OutputPool) -> &mut Output {
        self.0.get_or_insert_with(|| pool.take())
    }

    /// The output, if there is any.
    pub fn get_mut(&mut self) -> Option<&mut Output> {
        self.0.as_deref_mut()
    }

    /// Takes the output away.
    pub fn take(&mut self) -> Option<Box<Output>> {
        self.0.take()
    }

    /// Puts output in front of what waits here.
    pub fn put_back(&mut self, mut front: Box<Output>, pool: &mut OutputPool) {
        if let Some(mut rest) = self.0.take() {
            let mut at = rest.sent;
            for Piece { before, bytes } in rest.pieces.drain(..) {
                front.tail.extend_from_slice(&rest.tail[at..at + before]);
                at += before;
                front.push(bytes);
            }
            front.tail.extend_from_slice(&rest.tail[at..]);
            pool.put(rest);
        }
        self.0 = Some(front);
    }

    /// Gives the memory back to the pool if nothing waits.
    pub fn settle(&mut self, pool: &mut OutputPool) {
        if let Some(output) = self.0.take_if(|output| output.is_empty()) {
            pool.put(output);
        }
    }

    /// Throws away what waits, and gives the memory back to the pool.
    pub fn discard(&mut self, pool: &mut OutputPool) {
        if let Some(output) = self.0.take() {
            pool.put(output);
        }
    }

    /// How many bytes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |output| output.len())
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Outputs that are not in use, so that their memory is used again: by the next socket, while it is still in the cache.
#[derive(Debug)]
pub struct OutputPool {
    #[expect(
        clippy::vec_box,
        reason = "they change hands as boxes, and must not be moved or made anew"
    )]
    idle: Vec<Box<Output>>,
    max_idle: usize,
}

impl OutputPool {
    /// Tails that grew beyond this, in bytes, are given back to the allocator.
    const KEPT_CAPACITY: usize = 64 * 1024;

    /// A pool that keeps at most so many.
    #[must_use]
    pub const fn new(max_idle: usize) -> Self {
        Self {
            idle: Vec::new(),
            max_idle,
        }
    }

    /// An empty output.
    pub fn take(&mut self) -> Box<Output> {
        self.idle.pop().unwrap_or_default()
    }

    /// Keeps an output for its memory; what is in it is thrown away.
    pub fn put(&mut self, mut output: Box<Output>) {
        output.clear();
        if self.idle.len() < self.max_idle && output.tail.capacity() <= Self::KEPT_CAPACITY {
            self.idle.push(output);
        }
    }
}

impl Default for OutputPool {
    /// Keeps 1,024 of them.
    fn default() -> Self {
        Self::new(1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(output: &Output) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 16];
        output
            .slices(&mut slices)
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
    }

    fn mixed() -> Output {
        let mut output = Output::new();
        output.tail().extend_from_slice(b"ab");
        output.push(Bytes::from_static(b"cde"));
        output.push(Bytes::from_static(b"f"));
        output.tail().extend_from_slice(b"gh");
        output
    }

    #[test]
    fn order_is_kept_between_copied_and_referenced() {
        let output = mixed();
        assert_eq!(bytes_of(&output), b"abcdefgh");
        assert_eq!(output.len(), 8);
    }

    #[test]
    fn any_two_steps_send_everything_once() {
        for first in 0..=8 {
            let mut output = mixed();
            output.advance(first);
            assert_eq!(bytes_of(&output), &b"abcdefgh"[first..]);
            assert_eq!(output.len(), 8 - first);
            output.tail().push(b'i');
            output.push(Bytes::from_static(b"j"));
            assert_eq!(bytes_of(&output), &b"abcdefghij"[first..]);
            output.advance(10 - first);
            assert!(output.is_empty());
        }
    }

    #[test]
    fn a_peer_that_is_always_behind_makes_nothing_grow() {
        let mut output = Output::new();
        output.tail().extend_from_slice(&[7; 1000]);
        for _ in 0..10_000 {
            output.tail().extend_from_slice(&[7; 100]);
            output.push(Bytes::from_static(b"abc"));
            output.tail().push(8);
            output.advance(104);
            assert_eq!(output.len(), 1000);
        }
        assert!(output.tail.capacity() <= 16 * 1024, "{}", output.tail.capacity());
    }

    #[test]
    #[should_panic(expected = "more was sent than waited")]
    fn more_than_waits_cannot_be_sent() {
        mixed().advance(9);
    }

    #[test]
    fn what_was_taken_goes_back_in_front() {
        let mut pool = OutputPool::default();
        let mut outbox = Outbox::default();
        outbox.open(&mut pool).tail().extend_from_slice(b"12345");
        let mut taken = outbox.take().unwrap();
        taken.advance(2);
        outbox.open(&mut pool).push(Bytes::from_static(b"67"));
        outbox.open(&mut pool).tail().extend_from_slice(b"8");
        outbox.put_back(taken, &mut pool);
        assert_eq!(bytes_of(outbox.get_mut().unwrap()), b"345678");
    }

    #[test]
    fn memory_is_used_again() {
        let mut pool = OutputPool::new(1);
        let mut outbox = Outbox::default();
        let output = outbox.open(&mut pool);
        output.tail().extend_from_slice(b"12345");
        let place = output.tail().as_ptr();
        output.advance(5);
        outbox.settle(&mut pool);
        assert_eq!(outbox.open(&mut pool).tail().as_ptr(), place);
    }

    #[test]
    fn a_tail_that_grew_large_is_not_kept() {
        let mut pool = OutputPool::new(1);
        let mut output = pool.take();
        output.tail().reserve(OutputPool::KEPT_CAPACITY + 1);
        pool.put(output);
        assert_eq!(pool.take().tail().capacity(), 0);
    }
}
