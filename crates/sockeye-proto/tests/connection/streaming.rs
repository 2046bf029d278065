//! Messages handed out piece by piece: `Delivery::Chunks`.

use sockeye_proto::{Config, Delivery, MessageKind, ProtocolError, Role};

use crate::support::end::Heard;
use crate::support::frame::{Frame, header};
use crate::support::peer::{PEER_KEY, Peer};
use crate::support::{TAKEOVER, deflate, noise};

fn config() -> Config {
    Config {
        max_message_size: u64::MAX,
        delivery: Delivery::Chunks,
        ..Config::server()
    }
}

fn streaming(role: Role) -> Peer {
    Peer::of(role, config(), Some(TAKEOVER))
}

/// A chunk, its marks as letters: `s`tarts the message, ends the `f`rame, ends the `m`essage.
fn chunk(kind: MessageKind, payload: impl AsRef<[u8]>, marks: &str) -> Heard {
    Heard::Chunk {
        kind,
        payload: payload.as_ref().to_vec(),
        starts_message: marks.contains('s'),
        ends_frame: marks.contains('f'),
        ends_message: marks.contains('m'),
    }
}

fn text(payload: &str, marks: &str) -> Heard {
    chunk(MessageKind::Text, payload, marks)
}

fn binary(payload: impl AsRef<[u8]>, marks: &str) -> Heard {
    chunk(MessageKind::Binary, payload, marks)
}

/// Joins chunks to messages, and checks that their marks are in order.
fn messages(heard: &[Heard]) -> Vec<(MessageKind, Vec<u8>)> {
    let mut whole = Vec::new();
    let mut current: Option<(MessageKind, Vec<u8>)> = None;
    for event in heard {
        let Heard::Chunk {
            kind,
            payload,
            starts_message,
            ends_frame,
            ends_message,
        } = event
        else {
            continue;
        };
        assert_eq!(*starts_message, current.is_none(), "{event:?}");
        assert!(*ends_frame || !*ends_message, "a message ends within a frame");
        let (first, bytes) = current.get_or_insert_with(|| (*kind, Vec::new()));
        assert_eq!(first, kind);
        bytes.extend_from_slice(payload);
        if *ends_message {
            whole.extend(current.take());
        }
    }
    assert_eq!(current, None, "an unfinished message");
    whole
}

#[test]
fn a_whole_frame_is_one_chunk() {
    for role in [Role::Server, Role::Client] {
        let mut peer = streaming(role);
        peer.send_all(&[Frame::text("Hello"), Frame::binary("")]);
        peer.expect_heard(&[text("Hello", "sfm"), binary("", "sfm")]);
    }
}

#[test]
fn each_piece_that_arrives_is_a_chunk() {
    let mut peer = streaming(Role::Server);
    let bytes = Frame::text("Hello, world").encode(Some(PEER_KEY));
    peer.send_bytes(&bytes[..6]);
    peer.expect_heard(&[]);
    peer.send_bytes(&bytes[6..11]);
    peer.send_bytes(&bytes[11..13]);
    peer.send_bytes(&bytes[13..]);
    peer.expect_heard(&[text("Hello", "s"), text(", ", ""), text("world", "fm")]);
}

#[test]
fn frame_boundaries_show() {
    let mut peer = streaming(Role::Server);
    peer.send_all(&[
        Frame::binary("one").more(),
        Frame::continuation("").more(),
        Frame::ping("between"),
        Frame::continuation("two").more(),
        Frame::continuation(""),
    ]);
    peer.expect_heard(&[
        binary("one", "sf"),
        binary("", "f"),
        Heard::Ping(b"between".to_vec()),
        binary("two", "f"),
        binary("", "fm"),
    ]);
}

#[test]
fn frame_boundaries_of_compressed_messages_show() {
    let (mut compressor, _) = deflate(Role::Client, TAKEOVER);
    let mut compress = |fragment: &str, fin| {
        let mut out = Vec::new();
        compressor.compress(fragment.as_bytes(), fin, &mut out).unwrap();
        out
    };
    let frames = [
        Frame::text(compress("one", false)).rsv1().more(),
        Frame::continuation(compress("", false)).more(),
        Frame::continuation(compress("two", false)).more(),
        Frame::continuation(compress("", true)),
    ];
    let mut peer = streaming(Role::Server);
    peer.send_all(&frames);
    peer.expect_heard(&[text("one", "sf"), text("", "f"), text("two", "f"), text("", "fm")]);
}

#[test]
fn empty_compressed_frames_are_empty_chunks() {
    let mut peer = streaming(Role::Server);
    peer.send_all(&[
        Frame::binary("").rsv1().more(),
        Frame::continuation("").more(),
        Frame::continuation("\0"),
        Frame::binary("\0").rsv1(),
    ]);
    peer.expect_heard(&[
        binary("", "sf"),
        binary("", "f"),
        binary("", "fm"),
        binary("", "sfm"),
    ]);
    // Not even the header of an empty block: nothing is nothing, however it is framed.
    peer.send_all(&[
        Frame::text("").rsv1(),
        Frame::text("").rsv1().more(),
        Frame::continuation(""),
    ]);
    peer.expect_heard(&[text("", "sfm"), text("", "sf"), text("", "fm")]);
}

