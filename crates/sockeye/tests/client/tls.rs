//! `wss://`

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedKey, DnType, KeyPair};
use sockeye::client::ConnectionInfo;
use sockeye::tls::{
    ClientCertificates, ClientTls, ClientTlsBuilder, Identity, KeyPin, Pem, ServerTls, ServerTlsBuilder,
    TlsInfo, TlsVersion,
};
use sockeye::{Client, ConnectPhase, ConnectTimeouts, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::peer::{Terms, echo};

pub(crate) fn certificate(names: &[&str]) -> CertifiedKey<KeyPair> {
    self_signed(CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap())
}

/// With a subject of its own, as certificates of different authorities have.
fn self_signed(mut params: CertificateParams) -> CertifiedKey<KeyPair> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    params
        .distinguished_name
        .push(DnType::CommonName, format!("test {number}"));
    let signing_key = KeyPair::generate().unwrap();
    CertifiedKey {
        cert: params.self_signed(&signing_key).unwrap(),
        signing_key,
    }
}

/// Serves connections with this certificate.
pub(crate) async fn serve(certificate: &CertifiedKey<KeyPair>) -> SocketAddr {
    serve_as(ServerTls::builder().identity(identity(certificate))).await
}

async fn serve_as(tls: ServerTlsBuilder) -> SocketAddr {
    let tls = tls.build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            // A client that does not trust the certificate hangs up here.
            if let Ok(io) = TlsAcceptor::from(tls.config()).accept(io).await {
                tokio::spawn(echo(io, Terms::default()));
            }
        }
    });
    address
}

pub(crate) fn identity(certificate: &CertifiedKey<KeyPair>) -> Identity {
    Identity::new(
        Pem::bytes(certificate.cert.pem()),
        Pem::bytes(certificate.signing_key.serialize_pem()),
    )
}

fn client(tls: ClientTlsBuilder) -> Client {
    Client::builder().tls(tls.build().unwrap()).build().unwrap()
}

pub(crate) fn trust(certificate: &CertifiedKey<KeyPair>) -> ClientTlsBuilder {
    ClientTls::builder()
        .system_roots(false)
        .root(Pem::bytes(certificate.cert.pem()))
}

fn trusting(certificate: &CertifiedKey<KeyPair>) -> Client {
    client(trust(certificate))
}

