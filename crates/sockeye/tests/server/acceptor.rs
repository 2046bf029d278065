//! Handshakes on streams that the program accepted itself.

use std::time::Duration;

use sockeye::hub::{HubConfig, Publisher, SubscribeError};
use sockeye::proto::Message;
use sockeye::proto::deflate::Deflate;
use sockeye::server::{Accept, Acceptor, HandshakeLimits, Rejection, accept};
use sockeye::{Config, OriginPolicy};
use tokio::io::{DuplexStream, duplex};

use crate::peer::{Peer, frame, handshake, soon};

fn pipe() -> (Peer<DuplexStream>, DuplexStream) {
    let (client, server) = duplex(64 * 1024);
    (Peer::new(client), server)
}

#[tokio::test]
async fn any_stream_can_carry_a_websocket() {
    let (mut peer, stream) = pipe();
    // A frame comes right behind the request.
    let mut bytes = handshake("/", &[]).into_bytes();
    bytes.extend(frame(1, b"early"));
    peer.write(&bytes).await;
    let mut ws = accept(stream).await.unwrap();
    assert_eq!(peer.response().await.status, 101);
    assert_eq!(ws.recv().await.unwrap(), Some("early".into()));
    ws.send("hello").await.unwrap();
    assert_eq!(peer.receive_text().await, "hello");
    peer.send_close(1000).await;
    assert_eq!(ws.recv().await.unwrap(), None);
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let (mut peer, stream) = pipe();
    let accepting = tokio::spawn(accept(stream));
    for byte in handshake("/", &[]).bytes() {
        peer.write(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(peer.response().await.status, 101);
    soon(accepting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_hook_sees_the_request_and_chooses() {
    let acceptor = Acceptor::new()
        .subprotocols(["chat.v1"])
        .compression(Deflate::default());
    let (mut peer, stream) = pipe();
    let headers = [
        ("Sec-WebSocket-Protocol", "chat.v2, chat.v1"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("X-Token", "salmon"),
    ];
    peer.write(handshake("/river?at=3", &headers).as_bytes()).await;
    let ws = acceptor
        .accept_with(stream, |request| async move {
            assert_eq!(request.uri(), "/river?at=3");
            assert_eq!(request.headers()["x-token"], "salmon");
            Ok(Accept::new().header("x-answer", "42").data(7_u8))
        })
        .await
        .unwrap();
    assert_eq!(ws.subprotocol(), Some("chat.v1"));
    assert!(ws.negotiated_extensions().starts_with("permessage-deflate"));
    assert_eq!(ws.data().get(), Some(&7_u8));
    let response = peer.response().await;
    assert_eq!(response.header("x-answer"), Some("42"));
    assert_eq!(response.header("sec-websocket-protocol"), Some("chat.v1"));
}

#[tokio::test]
async fn who_is_turned_down_is_told_and_so_is_the_caller() {
    let request = handshake("/", &[("Origin", "https://elsewhere.test")]);
    let deny = || Rejection::forbidden("not today");
    for (acceptor, request, denied, status) in [
        (Acceptor::new(), request.clone(), false, 403),
        (Acceptor::new().origins(OriginPolicy::any()), request, true, 403),
        (
            Acceptor::new(),
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            false,
            426,
        ),
        (Acceptor::new(), "nonsense\r\n\r\n".to_owned(), false, 400),
        (
            Acceptor::new(),
            handshake("/", &[("X-Long", &"x".repeat(17_000))]),
            false,
            431,
        ),
    ] {
        let (mut peer, stream) = pipe();
        peer.write(request.as_bytes()).await;
        let error = acceptor
            .accept_with(stream, |_| async move {
                if denied { Err(deny()) } else { Ok(Accept::new()) }
            })
            .await
            .unwrap_err();
        assert!(error.is_handshake(), "{error}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert_eq!(peer.response().await.status, status);
        peer.until_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_ask_in_time_is_given_up() {
    let (_peer, stream) = pipe();
    let limits = HandshakeLimits {
        timeout: Duration::from_secs(3),
        ..HandshakeLimits::default()
    };
    let started = tokio::time::Instant::now();
    let error = Acceptor::new()
        .handshake_limits(limits)
        .accept(stream)
        .await
        .unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(error.phase(), Some(sockeye::ConnectPhase::Handshake));
    assert_eq!(started.elapsed(), Duration::from_secs(3));
}

#[tokio::test]
async fn who_leaves_before_asking_is_an_error() {
    let (peer, stream) = pipe();
    drop(peer);
    let error = accept(stream).await.unwrap_err();
    assert!(error.is_handshake(), "{error}");
}

#[tokio::test]
async fn mistakes_of_the_terms_are_errors() {
    let none = Config {
        max_message_size: 0,
        ..Config::server()
    };
    let (_peer, stream) = pipe();
    let error = Acceptor::new()
        .limits(none.clone())
        .accept(stream)
        .await
        .unwrap_err();
    assert!(error.is_config(), "{error}");

    let (mut peer, stream) = pipe();
    peer.write(handshake("/", &[]).as_bytes()).await;
    let error = Acceptor::new()
        .accept_with(stream, |_| async move { Ok(Accept::new().limits(none)) })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("500"), "{error}");
    assert_eq!(peer.response().await.status, 500);
}

#[tokio::test]
async fn a_handshake_that_was_done_elsewhere_is_gone_on_from() {
    let (mut peer, stream) = pipe();
    let whole = frame(1, b"half before, half after");
    let (before, after) = whole.split_at(9);
    let mut ws = Acceptor::new().resume(stream, before).unwrap();
    peer.write(after).await;
    assert_eq!(ws.recv().await.unwrap(), Some("half before, half after".into()));
    ws.send("hello").await.unwrap();
    assert_eq!(peer.receive_text().await, "hello");
}

#[tokio::test]
async fn websockets_of_an_acceptor_have_the_topics_they_are_given() {
    let publisher = Publisher::new(HubConfig::default()).unwrap();
    let mut changes = publisher.changes();
    let acceptor = Acceptor::new().topics(&publisher);
    let (mut peer, stream) = pipe();
    peer.write(handshake("/", &[]).as_bytes()).await;
    let accepted = acceptor.accept(stream).await.unwrap();
    assert_eq!(peer.response().await.status, 101);
    let (mut other, stream) = pipe();
    let mut resumed = acceptor.resume(stream, []).unwrap();
    assert_eq!(accepted.subscribe("t"), Ok(true));
    assert_eq!(resumed.subscribe("t"), Ok(true));

    publisher.publish("t", Message::Text("for all")).unwrap();
    accepted.publish("t", "for the other").unwrap();
    assert_eq!(peer.receive_text().await, "for all");
    assert_eq!(other.receive_text().await, "for all");
    assert_eq!(other.receive_text().await, "for the other");

    assert!(accepted.unsubscribe("t"));
    // It leaves with its connection.
    drop(other);
    assert!(resumed.recv().await.is_err());
    drop(resumed);
    for (old, new) in [(0, 1), (1, 2), (2, 1), (1, 0)] {
        let change = changes.next().await.unwrap().unwrap();
        assert_eq!((change.topic.as_str(), change.old, change.new), ("t", old, new));
    }
    let without = Acceptor::new().resume(pipe().1, []).unwrap();
    assert_eq!(without.subscribe("t"), Err(SubscribeError::NoServer));
}
