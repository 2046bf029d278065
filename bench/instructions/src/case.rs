//! The hot paths that are counted.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use sockeye_proto::{Config, Connection, Event, Message, Workspace};

/// How often a path is taken while it is counted.
pub(crate) const ROUNDS: u64 = 100;

/// A path, and what is known of it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) name: &'static str,
    /// Instructions for each message, as last written down.
    pub(crate) instructions: u64,
    payload: &'static str,
    len: usize,
    text: bool,
    /// How many messages come in one read.
    pub(crate) messages: usize,
    /// How many bytes are read at once.
    read: usize,
}

const ASCII: &str = "salmon ";
const CHINESE: &str = "鮭魚洄游";

pub(crate) static CASES: [Known; 7] = [
    echo("echo of 20 B, binary", 344, ASCII, 20, false),
    echo("echo of 20 B, text", 429, ASCII, 20, true),
    echo("echo of 1 KiB, binary", 692, ASCII, 1024, false),
    echo("echo of 1 KiB, text in Chinese", 1691, CHINESE, 1024, true),
    echo(
        "echo of 64 KiB, text in Chinese",
        76_210,
        CHINESE,
        64 * 1024,
        true,
    ),
    Known {
        messages: 16,
        ..echo("echo of 20 B, binary, 16 in one read", 274, ASCII, 20, false)
    },
    Known {
        read: 16 * 1024,
        ..echo(
            "echo of 64 KiB, binary, in reads of 16 KiB",
            27_972,
            ASCII,
            64 * 1024,
            false,
        )
    },
];

const fn echo(name: &'static str, instructions: u64, payload: &'static str, len: usize, text: bool) -> Known {
    Known {
        name,
        instructions,
        payload,
        len,
        text,
        messages: 1,
        read: usize::MAX,
    }
}

/// A path that is ready to be taken: a server's connection, and what a client sent to it.
#[derive(Debug)]
pub(crate) struct Case {
    server: Connection,
    workspace: Workspace,
    input: Vec<u8>,
    read: usize,
    out: Vec<u8>,
    messages: usize,
}

impl Case {
    pub(crate) fn new(known: &Known) -> Result<Self> {
        let config = Arc::new(Config {
            max_control_rate: u32::MAX,
            ..Config::server()
        });
        let now = Instant::now();
        // Masking with zeros costs what masking costs, and leaves the input as it was for the next round.
        let mut client = Connection::client(Arc::clone(&config), Box::new(|| [0; 4]), None, now);
        let mut payload: String = known.payload.chars().cycle().take(known.len).collect();
        let mut end = known.len;
        while !payload.is_char_boundary(end) {
            end -= 1;
        }
        payload.truncate(end);
        let mut input = Vec::new();
        for _ in 0..known.messages {
            let message = if known.text {
                Message::Text(&payload)
            } else {
                Message::Binary(payload.as_bytes())
            };
            client.send(message, &mut input)?;
        }
        let mut case = Self {
            server: Connection::server(config, None, now),
            workspace: Workspace::new(),
            read: known.read.min(input.len()),
            out: Vec::with_capacity(2 * input.len()),
            input,
            messages: known.messages,
        };
        // What is allocated once is not part of the path.
        ensure!(case.round(now)? == known.messages, "an echo is missing");
        Ok(case)
    }

    /// Takes the path [`ROUNDS`] times. Callgrind knows this function by its name.
    #[inline(never)]
    pub(crate) fn measured(&mut self) -> Result<()> {
        let now = Instant::now();
        for _ in 0..ROUNDS {
            let echoed = self.round(now)?;
            ensure!(echoed == self.messages, "an echo is missing");
            black_box(&self.out);
        }
        Ok(())
    }

    /// Receives all of the input, in pieces, and echoes what comes; how many messages that were.
    fn round(&mut self, now: Instant) -> Result<usize> {
        self.out.clear();
        let mut echoed = 0;
        for piece in self.input.chunks_mut(self.read) {
            let mut at = 0;
            while at < piece.len() {
                let received = self.server.receive(&mut piece[at..], &mut self.workspace, now)?;
                at += received.consumed;
                if let Some(Event::Message(message)) = received.event {
                    self.server.send(message, &mut self.out)?;
                    echoed += 1;
                }
            }
        }
        Ok(echoed)
    }
}
