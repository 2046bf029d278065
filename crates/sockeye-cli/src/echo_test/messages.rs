//! The messages that are sent.

use sockeye::Message;

/// Small messages in which servers go wrong.
pub(super) fn peculiar() -> Vec<(&'static str, Message)> {
    let text = |text: &str| Message::text(text.to_owned());
    vec![
        ("text", text("Sockeye")),
        ("text, empty", text("")),
        (
            "text, Unicode",
            text("salmón, нерка, 紅鮭, 🐟, e\u{301}, \u{10ffff}"),
        ),
        ("text, control characters", text("\0\u{1}\t\r\n\u{1b}\u{7f}")),
        ("binary", Message::binary(vec![0x53, 0x6f])),
        ("binary, empty", Message::binary(vec![])),
        (
            "binary, every byte",
            Message::binary((0..=255).collect::<Vec<u8>>()),
        ),
        ("binary, not UTF-8", Message::binary(vec![0xff, 0xfe, 0xc0, 0x80])),
    ]
}

/// Sizes at which the length of a frame is written differently, then in steps up to the limit.
pub(super) fn sizes(max: usize) -> Vec<usize> {
    let mut sizes = vec![125, 126, 65_535, 65_536];
    let mut size = 1024_usize;
    while size < max {
        sizes.push(size);
        size = size.saturating_mul(4);
    }
    sizes.push(max);
    sizes.retain(|size| *size <= max);
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// A binary message of this size that neither compresses nor repeats.
pub(super) fn noise(size: usize) -> Message {
    // xorshift64: the bytes only have to differ from place to place.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(size);
    Message::binary(bytes)
}

/// A size as people write it.
pub(super) fn size_text(size: usize) -> String {
    match size {
        _ if size >= 1 << 20 && size.is_multiple_of(1 << 20) => format!("{} MiB", size >> 20),
        _ if size >= 1 << 10 && size.is_multiple_of(1 << 10) => format!("{} KiB", size >> 10),
        _ => format!("{size} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_borders_and_end_at_the_limit() {
        assert_eq!(sizes(100), [100]);
        assert_eq!(sizes(2000), [125, 126, 1024, 2000]);
        let sizes = sizes(1 << 20);
        assert_eq!(
            sizes,
            [125, 126, 1024, 4096, 16_384, 65_535, 65_536, 262_144, 1 << 20]
        );
    }

    #[test]
    fn noise_has_its_size_and_does_not_repeat() {
        let message = noise(1001);
        assert_eq!(message.len(), 1001);
        assert_ne!(message.as_bytes()[..500], message.as_bytes()[500..1000]);
    }

    #[test]
    fn sizes_are_written_with_units() {
        assert_eq!(size_text(126), "126 bytes");
        assert_eq!(size_text(4096), "4 KiB");
        assert_eq!(size_text(3 << 20), "3 MiB");
        assert_eq!(size_text(65_535), "65535 bytes");
    }
}
