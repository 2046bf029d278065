//! The last bytes of a stream.

use super::WindowBits;

/// The most recent bytes of a stream, as many as fit a window: what a later block may refer back to.
///
/// Allocates as it grows, never more than the window's size.
#[derive(Debug)]
pub(super) struct History {
    /// In the order they came until the window is full, from then on a ring.
    bytes: Vec<u8>,
    /// Where the oldest byte is: less than the largest window.
    oldest: u16,
    /// How many bytes are kept.
    window: WindowBits,
}

impl History {
    /// The least allocation worth making.
    const MIN_CAPACITY: usize = 64;

    /// An empty history, without memory.
    pub(super) const fn new(window: WindowBits) -> Self {
        Self {
            bytes: Vec::new(),
            oldest: 0,
            window,
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
        let limit = self.window.window_size();
        let data = &data[data.len().saturating_sub(limit)..];
        let (grow, wrap) = data.split_at(data.len().min(limit - self.bytes.len()));
        if !grow.is_empty() {
            self.reserve(grow.len());
            self.bytes.extend_from_slice(grow);
        }
        if !wrap.is_empty() {
            let oldest = usize::from(self.oldest);
            let (end, start) = wrap.split_at(wrap.len().min(limit - oldest));
            self.bytes[oldest..][..end.len()].copy_from_slice(end);
            self.bytes[..start.len()].copy_from_slice(start);
            self.oldest = ((oldest + wrap.len()) % limit) as u16;
        }
    }

    /// Doubles like a `Vec`, but not beyond the limit.
    fn reserve(&mut self, additional: usize) {
        let needed = self.bytes.len() + additional;
        if needed > self.bytes.capacity() {
            let capacity = needed
                .next_power_of_two()
                .max(Self::MIN_CAPACITY)
                .min(self.window.window_size());
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
    }

    /// Copies to `to` what came `back` bytes before the end, of which there must be so many.
    pub(super) fn read(&self, mut back: usize, mut to: &mut [u8]) {
        while !to.is_empty() {
            let run = self.run(back);
            let (part, rest) = to.split_at_mut(to.len().min(run.len()));
            part.copy_from_slice(&run[..part.len()]);
            back -= part.len();
            to = rest;
        }
    }

    /// What came `back` bytes before the end, of which there must be so many, and what lies behind it without a gap.
    #[inline]
    pub(super) fn run(&self, back: usize) -> &[u8] {
        let (oldest, len) = (usize::from(self.oldest), self.len());
        let at = oldest + len - back;
        match at.checked_sub(len) {
            None => &self.bytes[at..],
            Some(at) => &self.bytes[at..oldest],
        }
    }

    /// The bytes in the order they came: those of the first slice, then those of the second.
    pub(super) fn parts(&self) -> (&[u8], &[u8]) {
        let (newer, older) = self.bytes.split_at(self.oldest.into());
        (older, newer)
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many bytes are kept.
    pub(super) const fn window(&self) -> usize {
        self.window.window_size()
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
        let mut history = History::new(WindowBits::new(10).unwrap());
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
            bits in 8..11_u8,
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1500), 0..12),
            back in any::<prop::sample::Index>(),
            len in any::<prop::sample::Index>(),
        ) {
            let window = WindowBits::new(bits).unwrap();
            let limit = window.window_size();
            let mut history = History::new(window);
            let mut stream = Vec::new();
            for piece in &pieces {
                history.extend(piece);
                stream.extend_from_slice(piece);
                let (older, newer) = history.parts();
                let tail = &stream[stream.len().saturating_sub(limit)..];
                prop_assert_eq!(&[older, newer].concat()[..], tail);
                let from = back.index(tail.len() + 1);
                let mut part = vec![0; len.index(tail.len() - from + 1)];
                history.read(tail.len() - from, &mut part);
                prop_assert_eq!(&part[..], &tail[from..][..part.len()]);
            }
        }
    }
}
