//! Frames through a connection. Whole ones in both roles: what text takes longer than binary is the validation. Then what
//! a server sees: many small frames in one read, and large ones that arrive in pieces.
//!
//! ```text
//! cargo bench -p sockeye-proto --bench frames
//! ```

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sockeye_proto::{Config, Connection, Event, Message, Role, Workspace};

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

/// Receives all of `input` in pieces, and echoes what comes.
fn echo(
    connection: &mut Connection,
    workspace: &mut Workspace,
    input: &mut [u8],
    piece: usize,
    out: &mut Vec<u8>,
) {
    let now = Instant::now();
    out.clear();
    for input in input.chunks_mut(piece) {
        let mut at = 0;
        while at < input.len() {
            let received = connection.receive(&mut input[at..], workspace, now).unwrap();
            at += received.consumed;
            if let Some(Event::Message(message)) = received.event {
                connection.send(message, out).unwrap();
            }
        }
    }
}

fn echoes(c: &mut Criterion) {
    let mut group = c.benchmark_group("echoes");
    for (name, payload, frames, piece) in [
        ("16_small_frames_in_a_read", "x".repeat(20), 16, usize::MAX),
        ("64_KiB_in_pieces_of_16", "鮭魚".repeat(10_922), 1, 16 * 1024),
        ("1_MiB_in_pieces_of_64", "x".repeat(1 << 20), 1, 64 * 1024),
    ] {
        for text in [true, false] {
            let mut input = Vec::new();
            for _ in 0..frames {
                connection(Role::Client)
                    .send(message(text, &payload), &mut input)
                    .unwrap();
            }
            group.throughput(Throughput::Bytes(input.len() as u64));
            let (mut server, mut workspace, mut out) =
                (connection(Role::Server), Workspace::new(), Vec::new());
            let kind = if text { "text" } else { "binary" };
            group.bench_function(BenchmarkId::new(name, kind), |b| {
                b.iter(|| {
                    echo(
                        &mut server,
                        &mut workspace,
                        black_box(&mut input),
                        piece,
                        &mut out,
                    );
                    black_box(&out);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, frames, echoes);
criterion_main!(benches);
