//! Where certificates and keys come from, and how they are read.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, InconsistentKeys, RootCertStore};

use super::{TlsError, provider};

/// PEM text: the path of a file, read again at every reload, or bytes in memory.
#[derive(Clone)]
pub struct Pem(Source);

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

impl Pem {
    /// PEM in a file. The file is read when the configuration is built, and again at each reload.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// PEM in memory.
    pub fn bytes(text: impl AsRef<[u8]>) -> Self {
        Self(Source::Memory(text.as_ref().into()))
    }

    /// How errors name this source.
    pub(super) fn describe(&self) -> String {
        match &self.0 {
            Source::File(path) => path.display().to_string(),
            Source::Memory(_) => "PEM in memory".to_owned(),
        }
    }

    /// Every certificate in the text, in its order; at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = self.read()?;
        let chain = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.bad_pem(error))?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate {
                from: self.describe(),
            });
        }
        Ok(chain)
    }

    /// The certificates in the text as trust anchors.
    pub(super) fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|source| TlsError::Unusable {
                from: self.describe(),
                source,
            })?;
        }
        Ok(roots)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let text = self.read()?;
        if is_encrypted(&text) {
            return Err(TlsError::EncryptedKey {
                from: self.describe(),
            });
        }
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoPrivateKey {
                from: self.describe(),
            },
            other => self.bad_pem(other),
        })
    }

    fn read(&self) -> Result<Cow<'_, [u8]>, TlsError> {
        match &self.0 {
            Source::Memory(text) => Ok(Cow::Borrowed(text)),
            Source::File(path) => std::fs::read(path)
                .map(Cow::Owned)
                .map_err(|source| TlsError::Read {
                    path: path.clone(),
                    source,
                }),
        }
    }

    fn bad_pem(&self, error: pem::Error) -> TlsError {
        // rustls-pki-types writes the offending line as a list of byte values; the kind is enough here,
        // and a key must not end up in a log.
        let reason = match error {
            pem::Error::MissingSectionEnd { .. } => "a section has no -----END line",
            pem::Error::IllegalSectionStart { .. } => "a -----BEGIN line is malformed",
            pem::Error::Base64Decode(_) => "a section is not base64",
            _ => "it cannot be parsed",
        };
        TlsError::BadPem {
            from: self.describe(),
            reason: reason.to_owned(),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key in memory must not reach a log.
        f.debug_tuple("Pem").field(&self.describe()).finish()
    }
}

/// PKCS #8 marks encryption in the label, the older forms in a header line.
fn is_encrypted(text: &[u8]) -> bool {
    text.split(|&byte| byte == b'\n').any(|line| {
        line.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || (line.starts_with(b"Proc-Type:") && line.windows(9).any(|window| window == b"ENCRYPTED"))
    })
}

/// A certificate chain, the server's or client's own certificate first, and its private key.
#[derive(Clone, Debug)]
pub struct Identity {
    chain: Pem,
    key: Pem,
}

impl Identity {
    /// The chain and the key may be the same text, as in files that hold both.
    pub fn new(chain: Pem, key: Pem) -> Self {
        Self { chain, key }
    }

    /// The chain and the key in two files.
    pub fn files(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self::new(Pem::file(chain), Pem::file(key))
    }

    pub(super) fn describe_chain(&self) -> String {
        self.chain.describe()
    }

    /// The chain and the key as rustls wants them for client authentication.
    pub(super) fn parts(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        Ok((self.chain.certificates()?, self.key.private_key()?))
    }

    /// Reads both and checks that they belong together.
    pub(super) fn load(&self) -> Result<CertifiedKey, TlsError> {
        let (chain, key) = self.parts()?;
        let certified =
            CertifiedKey::from_der(chain, key, &provider()).map_err(|source| self.unusable(source))?;
        self.warn_of_expiry(&certified)?;
        Ok(certified)
    }

    fn unusable(&self, source: rustls::Error) -> TlsError {
        match source {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::KeyMismatch {
                certificate: self.chain.describe(),
                key: self.key.describe(),
            },
            rustls::Error::InvalidCertificate(_) => TlsError::Unusable {
                from: self.chain.describe(),
                source,
            },
            source => TlsError::Unusable {
                from: self.key.describe(),
                source,
            },
        }
    }