/// What TLS agreed on with the server at `url`.
async fn agreed(client: &Client, url: &str) -> TlsInfo {
    let mut ws = client.connect(url).await.unwrap();
    let info = ws.data().get::<ConnectionInfo>().unwrap().tls.clone().unwrap();
    // Reads what the server sends behind its handshake, such as session tickets.
    ws.send("Hello").await.unwrap();
    ws.recv().await.unwrap();
    info
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
async fn each_failure_of_trust_says_what_is_wrong() {
    let mut expired = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    expired.not_before = rcgen::date_time_ymd(2001, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let expired = self_signed(expired);
    let here = certificate(&["127.0.0.1"]);
    let elsewhere = certificate(&["example.org"]);
    for (shown, trusted, want) in [
        (&here, &elsewhere, "signed by nobody whom this client trusts"),
        (&elsewhere, &elsewhere, "is for another name"),
        (&expired, &expired, "has expired"),
    ] {
        let address = serve(shown).await;
        let url = format!("wss://{address}/");
        let error = trusting(trusted).connect(url).await.unwrap_err();
        assert!(error.is_tls(), "{error:?}");
        assert_eq!(error.phase(), Some(ConnectPhase::Tls));
        let text = error.to_string();
        assert!(text.starts_with("TLS with 127.0.0.1 failed: "), "{text}");
        assert!(text.contains(want), "{text}");
        assert!(error.source().unwrap().is::<rustls::Error>());
    }
}

#[tokio::test]
async fn the_systems_roots_do_not_trust_a_self_signed_certificate() {
    let address = serve(&certificate(&["127.0.0.1"])).await;
    let error = sockeye::connect(format!("wss://{address}/")).await.unwrap_err();
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
    assert!(error.to_string().contains("is not TLS"), "{error}");
}

#[tokio::test]
async fn plain_text_to_a_server_of_tls_is_told_as_such() {
    let address = serve(&certificate(&["127.0.0.1"])).await;
    let error = sockeye::connect(format!("ws://{address}/")).await.unwrap_err();
    assert!(error.is_handshake(), "{error:?}");
    assert_eq!(error.phase(), Some(ConnectPhase::Handshake));
    assert!(
        error.to_string().ends_with("the server speaks TLS; try wss://"),
        "{error}"
    );
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

#[tokio::test]
async fn an_attempt_dropped_in_the_tls_handshake_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = client(ClientTls::builder().danger_accept_invalid_certs(true));
    let attempt = tokio::spawn(async move { client.connect(format!("wss://{address}/")).await });
    let (mut io, _) = listener.accept().await.unwrap();
    let mut hello = [0; 1];
    io.read_exact(&mut hello).await.unwrap();
    attempt.abort();
    // The rest of the client's hello, then the end.
    io.read_to_end(&mut Vec::new()).await.unwrap();
}

#[tokio::test]
async fn pins_are_checked_besides_the_certificate() {
    let shown = certificate(&["127.0.0.1"]);
    let url = format!("wss://{}/", serve(&shown).await);
    let pin = KeyPin::of_certificate(shown.cert.der()).unwrap();
    let other = KeyPin::new([7; 32]);
    echoes(&client(trust(&shown).pin(other).pin(pin)), url.clone()).await;

    let error = client(trust(&shown).pin(other)).connect(&url).await.unwrap_err();
    assert!(error.is_tls());
    assert_eq!(
        error.to_string(),
        format!("TLS with 127.0.0.1 failed: the server's key {pin} is none of the 1 that are pinned")
    );
    // A pin is no trust.
    let stranger = certificate(&["127.0.0.1"]);
    let error = client(trust(&stranger).pin(pin)).connect(&url).await.unwrap_err();
    assert!(error.to_string().contains("signed by nobody"), "{error}");
    // Unless nothing else is wanted.
    let only_pinned = |pin| client(ClientTls::builder().danger_accept_invalid_certs(true).pin(pin));
    echoes(&only_pinned(pin), url.clone()).await;
    assert!(only_pinned(other).connect(&url).await.unwrap_err().is_tls());
}

#[tokio::test]
async fn the_name_asked_for_can_be_another_than_the_host() {
    let default = certificate(&["127.0.0.1"]);
    let named = certificate(&["inner.test"]);
    let tls = ServerTls::builder()
        .identity(identity(&default))
        .identity_for("inner.test", identity(&named));
    let url = format!("wss://{}/", serve_as(tls).await);
    let info = agreed(&client(trust(&named).server_name("inner.test")), &url).await;
    assert_eq!(info.peer_certificates, [named.cert.der().clone()]);
    // Without SNI the server shows its default.
    let silent = client(trust(&named).server_name("inner.test").sni(false));
    let error = silent.connect(&url).await.unwrap_err();
    assert!(
        error.to_string().contains("TLS with 127.0.0.1 failed: "),
        "{error}"
    );
}

#[tokio::test]
async fn the_facts_of_tls_are_known() {
    let shown = certificate(&["127.0.0.1"]);
    let url = format!("wss://{}/", serve(&shown).await);
    for (newest, want) in [(TlsVersion::Tls13, "TLSv1.3"), (TlsVersion::Tls12, "TLSv1.2")] {
        let info = agreed(&client(trust(&shown).newest_version(newest)), &url).await;
        assert_eq!(info.version, want);
        assert!(info.cipher.unwrap().starts_with("TLS"));
        assert_eq!(info.alpn.as_deref(), Some(&b"http/1.1"[..]));
        assert_eq!(info.peer_certificates, [shown.cert.der().clone()]);
        assert!(!info.resumed);
    }
}

#[tokio::test]
async fn versions_that_are_not_wanted_are_not_used() {
    let shown = certificate(&["127.0.0.1"]);
    let only_13 = ServerTls::builder()
        .identity(identity(&shown))
        .oldest_version(TlsVersion::Tls13);
    let url = format!("wss://{}/", serve_as(only_13).await);
    let old = client(trust(&shown).newest_version(TlsVersion::Tls12));
    let error = old.connect(&url).await.unwrap_err();
    assert!(error.is_tls());
    assert!(
        error
            .to_string()
            .ends_with("the server speaks no TLS version that this client does"),
        "{error}"
    );
}

#[tokio::test]
async fn sessions_are_resumed() {
    let shown = certificate(&["127.0.0.1"]);
    let url = format!("wss://{}/", serve(&shown).await);
    let client = trusting(&shown);
    assert!(!agreed(&client, &url).await.resumed);
    assert!(agreed(&client, &url).await.resumed);
    assert!(agreed(&client.clone(), &url).await.resumed);
    assert!(!agreed(&trusting(&shown), &url).await.resumed);
}

#[tokio::test]
async fn a_client_shows_its_certificate_to_a_server_that_asks() {
    let shown = certificate(&["127.0.0.1"]);
    let own = certificate(&["client.test"]);
    let asking = ServerTls::builder()
        .identity(identity(&shown))
        .client_certificates(ClientCertificates::Required, Pem::bytes(own.cert.pem()));
    let url = format!("wss://{}/", serve_as(asking).await);
    echoes(&client(trust(&shown).identity(identity(&own))), url.clone()).await;
    for (identity, want) in [
        (None, "demands a certificate of the client"),
        (Some(identity(&shown)), "refused the client's certificate"),
    ] {
        let tls = match identity {
            Some(identity) => trust(&shown).identity(identity),
            None => trust(&shown),
        };
        let error = client(tls).connect(&url).await.unwrap_err();
        assert!(error.is_tls(), "{error:?}");
        assert_eq!(error.phase(), Some(ConnectPhase::Tls));
        assert!(error.to_string().ends_with(want), "{error}");
    }
}

#[tokio::test]
async fn a_rustls_configuration_of_ones_own_is_used_as_it_is() {
    let shown = certificate(&["127.0.0.1"]);
    let url = format!("wss://{}/", serve(&shown).await);
    let mut config = rustls::ClientConfig::clone(&trust(&shown).build().unwrap().config());
    config.alpn_protocols.clear();
    let client = Client::builder().tls(Arc::new(config).into()).build().unwrap();
    assert_eq!(agreed(&client, &url).await.alpn, None);
}

/// Runs itself again as a process with the variable set.
#[tokio::test]
async fn keys_are_logged_only_when_asked_for() {
    const MARK: &str = "SOCKEYE_TEST_LOGS_KEYS";
    if std::env::var_os(MARK).is_none() {
        let folder = tempfile::tempdir().unwrap();
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tls::keys_are_logged_only_when_asked_for"])
            .env("SSLKEYLOGFILE", folder.path().join("keys"))
            .env(MARK, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("1 passed"),
            "{output:?}"
        );
        return;
    }
    let file = std::env::var_os("SSLKEYLOGFILE").unwrap();
    let shown = certificate(&["127.0.0.1"]);
    let url = format!("wss://{}/", serve(&shown).await);
    echoes(&trusting(&shown), url.clone()).await;
    assert!(!std::path::Path::new(&file).exists());
    echoes(&client(trust(&shown).key_log_from_env(true)), url).await;
    let keys = std::fs::read_to_string(file).unwrap();
    assert!(keys.contains("CLIENT_TRAFFIC_SECRET_0"), "{keys}");
}
