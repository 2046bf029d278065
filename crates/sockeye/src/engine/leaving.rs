//! How the connections of a worker end with their server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye_proto::{CloseCode, State};

use super::mailbox::Order;
use super::news::News;
use super::owner::Connections;
use super::slot::Phase;
use crate::driver::{Driver, Key};
use crate::server::{Drain, Reached};

/// A shutdown that is going on.
#[derive(Debug)]
pub(super) struct Leaving {
    since: Instant,
    drain: Arc<Drain>,
    next_look: Instant,
}

impl Leaving {
    /// How often there is a look at whose turn it is, at most and at least.
    const LOOKS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));

    fn interval(&self) -> Duration {
        let (least, most) = Self::LOOKS;
        (self.drain.spread / 64).clamp(least, most)
    }
}

impl<D: Driver> Connections<D> {
    /// Begins to close the WebSockets, one after the other over the spread of the drain.
    pub(super) fn drain(&mut self, driver: &mut D, drain: Arc<Drain>) {
        self.tick();
        let now = self.common.now;
        self.leaving = Some(Leaving {
            since: now,
            drain,
            next_look: now,
        });
        for key in self.slots.keys() {
            if let Some(slot) = self.slots.get_mut(key)
                && let Phase::Door(door) = &slot.phase
                && door.is_idle()
            {
                self.remove(driver, key, false);
            }
        }
        self.go_on_leaving(driver);
    }

    /// Closes those whose turn it is. After the deadline, drops what is left; what tasks see to, they end.
    /// Gives whether it was time to.
    pub(super) fn go_on_leaving(&mut self, driver: &mut D) -> bool {
        let now = self.common.now;
        let Some(leaving) = self.leaving.as_mut().filter(|leaving| leaving.next_look <= now) else {
            return false;
        };
        leaving.next_look = now + leaving.interval();
        let passed = now.saturating_duration_since(leaving.since);
        let drain = Arc::clone(&leaving.drain);
        let is_over = passed >= drain.deadline;
        for key in self.slots.keys() {
            if is_over {
                self.force(driver, key);
                continue;
            }
            let Some(slot) = self.slots.get_mut(key) else {
                continue;
            };
            let turn = slot
                .place
                .as_ref()
                .map_or(Duration::ZERO, |place| drain.spread.mul_f64(place.share()));
            if turn <= passed
                && let Phase::Open(open) = &slot.phase
                && open.connection.state() == State::Open
            {
                let order = Order::Close(Some((drain.code, drain.reason.as_str().into())));
                self.news(driver, key, News::Order(order));
            }
        }
        true
    }

    /// Drops a connection because the time is over.
    fn force(&mut self, driver: &mut D, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        match slot.phase {
            Phase::Piped(_) => return,
            Phase::Open(_) => {
                self.reception.forced();
                self.news(driver, key, News::Order(Order::Abort));
            }
            Phase::Door(_) | Phase::Closing(_) => self.reception.forced(),
        }
        self.remove(driver, key, true);
    }

    /// When to [go on](Self::go_on_leaving).
    pub(super) fn leaves_at(&self) -> Option<Instant> {
        self.leaving.as_ref().map(|leaving| leaving.next_look)
    }

    /// Closes all open WebSockets; gives how many that were, without those that were closing already.
    pub(super) fn close_all(&mut self, driver: &mut D, code: CloseCode, reason: &str) -> Reached {
        self.tick();
        let mut reached = Reached::default();
        for key in self.slots.keys() {
            self.with_open(driver, key, |lent, _, _| {
                reached.sent += usize::from(lent.state() == State::Open);
            });
            let order = Order::Close(Some((code, reason.into())));
            self.news(driver, key, News::Order(order));
        }
        reached
    }

    /// Drops all connections.
    pub(super) fn drop_all(&mut self, driver: &mut D) {
        self.tick();
        for key in self.slots.keys() {
            self.news(driver, key, News::Order(Order::Abort));
            self.remove(driver, key, true);
        }
    }
}
