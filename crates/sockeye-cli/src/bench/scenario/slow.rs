//! Readers that do not keep up, beside others that do.

use std::sync::Arc;

use bytes::Bytes;
use sockeye_proto::Message;
use sockeye_proto::deflate::Parameters;

use super::echo::{self, Echo};
use super::{Out, Scenario};
use crate::bench::clock::{Moment, NEVER, Times};
use crate::bench::frames::Frames;
use crate::bench::tally::{Latencies, Tally, latencies, record};
use crate::error::Failure;

/// A thread's part of the scenario `slow-reader`: echoes, on some connections without reading what comes back.
#[derive(Debug)]
pub(in crate::bench) struct SlowReader {
    plan: SlowPlan,
    /// What the other connections do.
    others: Echo,
    /// What the slow ones send, without an end.
    frames: Arc<Frames>,
    times: Times,
    /// How many connections of this thread are slow: its first ones.
    count: usize,
    /// When slow readers may read again.
    next: Moment,
    /// Those that have to be told.
    left: usize,
    /// Latencies of the others without and with slow readers beside them.
    pub(in crate::bench) before: Latencies,
    pub(in crate::bench) during: Latencies,
    pub(in crate::bench) facts: Facts,
}

/// How slow.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct SlowPlan {
    /// How many connections are slow, the first ones of all.
    pub(in crate::bench) slow: usize,
    /// Bytes of payload that each of them reads in a second.
    pub(in crate::bench) read_rate: u64,
}

/// What became of the slow ones.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::bench) struct Facts {
    pub(in crate::bench) sent: u64,
    pub(in crate::bench) read: u64,
    /// Those that the server has put an end to.
    pub(in crate::bench) ended: u64,
}

/// What is remembered of a connection.
#[derive(Debug, Default)]
pub(in crate::bench) struct Peer {
    echo: echo::Peer,
    /// What it sends, if it is slow.
    frames: Option<Arc<[Bytes]>>,
    sent: usize,
    is_slow: bool,
    /// Payload that it read, in bytes.
    read: u64,
    /// Whether it may read more at present.
    reads: bool,
    is_open: bool,
}

/// How often slow readers look at how much they may read.
const LOOK: u64 = 50_000_000;

impl SlowReader {
    /// The part of a thread whose connections begin with the number `first`; `others` is what those do that are not slow.
    pub(in crate::bench) fn new(
        plan: SlowPlan,
        frames: Arc<Frames>,
        others: Echo,
        first: usize,
        connections: usize,
    ) -> Self {
        Self {
            plan,
            others,
            frames,
            times: Times::UNKNOWN,
            count: plan.slow.saturating_sub(first).min(connections),
            next: NEVER,
            left: 0,
            before: latencies(),
            during: latencies(),
            facts: Facts::default(),
        }
    }

    /// When the slow ones begin: in the middle of the time that counts.
    fn turning(&self) -> Moment {
        match self.times.to {
            NEVER => NEVER,
            to => self.times.from + to.saturating_sub(self.times.from) / 2,
        }
    }

    /// How much a slow one may have read until then.
    fn allowed(&self, at: Moment) -> u64 {
        let seconds = at.saturating_sub(self.turning()) as f64 / 1e9;
        (self.plan.read_rate as f64 * seconds) as u64
    }
}

impl Scenario for SlowReader {
    type Peer = Peer;

    fn opened(&mut self, peer: &mut Peer, place: usize, deflate: Option<Parameters>) -> Result<(), Failure> {
        peer.is_open = true;
        peer.reads = true;
        peer.is_slow = place < self.count;
        if peer.is_slow {
            peer.frames = Some(self.frames.of(deflate)?);
            Ok(())
        } else {
            self.others.opened(&mut peer.echo, place, deflate)
        }
    }

    fn message(&mut self, peer: &mut Peer, message: Message<'_>, at: Moment, tally: &mut Tally) {
        if peer.is_slow {
            let length = message.as_bytes().len() as u64;
            peer.read += length;
            self.facts.read += length;
            return;
        }
        if let Some(due) = peer.echo.oldest().filter(|due| self.times.counts(*due)) {
            let is_before = due < self.turning();
            let latencies = if is_before {
                &mut self.before
            } else {
                &mut self.during
            };
            record(latencies, due, at);
        }
        self.others.message(&mut peer.echo, message, at, tally);
    }

    fn fill(&mut self, peer: &mut Peer, out: &mut Out<'_>, at: Moment, tally: &mut Tally) {
        let Some(frames) = &peer.frames else {
            return self.others.fill(&mut peer.echo, out, at, tally);
        };
        if at < self.turning() || !self.times.flows(at) {
            return;
        }
        peer.reads = self.plan.read_rate > 0 && peer.read < self.allowed(at);
        while out.has_room() {
            out.frame(&frames[peer.sent % frames.len()]);
            peer.sent += 1;
            self.facts.sent += self.frames.content().size as u64;
        }
    }

    fn ended(&mut self, peer: &mut Peer, place: usize, at: Moment, tally: &mut Tally) {
        if !peer.is_slow {
            return self.others.ended(&mut peer.echo, place, at, tally);
        }
        if std::mem::take(&mut peer.is_open) && at < self.times.to {
            self.facts.ended += 1;
        }
    }

    fn schedule(&mut self, times: Times) {
        self.times = times;
        self.others.schedule(times);
        self.next = if self.count > 0 { self.turning() } else { NEVER };
    }

    fn due(&mut self, at: Moment) -> Option<(usize, Moment)> {
        if self.left == 0 && self.next <= at && at < self.times.to {
            self.left = self.count;
            self.next = at + LOOK;
        }
        self.left = self.left.checked_sub(1)?;
        Some((self.left, at))
    }

    fn next_due(&self) -> Moment {
        if self.next < self.times.to {
            self.next
        } else {
            NEVER
        }
    }

    fn is_idle(&self, peer: &Peer) -> bool {
        peer.is_slow || self.others.is_idle(&peer.echo)
    }

    fn reads(&self, peer: &Peer) -> bool {
        !peer.is_slow || peer.reads
    }

    fn provokes(&self, peer: &Peer) -> bool {
        peer.is_slow
    }
}
