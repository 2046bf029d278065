//! The load: many connections driven by one thread, which checks all that comes back.

mod echo;
mod handshakes;
mod idle;
mod link;
mod publish;
mod wire;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress};
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

pub(crate) use echo::Echo;
pub(crate) use handshakes::Handshakes;
pub(crate) use idle::hold;
pub(crate) use link::Target;
pub(crate) use publish::Publish;

use link::{Opening, PATIENCE, Transport};

/// How much is read at once, in bytes.
const READ_SIZE: usize = 256 * 1024;

/// How many handshakes are on their way at once while a load opens its connections.
const OPENING_AT_ONCE: usize = 64;

/// A load that can be kept up.
pub(crate) trait Load {
    /// Goes on until `end`; counts what was delivered, and how long each delivery took.
    fn run_until(&mut self, end: Instant, tally: &mut Tally) -> Result<()>;

    /// Waits for what is still on the way, so that a reply that is missing is noticed.
    fn finish(&mut self) -> Result<()>;
}

/// What a load counted.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    /// Bytes that came from the server, without those of TLS.
    pub(crate) received: u64,
    /// Nanoseconds from when a message was sent, or should have been, until its delivery.
    pub(crate) latency: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Result<Self> {
        // From a nanosecond to a minute, with three digits.
        let latency = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        Ok(Self {
            count: 0,
            received: 0,
            latency,
        })
    }

    fn add(&mut self, took: Duration) {
        self.count += 1;
        self.latency.saturating_record(took.as_nanos() as u64);
    }
}

/// Opens connections, each on the path that `path` gives for its number. They are registered, with their numbers as
/// tokens.
fn open(
    target: &Target,
    poll: &mut Poll,
    events: &mut Events,
    connections: usize,
    path: impl Fn(usize) -> String,
) -> Result<Vec<Transport>> {
    let mut opening: Vec<Option<Opening>> = Vec::with_capacity(connections);
    let mut transports: Vec<Transport> = Vec::with_capacity(connections);
    let mut open = 0;
    let mut last_progress = Instant::now();
    while open < connections {
        while transports.len() < connections && transports.len() - open < OPENING_AT_ONCE {
            let n = transports.len();
            let mut transport = Transport::start(target, n)?;
            transport.register(poll.registry(), Token(n))?;
            transports.push(transport);
            opening.push(Some(Opening::new(target, &path(n))));
        }
        poll.poll(events, Some(PATIENCE))?;
        for event in &*events {
            let n = event.token().0;
            let Some(handshake) = &mut opening[n] else {
                continue;
            };
            if handshake
                .turn(&mut transports[n], target.compression)
                .context("opening handshake")?
            {
                opening[n] = None;
                open += 1;
                last_progress = Instant::now();
            }
        }
        ensure!(
            last_progress.elapsed() < PATIENCE,
            "{open} of {connections} connections are open, and no more follow"
        );
    }
    Ok(transports)
}

/// A message as a client may send it compressed: by itself, whatever contexts may be taken over.
fn deflated(payload: &[u8]) -> Result<Vec<u8>> {
    let mut compress = Compress::new(Level::default(), false);
    let mut out = Vec::with_capacity(payload.len() + 64);
    compress.compress_vec(payload, &mut out, FlushCompress::Sync)?;
    ensure!(
        compress.total_in() == payload.len() as u64,
        "the message did not fit"
    );
    // RFC 7692 §7.2.1.
    ensure!(out.ends_with(&TRAILER), "no sync flush at the end");
    out.truncate(out.len() - TRAILER.len());
    Ok(out)
}

/// What a sync flush ends with, and a message does not (RFC 7692 §7.2.1).
const TRAILER: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// Inflates the messages of one server connection.
#[derive(Debug)]
struct Inflater {
    decompress: Decompress,
    /// Whether each message stands for itself.
    reset: bool,
    message: Vec<u8>,
}

impl Inflater {
    fn new(reset: bool) -> Self {
        Self {
            decompress: Decompress::new(false),
            reset,
            message: Vec::new(),
        }
    }

    /// The message behind `compressed`, which should have `len` bytes; the trailer is put back here.
    fn inflate(&mut self, compressed: &mut Vec<u8>, len: usize) -> Result<&[u8]> {
        compressed.extend_from_slice(&TRAILER);
        if self.reset {
            self.decompress.reset(false);
        }
        self.message.clear();
        // One byte more than expected, so that a longer message is seen as one.
        self.message.reserve(len + 1);
        self.decompress
            .decompress_vec(compressed, &mut self.message, FlushDecompress::Sync)
            .context("what came back does not inflate")?;
        compressed.truncate(compressed.len() - TRAILER.len());
        Ok(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_message_inflates_to_itself_with_and_without_context() {
        for reset in [true, false] {
            let mut inflater = Inflater::new(reset);
            for text in ["to and fro and to and fro", "to and fro"] {
                let mut compressed = deflated(text.as_bytes()).unwrap();
                assert_eq!(
                    inflater.inflate(&mut compressed, text.len()).unwrap(),
                    text.as_bytes()
                );
            }
        }
    }
}
