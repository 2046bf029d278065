//! The handshake, by rustls.

use std::sync::{Arc, OnceLock};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert, ServerConnectionData, UnbufferedServerConnection};
use rustls::sign::CertifiedKey;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};

use super::TlsFailure;
use super::records::Records;
use crate::tls::TlsInfo;

/// The most that is kept of a handshake message until it is whole, in bytes: what rustls allows for one (a client's
/// certificates), and a record.
const MAX_KEPT: usize = (64 + 17) * 1024;

/// What a client is told that speaks HTTP where TLS is spoken: it would not understand an alert.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
Content-Type: text/plain; charset=utf-8\r\nContent-Length: 50\r\nConnection: close\r\n\r\n\
This port speaks TLS only: use https:// or wss://.";

pub(super) struct Handshake {
    connection: UnbufferedServerConnection,
    received: Vec<u8>,
    witness: Arc<Witness>,
    is_untouched: bool,
    has_answered: bool,
    is_postponed: bool,
}

/// What came of received bytes.
pub(super) enum Outcome {
    More(Box<Handshake>),
    Failed(TlsFailure),
    Done(Done),
}

/// A finished handshake.
pub(super) struct Done {
    pub(super) records: Records,
    pub(super) info: Box<TlsInfo>,
    /// What came behind the handshake: plaintext that rustls read already, and then records.
    pub(super) behind: Vec<u8>,
    /// How much of that is plaintext.
    pub(super) plain: usize,
    /// Whether the peer closed, within the part that rustls read.
    pub(super) is_closed: bool,
}

impl Handshake {
    pub(super) fn new(config: &Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let witness = Arc::new(Witness {
            resolver: Arc::clone(&config.cert_resolver),
            name: OnceLock::new(),
        });
        let mut config = ServerConfig::clone(config);
        config.cert_resolver = Arc::clone(&witness) as _;
        Ok(Self {
            connection: UnbufferedServerConnection::new(Arc::new(config))?,
            received: Vec::new(),
            witness,
            is_untouched: true,
            has_answered: false,
            is_postponed: false,
        })
    }

    /// Whether nothing was received yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.is_untouched
    }

    /// Whether the costly part is still to come: the signature under the answer to the client's hello.
    pub(super) fn is_costly(&self) -> bool {
        !self.has_answered
    }

    /// Keeps bytes for a later call. Gives whether there were none before.
    pub(super) fn postpone(&mut self, bytes: &[u8]) -> bool {
        // More than this is an error when it is looked at.
        let room = (MAX_KEPT + 1).saturating_sub(self.received.len());
        self.received.extend_from_slice(&bytes[..bytes.len().min(room)]);
        !std::mem::replace(&mut self.is_postponed, true)
    }

    pub(super) fn receive(mut self: Box<Self>, bytes: &[u8], out: &mut Vec<u8>) -> Outcome {
        self.is_postponed = false;
        self.received.extend_from_slice(bytes);
        if self.is_untouched && self.received.first().is_some_and(u8::is_ascii_uppercase) {
            out.extend_from_slice(PLAIN_HTTP);
            return Outcome::Failed(TlsFailure::PlainHttp);
        }
        self.is_untouched &= self.received.is_empty();
        let said = out.len();
        let mut early = Early::default();
        let advanced = self.advance(&mut early, out);
        self.has_answered |= out.len() > said;
        match advanced {
            Err(error) => {
                self.say_why(out);
                Outcome::Failed(TlsFailure::Handshake(error))
            }
            Ok(true) => self
                .done(early)
                .unwrap_or_else(|error| Outcome::Failed(TlsFailure::Handshake(error))),
            Ok(false) if self.received.len() > MAX_KEPT => {
                Outcome::Failed(TlsFailure::Misbehaved("a handshake message that is too long"))
            }
            Ok(false) => {
                self.received.shrink_to_fit();
                Outcome::More(self)
            }
        }
    }

    /// Lets rustls work until it has nothing more to do; gives whether the handshake is done.
    fn advance(&mut self, early: &mut Early, out: &mut Vec<u8>) -> Result<bool, rustls::Error> {
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut self.received);
            let rests = match state? {
                ConnectionState::EncodeTlsData(data) => {
                    encode(data, out);
                    false
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    false
                }
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        early.plain.extend_from_slice(record.payload);
                    }
                    false
                }
                ConnectionState::PeerClosed => {
                    early.is_closed = true;
                    false
                }
                ConnectionState::BlockedHandshake
                | ConnectionState::WriteTraffic(_)
                | ConnectionState::Closed => true,
                // Data before the handshake is not asked for, and what states there may be one day is not known.
                _ => return Err(rustls::Error::General("an unexpected state".to_owned())),
            };
            self.received.drain(..discard);
            if rests {
                return Ok(!self.connection.is_handshaking());
            }
        }
    }

    /// Appends the alert that rustls has prepared, and what it had prepared before.
    fn say_why(&mut self, out: &mut Vec<u8>) {
        // Once nothing waits, rustls would go on with what was received, and must not after an error.
        while self.connection.wants_write() {
            match self.connection.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, out),
                _ => return,
            }
        }
    }

    fn done(self: Box<Self>, early: Early) -> Result<Outcome, rustls::Error> {
        let info = TlsInfo::of_handshake(&self.connection, self.witness.name.get().cloned());
        let (secrets, keys) = self.connection.dangerous_into_kernel_connection()?;
        let plain = early.plain.len();
        let mut behind = early.plain;
        behind.extend_from_slice(&self.received);
        Ok(Outcome::Done(Done {
            records: Records::new(secrets, keys)?,
            info: Box::new(info),
            behind,
            plain,
            is_closed: early.is_closed,
        }))
    }
}

/// What rustls read behind the handshake before it said that it was done.
#[derive(Default)]
struct Early {
    plain: Vec<u8>,
    is_closed: bool,
}

fn encode(mut data: EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) {
    // Asked with no room, it tells how much it takes.
    if let Err(EncodeError::InsufficientSize(needed)) = data.encode(&mut []) {
        let at = out.len();
        out.resize(at + needed.required_size, 0);
        let written = data.encode(&mut out[at..]).unwrap_or(0);
        out.truncate(at + written);
    }
}

/// Chooses the certificate as the configuration says, and remembers which name it was asked for: rustls does not tell it
/// later.
#[derive(Debug)]
struct Witness {
    resolver: Arc<dyn ResolvesServerCert>,
    name: OnceLock<String>,
}

impl ResolvesServerCert for Witness {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            // The second hello of a client that was asked to try again names the same host.
            self.name.get_or_init(|| name.to_owned());
        }
        self.resolver.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.resolver.only_raw_public_keys()
    }
}
