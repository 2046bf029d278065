//! Clients that mean harm, and crowds that mean none.

use std::time::{Duration, Instant};

use sockeye::{HandlerResult, QueueLimits, WebSocket};
use tokio::net::TcpStream;

use crate::peer::{Peer, TEXT, echo, eventually, frame, handshake, server, start};

/// Sends these bytes and shows the status of the answer; `None` when the server just closes.
async fn status(address: std::net::SocketAddr, bytes: &[u8]) -> Option<u16> {
    let mut peer = Peer::connect(address).await;
    peer.try_write(bytes).await;
    peer.end_sending().await;
    let answer = peer.until_end().await;
    let line = answer.split(|&byte| byte == b'\r').next()?;
    std::str::from_utf8(line).ok()?.split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn strange_bytes_in_every_handshake_header_are_4xx() {
    let (address, server) = start(server().route("/", echo)).await;
    let good = handshake(
        "/",
        &[("Sec-WebSocket-Protocol", "a"), ("Origin", "http://example.test")],
    );
    let good = good.replacen("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n", 1);
    assert_eq!(status(address, good.as_bytes()).await, Some(101));
    for name in [
        "Host",
        "Upgrade",
        "Connection",
        "Origin",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
    ] {
        let at = good.find(&format!("\r\n{name}: ")).unwrap() + name.len() + 4;
        for junk in [
            &b"\xff"[..],
            b"\0",
            b"\x7f",
            "\u{e9}".as_bytes(),
            b",,,,\x01",
            b"\r",
        ] {
            let mut bad = good.clone().into_bytes();
            bad.splice(at..at, junk.iter().copied());
            let status = status(address, &bad).await;
            assert!(matches!(status, Some(400..500)), "{name} {junk:?}: {status:?}");
        }
    }
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn malformed_heads_end_the_connection() {
    let (address, server) = start(server().route("/", echo)).await;
    let huge = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(1 << 20));
    for (bytes, expected) in [
        (&b"\0\0\0\0"[..], Some(400)),
        // RFC 9112 §2.2: a lone LF may be taken for the end of a line. The rest is an ordinary GET.
        (b"GET / HTTP/1.1\n\nmore", Some(426)),
        (b"GET /\r\n\r\n", Some(400)),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", Some(400)),
        (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", Some(400)),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", Some(400)),
        (b"GET / HTTP/2.0\r\n\r\n", Some(400)),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Some(400)),
        (b"GET / HTTP/1.1\r\nHost: a", None),
        (b"", None),
        (huge.as_bytes(), Some(431)),
    ] {
        let found = status(address, bytes).await;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        // A reset may overtake the answer when much was left unread.
        let overtaken = bytes.len() > 16_384 && found.is_none();
        assert!(found == expected || overtaken, "{shown:?}: {found:?}");
    }
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn no_second_request_is_smuggled_behind_a_handshake() {
    // The fallback would answer a smuggled request.
    let router = axum::Router::new().fallback(|| async { "SMUGGLED" });
    let (address, _server) = start(server().route("/", echo).fallback(router)).await;
    let smuggled = "GET /secret HTTP/1.1\r\nHost: a\r\n\r\n";
    let good = handshake("/", &[]);
    for (from, to) in [
        ("\r\n\r\n", "\r\nContent-Length: 0\r\nContent-Length: 37\r\n\r\n"),
        (
            "\r\n\r\n",
            "\r\nContent-Length: 37\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        ("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 777"),
        ("Host: example.test", "Host: example.test\r\nHost: other.test"),
    ] {
        let request = good.replacen(from, to, 1) + smuggled;
        let mut peer = Peer::connect(address).await;
        peer.write(request.as_bytes()).await;
        peer.end_sending().await;
        let answer = String::from_utf8_lossy(&peer.until_end().await).into_owned();
        assert!(answer.starts_with("HTTP/1.1 4"), "{to:?}: {answer}");
        assert!(!answer.contains("SMUGGLED"), "{to:?}: {answer}");
    }
    // Behind a handshake that is accepted, bytes are frames and nothing else.
    let mut peer = Peer::connect(address).await;
    peer.write((good + smuggled).as_bytes()).await;
    assert_eq!(peer.response().await.status, 101);
    assert_eq!(peer.receive_close().await.0, 1002);
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_dropped_and_others_do_not_notice() {
    async fn pour(ws: WebSocket) -> HandlerResult {
        loop {
            ws.send(vec![0; 64 * 1024]).await?;
            // What waits is bounded, whatever the peer does.
            assert!(ws.buffered_amount() <= 1024 * 1024 + 64 * 1024 + 10);
        }
    }
    let queues = QueueLimits {
        write_timeout: Duration::from_millis(300),
        ..QueueLimits::default()
    };
    let builder = server().route("/pour", pour).route("/", echo).queues(queues);
    let (address, server) = start(builder).await;
    let mut bystander = Peer::open(address, "/", &[]).await;
    let _deaf = Peer::open(address, "/pour", &[]).await;
    eventually(|| server.websockets() == 2).await;
    bystander.send_text("during").await;
    assert_eq!(bystander.receive_text().await, "during");
    eventually(|| server.connections() == 1).await;
    bystander.send_text("after").await;
    assert_eq!(bystander.receive_text().await, "after");
}

#[tokio::test]
async fn a_crowd_that_leaves_at_once_leaves_nothing_behind() {
    let (address, server) = start(server().route("/", echo)).await;
    for _ in 0..3 {
        let mut crowd = Vec::new();
        for _ in 0..200 {
            crowd.push(Peer::open(address, "/", &[]).await);
        }
        eventually(|| server.websockets() == 200).await;
        // Some in the middle of a frame, some in the middle of a handshake.
        for peer in crowd.iter_mut().step_by(3) {
            peer.write(&frame(TEXT, b"half a frame")[..7]).await;
        }
        for _ in 0..50 {
            let mut half = Peer::connect(address).await;
            half.write(&handshake("/", &[]).as_bytes()[..60]).await;
            crowd.push(half);
        }
        eventually(|| server.connections() == 250).await;
        drop(crowd);
        // Newcomers are let in while the crowd is on its way out.
        let started = Instant::now();
        let late = Peer::open(address, "/", &[]).await;
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );
        drop(late);
        eventually(|| server.connections() == 0 && server.websockets() == 0).await;
    }
}

#[tokio::test]
async fn clients_that_leave_during_the_hook_are_noticed() {
    let (entered, mut entries) = tokio::sync::mpsc::unbounded_channel();
    let route = sockeye::server::Route::new(echo).on_upgrade(move |_| {
        let _ = entered.send(());
        std::future::pending()
    });
    let (address, server) = start(server().route_with("/", route)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, handshake("/", &[]).as_bytes())
        .await
        .unwrap();
    entries.recv().await.unwrap();
    drop(stream);
    let left = Instant::now();
    eventually(|| server.connections() == 0).await;
    assert!(
        left.elapsed() < Duration::from_secs(5),
        "it waited for the deadline of the handshake"
    );
}
