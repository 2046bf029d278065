//! Messages that go from publishers to subscribers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sockeye::driver::Waker;
use sockeye::proto::deflate::{Compressor, Deflate};
use sockeye_proto::deflate::Parameters;
use sockeye_proto::{Message, MessageKind};

use super::track::Track;
use super::{Out, Scenario};
use crate::bench::clock::{Moment, NEVER, Pace, Times};
use crate::bench::content::Content;
use crate::bench::frames::{compressor, write_frame};
use crate::bench::tally::{Tally, record};
use crate::error::Failure;

/// Who publishes to whom, how, and what all threads know of it.
#[derive(Debug)]
pub(in crate::bench) struct BroadcastPlan {
    pub(in crate::bench) content: Content,
    pub(in crate::bench) publishers: usize,
    pub(in crate::bench) subscribers: usize,
    /// Whether the publishers are the first of the subscribers.
    pub(in crate::bench) shared: bool,
    /// Whether the server sends nothing back to who sent it.
    pub(in crate::bench) excludes_sender: bool,
    pub(in crate::bench) topics: usize,
    /// Most messages of a publisher that are not everywhere yet, where there is no rate.
    pub(in crate::bench) window: u64,
    /// Messages a second of all publishers.
    pub(in crate::bench) rate: Option<f64>,
    /// Tells the messages of this run from others.
    pub(in crate::bench) run: u32,
    pub(in crate::bench) deflate: Deflate,
}

impl BroadcastPlan {
    /// How many connections that takes.
    pub(in crate::bench) fn connections(&self) -> usize {
        if self.shared {
            self.subscribers
        } else {
            self.publishers + self.subscribers
        }
    }

    /// Whether this can be done.
    pub(in crate::bench) fn check(&self) -> Result<(), Failure> {
        let smallest = smallest(self.content.kind);
        if self.content.size < smallest {
            return Err(Failure::usage(format!(
                "--size: a message says who sent it and when, which takes {smallest} bytes: write at least that"
            )));
        }
        if self.shared && self.publishers > self.subscribers {
            return Err(Failure::usage(format!(
                "--shared: {} publishers cannot be among {} subscribers",
                self.publishers, self.subscribers
            )));
        }
        if self.topics > self.publishers.min(self.subscribers) {
            return Err(Failure::usage(format!(
                "--topics: {} topics need as many publishers and subscribers",
                self.topics
            )));
        }
        Ok(())
    }

    fn publisher(&self, number: usize) -> Option<usize> {
        (number < self.publishers).then_some(number)
    }

    fn subscribes(&self, number: usize) -> bool {
        self.shared || number >= self.publishers
    }

    fn topic(&self, number: usize) -> usize {
        number % self.topics
    }

    /// Whether this connection is to get what this publisher sends.
    pub(in crate::bench) fn hears(&self, number: usize, publisher: usize) -> bool {
        self.subscribes(number)
            && self.topic(number) == self.topic(publisher)
            && !(self.shared && self.excludes_sender && number == publisher)
    }

    /// How many connections are to get what this publisher sends.
    pub(in crate::bench) fn audience(&self, publisher: usize) -> u64 {
        let hears = |number: &usize| self.hears(*number, publisher);
        (0..self.connections()).filter(hears).count() as u64
    }

    /// The publishers of a topic, in order.
    fn publishers_of(&self, topic: usize) -> impl Iterator<Item = usize> {
        (topic..self.publishers).step_by(self.topics)
    }

    /// The place of a publisher among those of its topic.
    fn place_in_topic(&self, publisher: usize) -> usize {
        publisher / self.topics
    }
}

/// How far messages have come, for publishers that wait for it on other threads.
#[derive(Debug)]
pub(in crate::bench) struct Deliveries {
    /// Of each publisher: how often messages of it were delivered.
    counts: Vec<AtomicU64>,
    audiences: Vec<u64>,
    /// Of each thread: whether a publisher of it may go on, the first connection it does not have, and what wakes it.
    ready: Vec<AtomicBool>,
    ends: Vec<usize>,
    wakers: OnceLock<Vec<Waker>>,
}

