//! TLS on the way to the server.

use std::time::Duration;

use rustls::pki_types::ServerName;
use sockeye_proto::handshake::client::Target;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::phase::Phase;
use crate::error::{Error, Kind, Result};
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
        Err(stopped) => Err(Error::with_source(
            Kind::Tls("reading the system's root certificates failed".to_owned()),
            stopped,
        )),
    }
}

/// Runs the TLS handshake.
pub(super) async fn encrypt(
    io: TcpStream,
    target: &Target,
    tls: &ClientTls,
    limit: Duration,
) -> Result<TlsStream<TcpStream>> {
    let failed = |cause: Box<dyn std::error::Error + Send + Sync>| {
        Error::with_source(
            Kind::Tls(format!("TLS with {} failed", target.host_header())),
            cause,
        )
    };
    let name = ServerName::try_from(target.host().to_owned()).map_err(|error| failed(error.into()))?;
    let handshake = async {
        TlsConnector::from(tls.config())
            .connect(name, io)
            .await
            .map_err(|error| failed(error.into()))
    };
    Phase::Tls.within(limit, handshake).await
}
