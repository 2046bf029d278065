//! The bytes of a message that are put together, and the memory they lie in.

use crate::copy;
use crate::mask::Mask;

/// How many bytes are copied and unmasked at a time: they stay in the innermost cache.
const BLOCK: usize = 8 * 1024;

/// Bytes that were gathered, in memory that may be larger and stays written to its end: what comes next can be received
/// into it, and memory that is used again is not cleared again.
#[derive(Default)]
pub(super) struct Gathered {
    memory: Vec<u8>,
    /// How many bytes of the memory were gathered.
    len: usize,
}

impl Gathered {
    pub(super) const fn new() -> Self {
        Self {
            memory: Vec::new(),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.memory[..self.len]
    }

    /// How many bytes it can hold without being moved.
    pub(super) fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Forgets the bytes and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn into_vec(mut self) -> Vec<u8> {
        self.memory.truncate(self.len);
        self.memory
    }

    pub(super) fn reserve_exact(&mut self, additional: usize) {
        self.memory.truncate(self.len);
        self.memory.reserve_exact(additional);
    }

    /// Reserves more than that where it would be moved often.
    pub(super) fn reserve(&mut self, additional: usize) {
        self.memory.truncate(self.len);
        self.memory.reserve(additional);
    }

    /// Adds bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        if let Some(place) = self.memory.get_mut(self.len..self.len + bytes.len()) {
            for (place, block) in place.chunks_mut(BLOCK).zip(bytes.chunks(BLOCK)) {
                place.copy_from_slice(block);
            }
        } else {
            self.memory.truncate(self.len);
            copy::append(&mut self.memory, bytes);
        }
        self.len += bytes.len();
    }

    /// Adds bytes and unmasks them on their way.
    pub(super) fn append_masked(&mut self, bytes: &[u8], mask: &mut Mask) {
        if let Some(place) = self.memory.get_mut(self.len..self.len + bytes.len()) {
            for (place, block) in place.chunks_mut(BLOCK).zip(bytes.chunks(BLOCK)) {
                place.copy_from_slice(block);
                mask.apply(place);
            }
        } else {
            self.memory.truncate(self.len);
            mask.apply_copy(bytes, &mut self.memory);
        }
        self.len += bytes.len();
    }

    /// Room of at most `most` bytes for what comes next; empty if the memory is full.
    pub(super) fn room(&mut self, most: usize) -> &mut [u8] {
        let end = self.memory.capacity().min(self.len.saturating_add(most));
        if self.memory.len() < end {
            self.memory.resize(end, 0);
        }
        &mut self.memory[self.len..end]
    }

    /// Notes that the first `count` bytes of the [room](Self::room) were written; gives them.
    ///
    /// # Panics
    /// If there was no such room.
    pub(super) fn fill(&mut self, count: usize) -> &mut [u8] {
        let start = self.len;
        self.len += count;
        &mut self.memory[start..self.len]
    }
}

impl From<Vec<u8>> for Gathered {
    fn from(memory: Vec<u8>) -> Self {
        let len = memory.len();
        Self { memory, len }
    }
}

impl std::fmt::Debug for Gathered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathered")
            .field("len", &self.len)
            .field("capacity", &self.capacity())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [1, 2, 3, 4];

    #[test]
    fn bytes_add_up_however_they_come_and_whatever_the_memory_held() {
        let bytes: Vec<u8> = (0..30_000_u32).map(|i| (i * 7) as u8).collect();
        let mut masked = bytes.clone();
        Mask::new(KEY).apply(&mut masked);
        let mut used = Gathered::from(vec![9; 40_000]);
        used.clear();
        for mut gathered in [Gathered::new(), Gathered::from(Vec::with_capacity(12_345)), used] {
            let mut mask = Mask::new(KEY);
            gathered.append(&bytes[..10]);
            mask.skip(10);
            gathered.append_masked(&masked[10..20_001], &mut mask);
            gathered.reserve_exact(9_999);
            let room = gathered.room(9_999);
            room.copy_from_slice(&masked[20_001..]);
            mask.apply(gathered.fill(9_999));
            assert_eq!(gathered.as_bytes(), bytes);
            assert_eq!(gathered.into_vec(), bytes);
        }
    }

    #[test]
    fn room_ends_with_the_memory_and_with_what_is_asked_for() {
        let mut gathered = Gathered::from(Vec::with_capacity(100));
        let capacity = gathered.capacity();
        assert_eq!(gathered.room(10).len(), 10);
        assert_eq!(gathered.fill(4), [0; 4]);
        assert_eq!(gathered.room(usize::MAX).len(), capacity - 4);
        gathered.fill(capacity - 4);
        assert!(gathered.room(1).is_empty());
    }
}
