//! Text is UTF-8, checked as it arrives.

use sockeye_proto::{Config, Delivery, ProtocolError, Role};

use crate::support::NO_TAKEOVER;
use crate::support::end::Heard;
use crate::support::frame::{Frame, header};
use crate::support::peer::{PEER_KEY, Peer};

/// Code points of one to four bytes, long enough to cross the blocks of vector code.
fn text() -> String {
    "aé鮭🐟".repeat(40)
}

/// RFC 3629: overlong forms, surrogates, beyond U+10FFFF, stray continuations, bytes that never occur; each is wrong
/// by its last byte.
const INVALID: [&[u8]; 10] = [
    b"\x80",
    b"\xC0",
    b"\xC1",
    b"\xFF",
    b"\xF5",
    b"\xE0\x9F",
    b"\xED\xA0",
    b"\xF0\x8F",
    b"\xF4\x90",
    b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xF4\x90",
];

#[test]
fn a_code_point_may_be_split_across_fragments() {
    let text = text();
    for split in 0..=text.len() {
        let (start, end) = text.as_bytes().split_at(split);
        let mut peer = Peer::of_server();
        peer.send_all(&[Frame::text(start).more(), Frame::continuation(end)]);
        peer.expect_heard(&[Heard::Text(text.clone())]);
    }
}

#[test]
fn a_code_point_may_be_split_across_fragments_of_one_byte_with_pings_between() {
    let text = text();
    let mut peer = Peer::of_server();
    peer.send(Frame::text("").more());
    for byte in text.as_bytes() {
        peer.send_all(&[Frame::continuation([*byte]).more(), Frame::ping("")]);
    }
    peer.take_heard();
    peer.send(Frame::continuation(""));
    peer.expect_heard(&[Heard::Text(text)]);
}

#[test]
fn a_code_point_may_be_split_across_reads() {
    let text = text();
    let frame = Frame::text(&text);
    for mut peer in Peer::of_both() {
        let bytes = peer.encode([&frame]);
        for split in 0..=bytes.len() {
            peer.send_bytes(&bytes[..split]);
            peer.send_bytes(&bytes[split..]);
            peer.expect_heard(&[Heard::Text(text.clone())]);
        }
    }
}

#[test]
fn a_code_point_may_lie_across_the_blocks_of_vector_code() {
    for padding in 0..130 {
        for code_point in ["é", "鮭", "🐟"] {
            let text = format!("{}{code_point}{}", "x".repeat(padding), "y".repeat(70));
            let mut peer = Peer::of_server();
            peer.send(Frame::text(&text));
            peer.expect_heard(&[Heard::Text(text.clone())]);

            let mut bytes = text.clone().into_bytes();
            bytes[padding + 1] = b'!';
            peer.send(Frame::text(bytes));
            peer.expect_failure(ProtocolError::Utf8Invalid);
        }
    }
}

#[test]
fn a_bad_byte_in_a_whole_message_fails_the_connection_with_1007() {
    for bytes in INVALID {
        let mut peer = Peer::of_server();
        peer.send(Frame::text(bytes));
        peer.expect_heard(&[]);
        assert_eq!(
            peer.error.and_then(|error| error.close_code()).unwrap().get(),
            1007
        );
        peer.expect_failure(ProtocolError::Utf8Invalid);
    }
}

#[test]
fn a_bad_byte_fails_before_its_frame_is_complete() {
    for bytes in INVALID {
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            let mut peer = Peer::of_server_with(Config {
                delivery,
                ..Config::server()
            });
            let mut start = header(&Frame::text(""), 1000, Some(PEER_KEY));
            start.extend(
                bytes
                    .iter()
                    .zip(PEER_KEY.iter().cycle())
                    .map(|(byte, key)| byte ^ key),
            );
            let (before, last) = start.split_at(start.len() - 1);
            peer.send_bytes(before);
            assert_eq!(peer.error, None, "{bytes:x?}");
            peer.send_bytes(last);
            peer.expect_failure(ProtocolError::Utf8Invalid);
        }
    }
}

#[test]
fn a_bad_byte_fails_before_its_message_is_complete() {
    for bytes in INVALID {
        let mut peer = Peer::of_server();
        let (before, last) = bytes.split_at(bytes.len() - 1);
        peer.send(Frame::text(before).more());
        assert_eq!(peer.error, None, "{bytes:x?}");
        peer.send(Frame::continuation(last).more());
        peer.expect_failure(ProtocolError::Utf8Invalid);
    }
}

