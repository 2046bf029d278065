//! What one side sends.

use std::sync::Arc;

use zlib_rs::{DeflateFlush, Status};

use super::history::History;
use super::pool::{Encoder, Settings};
use super::{Deflate, DeflateError, Parameters, Pool, TRAILER};
use crate::Role;

/// Compresses the messages that one side of a connection sends (RFC 7692 §7.2.1).
///
/// Without context takeover it holds no memory between messages. With it and a window of up to 2 KiB, it holds what it
/// sent of late, as many bytes as the window has, and shows them to a compressor that it borrows for each message. With
/// a larger window it takes a compressor from the pool at the first message and keeps it until it is dropped.
#[derive(Debug)]
pub struct Compressor {
    pool: Arc<Pool>,
    encoder: Option<Box<Encoder>>,
    /// What was sent of late, if the context is kept as that.
    history: Option<Box<History>>,
    threshold: usize,
    settings: Settings,
    context: Context,
    failed: bool,
}

/// What a compressor keeps from one message to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    Nothing,
    /// The bytes of the window. A compressor weighs some hundred KiB whatever the window is.
    Bytes,
    /// A compressor: to read the bytes of a large window anew would cost more than to compress most messages.
    Encoder,
}

/// Up to this window, context is kept as bytes: to read them costs about a microsecond for each KiB.
const BYTES_WINDOW: u8 = 11;

impl Compressor {
    /// The compressor of the side that plays `role`.
    pub fn new(role: Role, parameters: Parameters, options: &Deflate, pool: Arc<Pool>) -> Self {
        let settings = Settings {
            window_bits: parameters.window_bits(role),
            level: options.level,
            mem_level: options.mem_level,
        };
        let context = match parameters.keeps_context(role) {
            false => Context::Nothing,
            true if settings.window_bits.get() <= BYTES_WINDOW => Context::Bytes,
            true => Context::Encoder,
        };
        Self {
            pool,
            encoder: None,
            history: None,
            threshold: options.threshold,
            settings,
            context,
            failed: false,
        }
    }

    /// Whether a message of `length` bytes reaches [`Deflate::threshold`]. A smaller one is better sent
    /// uncompressed, which RFC 7692 §6 always allows.
    pub const fn is_worthwhile(&self, length: usize) -> bool {
        length >= self.threshold
    }

    /// Compresses a message, or the next fragment of one, and appends it to `out`.
    ///
    /// `fin` says that the message ends here. Each fragment can be decompressed up to its end when it
    /// arrives. The first frame of the message must have RSV1 set, and what was appended must be sent: with
    /// context takeover, later messages refer to it.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use sockeye_proto::Role;
    /// use sockeye_proto::deflate::{Compressor, Deflate, Pool};
    ///
    /// let options = Deflate::default();
    /// let (parameters, _) = options.accept(&options.offer()).unwrap();
    /// let mut compressor = Compressor::new(Role::Server, parameters, &options, Arc::new(Pool::default()));
    /// let mut out = Vec::new();
    /// compressor.compress(b"Hello", true, &mut out)?;
    /// assert_eq!(out, [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]); // RFC 7692 §7.2.3.1
    /// # Ok::<(), sockeye_proto::deflate::DeflateError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`DeflateError::Internal`] if the compression library fails; `out` is then as it was, and every
    /// later call fails as well.
    pub fn compress(&mut self, input: &[u8], fin: bool, out: &mut Vec<u8>) -> Result<(), DeflateError> {
        if self.failed {
            return Err(DeflateError::Internal);
        }
        let start = out.len();
        if let Err(error) = self.append(input, fin, out) {
            out.truncate(start);
            self.encoder = None;
            self.history = None;
            self.failed = true;
            return Err(error);
        }
        if self.context == Context::Bytes {
            let window = self.settings.window_bits;
            let history = self.history.get_or_insert_with(|| Box::new(History::new(window)));
            history.extend(input);
        }
        if fin && self.context != Context::Encoder {
            self.release();
        }
        Ok(())
    }

    /// Compresses a whole message that refers to no other one, and appends it to `out`; leaves the window of this
    /// compressor as it is. Every receiver whose sender may use such a window can inflate it.
    ///
    /// # Errors
    ///
    /// [`DeflateError::Internal`] if the compression library fails; `out` is then as it was.
    pub(crate) fn compress_alone(&self, input: &[u8], out: &mut Vec<u8>) -> Result<(), DeflateError> {
        if self.settings.is_standalone() && !input.is_empty() {
            self.append_standalone(input, out);
            return Ok(());
        }
        let start = out.len();
        let mut encoder = None;
        let settings = self.settings.for_message(input.len());
        let done = self.append_to(&mut encoder, settings, None, input, true, out);
        match (done, encoder) {
            (Ok(()), Some(encoder)) => self.pool.put_encoder(encoder),
            (Ok(()), None) => {}
            (Err(_), _) => out.truncate(start),
        }
        done
    }

