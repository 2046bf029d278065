//! Messages written and read piece by piece, and connections used as streams of bytes.

use std::io::ErrorKind;

use super::*;
use crate::message::Frame;

/// A server that delivers chunks, and a client.
fn chunks() -> (WebSocket, WebSocket) {
    let (a, b) = duplex(64 * 1024);
    let config = Config {
        delivery: Delivery::Chunks,
        max_message_size: u64::MAX,
        ..Config::server()
    };
    (spawn(server(config), a), spawn(client(Config::client()), b))
}

/// A server that delivers frames, and a client.
fn frames() -> (WebSocket, WebSocket) {
    let (a, b) = duplex(64 * 1024);
    let config = Config {
        delivery: Delivery::Frames,
        max_message_size: u64::MAX,
        ..Config::server()
    };
    (spawn(server(config), a), spawn(client(Config::client()), b))
}

#[tokio::test(start_paused = true)]
async fn what_is_written_to_a_message_is_read_from_it() {
    let (mut server, client) = chunks();
    let payload: Vec<u8> = (0..1_000_000u32).map(|i| (i / 7) as u8).collect();
    let sending = tokio::spawn({
        let payload = payload.clone();
        async move {
            for kind in [MessageKind::Binary, MessageKind::Text] {
                let mut message = client.message_writer(kind).await.unwrap();
                assert_eq!(message.kind(), kind);
                match kind {
                    MessageKind::Binary => message.write_all(&payload).await.unwrap(),
                    MessageKind::Text => message.write_all("é".repeat(100_000).as_bytes()).await.unwrap(),
                }
                message.shutdown().await.unwrap();
            }
            client
        }
    });
    let mut message = server.recv_reader().await.unwrap().unwrap();
    assert_eq!(message.kind(), MessageKind::Binary);
    let mut read = Vec::new();
    message.read_to_end(&mut read).await.unwrap();
    assert!(read == payload);
    let mut message = server.recv_reader().await.unwrap().unwrap();
    assert_eq!(message.kind(), MessageKind::Text);
    let mut read = String::new();
    message.read_to_string(&mut read).await.unwrap();
    assert!(read == "é".repeat(100_000));
    drop(sending.await.unwrap());
    assert!(server.recv_reader().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_message_that_is_not_read_is_skipped() {
    let (mut server, client) = chunks();
    let sending = tokio::spawn(async move {
        client.send(vec![1; 500_000]).await.unwrap();
        client.send("next").await.unwrap();
        client
    });
    let mut start = [0; 10];
    let mut message = server.recv_reader().await.unwrap().unwrap();
    message.read_exact(&mut start).await.unwrap();
    let mut next = String::new();
    let mut message = server.recv_reader().await.unwrap().unwrap();
    message.read_to_string(&mut next).await.unwrap();
    assert_eq!(next, "next");
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_peer_does_not_finish_is_an_error() {
    for closes in [true, false] {
        let (mut server, client) = chunks();
        client.sender().send_fragment("half", false).await.unwrap();
        let mut message = server.recv_reader().await.unwrap().unwrap();
        if closes {
            drop(client);
        } else {
            client.sender().flush().await.unwrap();
            client.sender().abort();
        }
        let error = message.read_to_end(&mut Vec::new()).await.unwrap_err();
        let expected = if closes {
            ErrorKind::UnexpectedEof
        } else {
            ErrorKind::ConnectionReset
        };
        assert_eq!(error.kind(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_room_in_a_fragment_is_written_once() {
    let (a, b) = duplex(1024);
    let mut server = spawn(server(Config::server()), a);
    let mut opening = client(Config::client());
    opening.limits.send = 1;
    let client = spawn(opening, b);
    let payload: Vec<u8> = (0..300_000u32).map(|i| (i / 7) as u8).collect();
    let sending = tokio::spawn({
        let payload = payload.clone();
        async move {
            let mut message = client.message_writer(MessageKind::Binary).await.unwrap();
            // No piece ends where a fragment does.
            for piece in payload.chunks(7001) {
                message.write_all(piece).await.unwrap();
            }
            message.shutdown().await.unwrap();
            client
        }
    });
    let received = server.recv().await.unwrap().unwrap();
    assert!(received.into_bytes() == payload);
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn writes_are_gathered_into_fragments_and_a_flush_sends_what_there_is() {
    let (mut server, client) = frames();
    let mut message = client.message_writer(MessageKind::Binary).await.unwrap();
    let mut sizes = Vec::new();
    for _ in 0..100 {
        message.write_all(&[1; 1000]).await.unwrap();
    }
    message.flush().await.unwrap();
    message.write_all(&[1; 200_000]).await.unwrap();
    message.shutdown().await.unwrap();
    loop {
        let frame = server.recv_frame().await.unwrap().unwrap();
        sizes.push(frame.payload.len());
        if frame.fin {
            break;
        }
    }
    assert_eq!(
        sizes,
        [65536, 100_000 - 65536, 65536, 65536, 65536, 200_000 - 3 * 65536]
    );
    // Once more does nothing; nothing can follow.
    message.shutdown().await.unwrap();
    let error = message.write_all(b"more").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn an_empty_message_can_be_written() {
    let (mut server, client) = frames();
    let mut message = client.message_writer(MessageKind::Text).await.unwrap();
    message.shutdown().await.unwrap();
    assert_eq!(server.recv_frame().await.unwrap(), Some(Frame::text("")));
}

#[tokio::test(start_paused = true)]
async fn others_wait_while_a_message_is_written_and_pings_do_not() {
    let (mut server, client) = chunks();
    let mut message = client.message_writer(MessageKind::Text).await.unwrap();
    message.write_all(b"one").await.unwrap();
    message.flush().await.unwrap();
    let sender = client.sender();
    assert!(!sender.try_send("late").unwrap());
    let waiting = tokio::spawn(async move { sender.send("late").await });
    let sender = client.sender();
    let writing = tokio::spawn(async move { sender.message_writer(MessageKind::Text).await.map(drop) });
    client.ping(b"").await.unwrap();
    assert!(!waiting.is_finished() && !writing.is_finished());
    message.shutdown().await.unwrap();
    waiting.await.unwrap().unwrap();
    writing.await.unwrap().unwrap();
    for expected in ["one", "late"] {
        let mut text = String::new();
        let mut message = server.recv_reader().await.unwrap().unwrap();
        message.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_dropped_before_anything_was_sent_leaves_no_trace() {
    let (mut server, client) = chunks();
    let mut message = client.message_writer(MessageKind::Text).await.unwrap();
    message.write_all(b"never").await.unwrap();
    drop(message);
    client.send("next").await.unwrap();
    assert_eq!(server.recv_chunk().await.unwrap().unwrap().payload, "next");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_abandoned_closes_the_connection_with_1011() {
    let (mut server, client) = chunks();
    let mut message = client.message_writer(MessageKind::Text).await.unwrap();
    message.write_all(b"half").await.unwrap();
    message.flush().await.unwrap();
    let sender = client.sender();
    let waiting = tokio::spawn(async move { sender.send("late").await });
    drop(message);
    let chunk = server.recv_chunk().await.unwrap().unwrap();
    assert!(!chunk.ends_message);
    assert_eq!(server.recv_chunk().await.unwrap(), None);
    assert_eq!(server.close_info().unwrap().code, 1011);
    assert!(waiting.await.unwrap().unwrap_err().is_closed());
}

#[tokio::test(start_paused = true)]
async fn text_that_is_not_utf8_is_refused_by_the_writer() {
    let (_server, client) = chunks();
    let mut message = client.message_writer(MessageKind::Text).await.unwrap();
    message.write_all(&[0xC3, 0x28]).await.unwrap();
    let error = message.shutdown().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_for_fragments_of_others_to_end() {
    let (_server, client) = chunks();
    client.sender().send_fragment("one", false).await.unwrap();
    assert!(client.message_writer(MessageKind::Text).await.is_err());
    client.sender().send_fragment("two", true).await.unwrap();
    client.message_writer(MessageKind::Text).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_byte_streams_are_a_pipe() {
    let (server, client) = pair();
    let (mut server, mut client) = (server.into_byte_stream(), client.into_byte_stream());
    let payload: Vec<u8> = (0..1_000_000u32).map(|i| (i / 3) as u8).collect();
    let echo = tokio::spawn(async move {
        let (mut reading, mut writing) = tokio::io::split(&mut server);
        let copied = tokio::io::copy(&mut reading, &mut writing).await.unwrap();
        server.shutdown().await.unwrap();
        copied
    });
    let (mut reading, mut writing) = tokio::io::split(&mut client);
    let (sent, read) = (payload.clone(), async {
        let mut read = vec![0; payload.len()];
        reading.read_exact(&mut read).await.unwrap();
        read
    });
    let ((), read) = tokio::join!(async { writing.write_all(&sent).await.unwrap() }, read);
    assert!(read == payload);
    client.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(echo.await.unwrap(), 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_byte_stream_reads_whatever_is_delivered() {
    for delivery in [Delivery::Messages, Delivery::Chunks, Delivery::Frames] {
        let (a, b) = duplex(1024);
        let config = Config {
            delivery,
            ..Config::server()
        };
        let mut server = spawn(server(config), a).into_byte_stream();
        let client = spawn(client(Config::client()), b);
        client.send("text and ").await.unwrap();
        client.sender().start_ping(b"ping").await.unwrap();
        client.send("").await.unwrap();
        client.send(b"bytes").await.unwrap();
        drop(client);
        let mut read = String::new();
        server.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, "text and bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_stream_that_was_cut_off_does_not_just_end() {
    for (code, whole) in [(1000, true), (1001, true), (1011, false), (4000, false)] {
        let (server, client) = pair();
        let mut server = server.into_byte_stream();
        client
            .sender()
            .start_close(CloseCode::new(code).unwrap(), "")
            .unwrap();
        let end = server.read(&mut [0]).await;
        assert_eq!(end.is_ok(), whole, "{code}");
    }
    let (server, client) = pair();
    client.sender().abort();
    let error = server.into_byte_stream().read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn long_messages_are_sent_in_frames_of_the_threshold() {
    let (a, b) = duplex(64 * 1024);
    let config = Config {
        delivery: Delivery::Frames,
        ..Config::server()
    };
    let mut server = spawn(server(config), a);
    let client = spawn(
        client(Config {
            fragmentation_threshold: std::num::NonZeroUsize::new(4),
            ..Config::client()
        }),
        b,
    );
    client.send("salm").await.unwrap();
    client.send("sockeye").await.unwrap();
    let expected = [
        Frame::text("salm"),
        Frame::text("sock").not_last(),
        Frame::continuation("eye"),
    ];
    for frame in expected {
        assert_eq!(server.recv_frame().await.unwrap(), Some(frame));
    }
}

#[tokio::test(start_paused = true)]
async fn abort_with_sends_a_close_frame_and_waits_for_no_answer() {
    let (a, mut b) = duplex(64 * 1024);
    let mut ws = spawn(server(Config::server()), a);
    ws.send("last").await.unwrap();
    let started = tokio::time::Instant::now();
    ws.sender()
        .abort_with(CloseCode::POLICY_VIOLATION, "enough")
        .unwrap();
    assert!(ws.recv().await.is_err());
    assert!(ws.send("late").await.unwrap_err().is_closed());
    let mut seen = Vec::new();
    b.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, *b"\x81\x04last\x88\x08\x03\xf0enough");
    assert!(ws.sender().closed().await.is_err());
    assert_eq!(started.elapsed(), Duration::ZERO);
}
