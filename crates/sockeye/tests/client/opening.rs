//! Opening handshakes that succeed, and answers that break RFC 6455 §4.1.

use std::collections::HashSet;

use sockeye::proto::handshake::HeadLimits;
use sockeye::{Client, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::peer::{Terms, URL, accepted, echo, field, handshake, pipe, read_request};

#[tokio::test]
async fn the_request_says_what_the_client_was_told() {
    let (near, mut far) = pipe();
    let client = Client::builder()
        .header("X-Fish", "salmon")
        .origin("https://example.org")
        .subprotocol("v2.chat")
        .subprotocol("v1.chat")
        .build()
        .unwrap();
    let opening = tokio::spawn(async move { client.handshake(near, URL).await });
    let request = read_request(&mut far).await;
    opening.abort();
    assert!(
        request.starts_with("GET /chat?room=1 HTTP/1.1\r\nHost: example.org\r\n"),
        "{request}"
    );
    for (name, want) in [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "v2.chat, v1.chat"),
        ("Origin", "https://example.org"),
        ("X-Fish", "salmon"),
    ] {
        assert_eq!(field(&request, name), Some(want), "{name}");
    }
}

#[tokio::test]
async fn the_host_field_of_an_ipv6_address_has_brackets() {
    let (near, mut far) = pipe();
    let opening = tokio::spawn(async move {
        Client::default()
            .handshake(near, "ws://[2001:db8::1]:3000/")
            .await
    });
    let request = read_request(&mut far).await;
    opening.abort();
    assert_eq!(field(&request, "Host"), Some("[2001:db8::1]:3000"));
}

#[tokio::test]
async fn the_subprotocol_is_the_one_the_server_chose() {
    let (near, far) = pipe();
    let terms = Terms {
        subprotocols: vec!["v2.chat", "v1.chat"],
        ..Terms::default()
    };
    tokio::spawn(echo(far, terms));
    let client = Client::builder().subprotocol("v1.chat").subprotocol("v2.chat");
    let ws = client.build().unwrap().handshake(near, URL).await.unwrap();
    assert_eq!(ws.subprotocol(), Some("v2.chat"));
    assert_eq!(ws.negotiated_extensions(), "");
}

#[tokio::test]
async fn the_response_stays_readable() {
    let ws = handshake(&Client::default(), |request| {
        accepted(request, "Server: Coho\r\n")
    })
    .await
    .unwrap();
    let response = ws.data().get::<http::Response<()>>().unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["server"], "Coho");
}

#[tokio::test]
async fn a_message_in_the_same_packet_as_the_response_is_received() {
    let (near, far) = pipe();
    let terms = Terms {
        greeting: Some("welcome"),
        ..Terms::default()
    };
    tokio::spawn(echo(far, terms));
    let mut ws = Client::default().handshake(near, URL).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("welcome")));
}

#[tokio::test]
async fn a_large_message_behind_the_response_is_received_whole() {
    // Larger than what is read at once: some of it is there when the handshake ends, some comes later.
    let text = "sockeye ".repeat(2000);
    let greeting: &'static str = text.clone().leak();
    let (near, far) = pipe();
    let terms = Terms {
        greeting: Some(greeting),
        ..Terms::default()
    };
    tokio::spawn(echo(far, terms));
    let mut ws = Client::default().handshake(near, URL).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from(text)));
}

#[tokio::test]
async fn a_response_may_come_byte_by_byte() {
    // A pipe of one byte cuts everything into single bytes.
    let (near, mut far) = tokio::io::duplex(1);
    tokio::spawn(async move {
        let request = read_request(&mut far).await;
        let mut answer = accepted(&request, "X-Note: bit by bit\r\n").into_bytes();
        answer.extend(b"\x81\x02hi");
        far.write_all(&answer).await.unwrap();
        let _ = tokio::io::copy(&mut far, &mut tokio::io::sink()).await;
    });
    let mut ws = Client::default().handshake(near, URL).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("hi")));
}

