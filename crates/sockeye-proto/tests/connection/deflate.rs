//! Compressed messages, from frame to message.

use std::sync::Arc;

use sockeye_proto::deflate::{Deflate, Level, Parameters, Pool, WindowBits};
use sockeye_proto::{Compress, Config, Delivery, Limit, Message, ProtocolError, Role, SendError};

use crate::support::end::Heard;
use crate::support::frame::Frame;
use crate::support::pair::Pair;
use crate::support::peer::Peer;
use crate::support::{NO_TAKEOVER, TAKEOVER, deflate, deflate_with, noise};

fn server(parameters: Parameters) -> Peer {
    Peer::of(Role::Server, Config::server(), Some(parameters))
}

/// What a client sends for a message in one go.
fn compressed(message: &[u8]) -> Vec<u8> {
    let (mut compressor, _) = deflate(Role::Client, NO_TAKEOVER);
    let mut payload = Vec::new();
    compressor.compress(message, true, &mut payload).unwrap();
    payload
}

#[test]
fn rsv1_marks_the_first_frame_only() {
    let mut peer = Peer::of(Role::Server, Config::server(), Some(TAKEOVER));
    let mut out = Vec::new();
    for (text, fin) in [("one ", false), ("two ", false), ("three", true)] {
        peer.connection
            .send_fragment(Message::Text(text), fin, Compress::Always, &mut out)
            .unwrap();
        peer.connection.ping(b"", &mut out).unwrap();
    }
    peer.out = out;
    for (opcode, rsv, fin) in [
        (1, 0x40, false),
        (9, 0, true),
        (0, 0, false),
        (9, 0, true),
        (0, 0, true),
        (9, 0, true),
    ] {
        let frame = peer.next_frame().unwrap();
        assert_eq!((frame.opcode, frame.rsv, frame.fin), (opcode, rsv, fin));
    }
}

#[test]
fn compressed_and_plain_messages_mix() {
    for parameters in [TAKEOVER, NO_TAKEOVER] {
        let mut pair = Pair::new(Config::client(), Config::server(), Some(parameters));
        let mut expected = Vec::new();
        for round in 0..20 {
            let text = format!("message {round} of twenty, much like the others");
            let compress = [Compress::Always, Compress::Never, Compress::Auto][round % 3];
            let client = &mut pair.client;
            client
                .connection
                .send_with(Message::Text(&text), compress, &mut client.out)
                .unwrap();
            expected.push(Heard::Text(text));
        }
        let sent = pair.client.out.len();
        pair.run();
        assert_eq!(pair.server.error, None);
        assert_eq!(pair.server.take_heard(), expected);
        let plain: usize = 20 * (50 + 6);
        assert!(parameters == NO_TAKEOVER || sent < plain, "{sent}");
    }
}

#[test]
fn a_refused_command_leaves_the_window_in_step() {
    // With context takeover, what was compressed must reach the peer, or later messages refer to what it lacks.
    let mut pair = Pair::new(Config::client(), Config::server(), Some(TAKEOVER));
    let client = &mut pair.client;
    let out = &mut client.out;
    let connection = &mut client.connection;
    connection
        .send_fragment(Message::Text("alpha beta "), false, Compress::Always, out)
        .unwrap();
    let before = out.len();
    assert_eq!(
        connection.send_with(Message::Text("gamma delta"), Compress::Always, out),
        Err(SendError::FragmentInProgress)
    );
    assert_eq!(
        connection.send_fragment(Message::Binary(b"gamma delta"), true, Compress::Always, out),
        Err(SendError::FragmentKind)
    );
    assert_eq!(
        connection.ping(&[b'g'; 126], out),
        Err(SendError::ControlTooLong(126))
    );
    assert_eq!(out.len(), before);
    connection
        .send_fragment(Message::Text("gamma delta"), true, Compress::Always, out)
        .unwrap();
    connection
        .send_with(Message::Text("alpha gamma delta"), Compress::Always, out)
        .unwrap();
    pair.run();
    assert_eq!(
        pair.server.take_heard(),
        [
            Heard::Text("alpha beta gamma delta".to_owned()),
            Heard::Text("alpha gamma delta".to_owned())
        ]
    );
}

