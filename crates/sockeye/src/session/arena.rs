//! Memory for small received messages: they are copied into blocks of the thread, so that none costs an allocation of
//! its own, and a block is used again once all messages in it were dropped.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// Up to this length, in bytes, a payload goes into a block.
pub(super) const SMALL: usize = 1024;

/// The size of a block, in bytes. A message that the application keeps keeps its block alive: this is the most that it
/// can cost.
pub(super) const BLOCK: usize = 4096;

/// How many full blocks are remembered, to be used again when their messages are gone.
const FULL_BLOCKS: usize = 4;

thread_local! {
    static ARENA: RefCell<Arena> = RefCell::new(Arena::default());
}

/// Copies a payload.
pub(super) fn copy(payload: &[u8]) -> Bytes {
    match payload.len() {
        0 => Bytes::new(),
        1..=SMALL => ARENA.with_borrow_mut(|arena| arena.copy(payload)),
        _ => Bytes::copy_from_slice(payload),
    }
}

#[derive(Default)]
struct Arena {
    block: BytesMut,
    /// In a ring: the next to be looked at is the one that was full first.
    full: [BytesMut; FULL_BLOCKS],
    next: usize,
}

impl Arena {
    fn copy(&mut self, payload: &[u8]) -> Bytes {
        if !self.block.try_reclaim(payload.len()) {
            self.renew(payload.len());
        }
        self.block.extend_from_slice(payload);
        self.block.split().freeze()
    }

    /// Takes the oldest full block that is free again, or else a new one.
    fn renew(&mut self, needed: usize) {
        for _ in 0..FULL_BLOCKS {
            std::mem::swap(&mut self.block, &mut self.full[self.next]);
            self.next = (self.next + 1) % FULL_BLOCKS;
            if self.block.try_reclaim(needed) {
                return;
            }
        }
        self.block = BytesMut::with_capacity(BLOCK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which block a payload lies in, if blocks are apart.
    fn copies(arena: &mut Arena, count: usize) -> Vec<Bytes> {
        (0..count).map(|i| arena.copy(&[i as u8; 100])).collect()
    }

    #[test]
    fn copies_are_equal_to_what_they_were_made_of() {
        for length in [0, 1, 100, SMALL, SMALL + 1, 100_000] {
            let payload = vec![length as u8; length];
            assert_eq!(copy(&payload), payload);
        }
    }

    #[test]
    fn copies_that_are_kept_stay_as_they_are() {
        let mut arena = Arena::default();
        for (i, copy) in copies(&mut arena, 1000).into_iter().enumerate() {
            assert_eq!(copy, [i as u8; 100][..]);
        }
    }

    #[test]
    fn a_block_is_used_again_when_its_copies_are_gone() {
        let mut arena = Arena::default();
        let first = arena.copy(&[7; 100]).as_ptr();
        let mut seen = 0;
        for _ in 0..10 * BLOCK / 100 {
            seen += usize::from(arena.copy(&[7; 100]).as_ptr() == first);
        }
        assert!(seen >= 9, "{seen}");
    }

    #[test]
    fn a_few_copies_that_are_kept_do_not_stop_the_reuse() {
        let mut arena = Arena::default();
        let kept = arena.copy(&[7; 100]);
        let mut blocks = std::collections::BTreeSet::new();
        for _ in 0..100 * BLOCK / 100 {
            blocks.insert(arena.copy(&[7; 100]).as_ptr());
        }
        // No more places than two blocks have.
        assert!(blocks.len() <= 2 * BLOCK / 100, "{}", blocks.len());
        assert_eq!(kept, [7; 100][..]);
    }
}
