//! The server's TLS configuration, which can be loaded again while connections live.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::WebPkiClientVerifier;

use super::certificates::Certificates;
use super::{Identity, Pem, TlsError, TlsVersion, provider};

/// TLS for a server's listeners. Clones share one configuration, so that a clone kept aside can
/// [`reload`](Self::reload) it.
///
/// ```no_run
/// use sockeye::tls::{Identity, ServerTls};
///
/// let tls = ServerTls::builder()
///     .identity(Identity::files("cert.pem", "key.pem"))
///     .identity_for("*.example.com", Identity::files("wild.pem", "wild.key"))
///     .build()?;
/// // … later, after the files were renewed:
/// tls.reload()?;
/// # Ok::<(), sockeye::tls::TlsError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ServerTls {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: ServerTlsBuilder,
    current: RwLock<Arc<ServerConfig>>,
}

impl ServerTls {
    /// Starts from the defaults: no certificate yet, no client certificates, TLS 1.2 and 1.3, ALPN `http/1.1`.
    pub fn builder() -> ServerTlsBuilder {
        ServerTlsBuilder::default()
    }

    /// One certificate chain and its key, from two PEM files.
    ///
    /// # Errors
    /// As [`ServerTlsBuilder::build`].
    pub fn from_pem_files(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Self, TlsError> {
        Self::builder().identity(Identity::files(chain, key)).build()
    }

    /// Reads every certificate, key and client CA again. New handshakes use them from now on; connections
    /// that exist keep theirs. Tickets that were given out before are void, so that clients that come back shake hands
    /// in full.
    ///
    /// # Errors
    /// When anything cannot be read or does not fit together. The old configuration then stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = self.shared.settings.load()?;
        *self
            .shared
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The configuration in use at this moment.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.shared.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// A client may show one; if it does, it must be signed by the configured CA.
    Optional,
    /// A client without a certificate signed by the configured CA is refused in the handshake.
    Required,
}

/// Builds a [`ServerTls`].
#[derive(Clone, Debug)]
pub struct ServerTlsBuilder {
    default: Option<Identity>,
    by_name: Vec<(String, Identity)>,
    client_certificates: Option<(ClientCertificates, Pem)>,
    alpn: Vec<Vec<u8>>,
    oldest: TlsVersion,
}

impl Default for ServerTlsBuilder {
    fn default() -> Self {
        Self {
            default: None,
            by_name: Vec::new(),
            client_certificates: None,
            alpn: vec![b"http/1.1".to_vec()],
            oldest: TlsVersion::default(),
        }
    }
}

impl ServerTlsBuilder {
    /// The certificate for clients that name no host (SNI) or one that no other certificate is for.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.default = Some(identity);
        self
    }

    /// The certificate for one host name, `example.com`, or for one level below a name, `*.example.com`.
    #[must_use]
    pub fn identity_for(mut self, name: impl Into<String>, identity: Identity) -> Self {
        self.by_name.push((name.into(), identity));
        self
    }

    /// Asks clients for a certificate signed by one of these CAs. Default: none is asked for.
    #[must_use]
    pub fn client_certificates(mut self, need: ClientCertificates, authorities: Pem) -> Self {
        self.client_certificates = Some((need, authorities));
        self
    }

    /// The application protocols offered (ALPN), best first. Default: `http/1.1`, which is what the server speaks. A client that sends a list
    /// without any of them is refused (RFC 7301 §3.2); one that sends no list is welcome.
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// The oldest TLS version accepted. Default: 1.2.
    #[must_use]
    pub fn oldest_version(mut self, version: TlsVersion) -> Self {
        self.oldest = version;
        self
    }

    /// Reads the files and checks that everything fits together. An expired certificate is logged, not refused.
    ///
    /// # Errors
    /// A file that cannot be read, text that is no PEM, a key that is missing, encrypted or another
    /// certificate's, a name that its certificate does not cover, or no certificate at all.
    pub fn build(self) -> Result<ServerTls, TlsError> {
        let current = RwLock::new(self.load()?);
        Ok(ServerTls {
            shared: Arc::new(Shared {
                settings: self,
                current,
            }),
        })
    }

    fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let mut certificates = Certificates::default();
        if let Some(identity) = &self.default {
            certificates.set_default(identity)?;
        }
        for (name, identity) in &self.by_name {
            certificates.add(name, identity)?;
        }
        if certificates.is_empty() {
            return Err(TlsError::NoIdentity);
        }

        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&self.oldest.up_to(TlsVersion::Tls13)?)?;
        let builder = match &self.client_certificates {
            None => builder.with_no_client_auth(),
            Some((need, authorities)) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities.roots()?), provider());
                let verifier = match need {
                    ClientCertificates::Optional => verifier.allow_unauthenticated(),
                    ClientCertificates::Required => verifier,
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| TlsError::NoRoots {
                    reason: error.to_string(),
                })?)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols.clone_from(&self.alpn);
        // Tickets instead of the store that rustls has by default, which forgets all but the last 256 sessions. They are
        // made anew with each load, so that no session outlives the certificates and authorities it began with.
        config.ticketer = Ticketer::new()?;
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};

    use super::super::{ClientTls, ClientTlsBuilder, TlsInfo};
    use super::*;

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

        fn trusted(&self) -> ClientTlsBuilder {
            ClientTls::builder()
                .system_roots(false)
                .root(Pem::bytes(&self.chain))
        }
    }

    type Streams = (
        TlsStream<tokio::io::DuplexStream>,
        tokio_rustls::client::TlsStream<tokio::io::DuplexStream>,
    );

    /// A handshake in memory; an error of either side is returned as text.
    async fn handshake(server: &ServerTls, client: &ClientTls, name: &str) -> Result<Streams, String> {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let acceptor = TlsAcceptor::from(server.config());
        let connector = TlsConnector::from(client.config());
        let name = rustls::pki_types::ServerName::try_from(name.to_owned()).unwrap();
        let (server, client) = tokio::join!(acceptor.accept(far), async {
            let mut stream = connector.connect(name, near).await?;
            // With TLS 1.3 a client learns that its certificate was refused only by reading.
            stream.write_all(b"hello").await?;
            Ok::<_, std::io::Error>(stream)
        });
        match (server, client) {
            (Ok(server), Ok(client)) => Ok((server, client)),
            (Err(error), _) => Err(format!("server: {error}")),
            (_, Err(error)) => Err(format!("client: {error}")),
        }
    }

    #[tokio::test]
    async fn handshake_reports_version_name_and_alpn() {
        let pair = Pair::new("a.test");
        let server = ServerTls::builder().identity(pair.identity()).build().unwrap();
        let client = pair.trusted().build().unwrap();
        let (mut stream, _client) = handshake(&server, &client, "a.test").await.unwrap();
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"hello");

        let info = TlsInfo::of_server(stream.get_ref().1);
        assert_eq!(info.version, "TLSv1.3");
        assert!(info.cipher.unwrap().starts_with("TLS13_"));
        assert_eq!(info.server_name.as_deref(), Some("a.test"));
        assert_eq!(info.alpn.as_deref(), Some(&b"http/1.1"[..]));
        assert!(info.peer_certificates.is_empty());
    }

    #[tokio::test]
    async fn each_name_is_shown_its_certificate() {
        let (first, second) = (Pair::new("a.test"), Pair::new("*.b.test"));
        let server = ServerTls::builder()
            .identity(first.identity())
            .identity_for("*.b.test", second.identity())
            .build()
            .unwrap();
        handshake(&server, &first.trusted().build().unwrap(), "a.test")
            .await
            .unwrap();
        handshake(&server, &second.trusted().build().unwrap(), "x.b.test")
            .await
            .unwrap();
        handshake(&server, &first.trusted().build().unwrap(), "x.b.test")
            .await
            .unwrap_err();
    }

    #[tokio::test]
    async fn reload_changes_new_handshakes_and_spares_old_connections() {
        let dir = tempfile::tempdir().unwrap();
        let (chain, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let (old, new) = (Pair::new("a.test"), Pair::new("a.test"));
        std::fs::write(&chain, &old.chain).unwrap();
        std::fs::write(&key, &old.key).unwrap();
        let server = ServerTls::from_pem_files(&chain, &key).unwrap();
        let trusts_old = old.trusted().build().unwrap();
        let trusts_new = new.trusted().build().unwrap();
        let (mut server_end, mut client_end) = handshake(&server, &trusts_old, "a.test").await.unwrap();

        std::fs::write(&chain, &new.chain).unwrap();
        let error = server.reload().unwrap_err();
        assert!(matches!(error, TlsError::KeyMismatch { .. }), "{error}");
        handshake(&server, &trusts_old, "a.test").await.unwrap();

        std::fs::write(&key, &new.key).unwrap();
        server.reload().unwrap();
        handshake(&server, &trusts_new, "a.test").await.unwrap();
        handshake(&server, &trusts_old, "a.test").await.unwrap_err();

        server_end.write_all(b"still").await.unwrap();
        server_end.flush().await.unwrap();
        let mut still = [0; 5];
        client_end.read_exact(&mut still).await.unwrap();
        assert_eq!(&still, b"still");
    }

    #[tokio::test]
    async fn sessions_are_resumed_until_a_reload() {
        let pair = Pair::new("a.test");
        let server = ServerTls::builder().identity(pair.identity()).build().unwrap();
        for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let client = pair.trusted().newest_version(version).build().unwrap();
            let resumes = async || {
                let (mut stream, mut client_end) = handshake(&server, &client, "a.test").await.unwrap();
                // The tickets of TLS 1.3 come behind the handshake.
                stream.write_all(b"x").await.unwrap();
                client_end.read_u8().await.unwrap();
                TlsInfo::of_server(stream.get_ref().1).resumed
            };
            assert!(!resumes().await);
            assert!(resumes().await);
            assert!(resumes().await);
            server.reload().unwrap();
            assert!(!resumes().await, "{version:?}");
            assert!(resumes().await);
        }
    }

    #[tokio::test]
    async fn client_certificates_are_checked() {
        let pair = Pair::new("a.test");
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority =
            rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
        let client_key = rcgen::KeyPair::generate().unwrap();
        let client_chain = rcgen::CertificateParams::new(vec!["client".to_owned()])
            .unwrap()
            .signed_by(&client_key, &authority)
            .unwrap();
        let client_identity = Identity::new(
            Pem::bytes(client_chain.pem()),
            Pem::bytes(client_key.serialize_pem()),
        );

        let anonymous = pair.trusted().build().unwrap();
        let known = pair.trusted().identity(client_identity).build().unwrap();
        let stranger = pair.trusted().identity(pair.identity()).build().unwrap();

        for (need, anonymous_passes) in [
            (ClientCertificates::Optional, true),
            (ClientCertificates::Required, false),
        ] {
            let server = ServerTls::builder()
                .identity(pair.identity())
                .client_certificates(need, Pem::bytes(authority.pem()))
                .build()
                .unwrap();
            assert_eq!(
                handshake(&server, &anonymous, "a.test").await.is_ok(),
                anonymous_passes,
                "{need:?}"
            );
            assert!(handshake(&server, &stranger, "a.test").await.is_err(), "{need:?}");
            let (stream, _) = handshake(&server, &known, "a.test").await.unwrap();
            let info = TlsInfo::of_server(stream.get_ref().1);
            assert_eq!(info.peer_certificates.len(), 1);
            assert_eq!(&info.peer_certificates[0], client_chain.der());
        }
    }

    #[tokio::test]
    async fn danger_accept_invalid_certs_accepts_a_stranger() {
        let pair = Pair::new("a.test");
        let server = ServerTls::builder().identity(pair.identity()).build().unwrap();
        let trusting = ClientTls::builder()
            .system_roots(false)
            .danger_accept_invalid_certs(true)
            .build()
            .unwrap();
        handshake(&server, &trusting, "quite.different").await.unwrap();
        let strict = Pair::new("other.test").trusted().build().unwrap();
        handshake(&server, &strict, "a.test").await.unwrap_err();
    }

    #[test]
    fn a_server_needs_a_certificate() {
        assert!(matches!(ServerTls::builder().build(), Err(TlsError::NoIdentity)));
    }

    #[tokio::test]
    async fn foreign_alpn_is_refused() {
        let pair = Pair::new("a.test");
        let server = ServerTls::builder()
            .identity(pair.identity())
            .alpn(["other/1"])
            .build()
            .unwrap();
        handshake(&server, &pair.trusted().build().unwrap(), "a.test")
            .await
            .unwrap_err();
    }
}
