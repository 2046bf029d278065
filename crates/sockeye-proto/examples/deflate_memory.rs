//! Measures what compression costs in memory, and prints it as Markdown.
//!
//! ```text
//! cargo run --release -p sockeye-proto --example deflate_memory
//! ```

use std::sync::Arc;
use std::time::Instant;

use peak_alloc::PeakAlloc;
use sockeye_proto::deflate::{
    Compressor, Decompressor, Deflate, DeflateError, MemLevel, Parameters, Pool, WindowBits,
};
use sockeye_proto::{Config, Connection, Event, Message, Received, Role, Workspace};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() -> Result<(), DeflateError> {
    println!(
        "| window bits | memory level | compressor | decompressor, while a message comes in | decompressor, between messages |"
    );
    println!("|---|---|---|---|---|");
    for (window_bits, mem_level) in [
        (8, 1),
        (9, 1),
        (9, 8),
        (10, 3),
        (11, 4),
        (12, 5),
        (13, 6),
        (14, 7),
        (15, 1),
        (15, 8),
        (15, 9),
    ] {
        let bits = WindowBits::new(window_bits).expect("from 8 to 15");
        let cost = Cost::measure(bits, MemLevel::new(mem_level).expect("from 1 to 9"))?;
        println!(
            "| {bits} | {mem_level} | {} | {} | {} |",
            kib(cost.compressor),
            kib(cost.receiving),
            kib(cost.received),
        );
    }
    println!();
    choices()
}

/// Prints what a server's connection costs between messages by each choice that µWebSockets gives a name, and Sockeye
/// by the fields of [`Deflate`].
fn choices() -> Result<(), DeflateError> {
    println!("| µWebSockets | window bits | memory level | context kept | a connection between messages |");
    println!("|---|---|---|---|---|");
    let plain = connection_cost(None)?;
    println!("| `DISABLED` | – | – | – | {plain} bytes |");
    let shared = connection_cost(Some(&Deflate::default()))?;
    println!("| `SHARED_COMPRESSOR`, `SHARED_DECOMPRESSOR` | 15 | 8 | no | {shared} bytes |");
    for (name, window_bits, mem_level) in [
        ("3KB", 9, 1),
        ("4KB", 9, 2),
        ("8KB", 10, 3),
        ("16KB", 11, 4),
        ("32KB", 12, 5),
        ("64KB", 13, 6),
        ("128KB", 14, 7),
        ("256KB", 15, 8),
    ] {
        let options = Deflate {
            mem_level: MemLevel::new(mem_level).expect("from 1 to 9"),
            server_no_context_takeover: false,
            server_max_window_bits: WindowBits::new(window_bits).expect("from 8 to 15"),
            ..Deflate::default()
        };
        let cost = connection_cost(Some(&options))?;
        println!(
            "| `DEDICATED_COMPRESSOR_{name}` | {window_bits} | {mem_level} | by the server | {} |",
            kib(cost)
        );
    }
    for (name, window_bits) in [
        ("512B", 9),
        ("1KB", 10),
        ("2KB", 11),
        ("4KB", 12),
        ("8KB", 13),
        ("16KB", 14),
        ("32KB", 15),
    ] {
        let options = Deflate {
            client_no_context_takeover: false,
            client_max_window_bits: WindowBits::new(window_bits).expect("from 8 to 15"),
            ..Deflate::default()
        };
        let cost = connection_cost(Some(&options))?;
        println!(
            "| `DEDICATED_DECOMPRESSOR_{name}` | {window_bits} | – | by the client | {} |",
            kib(cost)
        );
    }
    Ok(())
}

/// What a server's connection holds once it has echoed a message larger than any window: itself and its heap.
fn connection_cost(options: Option<&Deflate>) -> Result<usize, DeflateError> {
    const CONNECTIONS: usize = 20;
    // What connections share: it counts for none of them.
    let pool = Arc::new(Pool::default());
    let config = Arc::new(Config::server());
    let mut output = Vec::new();
    let deflate = |role| {
        options.map(|options| {
            let (parameters, _) = options.accept(&options.offer()).expect("an offer of our own");
            (
                Compressor::new(role, parameters, options, Arc::clone(&pool)),
                Decompressor::new(role, parameters, Arc::clone(&pool)),
            )
        })
    };
    let now = Instant::now();
    let mut server = || {
        let mut server = Connection::server(Arc::clone(&config), deflate(Role::Server), now);
        let mut client = Connection::client(
            Arc::clone(&config),
            Box::new(|| [0; 4]),
            deflate(Role::Client),
            now,
        );
        // A thread's, which keeps the memory of large messages for the next ones: it goes with this call.
        let mut workspace = Workspace::new();
        output.clear();
        client
            .send(Message::Binary(&message()), &mut output)
            .map_err(|_| DeflateError::Internal)?;
        let mut input = std::mem::take(&mut output);
        let received = server.receive(&mut input, &mut workspace, now);
        if let Ok(Received {
            event: Some(Event::Message(message)),
            ..
        }) = received
        {
            server
                .send(message, &mut output)
                .map_err(|_| DeflateError::Internal)?;
        }
        Ok::<_, DeflateError>(server)
    };
    // The first ones fill the pool and the buffers.
    let _warm = [server()?, server()?];
    let mut servers = Vec::with_capacity(CONNECTIONS);
    let before = MEMORY.current_usage();
    for _ in 0..CONNECTIONS {
        servers.push(server()?);
    }
    Ok((MEMORY.current_usage() - before) / CONNECTIONS + size_of::<Connection>())
}

/// A message larger than any window.
fn message() -> Vec<u8> {
    (0..20_000_u32).flat_map(|number| number.to_le_bytes()).collect()
}

/// Bytes on the heap with context takeover.
struct Cost {
    compressor: usize,
    receiving: usize,
    received: usize,
}

impl Cost {
    fn measure(bits: WindowBits, mem_level: MemLevel) -> Result<Self, DeflateError> {
        let parameters = Parameters {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: bits,
            client_max_window_bits: bits,
        };
        let options = Deflate {
            mem_level,
            ..Deflate::default()
        };
        // A pool that keeps nothing, so that what is left is the connection's.
        let pool = Arc::new(Pool::new(0));
        let mut compressor = Compressor::new(Role::Server, parameters, &options, Arc::clone(&pool));
        let mut decompressor = Decompressor::new(Role::Client, parameters, pool);
        let payload = compress(&mut compressor)?;

        let (received, receiving) = receive(&mut decompressor, &payload)?;
        let after_both = MEMORY.current_usage();
        drop(compressor);
        Ok(Self {
            compressor: after_both - MEMORY.current_usage(),
            receiving,
            received,
        })
    }
}

/// Sends a message larger than any window.
fn compress(compressor: &mut Compressor) -> Result<Vec<u8>, DeflateError> {
    let mut payload = Vec::new();
    compressor.compress(&message(), true, &mut payload)?;
    Ok(payload)
}

/// What is held after the message and what was held during it.
fn receive(decompressor: &mut Decompressor, payload: &[u8]) -> Result<(usize, usize), DeflateError> {
    let mut output = [0; 4096];
    let before = MEMORY.current_usage();
    let mut receiving = 0;
    let mut rest = payload;
    while !rest.is_empty() {
        let step = decompressor.inflate(rest, &mut output)?;
        rest = &rest[step.consumed..];
        receiving = MEMORY.current_usage() - before;
    }
    while !decompressor.finish(&mut output)?.done {}
    Ok((MEMORY.current_usage() - before, receiving))
}

fn kib(bytes: usize) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}
