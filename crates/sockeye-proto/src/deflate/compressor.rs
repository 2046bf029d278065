//! What one side sends.

use std::sync::Arc;

use super::encoder::Context;
use super::library::{self, Library};
use super::pool::Settings;
use super::{Deflate, DeflateError, Parameters, Pool};
use crate::Role;

/// Compresses the messages that one side of a connection sends (RFC 7692 §7.2.1).
///
/// Without context takeover it holds no memory between messages. With it, it holds what it sent of late: the window and half of it
/// again, or 516 bytes where that is more; and a table of what is where in them, twice as large as the window, or less by
/// the [memory level](Deflate::mem_level). The memory grows with what was sent.
///
/// So it is at [levels](super::Level) 2 to 5. At the others, which are zlib's, it holds with context takeover and a window of up to
/// 2 KiB as many bytes as the window has, and with a larger one a whole compressor of some hundred KiB.
#[derive(Debug)]
pub struct Compressor {
    pool: Arc<Pool>,
    settings: Settings,
    threshold: usize,
    keeps_context: bool,
    stream: Stream,
}

/// What is kept from one call to the next.
#[derive(Debug)]
enum Stream {
    /// What was sent of late, between messages with context takeover only.
    Own(Option<Box<Context>>),
    /// In a box, so that connections at the other levels have no room for it.
    Library(Box<Library>),
}

impl Compressor {
    /// The compressor of the side that plays `role`.
    pub fn new(role: Role, parameters: Parameters, options: &Deflate, pool: Arc<Pool>) -> Self {
        let settings = Settings {
            window_bits: parameters.window_bits(role),
            level: options.level,
            mem_level: options.mem_level,
        };
        let keeps_context = parameters.keeps_context(role);
        let stream = match settings.is_own() {
            true => Stream::Own(None),
            false => Stream::Library(Box::new(Library::new(settings, keeps_context))),
        };
        Self {
            pool,
            settings,
            threshold: options.threshold,
            keeps_context,
            stream,
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
        let (pool, settings) = (&self.pool, self.settings);
        match &mut self.stream {
            Stream::Library(library) => return library.compress(pool, settings, input, fin, out),
            Stream::Own(_) if input.is_empty() && !fin => {}
            Stream::Own(None) if fin && !self.keeps_context => append_alone(pool, settings, input, out),
            Stream::Own(context) => {
                let new = || Box::new(Context::new(settings.window_bits, settings.mem_level));
                let mut encoder = pool.take_encoder();
                encoder.compress_in(context.get_or_insert_with(new), input, fin, out);
                pool.put_encoder(encoder);
                if fin && !self.keeps_context {
                    *context = None;
                }
            }
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
        match &self.stream {
            Stream::Library(_) => return library::compress_alone(&self.pool, self.settings, input, out),
            Stream::Own(_) => append_alone(&self.pool, self.settings, input, out),
        }
        Ok(())
    }

    /// Forgets what was sent, so that later messages refer only to each other.
    ///
    /// With context takeover this must follow a message that was compressed elsewhere: the receiver's window holds it
    /// and ours does not, so distances to what came before it would no longer agree.
    pub(crate) fn forget(&mut self) {
        match &mut self.stream {
            Stream::Own(context) => *context = None,
            Stream::Library(library) => library.forget(&self.pool),
        }
    }

    /// What makes the output of this compressor different from that of another, if it refers to no other message.
    pub(crate) const fn settings(&self) -> Settings {
        self.settings
    }

    /// The length from which on a message is worth compressing.
    pub(crate) const fn threshold(&self) -> usize {
        self.threshold
    }
}

/// Appends a whole message that refers to no other one, by our own compressor.
fn append_alone(pool: &Pool, settings: Settings, message: &[u8], out: &mut Vec<u8>) {
    let mut encoder = pool.take_encoder();
    encoder.compress(message, settings.window_bits.window_size(), out);
    pool.put_encoder(encoder);
}

impl Drop for Compressor {
    fn drop(&mut self) {
        if let Stream::Library(library) = &mut self.stream {
            library.release(&self.pool);
        }
    }
}
