//! The client's TLS configuration: whom it trusts.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{Identity, Pem, TlsError, provider};

/// TLS for outgoing connections.
#[derive(Clone, Debug)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
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
}

/// Builds a [`ClientTls`].
#[derive(Clone, Debug)]
pub struct ClientTlsBuilder {
    system_roots: bool,
    roots: Vec<Pem>,
    identity: Option<Identity>,
    accept_invalid_certs: bool,
}

impl Default for ClientTlsBuilder {
    fn default() -> Self {
        Self {
            system_roots: true,
            roots: Vec::new(),
            identity: None,
            accept_invalid_certs: false,
        }
    }
}

impl ClientTlsBuilder {
    /// Whether the root certificates of the operating system are trusted. Default: yes.
    #[must_use]
    pub fn system_roots(mut self, trust: bool) -> Self {
        self.system_roots = trust;
        self
    }

    /// Trusts the certificates in this PEM as well, such as a private CA or a server's self-signed certificate.
    #[must_use]
    pub fn root(mut self, authorities: Pem) -> Self {
        self.roots.push(authorities);
        self
    }

    /// The certificate to show to servers that ask for one. Default: none.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Accepts any certificate, for any name, from anybody: the connection is encrypted, but whoever sits in
    /// the middle can read and change it. For trying things out. Default: no.
    #[must_use]
    pub fn danger_accept_invalid_certs(mut self, accept: bool) -> Self {
        self.accept_invalid_certs = accept;
        self
    }

    /// Reads the roots. This reads the system's certificate files: build one value and clone it.
    ///
    /// # Errors
    /// A PEM source that cannot be used, or no root certificate at all.
    pub fn build(self) -> Result<ClientTls, TlsError> {
        let builder =
            ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = if self.accept_invalid_certs {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AcceptAnyone(provider())))
        } else {
            builder.with_root_certificates(self.load_roots()?)
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.parts()?;
                builder.with_client_auth_cert(chain, key)?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(ClientTls {
            config: Arc::new(config),
        })
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
    fn a_bad_root_is_an_error() {
        let error = ClientTls::builder()
            .root(Pem::bytes("nothing"))
            .build()
            .unwrap_err();
        assert!(matches!(error, TlsError::NoCertificate { .. }));
    }
}
