//! Measures what compression costs in memory, and prints it as Markdown.
//!
//! ```text
//! cargo run --release -p sockeye-proto --example deflate_memory
//! ```

use std::sync::Arc;

use peak_alloc::PeakAlloc;
use sockeye_proto::Role;
use sockeye_proto::deflate::{
    Compressor, Decompressor, Deflate, DeflateError, MemLevel, Parameters, Pool, WindowBits,
};

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
    let idle = Cost::idle_without_takeover()?;
    println!();
    println!(
        "Without context takeover, between messages: {idle} bytes on the heap, {} in the connection itself.",
        size_of::<Compressor>() + size_of::<Decompressor>(),
    );
    Ok(())
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

    fn idle_without_takeover() -> Result<usize, DeflateError> {
        let options = Deflate::default();
        let pool = Arc::new(Pool::new(0));
        let (parameters, _) = options.accept(&options.offer()).expect("an offer of our own");
        let before = MEMORY.current_usage();
        let mut compressor = Compressor::new(Role::Server, parameters, &options, Arc::clone(&pool));
        let mut decompressor = Decompressor::new(Role::Client, parameters, pool);
        receive(&mut decompressor, &compress(&mut compressor)?)?;
        Ok(MEMORY.current_usage() - before)
    }
}

/// Sends a message larger than any window.
fn compress(compressor: &mut Compressor) -> Result<Vec<u8>, DeflateError> {
    let message: Vec<u8> = (0..20_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    let mut payload = Vec::new();
    compressor.compress(&message, true, &mut payload)?;
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
