//! The extractor, in an application that `axum::serve` runs.

use std::net::SocketAddr;

use axum::Router;
use axum::response::Response;
use axum::routing::any;
use sockeye::axum::WebSocketUpgrade;
use sockeye::hub::{HubConfig, PublishError, Publisher, SubscribeError};
use sockeye::proto::Message;
use sockeye::proto::deflate::Deflate;
use sockeye::server::Drain;
use sockeye::{Config, OriginPolicy};

use crate::peer::{Peer, TEXT, echo, eventually, frame, handshake, server, soon, start};

async fn chat(upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .protocols(["v2", "v1"])
        .compression(Deflate::default())
        .limits(Config {
            max_message_size: 10,
            ..Config::server()
        })
        .header(http::header::SET_COOKIE, http::HeaderValue::from_static("a=1"))
        .data(7_u32)
        .on_upgrade(|mut ws| async move {
            assert_eq!(ws.data().get::<u32>(), Some(&7));
            while let Some(message) = ws.recv().await? {
                ws.send(message).await?;
            }
            Ok(())
        })
}

async fn serve() -> SocketAddr {
    let app = Router::new()
        .route(
            "/echo",
            any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }),
        )
        .route("/chat", any(chat))
        .route(
            "/open",
            any(|upgrade: WebSocketUpgrade| async {
                upgrade
                    .origins(OriginPolicy::any())
                    .on_upgrade(|_| async { Err("enough".into()) })
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn the_extractor_makes_websockets() {
    let address = serve().await;
    let mut peer = Peer::connect(address).await;
    let mut bytes = handshake("/echo", &[]).into_bytes();
    bytes.extend(frame(TEXT, b"behind the request"));
    peer.write(&bytes).await;
    assert_eq!(peer.response().await.status, 101);
    assert_eq!(peer.receive_text().await, "behind the request");
    peer.send_close(3001).await;
    assert_eq!(peer.receive_close().await.0, 3001);
}

#[tokio::test]
async fn its_terms_are_kept() {
    let address = serve().await;
    let mut peer = Peer::connect(address).await;
    let headers = [
        ("Sec-WebSocket-Protocol", "v1, v2"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    let response = peer.request("/chat", &headers).await;
    assert_eq!(response.status, 101);
    assert_eq!(response.header("sec-websocket-protocol"), Some("v1"));
    assert!(
        response
            .header("sec-websocket-extensions")
            .unwrap()
            .starts_with("permessage-deflate")
    );
    assert_eq!(response.header("set-cookie"), Some("a=1"));
    peer.send_text("short").await;
    assert_eq!(peer.receive_text().await, "short");
    peer.send_text("not so short").await;
    assert_eq!(peer.receive_close().await.0, 1009);
}

#[tokio::test]
async fn pages_of_other_hosts_are_refused_unless_allowed() {
    let address = serve().await;
    for (path, origin, status) in [
        ("/echo", "http://example.test", 101),
        ("/echo", "https://example.test", 101),
        ("/echo", "https://evil.test", 403),
        ("/echo", "null", 403),
        ("/open", "https://evil.test", 101),
    ] {
        let response = Peer::ask(address, path, &[("Origin", origin)]).await;
        assert_eq!(response.status, status, "{path} {origin}");
    }
}

#[tokio::test]
async fn an_error_of_the_handler_is_1011() {
    let mut peer = Peer::open(serve().await, "/open", &[]).await;
    assert_eq!(peer.receive_close().await.0, 1011);
}

#[tokio::test]
async fn what_is_no_handshake_gets_the_right_status() {
    let address = serve().await;
    let good = handshake("/echo", &[]);
    for (from, to, status) in [
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 426),
        ("Upgrade: websocket\r\n", "", 426),
        ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 400),
        ("GET ", "POST ", 405),
    ] {
        let mut peer = Peer::connect(address).await;
        peer.write(good.replacen(from, to, 1).as_bytes()).await;
        assert_eq!(peer.response().await.status, status, "{to:?}");
    }
}

/// A server whose fallback upgrades by the extractor, and by hyper's own means without any WebSocket.
fn with_fallback() -> sockeye::server::ServerBuilder {
    async fn hold(mut request: axum::extract::Request) -> Response {
        let on_upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let upgraded = on_upgrade.await.expect("hyper lets go of it");
            // Reads until it fails, or ends.
            let mut io = hyper_util::rt::TokioIo::new(upgraded);
            tokio::io::copy(&mut io, &mut tokio::io::sink()).await
        });
        let switching = Response::builder().status(101).header("connection", "upgrade");
        let response = switching
            .header("upgrade", "other")
            .body(axum::body::Body::empty());
        response.expect("it is valid")
    }

    let router = Router::new()
        .route(
            "/echo",
            any(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }),
        )
        .route("/hold", any(hold));
    server().fallback(router)
}

