//! Compression and decompression of whole messages, without context: bytes of the message per second.
//!
//! ```text
//! cargo bench -p sockeye-proto --bench deflate
//! ```

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockeye_proto::Role;
use sockeye_proto::deflate::{Compressor, Decompressor, Deflate, Level, Pool};

const SIZES: [usize; 3] = [125, 1024, 16 * 1024];

/// A list of records that differ in their numbers.
fn json(size: usize) -> Vec<u8> {
    let records = (1..).flat_map(|number: u64| {
        let (name, x, y) = (number * 7919 % 1000, number * 31 % 97, number * 17 % 89);
        format!(r#"{{"id":{number},"name":"salmon {name}","at":[{x},{y}],"ok":true}},"#).into_bytes()
    });
    records.take(size).collect()
}

fn deflate(c: &mut Criterion) {
    let mut group = c.benchmark_group("deflate");
    let pool = Arc::new(Pool::default());
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let message = json(size);
        let mut out = Vec::new();
        group.bench_function(BenchmarkId::new("memcpy", size), |b| {
            b.iter(|| {
                out.clear();
                out.extend_from_slice(black_box(&message));
                black_box(&out);
            });
        });
        for level in [1, 2, 6] {
            let options = Deflate {
                level: Level::new(level).unwrap(),
                ..Deflate::default()
            };
            let (parameters, _) = options.accept(&options.offer()).unwrap();
            let mut compressor = Compressor::new(Role::Server, parameters, &options, Arc::clone(&pool));
            group.bench_function(BenchmarkId::new(format!("compress_level_{level}"), size), |b| {
                b.iter(|| {
                    out.clear();
                    compressor.compress(black_box(&message), true, &mut out).unwrap();
                    black_box(&out);
                });
            });
            let mut decompressor = Decompressor::new(Role::Client, parameters, Arc::clone(&pool));
            let mut inflated = vec![0; size + 1];
            group.bench_function(BenchmarkId::new(format!("decompress_level_{level}"), size), |b| {
                b.iter(|| {
                    let step = decompressor.inflate(black_box(&out), &mut inflated).unwrap();
                    let end = decompressor.finish(&mut inflated[step.produced..]).unwrap();
                    assert_eq!(step.produced + end.produced, size);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, deflate);
criterion_main!(benches);