impl Deliveries {
    /// `ends` are the first numbers beyond those of each thread.
    pub(in crate::bench) fn new(plan: &BroadcastPlan, ends: Vec<usize>) -> Self {
        Self {
            counts: (0..plan.publishers).map(|_| AtomicU64::new(0)).collect(),
            audiences: (0..plan.publishers)
                .map(|publisher| plan.audience(publisher))
                .collect(),
            ready: ends.iter().map(|_| AtomicBool::new(false)).collect(),
            ends,
            wakers: OnceLock::new(),
        }
    }

    /// Takes what wakes the threads, once these have started.
    pub(in crate::bench) fn set_wakers(&self, wakers: Vec<Waker>) {
        // It happens once.
        let _ = self.wakers.set(wakers);
    }

    fn thread_of(&self, number: usize) -> usize {
        self.ends.partition_point(|end| *end <= number)
    }

    /// A message of this publisher came; `thread` is where.
    fn add(&self, publisher: usize, thread: usize) {
        let count = self.counts[publisher].fetch_add(1, Ordering::AcqRel) + 1;
        // Each time as many came as one message makes, another one may be complete.
        if !count.is_multiple_of(self.audiences[publisher]) {
            return;
        }
        let owner = self.thread_of(publisher);
        let was_ready = self.ready[owner].swap(true, Ordering::AcqRel);
        if owner != thread
            && !was_ready
            && let Some(wakers) = self.wakers.get()
        {
            wakers[owner].wake();
        }
    }

    /// How many messages of this publisher are everywhere.
    fn complete(&self, publisher: usize) -> u64 {
        let count = self.counts[publisher].load(Ordering::Acquire);
        count.checked_div(self.audiences[publisher]).unwrap_or(u64::MAX)
    }
}

/// What a connection saw in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bench) struct Seen {
    pub(in crate::bench) number: usize,
    /// Of each publisher of its topic.
    pub(in crate::bench) tracks: Vec<(usize, Track)>,
}

/// A thread's part of the scenario `broadcast`.
pub(in crate::bench) struct Broadcast {
    plan: Arc<BroadcastPlan>,
    deliveries: Arc<Deliveries>,
    thread: usize,
    /// The number of its first connection.
    pub(in crate::bench) first: usize,
    /// How many publishers this thread has: its first connections.
    publishers: usize,
    compressor: Option<(Parameters, Compressor)>,
    times: Times,
    pace: Option<Pace>,
    next: u64,
    /// Publishers that may go on.
    ready: VecDeque<usize>,
    /// When publishers that wait are looked at, so that a lost message does not hold them up for ever.
    look: Moment,
    filler: Vec<u8>,
    payload: Vec<u8>,
    message: Vec<u8>,
    /// Of each publisher of this thread, how many messages it sent.
    pub(in crate::bench) published: Vec<u64>,
    pub(in crate::bench) seen: Vec<Seen>,
    /// Messages that are none of this run.
    pub(in crate::bench) foreign: u64,
}

/// What is remembered of a connection.
#[derive(Debug, Default)]
pub(in crate::bench) struct Peer {
    number: usize,
    place: usize,
    is_open: bool,
    deflate: Option<Parameters>,
    sent: u64,
    /// Messages that count as complete although they are not: lost, it seems.
    given_up: u64,
    /// When it last sent.
    sent_at: Moment,
    tracks: Vec<Track>,
}

/// How long a publisher waits for a message to be everywhere.
const PATIENCE: u64 = 1_000_000_000;

/// What is in a message: run, publisher, number, and when it was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    run: u32,
    publisher: u32,
    number: u32,
    due: Moment,
}

impl Stamp {
    const BINARY: usize = 20;
    /// The same in base64.
    const TEXT: usize = 27;

    const fn length(kind: MessageKind) -> usize {
        match kind {
            MessageKind::Binary => Self::BINARY,
            MessageKind::Text => Self::TEXT,
        }
    }

    fn bytes(self) -> [u8; Self::BINARY] {
        let mut bytes = [0; Self::BINARY];
        bytes[..4].copy_from_slice(&self.run.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.publisher.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.number.to_be_bytes());
        bytes[12..].copy_from_slice(&self.due.to_be_bytes());
        bytes
    }