    /// Forgets what was sent, so that later messages refer only to each other.
    ///
    /// With context takeover this must follow a message that was compressed elsewhere: the receiver's window holds it
    /// and ours does not, so distances to what came before it would no longer agree.
    pub(crate) fn forget(&mut self) {
        self.release();
        self.history = None;
    }

    /// What makes the output of this compressor different from that of another, if it refers to no other message.
    pub(crate) const fn settings(&self) -> Settings {
        self.settings
    }

    /// The length from which on a message is worth compressing.
    pub(crate) const fn threshold(&self) -> usize {
        self.threshold
    }

    fn append(&mut self, input: &[u8], fin: bool, out: &mut Vec<u8>) -> Result<(), DeflateError> {
        let mut encoder = self.encoder.take();
        let is_whole = fin && encoder.is_none() && !input.is_empty();
        if is_whole && self.context == Context::Nothing && self.settings.is_standalone() {
            self.append_standalone(input, out);
            return Ok(());
        }
        let settings = match self.context {
            Context::Nothing if fin => self.settings.for_message(input.len()),
            Context::Bytes if fin => self.settings.for_message_in_context(input.len()),
            _ => self.settings,
        };
        let history = self.history.as_deref();
        let done = self.append_to(&mut encoder, settings, history, input, fin, out);
        self.encoder = encoder;
        done
    }

    /// As `append`, for a whole message that refers to no other one, by the compressor that is made for those.
    fn append_standalone(&self, input: &[u8], out: &mut Vec<u8>) {
        let mut standalone = self.pool.take_standalone();
        standalone.compress(input, self.settings.window_bits.window_size(), out);
        self.pool.put_standalone(standalone);
    }

    /// As `append`, with an encoder that is taken from the pool, with these settings and this context, when a stream
    /// begins.
    fn append_to(
        &self,
        encoder: &mut Option<Box<Encoder>>,
        settings: Settings,
        history: Option<&History>,
        input: &[u8],
        fin: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), DeflateError> {
        if input.is_empty() {
            // Every call leaves the stream at the border of a block and of a byte. All that is missing is
            // the header of the empty stored block whose body the receiver appends (RFC 7692 §7.2.3.6).
            if fin {
                out.push(0x00);
            }
            return Ok(());
        }
        let encoder = match encoder {
            Some(encoder) => encoder,
            none => {
                let encoder = none.insert(self.pool.take_encoder(settings));
                if let Some(history) = history {
                    encoder.show(history)?;
                }
                encoder
            }
        };
        encoder.append(input, out)?;
        if fin {
            if !out.ends_with(&TRAILER) {
                return Err(DeflateError::Internal);
            }
            out.truncate(out.len() - TRAILER.len());
        }
        Ok(())
    }

    fn release(&mut self) {
        if let Some(encoder) = self.encoder.take() {
            self.pool.put_encoder(encoder);
        }
    }
}

impl Drop for Compressor {
    fn drop(&mut self) {
        self.release();
    }
}

impl Encoder {
    /// The room for output of one step. Less than the lower bound would make the library repeat its flush
    /// marker (zlib.h, "deflate").
    const ROOM: std::ops::RangeInclusive<usize> = 64..=32 * 1024;

    /// Makes a fresh stream one that has just consumed `history`.
    fn show(&mut self, history: &History) -> Result<(), DeflateError> {
        let (older, newer) = history.parts();
        for part in [older, newer] {
            self.stream
                .set_dictionary(part)
                .map_err(|_| DeflateError::Internal)?;
        }
        Ok(())
    }

    /// Appends `input` in compressed form, flushed, [`TRAILER`] included.
    fn append(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), DeflateError> {
        let room = (input.len() + input.len() / 512).clamp(*Self::ROOM.start(), *Self::ROOM.end());
        loop {
            let start = out.len();
            out.resize(start + room, 0);
            let (total_in, total_out) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .compress(input, &mut out[start..], DeflateFlush::SyncFlush);
            let consumed = (self.stream.total_in() - total_in) as usize;
            let produced = (self.stream.total_out() - total_out) as usize;
            out.truncate(start + produced);
            input = &input[consumed..];
            match status {
                Ok(Status::Ok | Status::BufError) => {}
                Ok(Status::StreamEnd) | Err(_) => return Err(DeflateError::Internal),
            }
            if produced < room {
                // Room left means that the library has nothing more to say.
                return if input.is_empty() {
                    Ok(())
                } else {
                    Err(DeflateError::Internal)
                };
            }
        }
    }
}
