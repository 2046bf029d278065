//! The server's side of TLS without a socket: received bytes in, plaintext out; plaintext in, records out.
//!
//! All of TLS is rustls', in its unbuffered form: it reads records where they lie (`reading`) and writes them where they are
//! sent from (`writing`). What is here is what that form leaves to its user: to keep the beginning of a record or of a
//! handshake message until the rest has come, within bounds, and to put small pieces together into records.
//!
//! Who drives the engine's sockets owns a [`TlsSession`] per connection: it calls [`receive`](TlsSession::receive) with
//! what came, [`seal`](TlsSession::seal) with what is to go, [`close`](TlsSession::close) before it closes, and
//! [`ended`](TlsSession::ended) when the peer's sending direction is over.

mod handshake;
mod reading;
mod writing;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, WriteTraffic};

use self::handshake::{Handshake, PLAIN_HTTP};
use self::reading::{MAX_RECORD, advance, advance_mute, missing, say_rest};
use self::writing::{append_close, append_records};
use super::TlsInfo;

/// The most that is kept of a message of the handshake until it is whole, in bytes: what rustls allows for one (a client's
/// certificates), and a record.
const MAX_KEPT: usize = 64 * 1024 + MAX_RECORD;

/// Whether what comes behind our `close_notify` is read.
///
/// Where debug assertions are on, rustls asserts something there that any peer can break. That panic is
/// [caught](advance_mute), unless a panic is the end of the process: then rustls sees nothing any more, and the peer's
/// direction counts as cut off.
const READS_ON: bool = !cfg!(all(panic = "abort", debug_assertions));

/// One connection.
pub(crate) struct TlsSession {
    connection: UnbufferedServerConnection,
    phase: Phase,
    /// What was received and rustls still needs: the beginning of a record, or of a message of the handshake.
    kept: Vec<u8>,
    /// This side has said that it sent everything. It still listens.
    is_closed: bool,
    /// The peer has.
    is_closed_by_peer: bool,
    /// Whether what comes after our end is read.
    reads_on: bool,
    /// The keys were used up before everything was sent.
    is_exhausted: bool,
}

enum Phase {
    Handshake(Box<Handshake>),
    Open,
    Over,
}