    fn write(self, kind: MessageKind, out: &mut Vec<u8>) {
        match kind {
            MessageKind::Binary => out.extend_from_slice(&self.bytes()),
            MessageKind::Text => {
                let mut text = [0; Self::TEXT];
                // 20 bytes are 27 characters.
                let _ = STANDARD_NO_PAD.encode_slice(self.bytes(), &mut text);
                out.extend_from_slice(&text);
            }
        }
    }

    fn read(message: Message<'_>) -> Option<Self> {
        let bytes: [u8; Self::BINARY] = match message {
            Message::Binary(bytes) => *bytes.first_chunk()?,
            Message::Text(text) => {
                let mut bytes = [0; Self::BINARY];
                let length = STANDARD_NO_PAD
                    .decode_slice(text.as_bytes().get(..Self::TEXT)?, &mut bytes)
                    .ok()?;
                (length == Self::BINARY).then_some(bytes)?
            }
        };
        let [a, b, c, d, e, f, g, h, i, j, k, l, due @ ..] = bytes;
        Some(Self {
            run: u32::from_be_bytes([a, b, c, d]),
            publisher: u32::from_be_bytes([e, f, g, h]),
            number: u32::from_be_bytes([i, j, k, l]),
            due: u64::from_be_bytes(due),
        })
    }
}

/// The smallest message that says who published it and when.
pub(in crate::bench) const fn smallest(kind: MessageKind) -> usize {
    Stamp::length(kind)
}

impl Broadcast {
    /// The part of a thread that has `connections` from the number `first` on.
    pub(in crate::bench) fn new(
        plan: &Arc<BroadcastPlan>,
        deliveries: &Arc<Deliveries>,
        first: usize,
        connections: usize,
    ) -> Self {
        let publishers = plan.publishers.saturating_sub(first).min(connections);
        let filler = plan.content.make(0).split_off(smallest(plan.content.kind));
        Self {
            thread: deliveries.thread_of(first),
            filler: match plan.content.kind {
                // It may begin inside a character.
                MessageKind::Text => filler.iter().map(|byte| byte & 0x7f).map(visible).collect(),
                MessageKind::Binary => filler,
            },
            plan: Arc::clone(plan),
            deliveries: Arc::clone(deliveries),
            first,
            publishers,
            compressor: None,
            times: Times::UNKNOWN,
            pace: None,
            next: 0,
            ready: VecDeque::new(),
            look: NEVER,
            payload: Vec::new(),
            message: Vec::new(),
            published: vec![0; publishers],
            seen: Vec::new(),
            foreign: 0,
        }
    }

    /// Writes the next message of a publisher.
    fn publish(&mut self, peer: &Peer, due: Moment, out: &mut Out<'_>) {
        let kind = self.plan.content.kind;
        let stamp = Stamp {
            run: self.plan.run,
            publisher: peer.number as u32,
            number: peer.sent as u32,
            due,
        };
        self.payload.clear();
        stamp.write(kind, &mut self.payload);
        self.payload.extend_from_slice(&self.filler);
        let mut compressed = false;
        if let Some(agreed) = peer
            .deflate
            .filter(|_| self.payload.len() >= self.plan.deflate.threshold)
        {
            let made = self
                .compressor
                .take()
                .filter(|(parameters, _)| *parameters == agreed);
            let (_, compressor) = self
                .compressor
                .insert(made.unwrap_or_else(|| (agreed, compressor(agreed, &self.plan.deflate))));
            self.message.clear();
            compressed = compressor
                .compress(&self.payload, true, &mut self.message)
                .is_ok();
        }
        let payload = if compressed { &self.message } else { &self.payload };
        out.write(|bytes| write_frame(kind, payload, compressed, bytes));
    }

