//! Masking (RFC 6455 §5.3): XOR of a payload with a four-byte key.
//!
//! Plain safe loops over words: the compiler turns them into vector code on every target. `benches/bytes.rs` shows
//! that they come near `memcpy`, so that there is nothing for `unsafe` code to win.

/// Bytes that are masked in registers on their way from one buffer to another: a multiple of the key.
const COPY_BLOCK: usize = 128;

/// Bytes that are masked at once, as long as there are as many: the rest of a short payload is not worth vectors.
const BLOCK: usize = 64;

/// Of so many bytes are the blocks of a long payload. With AVX-512, compilers make vectors of words from eight smaller blocks,
/// and gathering and scattering those is ten times slower.
const LONG: usize = 512;

/// A source of masking keys for a client.
///
/// RFC 6455 §5.3: "The masking key needs to be unpredictable": draw keys from a cryptographic generator. This
/// crate has no randomness of its own, so the caller brings it.
pub trait MaskKeys: Send {
    /// The key for the next frame.
    fn next_key(&mut self) -> [u8; 4];
}

impl<F: FnMut() -> [u8; 4] + Send> MaskKeys for F {
    fn next_key(&mut self) -> [u8; 4] {
        self()
    }
}

/// A masking key that remembers how far into a payload it has been applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mask {
    /// The key, rotated so that its first byte applies to the next byte of payload.
    key: [u8; 4],
}

impl Mask {
    /// A mask at the start of a payload.
    #[must_use]
    pub const fn new(key: [u8; 4]) -> Self {
        Self { key }
    }

    /// Masks or unmasks the next bytes of the payload in place.
    ///
    /// ```
    /// use sockeye_proto::Mask;
    ///
    /// let mut payload = *b"Hello";
    /// Mask::new([0x37, 0xfa, 0x21, 0x3d]).apply(&mut payload); // the example of RFC 6455 §5.7
    /// assert_eq!(payload, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    /// ```
    pub fn apply(&mut self, payload: &mut [u8]) {
        self.mask(payload);
        self.skip(payload.len());
    }

    /// Appends the next bytes of the payload to `out`, masked: one pass instead of a copy and an XOR.
    pub fn apply_copy(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        out.reserve(payload.len());
        let (blocks, rest) = payload.as_chunks::<COPY_BLOCK>();
        for block in blocks {
            let mut masked = *block;
            self.mask(&mut masked);
            out.extend_from_slice(&masked);
        }
        let start = out.len();
        out.extend_from_slice(rest);
        self.apply(&mut out[start..]);
    }

    /// Passes over bytes of the payload without touching them.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.key.rotate_left(bytes % 4);
    }

    /// Masks or unmasks a whole payload in place.
    #[inline]
    pub(crate) fn apply_whole(key: [u8; 4], payload: &mut [u8]) {
        Self::new(key).mask(payload);
    }

    #[inline]
    fn mask(&self, payload: &mut [u8]) {
        #[cfg(test)]
        crate::work::count(payload.len());
        let half = u32::from_ne_bytes(self.key);
        let key = u64::from(half) << 32 | u64::from(half);
        let payload = if payload.len() < LONG {
            payload
        } else {
            mask_long(key, payload)
        };
        let (blocks, rest) = payload.as_chunks_mut::<BLOCK>();
        for block in blocks {
            let (words, _) = block.as_chunks_mut();
            for word in words {
                *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
            }
        }
        let (words, rest) = rest.as_chunks_mut();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
        }
        let (words, rest) = rest.as_chunks_mut();
        for word in words {
            *word = (u32::from_ne_bytes(*word) ^ half).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(self.key) {
            *byte ^= key;
        }
    }
}

/// Masks as many bytes as whole blocks of them there are; gives the rest.
#[inline(never)]
fn mask_long(key: u64, payload: &mut [u8]) -> &mut [u8] {
    let (blocks, rest) = payload.as_chunks_mut::<LONG>();
    for block in blocks {
        let (words, _) = block.as_chunks_mut();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(key: [u8; 4], payload: &[u8]) -> Vec<u8> {
        payload
            .iter()
            .enumerate()
            .map(|(i, byte)| byte ^ key[i % 4])
            .collect()
    }

    #[test]
    fn masking_in_pieces_equals_masking_at_once() {
        let key = [0x11, 0x52, 0xA3, 0xF4];
        let payload: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
        for split in [0, 1, 2, 3, 4, 5, 7, 8, 9, 127, 128, 129, 255, 256, 500, 999, 1000] {
            let mut in_place = payload.clone();
            let (head, tail) = in_place.split_at_mut(split);
            let mut mask = Mask::new(key);
            mask.apply(head);
            mask.apply(tail);
            assert_eq!(in_place, naive(key, &payload), "split at {split}");

            let mut copied = Vec::new();
            let mut mask = Mask::new(key);
            mask.apply_copy(&payload[..split], &mut copied);
            mask.apply_copy(&payload[split..], &mut copied);
            assert_eq!(copied, in_place, "split at {split}");
        }
    }

    #[test]
    fn masking_twice_restores_the_payload() {
        let mut payload = b"sockeye".to_vec();
        Mask::new([9, 8, 7, 6]).apply(&mut payload);
        assert_ne!(payload, b"sockeye");
        Mask::new([9, 8, 7, 6]).apply(&mut payload);
        assert_eq!(payload, b"sockeye");
    }
}
