//! Messages that go to all members of a topic, in rounds.

use std::collections::HashMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use contract::Compression;
use mio::{Events, Poll};

use super::link::{Frames, PATIENCE, Sink, Target, Transport};
use super::wire::{self, Header};
use super::{Inflater, Load, READ_SIZE, Tally, deflated, open};
use crate::scenario::Message;

/// The mark that a message begins with: its publisher and its round, in so many hexadecimal digits.
const PUBLISHER_DIGITS: usize = 4;
const ROUND_DIGITS: usize = 8;
const MARK_LEN: usize = PUBLISHER_DIGITS + ROUND_DIGITS;

/// The members of some topics, of which some publish.
#[derive(Debug)]
pub(crate) struct Publish {
    poll: Poll,
    events: Events,
    links: Vec<Link>,
    topics: Vec<Topic>,
    message: Content,
    publishers: usize,
    members: usize,
    buffer: Vec<u8>,
    over: bool,
}

/// What is published, but for its mark.
#[derive(Debug)]
struct Content {
    opcode: u8,
    payload: Vec<u8>,
    compressed: bool,
    /// Compressed messages that were inflated and found right. Servers that compress each message once, or always
    /// alike, spare the load most of the work.
    known: HashMap<Vec<u8>, Mark>,
}

/// Which message it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mark {
    publisher: usize,
    round: u32,
}

/// A topic and its present round. Connection `n` is a member of the topic `n / members`, as its member `n % members`;
/// the first of them publish.
#[derive(Debug)]
struct Topic {
    round: u32,
    began: Instant,
    /// How many deliveries the round still lacks.
    due: usize,
}

#[derive(Debug)]
struct Link {
    transport: Transport,
    unwritten: Vec<u8>,
    frames: Frames,
    deliveries: Deliveries,
}

/// What came over a connection.
#[derive(Debug)]
struct Deliveries {
    /// For each publisher of the topic, how many of its messages.
    rounds: Vec<u32>,
    message: Vec<u8>,
    inflater: Option<Inflater>,
}

impl Publish {
    /// Opens the connections and begins the first round of each topic.
    pub(crate) fn open(
        target: &Target,
        message: Message,
        topics: usize,
        publishers: usize,
        members: usize,
    ) -> Result<Self> {
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(1024);
        let compressed = target.compression != Compression::Off;
        let path = |n| format!("/topic-{}", n / members);
        let transports = open(target, &mut poll, &mut events, topics * members, path)?;
        let links = transports
            .into_iter()
            .map(|transport| Link {
                transport,
                unwritten: Vec::new(),
                frames: Frames::default(),
                deliveries: Deliveries {
                    rounds: vec![0; publishers],
                    message: Vec::new(),
                    inflater: compressed.then(|| Inflater::new(target.compression == Compression::Shared)),
                },
            })
            .collect();
        let mut publish = Self {
            poll,
            events,
            links,
            topics: Vec::new(),
            message: Content {
                opcode: message.kind.opcode(),
                payload: message.kind.payload(message.len, 1),
                compressed,
                known: HashMap::new(),
            },
            publishers,
            members,
            buffer: vec![0; READ_SIZE],
            over: false,
        };
        for topic in 0..topics {
            publish.topics.push(Topic {
                round: 0,
                began: Instant::now(),
                due: 0,
            });
            publish.begin_round(topic)?;
        }
        Ok(publish)
    }

    fn begin_round(&mut self, topic: usize) -> Result<()> {
        let state = &mut self.topics[topic];
        state.round += 1;
        state.began = Instant::now();
        state.due = self.publishers * self.members;
        for publisher in 0..self.publishers {
            let link = &mut self.links[topic * self.members + publisher];
            let mark = Mark {
                publisher,
                round: state.round,
            };
            self.message.append(mark, &mut link.unwritten)?;
            link.write()?;
        }
        Ok(())
    }

    fn turn(&mut self, tally: &mut Tally) -> Result<()> {
        self.poll.poll(&mut self.events, Some(PATIENCE))?;
        ensure!(!self.events.is_empty(), "nothing was delivered for {PATIENCE:?}");
        let mut complete = Vec::new();
        for event in &self.events {
            let n = event.token().0;
            let link = &mut self.links[n];
            link.write()?;
            if !event.is_readable() {
                continue;
            }
            let topic = &mut self.topics[n / self.members];
            let was_due = topic.due;
            link.read(&mut self.buffer, &mut self.message, topic, tally)?;
            if was_due > 0 && topic.due == 0 {
                complete.push(n / self.members);
            }
        }
        for topic in complete {
            if !self.over {
                self.begin_round(topic)?;
            }
        }
        if self.message.known.len() > 2 * self.publishers * self.topics.len() {
            self.message.known.clear();
        }
        Ok(())
    }
}

