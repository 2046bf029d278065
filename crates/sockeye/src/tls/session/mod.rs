//! The server's side of TLS without a socket: received bytes in, plaintext out; plaintext in, records out.
//!
//! rustls makes the handshake (`handshake`). Then it hands over the keys, and the records are read where they were
//! received and written where they are sent from (`records`, `protection`): no copy of what comes, one of what goes, and
//! nothing is kept between records but keys. rustls keeps what newer keys are made from.
//!
//! Who drives the engine's sockets owns a [`TlsSession`] per connection: it calls [`receive`](TlsSession::receive) with
//! what came, [`seal`](TlsSession::seal) with what is to go, [`close`](TlsSession::close) before it closes, and
//! [`ended`](TlsSession::ended) when the peer's sending direction is over.

mod handshake;
mod protection;
mod records;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;

use rustls::{AlertDescription, ServerConfig};

use self::handshake::{Handshake, Outcome};
use self::records::{OpenRun, Records};
use super::TlsInfo;

/// One connection.
pub(crate) struct TlsSession(Phase);

enum Phase {
    Handshake(Box<Handshake>),
    Open(Records),
    Over,
}

/// What came of received bytes.
#[derive(Debug, Default)]
pub(crate) struct Received<'b> {
    /// The facts of the handshake, when this finished it.
    pub(crate) opened: Option<Box<TlsInfo>>,
    /// Plaintext that has come, in the workspace.
    pub(crate) first: &'b mut [u8],
    /// Plaintext that has come after that, where it was received.
    pub(crate) rest: &'b mut [u8],
    /// Whether that was all.
    pub(crate) end: Option<End>,
}

/// Why nothing more will come.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer says that it has sent everything.
    Closed,
    /// The connection is to be closed once the output is sent; it has the alert that tells the peer.
    Failed(TlsFailure),
}

/// What went wrong with a session.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum TlsFailure {
    #[error("the TLS handshake failed: {0}")]
    Handshake(rustls::Error),
    #[error("the client speaks plain HTTP where TLS is spoken")]
    PlainHttp,
    #[error("the peer ended TLS: {0:?}")]
    Alert(AlertDescription),
    #[error("the peer broke the TLS protocol: {0}")]
    Misbehaved(&'static str),
    #[error("the connection was cut off without the end that TLS has for it")]
    Truncated,
    #[error("the keys of the TLS connection are used up")]
    Exhausted,
}

impl TlsSession {
    /// The session of a connection that was just accepted.
    ///
    /// # Errors
    /// A configuration that cannot work.
    pub(crate) fn new(config: &Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self(Phase::Handshake(Box::new(Handshake::new(config)?))))
    }

    /// Whether the next bytes may cost much: those of the client's hello, which is answered with a signature. Whoever has
    /// other connections to serve may [`postpone`](Self::postpone) them.
    pub(crate) fn is_costly(&self) -> bool {
        matches!(&self.0, Phase::Handshake(handshake) if handshake.is_costly())
    }

    /// Keeps received bytes for the next call of [`receive`](Self::receive), which may bring none. Gives whether none were
    /// kept before.
    pub(crate) fn postpone(&mut self, bytes: &[u8]) -> bool {
        match &mut self.0 {
            Phase::Handshake(handshake) => handshake.postpone(bytes),
            Phase::Open(_) | Phase::Over => false,
        }
    }

    /// Takes what was received and gives the plaintext. `workspace` lends memory and keeps nothing. What TLS itself has to
    /// say at once is appended to `out`: the handshake, and alerts.
    pub(crate) fn receive<'b>(
        &mut self,
        bytes: &'b mut [u8],
        workspace: &'b mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Received<'b> {
        let received = match &mut self.0 {
            Phase::Handshake(_) => self.shake(bytes, workspace, out),
            Phase::Open(records) => open(records, bytes, workspace, out),
            Phase::Over => Received::default(),
        };
        if matches!(received.end, Some(End::Failed(_))) {
            self.0 = Phase::Over;
        }
        received
    }

    fn shake<'b>(&mut self, bytes: &[u8], workspace: &'b mut Vec<u8>, out: &mut Vec<u8>) -> Received<'b> {
        let Phase::Handshake(handshake) = std::mem::replace(&mut self.0, Phase::Over) else {
            return Received::default();
        };
        match handshake.receive(bytes, out) {
            Outcome::More(handshake) => {
                self.0 = Phase::Handshake(handshake);
                Received::default()
            }
            Outcome::Failed(failure) => Received {
                end: Some(End::Failed(failure)),
                ..Received::default()
            },
            Outcome::Done(mut done) => {
                *workspace = done.behind;
                let OpenRun { plain, end } = if done.is_closed {
                    done.records.closed_by_peer(0..done.plain)
                } else {
                    done.records.open_run(workspace, 0..done.plain, done.plain, out)
                };
                self.0 = Phase::Open(done.records);
                Received {
                    opened: Some(done.info),
                    first: &mut workspace[plain],
                    end,
                    ..Received::default()
                }
            }
        }
    }

    /// Appends records with the plaintext of `pieces` to `out`, up to about `limit` bytes of it; gives how many. Together with
    /// it goes what TLS itself [owes](Self::owes).
    ///
    /// Nothing is taken during the handshake, and everything thrown away after the session's end.
    ///
    /// # Errors
    /// The keys are used up. Only TLS 1.2 has no way to make new ones; it may write 2²⁴ records.
    pub(crate) fn seal(
        &mut self,
        pieces: &[IoSlice<'_>],
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, TlsFailure> {
        match &mut self.0 {
            Phase::Handshake(_) => Ok(0),
            Phase::Open(records) => records.seal(pieces, limit, out),
            Phase::Over => Ok(pieces.iter().map(|piece| piece.len()).sum()),
        }
    }

    /// Whether TLS has something to send of its own that can wait until output can be taken.
    pub(crate) fn owes(&self) -> bool {
        matches!(&self.0, Phase::Open(records) if records.owes())
    }

    /// Says that everything was sent (`close_notify`), once. Does nothing during the handshake.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        if let Phase::Open(records) = &mut self.0 {
            records.close(out);
        }
    }

    /// The peer's sending direction is over.
    ///
    /// # Errors
    /// It was cut off: the peer had not said that it sent everything, or was in the middle of the handshake.
    pub(crate) fn ended(&self) -> Result<(), TlsFailure> {
        match &self.0 {
            Phase::Handshake(handshake) if handshake.is_untouched() => Ok(()),
            Phase::Open(records) if records.is_closed_by_peer() => Ok(()),
            Phase::Over => Ok(()),
            Phase::Handshake(_) | Phase::Open(_) => Err(TlsFailure::Truncated),
        }
    }
}

fn open<'b>(
    records: &mut Records,
    bytes: &'b mut [u8],
    workspace: &'b mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Received<'b> {
    let mut received = Received::default();
    let behind = match records.complete_partial(bytes, workspace) {
        Some(behind) => behind,
        None => return received,
    };
    if !workspace.is_empty() {
        let OpenRun { plain, end } = records.open_run(workspace, 0..0, 0, out);
        received.first = &mut workspace[plain];
        received.end = end;
    }
    if received.end.is_none() {
        let OpenRun { plain, end } = records.open_run(bytes, behind..behind, behind, out);
        received.rest = &mut bytes[plain];
        received.end = end;
    }
    received
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match &self.0 {
            Phase::Handshake(_) => "handshake",
            Phase::Open(_) => "open",
            Phase::Over => "over",
        };
        f.debug_tuple("TlsSession").field(&phase).finish()
    }
}
