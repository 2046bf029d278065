//! What a handle can do with a server that runs: its clients, its routes, its listeners.

use std::time::Duration;

use sockeye::server::{Address, ForProtocol, Route};
use sockeye::{CloseCode, QueueLimits, WebSocket};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::peer::{PING, PONG, Peer, echo, eventually, handshake, run, server, soon, start};

/// A handler that waits for the end.
async fn idle(mut ws: WebSocket) -> sockeye::HandlerResult {
    while ws.recv().await?.is_some() {}
    Ok(())
}

#[derive(Clone, Debug, PartialEq)]
struct User(String);

#[tokio::test]
async fn clients_are_listed_with_route_address_and_data() {
    let room = Route::new(idle).on_upgrade(|request| async move {
        let user = User(request.param("room").unwrap_or_default().to_owned());
        Ok(sockeye::server::Accept::new().data(user))
    });
    let builder = server().route("/", idle).route_with("/rooms/{room}", room);
    let (address, server) = start(builder).await;
    assert!(server.clients().is_empty());
    let first = Peer::open(address, "/rooms/a", &[]).await;
    let _second = Peer::open(address, "/", &[]).await;
    eventually(|| server.clients().len() == 2).await;

    let clients = server.clients();
    let routes: Vec<_> = clients.iter().map(|client| client.route()).collect();
    assert_eq!(routes, [Some("/rooms/{room}"), Some("/")]);
    assert_eq!(clients[0].sender().data().get(), Some(&User("a".to_owned())));
    assert_eq!(clients[0].connection().local, Address::Tcp(address));
    assert!(clients[0].connection().id < clients[1].connection().id);
    drop(clients);

    first.finish(1000).await;
    eventually(|| server.clients().len() == 1).await;
    assert_eq!(server.clients()[0].route(), Some("/"));
}

#[tokio::test]
async fn the_list_of_clients_keeps_no_connection_open() {
    // The handler returns at once, and with it goes the last handle.
    let (address, server) = start(server().route("/", |_: WebSocket| async { Ok(()) })).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    assert_eq!(peer.receive_close().await, (1000, String::new()));
    peer.finish(1000).await;
    eventually(|| server.clients().is_empty()).await;
}

#[tokio::test]
async fn a_broadcast_reaches_every_client() {
    let builder = server().route("/a", idle).route("/b", echo);
    let (address, server) = start(builder).await;
    let mut peers = Vec::new();
    for path in ["/a", "/b", "/a"] {
        peers.push(Peer::open(address, path, &[]).await);
    }
    eventually(|| server.clients().len() == 3).await;
    let broadcast = server.broadcast("the tide is in");
    assert_eq!((broadcast.sent, broadcast.behind.len()), (3, 0));
    for peer in &mut peers {
        assert_eq!(peer.receive_text().await, "the tide is in");
    }
}

#[tokio::test]
async fn a_broadcast_names_who_is_behind_and_waits_for_nobody() {
    let queues = QueueLimits {
        send: 64 * 1024,
        write_timeout: Duration::from_secs(600),
        ..QueueLimits::default()
    };
    let (address, server) = start(server().route("/", idle).queues(queues)).await;
    let _slow = Peer::open(address, "/", &[]).await;
    eventually(|| server.clients().len() == 1).await;
    // It takes nothing: once the buffers of the system are full, the queue stays full.
    let message = vec![7; 60 * 1024];
    let mut in_a_row = 0;
    while in_a_row < 1000 {
        let is_behind = server.broadcast(&message).behind.len() == 1;
        in_a_row = if is_behind { in_a_row + 1 } else { 0 };
        tokio::task::yield_now().await;
    }

    let mut quick = Peer::open(address, "/", &[]).await;
    eventually(|| server.clients().len() == 2).await;
    let broadcast = server.broadcast("to whom it may concern");
    assert_eq!((broadcast.sent, broadcast.behind.len()), (1, 1));
    assert_eq!(quick.receive_text().await, "to whom it may concern");
    let named = &broadcast.behind[0];
    assert_eq!(named.connection().id, server.clients()[0].connection().id);
    named.sender().abort();
    drop(broadcast);
    eventually(|| server.clients().len() == 1).await;
}

#[tokio::test]
async fn all_can_be_closed_while_the_server_goes_on() {
    let (address, server) = start(server().route("/", echo)).await;
    let mut peers = [
        Peer::open(address, "/", &[]).await,
        Peer::open(address, "/", &[]).await,
    ];
    eventually(|| server.clients().len() == 2).await;
    let closed = server.close_all(CloseCode::SERVICE_RESTART, "new rules").unwrap();
    assert_eq!(closed.closed, 2);
    let again = server.close_all(CloseCode::NORMAL, "").unwrap();
    assert_eq!(again.closed, 0, "closing already");
    for peer in &mut peers {
        assert_eq!(peer.receive_close().await, (1012, "new rules".to_owned()));
    }
    for peer in peers {
        peer.finish(1012).await;
    }
    eventually(|| server.clients().is_empty()).await;

    assert!(server.is_ready());
    let mut next = Peer::open(address, "/", &[]).await;
    next.send_text("hello").await;
    assert_eq!(next.receive_text().await, "hello");
    let long = server.close_all(CloseCode::NORMAL, &"x".repeat(124)).unwrap_err();
    assert!(long.is_config(), "{long}");
}

