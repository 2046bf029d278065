//! Limits and clocks of connections on workers, each reached.

use std::net::SocketAddr;
use std::time::Duration;

use sockeye::Config;
use sockeye::proto::Keepalive;
use sockeye::server::{ConnectionLimits, HandshakeLimits};
use tokio::net::{TcpSocket, TcpStream};

use super::{echo, teller};
use crate::peer::{PING, PONG, Peer, eventually, handshake, server, start};

fn quick() -> HandshakeLimits {
    HandshakeLimits {
        timeout: Duration::from_millis(300),
        ..HandshakeLimits::default()
    }
}

#[tokio::test]
async fn silence_and_halves_of_requests_end_at_the_deadline() {
    let builder = server().handle("/", echo()).handshake_limits(quick());
    let (address, server) = start(builder).await;
    let mut open = Peer::open(address, "/", &[]).await;
    let mut silent = Peer::connect(address).await;
    let mut half = Peer::connect(address).await;
    half.write(&handshake("/", &[]).as_bytes()[..50]).await;
    assert_eq!(silent.until_end().await, b"");
    assert_eq!(half.until_end().await, b"");
    eventually(|| server.connections() == 1).await;
    open.send_text("still here").await;
    assert_eq!(open.receive_text().await, "still here");
}

#[tokio::test]
async fn a_page_before_the_request_does_not_shorten_the_life_of_the_websocket() {
    let router = axum::Router::new().fallback(|| async { "page" });
    let builder = server()
        .handle("/", echo())
        .fallback(router)
        .handshake_limits(quick());
    let (address, _server) = start(builder).await;
    let mut peer = Peer::connect(address).await;
    peer.write(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(peer.response().await.body, "page");
    assert_eq!(peer.request("/", &[]).await.status, 101);
    let mut silent = Peer::connect(address).await;
    silent.until_end().await;
    peer.send_text("still here").await;
    assert_eq!(peer.receive_text().await, "still here");
}

#[tokio::test]
async fn a_silent_websocket_is_closed_with_1001_where_silence_is_limited() {
    let limits = Config {
        idle_timeout: Some(Duration::from_millis(300)),
        keepalive: None,
        ..Config::server()
    };
    let (handler, mut told) = teller();
    let (address, server) = start(server().handle("/", handler).limits(limits)).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    assert_eq!(peer.receive_close().await.0, 1001);
    peer.finish(1001).await;
    assert_eq!(told.next().await, "open");
    assert!(told.next().await.starts_with("close 1001 "));
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn pings_go_out_by_themselves_and_who_does_not_answer_is_closed() {
    let limits = Config {
        keepalive: Some(Keepalive {
            interval: Duration::from_millis(200),
            timeout: Duration::from_millis(400),
        }),
        ..Config::server()
    };
    let (handler, mut told) = teller();
    let (address, _server) = start(server().handle("/", handler).limits(limits)).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    assert_eq!(told.next().await, "open");
    for _ in 0..3 {
        let (opcode, payload) = peer.receive().await;
        assert_eq!(opcode, PING);
        peer.send(PONG, &payload).await;
        assert_eq!(told.next().await, "pong");
    }
    // It does not answer any more.
    assert_eq!(peer.receive_close().await.0, 1011);
    assert!(told.next().await.starts_with("close 1011 "));
}

#[tokio::test]
async fn a_connection_too_many_is_503_and_the_count_returns() {
    let limits = ConnectionLimits {
        max_connections: Some(3),
        ..ConnectionLimits::default()
    };
    let builder = server().handle("/", echo()).connection_limits(limits);
    let (address, server) = start(builder).await;
    for _ in 0..3 {
        let mut peers = Vec::new();
        for _ in 0..2 {
            peers.push(Peer::open(address, "/", &[]).await);
        }
        // Who has not asked for anything counts too.
        let silent = Peer::connect(address).await;
        eventually(|| server.connections() == 3).await;
        assert_eq!(Peer::connect(address).await.response().await.status, 503);
        assert_eq!((server.connections(), server.websockets()), (3, 2));
        drop((peers, silent));
        eventually(|| server.connections() == 0 && server.websockets() == 0).await;
    }
}

/// Connects from this address of the loopback.
pub(super) async fn from(source: [u8; 4], address: SocketAddr) -> Peer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    let stream: TcpStream = socket.connect(address).await.unwrap();
    Peer::new(stream)
}

#[tokio::test]
async fn an_address_has_its_own_limit() {
    let limits = ConnectionLimits {
        max_per_address: Some(2),
        ..ConnectionLimits::default()
    };
    let builder = server().handle("/", echo()).connection_limits(limits);
    let (address, server) = start(builder).await;
    let mut peers = Vec::new();
    for source in [[127, 0, 0, 1], [127, 0, 0, 2]] {
        for _ in 0..2 {
            let mut peer = from(source, address).await;
            assert_eq!(peer.request("/", &[]).await.status, 101);
            peers.push(peer);
        }
        assert_eq!(from(source, address).await.response().await.status, 503);
    }
    drop(peers);
    eventually(|| server.connections() == 0).await;
    assert_eq!(
        from([127, 0, 0, 2], address).await.request("/", &[]).await.status,
        101
    );
}

#[tokio::test]
async fn a_connection_that_is_turned_down_leaves_the_counts_when_it_ends() {
    let limits = ConnectionLimits {
        max_connections: Some(1),
        ..ConnectionLimits::default()
    };
    let builder = server().handle("/", echo()).connection_limits(limits);
    let (address, server) = start(builder).await;
    for (headers, status) in [
        (&[("Origin", "http://evil.test")][..], 403),
        (&[("Sec-WebSocket-Version", "8")], 400),
    ] {
        for _ in 0..5 {
            assert_eq!(Peer::ask(address, "/", headers).await.status, status);
            eventually(|| server.connections() == 0).await;
        }
    }
    Peer::open(address, "/", &[]).await;
}
