//! Messages that come back.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use contract::Compression;
use mio::{Events, Poll};

use super::link::{Frames, PATIENCE, Sink, Target, Transport};
use super::wire::{self, Header};
use super::{Inflater, Load, READ_SIZE, Tally, deflated, open};
use crate::scenario::Message;

/// Messages differ in turn, so that one that is lost, doubled or out of order is seen: at least so many.
const SHORTEST_CYCLE: usize = 4;

/// With compression the cycle has so many bytes at least, three of the largest windows: none may help itself to what it
/// said one cycle ago.
const COMPRESSED_CYCLE: usize = 96 * 1024;

/// Connections that send messages and get them back.
#[derive(Debug)]
pub(crate) struct Echo {
    poll: Poll,
    events: Events,
    links: Vec<Link>,
    traffic: Traffic,
    buffer: Vec<u8>,
    pace: Pace,
}

/// When messages are sent.
#[derive(Debug)]
enum Pace {
    /// Each reply is followed by the next message.
    Window,
    /// At even distances, whatever the server does.
    Even {
        distance: Duration,
        next: Option<Instant>,
        /// The connection whose turn it is.
        turn: usize,
    },
    /// None any more.
    Over,
}

/// The messages of a scenario, prepared ahead.
#[derive(Debug)]
struct Traffic {
    opcode: u8,
    /// The cycle of requests, and as much of the next as makes every window lie in one piece.
    requests: Vec<u8>,
    /// Where each message of the cycle begins in `requests`, and where the next cycle does.
    starts: Vec<usize>,
    payloads: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Link {
    transport: Transport,
    /// Where in `requests` the next byte to write is.
    request_at: usize,
    /// How many bytes may be written.
    writable: usize,
    /// The place in the cycle of the message whose turn to be sent it is.
    next: usize,
    frames: Frames,
    replies: Replies,
}

/// The messages that are due on a connection, in order.
#[derive(Debug)]
struct Replies {
    /// The place in the cycle of the next.
    place: usize,
    /// When those on the way were sent, or should have been.
    sent: VecDeque<Instant>,
    /// With compression: how to look at a message.
    inflater: Option<Inflater>,
    compressed: Vec<u8>,
    /// Compressed messages that were found right, by place: what is the same need not be inflated again.
    known: Vec<Vec<u8>>,
}

impl Echo {
    /// Opens the connections and lets `window` messages of each be on the way.
    pub(crate) fn open(target: &Target, message: Message, window: usize, connections: usize) -> Result<Self> {
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(1024);
        let compressed = target.compression != Compression::Off;
        let traffic = Traffic::new(message, window, compressed)?;
        let transports = open(target, &mut poll, &mut events, connections, |_| {
            contract::ECHO.to_owned()
        })?;
        let links = transports
            .into_iter()
            .map(|transport| Link {
                transport,
                request_at: 0,
                writable: 0,
                next: 0,
                frames: Frames::default(),
                replies: Replies {
                    place: 0,
                    sent: VecDeque::with_capacity(window),
                    inflater: compressed.then(|| Inflater::new(target.compression == Compression::Shared)),
                    compressed: Vec::new(),
                    known: vec![Vec::new(); traffic.payloads.len()],
                },
            })
            .collect();
        let mut echo = Self {
            poll,
            events,
            links,
            traffic,
            buffer: vec![0; READ_SIZE],
            pace: Pace::Window,
        };
        let now = Instant::now();
        for link in &mut echo.links {
            link.enqueue(&echo.traffic, window, now);
            link.write(&echo.traffic)?;
        }
        Ok(echo)
    }

    /// Sends `rate` messages per second from now on, once what is on the way has come back.
    pub(crate) fn even_pace(&mut self, rate: f64) -> Result<()> {
        self.finish()?;
        self.pace = Pace::Even {
            distance: Duration::from_secs_f64(1.0 / rate.max(1.0)),
            next: None,
            turn: 0,
        };
        Ok(())
    }

    /// Waits up to `patience`, and serves the sockets that are ready; whether there were any.
    fn turn(&mut self, patience: Duration, tally: &mut Tally) -> Result<bool> {
        self.poll.poll(&mut self.events, Some(patience))?;
        let refill = matches!(self.pace, Pace::Window);
        for event in &self.events {
            let link = &mut self.links[event.token().0];
            if event.is_readable() {
                let arrived = link.read(&self.traffic, &mut self.buffer, tally)?;
                if refill {
                    link.enqueue(&self.traffic, arrived, Instant::now());
                }
            }
            link.write(&self.traffic)?;
        }
        Ok(!self.events.is_empty())
    }