    /// When the next message of a publisher is due; `None` if it has to wait.
    fn is_due(&self, peer: &Peer, at: Moment) -> Option<Moment> {
        match &self.pace {
            Some(pace) => pace.due_if(peer.place, peer.sent, at, self.times.to),
            None if at >= self.times.to => None,
            None => {
                let complete = self
                    .deliveries
                    .complete(peer.number)
                    .saturating_add(peer.given_up);
                (peer.sent < complete.saturating_add(self.plan.window)).then_some(at)
            }
        }
    }
}

/// A visible character instead of one that controls something.
const fn visible(byte: u8) -> u8 {
    match byte {
        b' '..=b'~' => byte,
        _ => b'.',
    }
}

impl Scenario for Broadcast {
    type Peer = Peer;

    fn opened(&mut self, peer: &mut Peer, place: usize, deflate: Option<Parameters>) -> Result<(), Failure> {
        let number = self.first + place;
        let tracks = if self.plan.subscribes(number) {
            self.plan.publishers_of(self.plan.topic(number)).count()
        } else {
            0
        };
        *peer = Peer {
            number,
            place,
            is_open: true,
            deflate,
            tracks: vec![Track::default(); tracks],
            ..Peer::default()
        };
        Ok(())
    }

    fn message(&mut self, peer: &mut Peer, message: Message<'_>, at: Moment, tally: &mut Tally) {
        if peer.tracks.is_empty() {
            // What a publisher hears of others.
            return;
        }
        let plan = &self.plan;
        let stamp = Stamp::read(message).filter(|stamp| stamp.run == plan.run);
        let stamp = stamp.filter(|stamp| plan.hears(peer.number, stamp.publisher as usize));
        let Some(stamp) = stamp.filter(|stamp| (stamp.publisher as usize) < plan.publishers) else {
            // Before it begins there may be greetings.
            self.foreign += u64::from(at >= self.times.begin);
            return;
        };
        let publisher = stamp.publisher as usize;
        let payload = message.as_bytes();
        if message.kind() != plan.content.kind
            || payload.get(smallest(plan.content.kind)..) != Some(&self.filler)
        {
            tally.counted.wrong += 1;
        }
        tally.total.received += 1;
        if self.times.counts(at) {
            tally.counted.received += 1;
            tally.counted.payload_received += payload.len() as u64;
            tally.received += 1;
        }
        if self.times.counts(stamp.due) {
            record(&mut tally.latencies, stamp.due, at);
        }
        if peer.tracks[plan.place_in_topic(publisher)].note(stamp.number.into()) {
            self.deliveries.add(publisher, self.thread);
        }
    }

    fn fill(&mut self, peer: &mut Peer, out: &mut Out<'_>, at: Moment, tally: &mut Tally) {
        if self.plan.publisher(peer.number).is_none() || !peer.is_open || at < self.times.begin {
            return;
        }
        if self.pace.is_none() && at >= peer.sent_at.saturating_add(PATIENCE) {
            // Some of it is lost: as if it had come.
            let complete = self.deliveries.complete(peer.number);
            peer.given_up = peer.sent.saturating_sub(complete);
        }
        while out.has_room()
            && let Some(due) = self.is_due(peer, at)
        {
            self.publish(peer, due, out);
            peer.sent += 1;
            peer.sent_at = at;
            self.published[peer.place] = peer.sent;
            tally.total.sent += 1;
            if self.times.counts(due) {
                tally.counted.sent += 1;
                tally.counted.payload_sent += self.payload.len() as u64;
                if self.pace.is_some() {
                    record(&mut tally.lateness, due, at);
                }
            }
        }
    }

    fn ended(&mut self, peer: &mut Peer, _: usize, _: Moment, _: &mut Tally) {
        if !std::mem::take(&mut peer.is_open) || peer.tracks.is_empty() {
            return;
        }
        let publishers = self.plan.publishers_of(self.plan.topic(peer.number));
        self.seen.push(Seen {
            number: peer.number,
            tracks: publishers.zip(peer.tracks.drain(..)).collect(),
        });
    }

    fn schedule(&mut self, times: Times) {
        let begins = self.times.begin == NEVER && times.begin != NEVER;
        self.times = times;
        if !begins {
            return;
        }
        match self.plan.rate {
            Some(rate) if self.publishers > 0 => {
                let share = self.publishers as f64 / self.plan.publishers as f64;
                self.pace = Some(Pace::new(times.begin, rate * share, self.publishers));
            }
            None if self.publishers > 0 => self.look = times.begin + PATIENCE,
            _ => {}
        }
    }

