//! A thread of the load: a driver, its connections, and what a scenario does with them.

mod client;
mod socket;
mod tls;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sockeye::driver::{Driver, Key, OutputPool, Owner};
use sockeye::proto::deflate::Pool;
use sockeye_proto::{State, Workspace};
use tokio::sync::mpsc::UnboundedSender;

use super::clock::{Clock, Moment, NEVER, Times, nanos};
use super::content::Noise;
use super::cpu::CpuTime;
use super::plan::Plan;
use super::scenario::{Leave, Out, Scenario};
use super::tally::{Counted, Interval, Latencies, Tally, Totals, record};
use super::trouble::{Kind, Trouble, Troubles};
use client::{Client, Opening, Outcome, Stage};
use tls::Encryption;

/// What a thread tells the coordinator.
#[derive(Debug)]
pub(super) enum Report<S> {
    /// All connections are open or failed.
    Settled,
    Interval(Interval),
    /// It has done its part, or could not.
    Done(Box<Part<S>>),
    Broken(String),
}

/// What a thread found out in all.
#[derive(Debug)]
pub(super) struct Part<S> {
    pub(super) totals: Totals,
    pub(super) counted: Counted,
    pub(super) service: Latencies,
    pub(super) lateness: Latencies,
    pub(super) opening: Latencies,
    pub(super) troubles: Troubles,
    /// The CPU time of the thread while things counted.
    pub(super) cpu: CpuTime,
    /// The part of it in which it waited awake for the clock.
    pub(super) waited: Duration,
    /// What was agreed on with the first server that answered: subprotocol and whether messages are compressed.
    pub(super) agreed: Option<Agreed>,
    pub(super) scenario: S,
}

/// What a handshake agreed on, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agreed {
    pub(super) subprotocol: Option<String>,
    pub(super) compression: bool,
}

/// Numbers of a thread that others may look at while it runs.
#[derive(Debug, Default)]
pub(super) struct Meter {
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) lost: AtomicU64,
}

/// What a thread has besides its connections.
struct Common {
    plan: Arc<Plan>,
    clock: Arc<Clock>,
    times: Times,
    /// Length of an interval.
    interval: u64,
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

/// Where a connection is, or was.
struct Slot<S, P> {
    generation: u32,
    client: Option<Client<S>>,
    peer: P,
}

/// How far a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Connections are being opened.
    Connecting,
    /// All were tried.
    Running,
    /// Nothing more is sent; answers are awaited until then.
    Draining(Moment),
    /// Connections are being closed, until then.
    Closing(Moment),
    Done,
}

/// A thread of the load, but for its driver.
pub(super) struct Load<D: Driver, S: Scenario> {
    slots: Vec<Slot<D::Socket, S::Peer>>,
    common: Common,
    scenario: S,
    mode: Mode,
    /// When connections are due to be opened, the next one last.
    dials: Vec<(Moment, usize)>,
    /// How many are being opened, and may be.
    opening: usize,
    most_opening: usize,
    /// When those that are being opened are given up.
    deadlines: VecDeque<(Moment, Key)>,
    /// Open connections.
    open: usize,
    first: usize,
    /// Whether traffic has begun.
    flows: bool,
    /// Whether nothing is on the way any more, at the end.
    is_idle: bool,
    meter: Arc<Meter>,
    reports: UnboundedSender<Report<S>>,
    /// The interval that runs.
    index: usize,
    cpu: Option<CpuTime>,
    spent: CpuTime,
    /// CPU time that went into waiting for the clock, and the part of it while things counted.
    waited: Duration,
    spent_waiting: Duration,
}

/// What a thread is made of.
pub(super) struct Task<S> {
    pub(super) plan: Arc<Plan>,
    pub(super) clock: Arc<Clock>,
    pub(super) scenario: S,
    /// The number of its first connection, and how many it has.
    pub(super) first: usize,
    pub(super) connections: usize,
    pub(super) interval: Duration,
    pub(super) meter: Arc<Meter>,
    pub(super) reports: UnboundedSender<Report<S>>,
}

/// By how much the system may wake a thread too late.
const SLACK: Duration = Duration::from_micros(200);

