//! What libraries do with every byte, in bytes per second, beside `memcpy`.
//!
//! ```text
//! cd bench && cargo bench -p micro
//! ```

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use micro::{CHECK, UNMASK, deflaters, inflaters, json, readers};

const SIZES: [usize; 3] = [20, 1024, 64 * 1024];
const COMPRESSED_SIZES: [usize; 3] = [125, 1000, 16 * 1024];

/// How many messages are read between two looks at the clock.
const MESSAGES: usize = 64;

/// What all else is beside.
fn memcpy(c: &mut Criterion) {
    let mut group = c.benchmark_group("memcpy");
    for size in SIZES.into_iter().chain(COMPRESSED_SIZES) {
        group.throughput(Throughput::Bytes(size as u64));
        let (source, mut copy) = (vec![0x55; size], vec![0; size]);
        group.bench_function(BenchmarkId::new("memcpy", size), |b| {
            b.iter(|| black_box(&mut copy).copy_from_slice(black_box(&source)));
        });
    }
    group.finish();
}

fn unmask(c: &mut Criterion) {
    let mut group = c.benchmark_group("unmask");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut payload = vec![0x55; size];
        for (library, unmask) in UNMASK {
            group.bench_function(BenchmarkId::new(library, size), |b| {
                b.iter(|| unmask(black_box(&mut payload), black_box([0x37, 0xFA, 0x21, 0x3D])));
            });
        }
    }
    group.finish();
}

fn check(c: &mut Criterion) {
    for (language, character) in [("ascii", "s"), ("chinese", "鮭"), ("emoji", "🐟")] {
        let mut group = c.benchmark_group(format!("check {language}"));
        for size in SIZES {
            let text = character.repeat(size / character.len());
            group.throughput(Throughput::Bytes(text.len() as u64));
            for (library, check) in CHECK {
                group.bench_function(BenchmarkId::new(library, size), |b| {
                    b.iter(|| check(black_box(text.as_bytes())));
                });
            }
        }
        group.finish();
    }
}

/// Frames are read, parsed and unmasked: what is read is copied once as from a socket.
fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("frames");
    for size in SIZES {
        group.throughput(Throughput::Bytes((MESSAGES * size) as u64));
        for (library, mut read) in readers(size) {
            group.bench_function(BenchmarkId::new(library, size), |b| {
                b.iter(|| read(black_box(MESSAGES)));
            });
        }
    }
    group.finish();
}

fn deflate(c: &mut Criterion) {
    let mut group = c.benchmark_group("deflate");
    for size in COMPRESSED_SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let message = json(size);
        let mut out = Vec::new();
        for (library, mut deflate) in deflaters() {
            group.bench_function(BenchmarkId::new(library, size), |b| {
                b.iter(|| {
                    out.clear();
                    deflate(black_box(&message), &mut out);
                    black_box(&out);
                });
            });
        }
    }
    group.finish();
}

fn inflate(c: &mut Criterion) {
    let mut group = c.benchmark_group("inflate");
    for size in COMPRESSED_SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut compressed = Vec::new();
        // All inflate the same: what the last of them makes, which is zlib's usual level.
        if let Some((_, deflate)) = deflaters().last_mut() {
            deflate(&json(size), &mut compressed);
        }
        let mut out = Vec::new();
        for (library, mut inflate) in inflaters() {
            group.bench_function(BenchmarkId::new(library, size), |b| {
                b.iter(|| {
                    out.clear();
                    inflate(black_box(&compressed), size, &mut out);
                    black_box(&out);
                });
            });
        }
    }
    group.finish();
}

fn brief() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .sample_size(20)
}

criterion_group! {
    name = benches;
    config = brief();
    targets = memcpy, unmask, check, frames, deflate, inflate
}
criterion_main!(benches);
