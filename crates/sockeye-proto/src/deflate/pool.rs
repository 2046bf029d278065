//! Working memory for compression, shared by connections.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::decoder::Decoder;
use super::encoder::Encoder;
use super::library::Deflater;
use super::{Level, MemLevel, WindowBits};

/// A store of idle compressors and decompressors that connections share.
///
/// A compressor weighs some hundred KiB, so connections borrow one for the time of a message. A pool keeps
/// a bounded number of them for reuse; it never refuses one, it makes one when none is idle. It is meant to
/// be shared as `Arc<Pool>`, by the connections of a worker or of the whole program.
///
/// ```
/// use sockeye_proto::deflate::Pool;
///
/// let pool = Pool::new(4);
/// assert_eq!(pool.stats().idle_compressors, 0);
/// ```
pub struct Pool {
    max_idle: usize,
    /// Each thread uses one of them, so that threads seldom wait for each other.
    parts: [Part; PARTS],
}

/// Into how many parts a pool is divided.
const PARTS: usize = 8;

thread_local! {
    /// Which part of every pool this thread uses.
    static PART: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Ordering::Relaxed) % PARTS
    };
}

/// Alone in its cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Part(Mutex<Idle>);

#[derive(Default)]
#[expect(
    clippy::vec_box,
    reason = "they move between the pool and connections, box and all"
)]
struct Idle {
    /// The most recently used one last, because its memory is warm.
    deflaters: Vec<Box<Deflater>>,
    encoders: Vec<Box<Encoder>>,
    decoders: Vec<Box<Decoder>>,
    stats: PoolStats,
}

/// What a [`Pool`] holds and has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Compressors that wait for reuse.
    pub idle_compressors: usize,
    /// Decompressors that wait for reuse.
    pub idle_decompressors: usize,
    /// Compressors made so far.
    pub created_compressors: u64,
    /// Decompressors made so far.
    pub created_decompressors: u64,
    /// How often an idle compressor was taken.
    pub reused_compressors: u64,
    /// How often an idle decompressor was taken.
    pub reused_decompressors: u64,
}

impl Pool {
    /// A pool that keeps at most `max_idle` compressors of each kind and as many decompressors for reuse in each of its eight parts,
    /// among which the threads that use it are divided evenly.
    ///
    /// Of compressors, a thread uses one at levels 2 to 5, whatever their window, and at others up to three: short messages
    /// are compressed in less memory. There more are of use to messages that are sent in fragments over some time, and where
    /// connections negotiate different windows. The default is 16.
    pub fn new(max_idle: usize) -> Self {
        Self {
            max_idle,
            parts: Default::default(),
        }
    }

    /// What the pool holds and has done.
    pub fn stats(&self) -> PoolStats {
        let mut sum = PoolStats::default();
        for part in &self.parts {
            part.with_idle(|idle| {
                sum.idle_compressors += idle.deflaters.len() + idle.encoders.len();
                sum.idle_decompressors += idle.decoders.len();
                sum.created_compressors += idle.stats.created_compressors;
                sum.created_decompressors += idle.stats.created_decompressors;
                sum.reused_compressors += idle.stats.reused_compressors;
                sum.reused_decompressors += idle.stats.reused_decompressors;
            });
        }
        sum
    }

    /// What our own compressor borrows for a call.
    pub(super) fn take_encoder(&self) -> Box<Encoder> {
        let idle = self.with_idle(|idle| {
            let encoder = idle.encoders.pop();
            let counter = match encoder {
                Some(_) => &mut idle.stats.reused_compressors,
                None => &mut idle.stats.created_compressors,
            };
            *counter += 1;
            encoder
        });
        idle.unwrap_or_else(|| Box::new(Encoder::new()))
    }

    pub(super) fn put_encoder(&self, encoder: Box<Encoder>) {
        // What does not fit is freed after the lock was released.
        drop(self.with_idle(|idle| put(&mut idle.encoders, encoder, self.max_idle)));
    }

