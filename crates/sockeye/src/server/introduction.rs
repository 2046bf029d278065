//! The first step of a connection where the PROXY protocol is spoken: learning whose it is, before TLS and
//! HTTP.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::HandshakeOutcome;
use super::builder::Shared;
use super::proxy_protocol::{Progress, Proxied, ProxyHeader, ProxyProtocol, ProxyProtocolError};
use super::request::ConnectionInfo;
use super::transport::Socket;

/// How much is read at once, in bytes: a header without large extras, as a rule with what the client sent
/// behind it.
const READ_SIZE: usize = 1024;

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Lost(#[from] io::Error),
    #[error("{0}")]
    Header(#[from] ProxyProtocolError),
}

/// Reads the header, and puts into `info` what it says. Gives the socket, with what came behind the header to
/// be read again, or nothing if the connection is to be closed.
pub(super) async fn introduce(
    shared: &Shared,
    protocol: &ProxyProtocol,
    mut socket: Socket,
    info: &mut ConnectionInfo,
    deadline: Instant,
) -> Option<Socket> {
    let outcome = match tokio::time::timeout_at(deadline, read(protocol, &mut socket)).await {
        Ok(Ok((header, behind))) => {
            if let Some(header) = header {
                info.introduced(header);
            }
            return Some(socket.with_early(behind));
        }
        Ok(Err(failure)) => {
            tracing::debug!(%failure, "no header of the PROXY protocol");
            match failure {
                Failure::Lost(_) => HandshakeOutcome::Failed,
                Failure::Header(_) => HandshakeOutcome::Invalid,
            }
        }
        Err(_) => {
            tracing::debug!("the header of the PROXY protocol took too long");
            HandshakeOutcome::Timeout
        }
    };
    shared.handshake(outcome, info, None, None);
    None
}

async fn read(
    protocol: &ProxyProtocol,
    socket: &mut Socket,
) -> Result<(Option<ProxyHeader>, Vec<u8>), Failure> {
    let mut received = Vec::new();
    loop {
        let room = (&mut *socket).take(READ_SIZE as u64);
        if { room }.read_buf(&mut received).await? == 0 {
            return Err(Failure::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        match protocol.read(&received)? {
            Progress::More => {}
            Progress::Absent => return Ok((None, received)),
            Progress::Done(header, consumed) => {
                received.drain(..consumed);
                return Ok((Some(header), received));
            }
        }
    }
}

impl ConnectionInfo {
    /// Takes over what a trusted proxy says.
    pub(super) fn introduced(&mut self, header: ProxyHeader) {
        let Some((client, server)) = header.ends else {
            return;
        };
        tracing::debug!(%client, "connection of a client behind a proxy");
        self.proxied = Some(Proxied {
            by: std::mem::replace(&mut self.peer, client),
            at: std::mem::replace(&mut self.local, server),
            is_tls: header.is_tls,
            server_name: header.server_name,
            unique_id: header.unique_id,
        });
    }
}
