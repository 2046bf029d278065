//! Measures what each level of compression, and each window that is kept between messages, costs in time and saves in
//! bytes, and prints it as Markdown.
//!
//! ```text
//! cargo run --release -p sockeye-proto --example deflate_levels
//! ```

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use sockeye_proto::Role;
use sockeye_proto::deflate::{Compressor, Deflate, Level, Pool, WindowBits};

const LEVELS: [u8; 4] = [1, 2, 6, 9];
const LENGTHS: [usize; 3] = [256, 1024, 16 * 1024];
/// How many messages of each length are taken from a text.
const MESSAGES: usize = 17;
/// How often each is compressed; the least time counts.
const ROUNDS: usize = 50;

fn main() -> io::Result<()> {
    print!("| message | bytes |");
    for level in LEVELS {
        print!(" level {level} |");
    }
    println!("\n|---|---|---|---|---|---|");
    for (name, text) in [
        ("English", guide()?),
        ("JSON, chat messages", chat()),
        ("JSON, a list of records", records()),
    ] {
        for length in LENGTHS {
            print!("| {name} | {length} |");
            for level in LEVELS {
                let (share, time) = measure(text.as_bytes(), length, level);
                print!(
                    " {:.0} %, {:.1} |",
                    share * 100.0,
                    time.as_nanos() as f64 / 1000.0
                );
            }
            println!();
        }
    }
    println!();
    contexts();
    Ok(())
}

/// Prints what it brings to keep windows of different sizes between the messages of a chat.
fn contexts() {
    println!("| context | level 1 | level 2 to 5 | level 6 |");
    println!("|---|---|---|---|");
    let text = chat();
    for window_bits in [None, Some(9), Some(10), Some(11), Some(12), Some(13), Some(15)] {
        match window_bits {
            None => print!("| none |"),
            Some(bits) => print!("| {bits} bits |"),
        }
        for level in [1, 2, 6] {
            let bits = window_bits.and_then(WindowBits::new);
            let options = Deflate {
                level: Level::new(level).unwrap_or_default(),
                server_no_context_takeover: bits.is_none(),
                server_max_window_bits: bits.unwrap_or_default(),
                ..Deflate::default()
            };
            let (parameters, _) = options.accept(&options.offer()).expect("an offer of our own");
            // Several connections: the least time of each message counts.
            let pool = Arc::new(Pool::default());
            let mut compressors: Vec<_> = (0..ROUNDS / 10)
                .map(|_| Compressor::new(Role::Server, parameters, &options, Arc::clone(&pool)))
                .collect();
            let (mut compressed, mut time, mut out) = (0, Duration::ZERO, Vec::new());
            for message in text.lines() {
                let mut least = Duration::MAX;
                for compressor in &mut compressors {
                    out.clear();
                    let start = Instant::now();
                    let done = compressor.compress(black_box(message.as_bytes()), true, &mut out);
                    least = least.min(start.elapsed());
                    done.expect("compression does not fail");
                }
                compressed += out.len();
                time += least;
            }
            let share = compressed as f64 / text.len() as f64;
            let each = time.as_nanos() as f64 / 1000.0 / text.lines().count() as f64;
            print!(" {:.0} %, {each:.1} |", share * 100.0);
        }
        println!();
    }
}

/// The part of their size that messages of this length keep, and the time that one takes.
fn measure(text: &[u8], length: usize, level: u8) -> (f64, Duration) {
    let options = Deflate {
        level: Level::new(level).unwrap_or_default(),
        ..Deflate::default()
    };
    let (parameters, _) = options.accept(&options.offer()).expect("an offer of our own");
    let mut compressor = Compressor::new(Role::Server, parameters, &options, Arc::new(Pool::default()));
    let (mut compressed, mut time, mut out) = (0, Duration::ZERO, Vec::new());
    let step = (text.len() - length) / (MESSAGES - 1);
    for message in 0..MESSAGES {
        let message = &text[message * step..][..length];
        let mut least = Duration::MAX;
        for _ in 0..ROUNDS {
            out.clear();
            let start = Instant::now();
            let done = compressor.compress(black_box(message), true, &mut out);
            least = least.min(start.elapsed());
            done.expect("compression does not fail");
        }
        compressed += out.len();
        time += least;
    }
    (
        compressed as f64 / (MESSAGES * length) as f64,
        time / MESSAGES as u32,
    )
}

/// The text of the guide.
fn guide() -> io::Result<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src");
    let mut paths: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    paths.sort_by_key(fs::DirEntry::path);
    let mut text = String::new();
    for entry in paths {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "md")
        {
            text += &fs::read_to_string(entry.path())?;
        }
    }
    Ok(text)
}

/// Messages of a chat, one after the other.
fn chat() -> String {
    const NAMES: [&str; 8] = [
        "Alice", "Björn", "Chen", "Dmitri", "Eve", "Fatima", "Gustavo", "Hana",
    ];
    const KINDS: [&str; 4] = ["message", "presence", "typing", "ack"];
    const WORDS: &str = "the of and to in is you that it he was for on are as with his they at be this have from \
        or one had by word but not what all were we when your can said there use an each which she do how their if \
        will up other about out many then them these so some her would make like him into time has look two more";
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut random = random();
    let mut text = String::new();
    for time in 0..1500_u64 {
        let body: Vec<&str> = (0..3 + random(23)).map(|_| words[random(words.len())]).collect();
        let _ = writeln!(
            text,
            r#"{{"type":"{}","id":"{:016x}","channel":"room-{}","user":{{"id":{},"name":"{}"}},"text":"{}","ts":{}}}"#,
            KINDS[random(KINDS.len())],
            random(usize::MAX),
            random(40),
            random(100_000),
            NAMES[random(NAMES.len())],
            body.join(" "),
            1_763_890_000_000 + time * 137,
        );
    }
    text
}

/// A list of records that differ in their numbers.
fn records() -> String {
    let mut text = String::from("[");
    for number in 1..4000_u64 {
        let _ = write!(
            text,
            r#"{{"id":{number},"name":"salmon {}","at":[{},{}],"ok":true}},"#,
            number * 7919 % 1000,
            number * 31 % 97,
            number * 17 % 89
        );
    }
    text
}

/// Numbers below a bound, without a pattern and the same on each run.
fn random() -> impl FnMut(usize) -> usize {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    }
}
