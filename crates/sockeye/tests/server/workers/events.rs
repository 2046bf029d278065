//! What a server tells of the WebSockets of its workers.

use std::net::SocketAddr;

use sockeye::server::{
    Accept, Decline, Handler, Rejection, ServerBuilder, ServerEvent, ServerHandle, Socket, UpgradeRequest,
};
use sockeye::{CloseCode, MessageRef};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::echo;
use crate::peer::{CLOSE, Peer, TEXT, server, soon, start};

async fn observed(builder: ServerBuilder) -> (SocketAddr, ServerHandle, UnboundedReceiver<String>) {
    let (tell, told) = unbounded_channel();
    let builder = builder.on_event(move |event| {
        let line = match event {
            ServerEvent::Handshake {
                outcome, rejection, ..
            } => {
                let status = rejection.map(|rejection| rejection.status().as_u16());
                format!("handshake {} {status:?}", outcome.label())
            }
            ServerEvent::SocketOpened {
                connection,
                route,
                request,
                ..
            } => {
                format!("opened {} {route} {}", connection.id, request.path())
            }
            ServerEvent::Closed {
                connection,
                code,
                info,
                failure,
                ..
            } => format!(
                "closed {} {code} {} {:?} {}",
                connection.id,
                info.code,
                info.reason,
                failure.is_some()
            ),
            _ => return,
        };
        let _ = tell.send(line);
    });
    let (address, server) = start(builder).await;
    (address, server, told)
}

async fn next(told: &mut UnboundedReceiver<String>) -> String {
    soon(told.recv()).await.unwrap()
}

#[tokio::test]
async fn a_websocket_is_told_of_from_its_handshake_to_its_close() {
    let (address, _server, mut told) = observed(server().handle("/{room}", echo())).await;
    let mut peer = Peer::open(address, "/a", &[]).await;
    assert_eq!(next(&mut told).await, "handshake accepted None");
    assert_eq!(next(&mut told).await, "opened 0 /{room} /a");
    peer.send(CLOSE, b"\x0f\xa0bye").await;
    assert_eq!(next(&mut told).await, "closed 0 4000 4000 \"bye\" false");
    peer.until_end().await;

    let peer = Peer::open(address, "/b", &[]).await;
    assert_eq!(next(&mut told).await, "handshake accepted None");
    assert_eq!(next(&mut told).await, "opened 1 /{room} /b");
    drop(peer);
    assert_eq!(next(&mut told).await, "closed 1 1006 1006 \"\" true");
}

#[tokio::test]
async fn a_failure_is_told_though_the_peer_keeps_tcp_open() {
    let (address, server, mut told) = observed(server().handle("/", echo())).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    next(&mut told).await;
    next(&mut told).await;
    peer.send(TEXT, b"\xff").await;
    assert_eq!(peer.receive_close().await.0, 1007);
    assert_eq!(next(&mut told).await, "closed 0 1007 1006 \"\" true");
    assert!(server.sockets().await.is_empty());
}

/// Turns down who wants to be.
struct Choosy;

impl Handler for Choosy {
    type Data = ();

    fn upgrade(&self, request: &UpgradeRequest, (): &mut ()) -> Result<Accept, Decline> {
        match request.query_value("no") {
            Some(_) => Err(Rejection::forbidden("No.").into()),
            None => Ok(Accept::new()),
        }
    }

    fn message(&self, socket: &mut Socket<'_, ()>, _: MessageRef<'_>) {
        socket
            .close_after_flush(CloseCode::new(4001).unwrap(), "enough")
            .unwrap();
    }
}

#[tokio::test]
async fn who_is_turned_down_and_who_is_hung_up_on_are_told_apart() {
    let (address, _server, mut told) = observed(server().handle("/", Choosy)).await;
    assert_eq!(Peer::ask(address, "/?no=1", &[]).await.status, 403);
    assert_eq!(next(&mut told).await, "handshake rejected Some(403)");
    assert_eq!(
        Peer::ask(address, "/", &[("Origin", "http://evil.test")])
            .await
            .status,
        403
    );
    assert_eq!(next(&mut told).await, "handshake origin Some(403)");
    // One more version than there may be.
    assert_eq!(
        Peer::ask(address, "/", &[("Sec-WebSocket-Version", "8")])
            .await
            .status,
        400
    );
    assert_eq!(next(&mut told).await, "handshake invalid Some(400)");
    assert_eq!(Peer::ask(address, "/nowhere", &[]).await.status, 404);
    assert_eq!(next(&mut told).await, "handshake not_found Some(404)");
    let mut peer = Peer::open(address, "/", &[]).await;
    next(&mut told).await;
    assert!(next(&mut told).await.starts_with("opened "));
    peer.send_text("?").await;
    assert_eq!(peer.receive_close().await, (4001, "enough".to_owned()));
    assert!(next(&mut told).await.ends_with(" 4001 1006 \"\" false"));
}

#[tokio::test]
async fn an_observer_that_panics_harms_no_websocket() {
    let builder = server().handle("/", echo()).on_event(|event| {
        assert!(
            !matches!(
                event,
                ServerEvent::SocketOpened { .. } | ServerEvent::Closed { .. }
            ),
            "on purpose"
        );
    });
    let (address, server) = start(builder).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    peer.send_text("all the same").await;
    assert_eq!(peer.receive_text().await, "all the same");
    peer.finish(1000).await;
    crate::peer::eventually(|| server.connections() == 0).await;
}