/// How often a thread that has nothing to wait for looks whether others do, in nanoseconds.
const OTHERS: u64 = 5_000_000;

/// How long closing handshakes may take, and what is on the way after an interrupt, in nanoseconds.
const CLOSING: u64 = 1_000_000_000;

impl<D: Driver, S: Scenario> Load<D, S> {
    pub(super) fn new(task: Task<S>) -> Self {
        let Task { plan, clock, .. } = task;
        let begun = clock.now();
        let mut noise = Noise::new(begun ^ task.first as u64);
        let share = nanos(plan.ramp) as f64 / plan.connections as f64;
        let mut dials: Vec<_> = (0..task.connections)
            .map(|place| {
                let turn = (task.first + place) as f64 + noise.fraction();
                (begun + (turn * share) as u64, place)
            })
            .collect();
        dials.reverse();
        if S::CHURNS {
            dials.clear();
        }
        Self {
            slots: (0..task.connections)
                .map(|_| Slot {
                    generation: 0,
                    client: None,
                    peer: S::Peer::default(),
                })
                .collect(),
            scenario: task.scenario,
            mode: Mode::Connecting,
            dials,
            opening: 0,
            most_opening: plan.connecting.div_ceil(plan.threads),
            deadlines: VecDeque::new(),
            open: 0,
            first: task.first,
            flows: false,
            is_idle: false,
            meter: task.meter,
            reports: task.reports,
            index: 0,
            cpu: None,
            spent: CpuTime::default(),
            waited: Duration::ZERO,
            spent_waiting: Duration::ZERO,
            common: Common {
                times: Times::UNKNOWN,
                interval: nanos(task.interval),
                workspace: Workspace::new(),
                outputs: OutputPool::default(),
                deflate_pool: Arc::default(),
                tally: Tally::new(),
                owed: Vec::new(),
                clear: Vec::new(),
                agreed: None,
                plan,
                clock,
            },
        }
    }

    /// Does the whole part, and tells the coordinator.
    pub(super) fn run(mut self, mut driver: D) {
        while self.mode != Mode::Done {
            let until = self.advance(&mut driver);
            if self.mode == Mode::Done {
                break;
            }
            if let Err(error) = self.turn(&mut driver, until) {
                let _ = self.reports.send(Report::Broken(error.to_string()));
                return;
            }
            self.publish();
        }
        self.finish();
    }

    /// Does what the clock asks for; gives when it asks next.
    fn advance(&mut self, driver: &mut D) -> Moment {
        let at = self.common.clock.now();
        let times = self.common.clock.times();
        if times != self.common.times {
            self.common.times = times;
            self.scenario.schedule(times);
        }
        if !self.flows && at >= times.begin {
            self.flows = true;
            self.flush_all(driver, at);
        }
        self.dial_due(driver, at);
        self.expire(driver, at);
        while let Some((place, due)) = self.scenario.due(at) {
            if S::CHURNS && self.slots[place].client.is_none() {
                self.dial(driver, place, due);
            } else {
                self.flush(driver, place, at);
            }
        }
        self.measure(at);
        self.change_mode(driver, at);
        self.next_moment(at)
    }

    fn next_moment(&self, at: Moment) -> Moment {
        let mut next = self.scenario.next_due();
        if let Some((due, _)) = self.dials.last()
            && self.opening < self.most_opening
        {
            next = next.min(*due);
        }
        if let Some((deadline, _)) = self.deadlines.front() {
            next = next.min(*deadline);
        }
        let times = self.common.times;
        let interval_end = times
            .from
            .saturating_add(self.common.interval.saturating_mul(self.index as u64 + 1));
        let steps = [times.begin, times.from, interval_end, times.to];
        next = steps
            .into_iter()
            .filter(|step| *step > at)
            .fold(next, Moment::min);
        match self.mode {
            Mode::Draining(until) if self.is_idle => next.min(until).min(at + OTHERS),
            Mode::Draining(until) | Mode::Closing(until) => next.min(until),
            _ => next,
        }
    }

