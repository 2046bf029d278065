//! How one connection ends.

use std::io;
use std::time::Instant;

use sockeye_proto::Shutdown;

use super::news::News;
use super::owner::Connections;
use super::session::{Open, Rare};
use super::slot::{Closing, Phase};
use crate::Error;
use crate::driver::{Driver, Key};
use crate::error::Kind;

impl<D: Driver> Connections<D> {
    /// The transport of a connection is gone.
    pub(super) fn lost(&mut self, driver: &mut D, key: Key, error: Error) {
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
    pub(super) fn follow_up(&mut self, driver: &mut D, key: Key) {
        let now = self.common.now;
        let has_caught_up = self.has_caught_up(driver, key);
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if let Phase::Open(open) = &slot.phase {
            if slot.flags.is_aborted {
                return self.remove(driver, key, true);
            }
            if !slot.flags.rare.has(Rare::TOLD) {
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
            // Who has ended its direction already is not waited for.
            let lingers = lingers && !slot.flags.rare.has(Rare::ENDED);
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
        let closing = Phase::Closing(Closing {
            deadline,
            lingers,
            has_shut_down: false,
        });
        if let Phase::Piped(piped) = std::mem::replace(&mut slot.phase, closing) {
            self.drop_piped(*piped);
        }
        self.wheel.arm(key.index(), deadline);
        self.wind_up(driver, key);
    }

    /// The peer of a connection has ended its direction: nobody waits for it any more, but it may still read our last words.
    pub(super) fn peer_left(&mut self, driver: &mut D, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let is_done = !slot.has_output() && driver.in_flight(&slot.socket) == 0;
        match &mut slot.phase {
            Phase::Closing(closing) if !is_done => {
                closing.lingers = false;
                self.wind_up(driver, key);
            }
            _ => self.remove(driver, key, false),
        }
    }

    /// Goes on with the end of a connection.
    pub(super) fn wind_up(&mut self, driver: &mut D, key: Key) {
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
}

pub(super) fn io_error(error: io::Error) -> Error {
    Error::with_source(Kind::Io, error)
}