    /// The library's compressor, at the start of a stream.
    pub(super) fn take_deflater(&self, settings: Settings) -> Box<Deflater> {
        let reused = self.with_idle(|idle| {
            let position = idle
                .deflaters
                .iter()
                .rposition(|deflater| deflater.settings() == settings);
            let counter = match position {
                Some(_) => &mut idle.stats.reused_compressors,
                None => &mut idle.stats.created_compressors,
            };
            *counter += 1;
            position.map(|position| idle.deflaters.remove(position))
        });
        match reused {
            Some(mut deflater) => {
                deflater.restart();
                deflater
            }
            None => Box::new(Deflater::new(settings)),
        }
    }

    pub(super) fn put_deflater(&self, deflater: Box<Deflater>) {
        drop(self.with_idle(|idle| put(&mut idle.deflaters, deflater, self.max_idle)));
    }

    /// A decompressor at the start of a stream.
    pub(super) fn take_decoder(&self) -> Box<Decoder> {
        let reused = self.with_idle(|idle| {
            let decoder = idle.decoders.pop();
            let counter = match decoder {
                Some(_) => &mut idle.stats.reused_decompressors,
                None => &mut idle.stats.created_decompressors,
            };
            *counter += 1;
            decoder
        });
        match reused {
            Some(mut decoder) => {
                decoder.restart();
                decoder
            }
            None => Box::new(Decoder::new()),
        }
    }

    pub(super) fn put_decoder(&self, decoder: Box<Decoder>) {
        drop(self.with_idle(|idle| put(&mut idle.decoders, decoder, self.max_idle)));
    }

    fn with_idle<R>(&self, action: impl FnOnce(&mut Idle) -> R) -> R {
        // A thread that ends may compress after its locals are gone.
        let part = PART.try_with(|part| *part).unwrap_or_default();
        self.parts[part].with_idle(action)
    }
}

impl Part {
    fn with_idle<R>(&self, action: impl FnOnce(&mut Idle) -> R) -> R {
        // Each action leaves the store whole, so a panic elsewhere does not spoil it.
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Stores `item`, and returns what has to go for it: what was unused for longest, or the item itself.
fn put<T>(idle: &mut Vec<T>, item: T, max_idle: usize) -> Option<T> {
    if max_idle == 0 {
        return Some(item);
    }
    let evicted = (idle.len() >= max_idle).then(|| idle.remove(0));
    idle.push(item);
    evicted
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(16)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("max_idle", &self.max_idle)
            .field("stats", &self.stats())
            .finish()
    }
}

/// What makes one compressor different from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(super) window_bits: WindowBits,
    pub(super) level: Level,
    pub(super) mem_level: MemLevel,
}

impl Settings {
    /// Whether messages are compressed by [`Encoder`], and not by the library.
    pub(super) const fn is_own(self) -> bool {
        matches!(self.level.get(), 2..=5)
    }

    /// Settings of a lighter compressor for a stream of one message of `length` bytes.
    ///
    /// It writes the same bytes: no reference goes further back than the message does, and there are no more symbols
    /// than bytes. The library clears its buffer for symbols, which follows the memory level, with each message and each
    /// block.
    pub(super) fn for_message(self, length: usize) -> Self {
        // The window, less the 262 bytes that the library keeps clear of its end, holds the message; the
        // buffer holds 2 ^ (level + 6) symbols.
        let (window_bits, mem_level) = match length {
            0..1000 => (11, 4),
            1000..4000 => (13, 6),
            _ => return self,
        };
        Self {
            window_bits: WindowBits::new(window_bits)
                .map_or(self.window_bits, |bits| bits.min(self.window_bits)),
            level: self.level,
            mem_level: MemLevel::new(mem_level).map_or(self.mem_level, |level| level.min(self.mem_level)),
        }
    }

    /// As [`for_message`](Self::for_message), for a message that may refer to earlier ones.
    pub(super) fn for_message_in_context(self, length: usize) -> Self {
        let lighter = self.for_message(length);
        Self {
            mem_level: lighter.mem_level,
            ..self
        }
    }
}
