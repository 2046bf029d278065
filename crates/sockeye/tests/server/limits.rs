//! The limits on connections and on handshakes, each reached.

use std::sync::Arc;
use std::time::Duration;

use sockeye::server::{ConnectionLimits, ConnectionRate, HandshakeLimits, TrustedProxies};
use tokio::sync::Notify;

use crate::peer::{Peer, echo, eventually, handshake, server, start};

fn quick() -> HandshakeLimits {
    HandshakeLimits {
        timeout: Duration::from_millis(300),
        ..HandshakeLimits::default()
    }
}

#[tokio::test]
async fn a_silent_client_is_dropped_at_the_deadline() {
    let (address, server) = start(server().route("/", echo).handshake_limits(quick())).await;
    let mut peer = Peer::connect(address).await;
    peer.until_end().await;
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_prolong_the_deadline() {
    let (address, server) = start(server().route("/", echo).handshake_limits(quick())).await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let started = std::time::Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    // The request would take 4 s at this pace.
    for byte in handshake("/", &[]).bytes() {
        ticks.tick().await;
        let byte = [byte];
        if tokio::io::AsyncWriteExt::write_all(&mut stream, &byte)
            .await
            .is_err()
        {
            break;
        }
    }
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn an_open_websocket_outlives_the_handshake_deadline() {
    let (address, _server) = start(server().route("/", echo).handshake_limits(quick())).await;
    let mut early = Peer::open(address, "/", &[]).await;
    let mut silent = Peer::connect(address).await;
    silent.until_end().await;
    early.send_text("still here").await;
    assert_eq!(early.receive_text().await, "still here");
}

#[tokio::test]
async fn a_slow_page_outlives_the_handshake_deadline() {
    let ready = Arc::new(Notify::new());
    let router = axum::Router::new().fallback({
        let ready = Arc::clone(&ready);
        || async move {
            ready.notified().await;
            "slow"
        }
    });
    let builder = server()
        .route("/", echo)
        .fallback(router)
        .handshake_limits(quick());
    let (address, _server) = start(builder).await;
    let mut peer = Peer::connect(address).await;
    peer.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // Whoever came later has reached the deadline before the page is ready.
    Peer::connect(address).await.until_end().await;
    ready.notify_one();
    assert_eq!(peer.response().await.body, "slow");
    // But an idle connection does not wait for its next request for ever.
    peer.until_end().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let limits = HandshakeLimits {
        max_head_size: 2048,
        max_headers: 20,
        ..HandshakeLimits::default()
    };
    let (address, _server) = start(server().route("/", echo).handshake_limits(limits)).await;
    let long = "x".repeat(3000);
    assert_eq!(Peer::ask(address, "/", &[("Cookie", &long)]).await.status, 431);
    assert_eq!(
        Peer::ask(address, "/", &[("Cookie", &long[..1000])]).await.status,
        101
    );
    assert_eq!(Peer::ask(address, "/", &[("X-A", "1"); 16]).await.status, 431);
    assert_eq!(Peer::ask(address, "/", &[("X-A", "1"); 10]).await.status, 101);
}

#[tokio::test]
async fn the_default_limits_on_the_head_hold() {
    let (address, _server) = start(server().route("/", echo)).await;
    let long = "x".repeat(16 * 1024);
    assert_eq!(Peer::ask(address, "/", &[("Cookie", &long)]).await.status, 431);
    assert_eq!(
        Peer::ask(address, "/", &[("Cookie", &long[..15_000])])
            .await
            .status,
        101
    );
    assert_eq!(Peer::ask(address, "/", &[("X-A", "1"); 96]).await.status, 431);
    assert_eq!(Peer::ask(address, "/", &[("X-A", "1"); 94]).await.status, 101);
    let flood: Vec<_> = vec![("X-A", "1"); 1000];
    assert_eq!(Peer::ask(address, "/", &flood).await.status, 431);
}

#[tokio::test]
async fn who_asks_for_nothing_takes_no_more_than_the_half_open_places() {
    let limits = ConnectionLimits {
        max_half_open: Some(2),
        ..ConnectionLimits::default()
    };
    let pages = axum::Router::new().fallback(|| async { "page" });
    let builder = server().route("/", echo).fallback(pages);
    let (address, server) = start(builder.connection_limits(limits)).await;
    let silent = Peer::connect(address).await;
    // Those that have asked for something do not count, whatever it was.
    let websocket = Peer::open(address, "/", &[]).await;
    let mut reader = Peer::connect(address).await;
    reader.write(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(reader.response().await.status, 200);
    let mut half = Peer::connect(address).await;
    half.write(b"GET / HTTP/1.1\r\n").await;
    eventually(|| server.connections() == 4).await;
    let mut refused = Peer::connect(address).await;
    assert_eq!(refused.response().await.status, 503);
    // The places return, by leaving and by asking.
    drop(silent);
    eventually(|| server.connections() == 3).await;
    half.write(b"Host: a\r\n\r\n").await;
    assert_eq!(half.response().await.status, 200);
    let first = Peer::connect(address).await;
    let second = Peer::connect(address).await;
    eventually(|| server.connections() == 5).await;
    let mut refused = Peer::connect(address).await;
    assert_eq!(refused.response().await.status, 503);
    drop((websocket, first, second));
}

#[tokio::test]
async fn connections_over_the_limit_are_503_and_the_count_returns() {
    let limits = ConnectionLimits {
        max_connections: Some(2),
        ..ConnectionLimits::default()
    };
    let (address, server) = start(server().route("/", echo).connection_limits(limits)).await;
    let first = Peer::open(address, "/", &[]).await;
    let second = Peer::open(address, "/", &[]).await;
    assert_eq!((server.connections(), server.websockets()), (2, 2));
    let response = Peer::connect(address).await.response().await;
    assert_eq!(response.status, 503);
    drop((first, second));
    eventually(|| server.connections() == 0 && server.websockets() == 0).await;
    Peer::open(address, "/", &[]).await;
}

#[tokio::test]
async fn connections_of_one_address_are_limited() {
    let limits = ConnectionLimits {
        max_per_address: Some(1),
        ..ConnectionLimits::default()
    };
    let (address, server) = start(server().route("/", echo).connection_limits(limits)).await;
    let first = Peer::open(address, "/", &[]).await;
    assert_eq!(Peer::connect(address).await.response().await.status, 503);
    drop(first);
    eventually(|| server.connections() == 0).await;
    Peer::open(address, "/", &[]).await;
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_counted_by_their_own_address() {
    let limits = ConnectionLimits {
        max_per_address: Some(1),
        ..ConnectionLimits::default()
    };
    let builder = server()
        .route("/", echo)
        .connection_limits(limits)
        .trusted_proxies(TrustedProxies::list(["127.0.0.1"]).unwrap());
    let (address, server) = start(builder).await;
    let anna = [("X-Forwarded-For", "192.0.2.1")];
    let bert = [("X-Forwarded-For", "192.0.2.2")];
    let first = Peer::open(address, "/", &anna).await;
    let _second = Peer::open(address, "/", &bert).await;
    assert_eq!(Peer::ask(address, "/", &anna).await.status, 503);
    drop(first);
    eventually(|| server.connections() == 1).await;
    Peer::open(address, "/", &anna).await;
}

#[tokio::test]
async fn connections_that_come_too_fast_are_503() {
    let rate = ConnectionRate {
        per_second: 1,
        burst: 2,
    };
    let limits = ConnectionLimits {
        rate: Some(rate),
        ..ConnectionLimits::default()
    };
    let (address, _server) = start(server().route("/", echo).connection_limits(limits)).await;
    let _first = Peer::open(address, "/", &[]).await;
    let _second = Peer::open(address, "/", &[]).await;
    assert_eq!(Peer::connect(address).await.response().await.status, 503);
}

#[tokio::test]
async fn values_that_cannot_work_are_errors_of_build() {
    let base = || server().bind("127.0.0.1:0");
    let message = |builder: sockeye::server::ServerBuilder| {
        let error = builder.build().unwrap_err();
        assert!(error.is_config());
        error.to_string()
    };
    let zero = sockeye::Config {
        max_message_size: 0,
        ..sockeye::Config::server()
    };
    assert!(message(server()).contains("listen"));
    assert!(message(base().route("chat", echo)).contains("`chat`"));
    assert!(message(base().route("/a/{x}", echo).route("/a/{y}", echo)).contains("/a/{x}"));
    assert!(message(base().route("/a", echo).route("/a", echo)).contains("`/a`"));
    assert!(message(base().route("/a", echo).limits(zero)).contains("max_message_size"));
    let route = sockeye::server::Route::new(echo).subprotocols(["two words"]);
    assert!(message(base().route_with("/a", route)).contains("two words"));
    let limits = ConnectionLimits {
        max_connections: Some(0),
        ..ConnectionLimits::default()
    };
    assert!(message(base().connection_limits(limits)).contains("max_connections"));
    let limits = HandshakeLimits {
        timeout: Duration::ZERO,
        ..HandshakeLimits::default()
    };
    assert!(message(base().handshake_limits(limits)).contains("timeout"));
}
