//! The connections of a worker: what the driver tells of them, and what is done about it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye_proto::{Compress, Prepared, State, Workspace};

use super::Sent;
use super::common::Common;
use super::ending::io_error;
use super::entrance::Entrance;
use super::leaving::Leaving;
use super::mailbox::{Listed, Order};
use super::news::News;
use super::route::Routes;
use super::session::{Rare, deadline};
use super::slab::Slab;
use super::slot::{Phase, Slot};
use super::tls::Handshakes;
use super::wheel::Wheel;
use crate::Error;
use crate::driver::{Driver, Key, Owner};
use crate::error::Kind;
use crate::hub::Dropped;
use crate::server::{Reached, Reception};

/// How long the peer of a connection that was not a WebSocket may take to end it after our last word.
pub(super) const LINGER: Duration = Duration::from_secs(10);

/// The connections of a worker.
#[derive(Debug)]
pub(super) struct Connections<D: Driver> {
    pub(super) slots: Slab<Slot<D>>,
    pub(super) entrances: Vec<Option<Entrance<D>>>,
    /// How many listening sockets there were.
    pub(super) generation: u32,
    pub(super) wheel: Wheel,
    pub(super) routes: Routes,
    pub(super) reception: Reception,
    /// The server ends.
    pub(super) leaving: Option<Leaving>,
    pub(super) workspace: Workspace,
    pub(super) handshakes: Handshakes,
    /// Where records of TLS are put together.
    pub(super) plaintext: Vec<u8>,
    pub(super) common: Common,
    /// The clock was not read since the turn began.
    is_clock_stale: bool,
    /// Slots whose time has come.
    due: Vec<usize>,
    /// Slots that are being looked at at the end of a turn.
    touched: Vec<Key>,
}

impl<D: Driver> Connections<D> {
    pub(super) fn new(common: Common, reception: Reception) -> Self {
        Self {
            slots: Slab::new(),
            entrances: Vec::new(),
            generation: 0,
            leaving: None,
            wheel: Wheel::new(common.now),
            routes: Routes::default(),
            reception,
            workspace: Workspace::new(),
            handshakes: Handshakes::default(),
            plaintext: Vec::new(),
            common,
            is_clock_stale: false,
            due: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// How long a turn may wait.
    pub(super) fn wait(&self) -> Option<Duration> {
        let is_at_rest = self.common.dirty.is_empty() && !self.common.hub.is_gathering();
        if !is_at_rest || !self.handshakes.is_idle() {
            return Some(Duration::ZERO);
        }
        // The clock was read in this turn.
        let now = self.common.now;
        let others = [self.retry_at(), self.leaves_at()].into_iter().flatten();
        let others = others.map(|at| at.saturating_duration_since(now));
        others.chain(self.wheel.wait(now)).min()
    }

    /// Notes that time passes until the first event.
    pub(super) fn turn_begins(&mut self) {
        self.is_clock_stale = true;
    }

    /// Acts on deadlines, and sends what was published or ordered in this turn.
    ///
    /// Gives whether anything was done that the driver may have to act on.
    pub(super) fn turn_ends(&mut self, driver: &mut D) -> bool {
        self.tick();
        #[cfg(feature = "tls")]
        self.shake_hands(driver);
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(self.common.now, &mut due);
        let mut has_acted = !due.is_empty();
        for index in due.drain(..) {
            if let Some(key) = self.slots.key_at(index) {
                self.timeout(driver, key);
            }
        }
        self.due = due;
        self.give_out_all(driver);
        let mut touched = std::mem::replace(&mut self.common.dirty, std::mem::take(&mut self.touched));
        has_acted |= !touched.is_empty();
        for key in touched.drain(..) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.flags.is_dirty = false;
                self.look(driver, key);
            }
        }
        self.touched = touched;
        has_acted |= self.retry(driver);
        has_acted |= self.go_on_leaving(driver);
        self.common.metrics.add(&mut self.common.tally);
        has_acted
    }

