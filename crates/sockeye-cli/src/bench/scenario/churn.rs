//! Connections that come and go.

use std::collections::VecDeque;

use sockeye_proto::Message;
use sockeye_proto::deflate::Parameters;

use super::{Leave, Out, Scenario};
use crate::bench::clock::{Moment, NEVER, Pace, Times};
use crate::bench::tally::Tally;
use crate::error::Failure;

/// A thread's part of the scenario `churn`.
#[derive(Debug)]
pub(in crate::bench) struct Churn {
    plan: ChurnPlan,
    /// Connections a second of this thread.
    rate: Option<f64>,
    times: Times,
    pace: Option<Pace>,
    /// Of the schedule, the connection that is due next.
    next: u64,
    /// Places without a connection.
    free: Vec<usize>,
    /// Places whose connection could not be opened, and until when they rest: a server that is gone is not stormed.
    resting: VecDeque<(Moment, usize)>,
}

/// How long a place rests, in nanoseconds.
const REST: u64 = 100_000_000;

/// How connections come and go.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct ChurnPlan {
    /// Connections a second of all threads; without it the next is opened when one is gone.
    pub(in crate::bench) rate: Option<f64>,
    pub(in crate::bench) leave: Leave,
}

/// What is remembered of a connection.
#[derive(Debug, Default)]
pub(in crate::bench) struct Peer {
    is_open: bool,
}

impl Churn {
    /// The part of a thread that has `connections` out of `all`.
    pub(in crate::bench) fn new(plan: ChurnPlan, connections: usize, all: usize) -> Self {
        Self {
            rate: plan.rate.map(|rate| rate * connections as f64 / all as f64),
            plan,
            times: Times::UNKNOWN,
            pace: None,
            next: 0,
            free: (0..connections).rev().collect(),
            resting: VecDeque::new(),
        }
    }
}

impl Scenario for Churn {
    type Peer = Peer;

    const CHURNS: bool = true;

    fn opened(&mut self, peer: &mut Peer, _: usize, _: Option<Parameters>) -> Result<(), Failure> {
        peer.is_open = true;
        Ok(())
    }

    fn message(&mut self, _: &mut Peer, _: Message<'_>, _: Moment, _: &mut Tally) {}

    fn fill(&mut self, _: &mut Peer, _: &mut Out<'_>, _: Moment, _: &mut Tally) {}

    fn ended(&mut self, peer: &mut Peer, place: usize, at: Moment, _: &mut Tally) {
        if std::mem::take(&mut peer.is_open) {
            self.free.push(place);
        } else {
            self.resting.push_back((at + REST, place));
        }
    }

    fn schedule(&mut self, times: Times) {
        let begins = self.times.begin == NEVER && times.begin != NEVER;
        self.times = times;
        if let Some(rate) = self.rate.filter(|_| begins) {
            self.pace = Some(Pace::new(times.begin, rate, 1));
        }
    }

    fn due(&mut self, at: Moment) -> Option<(usize, Moment)> {
        while let Some(&(until, place)) = self.resting.front()
            && until <= at
        {
            self.resting.pop_front();
            self.free.push(place);
        }
        let due = match &self.pace {
            None => at,
            Some(pace) => pace.due(self.next),
        };
        if due > at || !self.times.flows(at) {
            return None;
        }
        let place = self.free.pop()?;
        self.next += 1;
        Some((place, due))
    }

    fn next_due(&self) -> Moment {
        let rested = self.resting.front().map_or(NEVER, |(until, _)| *until);
        // While no place is free, only the end of a connection or of a rest makes one.
        match &self.pace {
            Some(pace) if !self.free.is_empty() && pace.due(self.next) < self.times.to => {
                pace.due(self.next).min(rested)
            }
            _ if rested < self.times.to => rested,
            _ => NEVER,
        }
    }

    fn is_idle(&self, peer: &Peer) -> bool {
        !peer.is_open
    }

    fn leave(&self, peer: &Peer) -> Option<Leave> {
        peer.is_open.then_some(self.plan.leave)
    }
}
