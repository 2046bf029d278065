//! What messages are filled with.

use sockeye_proto::{Message, MessageKind};

use super::options::PayloadKind;

/// What all messages of a run have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) kind: MessageKind,
    pub(super) payload: PayloadKind,
    /// In bytes.
    pub(super) size: usize,
}

impl Content {
    /// The payload of the message with this number: numbers that differ give payloads that differ, if there is room for it.
    pub(super) fn make(self, number: u64) -> Vec<u8> {
        let mut noise = Noise::new(number);
        let mut bytes = Vec::with_capacity(self.size + 64);
        match (self.payload, self.kind) {
            (PayloadKind::Random, MessageKind::Binary) => {
                while bytes.len() < self.size {
                    bytes.extend(noise.next().to_le_bytes());
                }
            }
            (PayloadKind::Random, MessageKind::Text) => {
                while bytes.len() < self.size {
                    // Ten letters of six bits.
                    let mut bits = noise.next();
                    for _ in 0..10 {
                        bytes.push(LETTERS[(bits & 63) as usize]);
                        bits >>= 6;
                    }
                }
            }
            (PayloadKind::Json, _) => {
                // First, so that short messages differ too.
                bytes.extend(format!("{:04x}[", noise.next() & 0xffff).into_bytes());
                while bytes.len() < self.size {
                    let (id, price) = (noise.next() % 1000, noise.next() % 100_000);
                    let row = format!(r#"{{"id":{id},"name":"sockeye","state":"open","price":{price}}},"#);
                    bytes.extend(row.into_bytes());
                }
            }
            (PayloadKind::Chinese, _) => self.characters(&mut bytes, &mut noise, '\u{4e00}', 20_000),
            (PayloadKind::Emoji, _) => self.characters(&mut bytes, &mut noise, '\u{1f400}', 250),
        }
        self.cut(bytes)
    }

    /// Random characters out of `count` from `first` on.
    fn characters(self, bytes: &mut Vec<u8>, noise: &mut Noise, first: char, count: u64) {
        while bytes.len() < self.size {
            let offset = u32::try_from(noise.next() % count).unwrap_or_default();
            let character = char::from_u32(u32::from(first) + offset).unwrap_or(first);
            bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// Exactly the size; text that was cut inside a character is filled up with spaces.
    fn cut(self, mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(self.size);
        if let Err(error) = std::str::from_utf8(&bytes)
            && self.payload != PayloadKind::Random
        {
            bytes.truncate(error.valid_up_to());
            bytes.resize(self.size, b' ');
        }
        bytes
    }

    /// `text` or `binary`.
    pub(super) const fn kind_name(self) -> &'static str {
        match self.kind {
            MessageKind::Text => "text",
            MessageKind::Binary => "binary",
        }
    }

    /// Whether these bytes are that message.
    pub(super) fn is(self, message: &Message<'_>, payload: &[u8]) -> bool {
        message.kind() == self.kind && message.as_bytes() == payload
    }
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Numbers that look random (splitmix64): the same for the same seed.
#[derive(Debug)]
pub(super) struct Noise(u64);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, without 1.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [PayloadKind; 4] = [
        PayloadKind::Random,
        PayloadKind::Json,
        PayloadKind::Chinese,
        PayloadKind::Emoji,
    ];

    #[test]
    fn payloads_have_their_size_and_text_is_utf8() {
        for payload in ALL {
            for kind in [MessageKind::Text, MessageKind::Binary] {
                for size in [0, 1, 2, 3, 5, 20, 125, 126, 1000, 65_536] {
                    let content = Content { kind, payload, size };
                    let bytes = content.make(7);
                    assert_eq!(bytes.len(), size, "{content:?}");
                    if kind == MessageKind::Text {
                        assert!(std::str::from_utf8(&bytes).is_ok(), "{content:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn messages_with_other_numbers_are_other_messages() {
        for payload in ALL {
            for kind in [MessageKind::Text, MessageKind::Binary] {
                let content = Content {
                    kind,
                    payload,
                    size: 20,
                };
                let mut all: Vec<_> = (0..64).map(|number| content.make(number)).collect();
                all.sort();
                all.dedup();
                assert!(all.len() > 60, "{content:?}");
                assert_eq!(content.make(3), content.make(3));
            }
        }
    }

    #[test]
    fn fractions_lie_between_nothing_and_one() {
        let mut noise = Noise::new(1);
        let mean = (0..1000)
            .map(|_| noise.fraction())
            .inspect(|f| assert!((0.0..1.0).contains(f)))
            .sum::<f64>()
            / 1000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
