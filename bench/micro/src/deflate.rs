//! Messages compressed one by one, without context, at each library's own level.

use std::sync::Arc;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use sockeye_proto::Role;
use sockeye_proto::deflate::{Compressor, Decompressor, Deflate, Pool};
use sockudo_ws::DeflateWindowBits;
use sockudo_ws::deflate::{DeflateDecoder, DeflateEncoder};

/// Compresses a message; what it becomes is appended.
pub type Deflater = Box<dyn FnMut(&[u8], &mut Vec<u8>)>;

/// Inflates a message, so many bytes of which are expected, to what is appended.
pub type Inflater = Box<dyn FnMut(&[u8], usize, &mut Vec<u8>)>;

/// What a sync flush ends with, and a message does not (RFC 7692 §7.2.1).
const TRAILER: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// A list of records that differ in their numbers, `len` bytes of it.
pub fn json(len: usize) -> Vec<u8> {
    let records = (1..).flat_map(|number: u64| {
        let (name, x, y) = (number * 7919 % 1000, number * 31 % 97, number * 17 % 89);
        format!(r#"{{"id":{number},"name":"salmon {name}","at":[{x},{y}],"ok":true}},"#).into_bytes()
    });
    records.take(len).collect()
}

/// What compresses, by library. yawc and sockudo-ws hand their messages to zlib-rs, at level 6 by default.
pub fn deflaters() -> Vec<(&'static str, Deflater)> {
    let (mut ours, _) = sockeye();
    let mut sockudo = DeflateEncoder::new(DeflateWindowBits::Bits15, true, 6, 0);
    let mut zlib_rs = Compress::new(Compression::new(6), false);
    vec![
        (
            "sockeye",
            Box::new(move |message, out| {
                ours.compress(message, true, out).expect("a compressed message");
            }),
        ),
        (
            "sockudo-ws",
            Box::new(move |message, out| {
                let compressed = sockudo.compress(message).expect("a compressed message");
                out.extend_from_slice(&compressed.expect("a message that gets shorter"));
            }),
        ),
        (
            "zlib-rs, level 6",
            Box::new(move |message, out| {
                zlib_rs.reset();
                out.reserve(message.len() + 64);
                zlib_rs
                    .compress_vec(message, out, FlushCompress::Sync)
                    .expect("a compressed message");
                out.truncate(out.len() - TRAILER.len());
            }),
        ),
    ]
}

/// What inflates, by library.
pub fn inflaters() -> Vec<(&'static str, Inflater)> {
    let (_, mut ours) = sockeye();
    let mut sockudo = DeflateDecoder::new(DeflateWindowBits::Bits15, true);
    let mut zlib_rs = Decompress::new(false);
    let mut input = Vec::new();
    vec![
        (
            "sockeye",
            Box::new(move |compressed, len, out| {
                let start = out.len();
                // One byte more than expected, so that the end is seen at once.
                out.resize(start + len + 1, 0);
                let step = ours.inflate(compressed, &mut out[start..]).expect("a message");
                let end = ours.finish(&mut out[start + step.produced..]).expect("its end");
                out.truncate(start + step.produced + end.produced);
            }),
        ),
        (
            "sockudo-ws",
            Box::new(move |compressed, len, out| {
                out.extend_from_slice(&sockudo.decompress(compressed, len).expect("a message"));
            }),
        ),
        (
            "zlib-rs",
            Box::new(move |compressed, len, out| {
                zlib_rs.reset(false);
                input.clear();
                input.extend_from_slice(compressed);
                input.extend_from_slice(&TRAILER);
                out.reserve(len + 1);
                zlib_rs
                    .decompress_vec(&input, out, FlushDecompress::Sync)
                    .expect("a message");
            }),
        ),
    ]
}

/// A server's compressor with the library's own settings, and a client's decompressor.
fn sockeye() -> (Compressor, Decompressor) {
    let options = Deflate::default();
    let (parameters, _) = options.accept(&options.offer()).expect("its own offer");
    let pool = Arc::new(Pool::default());
    (
        Compressor::new(Role::Server, parameters, &options, Arc::clone(&pool)),
        Decompressor::new(Role::Client, parameters, pool),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_inflates_what_each_deflated() {
        for len in [125, 1024, 16 * 1024] {
            let message = json(len);
            for (deflater, mut deflate) in deflaters() {
                for (inflater, mut inflate) in inflaters() {
                    for _ in 0..2 {
                        let (mut compressed, mut inflated) = (Vec::new(), Vec::new());
                        deflate(&message, &mut compressed);
                        inflate(&compressed, len, &mut inflated);
                        assert!(
                            compressed.len() < len && inflated == message,
                            "{deflater}, {inflater}"
                        );
                    }
                }
            }
        }
    }
}
