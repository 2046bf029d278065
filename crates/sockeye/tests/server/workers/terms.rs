//! On which terms a WebSocket of a handler is agreed on: domain, path, subprotocol, compression, and whose it is.

use std::net::SocketAddr;

use sockeye::MessageRef;
use sockeye::proto::deflate::Deflate;
use sockeye::server::{
    Accept, Decline, ForProtocol, Handler, ProxyProtocol, Route, Socket, TrustedProxies, UpgradeRequest,
};

use super::{Does, echo};
use crate::peer::{Peer, TEXT, frame, server, start};

/// Says its name and what it was asked for, to each message.
struct Named(&'static str);

impl Handler for Named {
    type Data = String;

    fn upgrade(&self, request: &UpgradeRequest, data: &mut String) -> Result<Accept, Decline> {
        let param = request.params().iter().next().map_or("", |(_, value)| value);
        *data = format!("{} {param}", self.0).trim_end().to_owned();
        Ok(Accept::new())
    }

    fn message(&self, socket: &mut Socket<'_, String>, _: MessageRef<'_>) {
        let text = [socket.data(), socket.subprotocol().unwrap_or_default()].join(" ");
        socket.send(text.trim_end());
    }
}

fn named(name: &'static str) -> Route {
    Route::handler(Named(name))
}

/// The name of the route that serves this request, or the status of the answer.
async fn found(address: SocketAddr, host: &str, path: &str, offers: &str) -> String {
    let mut peer = Peer::connect(address).await;
    let offers = if offers.is_empty() {
        String::new()
    } else {
        format!("Sec-WebSocket-Protocol: {offers}\r\n")
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offers}\r\n"
    );
    peer.write(request.as_bytes()).await;
    match peer.response().await.status {
        101 => {
            peer.send_text("?").await;
            peer.receive_text().await
        }
        status => status.to_string(),
    }
}

#[tokio::test]
async fn handlers_have_domains_paths_and_parameters() {
    let builder = server()
        .host("chat.test", |routes| routes.handle("/", Named("chat")))
        .host("*.test", |routes| {
            routes.route_with("/rooms/{room}", named("any"))
        })
        .route_with("/rooms/{room}", named("room"))
        .handle("/files/{*path}", Named("file"));
    let (address, _server) = start(builder).await;
    for (host, path, expected) in [
        ("chat.test", "/", "chat"),
        ("CHAT.test:80", "/", "chat"),
        ("chat.test", "/rooms/1", "any 1"),
        ("other.org", "/rooms/caf%C3%A9", "room caf\u{e9}"),
        ("other.org", "/files/a/b", "file a/b"),
        ("other.org", "/", "404"),
    ] {
        assert_eq!(found(address, host, path, "").await, expected, "{host}{path}");
    }
}

#[tokio::test]
async fn routes_of_a_domain_come_and_go_while_the_server_runs() {
    let (address, server) = start(server().route_with("/", named("all"))).await;
    let anna = server.host("anna.test").unwrap();
    assert_eq!(found(address, "anna.test", "/", "").await, "all");
    anna.mount("/", named("anna")).unwrap();
    assert!(anna.mount("/", named("twice")).unwrap_err().is_config());
    server.host("*.test").unwrap().mount("/", named("any")).unwrap();
    for (host, expected) in [("anna.test", "anna"), ("bert.test", "any"), ("a.org", "all")] {
        assert_eq!(found(address, host, "/", "").await, expected, "{host}");
    }
    assert!(anna.unmount("/", &ForProtocol::Any).unwrap());
    assert!(!anna.unmount("/", &ForProtocol::Any).unwrap());
    assert!(
        !server
            .host("nobody.test")
            .unwrap()
            .unmount("/", &ForProtocol::Any)
            .unwrap()
    );
    assert_eq!(found(address, "anna.test", "/", "").await, "any");
    assert!(server.unmount("/", &ForProtocol::Any).unwrap());
    assert_eq!(found(address, "a.org", "/", "").await, "404");
    assert!(server.host("http://a.test").unwrap_err().is_config());
}

#[tokio::test]
async fn subprotocols_are_agreed_on_or_choose_the_route() {
    let builder = server()
        .route_with("/", named("one").subprotocols(["v2", "v1"]))
        .route_with(
            "/by",
            named("chat").for_protocol(ForProtocol::Named("chat".into())),
        )
        .route_with("/by", named("none").for_protocol(ForProtocol::Absent));
    let (address, _server) = start(builder).await;
    for (path, offers, expected) in [
        ("/", "v1, v2", "one v1"),
        ("/", "x, v2", "one v2"),
        ("/", "x", "one"),
        ("/", "", "one"),
        ("/by", "x, chat", "chat chat"),
        ("/by", "", "none"),
    ] {
        assert_eq!(
            found(address, "a", path, offers).await,
            expected,
            "{path} {offers}"
        );
    }
}

