//! Records after the handshake: reading and writing them, and what TLS says in them about itself.

use std::io::IoSlice;
use std::ops::Range;

use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{AlertDescription, Error, ExtractedSecrets, ProtocolVersion};

use super::protection::{Cursor, HEADER, MAX_PLAIN, Protection, Unreadable, kind};
use super::{End, TlsFailure};

/// How many records without content may follow each other. BoringSSL and rustls have the same.
const MAX_EMPTY: u8 = 32;

/// How many changes of keys may follow each other without a word of the application between them.
const MAX_KEY_UPDATES: u8 = 32;

/// How many warnings there may be. BoringSSL and rustls have the same.
const MAX_WARNINGS: u8 = 4;

/// RFC 8446 §4.6.3: a handshake message of type 24, one byte long.
const KEY_UPDATE: [u8; 4] = [24, 0, 0, 1];

/// An established session.
pub(super) struct Records {
    reading: Protection,
    pub(super) writing: Protection,
    /// What newer keys are made from; TLS 1.2 has none.
    keys: Option<Box<KernelConnection<ServerConnectionData>>>,
    /// The beginning of a record.
    pub(super) partial: Vec<u8>,
    /// How many records may be written with the same keys.
    pub(super) max_written: u64,
    /// The beginning of a handshake message, of which there is only one that may come: `KeyUpdate`.
    message: [u8; 5],
    message_len: u8,
    empty: u8,
    key_updates: u8,
    warnings: u8,
    owes_key_update: bool,
    peer_closed: bool,
    closed: bool,
}

/// What came out of a run of records.
pub(super) struct OpenRun {
    /// Where the plaintext lies now.
    pub(super) plain: Range<usize>,
    pub(super) end: Option<End>,
}

/// Why the session fails, and the alert that says so if the peer is to be told.
struct Fault(Option<AlertDescription>, TlsFailure);

impl Fault {
    fn new(alert: AlertDescription, how: &'static str) -> Self {
        Self(Some(alert), TlsFailure::Misbehaved(how))
    }
}

/// What a record was.
enum Content {
    Data,
    Nothing,
    Closed,
}

impl Records {
    pub(super) fn new(
        secrets: ExtractedSecrets,
        keys: KernelConnection<ServerConnectionData>,
    ) -> Result<Self, Error> {
        let version = keys.protocol_version();
        let limit = match keys.negotiated_cipher_suite() {
            rustls::SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
            rustls::SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
        };
        Ok(Self {
            reading: Protection::new(version, secrets.rx)?,
            writing: Protection::new(version, secrets.tx)?,
            keys: (version == ProtocolVersion::TLSv1_3).then(|| Box::new(keys)),
            partial: Vec::new(),
            max_written: limit,
            message: [0; 5],
            message_len: 0,
            empty: 0,
            key_updates: 0,
            warnings: 0,
            owes_key_update: false,
            peer_closed: false,
            closed: false,
        })
    }

    /// Puts the beginning of a record that was kept into `workspace`, together with the rest of that record from `bytes`;
    /// gives where in `bytes` the next one begins. If the record is not whole yet, all is kept, and there is nothing.
    pub(super) fn complete_partial(&mut self, bytes: &[u8], workspace: &mut Vec<u8>) -> Option<usize> {
        workspace.clear();
        if self.partial.is_empty() {
            return Some(0);
        }
        let mut taken = 0;
        loop {
            let whole = match self.partial.first_chunk::<HEADER>() {
                None => HEADER,
                // A header that is wrong is found out when the record is opened.
                Some(&header) if self.check(header).is_err() => HEADER,
                Some(&header) => HEADER + fragment_len(header),
            };
            let missing = whole.saturating_sub(self.partial.len());
            if missing == 0 {
                break;
            }
            let part = &bytes[taken..bytes.len().min(taken + missing)];
            if part.is_empty() {
                return None;
            }
            self.partial.extend_from_slice(part);
            taken += part.len();
        }
        // Its memory becomes the workspace's, instead of a copy.
        *workspace = std::mem::take(&mut self.partial);
        Some(taken)
    }

