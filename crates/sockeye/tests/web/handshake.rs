//! The request and the answer: §3.2 of the checklist.

use sockeye::web::WebSocket;
use sockeye::{Client, web::EnvironmentBuilder};

use crate::page::{Page, listen};
use crate::peer::{Peer, Server};

/// The head of the request that a WebSocket in this environment sends.
async fn request(change: impl FnOnce(EnvironmentBuilder) -> EnvironmentBuilder, url: &str) -> Peer {
    let server = Server::listen().await;
    let page = Page::with(change);
    let url = url.replace("HOST", &server.authority());
    let _ws = page.socket(&url, ());
    server.accept().await
}

#[tokio::test]
async fn the_request_is_that_of_the_standard() {
    let server = Server::listen().await;
    let page = Page::with(|page| {
        page.base_url("https://example.org/page?secret")
            .compression(sockeye::proto::deflate::Deflate {
                server_no_context_takeover: false,
                client_no_context_takeover: false,
                ..Default::default()
            })
    });
    let _ws = page.socket(&format!("{}chat?room=1", server.url()), ["a", "b"]);
    let peer = server.accept().await;
    let lines: Vec<_> = peer.request.lines().collect();
    assert_eq!(lines[0], "GET /chat?room=1 HTTP/1.1");
    let fields: Vec<_> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .collect();
    let names: Vec<_> = fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let order = |name: &str| names.iter().position(|other| other == name);
    let in_order = [
        "upgrade",
        "connection",
        "sec-websocket-key",
        "sec-websocket-version",
        "sec-websocket-protocol",
        "sec-websocket-extensions",
    ];
    assert!(in_order.map(order).is_sorted(), "{names:?}");
    assert_eq!(
        names.len(),
        in_order.len() + 2,
        "Host and Origin beside: {names:?}"
    );
    for (name, want) in [
        ("Host", server.authority().as_str()),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "a, b"),
        (
            "Sec-WebSocket-Extensions",
            "permessage-deflate; client_max_window_bits",
        ),
        ("Origin", "https://example.org"),
    ] {
        assert_eq!(peer.field(name), Some(want), "{name}");
    }
    // 16 bytes in base64.
    assert_eq!(peer.field("Sec-WebSocket-Key").unwrap().len(), 24);
}

#[tokio::test]
async fn compression_is_offered_as_browsers_do_by_default() {
    let server = Server::listen().await;
    let _ws = WebSocket::new(server.url(), ()).unwrap();
    assert_eq!(
        server.accept().await.field("Sec-WebSocket-Extensions"),
        Some("permessage-deflate; client_max_window_bits")
    );
}

#[tokio::test]
async fn no_referrer_is_sent() {
    let peer = request(|page| page.base_url("https://example.org/page"), "ws://HOST/").await;
    assert_eq!(peer.field("Referer"), None);
}

#[tokio::test]
async fn the_origin_is_that_of_the_page() {
    type Change = fn(EnvironmentBuilder) -> EnvironmentBuilder;
    let cases: [(Change, Option<&str>); 5] = [
        (|page| page, None),
        (|page| page.base_url("http://A.test:80/x"), Some("http://a.test")),
        (|page| page.base_url("about:blank"), Some("null")),
        (|page| page.origin("https://b.test"), Some("https://b.test")),
        (
            |page| page.origin("https://b.test").base_url("https://a.test/"),
            Some("https://b.test"),
        ),
    ];
    for (change, want) in cases {
        assert_eq!(request(change, "ws://HOST/").await.field("Origin"), want);
    }
}

#[tokio::test]
async fn credentials_in_the_url_become_basic_authentication() {
    let peer = request(|page| page, "ws://user:p%40ss@HOST/").await;
    assert_eq!(peer.field("Authorization"), Some("Basic dXNlcjpwQHNz"));
    assert!(!peer.field("Host").unwrap().contains('@'));
    assert!(peer.request.starts_with("GET / HTTP/1.1\r\n"));
}

#[cfg(feature = "cookies")]
#[tokio::test]
async fn cookies_are_sent_and_those_that_are_set_are_stored() {
    let store = sockeye::cookies::CookieStore::new();
    let server = Server::listen().await;
    store.set(server.url(), "before=1").unwrap();
    let page = Page::with(|page| page.cookies(store.clone()));
    let ws = page.socket(&server.url(), ());
    let mut peer = server.accept().await;
    assert_eq!(peer.field("Cookie"), Some("before=1"));
    peer.open("Set-Cookie: ws_test=test; HttpOnly\r\nSet-Cookie: path=a; Path=/a\r\n")
        .await;
    page.reach(&ws, WebSocket::OPEN).await;
    assert_eq!(store.len(), 3);
    // Another page that shares the store; a failed handshake stores as well.
    let other = Page::with(|page| page.cookies(store.clone()));
    let ws = other.socket(&format!("{}a/b", server.url()), ());
    let mut peer = server.accept().await;
    assert_eq!(peer.field("Cookie"), Some("path=a; before=1; ws_test=test"));
    peer.write(b"HTTP/1.1 403 No\r\nSet-Cookie: refused=1\r\nContent-Length: 0\r\n\r\n")
        .await;
    other.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(store.len(), 4);
}