    /// Waits until something happens or the moment has come, and acts on it.
    fn turn(&mut self, driver: &mut D, until: Moment) -> io::Result<()> {
        if until == NEVER {
            return driver.turn(None, self).map(drop);
        }
        let left = Duration::from_nanos(until.saturating_sub(self.common.clock.now()));
        if self.scenario.next_due() == NEVER {
            return driver.turn(Some(left), self).map(drop);
        }
        // Systems count the time to wait in milliseconds, and give or take some. What is due sooner is waited for awake.
        let whole = left.saturating_sub(SLACK).as_millis();
        let whole = Duration::from_millis(u64::try_from(whole).unwrap_or(u64::MAX));
        if !whole.is_zero() || left.is_zero() {
            return driver.turn(Some(whole), self).map(drop);
        }
        let begun = CpuTime::whole_of_this_thread();
        if driver.turn(Some(Duration::ZERO), self)? == 0 {
            std::thread::yield_now();
            self.waited += CpuTime::whole_of_this_thread().saturating_sub(begun);
        }
        Ok(())
    }

    fn dial_due(&mut self, driver: &mut D, at: Moment) {
        while self.opening < self.most_opening
            && let Some((due, place)) = self.dials.pop_if(|(due, _)| *due <= at)
        {
            // Without a ramp all are due at once, and waiting for a turn is no fault of the server's.
            let begun = if self.common.plan.ramp.is_zero() { at } else { due };
            self.dial(driver, place, begun);
        }
    }

    fn dial(&mut self, driver: &mut D, place: usize, begun: Moment) {
        let slot = &mut self.slots[place];
        slot.generation = slot.generation.wrapping_add(1);
        let key = Key::new(place as u32, slot.generation);
        match self.common.begin(driver, self.first + place, key, begun) {
            Ok(client) => {
                slot.client = Some(client);
                self.opening += 1;
                let deadline = self.common.clock.now() + nanos(self.common.plan.connect_timeout);
                self.deadlines.push_back((deadline, key));
            }
            Err(trouble) => {
                self.common.tally.failed(trouble);
                let at = self.common.clock.now();
                self.scenario
                    .ended(&mut slot.peer, place, at, &mut self.common.tally);
            }
        }
    }

    /// Gives up what took too long to open.
    fn expire(&mut self, driver: &mut D, at: Moment) {
        while let Some(&(deadline, key)) = self.deadlines.front()
            && deadline <= at
        {
            self.deadlines.pop_front();
            let Some(client) = self.client(key) else {
                continue;
            };
            let trouble = match &client.stage {
                Stage::Open(connection) if connection.state() == State::Open => continue,
                Stage::Open(_) => Trouble::new(Kind::Timeout, "the server did not end a closed connection"),
                Stage::Refused(refusal) => refusal.trouble(),
                Stage::Opening(_) => {
                    let limit = self.common.plan.connect_timeout;
                    Trouble::new(Kind::Timeout, format!("not open after {limit:?}"))
                }
            };
            self.end(driver, key.index(), Some(trouble));
        }
    }

    fn client(&mut self, key: Key) -> Option<&mut Client<D::Socket>> {
        let slot = self.slots.get_mut(key.index())?;
        slot.client.as_mut().filter(|client| client.key == key)
    }

    /// Counts CPU time from when things count until they do not, and hands intervals over.
    fn measure(&mut self, at: Moment) {
        let Times { from, to, .. } = self.common.times;
        if at < from {
            return;
        }
        if self.cpu.is_none() {
            self.cpu = Some(CpuTime::of_this_thread());
            self.waited = Duration::ZERO;
        }
        let end = at.min(to);
        let index = (end.saturating_sub(from) / self.common.interval) as usize;
        if index > self.index || (at >= to && self.mode == Mode::Running) {
            let _ = self
                .reports
                .send(Report::Interval(self.common.tally.take_interval(self.index)));
            self.index = index.max(self.index);
        }
    }

