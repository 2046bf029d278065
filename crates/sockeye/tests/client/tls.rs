//! `wss://`

use std::error::Error as _;
use std::net::SocketAddr;
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use sockeye::tls::{ClientTls, Identity, Pem, ServerTls};
use sockeye::{Client, ConnectTimeouts, Message};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::peer::{Terms, echo};

fn certificate(names: &[&str]) -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

/// Serves one connection with this certificate.
async fn serve(certificate: &CertifiedKey<KeyPair>) -> SocketAddr {
    let identity = Identity::new(
        Pem::bytes(certificate.cert.pem()),
        Pem::bytes(certificate.signing_key.serialize_pem()),
    );
    let tls = ServerTls::builder().identity(identity).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (io, _) = listener.accept().await.unwrap();
        // A client that does not trust the certificate hangs up here.
        if let Ok(io) = TlsAcceptor::from(tls.config()).accept(io).await {
            echo(io, Terms::default()).await;
        }
    });
    address
}

fn client(tls: sockeye::tls::ClientTlsBuilder) -> Client {
    Client::builder().tls(tls.build().unwrap()).build().unwrap()
}

fn trusting(certificate: &CertifiedKey<KeyPair>) -> Client {
    client(
        ClientTls::builder()
            .system_roots(false)
            .root(Pem::bytes(certificate.cert.pem())),
    )
}

async fn echoes(client: &Client, url: String) {
    let mut ws = client.connect(url).await.unwrap();
    ws.send("Hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("Hello")));
}

#[tokio::test]
async fn a_certificate_is_trusted_by_a_root_given_as_pem() {
    let certificate = certificate(&["localhost", "127.0.0.1"]);
    let client = trusting(&certificate);
    for host in ["localhost", "127.0.0.1"] {
        let port = serve(&certificate).await.port();
        echoes(&client, format!("wss://{host}:{port}/")).await;
    }
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused_with_the_cause() {
    let address = serve(&certificate(&["127.0.0.1"])).await;
    let other = trusting(&certificate(&["127.0.0.1"]));
    let error = other.connect(format!("wss://{address}/")).await.unwrap_err();
    assert!(error.is_tls(), "{error:?}");
    assert_eq!(error.to_string(), "TLS with 127.0.0.1 failed");
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains("certificate"), "{cause}");
}

#[tokio::test]
async fn the_systems_roots_do_not_trust_a_self_signed_certificate() {
    let address = serve(&certificate(&["127.0.0.1"])).await;
    let error = sockeye::connect(format!("wss://{address}/")).await.unwrap_err();
    assert!(error.is_tls(), "{error:?}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let certificate = certificate(&["example.org"]);
    let address = serve(&certificate).await;
    let error = trusting(&certificate)
        .connect(format!("wss://{address}/"))
        .await
        .unwrap_err();
    assert!(error.is_tls(), "{error:?}");
}

#[tokio::test]
async fn any_certificate_will_do_when_the_client_was_told_so() {
    let address = serve(&certificate(&["example.org"])).await;
    let insecure = client(ClientTls::builder().danger_accept_invalid_certs(true));
    echoes(&insecure, format!("https://{address}/")).await;
}

#[tokio::test]
async fn a_server_that_speaks_plain_text_is_a_tls_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut io, _) = listener.accept().await.unwrap();
        io.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
    });
    let insecure = client(ClientTls::builder().danger_accept_invalid_certs(true));
    let error = insecure.connect(format!("wss://{address}/")).await.unwrap_err();
    assert!(error.is_tls(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_silent_in_the_tls_handshake_is_given_up_after_its_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = Client::builder()
        .tls(
            ClientTls::builder()
                .danger_accept_invalid_certs(true)
                .build()
                .unwrap(),
        )
        .timeouts(ConnectTimeouts {
            tls: Duration::from_secs(4),
            ..ConnectTimeouts::default()
        });
    let error = client.connect(format!("wss://{address}/")).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the TLS handshake with 127.0.0.1 took longer than 4s"
    );
}
