//! The last bytes of a stream.

/// The most recent bytes of a stream, as many as fit a window: what a later block may refer back to.
///
/// Allocates as it grows, never more than the window's size.
#[derive(Debug)]
pub(super) struct History {
    /// In the order they came until the window is full, from then on a ring.
    bytes: Vec<u8>,
    /// Where the oldest byte is.
    oldest: usize,
    /// The window's size, a power of two.
    limit: usize,
}

impl History {
    /// The least allocation worth making.
    const MIN_CAPACITY: usize = 64;

    /// An empty history, without memory.
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            oldest: 0,
            limit,
        }
    }

    /// Empties the history; `buffer` takes its bytes from now on.
    pub(super) fn use_buffer(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.bytes = buffer;
        self.oldest = 0;
    }

    /// Appends `data` and forgets what no longer fits.
    pub(super) fn extend(&mut self, data: &[u8]) {
        let data = &data[data.len().saturating_sub(self.limit)..];
        let (grow, wrap) = data.split_at(data.len().min(self.limit - self.bytes.len()));
        if !grow.is_empty() {
            self.reserve(grow.len());
            self.bytes.extend_from_slice(grow);
        }
        if !wrap.is_empty() {
            let (end, start) = wrap.split_at(wrap.len().min(self.limit - self.oldest));
            self.bytes[self.oldest..][..end.len()].copy_from_slice(end);
            self.bytes[..start.len()].copy_from_slice(start);
            self.oldest = (self.oldest + wrap.len()) % self.limit;
        }
    }

    /// Doubles like a `Vec`, but not beyond the limit.
    fn reserve(&mut self, additional: usize) {
        let needed = self.bytes.len() + additional;
        if needed > self.bytes.capacity() {
            let capacity = needed.next_power_of_two().max(Self::MIN_CAPACITY).min(self.limit);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
    }

    /// The bytes in the order they came: those of the first slice, then those of the second.
    pub(super) fn parts(&self) -> (&[u8], &[u8]) {
        let (newer, older) = self.bytes.split_at(self.oldest);
        (older, newer)
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Empties the history and gives up its buffer.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        self.oldest = 0;
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn memory_follows_what_was_seen_up_to_the_window() {
        let mut history = History::new(1024);
        assert_eq!(history.bytes.capacity(), 0);
        history.extend(&[1; 65]);
        assert_eq!(history.bytes.capacity(), 128);
        history.extend(&[2; 5000]);
        history.extend(&[3; 1]);
        assert_eq!(history.bytes.capacity(), 1024);
    }

    proptest! {
        #[test]
        fn history_is_the_tail_of_the_stream(
            limit_bits in 8..11_u32,
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1500), 0..12),
        ) {
            let limit = 1_usize << limit_bits;
            let mut history = History::new(limit);
            let mut stream = Vec::new();
            for piece in &pieces {
                history.extend(piece);
                stream.extend_from_slice(piece);
                let (older, newer) = history.parts();
                prop_assert_eq!(&[older, newer].concat()[..], &stream[stream.len().saturating_sub(limit)..]);
            }
        }
    }
}
