//! Routes, refusals and what happens right after the answer.

use axum::extract::Extension;
use axum::routing::get;
use sockeye::server::{Address, ConnectionInfo, ForProtocol, Route, UpgradeRequest};
use sockeye::{HandlerResult, OriginPolicy, WebSocket};
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::peer::{CLOSE, PING, PONG, Peer, TEXT, echo, frame, handshake, server, soon, start};

#[tokio::test]
async fn ten_lines_make_an_echo_server() {
    let builder = server().route("/echo", |mut ws: WebSocket| async move {
        while let Some(message) = ws.recv().await? {
            ws.send(message).await?;
        }
        Ok(())
    });
    let (address, _server) = start(builder).await;
    let mut peer = Peer::open(address, "/echo", &[]).await;
    peer.send_text("hello").await;
    assert_eq!(peer.receive_text().await, "hello");
    let large = "x".repeat(60_000);
    peer.send_text(&large).await;
    assert_eq!(peer.receive_text().await, large);
    peer.send(PING, b"p").await;
    assert_eq!(peer.receive().await, (PONG, b"p".to_vec()));
    peer.send_close(3001).await;
    assert_eq!(peer.receive().await, (CLOSE, 3001_u16.to_be_bytes().to_vec()));
    assert_eq!(peer.until_end().await, b"");
}