    fn change_mode(&mut self, driver: &mut D, at: Moment) {
        let stopped = self.common.clock.is_stopped();
        match self.mode {
            Mode::Connecting if stopped => {
                self.dials.clear();
                self.begin_closing(driver, at);
            }
            Mode::Connecting if self.dials.is_empty() && self.opening == 0 => {
                self.mode = Mode::Running;
                let _ = self.reports.send(Report::Settled);
            }
            Mode::Running if stopped || at >= self.common.times.to => {
                if let Some(begun) = self.cpu {
                    self.spent = CpuTime::of_this_thread().since(begun);
                    self.spent_waiting = self.waited;
                }
                self.mode = Mode::Draining(at + nanos(self.common.plan.patience));
                self.change_mode(driver, at);
            }
            // Who interrupts does not want to wait for long.
            Mode::Draining(until) if stopped && until > at + CLOSING => {
                self.mode = Mode::Draining(at + CLOSING);
                self.change_mode(driver, at);
            }
            Mode::Draining(until) => {
                let is_idle = |slot: &Slot<_, _>| slot.client.is_none() || self.scenario.is_idle(&slot.peer);
                if !self.is_idle && self.slots.iter().all(is_idle) {
                    self.is_idle = true;
                    self.common.clock.thread_is_idle();
                }
                // What other threads have on the way may be for connections of this one.
                if at >= until || self.common.clock.is_idle() {
                    self.begin_closing(driver, at);
                }
            }
            Mode::Closing(until) if at >= until || self.slots.iter().all(|slot| slot.client.is_none()) => {
                self.close_all(driver);
                self.mode = Mode::Done;
            }
            _ => {}
        }
    }

