//! From plaintext to records, where they are sent from.

use std::io::IoSlice;

use rustls::server::ServerConnectionData;
use rustls::unbuffered::{EncryptError, WriteTraffic};

/// The most plaintext in a record.
pub(super) const MAX_PLAIN: usize = 1 << 14;

/// What a record adds to its plaintext is less, in bytes.
const OVERHEAD: usize = 32;

/// Appends records with the first `len` bytes of `pieces` to `out`. All but the last are full.
///
/// # Errors
/// The keys are used up.
pub(super) fn append_records(
    traffic: &mut WriteTraffic<'_, ServerConnectionData>,
    pieces: &[IoSlice<'_>],
    len: usize,
    out: &mut Vec<u8>,
) -> Result<(), EncryptError> {
    let mut cursor = Cursor { pieces, taken: 0 };
    let mut left = len;
    while left > 0 {
        if let Some(run) = cursor.take_records(left) {
            append(out, 0, run.len(), |_, room| traffic.encrypt(run, room))?;
            left -= run.len();
        } else {
            // A record of several pieces, while rustls takes one: they are put together where the record will be.
            let len = left.min(MAX_PLAIN);
            let at = out.len();
            cursor.copy(len, out);
            let result = append(out, len, len, |plain, room| traffic.encrypt(plain, room));
            out.drain(at..at + len);
            result?;
            left -= len;
        }
    }
    Ok(())
}

/// Appends `close_notify`, once.
pub(super) fn append_close(
    traffic: &mut WriteTraffic<'_, ServerConnectionData>,
    out: &mut Vec<u8>,
) -> Result<(), EncryptError> {
    append(out, 0, 0, |_, room| traffic.queue_close_notify(room))
}

/// Appends what `write` makes of the last `gathered` bytes, from about `len` bytes of plaintext.
fn append(
    out: &mut Vec<u8>,
    gathered: usize,
    len: usize,
    mut write: impl FnMut(&[u8], &mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), EncryptError> {
    let at = out.len();
    let mut room = len + (len.div_ceil(MAX_PLAIN) + 1) * OVERHEAD;
    loop {
        out.resize(at + room, 0);
        let (plain, records) = out[at - gathered..].split_at_mut(gathered);
        let result = write(plain, records);
        out.truncate(at + *result.as_ref().unwrap_or(&0));
        match result {
            // It has to say something of its own before, such as the answer to a change of keys.
            Err(EncryptError::InsufficientSize(needed)) if needed.required_size > room => {
                room = needed.required_size;
            }
            result => return result.map(drop),
        }
    }
}

/// Goes through pieces of plaintext.
struct Cursor<'p> {
    pieces: &'p [IoSlice<'p>],
    /// How much of the first piece is taken.
    taken: usize,
}

impl<'p> Cursor<'p> {
    /// What is left of the first piece that is not used up, as far as the next `len` bytes go.
    fn peek(&mut self, len: usize) -> &'p [u8] {
        while let Some((piece, behind)) = self.pieces.split_first() {
            let rest = &piece[self.taken..];
            if !rest.is_empty() {
                return &rest[..rest.len().min(len)];
            }
            self.pieces = behind;
            self.taken = 0;
        }
        &[]
    }

    /// Takes all of the next `len` bytes if they lie in one piece, or as many full records as do. `None` if the next record
    /// is of several pieces.
    fn take_records(&mut self, len: usize) -> Option<&'p [u8]> {
        let part = self.peek(len);
        let run = if part.len() == len {
            len
        } else {
            part.len() - part.len() % MAX_PLAIN
        };
        self.taken += run;
        (run > 0).then(|| &part[..run])
    }

    /// Appends the next `len` bytes to `out`.
    fn copy(&mut self, mut len: usize, out: &mut Vec<u8>) {
        while len > 0 {
            let part = self.peek(len);
            if part.is_empty() {
                return;
            }
            out.extend_from_slice(part);
            self.taken += part.len();
            len -= part.len();
        }
    }
}
