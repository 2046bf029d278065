//! Sockeye's client through proxies that people use.

use std::path::Path;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use sockeye::tls::{ClientTls, Identity, Pem, ServerTls};
use sockeye::{Client, CloseCode, ConnectPhase, Proxy};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::echo_server::{EchoServer, LARGEST_MESSAGE};
use crate::messages::converse;
use crate::peer::Peer;

const HTTP: &str = "proxy-chain";
const SOCKS: &str = "@pondwader/socks5-server";

/// Each package with a scheme of URLs that it is reached by.
const ALL: [(&str, &str); 3] = [(HTTP, "http"), (SOCKS, "socks5"), (SOCKS, "socks5h")];

/// Credentials that need encoding in a URL.
const LOGIN: [&str; 4] = ["--user", "fish", "--password", "p@ss/wörd"];
const LOGIN_IN_URL: &str = "fish:p%40ss%2Fw%C3%B6rd@";

/// A certificate for `localhost`.
fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate")
}

fn trust(certificate: &CertifiedKey<KeyPair>) -> ClientTls {
    ClientTls::builder()
        .system_roots(false)
        .root(Pem::bytes(certificate.cert.pem()))
        .build()
        .expect("a certificate that can be trusted")
}

async fn tls_server(certificate: &CertifiedKey<KeyPair>) -> EchoServer {
    let key = Pem::bytes(certificate.signing_key.serialize_pem());
    let identity = Identity::new(Pem::bytes(certificate.cert.pem()), key);
    let tls = ServerTls::builder().identity(identity).build();
    EchoServer::start_tls(tls.expect("a certificate that can be shown")).await
}

fn proxy(scheme: &str, login: &str, port: u16) -> Proxy {
    Proxy::new(format!("{scheme}://{login}localhost:{port}")).expect("the URL of a proxy")
}

/// Connects through the proxy, sends everything, closes.
async fn converse_through(proxy: Proxy, tls: &ClientTls, url: &str) {
    let what = proxy.to_string();
    let limits = sockeye::Config {
        max_message_size: LARGEST_MESSAGE,
        max_frame_size: LARGEST_MESSAGE,
        ..sockeye::Config::client()
    };
    let client = Client::builder().proxy(proxy).tls(tls.clone()).limits(limits);
    let mut ws = client
        .connect(url)
        .await
        .unwrap_or_else(|error| panic!("{what} to {url}: {error:?}"));
    converse(&mut ws, &what).await;
    ws.close(CloseCode::NORMAL, "")
        .await
        .expect("the connection closes");
}

/// `host:port` of a URL.
fn authority(url: &str) -> &str {
    url.split('/').nth(2).expect("an authority")
}

#[tokio::test]
async fn messages_pass_every_proxy_with_and_without_tls_and_credentials() {
    let certificate = certificate();
    let tls = trust(&certificate);
    let (plain, encrypted) = (EchoServer::start(None).await, tls_server(&certificate).await);
    for (package, scheme) in ALL {
        for (options, login) in [(&[][..], ""), (&LOGIN[..], LOGIN_IN_URL)] {
            let (mut peer, port) = Peer::proxy(package, options).await;
            for url in [&plain.url, &encrypted.url] {
                converse_through(proxy(scheme, login, port), &tls, url).await;
                let mut want = authority(url).to_owned();
                if scheme == "socks5" {
                    want = want.replace("localhost", "127.0.0.1");
                }
                assert_eq!(peer.proxied().await, want, "{package} {scheme}");
            }
        }
    }
}

#[tokio::test]
async fn messages_pass_a_proxy_over_tls() {
    let certificate = certificate();
    let tls = trust(&certificate);
    let folder = TempDir::new().expect("a folder");
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let chain = file("certificate.pem", certificate.cert.pem());
    let key = file("key.pem", certificate.signing_key.serialize_pem());
    let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    let options = ["--certificate", &text(&chain), "--key", &text(&key)];
    let (_peer, port) = Peer::proxy(HTTP, &options).await;
    for server in [EchoServer::start(None).await, tls_server(&certificate).await] {
        let proxy = proxy("https", "", port).tls(tls.clone());
        converse_through(proxy, &tls, &server.url).await;
    }
}

#[tokio::test]
async fn wrong_credentials_are_an_error_of_the_proxy() {
    let server = EchoServer::start(None).await;
    for (package, scheme) in ALL {
        let (_peer, port) = Peer::proxy(package, &LOGIN).await;
        for login in ["", "fish:wrong@"] {
            let client = Client::builder().proxy(proxy(scheme, login, port));
            let error = client.connect(&server.url).await.unwrap_err();
            assert!(error.is_proxy(), "{package} {login}: {error:?}");
            assert_eq!(error.phase(), Some(ConnectPhase::Proxy));
            assert!(
                error.to_string().contains(&format!("the proxy localhost:{port}")),
                "{error}"
            );
            if package == HTTP {
                assert_eq!(error.refusal().expect("an answer in HTTP").status, 407);
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_of_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    for (package, scheme) in ALL {
        let (_peer, port) = Peer::proxy(package, &[]).await;
        let client = Client::builder().proxy(proxy(scheme, "", port));
        let error = client.connect(format!("ws://{address}/")).await.unwrap_err();
        assert!(error.is_proxy(), "{package}: {error:?}");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_proxy_that_has_died_is_named() {
    for (package, scheme) in ALL {
        let (peer, port) = Peer::proxy(package, &[]).await;
        peer.killed().await;
        let client = Client::builder().proxy(proxy(scheme, "", port));
        let error = client.connect("ws://127.0.0.1:9/").await.unwrap_err();
        assert!(error.is_connect(), "{package}: {error:?}");
        assert!(
            error.to_string().contains(&format!("the proxy localhost:{port}")),
            "{error}"
        );
    }
}
