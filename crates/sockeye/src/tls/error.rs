//! What may be wrong with TLS settings.

use std::io;
use std::path::PathBuf;

use super::TlsVersion;

/// Why a TLS configuration could not be made. Each message says which file or setting is at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file could not be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The text is not valid PEM.
    #[error("{from} is not valid PEM: {reason}")]
    BadPem {
        /// Which file, or "PEM in memory".
        from: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no `CERTIFICATE` section.
    #[error("no certificate in {from}; it needs a section that begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate {
        /// Which file, or "PEM in memory".
        from: String,
    },
    /// There is no private key section.
    #[error("no private key in {from}; it needs a section like -----BEGIN PRIVATE KEY-----")]
    NoPrivateKey {
        /// Which file, or "PEM in memory".
        from: String,
    },
    /// The private key is protected by a passphrase.
    #[error(
        "the private key in {from} is encrypted; decrypt it first, e.g. with `openssl pkey -in KEY -out NEW`"
    )]
    EncryptedKey {
        /// Which file, or "PEM in memory".
        from: String,
    },
    /// The certificate and the key do not belong together.
    #[error("the private key in {key} does not belong to the certificate in {certificate}")]
    KeyMismatch {
        /// Where the certificate came from.
        certificate: String,
        /// Where the key came from.
        key: String,
    },
    /// A certificate or key was read but cannot be used.
    #[error("{from} cannot be used: {source}")]
    Unusable {
        /// Which file, or "PEM in memory".
        from: String,
        /// What rustls says.
        source: rustls::Error,
    },
    /// A name given for SNI is neither a DNS name nor `*.` and a DNS name.
    #[error("`{name}` is not a host name; write `example.com` or `*.example.com`")]
    BadName {
        /// The name as given.
        name: String,
    },
    /// A certificate was given for a name that it is not valid for.
    #[error("the certificate in {from} is not valid for `{name}`")]
    NameNotCovered {
        /// The name as given.
        name: String,
        /// Where the certificate came from.
        from: String,
    },
    /// Two certificates were given for one name.
    #[error("two certificates are configured for `{name}`")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A server without any certificate.
    #[error("no certificate is configured")]
    NoIdentity,
    /// Nothing to check the peer's certificate against.
    #[error("no root certificates: {reason}")]
    NoRoots {
        /// Why there are none.
        reason: String,
    },
    /// A name given for the server is none.
    #[error("`{name}` is neither a host name nor an IP address")]
    BadServerName {
        /// The name as given.
        name: String,
    },
    /// A pin is not the SHA-256 of anything.
    #[error("`{pin}` is not a pin; write `sha256/` and the SHA-256 of the public key in base64")]
    BadPin {
        /// The pin as given.
        pin: String,
    },
    /// The oldest TLS version that is wanted is newer than the newest one.
    #[error("there is no TLS version from {oldest} to {newest}")]
    NoVersion {
        /// The oldest version wanted.
        oldest: TlsVersion,
        /// The newest version wanted.
        newest: TlsVersion,
    },
    /// rustls refused the combination of settings.
    #[error("TLS settings refused: {0}")]
    Settings(#[from] rustls::Error),
}