#[tokio::test]
async fn each_frame_is_masked_with_a_key_of_its_own() {
    let (near, mut far) = pipe();
    let opening = tokio::spawn(async move { Client::default().handshake(near, URL).await.unwrap() });
    let request = read_request(&mut far).await;
    far.write_all(accepted(&request, "").as_bytes()).await.unwrap();
    let ws = opening.await.unwrap();
    let mut keys = HashSet::new();
    for _ in 0..8 {
        ws.send("same").await.unwrap();
        let mut frame = [0; 10];
        far.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame[..2], [0x81, 0x80 | 4]);
        keys.insert([frame[2], frame[3], frame[4], frame[5]]);
    }
    // Eight random keys of 32 bits: two equal ones in a run are less likely than one in a hundred million.
    assert_eq!(keys.len(), 8);
}

#[tokio::test]
async fn interim_responses_are_passed_over() {
    let answer = |request: &str| {
        format!(
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{}",
            accepted(request, "")
        )
    };
    assert!(handshake(&Client::default(), answer).await.is_ok());
}

#[tokio::test]
async fn an_answer_that_breaks_the_rules_fails_the_handshake() {
    type Answer = fn(&str) -> String;
    let cases: &[(Answer, &str)] = &[
        (
            |request| accepted(request, "").replace("Accept: ", "Accept: x"),
            "Sec-WebSocket-Accept",
        ),
        (
            |_| "HTTP/1.1 101 A\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".into(),
            "Sec-WebSocket-Accept",
        ),
        (
            |request| accepted(request, "").replace("Upgrade: websocket", "Upgrade: h2c"),
            "Upgrade",
        ),
        (
            |request| accepted(request, "").replace("Connection: Upgrade", "Connection: close"),
            "Connection",
        ),
        (
            |request| accepted(request, "Sec-WebSocket-Protocol: chat\r\n"),
            "subprotocol",
        ),
        (
            |request| accepted(request, "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            "extension",
        ),
        (
            |request| accepted(request, "").replace("HTTP/1.1", "HTTP/1.0"),
            "HTTP/1.1",
        ),
        (|_| "SSH-2.0-OpenSSH_9.2\r\n\r\n".into(), "HTTP"),
        (|_| "HTTP/1.1 101 Fine\n\n".into(), "line"),
        (|_| String::new(), "without an answer"),
        (|_| "HTTP/1.1 101 Switch".into(), "middle of the answer"),
    ];
    for (answer, want) in cases {
        let error = handshake(&Client::default(), answer).await.unwrap_err();
        assert!(error.is_handshake(), "{error:?}");
        assert!(error.refusal().is_none(), "{error:?}");
        assert!(error.to_string().contains(want), "{want}: {error}");
    }
}

#[tokio::test]
async fn a_server_that_chooses_no_subprotocol_is_refused_only_if_asked_to() {
    let client = |required| {
        let builder = Client::builder().subprotocol("chat");
        builder.require_subprotocol(required).build().unwrap()
    };
    let answer = |request: &str| accepted(request, "");
    assert_eq!(
        handshake(&client(false), answer).await.unwrap().subprotocol(),
        None
    );
    let error = handshake(&client(true), answer).await.unwrap_err();
    assert!(error.is_handshake(), "{error:?}");
}

#[tokio::test]
async fn a_response_head_over_the_limit_fails_the_handshake() {
    let long = |request: &str| accepted(request, &format!("X-Long: {}\r\n", "a".repeat(16 * 1024)));
    let many = |request: &str| accepted(request, &"X-Many: a\r\n".repeat(100));
    let error = handshake(&Client::default(), long).await.unwrap_err();
    assert!(error.to_string().contains("larger than the limit"), "{error}");
    let error = handshake(&Client::default(), many).await.unwrap_err();
    assert!(error.to_string().contains("more header fields"), "{error}");

    let roomy = HeadLimits {
        max_bytes: 64 * 1024,
        max_headers: 200,
    };
    let client = Client::builder().response_limits(roomy).build().unwrap();
    assert!(handshake(&client, long).await.is_ok());
    assert!(handshake(&client, many).await.is_ok());
}