    /// An expired certificate still loads: the clock may be wrong, and a test may want one. It is logged.
    fn warn_of_expiry(&self, certified: &CertifiedKey) -> Result<(), TlsError> {
        match validity(certified) {
            Ok(Validity::Current) => {}
            Ok(Validity::Expired) => {
                tracing::warn!(
                    certificate = self.chain.describe(),
                    "the TLS certificate has expired"
                );
            }
            Ok(Validity::NotYet) => {
                tracing::warn!(
                    certificate = self.chain.describe(),
                    "the TLS certificate is not valid yet"
                );
            }
            Err(source) => {
                return Err(TlsError::Unusable {
                    from: self.chain.describe(),
                    source,
                });
            }
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Validity {
    Current,
    Expired,
    NotYet,
}

fn validity(certified: &CertifiedKey) -> Result<Validity, rustls::Error> {
    let leaf = ParsedCertificate::try_from(certified.end_entity_cert()?)?;
    // The verifier looks at the dates before it looks for an issuer, so that with no roots at all
    // "unknown issuer" means that the dates are right.
    let verdict = rustls::client::verify_server_cert_signed_by_trust_anchor(
        &leaf,
        &RootCertStore::empty(),
        &[],
        UnixTime::now(),
        provider().signature_verification_algorithms.all,
    );
    Ok(match verdict {
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => Validity::Expired,
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        )) => Validity::NotYet,
        _ => Validity::Current,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> (String, String) {
        let pair = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        (pair.cert.pem(), pair.signing_key.serialize_pem())
    }

    fn load(chain: &str, key: &str) -> Result<CertifiedKey, TlsError> {
        Identity::new(Pem::bytes(chain), Pem::bytes(key)).load()
    }

    #[test]
    fn one_text_may_hold_chain_and_key() {
        let (chain, key) = pair("a.test");
        let both = format!("{key}{chain}");
        assert_eq!(load(&both, &both).unwrap().cert.len(), 1);
    }

    #[test]
    fn each_fault_of_a_pair_is_named() {
        let (chain, key) = pair("a.test");
        let (_, other_key) = pair("b.test");
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let old_encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        let cut = &chain[..chain.len() - 30];
        let junk_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let junk_chain = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

        assert!(matches!(load("", &key), Err(TlsError::NoCertificate { .. })));
        assert!(matches!(load(&key, &key), Err(TlsError::NoCertificate { .. })));
        assert!(matches!(load(&chain, ""), Err(TlsError::NoPrivateKey { .. })));
        assert!(matches!(load(&chain, &chain), Err(TlsError::NoPrivateKey { .. })));
        assert!(matches!(
            load(&chain, encrypted),
            Err(TlsError::EncryptedKey { .. })
        ));
        assert!(matches!(
            load(&chain, old_encrypted),
            Err(TlsError::EncryptedKey { .. })
        ));
        assert!(matches!(
            load(&chain, &other_key),
            Err(TlsError::KeyMismatch { .. })
        ));
        assert!(matches!(load(cut, &key), Err(TlsError::BadPem { .. })));
        assert!(matches!(load(&chain, junk_key), Err(TlsError::Unusable { .. })));
        assert!(matches!(load(junk_chain, &key), Err(TlsError::Unusable { .. })));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Identity::files("/no/such/cert.pem", "/no/such/key.pem")
            .load()
            .unwrap_err();
        assert!(matches!(error, TlsError::Read { .. }));
        assert!(error.to_string().contains("/no/such/cert.pem"), "{error}");
    }

    #[test]
    fn validity_is_read_from_the_dates() {
        for (from, to, expected) in [
            (2001, 2002, Validity::Expired),
            (2001, 4000, Validity::Current),
            (3999, 4000, Validity::NotYet),
        ] {
            let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            let chain = params.self_signed(&key).unwrap().pem();
            let certified = load(&chain, &key.serialize_pem()).unwrap();
            assert_eq!(validity(&certified).unwrap(), expected, "{from} to {to}");
        }
    }

    #[test]
    fn debug_output_holds_no_key() {
        let (chain, key) = pair("a.test");
        let text = format!("{:?}", Identity::new(Pem::bytes(chain), Pem::bytes(key)));
        assert!(!text.contains("BEGIN"), "{text}");
    }
}
