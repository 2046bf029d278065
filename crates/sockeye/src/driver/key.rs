//! What a socket is called between a driver and its owner.

/// The name that an owner gives to a socket: the index of its slot, and how often the slot was used before.
///
/// The second number tells a socket from the one that had the slot, and perhaps the descriptor, before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The largest index. Drivers keep the numbers above for themselves.
    pub const MAX_INDEX: u32 = 0x3fff_ffff;

    /// The key of a slot.
    ///
    /// # Panics
    /// If `index` is more than [`MAX_INDEX`](Self::MAX_INDEX).
    #[must_use]
    pub const fn new(index: u32, generation: u32) -> Self {
        assert!(index <= Self::MAX_INDEX, "no such slot");
        Self { index, generation }
    }

    /// The index of the slot.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// How often the slot was used before, modulo 2³².
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }

    /// Both numbers in one, for the system's 64 bits of user data.
    pub(super) const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The key of these bits, whose two highest of the index are the driver's own.
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32 & Self::MAX_INDEX,
            generation: (bits >> 32) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_hold_both_numbers() {
        for key in [Key::new(0, 0), Key::new(Key::MAX_INDEX, u32::MAX), Key::new(7, 9)] {
            assert_eq!(Key::from_bits(key.to_bits()), key);
        }
    }

    #[test]
    fn the_drivers_own_bits_change_no_key() {
        let key = Key::new(Key::MAX_INDEX, 3);
        assert_eq!(Key::from_bits(key.to_bits() | 0b11 << 30), key);
    }
}
