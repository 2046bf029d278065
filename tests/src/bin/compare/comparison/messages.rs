//! What is sent: messages that compress as real ones do, each unlike those shortly before it.

use super::kind::Kind;

/// Messages repeat after so many bytes: more than the 32 KiB that a compressor can look back, so that none finds a
/// whole earlier message there.
const CYCLE: usize = 256 * 1024;

/// The messages of a scenario, one behind the other.
pub(super) fn messages(kind: Kind, payload_len: usize) -> Vec<u8> {
    let len = CYCLE.next_multiple_of(payload_len);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut bytes = Vec::with_capacity(len + 128);
    while bytes.len() < len {
        match kind {
            Kind::Text => bytes.extend_from_slice(record(&mut random).as_bytes()),
            Kind::Binary => bytes.extend_from_slice(&reading(bytes.len() as u32, &mut random)),
        }
    }
    bytes.truncate(len);
    bytes
}

/// A record in JSON, ASCII only, so that it may be cut anywhere.
fn record(random: &mut Random) -> String {
    const RIVERS: [&str; 8] = [
        "Adams", "Bristol", "Copper", "Fraser", "Kenai", "Nass", "Skeena", "Yukon",
    ];
    let river = RIVERS[random.below(8) as usize];
    let (id, weight, tagged) = (random.below(1_000_000), random.below(4000), random.below(2) == 1);
    format!("{{\"id\":{id},\"river\":\"{river}\",\"grams\":{weight},\"tagged\":{tagged}}},\n")
}

/// What an instrument sends: a time that grows and four values that change little.
fn reading(at: u32, random: &mut Random) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&at.to_be_bytes());
    for value in bytes[4..].chunks_exact_mut(2) {
        value.copy_from_slice(&(0x1200 + random.below(64) as u16).to_be_bytes());
    }
    bytes
}

/// Marsaglia's xorshift: the same messages in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_whole_messages_and_longer_than_a_compression_window() {
        for kind in [Kind::Text, Kind::Binary] {
            for payload_len in [1, 20, 1024, 64 * 1024] {
                let bytes = messages(kind, payload_len);
                assert_eq!(bytes.len() % payload_len, 0);
                assert!(bytes.len() > 32 * 1024 + payload_len);
                assert!(kind == Kind::Binary || bytes.is_ascii());
            }
        }
    }
}
