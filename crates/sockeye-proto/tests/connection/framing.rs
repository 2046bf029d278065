//! Frames: what is refused, what is put together, and that how bytes arrive makes no difference.

use sockeye_proto::{Config, Error, Limit, Message, ProtocolError, Role, State};

use crate::support::end::Heard;
use crate::support::frame::{self, CLOSE, CONTINUATION, Frame, PING, PONG, header};
use crate::support::peer::{PEER_KEY, Peer};
use crate::support::{NO_TAKEOVER, noise};

/// Sends bytes to a server, at once and one at a time, and expects it to fail.
#[track_caller]
fn expect_server_fails(bytes: &[u8], error: impl Into<Error>) {
    let error = error.into();
    let mut peer = Peer::of_server();
    peer.send_bytes(bytes);
    peer.expect_failure(error);

    let mut peer = Peer::of_server();
    let now = peer.now;
    peer.receive_bytewise(bytes, now);
    peer.expect_failure(error);
}

#[test]
fn a_length_that_is_not_minimal_fails_the_connection() {
    for length in [
        &[126 | 0x80, 0, 125][..],
        &[127 | 0x80, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF],
    ] {
        let bytes = [&[0x82], length, &PEER_KEY].concat();
        expect_server_fails(&bytes, ProtocolError::LengthNotMinimal);
    }
}

#[test]
fn a_64_bit_length_with_its_top_bit_set_fails_the_connection() {
    for length in [1 << 63, u64::MAX, (1 << 63) | 5] {
        let bytes = header(&Frame::binary(""), length, Some(PEER_KEY));
        expect_server_fails(&bytes, ProtocolError::LengthTopBit);
    }
}

#[test]
fn lengths_are_compared_before_they_are_narrowed() {
    // Cut to 32 bits these would be 0, 5, 65535 and so on, all of which are allowed.
    for length in [
        1 << 32,
        (1 << 32) + 1,
        (1 << 32) + 5,
        (1 << 32) - 1,
        (1 << 40) + 5,
        i64::MAX as u64,
    ] {
        let bytes = header(&Frame::binary(""), length, Some(PEER_KEY));
        expect_server_fails(&bytes, Limit::MessageSize(1 << 20));
    }
}

#[test]
fn every_way_to_code_a_length_is_read() {
    for length in [0, 1, 125, 126, 127, 65535, 65536, 65537, 200_000] {
        let config = Config {
            max_message_size: 200_000,
            ..Config::server()
        };
        let payload: Vec<u8> = noise(length as u64).take(length).collect();
        let mut peer = Peer::of_server_with(config);
        peer.send(Frame::binary(&payload));
        peer.expect_heard(&[Heard::Binary(payload)]);
    }
}

#[test]
fn every_length_is_coded_minimally() {
    for mut peer in Peer::of_both() {
        for (length, header) in [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)] {
            let payload = vec![b'x'; length];
            let mut out = Vec::new();
            peer.connection.send(Message::Binary(&payload), &mut out).unwrap();
            let key = if peer.connection.role() == Role::Client {
                4
            } else {
                0
            };
            assert_eq!(out.len(), header + key + length);
        }
    }
}

#[test]
fn reserved_bits_fail_the_connection_without_an_extension() {
    for rsv in [0x10, 0x20, 0x30, 0x40, 0x70] {
        for opcode in [frame::TEXT, frame::BINARY, PING, PONG, CLOSE] {
            let frame = Frame {
                rsv,
                ..Frame::new(opcode, "")
            };
            expect_server_fails(&frame.encode(Some(PEER_KEY)), ProtocolError::ReservedBits);
        }
    }
}

#[test]
fn rsv1_on_a_control_frame_fails_the_connection_even_with_compression() {
    for opcode in [PING, PONG, CLOSE] {
        let mut peer = Peer::of(Role::Server, Config::server(), Some(NO_TAKEOVER));
        peer.send(Frame::new(opcode, "").rsv1());
        peer.expect_failure(ProtocolError::ReservedBits);
    }
}

