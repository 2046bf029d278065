//! Upgrade hooks: what they see, what they can answer.

use std::time::Duration;

use sockeye::server::{
    Accept, HandshakeLimits, Rejection, Route, SameSite, SetCookie, TrustedProxies, UpgradeRequest,
};
use sockeye::{Config, WebSocket};

use crate::peer::{Peer, echo, server, start};

#[derive(Clone)]
struct User(String);

#[tokio::test]
async fn a_hook_accepts_with_headers_cookies_data_and_limits() {
    let route = Route::new(|mut ws: WebSocket| async move {
        let name = ws
            .data()
            .get::<User>()
            .map(|user| user.0.clone())
            .unwrap_or_default();
        ws.send(name).await?;
        while ws.recv().await?.is_some() {}
        Ok(())
    })
    .on_upgrade(|request: UpgradeRequest| async move {
        let Some(name) = request.cookie("user").map(str::to_owned) else {
            return Err(Rejection::forbidden("log in first"));
        };
        // A hook may take its time.
        tokio::task::yield_now().await;
        let cookie = SetCookie::new("seen", "1").map_err(|_| Rejection::forbidden("no cookie"))?;
        Ok(Accept::new()
            .subprotocol("chat")
            .header("x-served-by", "north")
            .cookie(cookie.http_only().same_site(SameSite::Strict))
            .data(User(name))
            .limits(Config {
                max_message_size: 10,
                ..Config::server()
            }))
    });
    let (address, _server) = start(server().route_with("/", route)).await;

    let mut peer = Peer::connect(address).await;
    let headers = [
        ("Cookie", "broken=%zz; user=Marianne; ="),
        ("Sec-WebSocket-Protocol", "other, chat"),
    ];
    let response = peer.request("/", &headers).await;
    assert_eq!(response.status, 101);
    assert_eq!(response.header("x-served-by"), Some("north"));
    assert_eq!(
        response.header("set-cookie"),
        Some("seen=1; HttpOnly; SameSite=Strict")
    );
    assert_eq!(response.header("sec-websocket-protocol"), Some("chat"));
    assert_eq!(peer.receive_text().await, "Marianne");
    peer.send_text("eleven chars").await;
    assert_eq!(peer.receive_close().await.0, 1009);

    let response = Peer::ask(address, "/", &[]).await;
    assert_eq!((response.status, response.body.as_str()), (403, "log in first\n"));
}

#[tokio::test]
async fn a_hook_rejects_with_status_headers_and_body() {
    let route = Route::new(echo).on_upgrade(|_| async {
        let rejection = Rejection::new(http::StatusCode::UNAUTHORIZED)
            .unwrap()
            .with_header("www-authenticate", "Bearer")
            .unwrap()
            .with_text("who are you?");
        Err(rejection)
    });
    let (address, _server) = start(server().route_with("/", route)).await;
    let response = Peer::ask(address, "/", &[]).await;
    assert_eq!(response.status, 401);
    assert_eq!(response.header("www-authenticate"), Some("Bearer"));
    assert_eq!(response.body, "who are you?\n");
    assert_eq!(response.header("connection"), Some("close"));
}

#[tokio::test]
async fn mistakes_of_a_hook_are_500_and_tell_the_client_nothing() {
    let accept = |accept: fn() -> Accept| Route::new(echo).on_upgrade(move |_| async move { Ok(accept()) });
    let builder = server()
        .route_with("/protocol", accept(|| Accept::new().subprotocol("not-offered")))
        .route_with(
            "/header",
            accept(|| Accept::new().header("x-secret", "a\r\nb: c")),
        )
        .route_with(
            "/reserved",
            accept(|| Accept::new().header("sec-websocket-accept", "x")),
        )
        .route_with(
            "/limits",
            accept(|| {
                Accept::new().limits(Config {
                    max_message_size: 0,
                    ..Config::server()
                })
            }),
        );
    let (address, _server) = start(builder).await;
    for path in ["/protocol", "/header", "/reserved", "/limits"] {
        let response = Peer::ask(address, path, &[]).await;
        assert_eq!(response.status, 500, "{path}");
        assert!(!response.body.contains("secret"), "{}", response.body);
    }
}

#[tokio::test]
async fn a_hook_that_panics_loses_its_connection_only() {
    let route = Route::new(echo).on_upgrade(|request| async move {
        assert!(request.query_value("panic").is_none(), "on purpose");
        Ok(Accept::new())
    });
    let (address, server) = start(server().route_with("/", route)).await;
    let mut bystander = Peer::open(address, "/", &[]).await;
    let mut peer = Peer::connect(address).await;
    peer.write(crate::peer::handshake("/?panic=1", &[]).as_bytes())
        .await;
    assert_eq!(peer.until_end().await, b"");
    bystander.send_text("still here").await;
    assert_eq!(bystander.receive_text().await, "still here");
    crate::peer::eventually(|| server.connections() == 1).await;
}

#[tokio::test]
async fn a_hook_that_takes_too_long_is_503() {
    let route = Route::new(echo).on_upgrade(|_| std::future::pending());
    let limits = HandshakeLimits {
        timeout: Duration::from_millis(200),
        ..HandshakeLimits::default()
    };
    let (address, server) = start(server().route_with("/", route).handshake_limits(limits)).await;
    let mut peer = Peer::connect(address).await;
    let response = peer.request("/", &[]).await;
    assert_eq!(response.status, 503);
    assert_eq!(peer.until_end().await, b"");
    crate::peer::eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn the_clients_address_comes_from_trusted_proxies_only() {
    let tell = || {
        Route::new(|ws: WebSocket, request: UpgradeRequest| async move {
            let ip = request.client_ip().map(|ip| ip.to_string()).unwrap_or_default();
            ws.send(format!("{ip} {} {}", request.is_secure(), request.host()))
                .await?;
            Ok(())
        })
    };
    let headers = [
        ("X-Forwarded-For", "6.6.6.6, 192.0.2.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "public.test"),
        ("Origin", "https://public.test"),
    ];
    let proxies = TrustedProxies::list(["127.0.0.0/8"]).unwrap();
    let (address, _trusting) = start(server().route_with("/", tell()).trusted_proxies(proxies)).await;
    let mut peer = Peer::open(address, "/", &headers).await;
    assert_eq!(peer.receive_text().await, "192.0.2.7 true public.test");

    let (address, _wary) = start(server().route_with("/", tell())).await;
    let mut peer = Peer::open(address, "/", &headers[..3]).await;
    assert_eq!(peer.receive_text().await, "127.0.0.1 false example.test");
    // The forwarded host does not make a foreign page one of ours.
    assert_eq!(Peer::ask(address, "/", &headers).await.status, 403);
}
