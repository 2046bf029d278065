//! Proxies over real sockets, played by a few lines each. Those of other people are in the tests that cross crates.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;

use sockeye::client::ConnectionInfo;
use sockeye::{Client, ClientBuilder, ConnectPhase, Message, Proxy, ProxyPolicy, WebSocket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::peer::{Terms, echo, read_request};

/// A proxy for any number of connections, all of which lead to `server`; gives where it is and what it is asked.
async fn start<F>(ask: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            tokio::spawn(ask(io));
        }
    });
    address
}

/// What proxies were asked.
type Asked = mpsc::UnboundedReceiver<String>;

async fn http_proxy(server: SocketAddr) -> (SocketAddr, Asked) {
    let (report, asked) = mpsc::unbounded_channel();
    (
        start(move |io| connect_method(io, server, report.clone())).await,
        asked,
    )
}

/// Answers CONNECT.
async fn connect_method(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
    server: SocketAddr,
    report: mpsc::UnboundedSender<String>,
) {
    report.send(read_request(&mut io).await).unwrap();
    let mut to = TcpStream::connect(server).await.unwrap();
    io.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .await
        .unwrap();
    let _ = copy_bidirectional(&mut io, &mut to).await;
}

async fn socks_proxy(server: SocketAddr) -> (SocketAddr, Asked) {
    let (report, asked) = mpsc::unbounded_channel();
    (start(move |io| socks(io, server, report.clone())).await, asked)
}

/// Answers SOCKS5 without authentication; reports the destination.
async fn socks(mut io: TcpStream, server: SocketAddr, report: mpsc::UnboundedSender<String>) {
    let mut greeting = [0; 3];
    io.read_exact(&mut greeting).await.unwrap();
    assert_eq!(greeting, [5, 1, 0]);
    io.write_all(&[5, 0]).await.unwrap();
    let mut head = [0; 4];
    io.read_exact(&mut head).await.unwrap();
    assert_eq!(head[..3], [5, 1, 0]);
    let length = match head[3] {
        1 => 4,
        3 => usize::from(io.read_u8().await.unwrap()),
        4 => 16,
        other => panic!("address type {other}"),
    };
    let mut host = vec![0; length];
    io.read_exact(&mut host).await.unwrap();
    let port = io.read_u16().await.unwrap();
    let host = match (head[3], <[u8; 4]>::try_from(&*host)) {
        (1, Ok(octets)) => std::net::Ipv4Addr::from(octets).to_string(),
        _ => String::from_utf8(host).unwrap(),
    };
    report.send(format!("{host}:{port}")).unwrap();
    let mut to = TcpStream::connect(server).await.unwrap();
    io.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let _ = copy_bidirectional(&mut io, &mut to).await;
}

/// An echo server.
async fn server() -> SocketAddr {
    start(|io| echo(io, Terms::default())).await
}

/// A client that goes through `proxy`, for servers whose names nobody but the proxy knows.
fn through(proxy: impl Into<ProxyPolicy>) -> ClientBuilder {
    Client::builder()
        .proxy(proxy)
        .resolver(|host: String, _| async move { panic!("{host} was looked up") })
}

