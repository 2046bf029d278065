//! The connections of a worker: what the driver tells of them, and what is done about it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye_proto::{CloseFrame, Compress, Prepared, Shutdown, State, Workspace};

use super::common::Common;
use super::entrance::Entrance;
use super::leaving::Leaving;
use super::mailbox::{Listed, Order};
use super::open::Telling;
use super::route::{Entry, Routes};
use super::session::{Lent, Open, deadline};
use super::slab::Slab;
use super::slot::{Closing, Phase, Slot};
use super::tls::Handshakes;
use super::wheel::Wheel;
use super::wire::{Line, Wire};
use crate::driver::{Driver, Key, Owner};
use crate::error::Kind;
use crate::message::AsMessage;
use crate::server::{Place, Reception};
use crate::{Error, Message};

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
    workspace: Workspace,
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

/// What happened to an open WebSocket.
pub(super) enum News<'n> {
    /// This was published, and the peer was too far behind for it.
    Dropped(Prepared),
    Opened,
    Received(&'n mut [u8]),
    Ended,
    Lost(Error),
    /// The clock has reached a deadline.
    Timeout,
    Order(Order),
    /// The system may take more.
    Writable,
    /// The peer has taken what waited, or most of it.
    CaughtUp,
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

    /// Sends a message to all open WebSockets.
    pub(super) fn broadcast(&mut self, driver: &mut D, message: &Message) {
        self.tick();
        for key in self.slots.keys() {
            let order = Order::Send(message.clone(), Compress::Auto);
            self.news(driver, key, News::Order(order));
        }
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
                let waits = slot.has_output() || driver.in_flight(&slot.socket) > 0;
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

    /// Looks after a slot that was changed from elsewhere.
    fn look(&mut self, driver: &mut D, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if slot.flags.resumes {
            return self.resume(driver, key);
        }
        if self.has_caught_up(driver, key) {
            return self.news(driver, key, News::CaughtUp);
        }
        self.news(driver, key, News::Writable);
    }

    /// Whether so little waits for the peer that the handler is to be told, who was told that much does.
    fn has_caught_up(&mut self, driver: &mut D, key: Key) -> bool {
        let Some(slot) = self.slots.get_mut(key) else {
            return false;
        };
        let Phase::Open(open) = &slot.phase else {
            return false;
        };
        let Some(route) = self.routes.get_mut(open.seat.route) else {
            return false;
        };
        let waits = slot.waiting() + driver.in_flight(&slot.socket);
        slot.flags.is_behind && waits <= open.queues(&route.queues).low_water
    }

    /// Hands out what came while receiving was paused, then receives again.
    fn resume(&mut self, driver: &mut D, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.flags.resumes = false;
        let Phase::Open(open) = &mut slot.phase else {
            return;
        };
        let extra = open.extra.as_mut();
        let mut unread = extra.map_or_else(Vec::new, |extra| std::mem::take(&mut extra.unread));
        self.news(driver, key, News::Received(&mut unread));
        if let Some(slot) = self.slots.get_mut(key)
            && !slot.flags.is_paused
            && let Err(error) = driver.set_receiving(&mut slot.socket, true)
        {
            self.news(driver, key, News::Lost(io_error(error)));
        }
    }

    /// Tells an open WebSocket what happened, and does what follows from it.
    #[inline]
    pub(super) fn news(&mut self, driver: &mut D, key: Key, news: News<'_>) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Slot {
            socket,
            tls,
            out,
            flags,
            phase: Phase::Open(open),
            ..
        } = slot
        else {
            return;
        };
        let (route, seat) = (open.seat.route, open.seat.number);
        let Some(route) = self.routes.get_mut(route) else {
            return;
        };
        let mut wire = Line { driver, socket, tls };
        let ahead = wire.in_flight();
        let mut telling = Telling {
            lent: Lent {
                key,
                open,
                out,
                flags,
                queues: &route.queues,
                common: &mut self.common,
                wire: &mut wire,
                ahead,
            },
            seats: &mut *route.seats,
            seat,
        };
        match news {
            News::Received(bytes) => telling.receive(bytes, &mut self.workspace),
            news => telling.hear(news),
        }
        if !telling.lent.common.changes.is_empty() {
            telling.subscriptions_changed();
        }
        let needs_care = telling.needs_care();
        if needs_care {
            telling.settle();
            self.tell_closed(key);
        }
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if slot.has_output() && !slot.flags.is_full {
            match slot.send(driver, &mut self.common.pool) {
                Ok(()) if slot.has_output() => self.stalled(key),
                Ok(()) => self.given(driver, key),
                Err(error) => return self.lost(driver, key, io_error(error)),
            }
        }
        if needs_care {
            self.follow_up(driver, key);
        }
    }

    /// Does something with an open WebSocket beside its handler.
    fn with_open(&mut self, driver: &mut D, key: Key, act: impl FnOnce(&mut Lent<'_>, &Place, &Entry)) {
        let Some(Slot {
            socket,
            tls,
            out,
            flags,
            place: Some(place),
            phase: Phase::Open(open),
            ..
        }) = self.slots.get_mut(key)
        else {
            return;
        };
        let Some(route) = self.routes.get_mut(open.seat.route) else {
            return;
        };
        let mut wire = Line { driver, socket, tls };
        let ahead = wire.in_flight();
        let mut lent = Lent {
            key,
            open,
            out,
            flags,
            queues: &route.queues,
            common: &mut self.common,
            ahead,
            wire: &mut wire,
        };
        act(&mut lent, place, route);
    }

    /// Tells the server of a WebSocket that has closed.
    #[inline(never)]
    fn tell_closed(&mut self, key: Key) {
        if let Some(closed) = self.common.closed.take()
            && let Some(Slot {
                place: Some(place), ..
            }) = self.slots.get_mut(key)
        {
            self.reception
                .closed(place, closed.code, &closed.info, closed.failure.as_ref());
        }
    }

    /// Gives the system what waits.
    #[inline]
    pub(super) fn flush(&mut self, driver: &mut D, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        match slot.send(driver, &mut self.common.pool) {
            Ok(()) if slot.has_output() => self.stalled(key),
            Ok(()) => self.given(driver, key),
            Err(error) => self.lost(driver, key, io_error(error)),
        }
    }

    /// The driver has all that waited. From here on the peer has its time to take what is in flight.
    #[inline]
    fn given(&mut self, driver: &D, key: Key) {
        let now = self.common.now;
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let is_in_flight = driver.in_flight(&slot.socket) > 0;
        if !is_in_flight {
            slot.stalled = None;
        }
        let Phase::Open(open) = &mut slot.phase else {
            return;
        };
        if !is_in_flight {
            open.connection.handle_flushed(now);
        } else if slot.stalled.is_none() {
            slot.stalled = Some(self.wheel.stamp(now));
            let route = self.routes.get_mut(open.seat.route);
            if let Some(at) = route.and_then(|route| now.checked_add(route.queues.write_timeout)) {
                // It seldom moves the entry: that of an earlier message comes first.
                self.wheel.arm(key.index(), at);
            }
        }
    }

    /// The peer takes nothing more for now.
    #[inline(never)]
    fn stalled(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.flags.is_full = true;
        if slot.stalled.is_none() {
            slot.stalled = Some(self.wheel.stamp(self.common.now));
            self.common.metrics.blocked(slot.waiting());
        }
        self.rearm(key);
    }

    /// The transport of a connection is gone.
    fn lost(&mut self, driver: &mut D, key: Key, error: Error) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.discard(&mut self.common.pool);
        // Nothing can be sent any more.
        slot.flags.is_full = true;
        self.news(driver, key, News::Lost(error));
        self.remove(driver, key, false);
    }

    /// Ends the connection if its WebSocket has closed; looks at the clock of one that is closing.
    #[inline(never)]
    fn follow_up(&mut self, driver: &mut D, key: Key) {
        let now = self.common.now;
        let has_caught_up = self.has_caught_up(driver, key);
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if let Phase::Open(open) = &slot.phase {
            if slot.flags.is_aborted {
                return self.remove(driver, key, true);
            }
            if !slot.flags.is_told {
                // One more callback in this turn, but not under the feet of this one.
                if (slot.flags.resumes || has_caught_up) && !slot.flags.is_dirty {
                    slot.flags.is_dirty = true;
                    self.common.dirty.push(key);
                }
                return self.rearm(key);
            }
            let lingers = match open.connection.shutdown() {
                // Under TLS there is a word to say: an alert, or the end.
                Shutdown::Now => {
                    let resets = slot.tls.is_none();
                    return self.remove(driver, key, resets);
                }
                Shutdown::AfterFlush => false,
                Shutdown::NotYet | Shutdown::AwaitPeer | Shutdown::Linger => true,
            };
            let timeout = open.connection.config().close_timeout;
            self.end(driver, key, lingers, now + timeout);
        }
    }

    /// Lets the last words of a connection leave before it is dropped.
    pub(super) fn end(&mut self, driver: &mut D, key: Key, lingers: bool, deadline: Instant) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if slot.flags.is_paused {
            slot.flags.is_paused = false;
            // If that fails, so does what follows.
            let _ = driver.set_receiving(&mut slot.socket, true);
        }
        slot.phase = Phase::Closing(Closing {
            deadline,
            lingers,
            has_shut_down: false,
        });
        self.wheel.arm(key.index(), deadline);
        self.wind_up(driver, key);
    }

    /// Goes on with the end of a connection.
    fn wind_up(&mut self, driver: &mut D, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.tls.close();
        if !slot.flags.is_full && (slot.has_output() || !slot.tls.is_none()) {
            if slot.send(driver, &mut self.common.pool).is_err() {
                return self.remove(driver, key, false);
            }
            slot.flags.is_full = slot.has_output();
        }
        if slot.has_output() {
            return;
        }
        if let Phase::Closing(closing) = &mut slot.phase {
            if !closing.lingers {
                // Closed now, the driver would throw away what the peer has no room for yet.
                if driver.in_flight(&slot.socket) == 0 {
                    self.remove(driver, key, false);
                }
                return;
            }
            if !std::mem::replace(&mut closing.has_shut_down, true) {
                driver.shutdown(&mut slot.socket);
            }
        }
    }

    pub(super) fn remove(&mut self, driver: &mut D, key: Key, resets: bool) {
        let Some(mut slot) = self.slots.remove(key) else {
            return;
        };
        self.wheel.disarm(key.index());
        if !resets && !slot.flags.is_full && !slot.tls.is_none() {
            slot.tls.close();
            // If it does not leave at once, it is not waited for.
            let _ = slot.send(driver, &mut self.common.pool);
        }
        slot.discard(&mut self.common.pool);
        if let Some(place) = slot.place {
            self.reception.leave(place);
        }
        match slot.phase {
            Phase::Open(Open {
                extra: Some(extra), ..
            }) => {
                if let Some(identity) = extra.identity {
                    identity.retire();
                }
            }
            Phase::Piped(piped) => self.drop_piped(*piped),
            Phase::Open(_) | Phase::Door(_) | Phase::Closing(_) => {}
        }
        if resets {
            driver.reset(slot.socket);
        } else {
            driver.close(slot.socket);
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

    /// Nothing more comes.
    pub(super) fn end_came(&mut self, driver: &mut D, key: Key) {
        if let Some(Phase::Piped(_)) = self.slots.get_mut(key).map(|slot| &slot.phase) {
            return self.piped_ended(key);
        }
        self.news(driver, key, News::Ended);
        self.remove(driver, key, false);
    }
}

impl Telling<'_> {
    /// Whether there is more to do than to send what waits.
    #[inline]
    fn needs_care(&self) -> bool {
        let flags = &*self.lent.flags;
        let connection = &self.lent.open.connection;
        flags.wants_care() || connection.has_output() || connection.state() != State::Open
    }

    /// All news but those of every day.
    #[inline(never)]
    fn hear(&mut self, news: News<'_>) {
        match news {
            News::Received(_) | News::Writable => {}
            News::Opened => self.opened(),
            News::Ended => self.ended(),
            News::Lost(error) => self.lost(error),
            News::Timeout => self.timed_out(),
            News::Order(order) => self.order(order),
            News::Dropped(message) => {
                self.lent.flags.is_behind = true;
                self.dropped(message.message());
            }
            News::CaughtUp => {
                self.lent.flags.is_behind = false;
                self.drained();
            }
        }
    }

    fn order(&mut self, order: Order) {
        let lent = &mut self.lent;
        match order {
            Order::Send(message, compress) => {
                let message = message.as_message();
                if lent.send(message, compress) == super::Sent::Dropped && !lent.flags.is_over {
                    self.dropped(message);
                }
            }
            Order::SendPrepared(prepared) => {
                let sent = lent.send_prepared(&prepared, sockeye_proto::Compress::Auto);
                if sent == super::Sent::Dropped && !lent.flags.is_over {
                    self.dropped(prepared.message());
                }
            }
            Order::Ping(payload) => {
                if let Err(error) = lent.control(|connection, tail| connection.ping(&payload, tail)) {
                    tracing::debug!(%error, "a Ping could not be sent");
                }
            }
            Order::Close(frame) => {
                let frame = frame.as_ref();
                lent.close(frame.map(|(code, reason)| CloseFrame::truncated(*code, reason)));
            }
            Order::CloseAfterFlush(code, reason) => lent.hang_up(CloseFrame::truncated(code, &reason)),
            Order::Abort => lent.abort(),
            Order::Pause => {
                if let Err(error) = lent.pause() {
                    self.lost(io_error(error));
                }
            }
            Order::Resume => lent.resume(),
        }
    }
}

impl<D: Driver> Owner<D> for Connections<D> {
    #[inline]
    fn socket(&mut self, key: Key) -> Option<&mut D::Socket> {
        self.slots.get_mut(key).map(|slot| &mut slot.socket)
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
                if slot.out.is_empty() {
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

fn io_error(error: io::Error) -> Error {
    Error::with_source(Kind::Io, error)
}