    fn due(&mut self, at: Moment) -> Option<(usize, Moment)> {
        if let Some(pace) = &self.pace {
            let due = pace.due(self.next);
            if due > at || due >= self.times.to {
                return None;
            }
            let place = pace.turn_of(self.next);
            self.next += 1;
            return Some((place, due));
        }
        if self.ready.is_empty() {
            let looks = self.look <= at;
            if looks {
                self.look = at + PATIENCE;
            }
            if looks || self.deliveries.ready[self.thread].swap(false, Ordering::AcqRel) {
                self.ready.extend(0..self.publishers);
            }
        }
        self.ready.pop_front().map(|place| (place, at))
    }

    fn next_due(&self) -> Moment {
        match &self.pace {
            Some(pace) if pace.due(self.next) < self.times.to => pace.due(self.next),
            // What completes a message on this thread came in the turn before.
            None if self.deliveries.ready[self.thread].load(Ordering::Acquire) => 0,
            None if self.look < self.times.to => self.look,
            _ => NEVER,
        }
    }

    fn is_idle(&self, peer: &Peer) -> bool {
        match self.plan.publisher(peer.number) {
            Some(publisher) if peer.is_open => self.deliveries.complete(publisher) >= peer.sent,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::options::PayloadKind;

    fn plan(publishers: usize, subscribers: usize, topics: usize, shared: bool) -> BroadcastPlan {
        BroadcastPlan {
            content: Content {
                kind: MessageKind::Text,
                payload: PayloadKind::Random,
                size: 64,
            },
            publishers,
            subscribers,
            shared,
            excludes_sender: false,
            topics,
            window: 1,
            rate: None,
            run: 7,
            deflate: Deflate::default(),
        }
    }

    #[test]
    fn stamps_are_read_back() {
        let stamp = Stamp {
            run: 1,
            publisher: 2,
            number: 3,
            due: u64::MAX - 4,
        };
        let mut bytes = Vec::new();
        stamp.write(MessageKind::Binary, &mut bytes);
        bytes.push(0xff);
        assert_eq!(Stamp::read(Message::Binary(&bytes)), Some(stamp));
        let mut bytes = Vec::new();
        stamp.write(MessageKind::Text, &mut bytes);
        let text = String::from_utf8(bytes).unwrap() + "ä";
        assert_eq!(Stamp::read(Message::Text(&text)), Some(stamp));
        for message in [
            Message::Text(""),
            Message::Text(&"ä".repeat(20)),
            Message::Binary(&[0; 19]),
        ] {
            assert_eq!(Stamp::read(message), None);
        }
    }

    #[test]
    fn an_audience_is_who_is_on_the_same_topic() {
        assert_eq!(plan(1, 1000, 1, false).audience(0), 1000);
        let topics = plan(3, 10, 2, false);
        let audiences: Vec<_> = (0..3).map(|publisher| topics.audience(publisher)).collect();
        assert_eq!(audiences, [5, 5, 5]);
        assert_eq!(plan(5, 5, 1, true).audience(4), 5);
        let without = BroadcastPlan {
            excludes_sender: true,
            ..plan(5, 5, 1, true)
        };
        assert_eq!(without.audience(4), 4);
    }

    #[test]
    fn a_message_is_everywhere_when_all_of_its_audience_have_it() {
        let plan = plan(2, 3, 1, false);
        let deliveries = Deliveries::new(&plan, vec![3, 5]);
        assert_eq!((deliveries.thread_of(2), deliveries.thread_of(3)), (0, 1));
        for _ in 0..5 {
            deliveries.add(1, 1);
        }
        assert_eq!((deliveries.complete(0), deliveries.complete(1)), (0, 1));
        assert!(deliveries.ready[0].load(Ordering::Relaxed));
        deliveries.add(1, 1);
        assert_eq!(deliveries.complete(1), 2);
    }
}
