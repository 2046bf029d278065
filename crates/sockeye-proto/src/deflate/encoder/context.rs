//! What a connection sent of late.

use std::fmt;

use super::block::Block;
use super::search::Search;
use super::token::MAX_MATCH;
use crate::deflate::{MemLevel, WindowBits};

/// The last bytes of a stream and where byte sequences are in them: what later messages may refer to.
///
/// Its memory grows with what was sent: up to one and a half windows of bytes, so that they need not be moved for each
/// message, and a table that takes up to two windows, or less by the memory level. The table is kept because to make it anew
/// for each message would take longer than to compress one, even with a window of 2 KiB.
pub(crate) struct Context {
    /// In the order they came.
    bytes: Vec<u8>,
    /// The table of the [`Search`].
    slots: Box<[u32]>,
    /// The number of the first byte. Numbers start over after 64 Ki: see [`Search`].
    base: u16,
    window: WindowBits,
    mem_level: MemLevel,
}

impl Context {
    /// The least room for bytes beyond the window: more than the longest repetition, so that there is always some.
    const MIN_ROOM: usize = 2 * MAX_MATCH;

    /// There is a slot for so many bytes of the window, at most.
    const BYTES_PER_SLOT: usize = 2;
    /// As many as the least memory level has.
    const MIN_SLOTS: usize = 64;

    pub(crate) fn new(window: WindowBits, mem_level: MemLevel) -> Self {
        Self {
            bytes: Vec::new(),
            slots: Box::default(),
            base: 0,
            window,
            mem_level,
        }
    }

    /// Fills a block with what comes next of a message, of which `rest` is left; how many bytes of that it stands for.
    ///
    /// That is less than all if the block is full, or if there is more than can be remembered at once.
    pub(super) fn fill(&mut self, block: &mut Block, rest: &[u8]) -> usize {
        let start = self.make_room(rest.len());
        let piece = &rest[..rest.len().min(self.limit() - start)];
        self.bytes.extend_from_slice(piece);
        self.fit_slots(start);
        // No repetition is cut where a piece ends that is not the last one.
        let until = match piece.len() == rest.len() {
            true => self.bytes.len(),
            false => self.bytes.len() - MAX_MATCH,
        };
        let window = self.window.window_size();
        let mut search = Search::new(&mut self.slots, self.base, &self.bytes, start, window);
        let filled = search.fill::<true>(block, until);
        self.bytes.truncate(start + filled);
        filled
    }

    /// How many bytes are remembered at most.
    fn limit(&self) -> usize {
        let window = self.window.window_size();
        window + (window / 2).max(Self::MIN_ROOM)
    }

    /// Forgets what is beyond the window if there is no room for more, and makes some for `additional` bytes, if there may be so
    /// many; where they go.
    fn make_room(&mut self, additional: usize) -> usize {
        let limit = self.limit();
        if additional > limit - self.bytes.len() {
            let beyond = self.bytes.len().saturating_sub(self.window.window_size());
            self.bytes.drain(..beyond);
            self.base = self.base.wrapping_add(beyond as u16);
        }
        let len = self.bytes.len();
        let needed = limit.min(len + additional);
        if needed > self.bytes.capacity() {
            // Doubles like a `Vec`, but not beyond the limit.
            let capacity = needed.max(2 * self.bytes.capacity()).min(limit);
            self.bytes.reserve_exact(capacity - len);
        }
        len
    }

    /// Makes the table as large as the bytes there are call for, of which `searched` are to be in it.
    fn fit_slots(&mut self, searched: usize) {
        let wanted = (self.bytes.len() / Self::BYTES_PER_SLOT).next_power_of_two();
        let slots = wanted.clamp(Self::MIN_SLOTS, self.max_slots());
        if slots > self.slots.len() {
            self.slots = vec![0; slots].into_boxed_slice();
            let window = self.window.window_size();
            Search::new(&mut self.slots, self.base, &self.bytes, 0, window).enter_all(0..searched);
        }
    }

    /// How many slots the table has at most.
    fn max_slots(&self) -> usize {
        let by_window = self.window.window_size() / Self::BYTES_PER_SLOT;
        by_window.min(1 << (self.mem_level.get() + 5))
    }
}

/// Without what was sent.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("len", &self.bytes.len())
            .field("slots", &self.slots.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(window: u8, mem_level: u8) -> Context {
        let mem_level = MemLevel::new(mem_level).unwrap();
        Context::new(WindowBits::new(window).unwrap(), mem_level)
    }

    /// How many bytes are remembered and how many the table has, of memory.
    fn memory(context: &Context) -> (usize, usize) {
        (context.bytes.capacity(), size_of_val(&*context.slots))
    }

    fn send(context: &mut Context, mut message: &[u8]) {
        let (mut block, mut out) = (Block::new(), Vec::new());
        while !message.is_empty() {
            let (filled, after) = message.split_at(context.fill(&mut block, message));
            block.write(filled, &mut Default::default(), &mut out);
            message = after;
        }
    }

    #[test]
    fn memory_grows_with_what_was_sent_up_to_what_the_window_and_the_memory_level_allow() {
        let message: Vec<u8> = (0..30_000_u32).flat_map(|number| number.to_le_bytes()).collect();
        for (window, mem_level, bytes, table) in [
            (8, 8, 256 + 516, 512),
            (8, 1, 256 + 516, 256),
            (9, 8, 512 + 516, 1024),
            (11, 4, 3 << 10, 2 << 10),
            (11, 8, 3 << 10, 4 << 10),
            (15, 1, 48 << 10, 256),
            (15, 8, 48 << 10, 32 << 10),
            (15, 9, 48 << 10, 64 << 10),
        ] {
            let mut context = context(window, mem_level);
            assert_eq!(memory(&context), (0, 0));
            send(&mut context, &message[..100]);
            assert_eq!(memory(&context), (100, 256), "{window} bits");
            for _ in 0..3 {
                send(&mut context, &message);
                assert_eq!(
                    memory(&context),
                    (bytes, table),
                    "{window} bits, level {mem_level}"
                );
            }
        }
    }

    #[test]
    fn what_was_sent_stays_to_be_referred_to_as_far_as_the_window_goes() {
        let mut context = context(10, 8);
        let stream: Vec<u8> = (0..40_000_u32)
            .map(|number| (number.wrapping_mul(number) >> 5) as u8)
            .collect();
        let mut sent = 0;
        for length in [1, 300, 723, 1, 5000, 515, 2, 511, 1024, 1537, 30_000] {
            send(&mut context, &stream[sent..][..length]);
            sent += length;
            let kept = context.bytes.len();
            assert!(kept >= sent.min(1024));
            assert_eq!(context.bytes, stream[sent - kept..sent]);
            assert_eq!(context.base, ((sent - kept) % (1 << 16)) as u16);
        }
    }
}
