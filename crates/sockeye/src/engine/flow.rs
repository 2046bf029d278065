//! What waits to be sent to the peers of open WebSockets, and what waits to be received from them.

use bytes::{Buf as _, BytesMut};
use sockeye_proto::State;

use super::ending::io_error;
use super::news::News;
use super::owner::Connections;
use super::session::{Extra, Rare};
use super::slot::Phase;
use crate::driver::{Driver, Key};

impl<D: Driver> Connections<D> {
    /// Looks after a slot that was changed from elsewhere.
    pub(super) fn look(&mut self, driver: &mut D, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        // Mostly something was published, and that is all.
        if let Phase::Open(open) = &slot.phase
            && slot.has_output()
            && !slot.flags.is_full
            && !slot.flags.wants_care()
            && !open.connection.has_output()
            && open.connection.state() == State::Open
        {
            return self.flush(driver, key);
        }
        if slot.flags.resumes {
            return self.resume(driver, key);
        }
        if self.has_caught_up(driver, key) {
            return self.news(driver, key, News::CaughtUp);
        }
        self.news(driver, key, News::Writable);
    }

    /// Whether so little waits for the peer that the handler is to be told, who was told that much does.
    pub(super) fn has_caught_up(&mut self, driver: &mut D, key: Key) -> bool {
        let Some(slot) = self.slots.get_mut(key).filter(|slot| slot.flags.is_behind) else {
            return false;
        };
        let Phase::Open(open) = &slot.phase else {
            return false;
        };
        let Some(route) = self.routes.get_mut(open.seat.route) else {
            return false;
        };
        let waits = slot.waiting() + driver.in_flight(&slot.socket);
        waits <= open.queues(&route.queues).low_water
    }

    /// Hands out what came while receiving was paused, then receives again, or tells that nothing more comes.
    pub(super) fn resume(&mut self, driver: &mut D, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        slot.flags.resumes = false;
        let Phase::Open(open) = &mut slot.phase else {
            return;
        };
        let extra = open.extra.as_mut();
        let mut unread = extra.map_or_else(BytesMut::new, |extra| std::mem::take(&mut extra.unread));
        self.common.rest = Some(0);
        self.news(driver, key, News::Received(&mut unread));
        let rest = self.common.rest.take().unwrap_or(0);
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        // The next pause may have come before the end of it.
        if let Phase::Open(open) = &mut slot.phase
            && rest > 0
        {
            unread.advance(unread.len() - rest);
            Extra::of(open).unread = unread;
        }
        if slot.flags.rare.has(Rare::ENDED) {
            return self.end_came(driver, key);
        }
        if !slot.flags.is_paused
            && let Err(error) = driver.set_receiving(&mut slot.socket, true)
        {
            self.news(driver, key, News::Lost(io_error(error)));
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

    /// The driver has all that waited. From here on the peer has its time to take what it has no room for.
    #[inline]
    pub(super) fn given(&mut self, driver: &D, key: Key) {
        let now = self.common.now;
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let is_behind = driver.is_behind(&slot.socket);
        if !is_behind {
            slot.stalled = None;
        }
        let Phase::Open(open) = &mut slot.phase else {
            return;
        };
        if !is_behind {
            // What the driver has may not have reached the system, which may turn out to have no room: the peer's time to
            // answer a Ping begins when nothing is in flight. Asked only then, the driver tells of that.
            if open.connection.awaits_flush()
                && driver.in_flight(&slot.socket) == 0
                && open.connection.handle_flushed(now)
            {
                self.rearm(key);
            }
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
    pub(super) fn stalled(&mut self, key: Key) {
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
}
