//! Clients behind a load balancer that speaks the PROXY protocol.

use std::time::Duration;

use sockeye::server::{
    ConnectionLimits, HandshakeLimits, HandshakeOutcome, ProxyProtocol, ServerBuilder, ServerEvent,
    TrustedProxies, UpgradeRequest,
};
use sockeye::{HandlerResult, WebSocket};

use crate::peer::{Peer, echo, eventually, handshake, server, start};

const V1: &str = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";

/// The same ends in version 2, with the word that the client speaks TLS with the proxy.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x14\
\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb\
\x20\x00\x05\x01\x00\x00\x00\x00";

fn loopback() -> TrustedProxies {
    TrustedProxies::list(["127.0.0.1"]).unwrap()
}

async fn tell(ws: WebSocket, request: UpgradeRequest) -> HandlerResult {
    let connection = request.connection();
    let by = connection
        .proxied
        .as_ref()
        .map(|proxied| proxied.by.ip().unwrap());
    let told = format!(
        "{} {} {} {:?}",
        connection.peer,
        connection.local,
        request.is_secure(),
        by.map(|ip| ip.to_string()),
    );
    ws.send(told).await?;
    Ok(())
}

fn proxied(protocol: ProxyProtocol) -> ServerBuilder {
    server()
        .route("/", echo)
        .route("/tell", tell)
        .proxy_protocol(protocol)
}

/// What the server tells of a connection that begins with these bytes.
async fn told(builder: ServerBuilder, first: &[u8]) -> String {
    let (address, _server) = start(builder).await;
    let mut peer = Peer::connect(address).await;
    let bytes = [first, handshake("/tell", &[]).as_bytes()].concat();
    peer.write(&bytes).await;
    assert_eq!(peer.response().await.status, 101);
    peer.receive_text().await
}

#[tokio::test]
async fn the_header_says_whose_the_connection_is() {
    for protocol in [
        ProxyProtocol::required(loopback()),
        ProxyProtocol::optional(loopback()),
    ] {
        assert_eq!(
            told(proxied(protocol.clone()), V1.as_bytes()).await,
            r#"192.0.2.1:56324 198.51.100.2:443 false Some("127.0.0.1")"#
        );
        assert_eq!(
            told(proxied(protocol), V2).await,
            r#"192.0.2.1:56324 198.51.100.2:443 true Some("127.0.0.1")"#
        );
    }
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    let (address, _server) = start(proxied(ProxyProtocol::required(loopback()))).await;
    let mut peer = Peer::connect(address).await;
    for byte in V2 {
        peer.write(&[*byte]).await;
    }
    assert_eq!(peer.request("/tell", &[]).await.status, 101);
    assert!(peer.receive_text().await.starts_with("192.0.2.1:56324 "));
}

#[tokio::test]
async fn a_proxy_that_speaks_for_itself_is_the_peer() {
    let told = told(proxied(ProxyProtocol::required(loopback())), b"PROXY UNKNOWN\r\n").await;
    assert!(
        told.starts_with("127.0.0.1:") && told.ends_with("false None"),
        "{told}"
    );
}

#[tokio::test]
async fn without_a_header_an_optional_one_is_not_missed() {
    let (address, _server) = start(proxied(ProxyProtocol::optional(loopback()))).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    peer.send_text("plain").await;
    assert_eq!(peer.receive_text().await, "plain");
    peer.finish(1000).await;
}

#[tokio::test]
async fn a_missing_or_broken_header_closes_the_connection() {
    for bytes in [
        handshake("/", &[]).into_bytes(),
        b"PROXY nonsense\r\n".to_vec(),
        vec![b'P'; 200],
        b"PROXY UNKNOWN ".iter().copied().chain([b'x'; 200]).collect(),
        [&V2[..12], &b"\x21\x11\xff\xff"[..]].concat(),
    ] {
        let (outcomes, seen) = std::sync::mpsc::channel();
        let builder = proxied(ProxyProtocol::required(loopback())).on_event(move |event| {
            if let ServerEvent::Handshake { outcome, .. } = event {
                outcomes.send(outcome).unwrap();
            }
        });
        let (address, server) = start(builder).await;
        let mut peer = Peer::connect(address).await;
        peer.write(&bytes).await;
        assert_eq!(peer.until_end().await, b"");
        eventually(|| server.connections() == 0).await;
        assert_eq!(seen.recv().unwrap(), HandshakeOutcome::Invalid);
    }
}

#[tokio::test]
async fn the_header_of_a_stranger_is_a_bad_request() {
    let strangers = TrustedProxies::list(["10.0.0.0/8"]).unwrap();
    let (address, _server) = start(proxied(ProxyProtocol::required(strangers))).await;
    let mut peer = Peer::connect(address).await;
    peer.write(format!("{V1}{}", handshake("/", &[])).as_bytes())
        .await;
    assert_eq!(peer.response().await.status, 400);
    Peer::open(address, "/", &[]).await.finish(1000).await;
}

#[tokio::test]
async fn a_header_must_come_before_the_deadline() {
    let limits = HandshakeLimits {
        timeout: Duration::from_millis(200),
        ..HandshakeLimits::default()
    };
    let builder = proxied(ProxyProtocol::required(loopback())).handshake_limits(limits);
    let (address, server) = start(builder).await;
    let mut peer = Peer::connect(address).await;
    peer.write(&V2[..20]).await;
    peer.until_end().await;
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn connections_are_counted_by_the_clients_address() {
    let limits = ConnectionLimits {
        max_per_address: Some(1),
        ..ConnectionLimits::default()
    };
    let builder = proxied(ProxyProtocol::required(loopback())).connection_limits(limits);
    let (address, _server) = start(builder).await;
    let mut peers = Vec::new();
    for (client, expected) in [("192.0.2.1", 101), ("192.0.2.2", 101), ("192.0.2.1", 503)] {
        let mut peer = Peer::connect(address).await;
        let header = format!("PROXY TCP4 {client} 198.51.100.2 1 443\r\n");
        peer.write(format!("{header}{}", handshake("/", &[])).as_bytes())
            .await;
        assert_eq!(peer.response().await.status, expected, "{client}");
        peers.push(peer);
    }
}
