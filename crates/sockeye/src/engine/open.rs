//! What arrives on an open WebSocket, told to its handler.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sockeye_proto::{CloseCode, CloseFrame, State, Workspace};

use super::common::{Closed, Stop};
use super::handler::CloseEvent;
use super::route::Seats;
use super::session::{Lent, Rare};
use crate::error::Kind;
use crate::hub::Change;
use crate::{CloseInfo, Error, Utf8Bytes};

/// The reason in the Close frame after a panic. What panicked is nobody's business but the log's.
const PANICKED: &str = "the handler panicked";

/// An open WebSocket and the handler to tell of it.
pub(super) struct Telling<'t> {
    pub(super) lent: Lent<'t>,
    pub(super) seats: &'t mut dyn Seats,
    pub(super) seat: u32,
}

impl Telling<'_> {
    /// Hands out what `bytes` amount to. What comes behind a pause is kept for later, what comes behind the end dropped.
    pub(super) fn receive(&mut self, bytes: &mut [u8], workspace: &mut Workspace) {
        // What was kept during a pause comes first, at the end of the turn.
        if self.lent.flags.resumes {
            return self.lent.keep_unread(bytes);
        }
        self.guard(|telling| {
            telling
                .seats
                .read(telling.seat, telling.lent.reborrow(), bytes, workspace)
        });
        if self.lent.common.stop.is_some() {
            self.stopped();
        }
    }

    /// Goes on with the message in whose memory `count` bytes were received.
    #[inline(never)]
    pub(super) fn receive_in_place(&mut self, count: usize, workspace: &mut Workspace) {
        self.guard(|telling| {
            telling
                .seats
                .read_in_place(telling.seat, telling.lent.reborrow(), count, workspace);
        });
        if self.lent.common.stop.is_some() {
            self.stopped();
        }
    }

    /// What was received says that the WebSocket closes.
    #[inline(never)]
    fn stopped(&mut self) {
        match self.lent.common.stop.take() {
            Some(Stop::Close(code, reason)) => {
                self.write_owed();
                self.close(code, &reason, None);
            }
            Some(Stop::Failure(error)) => self.failed(error.into()),
            None => {}
        }
    }

    pub(super) fn opened(&mut self) {
        self.guard(|telling| telling.seats.open(telling.seat, telling.lent.reborrow()));
    }

    /// Says that the peer has caught up.
    pub(super) fn drained(&mut self) {
        self.guard(|telling| telling.seats.drain(telling.seat, telling.lent.reborrow()));
    }

    /// Tells of the topics that it was subscribed to, or unsubscribed from.
    #[inline(never)]
    pub(super) fn subscriptions_changed(&mut self) {
        while let Some(Change { topic, new, old }) = self.lent.common.changes.pop_front() {
            self.guard(|telling| {
                let (seat, lent) = (telling.seat, telling.lent.reborrow());
                telling.seats.subscription(seat, lent, &topic, new, old);
            });
        }
    }

    pub(super) fn dropped(&mut self, message: crate::MessageRef<'_>, topic: Option<&str>) {
        self.guard(|telling| {
            telling
                .seats
                .dropped(telling.seat, telling.lent.reborrow(), message, topic);
        });
    }

    /// Acts on the deadlines that have passed.
    pub(super) fn timed_out(&mut self) {
        let now = self.lent.common.now;
        if let Err(error) = self.lent.open.connection.handle_timeout(now) {
            // At the end of its lifetime a connection closes like any other.
            if self.lent.open.connection.state() == State::Closed {
                self.failed(error.into());
            } else {
                self.lent.common.metrics.failed(&error);
                self.lent.resume();
            }
        }
    }

    /// The transport ended.
    pub(super) fn ended(&mut self) {
        if let Err(error) = self.lent.open.connection.handle_eof() {
            self.failed(error.into());
        }
    }

    /// The transport failed, or is given up for this reason.
    pub(super) fn lost(&mut self, error: Error) {
        let _ = self.lent.open.connection.handle_eof();
        self.failed(error);
    }

    /// Takes note of what a callback asked for that cannot be done under its feet, and of what the protocol owes.
    pub(super) fn settle(&mut self) {
        let lent = &mut self.lent;
        if lent.flags.is_aborted {
            let _ = lent.open.connection.handle_eof();
            lent.out.discard(&mut lent.common.pool);
            return self.failed(Error::new(Kind::Aborted));
        }
        let hang_up = lent.open.extra.as_mut().and_then(|extra| extra.hang_up.take());
        if let Some((code, reason)) = hang_up {
            return self.close(code.get(), &reason, None);
        }
        self.write_owed();
    }

    fn write_owed(&mut self) {
        self.lent.write_owed();
    }

    /// The connection failed: tells the peer, if it can be told, and the handler.
    fn failed(&mut self, error: Error) {
        if self.lent.flags.rare.has(Rare::TOLD) {
            return;
        }
        if let Some(error) = error.protocol() {
            self.lent.common.metrics.failed(&error);
        }
        self.write_owed();
        match error.close_code() {
            Some(code) => self.close(code.get(), &error.to_string(), Some(&error)),
            None => self.close(1006, "", Some(&error)),
        }
    }

    /// Tells the handler, once, that the WebSocket has closed.
    fn close(&mut self, code: u16, reason: &str, error: Option<&Error>) {
        let flags = &mut *self.lent.flags;
        if flags.rare.set(Rare::TOLD, true) {
            return;
        }
        flags.is_over = true;
        if let Some(identity) = self
            .lent
            .open
            .extra
            .as_ref()
            .and_then(|extra| extra.identity.as_ref())
        {
            identity.retire();
        }
        self.lent.common.metrics.closed(code);
        let clean = self.lent.open.connection.is_close_complete();
        // What the peer said, it said in a Close frame.
        let said = clean && error.is_none();
        self.lent.common.closed = Some(Box::new(Closed {
            code,
            info: CloseInfo {
                code: if said { code } else { 1006 },
                reason: if said { reason.into() } else { Utf8Bytes::default() },
                clean,
            },
            failure: error.cloned(),
        }));
        let end = CloseEvent {
            code,
            reason,
            was_clean: self.lent.open.connection.is_close_complete(),
            error,
        };
        self.leave_topics();
        let (seats, lent) = (&mut *self.seats, self.lent.reborrow());
        let close = AssertUnwindSafe(|| seats.close(self.seat, lent, end));
        if catch_unwind(close).is_err() {
            tracing::error!("a handler panicked in `close`");
        }
        let leave = AssertUnwindSafe(|| self.seats.leave(self.seat));
        if catch_unwind(leave).is_err() {
            tracing::error!("the data of a WebSocket panicked as it was dropped");
        }
    }

    /// Ends all subscriptions.
    fn leave_topics(&mut self) {
        self.lent.common.changes.clear();
        while let Some(Change { topic, new, old }) = self.lent.common.hub.leave(self.lent.key.index() as u32)
        {
            let (seats, lent) = (&mut *self.seats, self.lent.reborrow());
            let tell = AssertUnwindSafe(|| seats.subscription(self.seat, lent, &topic, new, old));
            if catch_unwind(tell).is_err() {
                tracing::error!("a handler panicked in `subscription`");
            }
        }
    }

    /// Calls into the application. If that panics, the connection is closed with 1011.
    #[inline]
    fn guard(&mut self, call: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| call(self))).is_err() {
            self.panicked();
        }
    }

    #[cold]
    fn panicked(&mut self) {
        tracing::error!("a handler panicked; its connection is closed");
        let code = CloseCode::INTERNAL_ERROR;
        let frame = CloseFrame::truncated(code, PANICKED);
        let now = self.lent.common.now;
        self.lent.open.connection.fail(frame, now);
        self.write_owed();
        let error = Error::new(Kind::Application(PANICKED.to_owned()));
        self.close(code.get(), PANICKED, Some(&error));
    }
}
