//! The TLS of Sockeye's workers with another one than rustls: that of Node, which is OpenSSL's.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, CertifiedKey, DnType, IsCa, KeyPair};
use sockeye::tls::{ClientCertificates, Identity, Pem, ServerTls};
use tempfile::TempDir;

use crate::echo_server::EchoServer;
use crate::peer::{Event, Peer};

const VERSIONS: [&str; 2] = ["TLSv1.2", "TLSv1.3"];

/// A server for `localhost`, and a folder with what its clients need.
struct Setting {
    server: EchoServer,
    folder: TempDir,
}

impl Setting {
    async fn start() -> Self {
        Self::start_with(|builder| builder).await
    }

    async fn start_with(
        configure: impl FnOnce(sockeye::tls::ServerTlsBuilder) -> sockeye::tls::ServerTlsBuilder,
    ) -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let identity = Identity::new(Pem::bytes(cert.pem()), Pem::bytes(signing_key.serialize_pem()));
        let tls = configure(ServerTls::builder().identity(identity)).build();
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("authority.pem"), cert.pem()).expect("a file");
        Self {
            server: EchoServer::start_tls_on_a_worker(tls.expect("a certificate that can be shown")).await,
            folder,
        }
    }

    /// Starts a client of this version that does this; `more` are its other options.
    fn client(&self, act: &str, version: &str, more: &[&str]) -> Peer {
        let port = self.server.url.trim_end_matches('/').rsplit(':').next();
        let authority = self.folder.path().join("authority.pem");
        let options = [
            ["--act", act],
            ["--version", version],
            ["--port", port.expect("a port")],
            ["--authority", authority.to_str().expect("a path in UTF-8")],
        ];
        Peer::tls(&[options.as_flattened(), more].concat())
    }
}

async fn secured(client: &mut Peer, version: &str, resumed: bool) {
    let version = version.to_owned();
    assert_eq!(client.event().await, Event::Secured { version, resumed });
}

#[tokio::test]
async fn messages_of_any_size_come_back() {
    let setting = Setting::start().await;
    for version in VERSIONS {
        let mut client = setting.client("messages", version, &[]);
        secured(&mut client, version, false).await;
        client.finished().await;
    }
}

#[tokio::test]
async fn a_client_that_comes_back_resumes() {
    let setting = Setting::start().await;
    for version in VERSIONS {
        let mut client = setting.client("resume", version, &[]);
        for resumed in [false, true, true] {
            secured(&mut client, version, resumed).await;
        }
        client.finished().await;
    }
}

#[tokio::test]
async fn the_last_message_before_the_end_is_answered() {
    let setting = Setting::start().await;
    for version in VERSIONS {
        let mut client = setting.client("end", version, &[]);
        secured(&mut client, version, false).await;
        client.finished().await;
    }
}

#[tokio::test]
async fn a_wish_to_renegotiate_is_declined() {
    let setting = Setting::start().await;
    let mut client = setting.client("renegotiate", "TLSv1.2", &[]);
    secured(&mut client, "TLSv1.2", false).await;
    let message = "ERR_SSL_NO_RENEGOTIATION".to_owned();
    assert_eq!(client.event().await, Event::Error { message });
    client.finished().await;
}

#[tokio::test]
async fn a_client_s_certificate_is_checked() {
    let issuer = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
    };
    let (authority, stranger) = (issuer("authority"), issuer("stranger"));
    let pem = Pem::bytes(authority.pem());
    let setting = Setting::start_with(|tls| tls.client_certificates(ClientCertificates::Required, pem)).await;
    let known = certificate(&setting, "known", &authority);
    let unknown = certificate(&setting, "unknown", &stranger);

    for version in VERSIONS {
        let mut client = setting.client("messages", version, &known.each_ref().map(String::as_str));
        secured(&mut client, version, false).await;
        client.finished().await;
        for (certificate, told) in [
            (&unknown.each_ref().map(String::as_str)[..], "UNKNOWN_CA"),
            (&[], "CERTIFICATE_REQUIRED"),
        ] {
            let mut client = setting.client("refused", version, certificate);
            let event = client.event().await;
            assert!(
                matches!(&event, Event::Error { message } if message.ends_with(told)),
                "{version}: {event:?}"
            );
            client.finished().await;
        }
    }
}

/// Makes a client's certificate; gives the options that name its files.
fn certificate(setting: &Setting, name: &str, issuer: &CertifiedIssuer<'_, KeyPair>) -> [String; 4] {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    let write = |kind: &str, text: String| {
        let file = setting.folder.path().join(format!("{name}-{kind}.pem"));
        std::fs::write(&file, text).expect("a file");
        Path::to_str(&file).expect("a path in UTF-8").to_owned()
    };
    [
        "--certificate".to_owned(),
        write("certificate", certificate.pem()),
        "--key".to_owned(),
        write("key", key.serialize_pem()),
    ]
}