#[test]
fn a_message_that_inflates_to_more_than_a_step_is_drained() {
    let config = Config {
        max_message_size: 1 << 20,
        ..Config::server()
    };
    for size in [16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 32 * 1024, 1 << 20] {
        let message = vec![b'a'; size];
        let mut peer = Peer::of(Role::Server, config.clone(), Some(NO_TAKEOVER));
        peer.send(Frame::binary(compressed(&message)).rsv1());
        peer.send_bytewise(&Frame::binary(compressed(&message)).rsv1());
        peer.expect_heard(&[Heard::Binary(message.clone()), Heard::Binary(message)]);
    }
}

#[test]
fn final_blocks_inside_a_message_are_followed() {
    // "Hello" as a block with BFINAL, the pad bits that RFC 7692 §7.2.3.4 shows, then a second one.
    let block = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
    let mut peer = server(TAKEOVER);
    peer.send(Frame::text(block).rsv1());
    peer.send(Frame::text([&block[..7], block].concat()).rsv1());
    peer.send(Frame::text("plain"));
    // RFC 7692 §7.2.3.2: the same message again refers back to the first one.
    peer.send(Frame::text(compressed(b"Hello")).rsv1());
    peer.expect_heard(&[
        Heard::Text("Hello".to_owned()),
        Heard::Text("HelloHello".to_owned()),
        Heard::Text("plain".to_owned()),
        Heard::Text("Hello".to_owned()),
    ]);
}

#[test]
fn empty_compressed_messages_and_fragments_are_empty() {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        for parameters in [TAKEOVER, NO_TAKEOVER] {
            let config = Config {
                delivery,
                ..Config::server()
            };
            let mut peer = Peer::of(Role::Server, config, Some(parameters));
            for frames in [
                &[Frame::text("\0").rsv1()][..],
                &[Frame::text("").rsv1()],
                &[Frame::text("").rsv1().more(), Frame::continuation("\0")],
                &[Frame::text("\0").rsv1().more(), Frame::continuation("")],
                &[
                    Frame::text("").rsv1().more(),
                    Frame::continuation("").more(),
                    Frame::continuation(""),
                ],
            ] {
                peer.send_all(frames);
                for frame in frames {
                    peer.send_bytewise(frame);
                }
                assert_eq!(peer.error, None, "{frames:?}");
                let heard = peer.take_heard();
                if delivery == Delivery::Messages {
                    assert_eq!(
                        heard,
                        [Heard::Text(String::new()), Heard::Text(String::new())],
                        "{frames:?}"
                    );
                } else {
                    assert_eq!(heard.len(), 2 * frames.len(), "{frames:?}");
                }
            }
        }
    }
}

#[test]
fn an_empty_message_is_sent_as_one_zero_byte() {
    let mut peer = server(TAKEOVER);
    let mut out = Vec::new();
    peer.connection
        .send_with(Message::Text(""), Compress::Always, &mut out)
        .unwrap();
    peer.out = out;
    peer.expect(Frame::text("\0").rsv1());
}

#[test]
fn a_payload_cut_anywhere_is_the_same_message() {
    let message: Vec<u8> = noise(1)
        .take(100)
        .chain(b"and text and text".iter().copied())
        .collect();
    let payload = compressed(&message);
    for cut in 0..=payload.len() {
        let (start, end) = payload.split_at(cut);
        let mut peer = server(NO_TAKEOVER);
        peer.send_all(&[
            Frame::binary(start).rsv1().more(),
            Frame::ping(""),
            Frame::continuation(end),
        ]);
        peer.expect_heard(&[Heard::Ping(Vec::new()), Heard::Binary(message.clone())]);
    }
}

/// A server that takes messages of 64 KiB.
fn small() -> Config {
    Config {
        max_message_size: 65536,
        ..Config::server()
    }
}

