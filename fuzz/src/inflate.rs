//! The decoder beside that of zlib-rs.

use std::sync::Arc;

use sockeye_proto::Role;
use sockeye_proto::deflate::{Decompressor, DeflateError, Parameters, Pool, WindowBits};
use zlib_rs::{Inflate, InflateFlush, Status};

use crate::compression::{self, MAX_INFLATED};

/// As far as a block may refer back.
const WINDOW: usize = 1 << 15;

/// Input: whether context is kept, how long the pieces are, how much room there is; then a payload, received twice.
pub fn inflate(data: &[u8]) {
    let Some((&[setup, piece, room], payload)) = data.split_first_chunk() else {
        return;
    };
    if payload.is_empty() {
        return;
    }
    let takeover = setup & 1 == 1;
    let parameters = Parameters {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        server_max_window_bits: WindowBits::MAX,
        client_max_window_bits: WindowBits::MAX,
    };
    let mut decompressor = Decompressor::new(Role::Server, parameters, Arc::new(Pool::new(1)));
    let (piece, room) = (usize::from(piece) * 4 + 1, usize::from(room) * 16 + 1);
    let mut seen = Vec::new();
    for _ in 0..2 {
        if !takeover {
            seen.clear();
        }
        let start = seen.len();
        let expected = reference(payload, &mut seen);
        let inflated = compression::inflate(&mut decompressor, payload, piece, room);
        match (&inflated, expected) {
            (Ok(Some(message)), Ok(())) => assert!(*message == seen[start..], "another message"),
            (Ok(None), _) => return,
            (_, Ok(())) if seen.len() - start > MAX_INFLATED => return,
            // What zlib takes for a code without symbols is invalid at once, even if nothing follows.
            (Err(DeflateError::InvalidData), Err(_)) => return,
            (Err(ours), Err(theirs)) if *ours == theirs => return,
            (ours, theirs) => panic!("{ours:?} is not {theirs:?}"),
        }
    }
}

/// Appends to `seen` what zlib-rs makes of a payload, or as much of it as is not too long.
fn reference(payload: &[u8], seen: &mut Vec<u8>) -> Result<(), DeflateError> {
    let limit = seen.len() + MAX_INFLATED;
    let mut stream = started(seen);
    let mut is_ended = run(&mut stream, payload, seen, limit)?;
    if is_ended || seen.len() > limit {
        return Ok(());
    }
    is_ended = run(&mut stream, &[0, 0, 0xFF, 0xFF], seen, limit)?;
    if is_ended || seen.len() > limit {
        return Ok(());
    }
    // Only between blocks does an empty final one end the stream.
    let empty = [1, 0, 0, 0xFF, 0xFF];
    let before = stream.total_in();
    match stream.decompress(&empty, &mut [0], InflateFlush::SyncFlush) {
        Ok(Status::StreamEnd) if stream.total_in() - before == empty.len() as u64 => Ok(()),
        _ => Err(DeflateError::Truncated),
    }
}

/// A stream that has just produced `seen`.
fn started(seen: &[u8]) -> Inflate {
    let mut stream = Inflate::new(false, 15);
    let window = &seen[seen.len().saturating_sub(WINDOW)..];
    stream.set_dictionary(window).expect("a raw stream takes any");
    stream
}

/// Inflates all of `input`, past final blocks; whether it ends with one.
fn run(
    stream: &mut Inflate,
    mut input: &[u8],
    seen: &mut Vec<u8>,
    limit: usize,
) -> Result<bool, DeflateError> {
    let mut output = vec![0; 1 << 16];
    loop {
        let before = (stream.total_in(), stream.total_out());
        let status = stream.decompress(input, &mut output, InflateFlush::SyncFlush);
        let status = status.map_err(|_| DeflateError::InvalidData)?;
        input = &input[(stream.total_in() - before.0) as usize..];
        let produced = (stream.total_out() - before.1) as usize;
        seen.extend_from_slice(&output[..produced]);
        let is_ended = status == Status::StreamEnd;
        if seen.len() > limit || (input.is_empty() && produced < output.len()) {
            return Ok(is_ended);
        }
        if is_ended {
            *stream = started(seen);
        }
    }
}