#[test]
fn rsv1_on_a_continuation_fails_the_connection_even_with_compression() {
    for first in [Frame::text("a").more(), Frame::text("").rsv1().more()] {
        let mut peer = Peer::of(Role::Server, Config::server(), Some(NO_TAKEOVER));
        peer.send(first);
        peer.send(Frame::continuation("").rsv1());
        peer.expect_failure(ProtocolError::ReservedBits);
    }
}

#[test]
fn rsv2_and_rsv3_fail_the_connection_even_with_compression() {
    for rsv in [0x10, 0x20, 0x50] {
        let mut peer = Peer::of(Role::Server, Config::server(), Some(NO_TAKEOVER));
        peer.send(Frame {
            rsv,
            ..Frame::text("a")
        });
        peer.expect_failure(ProtocolError::ReservedBits);
    }
}

#[test]
fn reserved_opcodes_fail_the_connection() {
    for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        let bytes = Frame::new(opcode, "").encode(Some(PEER_KEY));
        expect_server_fails(&bytes, ProtocolError::ReservedOpcode);
    }
}

#[test]
fn a_server_refuses_frames_without_a_mask() {
    for frame in [Frame::text("a"), Frame::ping("a"), Frame::close(1000, "")] {
        expect_server_fails(&frame.encode(None), ProtocolError::MaskMissing);
    }
}

#[test]
fn a_client_refuses_frames_with_a_mask() {
    for frame in [Frame::text("a"), Frame::ping("a"), Frame::close(1000, "")] {
        let mut peer = Peer::of_client();
        peer.send_bytes(&frame.encode(Some(PEER_KEY)));
        peer.expect_failure(ProtocolError::MaskUnexpected);
    }
}

#[test]
fn a_mask_of_zeros_is_a_mask() {
    let mut peer = Peer::of_server();
    peer.send_bytes(&Frame::text("Hello").encode(Some([0; 4])));
    peer.expect_heard(&[Heard::Text("Hello".to_owned())]);
}

#[test]
fn a_client_masks_each_frame_with_a_key_of_its_own() {
    let mut count = 0;
    let keys = move || {
        count += 1;
        [count; 4]
    };
    let now = std::time::Instant::now();
    let config = std::sync::Arc::new(Config::client());
    let mut client = sockeye_proto::Connection::client(config, Box::new(keys), None, now);
    let mut out = Vec::new();
    client.send(Message::Text("a"), &mut out).unwrap();
    client.ping(b"b", &mut out).unwrap();
    client.close(None, now, &mut out);
    assert_eq!(
        out,
        [
            0x81,
            0x81,
            1,
            1,
            1,
            1,
            b'a' ^ 1,
            0x89,
            0x81,
            2,
            2,
            2,
            2,
            b'b' ^ 2,
            0x88,
            0x80,
            3,
            3,
            3,
            3
        ]
    );
}

#[test]
fn control_frames_longer_than_125_bytes_fail_the_connection() {
    for opcode in [PING, PONG, CLOSE] {
        let fits = Frame::new(opcode, [&1000_u16.to_be_bytes()[..], &[b'x'; 123]].concat());
        let mut peer = Peer::of_server();
        peer.send(fits);
        assert_eq!(peer.error, None);
        for length in [126, 127, 1000, 70000] {
            let bytes = header(&Frame::new(opcode, ""), length, Some(PEER_KEY));
            expect_server_fails(&bytes, ProtocolError::ControlTooLong);
        }
    }
}

#[test]
fn fragmented_control_frames_fail_the_connection() {
    for opcode in [PING, PONG, CLOSE] {
        let bytes = Frame::new(opcode, "").more().encode(Some(PEER_KEY));
        expect_server_fails(&bytes, ProtocolError::FragmentedControl);
    }
}

#[test]
fn control_frames_between_fragments_are_heard_in_between() {
    for mut peer in Peer::of_both() {
        peer.send_all(&[
            Frame::text("one ").more(),
            Frame::ping("ping"),
            Frame::continuation("two ").more(),
            Frame::pong("pong"),
            Frame::continuation("three"),
        ]);
        peer.expect_heard(&[
            Heard::Ping(b"ping".to_vec()),
            Heard::Pong(b"pong".to_vec()),
            Heard::Text("one two three".to_owned()),
        ]);
        peer.expect(Frame::pong("ping"));
    }
}