    /// Opens the records that begin at `at`, and puts their plaintexts together behind `plain`. What is left over, the
    /// beginning of a record, is kept.
    pub(super) fn open_run(
        &mut self,
        bytes: &mut [u8],
        mut plain: Range<usize>,
        mut at: usize,
        out: &mut Vec<u8>,
    ) -> OpenRun {
        let end = loop {
            if self.peer_closed {
                // RFC 8446 §6.1: "Any data received after a closure alert has been received MUST be ignored."
                break Some(End::Closed);
            }
            match self.open_next(bytes, &mut plain, at) {
                Ok(Some(len)) => at += len,
                Ok(None) => {
                    self.partial = bytes[at..].to_vec();
                    break None;
                }
                Err(Fault(alert, failure)) => {
                    match alert {
                        Some(alert) => self.say(alert, out),
                        None => self.closed = true,
                    }
                    break Some(End::Failed(failure));
                }
            }
        };
        OpenRun { plain, end }
    }

    /// Opens the record that begins at `at`, if it is whole; gives its length.
    fn open_next(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Range<usize>,
        at: usize,
    ) -> Result<Option<usize>, Fault> {
        let Some(&header) = bytes[at..].first_chunk::<HEADER>() else {
            return Ok(None);
        };
        self.check(header)?;
        let len = HEADER + fragment_len(header);
        let Some(record) = bytes[at..].get_mut(..len) else {
            return Ok(None);
        };
        let (kind, part) = self.reading.open(record).map_err(unreadable)?;
        match self.take(kind, &record[part.clone()])? {
            Content::Nothing => {}
            Content::Closed => self.peer_closed = true,
            Content::Data => {
                let part = at + part.start..at + part.end;
                if Range::is_empty(plain) {
                    *plain = part;
                } else {
                    let end = plain.end + part.len();
                    bytes.copy_within(part, plain.end);
                    plain.end = end;
                }
            }
        }
        Ok(Some(len))
    }

    fn check(&self, header: [u8; HEADER]) -> Result<(), Fault> {
        if !(20..=24).contains(&header[0]) || header[1] != 3 {
            return Err(Fault::new(
                AlertDescription::DecodeError,
                "what came is no record",
            ));
        }
        if fragment_len(header) > self.reading.max_fragment() {
            return Err(unreadable(Unreadable::TooLong));
        }
        Ok(())
    }

    /// Looks at the content of a record.
    fn take(&mut self, kind: u8, content: &[u8]) -> Result<Content, Fault> {
        // RFC 8446 §5.1: "If a handshake message is split over two or more records, there MUST NOT be any other records
        // between them."
        if self.message_len > 0 && kind != kind::HANDSHAKE {
            return Err(unexpected("a record in the middle of a handshake message"));
        }
        match kind {
            kind::APPLICATION_DATA if content.is_empty() => {
                self.empty += 1;
                if self.empty > MAX_EMPTY {
                    return Err(unexpected("too many empty records"));
                }
                Ok(Content::Nothing)
            }
            kind::APPLICATION_DATA => {
                self.empty = 0;
                self.key_updates = 0;
                Ok(Content::Data)
            }
            kind::ALERT => self.take_alert(content),
            kind::HANDSHAKE => self.take_handshake(content).map(|()| Content::Nothing),
            _ => Err(unexpected("a record of a type that has no place here")),
        }
    }

    fn take_alert(&mut self, content: &[u8]) -> Result<Content, Fault> {
        let &[level, description] = content else {
            return Err(Fault::new(AlertDescription::DecodeError, "an alert that is none"));
        };
        let description = AlertDescription::from(description);
        if description == AlertDescription::CloseNotify {
            return Ok(Content::Closed);
        }
        // TLS 1.3 has no warnings but this one; RFC 8446 §6: all others "MUST be treated as error alerts".
        let is_warning = if self.reading.is_tls13() {
            description == AlertDescription::UserCanceled
        } else {
            level == 1
        };
        if !is_warning {
            // RFC 8446 §6.2: "Both parties MUST immediately close the connection."
            return Err(Fault(None, TlsFailure::Alert(description)));
        }
        self.warnings += 1;
        if self.warnings > MAX_WARNINGS {
            return Err(unexpected("too many warnings"));
        }
        Ok(Content::Nothing)
    }

