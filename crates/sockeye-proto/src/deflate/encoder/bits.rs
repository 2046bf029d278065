//! Bits in the order of DEFLATE.

/// Writes numbers of some bits each, the first ones into the lowest bits of a byte (RFC 1951 §3.1.1).
///
/// What is not a whole byte yet is kept from one block to the next.
#[derive(Debug, Default)]
pub(super) struct Bits {
    pending: u64,
    /// How many bits are pending: less than 8 after a flush.
    count: u32,
}

impl Bits {
    /// How many bytes a flush may touch from where it writes.
    pub(super) const FLUSH: usize = 8;

    /// Appends `count` bits; those of `value` above them are 0. At most 56 between two flushes.
    #[inline]
    pub(super) fn put(&mut self, value: u64, count: u32) {
        self.pending |= value << self.count;
        self.count += count;
    }

    /// Writes the whole bytes to `out` from `at` on; where the next ones go.
    ///
    /// Writes as many bytes as fit a register, those beyond the pending ones as zeros: [`FLUSH`](Self::FLUSH) bytes.
    #[inline]
    pub(super) fn flush(&mut self, out: &mut [u8], at: usize) -> usize {
        out[at..at + Self::FLUSH].copy_from_slice(&self.pending.to_le_bytes());
        self.pending >>= self.count & !7;
        let at = at + (self.count / 8) as usize;
        self.count &= 7;
        at
    }

    /// Appends the header of a stored block that is not the last one (RFC 1951 §3.2.4), up to where its length goes.
    pub(super) fn stored(&mut self, out: &mut Vec<u8>) {
        self.put(0b000, 3);
        let bytes = self.pending.to_le_bytes();
        out.extend_from_slice(&bytes[..self.count.div_ceil(8) as usize]);
        *self = Self::default();
    }
}