    /// Sends what is due by the clock.
    fn send_due(&mut self) -> Result<()> {
        let Pace::Even { distance, next, turn } = &mut self.pace else {
            return Ok(());
        };
        let now = Instant::now();
        let due = next.get_or_insert(now);
        while *due <= now {
            let link = &mut self.links[*turn];
            // The time it should be sent at counts, not the time it is: waiting behind others is latency too.
            link.enqueue(&self.traffic, 1, *due);
            link.write(&self.traffic)?;
            *due += *distance;
            *turn = (*turn + 1) % self.links.len();
        }
        Ok(())
    }
}

impl Load for Echo {
    fn run_until(&mut self, end: Instant, tally: &mut Tally) -> Result<()> {
        let mut last_progress = Instant::now();
        while Instant::now() < end {
            self.send_due()?;
            // epoll counts in milliseconds, which is too coarse for a pace: there the core is busy waiting.
            let patience = match self.pace {
                Pace::Even { .. } => Duration::ZERO,
                _ => PATIENCE,
            };
            if self.turn(patience, tally)? {
                last_progress = Instant::now();
            }
            ensure!(
                last_progress.elapsed() < PATIENCE,
                "nothing came back for {PATIENCE:?}"
            );
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.pace = Pace::Over;
        let mut tally = Tally::new()?;
        while self.links.iter().any(|link| !link.replies.sent.is_empty()) {
            ensure!(
                self.turn(PATIENCE, &mut tally)?,
                "a reply is missing for {PATIENCE:?}"
            );
        }
        Ok(())
    }
}

impl Traffic {
    fn new(message: Message, window: usize, compressed: bool) -> Result<Self> {
        let opcode = message.kind.opcode();
        let cycle = match compressed {
            true => SHORTEST_CYCLE.max(COMPRESSED_CYCLE.div_ceil(message.len)),
            false => SHORTEST_CYCLE,
        };
        let payloads: Vec<Vec<u8>> = (0..cycle)
            .map(|place| message.kind.payload(message.len, place as u64))
            .collect();
        let mut requests = Vec::new();
        let mut starts = Vec::with_capacity(cycle + 1);
        for turn in 0..cycle + window {
            let place = turn % cycle;
            if turn <= cycle {
                starts.push(requests.len());
            }
            let key = [0x5A, 0xC3, 0x17, place as u8];
            if compressed {
                wire::frame(opcode, true, key, &deflated(&payloads[place])?, &mut requests);
            } else {
                wire::frame(opcode, false, key, &payloads[place], &mut requests);
            }
        }
        Ok(Self {
            opcode,
            requests,
            starts,
            payloads,
        })
    }

    /// Where a stream of requests begins again.
    fn cycle_len(&self) -> usize {
        self.starts[self.payloads.len()]
    }
}

impl Link {
    /// Has `count` more messages wait to be written.
    fn enqueue(&mut self, traffic: &Traffic, count: usize, now: Instant) {
        for _ in 0..count {
            self.writable += traffic.starts[self.next + 1] - traffic.starts[self.next];
            self.next = (self.next + 1) % traffic.payloads.len();
            self.replies.sent.push_back(now);
        }
    }

    /// Reads what is there; gives how many messages that completed.
    fn read(&mut self, traffic: &Traffic, buffer: &mut [u8], tally: &mut Tally) -> Result<usize> {
        let before = self.replies.sent.len();
        while let Some(read) = self.transport.read(buffer)? {
            tally.received += read as u64;
            let mut sink = Checked {
                replies: &mut self.replies,
                traffic,
                tally,
                now: Instant::now(),
            };
            self.frames.take(&buffer[..read], &mut sink)?;
            if read < buffer.len() && self.transport.short_read_is_all() {
                break;
            }
        }
        Ok(before - self.replies.sent.len())
    }

    fn write(&mut self, traffic: &Traffic) -> Result<()> {
        while self.writable > 0 {
            let end = (self.request_at + self.writable).min(traffic.requests.len());
            let written = self.transport.write(&traffic.requests[self.request_at..end])?;
            if written == 0 {
                break;
            }
            self.writable -= written;
            self.request_at = (self.request_at + written) % traffic.cycle_len();
        }
        self.transport.flush()
    }
}

/// Compares what comes with what was sent.
struct Checked<'a> {
    replies: &'a mut Replies,
    traffic: &'a Traffic,
    tally: &'a mut Tally,
    now: Instant,
}

impl Sink for Checked<'_> {
    fn payload(&mut self, header: &Header, at: usize, piece: &[u8], last: bool) -> Result<()> {
        let replies = &mut *self.replies;
        let expected = &self.traffic.payloads[replies.place];
        ensure!(
            header.opcode == self.traffic.opcode,
            "the reply is another kind of message"
        );
        if header.compressed {
            replies.compressed_payload(header, expected, piece, last)?;
        } else {
            ensure!(
                header.len == expected.len() && expected[at..at + piece.len()] == *piece,
                "something else came back than was sent: {}…",
                piece[..piece.len().min(40)].escape_ascii()
            );
        }
        if last {
            replies.place = (replies.place + 1) % self.traffic.payloads.len();
            let Some(sent) = replies.sent.pop_front() else {
                anyhow::bail!("more came back than was sent");
            };
            self.tally.add(self.now.saturating_duration_since(sent));
        }
        Ok(())
    }
}

impl Replies {
    fn compressed_payload(
        &mut self,
        header: &Header,
        expected: &[u8],
        piece: &[u8],
        last: bool,
    ) -> Result<()> {
        let Some(inflater) = &mut self.inflater else {
            anyhow::bail!("a compressed reply, though no compression was agreed to");
        };
        let known = &mut self.known[self.place];
        if inflater.reset && piece.len() == header.len && piece == *known {
            return Ok(());
        }
        self.compressed.extend_from_slice(piece);
        if last {
            ensure!(
                inflater.inflate(&mut self.compressed, expected.len())? == expected,
                "the reply inflates to something else than was sent"
            );
            std::mem::swap(known, &mut self.compressed);
            self.compressed.clear();
        }
        Ok(())
    }
}
