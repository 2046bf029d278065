//! What one side sends, compressed by the library.

use std::fmt;

use zlib_rs::{DeflateConfig, DeflateFlush, Status};

use super::history::History;
use super::pool::{Pool, Settings};
use super::{DeflateError, TRAILER};

/// The messages of one side, compressed by zlib-rs.
///
/// Without context takeover it holds no memory between messages. With it and a window of up to 2 KiB, it holds what was
/// sent of late, as many bytes as the window has, and shows them to a compressor that it borrows for each message. With
/// a larger window it takes a compressor from the pool at the first message and keeps it until it is dropped.
#[derive(Debug)]
pub(super) struct Library {
    deflater: Option<Box<Deflater>>,
    /// What was sent of late, if the context is kept as that.
    history: Option<Box<History>>,
    context: Context,
    failed: bool,
}

/// What is kept from one message to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    Nothing,
    /// The bytes of the window. A compressor weighs some hundred KiB whatever the window is.
    Bytes,
    /// A compressor: to read the bytes of a large window anew would cost more than to compress most messages.
    Deflater,
}

/// Up to this window, context is kept as bytes: to read them costs about a microsecond for each KiB.
const BYTES_WINDOW: u8 = 11;

impl Library {
    pub(super) fn new(settings: Settings, keeps_context: bool) -> Self {
        let context = match keeps_context {
            false => Context::Nothing,
            true if settings.window_bits.get() <= BYTES_WINDOW => Context::Bytes,
            true => Context::Deflater,
        };
        Self {
            deflater: None,
            history: None,
            context,
            failed: false,
        }
    }

    /// Appends a part of a message. After an error `out` is as it was, and every later call fails as well.
    pub(super) fn compress(
        &mut self,
        pool: &Pool,
        settings: Settings,
        part: &[u8],
        fin: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), DeflateError> {
        if self.failed {
            return Err(DeflateError::Internal);
        }
        let start = out.len();
        let lighter = match self.context {
            Context::Nothing if fin => settings.for_message(part.len()),
            Context::Bytes if fin => settings.for_message_in_context(part.len()),
            _ => settings,
        };
        let history = self.history.as_deref();
        if let Err(error) = append(&mut self.deflater, pool, lighter, history, part, fin, out) {
            out.truncate(start);
            self.deflater = None;
            self.history = None;
            self.failed = true;
            return Err(error);
        }
        if self.context == Context::Bytes {
            let window = settings.window_bits;
            let history = self.history.get_or_insert_with(|| Box::new(History::new(window)));
            history.extend(part);
        }
        if fin && self.context != Context::Deflater {
            self.release(pool);
        }
        Ok(())
    }

    pub(super) fn forget(&mut self, pool: &Pool) {
        self.release(pool);
        self.history = None;
    }

    /// Gives back what was borrowed.
    pub(super) fn release(&mut self, pool: &Pool) {
        if let Some(deflater) = self.deflater.take() {
            pool.put_deflater(deflater);
        }
    }
}

/// Appends a whole message that refers to no other one. After an error `out` is as it was.
pub(super) fn compress_alone(
    pool: &Pool,
    settings: Settings,
    message: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), DeflateError> {
    let start = out.len();
    let mut deflater = None;
    let settings = settings.for_message(message.len());
    let done = append(&mut deflater, pool, settings, None, message, true, out);
    match (done, deflater) {
        (Ok(()), Some(deflater)) => pool.put_deflater(deflater),
        (Ok(()), None) => {}
        (Err(_), _) => out.truncate(start),
    }
    done
}

/// Appends a part of a message, by a compressor that is taken from the pool, with these settings and
/// this context, when a stream begins.
fn append(
    deflater: &mut Option<Box<Deflater>>,
    pool: &Pool,
    settings: Settings,
    history: Option<&History>,
    part: &[u8],
    fin: bool,
    out: &mut Vec<u8>,
) -> Result<(), DeflateError> {
    if part.is_empty() {
        // Every call leaves the stream at the border of a block and of a byte. All that is missing is
        // the header of the empty stored block whose body the receiver appends (RFC 7692 §7.2.3.6).
        if fin {
            out.push(0x00);
        }
        return Ok(());
    }
    let deflater = match deflater {
        Some(deflater) => deflater,
        none => {
            let deflater = none.insert(pool.take_deflater(settings));
            if let Some(history) = history {
                deflater.show(history)?;
            }
            deflater
        }
    };
    deflater.append(part, out)?;
    if fin {
        if !out.ends_with(&TRAILER) {
            return Err(DeflateError::Internal);
        }
        out.truncate(out.len() - TRAILER.len());
    }
    Ok(())
}

/// The compression library's state for one stream. It lives in a box, because an idle connection has room for one.
pub(super) struct Deflater {
    stream: zlib_rs::Deflate,
    settings: Settings,
}

impl Deflater {
    /// The room for output of one step. Less than the lower bound would make the library repeat its flush
    /// marker (zlib.h, "deflate").
    const ROOM: std::ops::RangeInclusive<usize> = 64..=32 * 1024;

    pub(super) fn new(settings: Settings) -> Self {
        // zlib cannot be asked for a raw stream with an 8-bit window. Its 9-bit one serves: it keeps
        // MIN_LOOKAHEAD = 262 bytes clear of the window's end, so that it refers back at most
        // 512 - 262 = 250 bytes, less than the 256 allowed. The tests hold it to that.
        let bits = settings.window_bits.get().max(9);
        let config = DeflateConfig {
            level: settings.level.get().into(),
            // Negative: a raw stream, without zlib's header.
            window_bits: -i32::from(bits),
            mem_level: settings.mem_level.get().into(),
            ..DeflateConfig::default()
        };
        Self {
            stream: zlib_rs::Deflate::new_with_config(config),
            settings,
        }
    }

    /// Makes it as good as new, but for its memory.
    pub(super) fn restart(&mut self) {
        self.stream.reset();
    }

    pub(super) const fn settings(&self) -> Settings {
        self.settings
    }

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

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
