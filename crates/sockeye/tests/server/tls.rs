//! WebSockets under TLS.

use std::net::SocketAddr;
use std::time::Duration;

use sockeye::server::{HandshakeLimits, UpgradeRequest};
use sockeye::tls::{ClientCertificates, ClientTls, Identity, Pem, ServerTls};
use sockeye::{HandlerResult, WebSocket};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::peer::{Peer, echo, eventually, server, start};

struct Pair {
    chain: String,
    key: String,
}

impl Pair {
    fn new(name: &str) -> Self {
        let pair = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        Self {
            chain: pair.cert.pem(),
            key: pair.signing_key.serialize_pem(),
        }
    }

    fn identity(&self) -> Identity {
        Identity::new(Pem::bytes(&self.chain), Pem::bytes(&self.key))
    }

    fn trusted(&self) -> ClientTls {
        ClientTls::builder()
            .system_roots(false)
            .root(Pem::bytes(&self.chain))
            .build()
            .unwrap()
    }
}

async fn connect(address: SocketAddr, tls: &ClientTls) -> std::io::Result<Peer<TlsStream<TcpStream>>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "example.test".try_into().unwrap();
    Ok(Peer::new(
        TlsConnector::from(tls.config()).connect(name, stream).await?,
    ))
}

async fn tell(ws: WebSocket, request: UpgradeRequest) -> HandlerResult {
    let tls = request.connection().tls.clone().unwrap_or_default();
    let name = tls.server_name.unwrap_or_default();
    ws.send(format!("{} {name} {}", tls.version, tls.peer_certificates.len()))
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_websocket_runs_under_tls_and_knows_it() {
    let pair = Pair::new("example.test");
    let tls = ServerTls::builder().identity(pair.identity()).build().unwrap();
    let (address, _server) = start(server().route("/", echo).route("/tell", tell).tls(tls)).await;

    let mut peer = connect(address, &pair.trusted()).await.unwrap();
    // The default Origin policy knows that the page must be https.
    assert_eq!(
        peer.request("/", &[("Origin", "https://example.test")])
            .await
            .status,
        101
    );
    let large = "x".repeat(60_000);
    peer.send_text(&large).await;
    assert_eq!(peer.receive_text().await, large);
    peer.send_close(1000).await;
    assert_eq!(peer.receive_close().await.0, 1000);
    assert_eq!(peer.until_end().await, b"");

    let mut peer = connect(address, &pair.trusted()).await.unwrap();
    assert_eq!(
        peer.request("/", &[("Origin", "http://example.test")])
            .await
            .status,
        403
    );

    let mut peer = connect(address, &pair.trusted()).await.unwrap();
    assert_eq!(peer.request("/tell", &[]).await.status, 101);
    assert_eq!(peer.receive_text().await, "TLSv1.3 example.test 0");
}

#[tokio::test]
async fn client_certificates_are_shown_to_handlers() {
    let pair = Pair::new("example.test");
    let client = Pair::new("client.test");
    let tls = ServerTls::builder()
        .identity(pair.identity())
        .client_certificates(ClientCertificates::Optional, Pem::bytes(&client.chain))
        .build()
        .unwrap();
    let (address, _server) = start(server().route("/tell", tell).tls(tls)).await;
    let tls = ClientTls::builder()
        .system_roots(false)
        .root(Pem::bytes(&pair.chain))
        .identity(client.identity())
        .build()
        .unwrap();
    let mut peer = connect(address, &tls).await.unwrap();
    assert_eq!(peer.request("/tell", &[]).await.status, 101);
    assert_eq!(peer.receive_text().await, "TLSv1.3 example.test 1");
}

#[tokio::test]
async fn certificates_are_reloaded_without_dropping_a_connection() {
    let dir = tempfile::tempdir().unwrap();
    let (chain, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let (old, new) = (Pair::new("example.test"), Pair::new("example.test"));
    std::fs::write(&chain, &old.chain).unwrap();
    std::fs::write(&key, &old.key).unwrap();
    let tls = ServerTls::from_pem_files(&chain, &key).unwrap();
    let (address, _server) = start(server().route("/", echo).tls(tls.clone())).await;
    let mut peer = connect(address, &old.trusted()).await.unwrap();
    assert_eq!(peer.request("/", &[]).await.status, 101);

    std::fs::write(&chain, &new.chain).unwrap();
    std::fs::write(&key, &new.key).unwrap();
    tls.reload().unwrap();
    assert!(connect(address, &old.trusted()).await.is_err());
    connect(address, &new.trusted()).await.unwrap();
    peer.send_text("unharmed").await;
    assert_eq!(peer.receive_text().await, "unharmed");
}

#[tokio::test]
async fn silence_in_the_tls_hello_ends_at_its_own_deadline() {
    let pair = Pair::new("example.test");
    let tls = ServerTls::builder().identity(pair.identity()).build().unwrap();
    let limits = HandshakeLimits {
        tls_timeout: Duration::from_millis(200),
        timeout: Duration::from_secs(600),
        ..HandshakeLimits::default()
    };
    let (address, server) = start(server().route("/", echo).tls(tls).handshake_limits(limits)).await;
    let mut silent = Peer::connect(address).await;
    silent.until_end().await;
    let mut plain = Peer::connect(address).await;
    plain.write(b"GET / HTTP/1.1\r\n\r\n").await;
    plain.until_end().await;
    eventually(|| server.connections() == 0).await;
}