    /// Does something that was asked for through a handle.
    pub(super) fn order(&mut self, driver: &mut D, key: Key, order: Order) {
        self.tick();
        self.news(driver, key, News::Order(order));
        self.give_out_if_much(driver);
    }

    /// Sends a message to all open WebSockets; gives how many that were.
    pub(super) fn broadcast(&mut self, driver: &mut D, message: &Prepared) -> Reached {
        self.tick();
        let mut reached = Reached::default();
        for key in self.slots.keys() {
            let mut sent = None;
            self.with_open(driver, key, |lent, _, _| {
                sent = (lent.state() == State::Open).then(|| lent.send_prepared(message, Compress::Auto));
            });
            let news = match sent {
                None => continue,
                Some(Sent::Dropped) => {
                    reached.dropped += 1;
                    News::Dropped(Dropped {
                        slot: key.index() as u32,
                        topic: None,
                        message: message.clone(),
                    })
                }
                Some(Sent::Sent | Sent::Buffered) => {
                    reached.sent += 1;
                    News::Writable
                }
            };
            self.news(driver, key, news);
        }
        reached
    }

    /// The open WebSockets.
    pub(super) fn list(&mut self, driver: &mut D) -> Vec<Listed> {
        let mut list = Vec::new();
        for key in self.slots.keys() {
            self.with_open(driver, key, |lent, place, route| {
                list.push(Listed {
                    id: place.id(),
                    peer: lent.peer_address().ok(),
                    route: Arc::clone(&route.path),
                    handle: lent.handle(),
                });
            });
        }
        list
    }

    /// Reads the clock, once in a turn.
    #[inline]
    pub(super) fn tick(&mut self) {
        if std::mem::take(&mut self.is_clock_stale) {
            self.common.now = Instant::now();
        }
    }

    fn timeout(&mut self, driver: &mut D, key: Key) {
        let now = self.common.now;
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        match &slot.phase {
            Phase::Door(door) if door.deadline() <= now => self.overdue(driver, key),
            Phase::Door(door) => self.wheel.arm(key.index(), door.deadline()),
            Phase::Piped(_) => {}
            Phase::Closing(closing) if closing.deadline <= now => self.remove(driver, key, true),
            Phase::Closing(closing) => self.wheel.arm(key.index(), closing.deadline),
            Phase::Open(open) => {
                let write_timeout = self
                    .routes
                    .get_mut(open.seat.route)
                    .map(|route| route.queues.write_timeout);
                let waits = slot.has_output() || driver.is_behind(&slot.socket);
                let stall = slot.stalled.filter(|_| waits).zip(write_timeout);
                let news = match stall {
                    Some((since, limit)) if self.wheel.time_of_stamp(since) + limit <= now => {
                        self.common.metrics.write_stalled();
                        News::Lost(Error::new(Kind::WriteStalled(limit)))
                    }
                    _ => News::Timeout,
                };
                self.news(driver, key, news);
                self.rearm(key);
            }
        }
    }

    /// Arms the timer of an open WebSocket.
    pub(super) fn rearm(&mut self, key: Key) {
        let now = self.common.now;
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Phase::Open(open) = &slot.phase else {
            return;
        };
        let stall = slot.stalled.and_then(|since| {
            let route = self.routes.get_mut(open.seat.route)?;
            let since = self.wheel.time_of_stamp(since);
            since.checked_add(route.queues.write_timeout)
        });
        let next = [deadline(&open.connection, now), stall];
        if let Some(at) = next.into_iter().flatten().min() {
            self.wheel.arm(key.index(), at);
        }
    }

    /// Goes on with what a connection brought, plain.
    #[inline]
    pub(super) fn came(&mut self, driver: &mut D, key: Key, bytes: &mut [u8]) {
        match self.slots.get_mut(key).map(|slot| &slot.phase) {
            Some(Phase::Open(_)) => self.news(driver, key, News::Received(bytes)),
            Some(Phase::Piped(_)) => self.piped_received(driver, key, bytes),
            Some(Phase::Door(_)) => self.at_the_door(driver, key, bytes),
            // Nobody listens any more.
            Some(Phase::Closing(_)) | None => {}
        }
    }