#[tokio::test]
async fn a_server_counts_and_closes_the_websockets_of_its_fallback() {
    let (address, server) = start(with_fallback()).await;
    let mut peer = Peer::open(address, "/echo", &[]).await;
    eventually(|| server.websockets() == 1).await;
    assert_eq!(server.connections(), 1);
    assert_eq!(server.clients()[0].route(), None);
    assert_eq!(server.broadcast("to all").sent, 1);
    assert_eq!(peer.receive_text().await, "to all");
    server.shutdown_with(Drain {
        spread: std::time::Duration::ZERO,
        ..Drain::default()
    });
    assert_eq!(peer.receive_close().await.0, 1001);
    peer.finish(1001).await;
    let report = soon(server.report()).await;
    assert_eq!((report.connections, report.closed, report.forced), (1, 1, 0));
    assert_eq!((server.connections(), server.websockets()), (0, 0));
}

#[cfg(unix)]
#[tokio::test]
async fn a_websocket_of_the_fallback_has_the_topics_of_the_server() {
    let room = any(|upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|mut ws| async move {
            ws.subscribe("t")?;
            while let Some(message) = ws.recv().await? {
                ws.publish("t", message)?;
            }
            Ok(())
        })
    });
    let (address, server) = start(server().fallback(Router::new().route("/room", room))).await;
    let mut one = Peer::open(address, "/room", &[]).await;
    let mut other = Peer::open(address, "/room", &[]).await;
    let publisher = server.publisher().unwrap();
    eventually(|| publisher.num_subscribers("t") == 2).await;
    one.send_text("hello").await;
    assert_eq!(other.receive_text().await, "hello");
}

#[cfg(unix)]
#[tokio::test]
async fn without_a_server_of_ours_a_websocket_has_the_topics_that_it_was_given() {
    let publisher = Publisher::new(HubConfig::default()).unwrap();
    let topics = publisher.clone();
    let given = any(move |upgrade: WebSocketUpgrade| async move {
        upgrade.topics(&topics).on_upgrade(|mut ws| async move {
            ws.subscribe("t")?;
            while ws.recv().await?.is_some() {}
            Ok(())
        })
    });
    let none = any(|upgrade: WebSocketUpgrade| async {
        upgrade.on_upgrade(|ws| async move {
            assert_eq!(ws.subscribe("t"), Err(SubscribeError::NoServer));
            assert_eq!(ws.publish("t", "x"), Err(PublishError::NoServer));
            ws.send("none").await?;
            Ok(())
        })
    });
    let app = Router::new().route("/given", given).route("/none", none);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut peers = [
        Peer::open(address, "/given", &[]).await,
        Peer::open(address, "/given", &[]).await,
    ];
    eventually(|| publisher.num_subscribers("t") == 2).await;
    publisher.publish("t", Message::Text("hello")).unwrap();
    for peer in &mut peers {
        assert_eq!(peer.receive_text().await, "hello");
    }
    assert_eq!(
        Peer::open(address, "/none", &[]).await.receive_text().await,
        "none"
    );
}

#[tokio::test]
async fn a_websocket_of_the_fallback_that_ends_leaves_the_counts() {
    let (address, server) = start(with_fallback()).await;
    let mut peer = Peer::open(address, "/echo", &[]).await;
    eventually(|| server.websockets() == 1).await;
    peer.send_close(1000).await;
    peer.receive_close().await;
    eventually(|| (server.connections(), server.websockets()) == (0, 0)).await;
}

#[tokio::test]
async fn whatever_else_the_fallback_upgrades_is_counted_and_cut_off_at_the_deadline() {
    let (address, server) = start(with_fallback()).await;
    let mut peer = Peer::connect(address).await;
    peer.write(b"GET /hold HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n")
        .await;
    assert_eq!(peer.response().await.status, 101);
    assert_eq!((server.connections(), server.websockets()), (1, 0));
    server.shutdown_with(Drain {
        spread: std::time::Duration::ZERO,
        deadline: std::time::Duration::from_millis(100),
        ..Drain::default()
    });
    peer.until_end().await;
    let report = soon(server.report()).await;
    assert_eq!((report.connections, report.closed, report.forced), (1, 0, 1));
}
