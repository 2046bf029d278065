//! Who is woken when something happened: the application, the driver, or nobody because both are at work.

use std::task::{Context, Waker};

use super::{Session, Waits, now};

impl Session {
    /// Lets the driver read again, if it had stopped because the application was behind.
    pub(super) fn resume(&mut self) {
        if self.inbox.take_paused() && !self.held {
            self.connection.handle_resumed(now());
            self.wake_driver();
        }
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.senders == 0 && !self.receiver_alive
    }

    pub(super) fn wait_to_write(&mut self, cx: &mut Context<'_>) {
        if !self.writers.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.writers.push(cx.waker().clone());
        }
        self.other_waits();
    }

    pub(super) fn wake_writers(&mut self) {
        if !self.writers.is_empty() {
            std::mem::take(&mut self.writers)
                .into_iter()
                .for_each(Waker::wake);
        }
    }

    /// Has the driver look at the session, because the application did something.
    pub(super) fn wake_driver(&mut self) {
        self.dirty = true;
        if !self.attended
            && !std::mem::replace(&mut self.is_summoned, true)
            && let Some(driver) = &self.driver
        {
            driver.wake_by_ref();
        }
    }

    /// Has the driver look at the transport and the clock.
    ///
    /// Whoever waits for a message runs the driver by itself. Only if others wait too the standby is woken as well:
    /// nobody but the runtime knows whether a future that waits will be polled.
    ///
    /// Gives whom to wake once the lock is released: they take it at once, perhaps on another thread.
    pub(super) fn summon(&mut self) -> [Option<Waker>; 2] {
        self.dirty = true;
        if self.attended {
            return [None, None];
        }
        let reader = self.reader.clone().filter(|_| self.waits == Waits::Driving);
        let waits_for_pong = self.pings.as_ref().is_some_and(|pings| pings.are_waited_for());
        let only_reader = reader.is_some() && self.writers.is_empty() && !waits_for_pong && !self.is_watched;
        if only_reader || std::mem::replace(&mut self.is_summoned, true) {
            return [reader, None];
        }
        [reader, self.driver.clone()]
    }

    /// Somebody else than the one who receives waits for the driver.
    pub(super) fn other_waits(&mut self) {
        if self.is_unattended() && self.waits == Waits::Driving {
            self.wake_driver();
        }
    }

    /// The task that would have run the driver waits no more.
    pub(super) fn reader_gone(&mut self) {
        self.reader = None;
        self.waits = Waits::Woken;
        if self.is_unattended() {
            self.wake_driver();
        }
    }

    /// Whether there is something that the driver has to act on, and nobody does.
    pub(super) fn is_unattended(&self) -> bool {
        self.dirty && !self.attended && !self.yields
    }

    /// Whether the driver is to go on after it [yielded](Self::yield_now).
    pub(super) fn takes_turns(&self) -> bool {
        self.yields && !self.attended
    }

    /// Whether the driver yielded, and the standby looked for it before it was back.
    pub(super) fn has_missed_turn(&self) -> bool {
        self.takes_turns() && !self.is_summoned
    }

    /// Notes that the driver is at work, until it [rests](Self::rest) or [yields](Self::yield_now).
    pub(super) fn attend(&mut self) {
        self.dirty = false;
        self.yields = false;
        self.attended = true;
    }

    /// Lets the driver rest until it is woken, unless there is something left to act on; gives whether it may.
    pub(super) fn rest(&mut self) -> bool {
        self.attended = self.dirty;
        !self.dirty
    }

    /// Lets other tasks have their turn, and wakes the driver to go on after them.
    pub(super) fn yield_now(&mut self) {
        self.attended = false;
        self.yields = true;
        self.wake_driver();
    }

    /// Tells who waits for a message that there is one. A handler is polled in this turn anyway: waking its task would
    /// only make that run once more for nothing.
    pub(super) fn wake_reader(&mut self) {
        if !self.inbox.is_empty()
            && self.waits != Waits::Joined
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
    }
}
