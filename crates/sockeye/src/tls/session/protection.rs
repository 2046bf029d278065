//! What one direction's keys do to a record. RFC 8446 §5.2, RFC 5288, RFC 7905; the ciphers are those of aws-lc.

use std::io::IoSlice;
use std::ops::Range;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use rustls::{ConnectionTrafficSecrets, Error, ProtocolVersion};

/// Type, version and length of a record.
pub(super) const HEADER: usize = 5;

/// The most plaintext in a record.
pub(super) const MAX_PLAIN: usize = 1 << 14;

const TAG: usize = 16;

/// The part of the nonce that records of TLS 1.2 with AES-GCM carry.
const EXPLICIT_NONCE: usize = 8;

/// The version that every record names; TLS 1.3 does not change it.
const VERSION: [u8; 2] = [3, 3];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Tls13,
    Tls12Gcm,
    Tls12ChaCha,
}

/// What records are for.
pub(super) mod kind {
    pub(in super::super) const ALERT: u8 = 21;
    pub(in super::super) const HANDSHAKE: u8 = 22;
    pub(in super::super) const APPLICATION_DATA: u8 = 23;
}

/// The keys of one direction, and how many records they were used for.
pub(super) struct Protection {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    sequence: u64,
    form: Form,
}

/// Why a record cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is not what the peer wrote.
    Forged,
    /// Its plaintext is larger than a record's may be.
    TooLong,
    /// There is nothing in it, not even a type.
    Empty,
    /// It is of a type that is not encrypted.
    Unencrypted,
}