#[test]
fn a_close_between_fragments_drops_the_unfinished_message() {
    let mut peer = Peer::of_server();
    peer.send_all(&[Frame::text("half").more(), Frame::close(1001, "bye")]);
    peer.expect_heard(&[Heard::Close(1001, "bye".to_owned())]);
    peer.expect(Frame::close(1001, "bye"));
}

#[test]
fn a_continuation_without_a_message_fails_the_connection() {
    for fin in [true, false] {
        let frame = Frame {
            fin,
            ..Frame::continuation("a")
        };
        expect_server_fails(&frame.encode(Some(PEER_KEY)), ProtocolError::OrphanContinuation);
    }
    let mut peer = Peer::of_server();
    peer.send_all(&[Frame::text("whole"), Frame::continuation("more")]);
    peer.expect_heard(&[Heard::Text("whole".to_owned())]);
    peer.expect_failure(ProtocolError::OrphanContinuation);
}

#[test]
fn a_new_message_inside_a_fragmented_one_fails_the_connection() {
    for second in [Frame::text("b"), Frame::binary("b"), Frame::text("b").more()] {
        let mut peer = Peer::of_server();
        peer.send_all(&[Frame::text("a").more(), second]);
        peer.expect_failure(ProtocolError::InterleavedMessage);
    }
}

#[test]
fn empty_fragments_make_an_empty_message() {
    let mut peer = Peer::of_server();
    peer.send_all(&[
        Frame::text("").more(),
        Frame::continuation("").more(),
        Frame::continuation(""),
    ]);
    peer.send_all(&[
        Frame::binary("").more(),
        Frame::continuation("ab"),
        Frame::binary(""),
    ]);
    peer.expect_heard(&[
        Heard::Text(String::new()),
        Heard::Binary(b"ab".to_vec()),
        Heard::Binary(Vec::new()),
    ]);
}

#[test]
fn what_precedes_a_malformed_frame_in_the_same_read_is_delivered() {
    for mut peer in Peer::of_both() {
        peer.send_all(&[
            Frame::text("first"),
            Frame::ping("second"),
            Frame::binary("third").more(),
            Frame::continuation("."),
            Frame::new(0xB, "malformed"),
            Frame::text("not any more"),
        ]);
        peer.expect_heard(&[
            Heard::Text("first".to_owned()),
            Heard::Ping(b"second".to_vec()),
            Heard::Binary(b"third.".to_vec()),
        ]);
        peer.expect(Frame::pong("second"));
        peer.expect_failure(ProtocolError::ReservedOpcode);
    }
}

#[test]
fn nothing_is_heard_after_a_failure() {
    let mut peer = Peer::of_server();
    peer.send(Frame::new(0x3, ""));
    peer.send_all(&[Frame::text("a"), Frame::ping("b"), Frame::close(1000, "")]);
    peer.expect_heard(&[]);
    peer.expect_failure(ProtocolError::ReservedOpcode);
    assert_eq!(peer.connection.state(), State::Closed);
}

#[test]
fn frames_that_arrive_byte_by_byte_are_the_same_frames() {
    let payload: Vec<u8> = noise(7).take(300).collect();
    for mut peer in Peer::of_both() {
        peer.send_bytewise(&Frame::text("Hellö"));
        peer.send_bytewise(&Frame::binary(&payload).more());
        peer.send_bytewise(&Frame::ping("in between"));
        peer.send_bytewise(&Frame::continuation(&payload));
        peer.send_bytewise(&Frame::pong(""));
        peer.send_bytewise(&Frame::close(4000, "dö"));
        peer.expect_heard(&[
            Heard::Text("Hellö".to_owned()),
            Heard::Ping(b"in between".to_vec()),
            Heard::Binary([&payload[..], &payload].concat()),
            Heard::Pong(Vec::new()),
            Heard::Close(4000, "dö".to_owned()),
        ]);
        peer.expect(Frame::pong("in between"));
        peer.expect(Frame::close(4000, "dö"));
    }
}

