//! How a server reaches the WebSockets of its workers, all at once: lists, broadcasts, closes.

use std::collections::HashSet;

use sockeye::server::{Address, Handler, Reached, Socket};
use sockeye::{CloseCode, MessageRef, QueueLimits, WebSocket};
use tokio::net::TcpStream;

use super::{Does, echo, teller};
use crate::peer::{Peer, eventually, server, start};

async fn idle(mut ws: WebSocket) -> sockeye::HandlerResult {
    while ws.recv().await?.is_some() {}
    Ok(())
}

#[tokio::test]
async fn sockets_are_listed_with_route_and_address_and_can_be_sent_to() {
    let builder = server()
        .handle("/rooms/{room}", echo())
        .handle("/", echo())
        .route("/async", idle);
    let (address, server) = start(builder).await;
    assert!(server.sockets().await.is_empty());
    let mut peers = Vec::new();
    for path in ["/rooms/a", "/", "/async", "/rooms/b"] {
        let stream = TcpStream::connect(address).await.unwrap();
        let local = stream.local_addr().unwrap();
        let mut peer = Peer::new(stream);
        assert_eq!(peer.request(path, &[]).await.status, 101);
        peers.push((peer, local));
    }
    let list = server.sockets().await;
    let routes: Vec<_> = list.iter().map(|socket| socket.route()).collect();
    assert_eq!(routes, ["/rooms/{room}", "/", "/rooms/{room}"]);
    let ids: HashSet<_> = list.iter().map(|socket| socket.id()).collect();
    assert_eq!(ids.len(), 3);
    peers.remove(2);
    for (socket, (peer, local)) in list.iter().zip(&mut peers) {
        assert_eq!(socket.peer_address(), Some(&Address::Tcp(*local)));
        socket.handle().send(local.to_string()).unwrap();
        assert_eq!(peer.receive_text().await, local.to_string());
    }
    for (peer, _) in peers {
        peer.finish(1000).await;
    }
    eventually(|| list.iter().all(|socket| socket.handle().is_gone())).await;
    assert!(server.sockets().await.is_empty());
}

#[tokio::test]
async fn all_are_closed_with_a_code_and_a_reason() {
    let (handler, mut told) = teller();
    let (address, server) = start(server().handle("/", handler).route("/async", idle)).await;
    let mut peers = Vec::new();
    for path in ["/", "/async", "/", "/"] {
        peers.push(Peer::open(address, path, &[]).await);
    }
    eventually(|| server.clients().len() == 1).await;
    let code = CloseCode::new(4000).unwrap();
    assert!(server.close_all(code, &"x".repeat(124)).is_err());
    for (of_tasks, on_workers) in [(1, 3), (0, 0)] {
        // The second time all are closing already.
        let all = server.close_all(code, "tidying up").unwrap();
        assert_eq!(all.closed, of_tasks);
        assert_eq!(all.on_workers.reached().await.sent, on_workers);
    }
    for mut peer in peers {
        assert_eq!(peer.receive_close().await, (4000, "tidying up".to_owned()));
        peer.finish(4000).await;
    }
    for _ in 0..3 {
        assert_eq!(told.next().await, "open");
    }
    for _ in 0..3 {
        assert_eq!(told.next().await, "close 4000 \"\" true");
    }
    // The server goes on.
    let mut late = Peer::open(address, "/", &[]).await;
    late.send_text("new").await;
    assert_eq!(late.receive_text().await, "new");
}

#[tokio::test]
async fn a_broadcast_says_how_many_websockets_it_has_reached_on_workers() {
    let (address, server) = start(server().handle("/", echo()).route("/async", idle)).await;
    let nobody = server.broadcast("nobody is here");
    assert_eq!(nobody.sent, 0);
    assert_eq!(nobody.on_workers.reached().await, Reached::default());
    let mut peers = Vec::new();
    for path in ["/", "/async", "/", "/"] {
        peers.push(Peer::open(address, path, &[]).await);
    }
    eventually(|| server.clients().len() == 1).await;
    // One that closes is not sent anything any more.
    let mut closing = Peer::open(address, "/", &[]).await;
    let last = server.sockets().await.pop().unwrap();
    last.handle().close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(closing.receive_close().await.0, 1000);

    let broadcast = server.broadcast("the tide is in");
    assert_eq!((broadcast.sent, broadcast.behind.len()), (1, 0));
    let reached = broadcast.on_workers.reached().await;
    assert_eq!((reached.sent, reached.dropped), (3, 0));
    for peer in &mut peers {
        assert_eq!(peer.receive_text().await, "the tide is in");
    }
    closing.finish(1000).await;
}

/// Tells how often it was told that a message was dropped.
struct Droppings(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl Handler for Droppings {
    type Data = ();

    fn message(&self, _: &mut Socket<'_, ()>, _: MessageRef<'_>) {}

    fn dropped(&self, _: &mut Socket<'_, ()>, _: MessageRef<'_>, topic: Option<&str>) {
        assert_eq!(topic, None);
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_broadcast_counts_who_is_too_far_behind_for_it() {
    let queues = QueueLimits {
        send: 64 * 1024,
        write_timeout: std::time::Duration::from_secs(600),
        ..QueueLimits::default()
    };
    let dropped = std::sync::Arc::default();
    let handler = Droppings(std::sync::Arc::clone(&dropped));
    let (address, server) = start(server().handle("/", handler).queues(queues)).await;
    let _deaf = Peer::open(address, "/", &[]).await;
    let message = vec![0; 256 * 1024];
    let mut rounds = 0;
    loop {
        let reached = server.broadcast(message.clone()).on_workers.reached().await;
        assert_eq!(reached.sent + reached.dropped, 1);
        if reached.dropped == 1 {
            break;
        }
        rounds += 1;
        assert!(rounds < 1000, "the system takes everything");
    }
    assert_eq!(dropped.load(std::sync::atomic::Ordering::Relaxed), 1);
    let mut brisk = Peer::open(address, "/", &[]).await;
    let reached = server.broadcast("short").on_workers.reached().await;
    assert_eq!((reached.sent, reached.dropped), (1, 1));
    assert_eq!(brisk.receive_text().await, "short");
}

#[tokio::test]
async fn a_server_that_has_ended_has_no_sockets_and_reaches_none() {
    let (address, server) =
        start(server().handle("/", Does(|_: &mut Socket<'_, ()>, _: MessageRef<'_>| {}))).await;
    let peer = Peer::open(address, "/", &[]).await;
    drop(peer);
    eventually(|| server.connections() == 0).await;
    server.shutdown();
    server.report().await;
    assert!(server.sockets().await.is_empty());
    assert_eq!(
        server.broadcast("hello?").on_workers.reached().await,
        Reached::default()
    );
    assert_eq!(server.close_all(CloseCode::NORMAL, "").unwrap().closed, 0);
}
