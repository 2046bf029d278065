//! Connections that a task saw to before they became WebSockets with callbacks: the pipe gives them back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sockeye::MessageRef;
use sockeye::server::{Accept, Decline, Handler, Route, Socket, UpgradeRequest};

use super::teller;
use crate::peer::{CLOSE, Peer, TEXT, echo, eventually, frame, handshake, server, soon, start};

fn pages() -> axum::Router {
    axum::Router::new().fallback(|| async { "page" })
}

const GET: &[u8] = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_connection_that_asked_for_a_page_first_becomes_a_websocket() {
    let (handler, mut told) = teller();
    let (address, server) = start(server().handle("/", handler).fallback(pages())).await;
    let mut peer = Peer::connect(address).await;
    peer.write(GET).await;
    assert_eq!(peer.response().await.body, "page");
    assert_eq!(peer.request("/", &[]).await.status, 101);
    assert_eq!(told.next().await, "open");
    assert_eq!((server.websockets(), server.sockets().await.len()), (1, 1));
    for text in ["one", "two"] {
        peer.send_text(text).await;
        assert_eq!(peer.receive_text().await, text);
    }
    peer.finish(1000).await;
    assert_eq!(told.next().await, "message one");
    assert_eq!(told.next().await, "message two");
    assert_eq!(told.next().await, "close 1000 \"\" true");
    eventually(|| server.connections() == 0 && server.websockets() == 0).await;
}

#[tokio::test]
async fn what_came_behind_the_request_in_one_write_is_not_lost() {
    let (handler, _told) = teller();
    let (address, _server) = start(server().handle("/", handler).fallback(pages())).await;
    let mut peer = Peer::connect(address).await;
    let large = "x".repeat(100_000);
    let bytes = [
        GET,
        GET,
        handshake("/", &[]).as_bytes(),
        &frame(TEXT, b"early"),
        &frame(TEXT, large.as_bytes()),
    ]
    .concat();
    peer.write(&bytes).await;
    for _ in 0..2 {
        assert_eq!(peer.response().await.body, "page");
    }
    assert_eq!(peer.response().await.status, 101);
    assert_eq!(peer.receive_text().await, "early");
    assert_eq!(peer.receive_text().await, large);
    peer.finish(1000).await;
}

#[tokio::test]
async fn a_peer_that_has_said_all_in_one_write_is_answered_all() {
    let (handler, mut told) = teller();
    let (address, server) = start(server().handle("/", handler).fallback(pages())).await;
    let mut peer = Peer::connect(address).await;
    let bytes = [
        GET,
        handshake("/", &[]).as_bytes(),
        &frame(TEXT, b"all"),
        &frame(CLOSE, &1000_u16.to_be_bytes()),
    ]
    .concat();
    peer.write(&bytes).await;
    peer.end_sending().await;
    assert_eq!(peer.response().await.body, "page");
    assert_eq!(peer.response().await.status, 101);
    assert_eq!(peer.receive_text().await, "all");
    assert_eq!(peer.receive_close().await.0, 1000);
    peer.until_end().await;
    assert_eq!(told.next().await, "open");
    assert_eq!(told.next().await, "message all");
    assert_eq!(told.next().await, "close 1000 \"\" true");
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn a_hook_that_takes_its_time_is_asked_before_the_handler() {
    let (handler, mut told) = teller();
    let (entered, mut entries) = tokio::sync::mpsc::unbounded_channel();
    let route = Route::handler(handler).on_upgrade(move |_| {
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let _ = entered.send(go);
        async move {
            let _ = gone.await;
            Ok(Accept::new())
        }
    });
    let (address, server) = start(server().route_with("/", route)).await;
    let mut peer = Peer::connect(address).await;
    peer.write(handshake("/", &[]).as_bytes()).await;
    let go = soon(entries.recv()).await.unwrap();
    assert_eq!((server.pending_requests(), told.rest().len()), (1, 0));
    go.send(()).unwrap();
    assert_eq!(peer.response().await.status, 101);
    assert_eq!(told.next().await, "open");
    peer.send_text("here").await;
    assert_eq!(peer.receive_text().await, "here");
    peer.finish(1000).await;
}

/// Has data that is counted for as long as it lives, and panics where it is asked to.
struct Counting(Arc<AtomicUsize>);

#[derive(Default)]
struct Counted(Option<Arc<AtomicUsize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Handler for Counting {
    type Data = Counted;

    fn upgrade(&self, request: &UpgradeRequest, data: &mut Counted) -> Result<Accept, Decline> {
        self.0.fetch_add(1, Ordering::Relaxed);
        data.0 = Some(Arc::clone(&self.0));
        assert!(request.query_value("panic").is_none(), "on purpose");
        match request.query_value("pass") {
            Some(_) => Err(Decline::Next),
            None => Ok(Accept::new().subprotocol("offered by few")),
        }
    }

    fn message(&self, _: &mut Socket<'_, Counted>, _: MessageRef<'_>) {}
}

#[tokio::test]
async fn the_data_of_a_websocket_that_never_opens_is_dropped() {
    let count = Arc::new(AtomicUsize::new(0));
    let builder = server()
        .handle("/", Counting(Arc::clone(&count)))
        .fallback(pages());
    let (address, server) = start(builder).await;
    // At the door, and behind a page.
    for first in [&b""[..], GET] {
        // A subprotocol that the client did not offer is a mistake of the handler; so is a panic.
        for (path, status) in [("/", 500), ("/?panic=1", 500), ("/?pass=1", 200)] {
            let mut peer = Peer::connect(address).await;
            peer.write(first).await;
            if !first.is_empty() {
                assert_eq!(peer.response().await.body, "page");
            }
            assert_eq!(peer.request(path, &[]).await.status, status, "{path}");
        }
    }
    eventually(|| server.connections() == 0 && count.load(Ordering::Relaxed) == 0).await;
}

#[tokio::test]
async fn who_leaves_while_a_hook_thinks_leaves_nothing_behind() {
    let (handler, mut told) = teller();
    let (entered, mut entries) = tokio::sync::mpsc::unbounded_channel();
    let route = Route::handler(handler).on_upgrade(move |_| {
        let _ = entered.send(());
        std::future::pending()
    });
    let (address, server) = start(server().route_with("/", route)).await;
    let mut peer = Peer::connect(address).await;
    peer.write(handshake("/", &[]).as_bytes()).await;
    soon(entries.recv()).await.unwrap();
    drop(peer);
    eventually(|| server.connections() == 0 && server.pending_requests() == 0).await;
    assert_eq!(told.rest(), Vec::<String>::new());
}

#[tokio::test]
async fn a_handler_passes_a_request_on_to_an_async_one_and_back() {
    let (handler, mut told) = teller();
    let pass = || Route::new(echo).on_upgrade_or_next(|_| async { Err(Decline::Next) });
    let builder = server()
        .handle("/a/b", Passing)
        .route_with("/a/{b}", pass())
        .handle("/{a}/{b}", handler);
    let (address, _server) = start(builder).await;
    let mut peer = Peer::open(address, "/a/b", &[]).await;
    assert_eq!(told.next().await, "open");
    peer.send_text("found").await;
    assert_eq!(peer.receive_text().await, "found");
}

/// Passes every request on.
struct Passing;

impl Handler for Passing {
    type Data = ();

    fn upgrade(&self, _: &UpgradeRequest, (): &mut ()) -> Result<Accept, Decline> {
        Err(Decline::Next)
    }

    fn message(&self, _: &mut Socket<'_, ()>, _: MessageRef<'_>) {}
}
