//! TLS on the way to a server or a proxy.

use std::io;

use rustls::{AlertDescription, CertificateError};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::dial::Duplex;
use super::phase::Clock;
use crate::error::{ConnectPhase, Error, Result};
use crate::tls::{ClientTls, PinMismatch};

/// What clients without settings of their own use: the system's roots take long to read, and do not change.
static SYSTEM: OnceCell<ClientTls> = OnceCell::const_new();

/// The client's own settings, or those that all share.
pub(super) async fn settings(own: Option<&ClientTls>) -> Result<&ClientTls> {
    match own {
        Some(tls) => Ok(tls),
        None => SYSTEM.get_or_try_init(read_system_roots).await,
    }
}

async fn read_system_roots() -> Result<ClientTls> {
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
        let message = format!("the system's root certificates cannot be used: {cause}");
        Error::connecting_by(ConnectPhase::Tls, message, cause)
    };
    match tokio::task::spawn_blocking(|| ClientTls::builder().build()).await {
        Ok(built) => built.map_err(|error| failed(error.into())),
        Err(stopped) => Err(failed(stopped.into())),
    }
}

/// Runs the TLS handshake with `host`, a name or an address without brackets.
///
/// # Errors
///
/// Of the phase [`Tls`](ConnectPhase::Tls), with a [`rustls::Error`] or an [`io::Error`] as the source.
pub(super) async fn encrypt<IO: Duplex>(
    io: IO,
    host: &str,
    tls: &ClientTls,
    clock: &Clock,
) -> Result<TlsStream<IO>> {
    let name = tls.name_for(host).map_err(|error| {
        let message = format!("TLS with {host} failed: no certificate can be for that name");
        Error::connecting_by(ConnectPhase::Tls, message, error)
    })?;
    let handshake = async {
        let connected = TlsConnector::from(tls.config()).connect(name, io).await;
        connected.map_err(|error| failed(host, error))
    };
    clock.run(ConnectPhase::Tls, host, handshake).await
}

/// Whether TLS is what failed when this came from reading or writing.
///
/// With TLS 1.3 a client is done with the handshake before the server has seen its certificate.
pub(super) fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>())
}

/// The error of a TLS connection with `host` that failed by this.
pub(super) fn failed(host: &str, error: io::Error) -> Error {
    let message = format!("TLS with {host} failed");
    match error.downcast::<rustls::Error>() {
        Ok(cause) => {
            let message = match explain(&cause) {
                Some(explanation) => format!("{message}: {explanation}"),
                None => message,
            };
            Error::connecting_by(ConnectPhase::Tls, message, cause)
        }
        Err(io) if io.kind() == io::ErrorKind::UnexpectedEof => {
            let message = format!("{message}: the server closed the connection");
            Error::connecting_by(ConnectPhase::Tls, message, io)
        }
        Err(io) => Error::connecting_by(ConnectPhase::Tls, message, io),
    }
}

/// What it means, and what to do, for the failures that people meet.
fn explain(error: &rustls::Error) -> Option<String> {
    let text = match error {
        rustls::Error::InvalidCertificate(certificate) => return explain_certificate(certificate),
        rustls::Error::InvalidMessage(_) => "what the server sends is not TLS; it may be one for ws://",
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => "the server demands a certificate of the client",
            AlertDescription::ProtocolVersion => "the server speaks no TLS version that this client does",
            AlertDescription::UnrecognisedName => "the server has no certificate for that name",
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown => "the server refused the client's certificate",
            _ => return None,
        },
        _ => return None,
    };
    Some(text.to_owned())
}

fn explain_certificate(error: &CertificateError) -> Option<String> {
    Some(match error {
        CertificateError::UnknownIssuer => {
            "its certificate is signed by nobody whom this client trusts; if you do, give it that authority's \
             certificate as a root"
                .to_owned()
        }
        CertificateError::BadSignature => {
            "its certificate is not signed by the authority that it names".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet, or the clock of this machine is wrong".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        CertificateError::Other(other) => {
            if let Some(mismatch) = other.0.downcast_ref::<PinMismatch>() {
                mismatch.to_string()
            } else if other.to_string().contains("CaUsedAsEndEntity") {
                "its certificate is that of an authority, which servers may not show for themselves".to_owned()
            } else {
                return None;
            }
        }
        _ => return None,
    })
}
