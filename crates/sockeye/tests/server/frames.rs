//! Frames that no honest client sends, on sockets: each closes its own connection, with the code and a reason.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye::Config;
use sockeye::proto::deflate::{Compressor, Decompressor, Deflate, Pool};
use sockeye::proto::{Compress, Connection, Message, Role};

use crate::peer::{Peer, TEXT, echo, eventually, frame, handshake, server, start};

/// Sends these bytes on a WebSocket of their own; gives the Close frame that answers them.
async fn answer(address: std::net::SocketAddr, bytes: &[u8]) -> (u16, String) {
    let mut peer = Peer::open(address, "/", &[]).await;
    peer.try_write(bytes).await;
    peer.receive_close().await
}

/// A header with a length of eight bytes, masked.
fn long(opcode: u8, length: u64) -> Vec<u8> {
    [&[0x80 | opcode, 0xFF][..], &length.to_be_bytes(), &[0; 4]].concat()
}

#[tokio::test]
async fn each_offence_closes_with_its_code_and_harms_nobody_else() {
    let (address, server) = start(server().route("/", echo)).await;
    let mut bystander = Peer::open(address, "/", &[]).await;
    let fragments = |count: usize, payload: &[u8]| {
        let mut bytes = frame(TEXT, payload);
        bytes[0] &= 0x7F;
        let mut next = frame(0, payload);
        next[0] &= 0x7F;
        bytes.extend(next.repeat(count));
        bytes
    };
    let pings_between = |count: usize| [fragments(1, b""), frame(9, b"x").repeat(count)].concat();
    for (bytes, code, words) in [
        (long(2, 1 << 63), 1002, "top bit"),
        (long(2, u64::MAX), 1002, "top bit"),
        (long(2, i64::MAX as u64), 1009, "larger than 1048576"),
        (long(2, (1 << 32) + 1), 1009, "larger than 1048576"),
        (long(2, (1 << 32) - 1), 1009, "larger than 1048576"),
        (long(2, 125), 1002, "minimally"),
        (long(9, 126), 1002, ""),
        (vec![0xC1, 0x80, 0, 0, 0, 0], 1002, "reserved bit"),
        (vec![0xA1, 0x80, 0, 0, 0, 0], 1002, "reserved bit"),
        (vec![0x83, 0x80, 0, 0, 0, 0], 1002, "reserved opcode"),
        (vec![0x8B, 0x80, 0, 0, 0, 0], 1002, "reserved opcode"),
        (b"\x81\x02hi".to_vec(), 1002, "mask"),
        (vec![0x09, 0x80, 0, 0, 0, 0], 1002, "fragmented"),
        (frame(0, b""), 1002, "continuation"),
        (frame(8, b"x"), 1002, "one byte"),
        (frame(8, &1005_u16.to_be_bytes()), 1002, "close code"),
        (frame(8, b"\x03\xe8\xff"), 1007, "UTF-8"),
        (frame(TEXT, b"\xed\xa0\x80"), 1007, "UTF-8"),
        (frame(2, &vec![0; (1 << 20) + 1]), 1009, "larger than 1048576"),
        (fragments(1024, b""), 1008, "1024 fragments"),
        (fragments(1024, b"x"), 1008, "1024 fragments"),
        (pings_between(1001), 1008, "1000 control frames"),
    ] {
        let (found, reason) = answer(address, &bytes).await;
        let shown = &bytes[..bytes.len().min(14)];
        assert_eq!(found, code, "{shown:x?}: {reason}");
        assert!(reason.contains(words), "{shown:x?}: {reason}");
        bystander.send_text("well?").await;
        assert_eq!(bystander.receive_text().await, "well?");
    }
    eventually(|| server.connections() == 1).await;
}

#[tokio::test]
async fn a_request_and_a_frame_may_come_byte_by_byte() {
    let (address, _server) = start(server().route("/", echo)).await;
    let mut peer = Peer::connect(address).await;
    for byte in handshake("/", &[]).bytes() {
        peer.write(&[byte]).await;
    }
    assert_eq!(peer.response().await.status, 101);
    for byte in frame(TEXT, b"one at a time") {
        peer.write(&[byte]).await;
    }
    assert_eq!(peer.receive_text().await, "one at a time");
}

