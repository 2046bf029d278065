//! Certificate pins: the keys that a server may have.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};

use super::TlsError;

/// The SHA-256 of a certificate's public key (its SubjectPublicKeyInfo, as RFC 7469 §2.4 pins them).
///
/// It stays the same when a certificate is renewed with the same key. It is written in base64, as curl and
/// `Public-Key-Pins` write it:
///
/// ```
/// use sockeye::tls::KeyPin;
///
/// let pin: KeyPin = "sha256/d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=".parse()?;
/// assert_eq!(pin.to_string(), "sha256/d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=");
/// # Ok::<(), sockeye::tls::TlsError>(())
/// ```
///
/// For a certificate in a file:
///
/// ```sh
/// openssl x509 -in chain.pem -pubkey -noout | openssl pkey -pubin -outform der \
///   | openssl dgst -sha256 -binary | base64
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyPin([u8; 32]);

impl KeyPin {
    /// A pin from its 32 bytes.
    pub const fn new(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }

    /// The pin of this certificate, such as the first of
    /// [`TlsInfo::peer_certificates`](super::TlsInfo::peer_certificates).
    ///
    /// # Errors
    /// It is not a certificate.
    pub fn of_certificate(certificate: &CertificateDer<'_>) -> Result<Self, TlsError> {
        Ok(Self::of(certificate)?)
    }

    fn of(certificate: &CertificateDer<'_>) -> Result<Self, rustls::Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let digest = digest::digest(&digest::SHA256, &key);
        let mut pin = [0; 32];
        pin.copy_from_slice(digest.as_ref());
        Ok(Self(pin))
    }
}

/// Base64, perhaps behind `sha256/` or, as curl has it, `sha256//`.
impl FromStr for KeyPin {
    type Err = TlsError;

    fn from_str(text: &str) -> Result<Self, TlsError> {
        let base64 = text.strip_prefix("sha256/").unwrap_or(text);
        // A slash may be the first digit, too: only the length tells it from curl's second one.
        let base64 = match base64.strip_prefix('/') {
            Some(rest) if rest.len() == 44 => rest,
            _ => base64,
        };
        let bytes = STANDARD.decode(base64).ok();
        let pin = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        pin.map(Self)
            .ok_or_else(|| TlsError::BadPin { pin: text.to_owned() })
    }
}

impl fmt::Display for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256/{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for KeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPin({self})")
    }
}

/// The certificate is in order, but its key is none of those that were pinned.
#[derive(Debug, thiserror::Error)]
#[error("the server's key {found} is none of the {pinned} that are pinned")]
pub(crate) struct PinMismatch {
    found: KeyPin,
    pinned: usize,
}

/// Verifies as `inner` does, then compares the server's key.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) inner: Arc<dyn ServerCertVerifier>,
    pub(super) pins: Vec<KeyPin>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.inner
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        let found = KeyPin::of(end_entity)?;
        if self.pins.contains(&found) {
            return Ok(verified);
        }
        let mismatch = PinMismatch {
            found,
            pinned: self.pins.len(),
        };
        Err(CertificateError::Other(OtherError(Arc::new(mismatch))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::PublicKeyData;

    use super::*;

    #[test]
    fn a_pin_is_the_hash_of_the_public_key() {
        let pair = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
        let pin = KeyPin::of_certificate(pair.cert.der()).unwrap();
        let digest = digest::digest(&digest::SHA256, &pair.signing_key.subject_public_key_info());
        assert_eq!(pin.0, digest.as_ref());
        assert!(KeyPin::of_certificate(&CertificateDer::from(vec![1, 2, 3])).is_err());
    }

    #[test]
    fn pins_are_read_as_others_write_them() {
        for bytes in [[7; 32], [255; 32]] {
            let pin = KeyPin::new(bytes);
            let base64 = STANDARD.encode(bytes);
            for text in [
                base64.clone(),
                format!("sha256/{base64}"),
                format!("sha256//{base64}"),
                pin.to_string(),
            ] {
                assert_eq!(text.parse::<KeyPin>().unwrap(), pin, "{text}");
            }
        }
        for text in ["", "sha256/", "sha256/AAAA", "sha1/AAAA", "not base64 at all"] {
            let error = text.parse::<KeyPin>().unwrap_err();
            assert!(matches!(error, TlsError::BadPin { .. }), "{text}");
        }
    }
}
