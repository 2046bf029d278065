//! Unmasking and checking text, in bytes per second, beside `memcpy` and the functions of other libraries.
//!
//! ```text
//! cd bench && cargo bench -p micro
//! ```

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use micro::{CHECK, UNMASK};

const SIZES: [usize; 3] = [20, 1024, 64 * 1024];

fn unmask(c: &mut Criterion) {
    let mut group = c.benchmark_group("unmask");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut payload = vec![0x55; size];
        let source = payload.clone();
        group.bench_function(BenchmarkId::new("memcpy", size), |b| {
            b.iter(|| black_box(&mut payload).copy_from_slice(black_box(&source)));
        });
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
        let mut group = c.benchmark_group(format!("check_{language}"));
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

criterion_group!(benches, unmask, check);
criterion_main!(benches);