    /// Nothing more comes. Who has not seen yet what came before is told behind it.
    pub(super) fn end_came(&mut self, driver: &mut D, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        match &slot.phase {
            Phase::Piped(_) => return self.piped_ended(key),
            Phase::Open(open) if open.has_unread() && !slot.flags.is_over => {
                slot.flags.rare.set(Rare::ENDED, true);
                return;
            }
            _ => {}
        }
        self.news(driver, key, News::Ended);
        self.peer_left(driver, key);
    }
}

impl<D: Driver> Owner<D> for Connections<D> {
    #[inline]
    fn socket(&mut self, key: Key) -> Option<&mut D::Socket> {
        self.slots.get_mut(key).map(|slot| &mut slot.socket)
    }

    fn keys(&mut self) -> Vec<Key> {
        self.slots.keys()
    }

    fn listener(&mut self, key: Key) -> Option<&mut D::Listener> {
        let entrance = self.entrances.get_mut(key.index())?.as_mut()?;
        Some(&mut entrance.listener)
    }

    fn accepted(&mut self, driver: &mut D, listener: Key, socket: OwnedFd) {
        self.tick();
        self.came_in(driver, listener, socket);
    }

    fn accept_failed(&mut self, _: &mut D, listener: Key, error: io::Error) {
        self.tick();
        self.came_short(listener, &error);
    }

    fn connected(&mut self, _: &mut D, _: Key, _: io::Result<()>) {}

    /// The memory of the large message that comes. Under TLS what comes are records, and they are opened elsewhere.
    #[inline]
    fn receive_in_place<R>(
        &mut self,
        key: Key,
        receive: impl FnOnce(&mut D::Socket, &mut [u8]) -> R,
    ) -> Option<R> {
        let slot = self.slots.get_mut(key)?;
        let Phase::Open(open) = &mut slot.phase else {
            return None;
        };
        // What was kept while receiving was paused comes first.
        if !slot.tls.is_none() || slot.flags.is_deaf() || slot.flags.resumes {
            return None;
        }
        let room = open.connection.room(&mut self.workspace)?;
        Some(receive(&mut slot.socket, room))
    }

    fn received_in_place(&mut self, driver: &mut D, key: Key, count: usize) {
        self.tick();
        self.news(driver, key, News::ReceivedInPlace(count));
        self.give_out_if_much(driver);
    }

    #[inline]
    fn received(&mut self, driver: &mut D, key: Key, bytes: &mut [u8]) {
        self.tick();
        match self.slots.get_mut(key) {
            Some(slot) if slot.phase.awaits_introduction() => self.introduced(driver, key, bytes),
            #[cfg(feature = "tls")]
            Some(slot) if !slot.tls.is_none() => self.records_came(driver, key, bytes),
            Some(_) => self.came(driver, key, bytes),
            None => {}
        }
        self.give_out_if_much(driver);
    }

    fn ended(&mut self, driver: &mut D, key: Key) {
        self.tick();
        if let Some(slot) = self.slots.get_mut(key)
            && !matches!(slot.phase, Phase::Closing(_))
            && slot.tls.is_cut_off()
        {
            tracing::debug!("the peer ended the connection without ending TLS");
        }
        self.end_came(driver, key);
    }

    fn failed(&mut self, driver: &mut D, key: Key, error: io::Error) {
        self.tick();
        self.piped_failed(driver, key, &error);
        self.lost(driver, key, io_error(error));
    }

    fn writable(&mut self, driver: &mut D, key: Key) {
        self.tick();
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.flags.is_full = false;
        slot.stalled = None;
        match &slot.phase {
            Phase::Closing(_) => self.wind_up(driver, key),
            Phase::Open(_) => {
                if !slot.has_output() {
                    self.given(driver, key);
                }
                self.news(driver, key, News::Writable);
                self.drain_published(driver, key);
            }
            Phase::Piped(_) => self.rung(driver, key),
            Phase::Door(_) => self.flush(driver, key),
        }
    }
}
