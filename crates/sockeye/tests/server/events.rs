//! What a server tells of itself.

use std::net::SocketAddr;
use std::time::Duration;

use sockeye::server::{HandshakeLimits, Rejection, Route, ServerBuilder, ServerEvent, ServerHandle};
use sockeye::{CloseCode, WebSocket};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::peer::{Peer, echo, eventually, handshake, server, soon, start};

/// What was told, each event in a line.
struct Told(UnboundedReceiver<String>);

impl Told {
    fn observe(builder: ServerBuilder) -> (ServerBuilder, Self) {
        let (tell, told) = unbounded_channel();
        let builder = builder.on_event(move |event| {
            let line = match event {
                ServerEvent::Listening { .. } => "listening".to_owned(),
                ServerEvent::Handshake {
                    request,
                    outcome,
                    rejection,
                    ..
                } => {
                    let path = request.map(|request| request.path());
                    let status = rejection.map(|rejection| rejection.status().as_u16());
                    format!("handshake {} {path:?} {status:?}", outcome.label())
                }
                ServerEvent::Opened { client, request, .. } => {
                    // It can be talked to at once.
                    assert!(client.sender().try_send("welcome").unwrap());
                    format!("opened {:?} {}", client.route(), request.path())
                }
                ServerEvent::Closed {
                    code, info, failure, ..
                } => format!("closed {code} {:?} {}", info.reason, failure.is_some()),
                _ => "something new".to_owned(),
            };
            tell.send(line).unwrap();
        });
        (builder, Self(told))
    }

    async fn next(&mut self) -> String {
        soon(self.0.recv()).await.unwrap()
    }
}

async fn observed(builder: ServerBuilder) -> (SocketAddr, ServerHandle, Told) {
    let (builder, mut told) = Told::observe(builder);
    let (address, server) = start(builder).await;
    assert_eq!(told.next().await, "listening");
    (address, server, told)
}

#[tokio::test]
async fn a_connection_is_told_of_from_its_handshake_to_its_close() {
    let (address, _server, mut told) = observed(server().route("/{room}", echo)).await;
    let mut peer = Peer::open(address, "/a", &[]).await;
    assert_eq!(told.next().await, "handshake accepted Some(\"/a\") None");
    assert_eq!(told.next().await, "opened Some(\"/{room}\") /a");
    assert_eq!(peer.receive_text().await, "welcome");
    peer.send(crate::peer::CLOSE, b"\x0f\xa0bye").await;
    peer.until_end().await;
    assert_eq!(told.next().await, "closed 4000 \"bye\" false");
}

#[tokio::test]
async fn a_failure_is_told_with_its_cause() {
    let (address, _server, mut told) = observed(server().route("/", echo)).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    told.next().await;
    told.next().await;
    // A frame without a mask.
    peer.write(b"\x81\x01a").await;
    peer.until_end().await;
    assert_eq!(told.next().await, "closed 1002 \"\" true");
}

#[tokio::test]
async fn every_way_to_turn_a_handshake_down_is_told() {
    let deny = Route::new(echo).on_upgrade(|_| async { Err(Rejection::forbidden("no")) });
    let panics = Route::new(echo).on_upgrade(|request| async move {
        assert!(request.path().is_empty(), "on purpose");
        Err(Rejection::forbidden("no"))
    });
    let builder = server()
        .route("/", echo)
        .route_with("/deny", deny)
        .route_with("/panic", panics)
        .route_with("/think", Route::new(echo).on_upgrade(|_| std::future::pending()));
    let (address, server, mut told) = observed(builder).await;

    Peer::ask(address, "/nowhere", &[]).await;
    assert_eq!(told.next().await, "handshake not_found None Some(404)");
    Peer::ask(address, "/", &[("Origin", "https://elsewhere.test")]).await;
    assert_eq!(told.next().await, "handshake origin Some(\"/\") Some(403)");
    Peer::ask(address, "/deny", &[]).await;
    assert_eq!(told.next().await, "handshake rejected Some(\"/deny\") Some(403)");
    let mut peer = Peer::connect(address).await;
    let no_key = handshake("/", &[]).replace("Sec-WebSocket-Key", "X-Key");
    peer.write(no_key.as_bytes()).await;
    assert_eq!(peer.response().await.status, 400);
    assert_eq!(told.next().await, "handshake invalid None Some(400)");

    let mut peer = Peer::connect(address).await;
    peer.write(handshake("/panic", &[]).as_bytes()).await;
    assert_eq!(told.next().await, "handshake failed Some(\"/panic\") None");

    let mut peer = Peer::connect(address).await;
    peer.write(handshake("/think", &[]).as_bytes()).await;
    eventually(|| server.pending_requests() == 1).await;
    drop(peer);
    assert_eq!(told.next().await, "handshake failed Some(\"/think\") None");

    let mut peer = Peer::connect(address).await;
    peer.write(handshake("/think", &[]).as_bytes()).await;
    eventually(|| server.pending_requests() == 1).await;
    server.close_all(CloseCode::NORMAL, "").unwrap();
    assert_eq!(told.next().await, "handshake closing Some(\"/think\") Some(503)");
}

#[tokio::test]
async fn silence_is_told_as_a_timeout() {
    let limits = HandshakeLimits {
        timeout: Duration::from_millis(200),
        ..HandshakeLimits::default()
    };
    let (address, _server, mut told) = observed(server().route("/", echo).handshake_limits(limits)).await;
    let _silent = Peer::connect(address).await;
    assert_eq!(told.next().await, "handshake timeout None None");
}

#[tokio::test]
async fn an_observer_that_panics_harms_nobody() {
    let builder = server()
        .route("/", |mut ws: WebSocket| async move {
            ws.send("hello").await?;
            while ws.recv().await?.is_some() {}
            Ok(())
        })
        .on_event(|_| panic!("on purpose"));
    let (address, _server) = start(builder).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    assert_eq!(peer.receive_text().await, "hello");
}
