//! Connections whose application looks at frames.

use bytes::Bytes;
use sockeye_proto::Opcode;

use super::*;
use crate::message::Frame;

/// A server that delivers frames, and a client that sends them.
fn frames(config: Config) -> (WebSocket, WebSocket) {
    let (a, b) = duplex(64 * 1024);
    let config = Config {
        delivery: Delivery::Frames,
        ..config
    };
    (spawn(server(config), a), spawn(client(Config::client()), b))
}

#[tokio::test(start_paused = true)]
async fn frames_arrive_as_they_were_sent() {
    let (mut server, client) = frames(Config::server());
    let sent = [
        Frame::text("sock").not_last(),
        Frame::ping(&b"in between"[..]),
        Frame::continuation(&[0xC3][..]).not_last(),
        Frame::continuation(&[0xA9][..]),
        Frame::binary(vec![7; 40_000]),
        Frame::pong(Bytes::new()),
        Frame::close(CloseCode::GOING_AWAY, "bye"),
    ];
    for frame in &sent {
        client.send_frame(frame.clone()).await.unwrap();
    }
    for frame in sent {
        assert_eq!(server.recv_frame().await.unwrap(), Some(frame));
    }
    assert_eq!(server.recv_frame().await.unwrap(), None);
    assert_eq!(server.close_info().unwrap().code, 1001);
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_beside_being_shown_unless_that_is_off() {
    for auto_pong in [true, false] {
        let (mut server, client) = frames(Config {
            auto_pong,
            ..Config::server()
        });
        let ping = tokio::spawn(async move { client.ping(b"1").await });
        assert_eq!(server.recv_frame().await.unwrap(), Some(Frame::ping(&b"1"[..])));
        if !auto_pong {
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(!ping.is_finished());
            server.sender().pong(b"1").await.unwrap();
        }
        ping.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn frames_that_break_the_protocol_are_not_sent() {
    let (mut server, client) = frames(Config::server());
    let refused = [
        Frame::continuation("orphan"),
        Frame::ping(&b"x"[..]).not_last(),
        Frame::pong(vec![0; 126]),
        Frame {
            opcode: Opcode::Close,
            fin: true,
            payload: Bytes::from_static(&[3]),
        },
        Frame {
            opcode: Opcode::Close,
            fin: true,
            payload: Bytes::from_static(&[0x03, 0xEE]),
        },
        Frame {
            opcode: Opcode::Text,
            fin: true,
            payload: Bytes::from_static(&[0xC3]),
        },
    ];
    for frame in refused {
        assert!(client.send_frame(frame.clone()).await.is_err(), "{frame:?}");
    }
    client.send_frame(Frame::text("a").not_last()).await.unwrap();
    for frame in [Frame::text("b"), Frame::continuation(&[0xFF][..])] {
        assert!(client.send_frame(frame.clone()).await.is_err(), "{frame:?}");
    }
    // Other messages are refused until the last frame.
    assert!(client.send("c").await.is_err());
    client.send_frame(Frame::continuation("d")).await.unwrap();
    client.send("e").await.unwrap();
    let expected = [
        Frame::text("a").not_last(),
        Frame::continuation("d"),
        Frame::text("e"),
    ];
    for frame in expected {
        assert_eq!(server.recv_frame().await.unwrap(), Some(frame));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_does_not_deliver_cannot_be_received_and_is_not_lost() {
    for delivery in [Delivery::Messages, Delivery::Chunks, Delivery::Frames] {
        let (a, b) = duplex(1024);
        let config = Config {
            delivery,
            ..Config::server()
        };
        let mut server = spawn(server(config), a);
        let client = spawn(client(Config::client()), b);
        client.send("hello").await.unwrap();
        if delivery != Delivery::Messages {
            let error = server.recv().await.unwrap_err();
            assert!(error.to_string().contains("receive with"), "{error}");
        }
        if delivery != Delivery::Frames {
            assert!(server.recv_frame().await.is_err());
        }
        if delivery != Delivery::Chunks {
            assert!(server.recv_reader().await.is_err());
        }
        let payload = match delivery {
            Delivery::Messages => server.recv().await.unwrap().unwrap().into_bytes(),
            Delivery::Chunks => server.recv_chunk().await.unwrap().unwrap().payload,
            Delivery::Frames => server.recv_frame().await.unwrap().unwrap().payload,
        };
        assert_eq!(payload, "hello");
    }
}

#[tokio::test(start_paused = true)]
async fn frames_that_nobody_takes_stop_the_reading() {
    let (a, mut b) = duplex(1024);
    let config = Config {
        delivery: Delivery::Frames,
        ..Config::server()
    };
    let _ws = spawn(server(config), a);
    let flood = async {
        loop {
            b.write_all(&[0x8A, 0x80, 0, 0, 0, 0]).await.unwrap();
        }
    };
    let stopped = tokio::time::timeout(Duration::from_millis(100), flood).await;
    assert!(stopped.is_err());
}