#[tokio::test]
async fn a_path_is_chosen_before_the_subprotocol_unless_it_passes_on() {
    let pass = |_| async { Err(Decline::Next) };
    let chat = || ForProtocol::Named("chat".into());
    let builder = server()
        .route_with("/rooms/1", named("chat").for_protocol(chat()))
        .route_with("/rooms/2", named("chat").for_protocol(chat()))
        .route_with("/rooms/2", named("never").on_upgrade_or_next(pass))
        .route_with("/rooms/{room}", named("room"));
    let (address, _server) = start(builder).await;
    for (path, offers, expected) in [
        ("/rooms/1", "chat", "chat chat"),
        ("/rooms/1", "other", "404"),
        ("/rooms/1", "", "404"),
        ("/rooms/2", "chat", "chat chat"),
        ("/rooms/2", "other", "room 2"),
        ("/rooms/3", "chat", "room 3"),
    ] {
        assert_eq!(
            found(address, "a", path, offers).await,
            expected,
            "{path} {offers}"
        );
    }
}

#[tokio::test]
async fn compression_is_agreed_on_and_used_where_it_is_wanted() {
    let reports = || {
        Does(|socket: &mut Socket<'_, ()>, message: MessageRef<'_>| {
            socket.send(if socket.is_compressing() {
                "compressing"
            } else {
                "plain"
            });
            socket.send(message);
        })
    };
    let builder = server()
        .handle("/", reports())
        .route_with("/off", Route::handler(reports()).compression(None))
        .compression(Deflate::default());
    let (address, _server) = start(builder).await;
    let offer = [("Sec-WebSocket-Extensions", "permessage-deflate")];
    let text = "again and again and ".repeat(200);
    for (path, headers, compresses) in [
        ("/", &offer[..], true),
        ("/", &[], false),
        ("/off", &offer, false),
    ] {
        let mut peer = Peer::connect(address).await;
        let response = peer.request(path, headers).await;
        assert_eq!(response.status, 101);
        let agreed = response.header("sec-websocket-extensions");
        assert_eq!(
            agreed.is_some_and(|agreed| agreed.starts_with("permessage-deflate")),
            compresses
        );
        peer.send_text(&text).await;
        assert_eq!(
            peer.receive_text().await,
            if compresses { "compressing" } else { "plain" }
        );
        let (_, payload) = peer.receive().await;
        assert_eq!(payload.len() < text.len() / 10, compresses, "{path}");
        assert!(compresses || payload == text.as_bytes());
    }
}

#[tokio::test]
async fn a_compressed_message_is_inflated_for_the_handler() {
    let builder = server().handle("/", echo()).compression(Deflate::default());
    let (address, _server) = start(builder).await;
    let mut peer = Peer::open(
        address,
        "/",
        &[("Sec-WebSocket-Extensions", "permessage-deflate")],
    )
    .await;
    // RFC 7692 §7.2.3.1: "Hello" compressed. The bit after FIN says that it is.
    let mut hello = frame(TEXT, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    hello[0] |= 0x40;
    peer.write(&hello).await;
    // Shorter than the threshold, it comes back as it is.
    assert_eq!(peer.receive_text().await, "Hello");
}

#[tokio::test]
async fn the_proxy_protocol_tells_a_handler_whose_the_connection_is() {
    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb";

    let whose = Does(|socket: &mut Socket<'_, ()>, _: MessageRef<'_>| {
        socket.send(socket.peer_address().unwrap().to_string());
    });
    let loopback = TrustedProxies::list(["127.0.0.1"]).unwrap();
    let router = axum::Router::new().fallback(|| async { "page" });
    let builder = server()
        .handle("/", whose)
        .fallback(router)
        .proxy_protocol(ProxyProtocol::optional(loopback));
    let (address, server) = start(builder).await;
    let v1 = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
    for introduction in [&v1[..], V2] {
        // At once, byte by byte, and behind a page.
        for (in_pieces, page) in [(false, false), (true, false), (false, true)] {
            let mut peer = Peer::connect(address).await;
            if in_pieces {
                for byte in introduction {
                    peer.write(&[*byte]).await;
                }
            } else {
                peer.write(introduction).await;
            }
            if page {
                peer.write(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n").await;
                assert_eq!(peer.response().await.body, "page");
            }
            assert_eq!(peer.request("/", &[]).await.status, 101);
            peer.send_text("whose?").await;
            assert_eq!(peer.receive_text().await, "192.0.2.1:56324");
            let list = server.sockets().await;
            assert_eq!(
                list.last().unwrap().peer_address().unwrap().to_string(),
                "192.0.2.1:56324"
            );
            peer.finish(1000).await;
        }
    }
    let mut plain = Peer::open(address, "/", &[]).await;
    plain.send_text("whose?").await;
    assert!(plain.receive_text().await.starts_with("127.0.0.1:"));
}