    fn take_handshake(&mut self, content: &[u8]) -> Result<(), Fault> {
        let Some(keys) = &mut self.keys else {
            // RFC 5746 §4.5 leaves it to the server to refuse; rustls and Go's TLS do as well.
            return Err(Fault::new(
                AlertDescription::NoRenegotiation,
                "a wish to renegotiate",
            ));
        };
        if content.is_empty() {
            return Err(unexpected("an empty part of a handshake message"));
        }
        let at = usize::from(self.message_len);
        let Some(room) = self.message[at..].get_mut(..content.len()) else {
            // RFC 8446 §5.1: "Handshake messages MUST NOT span key changes", so that nothing may stand behind it.
            return Err(unexpected("a handshake message other than KeyUpdate"));
        };
        room.copy_from_slice(content);
        let len = at + content.len();
        if !self.message[..len].starts_with(&KEY_UPDATE[..len.min(KEY_UPDATE.len())]) {
            return Err(unexpected("a handshake message other than KeyUpdate"));
        }
        self.message_len = len as u8;
        if len < self.message.len() {
            return Ok(());
        }
        self.message_len = 0;
        match self.message[4] {
            0 => {}
            1 => self.owes_key_update = true,
            _ => {
                return Err(Fault::new(
                    AlertDescription::IllegalParameter,
                    "a malformed KeyUpdate",
                ));
            }
        }
        self.key_updates += 1;
        if self.key_updates > MAX_KEY_UPDATES {
            return Err(unexpected("too many changes of keys"));
        }
        self.reading = keys
            .update_rx_secret()
            .and_then(|secrets| Protection::new(ProtocolVersion::TLSv1_3, secrets))
            .map_err(|error| {
                Fault(
                    Some(AlertDescription::InternalError),
                    TlsFailure::Handshake(error),
                )
            })?;
        Ok(())
    }

    /// The session's end when the peer closed it before it was known to be open.
    pub(super) fn closed_by_peer(&mut self, plain: Range<usize>) -> OpenRun {
        self.peer_closed = true;
        OpenRun {
            plain,
            end: Some(End::Closed),
        }
    }

    pub(super) fn is_closed_by_peer(&self) -> bool {
        self.peer_closed
    }

    pub(super) fn owes(&self) -> bool {
        self.owes_key_update && !self.closed
    }

    /// Appends records with up to `limit` bytes of plaintext, and what is owed before them.
    pub(super) fn seal(
        &mut self,
        pieces: &[IoSlice<'_>],
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, TlsFailure> {
        let available: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.closed {
            return Ok(available);
        }
        if self.owes_key_update {
            self.update_keys(out)?;
        }
        let total = available.min(limit);
        let mut cursor = Cursor::new(pieces);
        let mut taken = 0;
        while taken < total {
            if self.writing.sequence() >= self.max_written {
                self.update_keys(out)?;
            }
            let len = MAX_PLAIN.min(total - taken);
            self.writing
                .seal(kind::APPLICATION_DATA, cursor.take(len), out)
                .map_err(TlsFailure::Handshake)?;
            taken += len;
        }
        Ok(taken)
    }

    /// Changes to new keys, and says so. A change because these are used up answers a wish of the peer as well.
    fn update_keys(&mut self, out: &mut Vec<u8>) -> Result<(), TlsFailure> {
        let Some(keys) = &mut self.keys else {
            self.close(out);
            return Err(TlsFailure::Exhausted);
        };
        let message: &[u8] = &[24, 0, 0, 1, 0];
        self.writing
            .seal(kind::HANDSHAKE, std::iter::once(message), out)
            .and_then(|()| keys.update_tx_secret())
            .and_then(|secrets| Protection::new(ProtocolVersion::TLSv1_3, secrets))
            .map(|fresh| self.writing = fresh)
            .map_err(TlsFailure::Handshake)?;
        self.owes_key_update = false;
        Ok(())
    }

    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        self.say(AlertDescription::CloseNotify, out);
    }

    /// Appends an alert, the last word of this side.
    fn say(&mut self, alert: AlertDescription, out: &mut Vec<u8>) {
        /// Levels of alerts.
        const WARNING: u8 = 1;
        const FATAL: u8 = 2;

        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let level = match alert {
            AlertDescription::CloseNotify | AlertDescription::NoRenegotiation => WARNING,
            _ => FATAL,
        };
        let content: &[u8] = &[level, u8::from(alert)];
        if let Err(error) = self.writing.seal(kind::ALERT, std::iter::once(content), out) {
            tracing::debug!(%error, "an alert could not be written");
        }
    }
}

fn fragment_len([.., high, low]: [u8; HEADER]) -> usize {
    usize::from(u16::from_be_bytes([high, low]))
}

fn unexpected(how: &'static str) -> Fault {
    Fault::new(AlertDescription::UnexpectedMessage, how)
}

fn unreadable(why: Unreadable) -> Fault {
    match why {
        Unreadable::Forged => Fault::new(
            AlertDescription::BadRecordMac,
            "a record that cannot be decrypted",
        ),
        Unreadable::TooLong => Fault::new(AlertDescription::RecordOverflow, "a record that is too long"),
        Unreadable::Empty => unexpected("a record without a type"),
        Unreadable::Unencrypted => unexpected("a record that is not encrypted"),
    }
}