    fn begin_closing(&mut self, driver: &mut D, at: Moment) {
        self.mode = Mode::Closing(at + CLOSING);
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

    fn close_all(&mut self, driver: &mut D) {
        for slot in &mut self.slots {
            if let Some(client) = slot.client.take() {
                driver.close(client.socket);
            }
        }
    }

    fn finish(mut self) {
        let last = self.common.tally.take_interval(self.index);
        let _ = self.reports.send(Report::Interval(last));
        self.publish();
        let tally = self.common.tally;
        let part = Part {
            totals: tally.total,
            counted: tally.counted,
            service: tally.service,
            lateness: tally.lateness,
            opening: tally.opening,
            troubles: tally.troubles,
            cpu: self.spent,
            waited: self.spent_waiting,
            agreed: self.common.agreed,
            scenario: self.scenario,
        };
        let _ = self.reports.send(Report::Done(Box::new(part)));
    }

    fn publish(&self) {
        let total = &self.common.tally.total;
        let Meter {
            sent,
            received,
            opened,
            failed,
            lost,
        } = &*self.meter;
        let pairs = [
            (sent, total.sent),
            (received, total.received),
            (opened, total.opened),
            (failed, total.failed),
            (lost, total.lost),
        ];
        for (meter, number) in pairs {
            meter.store(number, Ordering::Relaxed);
        }
    }

    fn flush_all(&mut self, driver: &mut D, at: Moment) {
        for place in 0..self.slots.len() {
            self.flush(driver, place, at);
        }
    }

    /// Does for a connection what its scenario wants now, and sends what waits.
    fn flush(&mut self, driver: &mut D, place: usize, at: Moment) {
        self.send(driver, place, at);
        let slot = &mut self.slots[place];
        let Some(client) = &mut slot.client else {
            return;
        };
        let reads = self.scenario.reads(&slot.peer);
        if reads != client.reads {
            client.reads = reads;
            if let Err(error) = driver.set_receiving(&mut client.socket, reads) {
                let trouble = Trouble::of_system(Kind::Lost, &error);
                return self.end(driver, place, Some(trouble));
            }
        }
        match self.scenario.leave(&slot.peer).filter(|_| client.is_open()) {
            None => {}
            Some(Leave::Reset) => self.end_by(driver, place, None, D::reset),
            Some(Leave::Close) => {
                let deadline = at + nanos(self.common.plan.connect_timeout);
                self.deadlines.push_back((deadline, client.key));
                client.close(self.common.clock.instant(at), &mut self.common.owed);
                self.send(driver, place, at);
            }
        }
    }

    /// Lets the scenario add what is to be sent, and sends what waits.
    fn send(&mut self, driver: &mut D, place: usize, at: Moment) {
        let slot = &mut self.slots[place];
        let Some(client) = &mut slot.client else {
            return;
        };
        loop {
            let common = &mut self.common;
            let in_flight = driver.in_flight(&client.socket);
            let mut is_full = false;
            let fills = client.is_open();
            let added = match &mut client.encryption {
                None => {
                    let output = client.outbox.open(&mut common.outputs);
                    output.tail().append(&mut common.owed);
                    let mut out = Out::plain(output, in_flight);
                    if fills {
                        self.scenario
                            .fill(&mut slot.peer, &mut out, at, &mut common.tally);
                        is_full = !out.has_room();
                    }
                    out.added
                }
                Some(encryption) => {
                    common.clear.append(&mut common.owed);
                    let mut out = Out::clear(&mut common.clear, client.outbox.len() + in_flight);
                    if fills {
                        self.scenario
                            .fill(&mut slot.peer, &mut out, at, &mut common.tally);
                        is_full = !out.has_room();
                    }
                    if !common.clear.is_empty() || encryption.wants_write() {
                        let output = client.outbox.open(&mut common.outputs);
                        let before = output.len();
                        encryption.encrypt(&common.clear, output);
                        common.clear.clear();
                        output.len() - before
                    } else {
                        0
                    }
                }
            };
            if common.times.counts(at) {
                common.tally.counted.wire_sent += added as u64;
            }
            if let Err(error) = driver.send(&mut client.socket, &mut client.outbox, &mut common.outputs) {
                let trouble = Trouble::of_system(Kind::Lost, &error);
                return self.end(driver, place, Some(trouble));
            }
            let everything_left = client.outbox.is_empty() && driver.in_flight(&client.socket) == 0;
            // What was left out for want of room has room now, and nobody else will say so.
            if !(is_full && added > 0 && everything_left) {
                return;
            }
        }
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
        if was_open {
            self.open -= 1;
        } else {
            self.opening -= 1;
        }
        // While we close, the other side may end as it likes.
        let is_closing = matches!(self.mode, Mode::Closing(_));
        if let Some(trouble) = trouble.filter(|_| !is_closing) {
            let tally = &mut self.common.tally;
            if was_open && self.scenario.provokes(&slot.peer) {
                tally.troubles.add(trouble);
            } else if was_open {
                tally.lost(trouble);
            } else {
                tally.failed(trouble);
            }
        }
        if !is_closing {
            let at = self.common.clock.now();
            self.scenario
                .ended(&mut slot.peer, place, at, &mut self.common.tally);
        }
    }

    /// Takes what came, decrypted; gives why the connection ends, if it does.
    fn take(&mut self, place: usize, bytes: &mut [u8], now: Instant) -> Option<Trouble> {
        let Self {
            slots,
            common,
            scenario,
            ..
        } = self;
        let slot = &mut slots[place];
        let client = slot.client.as_mut()?;
        let at = common.clock.at(now);
        let mut behind;
        let mut bytes = bytes;
        if !matches!(client.stage, Stage::Open(_)) {
            let (outcome, rest) = client.respond(bytes, common, now);
            match outcome {
                Outcome::Continues => return None,
                Outcome::Ends(trouble) => return Some(trouble),
                Outcome::Opened(agreed) => {
                    self.opening -= 1;
                    self.open += 1;
                    common.tally.total.opened += 1;
                    record(&mut common.tally.opening, client.begun, at);
                    if S::CHURNS {
                        common.tally.churned(client.begun, at, common.times);
                    }
                    if let Err(failure) = scenario.opened(&mut slot.peer, place, agreed.deflate) {
                        return Some(Trouble::new(Kind::Protocol, failure.to_string()));
                    }
                    common.agreed.get_or_insert_with(|| Agreed {
                        subprotocol: agreed.subprotocol.map(|name| name.as_str().to_owned()),
                        compression: agreed.deflate.is_some(),
                    });
                }
            }
            behind = rest;
            bytes = &mut behind;
        }
        let outcome = client.receive(bytes, &mut common.workspace, now, &mut common.owed, |message| {
            scenario.message(&mut slot.peer, message, at, &mut common.tally);
        });
        match outcome {
            Outcome::Ends(trouble) => Some(trouble),
            _ => None,
        }
    }

    /// Takes what came from the socket through TLS.
    fn take_encrypted(&mut self, place: usize, mut bytes: &[u8], now: Instant) -> Option<Trouble> {
        let mut clear = Vec::new();
        while !bytes.is_empty() {
            let client = self.slots[place].client.as_mut()?;
            let encryption = client.encryption.as_mut()?;
            clear.clear();
            match encryption.decrypt(bytes, &mut clear) {
                Ok(0) => return None,
                Ok(taken) => bytes = &bytes[taken..],
                Err(error) => return Some(tls::trouble(&error)),
            }
            if !clear.is_empty()
                && let Some(trouble) = self.take(place, &mut clear, now)
            {
                return Some(trouble);
            }
        }
        None
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
            outbox: sockeye::driver::Outbox::default(),
            encryption: encryption.map(Box::new),
            stage: Stage::Opening(Box::new(Opening::new(request))),
            begun,
            reads: true,
        })
    }
}

