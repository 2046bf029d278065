//! Messages handed out, and sent, frame by frame: `Delivery::Frames` and `Connection::send_frame`.

use std::num::NonZeroUsize;

use sockeye_proto::{
    Compress, Config, Delivery, Frame as Lent, Limit, Message, Opcode, ProtocolError, Role, SendError, State,
};

use crate::support::end::Heard;
use crate::support::frame::{CONTINUATION, Frame, PING};
use crate::support::outcome::join_messages;
use crate::support::pair::Pair;
use crate::support::peer::Peer;
use crate::support::{NO_TAKEOVER, TAKEOVER, deflate, noise};

fn config() -> Config {
    Config {
        max_message_size: u64::MAX,
        delivery: Delivery::Frames,
        ..Config::server()
    }
}

fn by_frames(role: Role) -> Peer {
    Peer::of(role, config(), Some(TAKEOVER))
}

fn heard(opcode: Opcode, fin: bool, payload: impl AsRef<[u8]>) -> Heard {
    Heard::Frame {
        opcode,
        fin,
        payload: payload.as_ref().to_vec(),
    }
}

fn lent(opcode: Opcode, fin: bool, payload: &[u8]) -> Lent<'_> {
    Lent { opcode, fin, payload }
}

#[test]
fn each_frame_is_handed_out_whole_however_it_arrives() {
    for role in [Role::Server, Role::Client] {
        let frames = [
            Frame::text([0xC3]).more(),
            Frame::ping("in between"),
            Frame::continuation("").more(),
            Frame::continuation([0xA9]),
            Frame::binary(vec![7; 1000]),
            Frame::close(1000, "bye"),
        ];
        let expected = [
            heard(Opcode::Text, false, [0xC3]),
            Heard::Ping(b"in between".to_vec()),
            heard(Opcode::Continuation, false, ""),
            heard(Opcode::Continuation, true, [0xA9]),
            heard(Opcode::Binary, true, vec![7; 1000]),
            Heard::Close(1000, "bye".to_owned()),
        ];
        let mut peer = by_frames(role);
        peer.send_all(&frames);
        peer.expect_heard(&expected);
        let mut peer = by_frames(role);
        for frame in &frames {
            peer.send_bytewise(frame);
        }
        peer.expect_heard(&expected);
    }
}

#[test]
fn frames_of_a_compressed_message_are_handed_out_inflated() {
    let text = "to and fro ".repeat(3000);
    for bytewise in [false, true] {
        let mut peer = by_frames(Role::Server);
        let (mut compressor, _) = deflate(Role::Client, TAKEOVER);
        let mut frames = Vec::new();
        for (i, piece) in text.as_bytes().chunks(10_000).enumerate() {
            let mut compressed = Vec::new();
            let fin = i == 3;
            compressor.compress(piece, fin, &mut compressed).unwrap();
            let frame = if i == 0 {
                Frame::text(compressed).rsv1()
            } else {
                Frame::continuation(compressed)
            };
            frames.push(if fin { frame } else { frame.more() });
        }
        if bytewise {
            frames.iter().for_each(|frame| peer.send_bytewise(frame));
        } else {
            peer.send_all(&frames);
        }
        let heard = peer.take_heard();
        assert_eq!(heard.len(), 4);
        assert_eq!(join_messages(heard), [Heard::Text(text.clone())]);
    }
}

#[test]
fn limits_hold_for_frames_too() {
    let config = Config {
        max_message_size: 1000,
        max_frame_size: 600,
        ..config()
    };
    let mut peer = Peer::of(Role::Server, config.clone(), Some(NO_TAKEOVER));
    peer.send(Frame::binary(vec![0; 601]));
    peer.expect_failure(Limit::FrameSize(600));

    let mut peer = Peer::of(Role::Server, config.clone(), Some(NO_TAKEOVER));
    peer.send_all(&[
        Frame::binary(vec![0; 600]).more(),
        Frame::continuation(vec![0; 401]),
    ]);
    peer.expect_heard(&[heard(Opcode::Binary, false, vec![0; 600])]);
    peer.expect_failure(Limit::MessageSize(1000));

    // A frame that inflates to more than a message may have.
    let mut peer = Peer::of(Role::Server, config, Some(NO_TAKEOVER));
    let mut bomb = Vec::new();
    deflate(Role::Client, NO_TAKEOVER)
        .0
        .compress(&vec![0; 100_000], true, &mut bomb)
        .unwrap();
    peer.send(Frame::binary(bomb).rsv1());
    peer.expect_heard(&[]);
    peer.expect_failure(Limit::MessageSize(1000));
}

