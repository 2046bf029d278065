//! The TLS settings of the server: certificates from files, or one made for this run.

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, KeyPair};
use sockeye::tls::{ClientCertificates, Identity, Pem, ServerTls};

use crate::config::ServeOptions;
use crate::error::Failure;

/// TLS as the options ask for it.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) settings: ServerTls,
    /// SHA-256 of the certificate, when it was made here.
    pub(crate) fingerprint: Option<String>,
}

/// Reads or makes the certificates. Nothing, when the options ask for no TLS.
pub(crate) fn load(options: &ServeOptions, hostname: &str) -> Result<Option<Tls>, Failure> {
    let (identity, fingerprint) = match (&options.tls_cert, &options.tls_key) {
        (Some(chain), Some(key)) => (Identity::files(chain, key), None),
        _ if options.tls_self_signed.is_on() => {
            let (identity, fingerprint) = self_signed(hostname)?;
            (identity, Some(fingerprint))
        }
        _ => return Ok(None),
    };
    let mut builder = ServerTls::builder().identity(identity);
    if let Some(authorities) = &options.tls_client_ca {
        builder = builder.client_certificates(ClientCertificates::Required, Pem::file(authorities));
    }
    let settings = builder
        .build()
        .map_err(|error| Failure::new(format!("TLS: {error}")))?;
    Ok(Some(Tls {
        settings,
        fingerprint,
    }))
}

/// A certificate for the names of this machine, and its fingerprint.
fn self_signed(hostname: &str) -> Result<(Identity, String), Failure> {
    let failed = |error: rcgen::Error| Failure::new(format!("cannot make a certificate: {error}"));
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    // A host name that no certificate can carry is left out.
    if hostname != "localhost" && CertificateParams::new([hostname.to_owned()]).is_ok() {
        names.push(hostname.to_owned());
    }
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "Sockeye, made for one run");
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let digest = digest(&SHA256, certificate.der());
    let fingerprint: Vec<_> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    let identity = Identity::new(Pem::bytes(certificate.pem()), Pem::bytes(key.serialize_pem()));
    Ok((identity, fingerprint.join(":")))
}
