//! The connections of a thread.
//!
//! `dials` says when they are opened and given up, `traffic` moves their messages, and `owner` hears from the
//! driver. Each is a `client`, on a `socket` and perhaps `tls`.

mod client;
mod dials;
mod owner;
mod socket;
mod tls;
mod traffic;

use std::ops::Range;
use std::sync::Arc;

use sockeye::driver::{Driver, Key, Outbox, OutputPool};
use sockeye::proto::deflate::Pool;
use sockeye_proto::{State, Workspace};

use super::report::Agreed;
use crate::bench::clock::{Clock, Moment, NEVER, Times};
use crate::bench::plan::Plan;
use crate::bench::scenario::Scenario;
use crate::bench::tally::Tally;
use crate::bench::trouble::{Kind, Trouble};
use client::{Client, Opening, Stage};
use dials::Dials;
use tls::Encryption;

/// The connections of a thread, each in its place, and the scenario that says what they do.
pub(super) struct Connections<D: Driver, S: Scenario> {
    slots: Vec<Slot<D::Socket, S::Peer>>,
    /// The number of the first.
    first: usize,
    common: Common,
    scenario: S,
    dials: Dials,
    /// Whether traffic has begun.
    flows: bool,
    /// Whether all are being closed.
    is_closing: bool,
}

/// Where a connection is, or was.
struct Slot<S, P> {
    generation: u32,
    client: Option<Client<S>>,
    peer: P,
}

/// What a thread has besides its connections.
struct Common {
    plan: Arc<Plan>,
    clock: Arc<Clock>,
    times: Times,
    workspace: Workspace,
    outputs: OutputPool,
    deflate_pool: Arc<Pool>,
    tally: Tally,
    /// Control frames that are to be sent.
    owed: Vec<u8>,
    /// What is to be encrypted.
    clear: Vec<u8>,
    agreed: Option<Agreed>,
}

impl<D: Driver, S: Scenario> Connections<D, S> {
    /// Those of these numbers, which are opened from now on.
    pub(super) fn new(plan: &Arc<Plan>, clock: &Arc<Clock>, scenario: S, numbers: Range<usize>) -> Self {
        let slot = |_| Slot {
            generation: 0,
            client: None,
            peer: S::Peer::default(),
        };
        // A scenario that opens connections all the time says itself when.
        let to_open = if S::CHURNS { 0..0 } else { numbers.clone() };
        Self {
            first: numbers.start,
            slots: numbers.map(slot).collect(),
            scenario,
            dials: Dials::new(plan, clock.now(), to_open),
            flows: false,
            is_closing: false,
            common: Common {
                plan: Arc::clone(plan),
                clock: Arc::clone(clock),
                times: Times::UNKNOWN,
                workspace: Workspace::new(),
                outputs: OutputPool::default(),
                deflate_pool: Arc::default(),
                tally: Tally::new(),
                owed: Vec::new(),
                clear: Vec::new(),
                agreed: None,
            },
        }
    }

    /// Follows the times, which may have changed.
    pub(super) fn schedule(&mut self, times: Times) {
        if times != self.common.times {
            self.common.times = times;
            self.scenario.schedule(times);
        }
    }

    /// Does what is due.
    pub(super) fn act(&mut self, driver: &mut D, at: Moment) {
        if !self.flows && at >= self.common.times.begin {
            self.flows = true;
            for place in 0..self.slots.len() {
                self.flush(driver, place, at);
            }
        }
        while let Some((due, place)) = self.dials.next_due(at) {
            // Without a ramp all are due at once, and waiting for a turn is no fault of the server's.
            let begun = if self.common.plan.ramp.is_zero() { at } else { due };
            self.dial(driver, place, begun);
        }
        while let Some(key) = self.dials.next_overdue(at) {
            self.give_up(driver, key);
        }
        while let Some((place, due)) = self.scenario.due(at) {
            if S::CHURNS && self.slots[place].client.is_none() {
                self.dial(driver, place, due);
            } else {
                self.flush(driver, place, at);
            }
        }
    }

    /// When something is due next.
    pub(super) fn next_moment(&self) -> Moment {
        self.scenario.next_due().min(self.dials.next_moment())
    }

    /// Whether what the scenario does is due by the clock.
    pub(super) fn are_paced(&self) -> bool {
        self.scenario.next_due() != NEVER
    }

    /// Whether all are open or failed.
    pub(super) fn are_settled(&self) -> bool {
        self.dials.are_done()
    }

    /// Whether nothing is on the way any more.
    pub(super) fn are_idle(&self) -> bool {
        let is_idle = |slot: &Slot<_, _>| slot.client.is_none() || self.scenario.is_idle(&slot.peer);
        self.slots.iter().all(is_idle)
    }

    /// Whether there are none any more.
    pub(super) fn are_gone(&self) -> bool {
        self.slots.iter().all(|slot| slot.client.is_none())
    }

