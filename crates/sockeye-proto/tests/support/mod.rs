//! What the tests of the connection stand on: hand-made frames, a scripted peer for one endpoint, and a pair of
//! endpoints joined by pipes in memory. Time is a number that only the test moves.

pub(crate) mod end;
pub(crate) mod frame;
pub(crate) mod outcome;
pub(crate) mod pair;
pub(crate) mod peer;

use std::sync::Arc;

use sockeye_proto::Role;
use sockeye_proto::deflate::{Compressor, Decompressor, Deflate, Parameters, Pool, WindowBits};

/// Both sides keep the largest window between messages.
pub(crate) const TAKEOVER: Parameters = Parameters {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: WindowBits::MAX,
    client_max_window_bits: WindowBits::MAX,
};

/// Both sides forget their window after each message.
pub(crate) const NO_TAKEOVER: Parameters = Parameters {
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    ..TAKEOVER
};

/// Compression at one end, of messages of any length.
pub(crate) fn deflate(role: Role, parameters: Parameters) -> (Compressor, Decompressor) {
    let options = Deflate {
        threshold: 0,
        ..Deflate::default()
    };
    deflate_with(role, parameters, &options, &Arc::new(Pool::default()))
}

pub(crate) fn deflate_with(
    role: Role,
    parameters: Parameters,
    options: &Deflate,
    pool: &Arc<Pool>,
) -> (Compressor, Decompressor) {
    (
        Compressor::new(role, parameters, options, Arc::clone(pool)),
        Decompressor::new(role, parameters, Arc::clone(pool)),
    )
}

/// Bytes that DEFLATE cannot make shorter, the same on each run.
pub(crate) fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
}
