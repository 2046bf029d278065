//! The loops that look at every byte, beside `memcpy` on the same machine: masking, the check of UTF-8, and reading the
//! headers of many small frames.
//!
//! ```text
//! cargo bench -p sockeye-proto --bench bytes
//! ```

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockeye_proto::{FrameHeader, Mask, Opcode};

const SIZES: [usize; 3] = [20, 1024, 64 * 1024];
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn bytes(c: &mut Criterion) {
    let mut group = c.benchmark_group("bytes");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let source = vec![b'x'; size];
        let mut target = Vec::with_capacity(size);
        group.bench_function(BenchmarkId::new("memcpy", size), |b| {
            b.iter(|| {
                target.clear();
                target.extend_from_slice(black_box(&source));
                black_box(&target);
            });
        });
        group.bench_function(BenchmarkId::new("mask_copy", size), |b| {
            b.iter(|| {
                target.clear();
                Mask::new(black_box(KEY)).apply_copy(black_box(&source), &mut target);
                black_box(&target);
            });
        });
        let mut payload = source.clone();
        group.bench_function(BenchmarkId::new("mask_in_place", size), |b| {
            b.iter(|| Mask::new(black_box(KEY)).apply(black_box(&mut payload)));
        });
        group.bench_function(BenchmarkId::new("mask_bytewise", size), |b| {
            b.iter(|| {
                let key = black_box(KEY);
                for (at, byte) in black_box(&mut payload).iter_mut().enumerate() {
                    *byte ^= key[at & 3];
                }
            });
        });
    }
    group.finish();
}

/// Texts of one, three and four bytes to a character.
const TEXTS: [(&str, &str); 3] = [
    ("ascii", "the quick brown fox "),
    ("chinese", "鲑鱼逆流而上回到出生的河流，"),
    ("emoji", "🐟🎣🌊🐻 "),
];

/// As many whole characters of a text, again and again, as fit.
fn text(pattern: &str, size: usize) -> String {
    let mut text = String::with_capacity(size);
    for c in pattern.chars().cycle() {
        if text.len() + c.len_utf8() > size {
            break;
        }
        text.push(c);
    }
    text
}

/// What the library checks text with, and what it would be without: below 64 bytes the two are the same.
fn utf8(c: &mut Criterion) {
    let mut group = c.benchmark_group("utf8");
    for size in SIZES {
        for (name, pattern) in TEXTS {
            let text = text(pattern, size);
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(BenchmarkId::new(format!("{name}_simd"), size), |b| {
                b.iter(|| black_box(simdutf8::basic::from_utf8(black_box(text.as_bytes())).is_ok()));
            });
            group.bench_function(BenchmarkId::new(format!("{name}_std"), size), |b| {
                b.iter(|| black_box(std::str::from_utf8(black_box(text.as_bytes())).is_ok()));
            });
        }
    }
    group.finish();
}

fn headers(c: &mut Criterion) {
    let mut group = c.benchmark_group("headers");
    for payload_len in [20, 1024, 100_000] {
        let header = FrameHeader {
            fin: true,
            rsv1: false,
            opcode: Opcode::Text,
            mask: Some(KEY),
            payload_len,
        };
        let bytes = header.to_bytes();
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("parse", payload_len), |b| {
            b.iter(|| black_box(FrameHeader::parse(black_box(&bytes))));
        });
        group.bench_function(BenchmarkId::new("encode", payload_len), |b| {
            b.iter(|| black_box(black_box(header).to_bytes()));
        });
    }
    group.finish();
}

criterion_group!(benches, bytes, utf8, headers);
criterion_main!(benches);