async fn assert_echoes(ws: &mut WebSocket) {
    ws.send("Hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("Hello")));
}

#[tokio::test]
async fn ws_goes_through_a_tunnel_of_an_http_proxy() {
    let (proxy, mut asked) = http_proxy(server().await).await;
    let url = format!("http://user:pass@{proxy}");
    let mut ws = through(Proxy::new(url).unwrap())
        .bearer_auth("for-the-server")
        .connect("ws://chat.test/room")
        .await
        .unwrap();
    assert_echoes(&mut ws).await;
    assert_eq!(
        asked.recv().await.unwrap(),
        "CONNECT chat.test:80 HTTP/1.1\r\nHost: chat.test:80\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
    );
    let info = ws.data().get::<ConnectionInfo>().unwrap();
    assert_eq!((&*info.url, info.peer), ("ws://chat.test/room", Some(proxy)));
    // The server hears nothing of the proxy.
    let request = ws.data().get::<http::Request<()>>().unwrap();
    assert!(!request.headers().contains_key("proxy-authorization"));
}

#[tokio::test]
async fn a_socks5h_proxy_gets_the_name_and_a_socks5_proxy_the_address() {
    let (proxy, mut asked) = socks_proxy(server().await).await;
    let mut ws = through(Proxy::new(format!("socks5h://{proxy}")).unwrap())
        .connect("ws://chat.test:8080/")
        .await
        .unwrap();
    assert_echoes(&mut ws).await;
    assert_eq!(asked.recv().await.unwrap(), "chat.test:8080");

    let addresses = ["[2001:db8::1]:0", "192.0.2.1:0", "192.0.2.2:0"].map(|text| text.parse().unwrap());
    let mut ws = through(Proxy::new(format!("socks5://{proxy}")).unwrap())
        .resolve("chat.test", addresses)
        .connect("ws://chat.test:8080/")
        .await
        .unwrap();
    assert_echoes(&mut ws).await;
    assert_eq!(asked.recv().await.unwrap(), "192.0.2.1:8080");
}

#[tokio::test]
async fn a_policy_says_which_servers_are_reached_without_a_proxy() {
    let server = server().await;
    let (proxy, mut asked) = http_proxy(server).await;
    let policy = ProxyPolicy::from(Proxy::new(proxy.to_string()).unwrap()).bypass("127.0.0.1, .direct.test");
    let client = through(policy)
        .resolve("a.direct.test", [server])
        .resolve("direct.test.elsewhere", [server])
        .build()
        .unwrap();
    for direct in [format!("ws://{server}/"), "ws://a.direct.test/".to_owned()] {
        let ws = client.connect(&direct).await.unwrap();
        let info = ws.data().get::<ConnectionInfo>().unwrap();
        assert_eq!(info.peer, Some(server), "{direct}");
    }
    client.connect("ws://direct.test.elsewhere/").await.unwrap();
    let only = asked.recv().await.unwrap();
    assert!(only.starts_with("CONNECT direct.test.elsewhere:80 "), "{only}");
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "https", "socks5h"] {
        #[cfg(not(feature = "tls"))]
        if scheme == "https" {
            continue;
        }
        let url = format!("{scheme}://{proxy}");
        let error = through(Proxy::new(url).unwrap())
            .connect("ws://chat.test/")
            .await
            .unwrap_err();
        assert!(error.is_connect() && !error.is_proxy(), "{error:?}");
        assert_eq!(error.phase(), Some(ConnectPhase::Connect));
        assert_eq!(error.to_string(), format!("cannot connect to the proxy {proxy}"));
        let cause = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(cause.kind(), io::ErrorKind::ConnectionRefused);
    }
}

#[tokio::test]
async fn a_refusal_of_the_proxy_is_told_apart_from_one_of_the_server() {
    let proxy = start(|mut io| async move {
        read_request(&mut io).await;
        io.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nnot there")
            .await
            .unwrap();
    })
    .await;
    let proxy = Proxy::new(proxy.to_string()).unwrap();
    let error = through(proxy).connect("ws://chat.test/").await.unwrap_err();
    assert!(error.is_proxy() && !error.is_handshake(), "{error:?}");
    assert_eq!(error.phase(), Some(ConnectPhase::Proxy));
    let refusal = error.refusal().unwrap();
    assert_eq!(
        (refusal.status.as_u16(), &*refusal.body),
        (403, &b"not there"[..])
    );
}

