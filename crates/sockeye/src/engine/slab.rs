//! Slots for sessions, in chunks that neither move nor double.

use crate::driver::Key;

/// How many slots are allocated at once.
const CHUNK: usize = 64;
/// The end of the list of vacant slots.
const NONE: u32 = u32::MAX;

/// Values under [`Key`]s. Memory grows by a chunk at a time; nothing that lies here ever moves.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Box<[Slot<T>]>>,
    /// The first vacant slot.
    vacant: u32,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    Vacant { next: u32 },
    Occupied(T),
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            vacant: NONE,
            len: 0,
        }
    }

    /// How many values there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The key that the next [`insert`](Self::insert) will use; `None` if there can be no more.
    pub(super) fn next_key(&mut self) -> Option<Key> {
        if self.vacant == NONE {
            self.grow()?;
        }
        let index = self.vacant;
        Some(Key::new(index, self.slot(index as usize)?.generation))
    }

    /// Puts a value under the key that [`next_key`](Self::next_key) has given.
    pub(super) fn insert(&mut self, key: Key, value: T) {
        let Some(slot) = self.slot_mut(key.index()) else {
            return;
        };
        debug_assert_eq!(slot.generation, key.generation());
        if let Content::Vacant { next } = slot.content {
            slot.content = Content::Occupied(value);
            self.vacant = next;
            self.len += 1;
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slot_mut(key.index()) {
            Some(Slot {
                generation,
                content: Content::Occupied(value),
            }) if *generation == key.generation() => Some(value),
            _ => None,
        }
    }

    /// The value in this slot now, and its key.
    #[inline]
    pub(super) fn at_mut(&mut self, index: usize) -> Option<(Key, &mut T)> {
        match self.slot_mut(index)? {
            Slot {
                generation,
                content: Content::Occupied(value),
            } => Some((Key::new(index as u32, *generation), value)),
            _ => None,
        }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let vacant = self.vacant;
        let slot = self.slot_mut(key.index())?;
        if slot.generation != key.generation() || matches!(slot.content, Content::Vacant { .. }) {
            return None;
        }
        slot.generation = slot.generation.wrapping_add(1);
        let content = std::mem::replace(&mut slot.content, Content::Vacant { next: vacant });
        self.vacant = key.index() as u32;
        self.len -= 1;
        match content {
            Content::Occupied(value) => Some(value),
            Content::Vacant { .. } => None,
        }
    }

    /// The key of the value in this slot now.
    pub(super) fn key_at(&self, index: usize) -> Option<Key> {
        let slot = self.slot(index)?;
        matches!(slot.content, Content::Occupied(_)).then(|| Key::new(index as u32, slot.generation))
    }

    /// The keys of all values.
    pub(super) fn keys(&self) -> Vec<Key> {
        let capacity = self.chunks.len() * CHUNK;
        (0..capacity).filter_map(|index| self.key_at(index)).collect()
    }

    fn slot(&self, index: usize) -> Option<&Slot<T>> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK)
    }

    #[inline]
    fn slot_mut(&mut self, index: usize) -> Option<&mut Slot<T>> {
        self.chunks.get_mut(index / CHUNK)?.get_mut(index % CHUNK)
    }

    fn grow(&mut self) -> Option<()> {
        let first = u32::try_from(self.chunks.len() * CHUNK).ok()?;
        let last = first + CHUNK as u32 - 1;
        if last > Key::MAX_INDEX {
            return None;
        }
        let slot = |index| Slot {
            generation: 0,
            content: Content::Vacant {
                next: if index == last { NONE } else { index + 1 },
            },
        };
        self.chunks.push((first..=last).map(slot).collect());
        self.vacant = first;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put<T>(slab: &mut Slab<T>, value: T) -> Key {
        let key = slab.next_key().unwrap();
        slab.insert(key, value);
        key
    }

    #[test]
    fn a_key_finds_its_value_and_no_other() {
        let mut slab = Slab::new();
        let keys: Vec<_> = (0..200).map(|value| put(&mut slab, value)).collect();
        for (value, key) in keys.iter().enumerate() {
            assert_eq!(slab.get_mut(*key), Some(&mut value.clone()));
        }
        assert_eq!(slab.len(), 200);
        assert_eq!(slab.keys(), keys);
        assert_eq!(slab.remove(keys[7]), Some(7));
        assert_eq!(slab.remove(keys[7]), None);
        assert_eq!(slab.get_mut(keys[7]), None);
        let again = put(&mut slab, 1000);
        assert_eq!((again.index(), again.generation()), (7, 1));
        assert_eq!(slab.get_mut(keys[7]), None);
        assert_eq!(slab.get_mut(again), Some(&mut 1000));
    }

    #[test]
    fn values_do_not_move_when_the_slab_grows() {
        let mut slab = Slab::new();
        let key = put(&mut slab, [1u8; 100]);
        let place = slab.get_mut(key).unwrap().as_ptr();
        for _ in 0..1000 {
            put(&mut slab, [2; 100]);
        }
        assert_eq!(slab.get_mut(key).unwrap().as_ptr(), place);
    }

    #[test]
    fn slots_are_used_again_before_there_are_more() {
        let mut slab = Slab::new();
        for _ in 0..10_000 {
            let key = put(&mut slab, ());
            slab.remove(key);
        }
        assert_eq!((slab.chunks.len(), slab.len()), (1, 0));
    }
}