#[test]
fn a_message_that_ends_within_a_code_point_fails_the_connection() {
    for bytes in [&b"\xC3"[..], b"ok\xE9\xAE", b"\xF0\x9F\x90"] {
        let mut peer = Peer::of_server();
        peer.send(Frame::text(bytes));
        peer.expect_failure(ProtocolError::Utf8Invalid);

        let mut peer = Peer::of_server();
        peer.send_all(&[Frame::text(bytes).more(), Frame::continuation("")]);
        peer.expect_failure(ProtocolError::Utf8Invalid);

        let config = Config {
            delivery: Delivery::Chunks,
            ..Config::server()
        };
        let mut peer = Peer::of_server_with(config);
        peer.send(Frame::text(bytes));
        peer.expect_failure(ProtocolError::Utf8Invalid);
    }
}

#[test]
fn an_unfinished_code_point_is_not_carried_into_the_next_message() {
    let mut peer = Peer::of_server();
    peer.send_all(&[Frame::text("é"), Frame::text(&"é".as_bytes()[1..])]);
    peer.expect_heard(&[Heard::Text("é".to_owned())]);
    peer.expect_failure(ProtocolError::Utf8Invalid);
}

#[test]
fn binary_messages_may_hold_any_bytes() {
    for bytes in INVALID {
        let mut peer = Peer::of_server();
        peer.send_all(&[
            Frame::binary(bytes),
            Frame::binary(bytes).more(),
            Frame::continuation(""),
        ]);
        peer.expect_heard(&[Heard::Binary(bytes.to_vec()), Heard::Binary(bytes.to_vec())]);
    }
}

#[test]
fn compressed_text_is_checked_as_it_is_inflated() {
    for bytes in INVALID {
        let mut payload = Vec::new();
        let (mut compressor, _) = crate::support::deflate(Role::Client, NO_TAKEOVER);
        compressor.compress(bytes, false, &mut payload).unwrap();
        let mut peer = Peer::of(Role::Server, Config::server(), Some(NO_TAKEOVER));
        peer.send(Frame::text(payload).rsv1().more());
        peer.expect_failure(ProtocolError::Utf8Invalid);
    }
}

#[test]
fn nulls_noncharacters_and_byte_order_marks_are_text() {
    let text = "\0\u{FEFF}\u{FFFE}\u{FFFF}\u{10FFFF}\u{D7FF}\u{E000}";
    let mut peer = Peer::of_server();
    peer.send(Frame::text(text));
    peer.expect_heard(&[Heard::Text(text.to_owned())]);
}

/// Lengths of reads, some of which end where the blocks do in which text is gathered, or shortly before or behind.
const PIECES: [usize; 8] = [1000, 2047, 4096, 16_383, 16_384, 16_390, 40_000, 65_536];

#[test]
fn long_text_in_pieces_of_any_size_is_the_text_that_was_sent() {
    // Shifted, so that the borders cut code points at all places.
    for shift in 0..4 {
        let text = format!("{}{}", "x".repeat(shift), "aé鮭🐟".repeat(10_000));
        for role in [Role::Server, Role::Client] {
            for piece in PIECES {
                let mut peer = Peer::of(role, Config::server(), None);
                for piece in peer.encode([&Frame::text(&text)]).chunks(piece) {
                    peer.send_bytes(piece);
                }
                peer.expect_heard(&[Heard::Text(text.clone())]);
            }
        }
    }
}

#[test]
fn a_bad_byte_in_long_text_fails_with_the_read_that_brings_it() {
    let text = "鮭🐟".repeat(10_000).into_bytes();
    for bad in [16_383, 16_384, 16_385, 32_768, 50_000] {
        let mut text = text.clone();
        text[bad] = 0xFF;
        for piece in PIECES {
            let mut peer = Peer::of_server();
            let bytes = peer.encode([&Frame::text(&text)]);
            let header = bytes.len() - text.len();
            let (good, rest) = bytes.split_at((header + bad) / piece * piece);
            for piece in good.chunks(piece) {
                peer.send_bytes(piece);
            }
            assert_eq!(peer.error, None, "byte {bad}, pieces of {piece}");
            peer.send_bytes(&rest[..piece.min(rest.len())]);
            peer.expect_failure(ProtocolError::Utf8Invalid);
        }
    }
}

#[test]
fn long_text_that_ends_inside_a_code_point_fails() {
    let text = "鮭".repeat(20_000).into_bytes();
    for piece in PIECES {
        let mut peer = Peer::of_server();
        let bytes = peer.encode([&Frame::text(&text[..text.len() - 1])]);
        for piece in bytes.chunks(piece) {
            peer.send_bytes(piece);
        }
        peer.expect_failure(ProtocolError::Utf8Invalid);
    }
}
