//! What a session needs until the handshake is done, and then no more.

use std::sync::{Arc, OnceLock};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert, UnbufferedServerConnection};
use rustls::sign::CertifiedKey;

/// What a client is told that speaks HTTP where TLS is spoken: it would not understand an alert.
pub(super) const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
Content-Type: text/plain; charset=utf-8\r\nContent-Length: 50\r\nConnection: close\r\n\r\n\
This port speaks TLS only: use https:// or wss://.";

/// How far the handshake is.
pub(super) struct Handshake {
    witness: Arc<Witness>,
    /// Nothing was received yet.
    pub(super) is_untouched: bool,
    /// The client's hello was answered.
    pub(super) has_answered: bool,
    /// What was received is to be looked at later.
    pub(super) is_postponed: bool,
}

impl Handshake {
    /// The beginning of a connection.
    pub(super) fn new(
        config: &Arc<ServerConfig>,
    ) -> Result<(Self, UnbufferedServerConnection), rustls::Error> {
        let witness = Arc::new(Witness {
            resolver: Arc::clone(&config.cert_resolver),
            name: OnceLock::new(),
        });
        let mut config = ServerConfig::clone(config);
        config.cert_resolver = Arc::clone(&witness) as _;
        let connection = UnbufferedServerConnection::new(Arc::new(config))?;
        let handshake = Self {
            witness,
            is_untouched: true,
            has_answered: false,
            is_postponed: false,
        };
        Ok((handshake, connection))
    }

    /// The host that the client asked for.
    pub(super) fn server_name(&self) -> Option<String> {
        self.witness.name.get().cloned()
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