#[tokio::test]
async fn redirections_go_through_the_proxy_too() {
    let site = super::site::Site::start(|request| match super::site::path(request) {
        "/" => "HTTP/1.1 302 Found\r\nLocation: ws://other.test/last\r\n\r\n".to_owned(),
        _ => super::peer::accepted(request, ""),
    })
    .await;
    let (proxy, mut asked) = http_proxy(site.address).await;
    through(Proxy::new(proxy.to_string()).unwrap())
        .redirects(1)
        .connect("ws://chat.test/")
        .await
        .unwrap();
    for want in ["CONNECT chat.test:80 ", "CONNECT other.test:80 "] {
        let request = asked.recv().await.unwrap();
        assert!(request.starts_with(want), "{request}");
    }
}

#[cfg(feature = "tls")]
mod tls {
    use sockeye::tls::{ServerTls, TlsInfo};
    use tokio_rustls::TlsAcceptor;

    use super::super::tls::{certificate, identity, serve, trust};
    use super::*;

    /// An `https://` proxy for `localhost`; gives its certificate too.
    async fn https_proxy(server: SocketAddr) -> (String, Asked, sockeye::tls::ClientTls) {
        let certificate = certificate(&["localhost"]);
        let tls = ServerTls::builder()
            .identity(identity(&certificate))
            .build()
            .unwrap();
        let (report, asked) = mpsc::unbounded_channel();
        let address = start(move |io| {
            let (acceptor, report) = (TlsAcceptor::from(tls.config()), report.clone());
            async move {
                // A client that does not trust the certificate hangs up here.
                if let Ok(io) = acceptor.accept(io).await {
                    connect_method(io, server, report).await;
                }
            }
        })
        .await;
        let url = format!("https://localhost:{}", address.port());
        (url, asked, trust(&certificate).build().unwrap())
    }

    #[tokio::test]
    async fn wss_is_encrypted_through_every_kind_of_proxy() {
        let certificate = certificate(&["chat.test"]);
        let server = serve(&certificate).await;
        let (http, _asked_http) = http_proxy(server).await;
        let (socks, _asked_socks) = socks_proxy(server).await;
        let (https, mut asked, trust_proxy) = https_proxy(server).await;
        for proxy in [
            Proxy::new(format!("http://{http}")).unwrap(),
            Proxy::new(format!("socks5h://{socks}")).unwrap(),
            Proxy::new(&https).unwrap().tls(trust_proxy),
        ] {
            let what = proxy.to_string();
            let mut ws = Client::builder()
                .proxy(proxy)
                .tls(trust(&certificate).build().unwrap())
                .connect("wss://chat.test/")
                .await
                .unwrap();
            assert_echoes(&mut ws).await;
            let info = ws.data().get::<ConnectionInfo>().unwrap();
            let tls: &TlsInfo = info.tls.as_ref().unwrap();
            assert_eq!(tls.peer_certificates[0], *certificate.cert.der(), "{what}");
        }
        let request = asked.recv().await.unwrap();
        assert!(request.starts_with("CONNECT chat.test:443 "), "{request}");
    }

    #[tokio::test]
    async fn a_large_message_comes_back_through_tls_within_tls() {
        let certificate = certificate(&["chat.test"]);
        let server = serve(&certificate).await;
        let (https, _asked, trust_proxy) = https_proxy(server).await;
        let mut ws = Client::builder()
            .proxy(Proxy::new(&https).unwrap().tls(trust_proxy))
            .tls(trust(&certificate).build().unwrap())
            .connect("wss://chat.test/")
            .await
            .unwrap();
        let large: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
        ws.send(large.clone()).await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from(large)));
    }

    #[tokio::test]
    async fn a_proxy_is_not_trusted_for_what_servers_are_trusted_with() {
        let (https, _asked, trust_proxy) = https_proxy(server().await).await;
        let client = Client::builder()
            .proxy(Proxy::new(&https).unwrap())
            .tls(trust_proxy);
        let error = client.connect("ws://chat.test/").await.unwrap_err();
        assert!(error.is_tls(), "{error:?}");
        assert_eq!(error.phase(), Some(ConnectPhase::Tls));
        assert!(error.to_string().contains("localhost"), "{error}");
    }
}