#[tokio::test]
async fn a_frame_that_stalls_after_the_handshake_is_dropped_though_bytes_of_it_trickle_in() {
    let limits = Config {
        message_timeout: Some(Duration::from_millis(300)),
        ..Config::server()
    };
    let (address, server) = start(server().route("/", echo).limits(limits)).await;
    let mut bystander = Peer::open(address, "/", &[]).await;

    let mut silent = Peer::open(address, "/", &[]).await;
    silent.write(&frame(TEXT, b"never whole")[..9]).await;
    let mut trickle = Peer::open(address, "/", &[]).await;
    trickle.write(&frame(TEXT, &[b'x'; 60_000])[..8]).await;
    let late = (1008, "message not complete within 300ms".to_owned());
    assert_eq!(
        loop {
            tokio::select! {
                biased;
                close = trickle.receive_close() => break close,
                // Another client's conversation is the clock of the bytes.
                () = async {
                    bystander.send_text("tick").await;
                    assert_eq!(bystander.receive_text().await, "tick");
                } => trickle.try_write(b"x").await,
            }
        },
        late
    );
    assert_eq!(silent.receive_close().await, late);
    drop((silent, trickle));
    eventually(|| server.connections() == 1).await;
}

/// A client that compresses, without a socket.
fn compressing(options: &Deflate) -> Connection {
    let (parameters, _) = options.accept(&options.offer()).unwrap();
    let pool = Arc::new(Pool::default());
    let deflate = (
        Compressor::new(Role::Client, parameters, options, pool.clone()),
        Decompressor::new(Role::Client, parameters, pool),
    );
    let config = Arc::new(Config::client());
    Connection::client(config, Box::new(|| [1, 2, 3, 4]), Some(deflate), Instant::now())
}

#[tokio::test]
async fn bombs_stop_at_the_limit_on_what_they_inflate_to() {
    let options = Deflate {
        client_no_context_takeover: false,
        ..Deflate::default()
    };
    let builder = server().route("/", echo).compression(options.clone());
    let (address, server) = start(builder).await;
    let offer = [("Sec-WebSocket-Extensions", "permessage-deflate")];
    let mut bystander = Peer::open(address, "/", &offer).await;
    let zeros = vec![0; 32 << 20];

    let mut single = Vec::new();
    compressing(&options)
        .send_with(Message::Binary(&zeros), Compress::Always, &mut single)
        .unwrap();
    let mut fragments = Vec::new();
    let mut client = compressing(&options);
    for _ in 0..100 {
        let part = Message::Binary(&zeros[..60_000]);
        client
            .send_fragment(part, false, Compress::Always, &mut fragments)
            .unwrap();
    }
    // What the first message put into the window, the second repeats for a few bytes each time.
    let mut takeover = Vec::new();
    let mut client = compressing(&options);
    let mut noise: u32 = 1;
    let window: Vec<u8> = (0..250)
        .map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        })
        .collect();
    for message in [window.clone(), window.repeat(40_000)] {
        client
            .send_with(Message::Binary(&message), Compress::Always, &mut takeover)
            .unwrap();
    }
    for (bomb, name) in [
        (single, "single"),
        (fragments, "fragments"),
        (takeover, "takeover"),
    ] {
        assert!(
            bomb.len() < 128 * 1024,
            "{name}: {} bytes on the wire",
            bomb.len()
        );
        let mut peer = Peer::open(address, "/", &offer).await;
        peer.try_write(&bomb).await;
        let (code, reason) = peer.receive_close().await;
        assert_eq!(
            (code, reason.as_str()),
            (1009, "message larger than 1048576 bytes"),
            "{name}"
        );
        bystander.send_text("well?").await;
        assert_eq!(bystander.receive_text().await, "well?");
    }
    eventually(|| server.connections() == 1).await;
}

#[tokio::test]
async fn floods_of_control_frames_end_whether_or_not_their_answers_are_read() {
    let limits = Config {
        close_timeout: Duration::from_millis(300),
        ..Config::server()
    };
    let (address, server) = start(server().route("/", echo).limits(limits)).await;
    let mut bystander = Peer::open(address, "/", &[]).await;
    for opcode in [9, 10] {
        let flood = frame(opcode, &[b'x'; 125]).repeat(1001);
        // As many as are allowed are answered, each.
        let mut reading = Peer::open(address, "/", &[]).await;
        reading.try_write(&flood).await;
        let mut answers = 0;
        let (code, reason) = loop {
            match reading.receive().await {
                (8, payload) => {
                    break (
                        u16::from_be_bytes([payload[0], payload[1]]),
                        payload[2..].to_vec(),
                    );
                }
                (10, payload) => {
                    assert_eq!(payload, [b'x'; 125]);
                    answers += 1;
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(code, 1008);
        assert_eq!(reason, b"more than 1000 control frames in a second");
        assert!(answers <= if opcode == 9 { 1000 } else { 0 }, "{answers}");

        let mut deaf = Peer::open(address, "/", &[]).await;
        deaf.try_write(&flood).await;
        drop(reading);
        eventually(|| server.websockets() == 1).await;
        bystander.send_text("well?").await;
        assert_eq!(bystander.receive_text().await, "well?");
    }
    eventually(|| server.connections() == 1).await;
}