#[tokio::test]
async fn the_101_has_what_rfc_6455_wants() {
    let (address, _server) = start(server().route("/", echo)).await;
    let response = Peer::ask(address, "/", &[]).await;
    assert_eq!(response.status, 101);
    assert_eq!(response.header("upgrade"), Some("websocket"));
    assert_eq!(response.header("connection"), Some("Upgrade"));
    assert_eq!(
        response.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(response.header("sec-websocket-protocol"), None);
    assert_eq!(response.header("sec-websocket-extensions"), None);
}

#[tokio::test]
async fn frames_in_the_same_packet_as_the_request_are_received() {
    let (address, _server) = start(server().route("/", echo)).await;
    let mut peer = Peer::connect(address).await;
    let mut bytes = handshake("/", &[]).into_bytes();
    bytes.extend(frame(TEXT, b"first"));
    let second = frame(TEXT, b"second");
    bytes.extend(&second[..4]);
    peer.write(&bytes).await;
    assert_eq!(peer.response().await.status, 101);
    assert_eq!(peer.receive_text().await, "first");
    peer.write(&second[4..]).await;
    assert_eq!(peer.receive_text().await, "second");
}

#[tokio::test]
async fn a_request_may_arrive_byte_by_byte() {
    let (address, _server) = start(server().route("/", echo)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in handshake("/", &[]).bytes() {
        stream.write_all(&[byte]).await.unwrap();
    }
    assert_eq!(Peer::new(stream).response().await.status, 101);
}

#[tokio::test]
async fn absolute_form_is_routed_by_its_path() {
    let (address, _server) = start(server().route("/chat", echo)).await;
    assert_eq!(
        Peer::ask(address, "ws://example.test/chat?x=1", &[]).await.status,
        101
    );
}

#[tokio::test]
async fn parameters_reach_the_handler() {
    async fn greet(ws: WebSocket, request: UpgradeRequest) -> HandlerResult {
        let room = request.param("room").unwrap_or("?");
        let user = request.query_value("user").unwrap_or_default();
        ws.send(format!("{user} in {room}")).await?;
        Ok(())
    }
    let builder = server().route("/rooms/{room}", greet).route("/rooms/lobby", echo);
    let (address, _server) = start(builder).await;
    let mut peer = Peer::open(address, "/rooms/caf%C3%A9?user=Zo%C3%AB", &[]).await;
    assert_eq!(peer.receive_text().await, "Zoë in café");
    let mut peer = Peer::open(address, "/rooms/lobby", &[]).await;
    peer.send_text("static wins").await;
    assert_eq!(peer.receive_text().await, "static wins");
    assert_eq!(Peer::ask(address, "/rooms/%zz", &[]).await.status, 400);
    assert_eq!(Peer::ask(address, "/rooms/%ff", &[]).await.status, 400);
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_a_websocket_is_426() {
    let (address, _server) = start(server().route("/chat", echo)).await;
    assert_eq!(Peer::ask(address, "/other", &[]).await.status, 404);

    let plain = |line: &'static str| async move {
        let mut peer = Peer::connect(address).await;
        peer.write(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .await;
        peer.response().await
    };
    assert_eq!(plain("GET /other").await.status, 404);
    let response = plain("GET /chat").await;
    assert_eq!(response.status, 426);
    assert_eq!(response.header("upgrade"), Some("websocket"));
    assert_eq!(response.header("sec-websocket-version"), Some("13"));
    assert!(response.header("connection").unwrap().contains("Upgrade"));
    let response = plain("POST /chat").await;
    assert_eq!(response.status, 405);
    assert_eq!(response.header("allow"), Some("GET"));
}

#[tokio::test]
async fn bad_handshakes_get_the_right_status() {
    let (address, _server) = start(server().route("/", echo)).await;
    let good = handshake("/", &[]);
    for (from, to, status) in [
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8", 426),
        ("Sec-WebSocket-Version: 13\r\n", "", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 400),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
        ("Connection: Upgrade\r\n", "", 400),
        ("Host: example.test\r\n", "", 400),
        ("Host: example.test", "Host: a\r\nHost: b", 400),
        (
            "Host: example.test",
            "Host: example.test\r\nContent-Length: 5",
            400,
        ),
        ("GET / ", "POST / ", 405),
        ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a, a\r\n\r\n", 400),
        ("\r\n\r\n", "\r\nSec-WebSocket-Protocol: \u{e9}\r\n\r\n", 400),
        ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: ;;;\r\n\r\n", 400),
        ("HTTP/1.1", "HTTP/1.0", 505),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        let mut peer = Peer::connect(address).await;
        peer.write(bad.as_bytes()).await;
        let response = peer.response().await;
        assert_eq!(response.status, status, "{to:?}: {}", response.body);
        if status == 426 {
            assert_eq!(response.header("sec-websocket-version"), Some("13"));
        }
        assert_eq!(
            peer.until_end().await,
            b"",
            "{to:?}: the connection is closed after a refusal"
        );
    }
}

#[tokio::test]
async fn an_axum_router_serves_what_is_not_a_websocket() {
    let router = axum::Router::new().route("/", get(|| async { "page" })).route(
        "/who",
        get(|Extension(info): Extension<Arc<ConnectionInfo>>| async move {
            assert!(matches!(info.peer, Address::Tcp(_)));
            format!("{} {}", info.id, info.local)
        }),
    );
    let builder = server().route("/", echo).route("/{*rest}", echo).fallback(router);
    let (address, _server) = start(builder).await;

    let mut peer = Peer::connect(address).await;
    for (path, status, body) in [
        ("/", 200, "page".to_owned()),
        ("/who", 200, format!("0 {address}")),
        ("/nothing", 404, String::new()),
    ] {
        peer.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
            .await;
        let response = peer.response().await;
        assert_eq!((response.status, response.body), (status, body), "{path}");
    }
    // The same connection becomes a WebSocket after all that.
    assert_eq!(peer.request("/anything", &[]).await.status, 101);
    peer.send_text("after pages").await;
    assert_eq!(peer.receive_text().await, "after pages");
}

#[tokio::test]
async fn a_websocket_for_no_route_is_the_fallbacks() {
    let router = axum::Router::new().fallback(|| async { (http::StatusCode::IM_A_TEAPOT, "tea") });
    let builder = server().route("/chat", echo).fallback(router);
    let (address, _server) = start(builder).await;
    assert_eq!(Peer::ask(address, "/other", &[]).await.status, 418);
    assert_eq!(Peer::ask(address, "/chat", &[]).await.status, 101);
}

#[tokio::test]
async fn subprotocols_are_agreed_on_or_select_the_route() {
    fn named(name: &'static str) -> Route {
        Route::new(move |ws: WebSocket| async move {
            ws.send(format!("{name} {:?}", ws.subprotocol())).await?;
            Ok(())
        })
    }
    let builder = server()
        .route_with("/list", named("list").subprotocols(["v2", "v1"]))
        .route_with(
            "/by",
            named("chat").for_protocol(ForProtocol::Named("chat".into())),
        )
        .route_with("/by", named("none").for_protocol(ForProtocol::Absent))
        .route_with(
            "/only",
            named("only").for_protocol(ForProtocol::Named("only".into())),
        );
    let (address, _server) = start(builder).await;
    for (path, offer, header, greeting) in [
        ("/list", Some("v1, v2"), Some("v1"), "list Some(\"v1\")"),
        ("/list", Some("x, v2"), Some("v2"), "list Some(\"v2\")"),
        ("/list", Some("V1"), None, "list None"),
        ("/list", None, None, "list None"),
        ("/by", Some("x, chat"), Some("chat"), "chat Some(\"chat\")"),
        ("/by", None, None, "none None"),
    ] {
        let headers: Vec<_> = offer
            .map(|offer| ("Sec-WebSocket-Protocol", offer))
            .into_iter()
            .collect();
        let mut peer = Peer::connect(address).await;
        let response = peer.request(path, &headers).await;
        assert_eq!(
            response.header("sec-websocket-protocol"),
            header,
            "{path} {offer:?}"
        );
        assert_eq!(peer.receive_text().await, greeting, "{path} {offer:?}");
    }
    assert_eq!(Peer::ask(address, "/only", &[]).await.status, 404);
}

#[tokio::test]
async fn compression_is_agreed_on_only_when_switched_on() {
    let offer = [(
        "Sec-WebSocket-Extensions",
        "permessage-deflate; client_max_window_bits",
    )];
    let deflate = sockeye::proto::deflate::Deflate::default();
    let builder = server()
        .compression(deflate)
        .route("/on", echo)
        .route_with("/off", Route::new(echo).compression(None));
    let (address, _server) = start(builder).await;
    let extensions =
        |response: crate::peer::Response| response.header("sec-websocket-extensions").map(str::to_owned);
    let on = extensions(Peer::ask(address, "/on", &offer).await).unwrap();
    assert!(on.starts_with("permessage-deflate"), "{on}");
    assert_eq!(extensions(Peer::ask(address, "/off", &offer).await), None);
    assert_eq!(extensions(Peer::ask(address, "/on", &[]).await), None);
}

#[tokio::test]
async fn strange_pages_are_refused_and_programs_are_not() {
    let listed = OriginPolicy::list(["https://app.test"]).unwrap();
    let builder = server()
        .route("/", echo)
        .route_with("/listed", Route::new(echo).origins(listed))
        .route_with("/open", Route::new(echo).origins(OriginPolicy::any()));
    let (address, _server) = start(builder).await;
    for (path, origin, status) in [
        ("/", None, 101),
        ("/", Some("http://example.test"), 101),
        ("/", Some("https://example.test"), 403),
        ("/", Some("http://evil.test"), 403),
        ("/", Some("null"), 403),
        ("/listed", Some("https://app.test"), 101),
        ("/listed", Some("http://example.test"), 403),
        ("/open", Some("http://evil.test"), 101),
    ] {
        let headers: Vec<_> = origin.map(|origin| ("Origin", origin)).into_iter().collect();
        let response = Peer::ask(address, path, &headers).await;
        assert_eq!(response.status, status, "{path} {origin:?}");
    }
    let twice = [
        ("Origin", "http://example.test"),
        ("Origin", "http://example.test"),
    ];
    assert_eq!(Peer::ask(address, "/", &twice).await.status, 400);
}

#[tokio::test]
async fn the_end_of_the_handler_closes_the_connection() {
    let builder = server()
        .route("/ok", |ws: WebSocket| async move {
            ws.send("bye").await?;
            Ok(())
        })
        .route(
            "/error",
            |_ws: WebSocket| async move { Err("out of coffee".into()) },
        )
        .route("/panic", |mut ws: WebSocket| async move {
            ws.recv().await?;
            panic!("on purpose")
        })
        .route("/early", |_ws: WebSocket| {
            assert!(std::hint::black_box(false), "on purpose");
            async move { Ok(()) }
        })
        .route("/echo", echo);
    let (address, _server) = start(builder).await;
    let mut bystander = Peer::open(address, "/echo", &[]).await;

    let mut peer = Peer::open(address, "/ok", &[]).await;
    assert_eq!(peer.receive_text().await, "bye");
    assert_eq!(peer.receive_close().await.0, 1000);
    let mut peer = Peer::open(address, "/error", &[]).await;
    assert_eq!(peer.receive_close().await, (1011, String::new()));
    let mut peer = Peer::open(address, "/panic", &[]).await;
    peer.send_text("go").await;
    assert_eq!(peer.receive_close().await, (1011, String::new()));
    let mut peer = Peer::open(address, "/early", &[]).await;
    assert_eq!(peer.receive_close().await, (1011, String::new()));

    bystander.send_text("still here").await;
    assert_eq!(bystander.receive_text().await, "still here");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_handler() {
    let (gone, seen) = tokio::sync::oneshot::channel();
    let gone = Arc::new(std::sync::Mutex::new(Some(gone)));
    let builder = server().route("/", move |mut ws: WebSocket| {
        let gone = gone.lock().unwrap().take();
        async move {
            let lost = ws.recv().await.is_err_and(|error| error.is_connection_lost());
            if let Some(gone) = gone {
                let _ = gone.send(lost);
            }
            Ok(())
        }
    });
    let (address, _server) = start(builder).await;
    drop(Peer::open(address, "/", &[]).await);
    assert!(soon(seen).await.unwrap());
}