#[test]
fn all_that_a_few_compressed_bytes_stand_for_is_handed_out_at_once() {
    // A megabyte in one frame of about a kilobyte, which arrives in one read; nothing else ever does.
    for role in [Role::Server, Role::Client] {
        for fin in [true, false] {
            let peer_role = if role == Role::Server {
                Role::Client
            } else {
                Role::Server
            };
            let (mut compressor, _) = deflate(peer_role, TAKEOVER);
            let mut payload = Vec::new();
            compressor
                .compress(&vec![b'a'; 1 << 20], fin, &mut payload)
                .unwrap();
            assert!(payload.len() < 2000);
            let mut peer = streaming(role);
            let frame = Frame::text(&payload).rsv1();
            peer.send(if fin { frame } else { frame.more() });
            let mut heard = peer.take_heard();
            let total: usize = heard
                .iter()
                .map(|event| match event {
                    Heard::Chunk { payload, .. } => payload.len(),
                    _ => panic!("{event:?}"),
                })
                .sum();
            assert_eq!(total, 1 << 20);
            let (last, rest) = heard.split_last().unwrap();
            assert!(
                matches!(last, Heard::Chunk { ends_frame: true, ends_message, .. } if *ends_message == fin)
            );
            assert!(rest.iter().all(|event| matches!(
                event,
                Heard::Chunk {
                    ends_frame: false,
                    ..
                }
            )));
            if !fin {
                // The message goes on as usual.
                let mut end = Vec::new();
                compressor.compress(b"the end", true, &mut end).unwrap();
                peer.send(Frame::continuation(end));
                heard.extend(peer.take_heard());
                assert_eq!(messages(&heard)[0].1.len(), (1 << 20) + 7);
            }
        }
    }
}

#[test]
fn input_that_does_not_fit_a_step_is_read_later() {
    // Compressed to about 80 KiB, so that many steps share each read and what is left over is masked again.
    let message: Vec<u8> = noise(3)
        .take(70_000)
        .chain(std::iter::repeat_n(b'-', 500_000))
        .chain(noise(4).take(10_000))
        .collect();
    for role in [Role::Server, Role::Client] {
        let peer_role = if role == Role::Server {
            Role::Client
        } else {
            Role::Server
        };
        let (mut compressor, _) = deflate(peer_role, TAKEOVER);
        let mut payload = Vec::new();
        compressor.compress(&message, true, &mut payload).unwrap();
        for piece in [1, 7, 1000, 20_000, usize::MAX] {
            let mut peer = Peer::of(role, config(), Some(TAKEOVER));
            let bytes = peer.encode([&Frame::binary(&payload).rsv1(), &Frame::text("next")]);
            for piece in bytes.chunks(piece) {
                peer.send_bytes(piece);
            }
            assert_eq!(peer.error, None);
            assert_eq!(
                messages(&peer.take_heard()),
                [
                    (MessageKind::Binary, message.clone()),
                    (MessageKind::Text, b"next".to_vec())
                ]
            );
        }
    }
}

#[test]
fn code_points_may_be_cut_by_chunks_but_not_by_messages() {
    let mut peer = streaming(Role::Server);
    let [first, second] = ["é".as_bytes()[0], "é".as_bytes()[1]];
    peer.send_all(&[Frame::text([first]).more(), Frame::continuation([second])]);
    peer.expect_heard(&[
        chunk(MessageKind::Text, [first], "sf"),
        chunk(MessageKind::Text, [second], "fm"),
    ]);
    peer.send(Frame::text([first]));
    peer.expect_heard(&[]);
    peer.expect_failure(ProtocolError::Utf8Invalid);
}

#[test]
fn chunks_before_a_fault_are_handed_out() {
    let mut peer = streaming(Role::Server);
    peer.send_all(&[Frame::text("good").more(), Frame::continuation(b"bad \xFF")]);
    peer.expect_heard(&[text("good", "sf")]);
    peer.expect_failure(ProtocolError::Utf8Invalid);
}

#[test]
fn a_message_larger_than_memory_passes_through() {
    // The frame declares an exbibyte; what is held between reads does not grow.
    let mut peer = streaming(Role::Server);
    peer.send_bytes(&header(&Frame::binary(""), 1 << 60, Some(PEER_KEY)));
    for _ in 0..100 {
        peer.send_bytes(&[0x55; 5000]);
        let heard = peer.take_heard();
        assert!(
            matches!(&heard[..], [Heard::Chunk { payload, ends_frame: false, .. }] if payload.len() == 5000)
        );
    }
}

#[test]
fn a_frame_longer_than_4_gib_is_taken() {
    let mut peer = Peer::of_server_with(config());
    peer.send_bytes(&header(&Frame::binary(""), (1 << 32) + 7, Some(PEER_KEY)));
    let mut length = 0;
    for _ in 0..16 {
        peer.send_bytes(&[0; 1 << 16]);
        let heard = peer.take_heard();
        length += heard
            .iter()
            .map(|event| match event {
                Heard::Chunk { payload, .. } => payload.len(),
                _ => 0,
            })
            .sum::<usize>();
    }
    assert_eq!((length, peer.error.as_ref()), (1 << 20, None));
}