impl Load for Publish {
    fn run_until(&mut self, end: Instant, tally: &mut Tally) -> Result<()> {
        while Instant::now() < end {
            self.turn(tally)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.over = true;
        let mut tally = Tally::new()?;
        while self.topics.iter().any(|topic| topic.due > 0) {
            self.turn(&mut tally)?;
        }
        Ok(())
    }
}

impl Content {
    /// Appends the frame of a message.
    fn append(&mut self, mark: Mark, out: &mut Vec<u8>) -> Result<()> {
        let text = format!(
            "{:0p$x}{:0r$x}",
            mark.publisher,
            mark.round,
            p = PUBLISHER_DIGITS,
            r = ROUND_DIGITS
        );
        self.payload[..MARK_LEN].copy_from_slice(text.as_bytes());
        let key = [0x5A, 0xC3, 0x17, mark.round as u8];
        if self.compressed {
            wire::frame(self.opcode, true, key, &deflated(&self.payload)?, out);
        } else {
            wire::frame(self.opcode, false, key, &self.payload, out);
        }
        Ok(())
    }

    /// Which message this is, if it is one.
    fn check(&self, header: &Header, message: &[u8]) -> Result<Mark> {
        ensure!(
            header.opcode == self.opcode,
            "the delivery is another kind of message"
        );
        ensure!(
            message.len() == self.payload.len() && message[MARK_LEN..] == self.payload[MARK_LEN..],
            "something else was delivered than was sent: {}…",
            message[..message.len().min(40)].escape_ascii()
        );
        let digits = |range: std::ops::Range<usize>| {
            let text = std::str::from_utf8(&message[range]).unwrap_or_default();
            u32::from_str_radix(text, 16).context("a delivery without its mark")
        };
        Ok(Mark {
            publisher: digits(0..PUBLISHER_DIGITS)? as usize,
            round: digits(PUBLISHER_DIGITS..MARK_LEN)?,
        })
    }
}

impl Link {
    fn write(&mut self) -> Result<()> {
        while !self.unwritten.is_empty() {
            let written = self.transport.write(&self.unwritten)?;
            if written == 0 {
                break;
            }
            self.unwritten.drain(..written);
        }
        self.transport.flush()
    }

    fn read(
        &mut self,
        buffer: &mut [u8],
        content: &mut Content,
        topic: &mut Topic,
        tally: &mut Tally,
    ) -> Result<()> {
        while let Some(read) = self.transport.read(buffer)? {
            tally.received += read as u64;
            let mut sink = Delivery {
                deliveries: &mut self.deliveries,
                content,
                topic,
                tally,
                now: Instant::now(),
            };
            self.frames.take(&buffer[..read], &mut sink)?;
            if read < buffer.len() && self.transport.short_read_is_all() {
                break;
            }
        }
        Ok(())
    }
}

/// Checks what was delivered and counts it.
struct Delivery<'a> {
    deliveries: &'a mut Deliveries,
    content: &'a mut Content,
    topic: &'a mut Topic,
    tally: &'a mut Tally,
    now: Instant,
}

impl Sink for Delivery<'_> {
    fn payload(&mut self, header: &Header, at: usize, piece: &[u8], last: bool) -> Result<()> {
        // Most lie in what was read as a whole.
        if last && at == 0 {
            return self.message(header, piece);
        }
        self.deliveries.message.extend_from_slice(piece);
        if last {
            let message = std::mem::take(&mut self.deliveries.message);
            self.message(header, &message)?;
            self.deliveries.message = message;
            self.deliveries.message.clear();
        }
        Ok(())
    }
}

impl Delivery<'_> {
    fn message(&mut self, header: &Header, message: &[u8]) -> Result<()> {
        let mark = if header.compressed {
            self.inflate(header, message)?
        } else {
            self.content.check(header, message)?
        };
        let round = self
            .deliveries
            .rounds
            .get_mut(mark.publisher)
            .context("a delivery from nobody")?;
        *round += 1;
        ensure!(
            *round == mark.round && mark.round == self.topic.round,
            "message {} of publisher {} was delivered as its {round}th in round {}",
            mark.round,
            mark.publisher,
            self.topic.round
        );
        self.topic.due -= 1;
        self.tally
            .add(self.now.saturating_duration_since(self.topic.began));
        Ok(())
    }

    fn inflate(&mut self, header: &Header, compressed: &[u8]) -> Result<Mark> {
        let inflater = self
            .deliveries
            .inflater
            .as_mut()
            .context("a compressed delivery, though no compression was agreed to")?;
        if inflater.reset
            && let Some(mark) = self.content.known.get(compressed)
        {
            return Ok(*mark);
        }
        let mut bytes = compressed.to_vec();
        let message = inflater.inflate(&mut bytes, self.content.payload.len())?;
        let mark = self.content.check(header, message)?;
        if inflater.reset {
            self.content.known.insert(bytes, mark);
        }
        Ok(mark)
    }
}
