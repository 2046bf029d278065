//! The loops that look at every byte, beside `memcpy` on the same machine.
//!
//! ```text
//! cargo bench -p sockeye-proto --bench bytes
//! ```

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockeye_proto::Mask;

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

criterion_group!(benches, bytes);
criterion_main!(benches);
