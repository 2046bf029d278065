//! permessage-deflate (RFC 7692) as its users see it.

mod bits;
mod context;
mod decoding;
mod negotiation;
mod pool;
mod round_trip;
mod standalone;
mod streams;
mod window;

use std::sync::Arc;

use sockeye_proto::Role;
use sockeye_proto::deflate::{Compressor, Decompressor, Deflate, DeflateError, Parameters, Pool, WindowBits};

fn bits(value: u8) -> WindowBits {
    WindowBits::new(value).unwrap()
}

/// Both sides keep their window between messages and have the largest one.
const TAKEOVER: Parameters = Parameters {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: WindowBits::MAX,
    client_max_window_bits: WindowBits::MAX,
};

/// Both sides forget their window after each message.
const NO_TAKEOVER: Parameters = Parameters {
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    ..TAKEOVER
};

/// What a server sends with.
fn compressor(parameters: Parameters, options: &Deflate) -> Compressor {
    Compressor::new(Role::Server, parameters, options, Arc::new(Pool::default()))
}

/// What a client receives with.
fn decompressor(parameters: Parameters) -> Decompressor {
    Decompressor::new(Role::Client, parameters, Arc::new(Pool::default()))
}

fn compress(compressor: &mut Compressor, message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    compressor.compress(message, true, &mut payload).unwrap();
    payload
}

/// Inflates one message that arrives in pieces of `chunk` bytes, with room for `room` bytes at a time.
fn inflate(
    decompressor: &mut Decompressor,
    payload: &[u8],
    chunk: usize,
    room: usize,
) -> Result<Vec<u8>, DeflateError> {
    let mut message = Vec::new();
    let mut output = vec![0; room];
    for mut piece in payload.chunks(chunk) {
        while !piece.is_empty() {
            let step = decompressor.inflate(piece, &mut output)?;
            assert!(
                step.consumed == piece.len() || step.produced == room,
                "a step stopped early"
            );
            assert!(step.consumed > 0 || step.produced > 0, "a step did nothing");
            piece = &piece[step.consumed..];
            message.extend_from_slice(&output[..step.produced]);
        }
    }
    loop {
        let step = decompressor.finish(&mut output)?;
        assert!(step.done || step.produced == room, "the end stopped early");
        message.extend_from_slice(&output[..step.produced]);
        if step.done {
            return Ok(message);
        }
    }
}

/// [`inflate`] in one piece.
fn inflate_whole(decompressor: &mut Decompressor, payload: &[u8]) -> Result<Vec<u8>, DeflateError> {
    inflate(decompressor, payload, payload.len().max(1), 64 * 1024)
}