#[test]
fn text_is_checked_across_frames() {
    let mut peer = by_frames(Role::Server);
    peer.send_all(&[Frame::text([0xC3]).more(), Frame::continuation([0x28])]);
    peer.expect_heard(&[heard(Opcode::Text, false, [0xC3])]);
    peer.expect_failure(ProtocolError::Utf8Invalid);
    let mut peer = by_frames(Role::Server);
    peer.send(Frame::text([0xC3]));
    peer.expect_failure(ProtocolError::Utf8Invalid);
}

#[test]
fn a_ping_is_answered_unless_that_is_left_to_the_application() {
    for auto_pong in [true, false] {
        for delivery in [Delivery::Messages, Delivery::Chunks, Delivery::Frames] {
            let mut peer = Peer::of_server_with(Config {
                auto_pong,
                delivery,
                ..Config::server()
            });
            peer.send(Frame::ping("1"));
            peer.expect_heard(&[Heard::Ping(b"1".to_vec())]);
            if auto_pong {
                peer.expect(Frame::pong("1"));
            }
            peer.expect_nothing();
        }
    }
}

#[test]
fn frames_are_sent_as_they_are_given() {
    let mut peer = Peer::of_server();
    let (now, mut out) = (peer.now, Vec::new());
    let frames = [
        lent(Opcode::Text, false, &[0xC3]),
        lent(Opcode::Ping, true, b"1"),
        lent(Opcode::Continuation, false, b""),
        lent(Opcode::Continuation, true, &[0xA9]),
        lent(Opcode::Pong, true, b"2"),
        lent(Opcode::Close, true, b"\x03\xE8bye"),
    ];
    for frame in frames {
        let connection = &mut peer.connection;
        connection
            .send_frame(frame, Compress::Auto, now, &mut out)
            .unwrap();
    }
    peer.out.extend(out);
    for frame in [
        Frame::text([0xC3]).more(),
        Frame::ping("1"),
        Frame::continuation("").more(),
        Frame::continuation([0xA9]),
        Frame::pong("2"),
        Frame::close(1000, "bye"),
    ] {
        peer.expect(frame);
    }
    assert_eq!(peer.connection.state(), State::Closing);
}

#[test]
fn a_frame_that_breaks_a_rule_is_refused_and_leaves_no_trace() {
    let mut peer = Peer::of_server();
    let (now, mut out) = (peer.now, Vec::new());
    let connection = &mut peer.connection;
    let mut send = |frame| connection.send_frame(frame, Compress::Auto, now, &mut out);
    let long = [0; 126];
    for opcode in [Opcode::Ping, Opcode::Pong, Opcode::Close] {
        assert_eq!(send(lent(opcode, false, b"")), Err(SendError::FragmentedControl));
        assert_eq!(
            send(lent(opcode, true, &long)),
            Err(SendError::ControlTooLong(126))
        );
    }
    for body in [&b"\x03"[..], b"\x03\xEE", b"\x03\xE8\xFF"] {
        assert_eq!(
            send(lent(Opcode::Close, true, body)),
            Err(SendError::InvalidClose)
        );
    }
    assert_eq!(
        send(lent(Opcode::Continuation, true, b"")),
        Err(SendError::OrphanContinuation)
    );
    for text in [&[0xFF][..], &[0xC3]] {
        assert_eq!(send(lent(Opcode::Text, true, text)), Err(SendError::Utf8Invalid));
    }
    assert_eq!(send(lent(Opcode::Text, false, &[0xC3])), Ok(()));
    for opcode in [Opcode::Text, Opcode::Binary] {
        assert_eq!(send(lent(opcode, true, b"")), Err(SendError::FragmentInProgress));
    }
    assert_eq!(
        send(lent(Opcode::Continuation, true, &[0x28])),
        Err(SendError::Utf8Invalid)
    );
    assert_eq!(
        connection.send_fragment(Message::Text("a"), true, Compress::Auto, &mut out),
        Err(SendError::Utf8Invalid)
    );
    let rest = lent(Opcode::Continuation, true, &[0xA9]);
    connection
        .send_frame(rest, Compress::Auto, now, &mut out)
        .unwrap();
    peer.out.extend(out);
    peer.expect(Frame::text([0xC3]).more());
    peer.expect(Frame::continuation([0xA9]));
    peer.expect_nothing();
}