impl Protection {
    pub(super) fn new(
        version: ProtocolVersion,
        (sequence, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Result<Self, Error> {
        let is_tls13 = version == ProtocolVersion::TLSv1_3;
        let (algorithm, key, iv, tls12) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv, Form::Tls12Gcm),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv, Form::Tls12Gcm),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => {
                (&CHACHA20_POLY1305, key, iv, Form::Tls12ChaCha)
            }
            _ => return Err(Error::General("an unknown cipher".to_owned())),
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| Error::EncryptError)?;
        let iv = iv.as_ref().try_into().map_err(|_| Error::EncryptError)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            iv,
            sequence,
            form: if is_tls13 { Form::Tls13 } else { tls12 },
        })
    }

    pub(super) fn is_tls13(&self) -> bool {
        self.form == Form::Tls13
    }

    /// How many records were read or written with these keys.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The longest that the rest of a record may be, behind its header.
    pub(super) fn max_fragment(&self) -> usize {
        MAX_PLAIN + if self.is_tls13() { 256 } else { 2048 }
    }

    /// RFC 8446 §5.3, and the same in RFC 7905 §2: the number of the record, mixed into the IV.
    fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = self.iv;
        for (byte, number) in nonce[NONCE_LEN - 8..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= number;
        }
        nonce
    }

    /// RFC 5246 §6.2.3.3.
    fn tls12_aad(&self, kind: u8, version: [u8; 2], len: usize) -> Aad<[u8; 13]> {
        let mut aad = [0; 13];
        aad[..8].copy_from_slice(&self.sequence.to_be_bytes());
        aad[8] = kind;
        aad[9..11].copy_from_slice(&version);
        aad[11..].copy_from_slice(&(len as u16).to_be_bytes());
        Aad::from(aad)
    }

    /// Opens a record in its place: gives its type, and where in it the plaintext lies now.
    pub(super) fn open(&mut self, record: &mut [u8]) -> Result<(u8, Range<usize>), Unreadable> {
        let Some((&mut [kind, major, minor, high, low], fragment)) = record.split_first_chunk_mut() else {
            return Err(Unreadable::Forged);
        };
        let opened = match self.form {
            Form::Tls13 => {
                if kind != kind::APPLICATION_DATA {
                    return Err(Unreadable::Unencrypted);
                }
                let nonce = Nonce::assume_unique_for_key(self.nonce());
                let aad = Aad::from([kind, VERSION[0], VERSION[1], high, low]);
                let plain = self
                    .key
                    .open_in_place(nonce, aad, fragment)
                    .map_err(|_| Unreadable::Forged)?;
                // Behind the plaintext stand its type and any number of zeros.
                let end = plain
                    .iter()
                    .rposition(|&byte| byte != 0)
                    .ok_or(Unreadable::Empty)?;
                (plain[end], HEADER..HEADER + end)
            }
            Form::Tls12Gcm | Form::Tls12ChaCha => {
                let (nonce, explicit) = if self.form == Form::Tls12Gcm {
                    let explicit = fragment
                        .first_chunk::<EXPLICIT_NONCE>()
                        .ok_or(Unreadable::Forged)?;
                    let mut nonce = self.iv;
                    nonce[NONCE_LEN - EXPLICIT_NONCE..].copy_from_slice(explicit);
                    (nonce, EXPLICIT_NONCE)
                } else {
                    (self.nonce(), 0)
                };
                let sealed = &mut fragment[explicit..];
                let len = sealed.len().checked_sub(TAG).ok_or(Unreadable::Forged)?;
                let aad = self.tls12_aad(kind, [major, minor], len);
                self.key
                    .open_in_place(Nonce::assume_unique_for_key(nonce), aad, sealed)
                    .map_err(|_| Unreadable::Forged)?;
                let start = HEADER + explicit;
                (kind, start..start + len)
            }
        };
        if opened.1.len() > MAX_PLAIN {
            return Err(Unreadable::TooLong);
        }
        self.sequence += 1;
        Ok(opened)
    }

    /// Appends a record with the plaintext of `pieces`, which must not be more than [`MAX_PLAIN`].
    pub(super) fn seal<'p>(
        &mut self,
        kind: u8,
        pieces: impl Iterator<Item = &'p [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let start = out.len();
        let nonce = self.nonce();
        out.extend_from_slice(&[kind, VERSION[0], VERSION[1], 0, 0]);
        if self.form == Form::Tls12Gcm {
            out.extend_from_slice(&nonce[NONCE_LEN - EXPLICIT_NONCE..]);
        }
        let at = out.len();
        pieces.for_each(|piece| out.extend_from_slice(piece));
        let len = out.len() - at;
        if self.is_tls13() {
            out.push(kind);
            out[start] = kind::APPLICATION_DATA;
        }
        let fragment = (out.len() + TAG - start - HEADER) as u16;
        out[start + 3..start + HEADER].copy_from_slice(&fragment.to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = if self.is_tls13() {
            let [high, low] = fragment.to_be_bytes();
            let aad = Aad::from([kind::APPLICATION_DATA, VERSION[0], VERSION[1], high, low]);
            self.key.seal_in_place_separate_tag(nonce, aad, &mut out[at..])
        } else {
            let aad = self.tls12_aad(kind, VERSION, len);
            self.key.seal_in_place_separate_tag(nonce, aad, &mut out[at..])
        };
        let Ok(tag) = tag else {
            // What was not encrypted must not leave.
            out.truncate(start);
            return Err(Error::EncryptError);
        };
        out.extend_from_slice(tag.as_ref());
        self.sequence += 1;
        Ok(())
    }
}

/// Goes through pieces of plaintext, record by record.
pub(super) struct Cursor<'p> {
    pieces: &'p [IoSlice<'p>],
    /// How much of the first piece is taken.
    taken: usize,
}

impl<'p> Cursor<'p> {
    pub(super) fn new(pieces: &'p [IoSlice<'p>]) -> Self {
        Self { pieces, taken: 0 }
    }

    /// Takes the next `len` bytes, or as many as there are.
    pub(super) fn take(&mut self, mut len: usize) -> impl Iterator<Item = &'p [u8]> {
        std::iter::from_fn(move || {
            loop {
                let piece = self.pieces.first()?;
                let rest = &piece[self.taken..];
                if rest.is_empty() {
                    self.pieces = &self.pieces[1..];
                    self.taken = 0;
                    continue;
                }
                if len == 0 {
                    return None;
                }
                let part = &rest[..rest.len().min(len)];
                self.taken += part.len();
                len -= part.len();
                return Some(part);
            }
        })
    }
}