#[test]
fn a_bomb_in_one_frame_stops_at_the_limit() {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let config = Config { delivery, ..small() };
        let mut peer = Peer::of(Role::Server, config, Some(NO_TAKEOVER));
        let bomb = compressed(&vec![0; 8 << 20]);
        assert!(
            bomb.len() < 65536,
            "small enough to get past the limits of the wire"
        );
        peer.send(Frame::binary(bomb).rsv1());
        let heard: usize = peer
            .take_heard()
            .iter()
            .map(|event| format!("{event:?}").len())
            .sum();
        assert!(heard < 10 * 65536, "{heard}");
        peer.expect_failure(Limit::MessageSize(65536));
    }
}

#[test]
fn a_bomb_across_fragments_stops_at_the_limit() {
    let mut peer = Peer::of(Role::Server, small(), Some(NO_TAKEOVER));
    let (mut compressor, _) = deflate(Role::Client, NO_TAKEOVER);
    for round in 0..5 {
        let mut payload = Vec::new();
        compressor.compress(&[0; 16 * 1024], false, &mut payload).unwrap();
        assert_eq!(peer.error, None, "{round}");
        peer.send(if round == 0 {
            Frame::binary(payload).rsv1().more()
        } else {
            Frame::continuation(payload).more()
        });
    }
    peer.expect_failure(Limit::MessageSize(65536));
}

#[test]
fn a_bomb_that_refers_to_an_earlier_message_stops_at_the_limit() {
    let mut peer = Peer::of(Role::Server, small(), Some(TAKEOVER));
    let (mut compressor, _) = deflate(Role::Client, TAKEOVER);
    let seed: Vec<u8> = noise(9).take(20_000).collect();
    for copies in [1, 3] {
        let mut payload = Vec::new();
        compressor
            .compress(&seed.repeat(copies), true, &mut payload)
            .unwrap();
        peer.send(Frame::binary(payload).rsv1());
        assert_eq!(peer.error, None);
    }
    let mut payload = Vec::new();
    compressor.compress(&seed.repeat(4), true, &mut payload).unwrap();
    assert!(
        payload.len() < 2000,
        "almost all of it is references to the messages before"
    );
    peer.send(Frame::binary(payload).rsv1());
    peer.expect_failure(Limit::MessageSize(65536));
}

#[test]
fn blocks_that_inflate_to_nothing_reach_the_limit() {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let mut peer = Peer::of(
            Role::Server,
            Config {
                delivery,
                max_message_size: 1000,
                ..Config::server()
            },
            Some(NO_TAKEOVER),
        );
        // Empty stored blocks: five bytes each, worth nothing.
        let nothing = b"\0\0\0\xff\xff".repeat(100);
        peer.send(Frame::binary(&nothing).rsv1().more());
        for _ in 0..100 {
            peer.send(Frame::continuation(&nothing).more());
        }
        peer.expect_failure(Limit::MessageSize(1000));
    }
}

#[test]
fn messages_that_compression_made_longer_are_not_too_long() {
    // The fixed codes of the fastest level make these bytes an eighth longer; flushes add to it.
    let message: Vec<u8> = noise(5).filter(|byte| *byte >= 144).take(65536).collect();
    let mut longest = 0;
    for level in 0..=9 {
        let options = Deflate {
            level: Level::new(level).unwrap(),
            ..Deflate::default()
        };
        let pool = Arc::new(Pool::default());
        for pieces in [1, 1000] {
            let (mut compressor, _) = deflate_with(Role::Client, NO_TAKEOVER, &options, &pool);
            let mut peer = server(NO_TAKEOVER);
            let mut wire = 0;
            let mut chunks = message.chunks(message.len().div_ceil(pieces)).peekable();
            let mut first = true;
            while let Some(piece) = chunks.next() {
                let fin = chunks.peek().is_none();
                let mut payload = Vec::new();
                compressor.compress(piece, fin, &mut payload).unwrap();
                wire += payload.len();
                let frame = if first {
                    Frame::binary(payload).rsv1()
                } else {
                    Frame::continuation(payload)
                };
                peer.send(if fin { frame } else { frame.more() });
                first = false;
            }
            assert_eq!(peer.error, None, "level {level}, {wire} bytes in {pieces} pieces");
            peer.expect_heard(&[Heard::Binary(message.clone())]);
            longest = longest.max(wire);
        }
    }
    assert!(longest > 65536, "no level made the message longer");
}

