//! How a server ends.

use std::time::Duration;

use sockeye::server::Drain;
use sockeye::{CloseCode, WebSocket};
use tokio::net::TcpStream;

use crate::peer::{Peer, echo, eventually, handshake, server, soon, start};

fn swift() -> Drain {
    Drain {
        spread: Duration::from_millis(100),
        deadline: Duration::from_secs(10),
        ..Drain::default()
    }
}

#[tokio::test]
async fn every_websocket_is_closed_and_the_report_says_so() {
    let (address, server) = start(server().route("/", echo).drain(swift())).await;
    assert!(server.is_ready());
    let mut peers = Vec::new();
    for _ in 0..5 {
        peers.push(Peer::open(address, "/", &[]).await);
    }
    server.shutdown();
    assert!(!server.is_ready());
    for mut peer in peers {
        assert_eq!(
            peer.receive_close().await,
            (1001, "server is shutting down".to_owned())
        );
        peer.finish(1001).await;
    }
    let report = soon(server.report()).await;
    assert_eq!((report.connections, report.closed, report.forced), (5, 5, 0));
    assert_eq!((server.connections(), server.websockets()), (0, 0));
    TcpStream::connect(address).await.unwrap_err();
}

#[tokio::test]
async fn a_restart_closes_with_1012() {
    let (address, server) = start(server().route("/", echo)).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    let reason = "back in a minute".to_owned();
    server.shutdown_with(Drain {
        code: CloseCode::SERVICE_RESTART,
        reason: reason.clone(),
        ..swift()
    });
    assert_eq!(peer.receive_close().await, (1012, reason));
}

#[tokio::test]
async fn handlers_see_the_end_and_can_still_finish() {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let mut told: tokio::sync::mpsc::UnboundedReceiver<&str> = told;
    let builder = server().drain(swift()).route("/", move |mut ws: WebSocket| {
        let tell = tell.clone();
        async move {
            while ws.recv().await?.is_some() {}
            let _ = tell.send("finished");
            Ok(())
        }
    });
    let (address, server) = start(builder).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    server.shutdown();
    peer.receive_close().await;
    peer.finish(1001).await;
    assert_eq!(soon(told.recv()).await, Some("finished"));
    assert_eq!(soon(server.report()).await.closed, 1);
}

#[tokio::test]
async fn who_does_not_answer_is_dropped_at_the_deadline() {
    let drain = Drain {
        spread: Duration::ZERO,
        deadline: Duration::from_millis(300),
        ..Drain::default()
    };
    let (address, server) = start(server().route("/", echo).drain(drain)).await;
    let mut polite = Peer::open(address, "/", &[]).await;
    let mut deaf = Peer::open(address, "/", &[]).await;
    // A request whose end never comes.
    let mut half = Peer::connect(address).await;
    half.write(b"GET / HTTP/1.1\r\nHost: a\r\n").await;
    eventually(|| server.connections() == 3).await;
    server.shutdown();
    polite.receive_close().await;
    polite.finish(1001).await;
    let report = soon(server.report()).await;
    assert_eq!((report.connections, report.forced), (3, 2));
    assert!(report.elapsed >= Duration::from_millis(300));
    deaf.until_end().await;
    half.until_end().await;
}

#[tokio::test]
async fn idle_http_connections_end_at_once() {
    let router = axum::Router::new().fallback(|| async { "page" });
    let builder = server().route("/", echo).fallback(router).drain(swift());
    let (address, server) = start(builder).await;
    let mut peer = Peer::connect(address).await;
    peer.write(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(peer.response().await.body, "page");
    server.shutdown();
    peer.until_end().await;
    assert_eq!(soon(server.report()).await.forced, 0);
}

#[tokio::test]
async fn the_notice_goes_before_the_end_of_accepting() {
    let drain = Drain {
        notice: Duration::from_millis(300),
        ..swift()
    };
    let (address, server) = start(server().route("/", echo).drain(drain)).await;
    server.shutdown();
    assert!(!server.is_ready());
    let mut late = Peer::open(address, "/", &[]).await;
    assert_eq!(late.receive_close().await.0, 1001);
}

#[tokio::test]
async fn dropping_the_server_drops_its_connections() {
    let server = server()
        .route("/", echo)
        .bind("127.0.0.1:0")
        .listen()
        .await
        .unwrap();
    let (address, handle) = (server.tcp_address().unwrap(), server.handle());
    let serving = tokio::spawn(server.serve());
    let mut peer = Peer::open(address, "/", &[]).await;
    serving.abort();
    peer.until_end().await;
    eventually(|| handle.connections() == 0).await;
    eventually(|| std::net::TcpStream::connect(address).is_err()).await;
}

#[tokio::test]
async fn a_handshake_that_is_under_way_is_finished_and_then_closed() {
    let (entered, mut entries) = tokio::sync::mpsc::unbounded_channel();
    let route = sockeye::server::Route::new(echo).on_upgrade(move |_| {
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let _ = entered.send(go);
        async move {
            let _ = gone.await;
            Ok(sockeye::server::Accept::new())
        }
    });
    let builder = server().route_with("/", route).drain(swift());
    let (address, server) = start(builder).await;
    let mut peer = Peer::connect(address).await;
    peer.write(handshake("/", &[]).as_bytes()).await;
    let go = soon(entries.recv()).await.unwrap();
    server.shutdown();
    // The listener is closed: the drain has begun.
    eventually(|| std::net::TcpStream::connect(address).is_err()).await;
    go.send(()).unwrap();
    assert_eq!(peer.response().await.status, 101);
    assert_eq!(peer.receive_close().await.0, 1001);
    peer.finish(1001).await;
    let report = soon(server.report()).await;
    // Those that came to see whether the listener is closed may have come in.
    assert!(report.closed >= 1);
    assert_eq!(report.forced, 0);
}

#[tokio::test]
async fn who_answers_the_close_and_keeps_tcp_open_is_closed_and_not_forced() {
    let (address, server) = start(server().route("/", echo).drain(swift())).await;
    let mut peers = Vec::new();
    for _ in 0..5 {
        peers.push(Peer::open(address, "/", &[]).await);
    }
    server.shutdown();
    for peer in &mut peers {
        peer.receive_close().await;
        peer.send_close(1001).await;
    }
    let report = soon(server.report()).await;
    assert_eq!((report.connections, report.closed, report.forced), (5, 5, 0));
}
