//! TLS and the PROXY protocol on workers, before handlers with callbacks.

use sockeye::MessageRef;
use sockeye::driver::DriverKind;
use sockeye::server::{
    Accept, Decline, Handler, ProxyProtocol, Server, ServerBuilder, Socket, TrustedProxies, UpgradeRequest,
};
use sockeye::tls::{ClientCertificates, ClientTls, Identity, Pem, ServerTls};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::peer::{Peer, eventually, start};

/// Answers every message with what was known about the connection when it opened.
struct Tell;

impl Handler for Tell {
    type Data = String;

    fn upgrade(&self, request: &UpgradeRequest, told: &mut String) -> Result<Accept, Decline> {
        let connection = request.connection();
        let tls = connection.tls.clone().unwrap_or_default();
        *told = format!(
            "{} {} {} {} {} {}",
            tls.version,
            tls.server_name.unwrap_or_default(),
            tls.peer_certificates.len(),
            tls.resumed,
            request.is_secure(),
            connection.peer.ip().map(|ip| ip.to_string()).unwrap_or_default(),
        );
        Ok(Accept::new())
    }

    fn message(&self, socket: &mut Socket<'_, String>, message: MessageRef<'_>) {
        let told = socket.data().clone();
        match message {
            MessageRef::Text(_) => socket.send(&*told),
            MessageRef::Binary(_) => socket.send(message),
        };
    }
}

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
}

/// A server on one worker with each driver that there is.
fn servers() -> impl Iterator<Item = ServerBuilder> {
    [DriverKind::Readiness, DriverKind::Uring]
        .into_iter()
        .filter(|kind| kind.resolve().is_ok())
        .map(|kind| Server::builder().workers(1).driver(kind).handle("/", Tell))
}

async fn secure(
    stream: TcpStream,
    name: &str,
    tls: &ClientTls,
) -> std::io::Result<Peer<tokio_rustls::client::TlsStream<TcpStream>>> {
    let name = name.to_owned().try_into().unwrap();
    Ok(Peer::new(
        TlsConnector::from(tls.config()).connect(name, stream).await?,
    ))
}

#[tokio::test]
async fn a_hook_sees_name_and_resumption() {
    let (first, second) = (Pair::new("a.test"), Pair::new("b.test"));
    let client = ClientTls::builder()
        .system_roots(false)
        .root(Pem::bytes(&first.chain))
        .root(Pem::bytes(&second.chain))
        .build()
        .unwrap();
    for server in servers() {
        let tls = ServerTls::builder()
            .identity(first.identity())
            .identity_for("b.test", second.identity())
            .build()
            .unwrap();
        let (address, _server) = start(server.tls(tls.clone())).await;
        for (name, resumed) in [("a.test", false), ("b.test", false), ("b.test", true)] {
            let stream = TcpStream::connect(address).await.unwrap();
            let mut peer = secure(stream, name, &client).await.unwrap();
            assert_eq!(peer.request("/", &[]).await.status, 101);
            peer.send_text("who am I").await;
            let expected = format!("TLSv1.3 {name} 0 {resumed} true 127.0.0.1");
            assert_eq!(peer.receive_text().await, expected);
            peer.finish(1000).await;
        }
    }
}

#[tokio::test]
async fn a_hook_sees_the_clients_certificate() {
    let pair = Pair::new("a.test");
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let chain = rcgen::CertificateParams::new(vec!["client".to_owned()])
        .unwrap()
        .signed_by(&key, &authority)
        .unwrap();
    let trusting = || {
        ClientTls::builder()
            .system_roots(false)
            .root(Pem::bytes(&pair.chain))
    };
    let identity = Identity::new(Pem::bytes(chain.pem()), Pem::bytes(key.serialize_pem()));
    let known = trusting().identity(identity).build().unwrap();
    let anonymous = trusting().build().unwrap();
    for server in servers() {
        let tls = ServerTls::builder()
            .identity(pair.identity())
            .client_certificates(ClientCertificates::Required, Pem::bytes(authority.pem()))
            .build()
            .unwrap();
        let (address, server) = start(server.tls(tls)).await;
        let stream = TcpStream::connect(address).await.unwrap();
        let mut peer = secure(stream, "a.test", &known).await.unwrap();
        assert_eq!(peer.request("/", &[]).await.status, 101);
        peer.send_text("who am I").await;
        assert_eq!(peer.receive_text().await, "TLSv1.3 a.test 1 false true 127.0.0.1");
        peer.finish(1000).await;

        let stream = TcpStream::connect(address).await.unwrap();
        // With TLS 1.3 the client has shaken hands before it learns that it was refused.
        if let Ok(mut peer) = secure(stream, "a.test", &anonymous).await {
            peer.try_write(b"GET / HTTP/1.1\r\n\r\n").await;
        }
        eventually(|| server.connections() == 0).await;
    }
}

#[tokio::test]
async fn the_proxy_protocol_comes_before_tls() {
    let pair = Pair::new("a.test");
    let client = ClientTls::builder()
        .system_roots(false)
        .root(Pem::bytes(&pair.chain))
        .build()
        .unwrap();
    for server in servers() {
        let tls = ServerTls::builder().identity(pair.identity()).build().unwrap();
        let balancers = TrustedProxies::list(["127.0.0.1"]).unwrap();
        let server = server.tls(tls).proxy_protocol(ProxyProtocol::required(balancers));
        let (address, _server) = start(server).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"PROXY TCP4 192.0.2.1 198.51.100.2 1 443\r\n")
            .await
            .unwrap();
        let mut peer = secure(stream, "a.test", &client).await.unwrap();
        assert_eq!(peer.request("/", &[]).await.status, 101);
        peer.send_text("who am I").await;
        assert_eq!(peer.receive_text().await, "TLSv1.3 a.test 0 false true 192.0.2.1");
        peer.finish(1000).await;
    }
}