#[test]
fn a_message_carried_over_between_connections_leaks_nothing() {
    // One workspace serves both: what the first connection left in it must not show in the second one's messages.
    let now = std::time::Instant::now();
    let config = std::sync::Arc::new(Config::server());
    let mut workspace = sockeye_proto::Workspace::new();
    let mut receive = |secret: &str| {
        let mut server = sockeye_proto::Connection::server(config.clone(), None, now);
        let (start, end) = secret.split_at(secret.len() / 2);
        let frames = [Frame::text(start).more(), Frame::continuation(end)];
        let mut input: Vec<u8> = frames
            .iter()
            .flat_map(|frame| frame.encode(Some(PEER_KEY)))
            .collect();
        let mut at = 0;
        let mut heard = Vec::new();
        while at < input.len() {
            let received = server.receive(&mut input[at..], &mut workspace, now).unwrap();
            at += received.consumed;
            heard.extend(received.event.map(Heard::from));
        }
        heard
    };
    let secret = "a long secret of the first connection";
    assert_eq!(receive(secret), [Heard::Text(secret.to_owned())]);
    assert_eq!(receive("short"), [Heard::Text("short".to_owned())]);
    assert_eq!(receive(""), [Heard::Text(String::new())]);
}

#[test]
fn fragments_are_sent_as_continuations_of_the_first() {
    for mut peer in Peer::of_both() {
        let mut out = Vec::new();
        let connection = &mut peer.connection;
        for (fragment, fin) in [("one ", false), ("", false), ("two", true)] {
            let compress = sockeye_proto::Compress::Auto;
            connection
                .send_fragment(Message::Text(fragment), fin, compress, &mut out)
                .unwrap();
        }
        connection.send(Message::Text("next"), &mut out).unwrap();
        peer.out = out;
        peer.expect(Frame::text("one ").more());
        peer.expect(Frame::continuation("").more());
        peer.expect(Frame::continuation("two"));
        peer.expect(Frame::text("next"));
    }
}

#[test]
fn a_message_cannot_be_sent_inside_a_fragmented_one() {
    use sockeye_proto::{Compress, SendError};
    let mut peer = Peer::of_server();
    let mut out = Vec::new();
    let connection = &mut peer.connection;
    let text = Message::Text("a");
    connection
        .send_fragment(text, false, Compress::Auto, &mut out)
        .unwrap();
    let before = out.len();
    assert_eq!(
        connection.send(text, &mut out),
        Err(SendError::FragmentInProgress)
    );
    let other = connection.send_fragment(Message::Binary(b"b"), true, Compress::Auto, &mut out);
    assert_eq!(other, Err(SendError::FragmentKind));
    assert_eq!(out.len(), before, "a refused command appended something");
    connection.ping(b"control frames may be", &mut out).unwrap();
    connection
        .send_fragment(text, true, Compress::Auto, &mut out)
        .unwrap();
    connection.send(text, &mut out).unwrap();
}

#[test]
fn control_payloads_beyond_125_bytes_are_refused_to_the_caller() {
    use sockeye_proto::SendError;
    for mut peer in Peer::of_both() {
        let mut out = Vec::new();
        let long = [0; 126];
        assert_eq!(
            peer.connection.ping(&long, &mut out),
            Err(SendError::ControlTooLong(126))
        );
        assert_eq!(
            peer.connection.pong(&long, &mut out),
            Err(SendError::ControlTooLong(126))
        );
        assert!(out.is_empty());
        peer.connection.ping(&long[1..], &mut out).unwrap();
    }
}

#[test]
fn an_opcode_of_zero_to_fifteen_is_known_or_reserved() {
    for opcode in 0..16 {
        let known = [CONTINUATION, frame::TEXT, frame::BINARY, CLOSE, PING, PONG].contains(&opcode);
        assert_eq!(sockeye_proto::Opcode::from_bits(opcode).is_some(), known);
    }
}