#[tokio::test]
async fn closing_all_turns_down_who_was_not_answered_yet() {
    let route = Route::new(echo).on_upgrade(|_| std::future::pending());
    let (address, server) = start(server().route_with("/", route)).await;
    let mut peer = Peer::connect(address).await;
    peer.write(handshake("/", &[]).as_bytes()).await;
    eventually(|| server.pending_requests() == 1).await;
    assert_eq!(server.close_all(CloseCode::NORMAL, "").unwrap().closed, 0);
    let response = peer.response().await;
    assert_eq!(response.status, 503);
    assert_eq!(server.pending_requests(), 0);
}

#[tokio::test]
async fn who_leaves_while_the_hook_thinks_is_pending_no_more() {
    let route = Route::new(echo).on_upgrade(|_| std::future::pending());
    let (address, server) = start(server().route_with("/", route)).await;
    let mut peer = Peer::connect(address).await;
    peer.write(handshake("/", &[]).as_bytes()).await;
    eventually(|| server.pending_requests() == 1).await;
    drop(peer);
    eventually(|| server.pending_requests() == 0 && server.connections() == 0).await;
}

#[tokio::test]
async fn routes_come_and_go_while_the_server_runs() {
    let (address, server) = start(server().route("/fixed", echo)).await;
    assert_eq!(Peer::ask(address, "/late", &[]).await.status, 404);

    let greet = |greeting: &'static str| {
        Route::new(move |mut ws: WebSocket| async move {
            ws.send(greeting).await?;
            while ws.recv().await?.is_some() {}
            Ok(())
        })
    };
    server.mount("/late", greet("any")).unwrap();
    let named = ForProtocol::Named("chat".to_owned());
    server
        .mount("/late", greet("chat").for_protocol(named.clone()))
        .unwrap();
    let offer = [("Sec-WebSocket-Protocol", "chat")];
    let mut any = Peer::open(address, "/late", &[]).await;
    assert_eq!(any.receive_text().await, "any");
    let mut chat = Peer::open(address, "/late", &offer).await;
    assert_eq!(chat.receive_text().await, "chat");

    assert!(server.unmount("/late", &ForProtocol::Any).unwrap());
    assert!(!server.unmount("/late", &ForProtocol::Any).unwrap());
    assert_eq!(Peer::ask(address, "/late", &[]).await.status, 404);
    // What is open stays open.
    any.send(PING, b"?").await;
    assert_eq!(any.receive().await, (PONG, b"?".to_vec()));
    assert_eq!(Peer::ask(address, "/late", &offer).await.status, 101);
    assert!(server.unmount("/late", &named).unwrap());
    assert_eq!(Peer::ask(address, "/late", &offer).await.status, 404);
    assert_eq!(Peer::ask(address, "/fixed", &[]).await.status, 101);

    let twice = server.mount("/fixed", Route::new(echo)).unwrap_err();
    assert!(twice.is_config(), "{twice}");
}

#[tokio::test]
async fn listeners_come_and_go_while_the_server_runs() {
    let (first, server) = start(server().route("/", echo)).await;
    let added = server.listen("127.0.0.1:0").await.unwrap();
    let [Address::Tcp(second)] = added[..] else {
        panic!("{added:?}")
    };
    assert_eq!(server.addresses(), [Address::Tcp(first), Address::Tcp(second)]);
    let mut kept = Peer::open(first, "/", &[]).await;
    assert_eq!(Peer::ask(second, "/", &[]).await.status, 101);

    assert!(server.stop_listening(&Address::Tcp(first)).await);
    assert!(!server.stop_listening(&Address::Tcp(first)).await);
    assert_eq!(server.addresses(), [Address::Tcp(second)]);
    TcpStream::connect(first).await.unwrap_err();
    kept.send_text("still here").await;
    assert_eq!(kept.receive_text().await, "still here");
    assert_eq!(Peer::ask(second, "/", &[]).await.status, 101);

    // A server may live on what it has.
    assert!(server.stop_listening(&Address::Tcp(second)).await);
    kept.send_text("and still").await;
    assert_eq!(kept.receive_text().await, "and still");
}

#[tokio::test]
async fn a_listener_that_was_added_before_serving_is_served() {
    let server = server()
        .route("/", echo)
        .bind("127.0.0.1:0")
        .listen()
        .await
        .unwrap();
    let handle = server.handle();
    let added = handle.listen("127.0.0.1:0").await.unwrap();
    let Address::Tcp(second) = added[0] else {
        panic!("{added:?}")
    };
    let mut early = TcpStream::connect(second).await.unwrap();
    early.write_all(handshake("/", &[]).as_bytes()).await.unwrap();
    run(server);
    assert_eq!(Peer::new(early).response().await.status, 101);
}

#[tokio::test]
async fn a_handle_says_when_there_is_no_server_to_change() {
    let builder = server().route("/", echo);
    let handle = builder.server_handle();
    let early = handle.mount("/a", Route::new(echo)).unwrap_err();
    assert!(
        early.is_config() && early.to_string().contains("not built"),
        "{early}"
    );
    assert!(handle.addresses().is_empty());

    let (_, server) = start(builder).await;
    handle.mount("/a", Route::new(echo)).unwrap();
    assert_eq!(handle.addresses().len(), 1);
    server.shutdown();
    soon(server.report()).await;
    eventually(|| handle.mount("/b", Route::new(echo)).is_err()).await;
    let late = handle.listen("127.0.0.1:0").await.unwrap_err();
    assert!(late.to_string().contains("ended"), "{late}");
    assert!(handle.addresses().is_empty());
}