/// What came of received bytes.
#[derive(Debug, Default)]
pub(crate) struct Received<'b> {
    /// The facts of the handshake, when this finished it.
    pub(crate) opened: Option<Box<TlsInfo>>,
    /// Plaintext that has come.
    pub(crate) plain: &'b mut [u8],
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
    #[error("TLS failed: {0}")]
    Session(rustls::Error),
    #[error("the peer sent a TLS message that is too long")]
    TooLong,
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
        let (handshake, connection) = Handshake::new(config)?;
        Ok(Self {
            connection,
            phase: Phase::Handshake(Box::new(handshake)),
            kept: Vec::new(),
            is_closed: false,
            is_closed_by_peer: false,
            reads_on: READS_ON,
            is_exhausted: false,
        })
    }

    /// Whether the next bytes may cost much: those of the client's hello, which is answered with a signature. Whoever has
    /// other connections to serve may [`postpone`](Self::postpone) them.
    pub(crate) fn is_costly(&self) -> bool {
        matches!(&self.phase, Phase::Handshake(handshake) if !handshake.has_answered)
    }

    /// Keeps received bytes for the next call of [`receive`](Self::receive), which may bring none. Gives whether none were
    /// kept before.
    pub(crate) fn postpone(&mut self, bytes: &[u8]) -> bool {
        let Phase::Handshake(handshake) = &mut self.phase else {
            return false;
        };
        // More than this is an error when it is looked at.
        let room = (MAX_KEPT + 1).saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        !std::mem::replace(&mut handshake.is_postponed, true)
    }

    /// Takes what was received and gives the plaintext, which is put into `workspace`. What TLS itself has to say at once is
    /// appended to `out`: the handshake, and alerts. Nothing is behind its last word, [`close`](Self::close).
    pub(crate) fn receive<'b>(
        &mut self,
        bytes: &mut [u8],
        workspace: &'b mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Received<'b> {
        workspace.clear();
        if matches!(self.phase, Phase::Over) {
            return Received::default();
        }
        let (said, is_mute) = (out.len(), self.is_closed);
        let result = self.take(bytes, workspace, out);
        let opened = self.open(out.len() > said);
        let end = match result {
            Ok(()) if self.is_closed_by_peer => Some(End::Closed),
            Ok(()) => None,
            Err(failure) => {
                // rustls takes it for an error only when the message is whole, and knows nothing to say here.
                if failure == TlsFailure::TooLong {
                    self.close(out);
                }
                // What rustls has broken off at must not be used again.
                if !is_mute {
                    say_rest(&mut self.connection, out);
                }
                self.phase = Phase::Over;
                self.kept = Vec::new();
                Some(End::Failed(failure))
            }
        };
        if is_mute {
            out.truncate(said);
        }
        Received {
            opened,
            plain: workspace,
            end,
        }
    }

    fn take(
        &mut self,
        mut bytes: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), TlsFailure> {
        if let Phase::Handshake(handshake) = &mut self.phase {
            handshake.is_postponed = false;
            let first = self.kept.first().or_else(|| bytes.first());
            if handshake.is_untouched && first.is_some_and(u8::is_ascii_uppercase) {
                out.extend_from_slice(PLAIN_HTTP);
                return Err(TlsFailure::PlainHttp);
            }
            handshake.is_untouched &= first.is_none();
        }
        while !self.kept.is_empty() {
            // No more is copied than the record needs. If it is whole, a message goes on behind it.
            let part = missing(&self.kept).unwrap_or(bytes.len()).min(bytes.len());
            let (part, behind) = bytes.split_at_mut(part);
            bytes = behind;
            self.kept.reserve_exact(part.len());
            self.kept.extend_from_slice(part);
            let mut kept = std::mem::take(&mut self.kept);
            let used = self.advance(&mut kept, plain, out)?;
            kept.drain(..used);
            kept.shrink_to_fit();
            self.kept = kept;
            if bytes.is_empty() {
                break;
            }
        }
        if !bytes.is_empty() {
            let used = self.advance(bytes, plain, out)?;
            self.kept.extend_from_slice(&bytes[used..]);
        }
        let most = match self.phase {
            Phase::Handshake(_) if self.connection.is_handshaking() => MAX_KEPT,
            _ => MAX_RECORD,
        };
        if self.kept.len() > most {
            return Err(TlsFailure::TooLong);
        }
        Ok(())
    }

    /// Gives how many of these bytes are not needed any more.
    fn advance(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<usize, TlsFailure> {
        // RFC 8446 §6.1: "Any data received after a closure alert has been received MUST be ignored."
        if self.is_closed_by_peer || (self.is_closed && !self.reads_on) {
            return Ok(bytes.len());
        }
        let progress = if self.is_closed {
            advance_mute(&mut self.connection, bytes, plain, out)
        } else {
            advance(&mut self.connection, bytes, plain, out)
        };
        match progress {
            Ok(progress) if progress.is_closed => {
                self.is_closed_by_peer = true;
                Ok(bytes.len())
            }
            Ok(progress) => Ok(progress.used),
            Err(error) if self.connection.is_handshaking() => Err(TlsFailure::Handshake(error)),
            Err(error) => Err(TlsFailure::Session(error)),
        }
    }

    /// Looks whether the handshake is done.
    fn open(&mut self, has_said: bool) -> Option<Box<TlsInfo>> {
        let Phase::Handshake(handshake) = &mut self.phase else {
            return None;
        };
        handshake.has_answered |= has_said;
        if self.connection.is_handshaking() {
            return None;
        }
        let info = TlsInfo::of_handshake(&self.connection, handshake.server_name());
        self.phase = Phase::Open;
        Some(Box::new(info))
    }

    /// Appends records with the plaintext of `pieces` to `out`, up to about `limit` bytes of it; gives how much. An answer to a
    /// change of keys goes before it.
    ///
    /// Nothing is taken during the handshake, and everything thrown away after the session's end.
    ///
    /// # Errors
    /// The keys are used up, from then on each time. Only TLS 1.2 has no way to make new ones; it may write 2²⁴ records.
    pub(crate) fn seal(
        &mut self,
        pieces: &[IoSlice<'_>],
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, TlsFailure> {
        let available: usize = pieces.iter().map(|piece| piece.len()).sum();
        match self.phase {
            Phase::Handshake(_) => return Ok(0),
            Phase::Open if self.is_exhausted => return Err(TlsFailure::Exhausted),
            Phase::Open if !self.is_closed => {}
            Phase::Open | Phase::Over => return Ok(available),
        }
        let len = available.min(limit);
        let result = append_records(&mut self.traffic()?, pieces, len, out);
        if result.is_err() {
            say_rest(&mut self.connection, out);
            self.is_closed = true;
            self.is_exhausted = true;
            return Err(TlsFailure::Exhausted);
        }
        Ok(len)
    }

    /// Says that everything was sent (`close_notify`), once. The peer's direction stays open (RFC 8446 §6.1), but nothing
    /// that comes is answered any more. Does nothing during the handshake.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        if !matches!(self.phase, Phase::Open) || std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        let result = self.traffic().map(|mut traffic| append_close(&mut traffic, out));
        if !matches!(result, Ok(Ok(()))) {
            tracing::debug!(?result, "the end of TLS could not be written");
        }
    }

    /// Whether this side has said that it sent everything.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn traffic(&mut self) -> Result<WriteTraffic<'_, ServerConnectionData>, TlsFailure> {
        // rustls may have read a part of what is kept, and wants to see it again.
        match self.connection.process_tls_records(&mut self.kept).state {
            Ok(ConnectionState::WriteTraffic(traffic)) => Ok(traffic),
            Ok(state) => Err(TlsFailure::Session(rustls::Error::General(format!(
                "nothing can be written: {state:?}"
            )))),
            Err(error) => Err(TlsFailure::Session(error)),
        }
    }

    /// The peer's sending direction is over.
    ///
    /// # Errors
    /// It was cut off: the peer had not said that it sent everything, or was in the middle of the handshake.
    pub(crate) fn ended(&self) -> Result<(), TlsFailure> {
        match &self.phase {
            Phase::Handshake(handshake) if handshake.is_untouched => Ok(()),
            Phase::Open if self.is_closed_by_peer => Ok(()),
            Phase::Over => Ok(()),
            Phase::Handshake(_) | Phase::Open => Err(TlsFailure::Truncated),
        }
    }
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match &self.phase {
            Phase::Handshake(_) => "handshake",
            Phase::Open => "open",
            Phase::Over => "over",
        };
        f.debug_tuple("TlsSession").field(&phase).finish()
    }
}