    /// What they have counted.
    pub(super) fn tally(&mut self) -> &mut Tally {
        &mut self.common.tally
    }

    /// What they have counted and agreed on, and the scenario.
    pub(super) fn into_findings(self) -> (Tally, Option<Agreed>, S) {
        (self.common.tally, self.common.agreed, self.scenario)
    }

    /// Begins the closing handshakes; what is not open is given up.
    pub(super) fn close_all(&mut self, driver: &mut D, at: Moment) {
        self.is_closing = true;
        self.dials.clear();
        let now = self.common.clock.instant(at);
        for place in 0..self.slots.len() {
            let slot = &mut self.slots[place];
            self.scenario
                .ended(&mut slot.peer, place, at, &mut self.common.tally);
            let Some(client) = &mut slot.client else {
                continue;
            };
            if client.close(now, &mut self.common.owed) {
                self.flush(driver, place, at);
            } else {
                self.end(driver, place, None);
            }
        }
    }

    /// Drops those that are left.
    pub(super) fn drop_all(&mut self, driver: &mut D) {
        for slot in &mut self.slots {
            if let Some(client) = slot.client.take() {
                driver.close(client.socket);
            }
        }
    }

    fn dial(&mut self, driver: &mut D, place: usize, begun: Moment) {
        let slot = &mut self.slots[place];
        slot.generation = slot.generation.wrapping_add(1);
        let key = Key::new(place as u32, slot.generation);
        let result = self.common.begin(driver, self.first + place, key, begun);
        let at = self.common.clock.now();
        match result {
            Ok(client) => {
                slot.client = Some(client);
                self.dials.begun(key, at);
            }
            Err(trouble) => {
                self.common.tally.failed(trouble);
                self.scenario
                    .ended(&mut slot.peer, place, at, &mut self.common.tally);
            }
        }
    }

    /// Ends what took too long to open or to close.
    fn give_up(&mut self, driver: &mut D, key: Key) {
        let Some(client) = self.client(key) else {
            return;
        };
        let trouble = match &client.stage {
            Stage::Open(connection) if connection.state() == State::Open => return,
            Stage::Open(_) => Trouble::new(Kind::Timeout, "the server did not end a closed connection"),
            Stage::Refused(refusal) => refusal.trouble(),
            Stage::Opening(_) => {
                let limit = self.common.plan.connect_timeout;
                Trouble::new(Kind::Timeout, format!("not open after {limit:?}"))
            }
        };
        self.end(driver, key.index(), Some(trouble));
    }

    fn client(&mut self, key: Key) -> Option<&mut Client<D::Socket>> {
        let slot = self.slots.get_mut(key.index())?;
        slot.client.as_mut().filter(|client| client.key == key)
    }

    /// Ends a connection: for a reason, or because it has done its part.
    fn end(&mut self, driver: &mut D, place: usize, trouble: Option<Trouble>) {
        self.end_by(driver, place, trouble, D::close);
    }

    fn end_by(
        &mut self,
        driver: &mut D,
        place: usize,
        trouble: Option<Trouble>,
        close: fn(&mut D, D::Socket),
    ) {
        let slot = &mut self.slots[place];
        let Some(client) = slot.client.take() else {
            return;
        };
        close(driver, client.socket);
        let was_open = matches!(client.stage, Stage::Open(_));
        if !was_open {
            self.dials.done();
        }
        // While we close, the other side may end as it likes.
        if self.is_closing {
            return;
        }
        let tally = &mut self.common.tally;
        if let Some(trouble) = trouble {
            if was_open && self.scenario.provokes(&slot.peer) {
                tally.troubles.add(trouble);
            } else if was_open {
                tally.lost(trouble);
            } else {
                tally.failed(trouble);
            }
        }
        let at = self.common.clock.now();
        self.scenario.ended(&mut slot.peer, place, at, tally);
    }
}

impl Common {
    /// Begins to open the connection with this number.
    fn begin<D: Driver>(
        &self,
        driver: &mut D,
        number: usize,
        key: Key,
        begun: Moment,
    ) -> Result<Client<D::Socket>, Trouble> {
        let request = self
            .plan
            .request(number, rand::random())
            .map_err(|failure| Trouble::new(Kind::Handshake, failure.to_string()))?;
        let encryption = self.plan.tls.as_ref().map(Encryption::new).transpose();
        let encryption = encryption.map_err(|error| Trouble::new(Kind::Tls, error.to_string()))?;
        let (socket, address) = socket::open(&self.plan, number)?;
        let socket = driver
            .connect(socket, &address, key)
            .map_err(|error| socket::trouble(&error))?;
        Ok(Client {
            key,
            socket,
            outbox: Outbox::default(),
            encryption: encryption.map(Box::new),
            stage: Stage::Opening(Box::new(Opening::new(request))),
            begun,
            reads: true,
        })
    }
}
