//! TLS between a connection and its socket, on buffers alone.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::{CertificateError, ClientConnection, Error, InvalidMessage};
use sockeye::driver::Output;

use crate::bench::plan;
use crate::bench::trouble::{Kind, Trouble};

/// What went wrong, with what may be done about it.
pub(super) fn trouble(error: &rustls::Error) -> Trouble {
    let hint = match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "what the server sends is not TLS; it may be one for ws://: "
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "nobody whom this client trusts has signed the certificate (--ca names one to trust, --insecure accepts any): "
        }
        _ => "",
    };
    Trouble::new(Kind::Tls, format!("{hint}{error}"))
}

/// One end of TLS: bytes go through it, and it keeps what is not whole yet.
#[derive(Debug)]
pub(super) struct Encryption(ClientConnection);

impl Encryption {
    pub(super) fn new(tls: &plan::Tls) -> Result<Self, rustls::Error> {
        let mut connection = ClientConnection::new(Arc::clone(&tls.config), tls.name.clone())?;
        // What waits is bounded by whoever fills the outputs.
        connection.set_buffer_limit(None);
        Ok(Self(connection))
    }

    /// Takes what came from the socket, at least a part of it, and appends what is in it to `clear`; gives
    /// how much it took.
    ///
    /// # Errors
    /// TLS failed. What tells the peer is to be sent still.
    pub(super) fn decrypt(&mut self, mut bytes: &[u8], clear: &mut Vec<u8>) -> Result<usize, rustls::Error> {
        let before = bytes.len();
        // Memory gives all that is asked for; too much at once is taken in parts.
        let failed = |error: std::io::Error| rustls::Error::General(error.to_string());
        self.0.read_tls(&mut bytes).map_err(failed)?;
        let state = self.0.process_new_packets()?;
        let start = clear.len();
        clear.resize(start + state.plaintext_bytes_to_read(), 0);
        self.0.reader().read_exact(&mut clear[start..]).map_err(failed)?;
        Ok(before - bytes.len())
    }

    /// Encrypts, or keeps it until the handshake is done, and appends what is to be sent.
    pub(super) fn encrypt(&mut self, clear: &[u8], output: &mut Output) {
        // Memory takes everything.
        let _ = self.0.writer().write_all(clear);
        while self.0.wants_write() {
            let _ = self.0.write_tls(output.tail());
        }
    }

    /// Whether there is something to send that nobody asked for: a handshake's answer, an alert.
    pub(super) fn wants_write(&self) -> bool {
        self.0.wants_write()
    }
}