impl<D: Driver, S: Scenario> Owner<D> for Load<D, S> {
    fn socket(&mut self, key: Key) -> Option<&mut D::Socket> {
        self.client(key).map(|client| &mut client.socket)
    }

    fn keys(&mut self) -> Vec<Key> {
        let clients = self.slots.iter().filter_map(|slot| slot.client.as_ref());
        clients.map(|client| client.key).collect()
    }

    fn listener(&mut self, _: Key) -> Option<&mut D::Listener> {
        None
    }

    fn accepted(&mut self, _: &mut D, _: Key, socket: OwnedFd) {
        drop(socket);
    }

    fn accept_failed(&mut self, _: &mut D, _: Key, _: io::Error) {}

    fn connected(&mut self, driver: &mut D, key: Key, result: io::Result<()>) {
        if let Err(error) = result {
            return self.end(driver, key.index(), Some(socket::trouble(&error)));
        }
        let Some(slot) = self.slots.get_mut(key.index()) else {
            return;
        };
        if let Some(client) = &mut slot.client
            && let Stage::Opening(opening) = &client.stage
        {
            // TLS keeps it until its own handshake is done.
            opening.write(&mut self.common.owed);
        }
        let at = self.common.clock.now();
        self.flush(driver, key.index(), at);
    }

    fn received(&mut self, driver: &mut D, key: Key, bytes: &mut [u8]) {
        let now = Instant::now();
        let at = self.common.clock.at(now);
        if self.common.times.counts(at) {
            self.common.tally.counted.wire_received += bytes.len() as u64;
        }
        let place = key.index();
        let is_encrypted = self.slots[place]
            .client
            .as_ref()
            .is_some_and(|client| client.encryption.is_some());
        let trouble = if is_encrypted {
            self.take_encrypted(place, bytes, now)
        } else {
            self.take(place, bytes, now)
        };
        // The answer to a Close frame, or what tells the server of its fault, leaves first.
        self.flush(driver, place, at);
        if let Some(trouble) = trouble {
            self.end(driver, place, Some(trouble));
        }
    }

    fn ended(&mut self, driver: &mut D, key: Key) {
        let Some(client) = self.client(key) else {
            return;
        };
        let trouble = match &client.stage {
            // It was the server's turn to end it.
            Stage::Open(connection) if connection.is_close_complete() => {
                return self.end(driver, key.index(), None);
            }
            Stage::Opening(_) => Trouble::new(
                Kind::Handshake,
                "the server ended the connection without an answer",
            ),
            Stage::Refused(refusal) => refusal.trouble(),
            Stage::Open(_) => Trouble::new(Kind::Lost, "ended without a Close frame"),
        };
        self.end(driver, key.index(), Some(trouble));
    }

    fn failed(&mut self, driver: &mut D, key: Key, error: io::Error) {
        let Some(client) = self.client(key) else {
            return;
        };
        let trouble = match &client.stage {
            Stage::Opening(_) => socket::trouble(&error),
            Stage::Refused(refusal) => refusal.trouble(),
            Stage::Open(_) => Trouble::of_system(Kind::Lost, &error),
        };
        self.end(driver, key.index(), Some(trouble));
    }

    fn writable(&mut self, driver: &mut D, key: Key) {
        let at = self.common.clock.now();
        self.flush(driver, key.index(), at);
    }
}
