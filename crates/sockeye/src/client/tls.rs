//! TLS on the way to a server or a proxy.

use rustls::pki_types::ServerName;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::dial::Duplex;
use super::phase::Clock;
use crate::error::{ConnectPhase, Error, Result};
use crate::tls::ClientTls;

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
    match tokio::task::spawn_blocking(|| ClientTls::builder().build()).await {
        Ok(built) => built.map_err(Error::from),
        Err(stopped) => Err(Error::connecting_by(
            ConnectPhase::Tls,
            "reading the system's root certificates failed",
            stopped,
        )),
    }
}

/// Runs the TLS handshake with `host`, a name or an address without brackets.
///
/// # Errors
///
/// Of the phase [`Tls`](ConnectPhase::Tls).
pub(super) async fn encrypt<IO: Duplex>(
    io: IO,
    host: &str,
    tls: &ClientTls,
    clock: &Clock,
) -> Result<TlsStream<IO>> {
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
        Error::connecting_by(ConnectPhase::Tls, format!("TLS with {host} failed"), cause)
    };
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.into()))?;
    let handshake = async {
        TlsConnector::from(tls.config())
            .connect(name, io)
            .await
            .map_err(|error| failed(error.into()))
    };
    clock.run(ConnectPhase::Tls, host, handshake).await
}
