//! The client's TLS configuration: whom it trusts, and as whom it presents itself.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, KeyLogFile, RootCertStore, SignatureScheme};

use super::pin::Pinned;
use super::{Identity, KeyPin, Pem, TlsError, TlsVersion, provider};

/// TLS for outgoing connections.
///
/// Clones share the sessions that servers let resume, which makes later connections quicker.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// Starts from the defaults: the system's root certificates, TLS 1.2 and 1.3, ALPN `http/1.1`.
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder::default()
    }

    /// The rustls configuration.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The name to show to the server of this host, and to look for in its certificate.
    pub(crate) fn name_for(&self, host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => ServerName::try_from(host.to_owned()),
        }
    }
}

/// A rustls configuration made elsewhere is used as it is. With an ALPN list it has to have `http/1.1` in it.
impl From<Arc<ClientConfig>> for ClientTls {
    fn from(config: Arc<ClientConfig>) -> Self {
        Self {
            config,
            server_name: None,
        }
    }
}

/// Builds a [`ClientTls`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientTlsBuilder {
    system_roots: bool,
    roots: Vec<Pem>,
    identity: Option<Identity>,
    pins: Vec<KeyPin>,
    server_name: Option<String>,
    sni: bool,
    oldest: TlsVersion,
    newest: TlsVersion,
    key_log_from_env: bool,
    accept_invalid_certs: bool,
}

impl Default for ClientTlsBuilder {
    fn default() -> Self {
        Self {
            system_roots: true,
            roots: Vec::new(),
            identity: None,
            pins: Vec::new(),
            server_name: None,
            sni: true,
            oldest: TlsVersion::Tls12,
            newest: TlsVersion::Tls13,
            key_log_from_env: false,
            accept_invalid_certs: false,
        }
    }
}

impl ClientTlsBuilder {
    /// Whether the root certificates of the operating system are trusted. Default: yes.
    pub fn system_roots(mut self, trust: bool) -> Self {
        self.system_roots = trust;
        self
    }

    /// Trusts the certificates in this PEM as well, such as a private CA or a server's self-signed certificate.
    pub fn root(mut self, authorities: Pem) -> Self {
        self.roots.push(authorities);
        self
    }

    /// The certificate to show to servers that ask for one. Default: none.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Accepts this key of the server's own certificate, or those of other pins, and no other. The certificate is
    /// verified as well. Default: any key.
    ///
    /// Pin a second key that is kept in reserve: a server that loses its only pinned key has locked its clients out.
    pub fn pin(mut self, key: KeyPin) -> Self {
        self.pins.push(key);
        self
    }

    /// The name to ask the server for (SNI), and to look for in its certificate, instead of the URL's host: a host
    /// name or an IP address. Default: the URL's host.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Whether the server is told which name is wanted (SNI, RFC 6066 §3). It goes over the wire in clear. Without it
    /// servers with several certificates show any of them. Default: yes; IP addresses are never sent.
    pub fn sni(mut self, send: bool) -> Self {
        self.sni = send;
        self
    }

    /// The oldest TLS version to use. Default: 1.2.
    pub fn oldest_version(mut self, version: TlsVersion) -> Self {
        self.oldest = version;
        self
    }

    /// The newest TLS version to use, for servers that get a newer one wrong. Default: 1.3.
    pub fn newest_version(mut self, version: TlsVersion) -> Self {
        self.newest = version;
        self
    }

    /// Whether the keys of connections are appended to the file that the environment variable `SSLKEYLOGFILE` names,
    /// for programs such as Wireshark. Who has the file can read the connections. Default: no, even if the variable
    /// is set.
    pub fn key_log_from_env(mut self, log: bool) -> Self {
        self.key_log_from_env = log;
        self
    }

    /// Accepts any certificate, for any name, from anybody: the connection is encrypted, but whoever sits in
    /// the middle can read and change it. For trying things out. [Pins](Self::pin) are checked all the same.
    /// Default: no.
    pub fn danger_accept_invalid_certs(mut self, accept: bool) -> Self {
        self.accept_invalid_certs = accept;
        self
    }

    /// Reads the roots. This reads the system's certificate files: build one value and clone it.
    ///
    /// # Errors
    /// A PEM source that cannot be used, no root certificate at all, a server name that is none, or versions that
    /// leave nothing to choose from.
    pub fn build(self) -> Result<ClientTls, TlsError> {
        let server_name = self.server_name.as_deref().map(parse_name).transpose()?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&self.oldest.up_to(self.newest)?)?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier()?);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.parts()?;
                builder.with_client_auth_cert(chain, key)?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.enable_sni = self.sni;
        if self.key_log_from_env {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(ClientTls {
            config: Arc::new(config),
            server_name,
        })
    }

    /// "Dangerous" as rustls has it, since it is not rustls that chooses; the parts are its own, but for the one that
    /// trusts everybody.
    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let inner: Arc<dyn ServerCertVerifier> = if self.accept_invalid_certs {
            Arc::new(AcceptAnyone(provider()))
        } else {
            let roots = Arc::new(self.load_roots()?);
            WebPkiServerVerifier::builder_with_provider(roots, provider())
                .build()
                .map_err(|error| TlsError::Settings(rustls::Error::General(error.to_string())))?
        };
        if self.pins.is_empty() {
            return Ok(inner);
        }
        let pins = self.pins.clone();
        Ok(Arc::new(Pinned { inner, pins }))
    }

    fn load_roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        let mut reason = "the system's are switched off and none was given".to_owned();
        if self.system_roots {
            let system = rustls_native_certs::load_native_certs();
            let (added, ignored) = roots.add_parsable_certificates(system.certs);
            tracing::debug!(added, ignored, "system root certificates loaded");
            reason = match system.errors.first() {
                Some(error) => format!("the system's cannot be read: {error}"),
                None => {
                    "the system has none; install its CA certificates (package `ca-certificates`)".to_owned()
                }
            };
        }
        for pem in &self.roots {
            roots.roots.extend(pem.roots()?.roots);
        }
        if roots.is_empty() {
            return Err(TlsError::NoRoots { reason });
        }
        Ok(roots)
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::BadServerName {
        name: name.to_owned(),
    })
}

/// Trusts every certificate, but still demands that the peer holds the key of the one it shows.
#[derive(Debug)]
struct AcceptAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_needs_roots() {
        let error = ClientTls::builder().system_roots(false).build().unwrap_err();
        assert!(matches!(error, TlsError::NoRoots { .. }));
    }

    #[test]
    fn settings_that_make_no_sense_are_told() {
        let builder = || ClientTls::builder().danger_accept_invalid_certs(true);
        let error = builder().server_name("two words").build().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`two words` is neither a host name nor an IP address"
        );
        let versions = builder()
            .oldest_version(TlsVersion::Tls13)
            .newest_version(TlsVersion::Tls12);
        let error = versions.build().unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no TLS version from TLS 1.3 to TLS 1.2"
        );
    }

    #[test]
    fn a_bad_root_is_an_error() {
        let error = ClientTls::builder()
            .root(Pem::bytes("nothing"))
            .build()
            .unwrap_err();
        assert!(matches!(error, TlsError::NoCertificate { .. }));
    }
}