#[tokio::test]
async fn the_client_of_the_environment_opens_the_connection() {
    let client = Client::builder()
        .header("X-Fish", "salmon")
        .subprotocol("not-asked-for")
        .build()
        .unwrap();
    let peer = request(|page| page.client(client), "ws://HOST/").await;
    assert_eq!(peer.field("X-Fish"), Some("salmon"));
    assert_eq!(peer.field("Sec-WebSocket-Protocol"), None);
}

/// What scripts see when the server answers the handshake with what `answer` makes of the request.
async fn outcome(protocols: &[&str], answer: impl FnOnce(&Peer) -> String) -> (Vec<String>, sockeye::Error) {
    let server = Server::listen().await;
    let page = Page::new();
    let ws = page.socket(&server.url(), protocols);
    let log = listen(&ws);
    let mut peer = server.accept().await;
    peer.write(answer(&peer).as_bytes()).await;
    let ended = tokio::spawn(peer.end());
    page.reach(&ws, WebSocket::CLOSED).await;
    ended.await.unwrap();
    assert_eq!((ws.protocol().as_str(), ws.extensions().as_str()), ("", ""));
    (log.lines(), ws.failure().unwrap())
}

#[tokio::test]
async fn a_redirect_fails_the_connection() {
    for status in [301, 302, 303, 307, 308] {
        let answer = format!("HTTP/1.1 {status} Elsewhere\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n");
        let (log, failure) = outcome(&[], |_| answer).await;
        assert_eq!(log, ["error", "close 1006 unclean"]);
        assert_eq!(failure.refusal().unwrap().status, status);
    }
}

#[tokio::test]
async fn answers_that_break_the_handshake_fail_the_connection() {
    type Answer = fn(&Peer) -> String;
    let plain: Answer = |peer| peer.acceptance("");
    let cases: &[(&str, &[&str], Answer)] = &[
        ("no answer", &[], |_| String::new()),
        ("no HTTP", &[], |_| "FOO BAR BAZ\r\n\r\n".to_owned()),
        ("another status", &[], |_| {
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned()
        }),
        ("refused", &[], |_| {
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned()
        }),
        ("authentication wanted", &[], |_| {
            "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"a\"\r\nContent-Length: 0\r\n\r\n".to_owned()
        }),
        ("protocol asked, none named", &["a"], plain),
        ("protocol asked, an empty one named", &["a"], |peer| {
            peer.acceptance("Sec-WebSocket-Protocol: \r\n")
        }),
        ("another protocol", &["a"], |peer| {
            peer.acceptance("Sec-WebSocket-Protocol: b\r\n")
        }),
        ("a protocol in another case", &["a"], |peer| {
            peer.acceptance("Sec-WebSocket-Protocol: A\r\n")
        }),
        ("two protocols", &["a", "b"], |peer| {
            peer.acceptance("Sec-WebSocket-Protocol: a, b\r\n")
        }),
        ("a protocol that nobody asked for", &[], |peer| {
            peer.acceptance("Sec-WebSocket-Protocol: a\r\n")
        }),
        ("wrong Upgrade", &[], |peer| {
            peer.acceptance("").replace("Upgrade: websocket", "Upgrade: h2c")
        }),
        ("wrong Connection", &[], |peer| {
            peer.acceptance("")
                .replace("Connection: Upgrade", "Connection: close")
        }),
        ("wrong Accept", &[], |peer| {
            peer.acceptance("").replace("Accept: ", "Accept: x")
        }),
        ("an extension that nobody asked for", &[], |peer| {
            peer.acceptance("Sec-WebSocket-Extensions: x-other\r\n")
        }),
    ];
    for (name, protocols, answer) in cases {
        let (log, failure) = outcome(protocols, answer).await;
        // Scripts cannot tell the causes apart; the program can.
        assert_eq!(log, ["error", "close 1006 unclean"], "{name}");
        assert!(failure.is_handshake(), "{name}: {failure:?}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_fails_the_connection() {
    let server = Server::listen().await;
    let url = server.url();
    drop(server);
    let page = Page::new();
    let ws = page.socket(&url, ());
    let log = listen(&ws);
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["error", "close 1006 unclean"]);
    assert!(ws.failure().unwrap().is_connect());
}

#[tokio::test]
async fn one_connection_to_a_host_is_connecting_at_a_time() {
    let (page, server) = (Page::new(), Server::listen().await);
    let one = page.socket(&server.url(), ());
    let other = page.socket(&server.url(), ());
    let (mut first, _) = tokio::join!(server.accept(), idle());
    // The first is not answered yet, so nobody else has come.
    assert!(!server.has_next(idle()).await);
    first.open("").await;
    let mut second = server.accept().await;
    second.open("").await;
    page.reach(&one, WebSocket::OPEN).await;
    page.reach(&other, WebSocket::OPEN).await;
}

/// Long enough for everybody else to do what they can.
async fn idle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}
