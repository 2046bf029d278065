//! Which route a request finds: domains, and hooks that pass a request on.

use sockeye::server::{Accept, Decline, ForProtocol, Rejection, Route, TrustedProxies, UpgradeRequest};
use sockeye::{HandlerResult, WebSocket};

use crate::peer::{Peer, server, start};

/// Says its name, and what parameter it was found by.
fn named(name: &'static str) -> Route {
    Route::new(move |mut ws: WebSocket, request: UpgradeRequest| async move {
        let param = request.params().iter().next().map_or("", |(_, value)| value);
        ws.send(format!("{name} {param}").trim_end()).await?;
        while ws.recv().await?.is_some() {}
        HandlerResult::Ok(())
    })
}

/// Passes every request on.
fn passing() -> Route {
    named("never").on_upgrade_or_next(|_| async { Err(Decline::Next) })
}

async fn greeting(address: std::net::SocketAddr, host: &str, path: &str, headers: &str) -> String {
    let mut peer = Peer::connect(address).await;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    );
    peer.write(request.as_bytes()).await;
    match peer.response().await.status {
        101 => peer.receive_text().await,
        status => status.to_string(),
    }
}

#[tokio::test]
async fn a_domain_has_routes_of_its_own_which_come_first() {
    let builder = server()
        .host("*.example.com", |routes| {
            routes
                .route_with("/", named("any"))
                .route_with("/any", named("any"))
        })
        .host("chat.example.com", |routes| routes.route_with("/", named("chat")))
        .route_with("/{*rest}", named("default"))
        .route_with("/", named("default"))
        .trusted_proxies(TrustedProxies::list(["127.0.0.1"]).unwrap());
    let (address, _server) = start(builder).await;
    for (host, path, expected) in [
        ("chat.example.com", "/", "chat"),
        ("CHAT.example.com.:8080", "/", "chat"),
        ("other.example.com", "/", "any"),
        ("a.other.example.com", "/", "default"),
        ("example.com", "/", "default"),
        ("localhost", "/", "default"),
        // What the domain has not, the next best one has.
        ("chat.example.com", "/any", "any"),
        ("chat.example.com", "/else", "default else"),
    ] {
        assert_eq!(greeting(address, host, path, "").await, expected, "{host}{path}");
    }
    let forwarded = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: chat.example.com\r\n";
    assert_eq!(greeting(address, "inner:3000", "/", forwarded).await, "chat");
}

#[tokio::test]
async fn a_path_of_one_domain_is_nothing_on_another() {
    let builder = server().host("a.test", |routes| routes.route_with("/", named("a")));
    let (address, _server) = start(builder).await;
    assert_eq!(greeting(address, "a.test", "/", "").await, "a");
    assert_eq!(greeting(address, "b.test", "/", "").await, "404");
    // The path of a route says what it is there for.
    for (host, status) in [("a.test", 426), ("b.test", 404)] {
        let mut peer = Peer::connect(address).await;
        peer.write(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
            .await;
        assert_eq!(peer.response().await.status, status, "{host}");
    }
}

#[tokio::test]
async fn a_request_that_is_passed_on_finds_the_next_route() {
    let builder = server()
        .host("a.test", |routes| routes.route_with("/rooms/{room}", passing()))
        .route_with(
            "/rooms/1",
            passing().for_protocol(ForProtocol::Named("chat".into())),
        )
        .route_with("/rooms/1", passing())
        .route_with("/rooms/{room}", named("room"))
        .route_with("/dead/end", passing());
    let (address, _server) = start(builder).await;
    let chat = "Sec-WebSocket-Protocol: chat\r\n";
    assert_eq!(greeting(address, "a.test", "/rooms/1", chat).await, "room 1");
    assert_eq!(greeting(address, "b.test", "/rooms/1", "").await, "room 1");
    assert_eq!(greeting(address, "b.test", "/dead/end", "").await, "404");
}

#[tokio::test]
async fn a_request_that_all_routes_pass_on_is_for_the_fallback() {
    let axum = axum::Router::new()
        .route("/open", axum::routing::get(adopt))
        .fallback(|| async { axum::http::StatusCode::IM_A_TEAPOT });
    let builder = server()
        .host("a.test", |routes| routes.route_with("/{page}", passing()))
        .route_with("/{*rest}", passing())
        .route_with(
            "/spoken/for",
            named("chat").for_protocol(ForProtocol::Named("chat".into())),
        )
        .fallback(axum);
    let (address, _server) = start(builder).await;
    for host in ["a.test", "b.test"] {
        assert_eq!(greeting(address, host, "/page", "").await, "418");
        assert_eq!(greeting(address, host, "/open", "").await, "adopted");
    }
    // Nobody has passed this one on.
    assert_eq!(greeting(address, "b.test", "/spoken/for", "").await, "404");
}

/// Opens a WebSocket where the fallback is asked for one.
async fn adopt(upgrade: sockeye::axum::WebSocketUpgrade) -> axum::response::Response {
    upgrade.on_upgrade(async |mut ws: WebSocket| {
        ws.send("adopted").await?;
        while ws.recv().await?.is_some() {}
        HandlerResult::Ok(())
    })
}

#[tokio::test]
async fn a_hook_that_may_pass_on_may_also_decide() {
    let hook = |request: UpgradeRequest| async move {
        match request.query_value("do").as_deref() {
            Some("accept") => Ok(Accept::new()),
            Some("reject") => Err(Rejection::forbidden("no").into()),
            _ => Err(Decline::Next),
        }
    };
    let builder = server()
        .route_with("/a", named("first").on_upgrade_or_next(hook))
        .route_with("/{*rest}", named("second"));
    let (address, _server) = start(builder).await;
    assert_eq!(greeting(address, "a.test", "/a?do=accept", "").await, "first");
    assert_eq!(greeting(address, "a.test", "/a?do=reject", "").await, "403");
    assert_eq!(greeting(address, "a.test", "/a", "").await, "second a");
}

#[tokio::test]
async fn a_domain_that_cannot_be_is_an_error() {
    let builder = server()
        .host("http://a.test", |routes| routes.route_with("/", named("a")))
        .bind("127.0.0.1:0");
    let error = builder.build().unwrap_err();
    assert!(
        error.is_config() && error.to_string().contains("http://a.test"),
        "{error}"
    );
}