#[test]
fn no_frame_follows_a_close() {
    let mut peer = Peer::of_server();
    let (now, mut out) = (peer.now, Vec::new());
    peer.connection.close(None, now, &mut out);
    for opcode in [Opcode::Text, Opcode::Ping, Opcode::Close] {
        let sent = peer
            .connection
            .send_frame(lent(opcode, true, b""), Compress::Auto, now, &mut out);
        assert_eq!(sent, Err(SendError::Closed));
    }
}

#[test]
fn messages_over_the_threshold_are_sent_in_frames_of_at_most_that() {
    let threshold = NonZeroUsize::new(100);
    for (length, expected) in [
        (0, vec![0]),
        (100, vec![100]),
        (101, vec![100, 1]),
        (300, vec![100; 3]),
    ] {
        let mut peer = Peer::of_server_with(Config {
            fragmentation_threshold: threshold,
            ..Config::server()
        });
        let mut out = Vec::new();
        let payload: Vec<u8> = noise(1).take(length).collect();
        peer.connection.send(Message::Binary(&payload), &mut out).unwrap();
        peer.out.extend(out);
        let mut sizes = Vec::new();
        let mut joined = Vec::new();
        while let Some(frame) = peer.next_frame() {
            assert_eq!(frame.opcode == CONTINUATION, !sizes.is_empty());
            sizes.push(frame.payload.len());
            joined.extend_from_slice(&frame.payload);
            assert_eq!(frame.fin, sizes.len() == expected.len());
        }
        assert_eq!((sizes, joined), (expected, payload));
    }
}

#[test]
fn a_compressed_message_is_cut_after_compression_and_marked_once() {
    let config = Config {
        fragmentation_threshold: NonZeroUsize::new(50),
        ..config()
    };
    let mut pair = Pair::new(config.clone(), config, Some(TAKEOVER));
    // Hardly compressible, and well compressible.
    let noise: Vec<u8> = noise(7).take(1000).collect();
    for payload in [noise, vec![b'd'; 3000]] {
        let end = &mut pair.client;
        end.connection
            .send(Message::Binary(&payload), &mut end.out)
            .unwrap();
        let (mut rest, mut marked, mut frames) = (end.out.clone(), 0, 0);
        while let Some((frame, _, len)) = Frame::decode(&rest) {
            assert!(frame.payload.len() <= 50);
            marked += usize::from(frame.rsv != 0);
            frames += 1;
            rest.drain(..len);
        }
        assert_eq!(marked, 1);
        if payload.len() == 1000 {
            assert!(frames >= 20, "{frames}");
        } else {
            assert_eq!(frames, 1);
        }
        pair.run();
        assert_eq!(join_messages(pair.server.take_heard()), [Heard::Binary(payload)]);
        assert_eq!(pair.server.error, None);
    }
}

#[test]
fn the_number_of_keepalive_pings_names_the_newest() {
    let mut peer = Peer::of_server();
    for n in 1..=3u64 {
        peer.wait_for_deadline();
        let ping = peer.next_frame().unwrap();
        assert_eq!((ping.opcode, &ping.payload[..]), (PING, &n.to_be_bytes()[..]));
        assert_eq!(peer.connection.keepalive_pings(), n);
        peer.send(Frame::pong(n.to_be_bytes()));
    }
}
