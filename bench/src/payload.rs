//! What messages consist of.

use std::fmt;
use std::str::FromStr;

use anyhow::{Error, Result, bail};

/// A kind of content, which decides the opcode too: text or binary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Bytes of any value, as if random: nothing in them to compress.
    Binary,
    /// Text of one byte per character.
    Ascii,
    /// Text of three bytes per character.
    Chinese,
    /// Text of four bytes per character.
    Emoji,
    /// Text with keys and values, which compresses to about a quarter.
    Json,
}

impl Kind {
    /// The name of each, as it stands in the names of scenarios.
    const NAMES: [(Self, &'static str); 5] = [
        (Self::Binary, "binary"),
        (Self::Ascii, "ascii"),
        (Self::Chinese, "chinese"),
        (Self::Emoji, "emoji"),
        (Self::Json, "json"),
    ];

    /// RFC 6455 §5.2.
    pub(crate) const fn opcode(self) -> u8 {
        match self {
            Self::Binary => 2,
            _ => 1,
        }
    }

    /// `len` bytes of this kind; another `seed` makes other bytes.
    pub(crate) fn payload(self, len: usize, seed: u64) -> Vec<u8> {
        let mut random = Random(seed);
        let mut payload = Vec::with_capacity(len + 80);
        while payload.len() < len {
            match self {
                Self::Binary => payload.extend_from_slice(&random.next().to_le_bytes()),
                Self::Ascii => payload.push(b' ' + (random.next() % 95) as u8),
                // The unified ideographs in daily use begin at U+4E00.
                Self::Chinese => push(&mut payload, 0x4E00 + (random.next() % 0x1000) as u32),
                Self::Emoji => push(&mut payload, 0x1F300 + (random.next() % 0x100) as u32),
                Self::Json => payload.extend_from_slice(json(&mut random).as_bytes()),
            }
        }
        self.cut(payload, len)
    }

    /// Shortens to exactly `len` bytes; a character that does not fit gives way to spaces.
    fn cut(self, mut payload: Vec<u8>, len: usize) -> Vec<u8> {
        let mut end = len;
        if self != Self::Binary {
            // A byte of the form 10xxxxxx goes on with a character.
            while end < payload.len() && payload[end] & 0xC0 == 0x80 {
                end -= 1;
            }
        }
        payload.truncate(end);
        payload.resize(len, b' ');
        payload
    }
}

fn push(payload: &mut Vec<u8>, character: u32) {
    let character = char::from_u32(character).unwrap_or(' ');
    payload.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// An entry as an application would send it.
fn json(random: &mut Random) -> String {
    let names = ["alice", "bob", "carol", "dave", "erin", "frank"];
    format!(
        r#"{{"id":{},"user":"{}","x":{}.{:02},"y":{}.{:02},"online":{}}},"#,
        random.next() % 100_000,
        names[(random.next() % 6) as usize],
        random.next() % 1000,
        random.next() % 100,
        random.next() % 1000,
        random.next() % 100,
        random.next().is_multiple_of(2),
    )
}

/// The generator splitmix64: the same bytes in every run, for all servers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(kind, _)| kind == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match Self::NAMES.iter().find(|(_, known)| *known == name) {
            Some((kind, _)) => Ok(*kind),
            None => bail!("{name:?} is no kind of content: binary, ascii, chinese, emoji, json"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_the_length_asked_for_and_text_is_utf8() {
        for (kind, name) in Kind::NAMES {
            for len in [16, 17, 18, 19, 20, 125, 1024, 65536] {
                let payload = kind.payload(len, 7);
                assert_eq!(payload.len(), len, "{name}");
                if kind.opcode() == 1 {
                    assert!(std::str::from_utf8(&payload).is_ok(), "{name} of {len} bytes");
                }
            }
        }
    }

    #[test]
    fn another_seed_makes_another_payload() {
        assert_ne!(Kind::Json.payload(100, 1), Kind::Json.payload(100, 2));
        assert_eq!(Kind::Json.payload(100, 1), Kind::Json.payload(100, 1));
    }
}
