//! Messages that come back.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use sockeye_proto::Message;
use sockeye_proto::deflate::Parameters;

use super::{Out, Scenario};
use crate::bench::clock::{Moment, NEVER, Pace, Times};
use crate::bench::frames::Frames;
use crate::bench::tally::{Tally, record};
use crate::error::Failure;

/// A thread's part of the scenario `echo`.
#[derive(Debug)]
pub(in crate::bench) struct Echo {
    frames: Arc<Frames>,
    checks: bool,
    window: usize,
    /// Messages a second of this thread; without it the next message goes out when one is back.
    rate: Option<f64>,
    /// By which part of an interval the threads follow each other.
    offset: f64,
    connections: usize,
    times: Times,
    pace: Option<Pace>,
    /// Of the schedule, the message that is due next.
    next: u64,
}

/// What is remembered of a connection.
#[derive(Debug, Default)]
pub(in crate::bench) struct Peer {
    frames: Option<Arc<[Bytes]>>,
    place: usize,
    /// How many were sent, or were due and will not be.
    sent: u64,
    /// How many came back.
    received: u64,
    /// When those on the way were due, and when they left.
    under_way: VecDeque<(Moment, Moment)>,
}

impl Peer {
    pub(super) fn has_sent_nothing(&self) -> bool {
        self.sent == 0
    }

    /// When the message was due whose answer comes next.
    pub(super) fn oldest(&self) -> Option<Moment> {
        self.under_way.front().map(|(due, _)| *due)
    }
}

/// How one thread's part is made.
#[derive(Debug, Clone)]
pub(in crate::bench) struct EchoPlan {
    pub(in crate::bench) frames: Arc<Frames>,
    pub(in crate::bench) checks: bool,
    pub(in crate::bench) window: usize,
    /// Of all threads.
    pub(in crate::bench) rate: Option<f64>,
}

impl Echo {
    /// The part of a thread that has `connections` out of `all`, the first with the number `first`.
    pub(in crate::bench) fn new(plan: &EchoPlan, first: usize, connections: usize, all: usize) -> Self {
        let share = connections as f64 / all as f64;
        Self {
            frames: Arc::clone(&plan.frames),
            checks: plan.checks,
            window: plan.window,
            rate: plan.rate.map(|rate| rate * share),
            offset: first as f64 / all as f64,
            connections,
            times: Times::UNKNOWN,
            pace: None,
            next: 0,
        }
    }

    /// The message that this connection sends or awaits at this place of its series. Connections begin at different
    /// places, so that an answer to another one is found out.
    fn at(&self, peer: &Peer, number: u64) -> usize {
        let place = number + peer.place as u64 * 7;
        (place % self.frames.payloads().len() as u64) as usize
    }
}

impl Scenario for Echo {
    type Peer = Peer;

    fn opened(&mut self, peer: &mut Peer, place: usize, deflate: Option<Parameters>) -> Result<(), Failure> {
        *peer = Peer {
            frames: Some(self.frames.of(deflate)?),
            place,
            ..Peer::default()
        };
        Ok(())
    }

    fn message(&mut self, peer: &mut Peer, message: Message<'_>, at: Moment, tally: &mut Tally) {
        if at < self.times.begin {
            // A greeting.
            return;
        }
        tally.total.received += 1;
        if self.times.counts(at) {
            tally.counted.received += 1;
            tally.counted.payload_received += message.as_bytes().len() as u64;
            tally.received += 1;
        }
        let Some((due, sent)) = peer.under_way.pop_front() else {
            // It answers nothing.
            tally.counted.wrong += 1;
            return;
        };
        let expected = &self.frames.payloads()[self.at(peer, peer.received)];
        peer.received += 1;
        if self.checks && !self.frames.content().is(&message, expected) {
            tally.counted.wrong += 1;
        }
        if self.times.counts(due) {
            record(&mut tally.latencies, due, at);
            if self.pace.is_some() {
                record(&mut tally.service, sent, at);
            }
        }
    }

    fn fill(&mut self, peer: &mut Peer, out: &mut Out<'_>, at: Moment, tally: &mut Tally) {
        if at < self.times.begin {
            return;
        }
        let Some(frames) = peer.frames.clone() else {
            return;
        };
        while peer.under_way.len() < self.window && out.has_room() {
            let due = match &self.pace {
                Some(pace) => pace.due_if(peer.place, peer.sent, at, self.times.to),
                None => (at < self.times.to).then_some(at),
            };
            let Some(due) = due else {
                return;
            };
            out.frame(&frames[self.at(peer, peer.sent)]);
            peer.sent += 1;
            peer.under_way.push_back((due, at));
            tally.total.sent += 1;
            if self.times.counts(due) {
                tally.counted.sent += 1;
                tally.counted.payload_sent += self.frames.content().size as u64;
                if self.pace.is_some() {
                    record(&mut tally.lateness, due, at);
                }
            }
        }
    }

    fn ended(&mut self, peer: &mut Peer, _: usize, _: Moment, tally: &mut Tally) {
        let unanswered = peer
            .under_way
            .iter()
            .filter(|(due, _)| self.times.counts(*due))
            .count();
        tally.counted.unanswered += unanswered as u64;
        peer.under_way.clear();
        if let Some(pace) = &self.pace {
            while pace.due_of(peer.place, peer.sent) < self.times.to {
                tally.counted.unsent += u64::from(self.times.counts(pace.due_of(peer.place, peer.sent)));
                peer.sent += 1;
            }
        }
        peer.frames = None;
    }

    fn schedule(&mut self, times: Times) {
        let begins = self.times.begin == NEVER && times.begin != NEVER;
        self.times = times;
        if let Some(rate) = self.rate.filter(|_| begins) {
            let start = times.begin + (1e9 / rate * self.offset) as u64;
            self.pace = Some(Pace::new(start, rate, self.connections));
        }
    }

    fn due(&mut self, at: Moment) -> Option<(usize, Moment)> {
        let pace = self.pace.as_ref()?;
        let due = pace.due(self.next);
        if due > at || due >= self.times.to {
            return None;
        }
        let place = pace.turn_of(self.next);
        self.next += 1;
        Some((place, due))
    }

    fn next_due(&self) -> Moment {
        match &self.pace {
            Some(pace) if pace.due(self.next) < self.times.to => pace.due(self.next),
            _ => NEVER,
        }
    }

    fn is_idle(&self, peer: &Peer) -> bool {
        peer.under_way.is_empty()
    }
}