#[test]
fn corrupt_data_fails_the_connection_with_1007() {
    for payload in [&b"\xff\xff\xff"[..], b"\x06", b"\xf2\x48\xcd\xc9\xc9"] {
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            let config = Config {
                delivery,
                ..Config::server()
            };
            let mut peer = Peer::of(Role::Server, config, Some(NO_TAKEOVER));
            peer.send(Frame::binary(payload).rsv1());
            assert_eq!(peer.error.unwrap().close_code().unwrap().get(), 1007);
            peer.expect_failure(ProtocolError::DeflateInvalid);
        }
    }
}

#[test]
fn every_window_and_takeover_goes_both_ways() {
    let bits = |bits| WindowBits::new(bits).unwrap();
    let message: String = "the quick brown fox ".repeat(300);
    for window in 8..=15 {
        for takeover in [true, false] {
            let parameters = Parameters {
                server_no_context_takeover: takeover,
                client_no_context_takeover: !takeover,
                server_max_window_bits: bits(window),
                client_max_window_bits: bits(23 - window),
            };
            let mut pair = Pair::new(Config::client(), Config::server(), Some(parameters));
            for role in [Role::Client, Role::Server] {
                let (end, _) = pair.ends(role);
                for _ in 0..3 {
                    end.connection
                        .send(Message::Text(&message), &mut end.out)
                        .unwrap();
                }
                assert!(end.out.len() < 3 * message.len() / 4);
                pair.run();
                let (_, other) = pair.ends(role);
                assert_eq!(other.take_heard(), vec![Heard::Text(message.clone()); 3]);
            }
        }
    }
}

#[test]
fn compressed_lengths_around_the_steps_of_the_header_are_framed() {
    // The header is made for the length before compression and moved when that was wrong.
    for role in [Role::Client, Role::Server] {
        let mut pair = Pair::new(
            Config {
                max_message_size: 1 << 20,
                ..Config::client()
            },
            Config {
                max_message_size: 1 << 20,
                ..Config::server()
            },
            Some(NO_TAKEOVER),
        );
        for length in [
            0, 1, 100, 115, 120, 125, 126, 130, 1000, 65_500, 65_535, 65_536, 70_000, 200_000,
        ] {
            for message in [vec![b'z'; length], noise(length as u64).take(length).collect()] {
                let (end, _) = pair.ends(role);
                end.connection
                    .send(Message::Text("before"), &mut end.out)
                    .unwrap();
                end.connection
                    .send_with(Message::Binary(&message), Compress::Always, &mut end.out)
                    .unwrap();
                pair.run();
                let (_, other) = pair.ends(role);
                assert_eq!(
                    other.take_heard(),
                    [Heard::Text("before".to_owned()), Heard::Binary(message)]
                );
            }
        }
    }
}

#[test]
fn messages_below_the_threshold_are_sent_as_they_are() {
    let options = Deflate::default();
    let mut pair = Pair::with_deflate(Config::client(), Config::server(), Some(NO_TAKEOVER), &options);
    let server = &mut pair.server;
    let short = "x".repeat(options.threshold - 1);
    server
        .connection
        .send(Message::Text(&short), &mut server.out)
        .unwrap();
    assert_eq!(server.out[0], 0x81);
    server.out.clear();
    server
        .connection
        .send(Message::Text(&format!("{short}x")), &mut server.out)
        .unwrap();
    assert_eq!(server.out[0], 0xC1);
}

#[test]
fn asking_for_compression_without_agreement_sends_plain_messages() {
    let mut peer = Peer::of_server();
    let mut out = Vec::new();
    let connection = &mut peer.connection;
    connection
        .send_with(Message::Text("a"), Compress::Always, &mut out)
        .unwrap();
    connection
        .send_fragment(Message::Text("b"), true, Compress::Always, &mut out)
        .unwrap();
    peer.out = out;
    peer.expect(Frame::text("a"));
    peer.expect(Frame::text("b"));
}
