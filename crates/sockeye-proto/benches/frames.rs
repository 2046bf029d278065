//! Whole frames through a connection, in both roles. What text takes longer than binary is the validation.
//!
//! ```text
//! cargo bench -p sockeye-proto --bench frames
//! ```

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockeye_proto::{Config, Connection, Message, Role, Workspace};

const SIZES: [usize; 3] = [20, 1024, 64 * 1024];

/// Masking with it costs as much as with any other, and leaves a frame as it was, to be received again.
const ZERO_KEY: [u8; 4] = [0; 4];

fn connection(role: Role) -> Connection {
    let config = Arc::new(Config::client());
    let now = Instant::now();
    match role {
        Role::Server => Connection::server(config, None, now),
        Role::Client => Connection::client(config, Box::new(|| ZERO_KEY), None, now),
    }
}

fn message(text: bool, payload: &str) -> Message<'_> {
    if text {
        Message::Text(payload)
    } else {
        Message::Binary(payload.as_bytes())
    }
}

fn name(verb: &str, role: Role, text: bool) -> String {
    let role = if role == Role::Server { "server" } else { "client" };
    format!("{role}_{verb}_{}", if text { "text" } else { "binary" })
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("frames");
    for (role, other) in [(Role::Server, Role::Client), (Role::Client, Role::Server)] {
        for text in [true, false] {
            for size in SIZES {
                // Plain and accented letters, as text has them.
                let payload: String = "Grüße aus Köln, ".chars().cycle().take(size).collect();
                let mut end = payload.len().min(size);
                while !payload.is_char_boundary(end) {
                    end -= 1;
                }
                let payload = &payload[..end];
                group.throughput(Throughput::Bytes(payload.len() as u64));

                let mut sender = connection(role);
                let mut out = Vec::new();
                group.bench_function(BenchmarkId::new(name("sends", role, text), size), |b| {
                    b.iter(|| {
                        out.clear();
                        sender.send(message(text, black_box(payload)), &mut out).unwrap();
                        black_box(&out);
                    });
                });

                let mut frame = Vec::new();
                connection(other)
                    .send(message(text, payload), &mut frame)
                    .unwrap();
                let mut receiver = connection(role);
                let mut workspace = Workspace::new();
                let now = Instant::now();
                group.bench_function(BenchmarkId::new(name("receives", role, text), size), |b| {
                    b.iter(|| {
                        let received = receiver
                            .receive(black_box(&mut frame), &mut workspace, now)
                            .unwrap();
                        black_box(received.event.is_some())
                    });
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
