//! Connections that a task sees to: what a worker does for the pipe between them.

use super::desk::Question;
use super::owner::{Connections, LINGER};
use super::pipe::{PipeEnd, Then};
use super::route::Seat;
use super::slot::{Phase, Slot};
use crate::driver::{Driver, Key};
use crate::server::Callbacks;

/// A connection that a task sees to.
#[derive(Debug)]
pub(crate) struct Piped {
    end: PipeEnd,
    /// Where the data of the WebSocket lies that it is about to become.
    pub(super) seat: Option<Seat>,
    has_shut_down: bool,
}

impl Piped {
    pub(super) fn new(end: PipeEnd) -> Self {
        Self {
            end,
            seat: None,
            has_shut_down: false,
        }
    }
}

impl<D: Driver> Connections<D> {
    /// Bytes came for the task.
    pub(super) fn piped_received(&mut self, driver: &mut D, key: Key, bytes: &[u8]) {
        if let Some(Slot {
            socket,
            flags,
            phase: Phase::Piped(piped),
            ..
        }) = self.slots.get_mut(key)
            && !piped.end.received(bytes)
            && !flags.is_paused
        {
            flags.is_paused = true;
            if let Err(error) = driver.set_receiving(socket, false) {
                self.piped_failed(driver, key, &error);
            }
        }
    }

    /// The peer sends nothing more; the task may. What the peer sent may have been cut off.
    pub(super) fn piped_ended(&mut self, key: Key) {
        if let Some(Slot {
            tls,
            phase: Phase::Piped(piped),
            ..
        }) = self.slots.get_mut(key)
        {
            if tls.is_cut_off() {
                piped.end.cut_off();
            } else {
                piped.end.ended();
            }
        }
    }

    /// The connection is lost.
    pub(super) fn piped_failed(&mut self, driver: &mut D, key: Key, error: &std::io::Error) {
        if let Some(Slot {
            phase: Phase::Piped(piped),
            ..
        }) = self.slots.get_mut(key)
        {
            piped.end.failed(error);
            self.remove(driver, key, false);
        }
    }

    /// Does what the task wants: sends what it wrote, receives if it reads, ends the connection behind it.
    pub(super) fn rung(&mut self, driver: &mut D, key: Key) {
        let now = self.common.now;
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Phase::Piped(piped) = &slot.phase else {
            return;
        };
        let orders = piped.end.take(&mut slot.out, &mut self.common.pool);
        if orders.then == Then::Shutdown {
            slot.tls.close();
        }
        if !slot.flags.is_full && (slot.has_output() || orders.then == Then::Shutdown) {
            if let Err(error) = slot.send(driver, &mut self.common.pool) {
                return self.piped_failed(driver, key, &error);
            }
            slot.flags.is_full = slot.has_output();
        }
        let (waiting, has_output) = (slot.waiting(), slot.has_output());
        let Slot {
            socket,
            flags,
            phase: Phase::Piped(piped),
            ..
        } = slot
        else {
            return;
        };
        // What the system has room for is as good as sent.
        let in_flight = if driver.is_behind(socket) {
            driver.in_flight(socket)
        } else {
            0
        };
        piped.end.unsent(waiting + in_flight);
        if orders.receive == flags.is_paused && orders.then != Then::Close {
            flags.is_paused = !orders.receive;
            if let Err(error) = driver.set_receiving(socket, orders.receive) {
                return self.piped_failed(driver, key, &error);
            }
        }
        match orders.then {
            Then::GoOn => {}
            Then::Shutdown if has_output => {}
            Then::Shutdown => {
                if !std::mem::replace(&mut piped.has_shut_down, true) {
                    driver.shutdown(socket);
                }
            }
            Then::Close if has_output => self.end(driver, key, false, now + LINGER),
            Then::Close => self.remove(driver, key, false),
            Then::Back => self.take_back(driver, key),
        }
    }

    /// Asks a handler with callbacks for the task.
    pub(super) fn ask(&mut self, key: Key, question: Question) {
        if let Some(Slot {
            phase: Phase::Piped(piped),
            ..
        }) = self.slots.get_mut(key)
            && let Some(seat) = question.answer(&mut self.routes)
            && let Some(earlier) = piped.seat.replace(seat)
        {
            self.routes.leave(earlier);
        }
    }

    /// The connection has become a WebSocket with callbacks, which the worker sees to by itself.
    fn take_back(&mut self, driver: &mut D, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Phase::Piped(piped) = std::mem::replace(&mut slot.phase, Phase::gone()) else {
            return;
        };
        let Some((returned, unread)) = piped.end.take_back() else {
            return self.remove(driver, key, false);
        };
        let (admitted, place) = *returned;
        slot.place = Some(place);
        if std::mem::take(&mut slot.flags.is_paused) {
            // If that fails, so does what follows.
            let _ = driver.set_receiving(&mut slot.socket, true);
        }
        let has_ended = piped.end.has_ended();
        let mut leftover = admitted.leftover.to_vec();
        leftover.extend_from_slice(&unread);
        self.open(driver, key, admitted, &mut leftover);
        if has_ended {
            self.end_came(driver, key);
        }
    }

    /// Lets go of what a connection that is gone had.
    pub(super) fn drop_piped(&mut self, piped: Piped) {
        if let Some((returned, _)) = piped.end.take_back() {
            let (admitted, place) = *returned;
            self.routes.leave(admitted.seat);
            self.reception.leave(place);
        } else if let Some(seat) = piped.seat {
            self.routes.leave(seat);
        }
    }
}
