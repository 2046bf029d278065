//! The session's end of a pipe.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::{End, Orders, REFERENCED, Returned, Shared, Then, settle, wake};
use crate::driver::{Outbox, OutputPool};

/// The session's end. When it is dropped, the task's reads and writes fail.
pub(crate) struct PipeEnd(pub(super) Arc<Shared>);

impl PipeEnd {
    /// Gives received bytes to the task; tells whether to go on receiving. What comes after it said no is taken all the
    /// same.
    #[must_use]
    pub(crate) fn received(&self, bytes: &[u8]) -> bool {
        let mut state = self.0.lock();
        if state.then == Then::Close {
            return true;
        }
        state.put(bytes);
        let (reader, goes_on) = (state.reader.take(), !state.is_paused);
        drop(state);
        wake(reader);
        goes_on
    }

    /// The peer sends nothing more.
    pub(crate) fn ended(&self) {
        self.end(End::Ended);
    }

    /// The peer's direction was cut off, so that something may be missing.
    pub(crate) fn cut_off(&self) {
        self.end(End::CutOff);
    }

    /// The connection is lost.
    pub(crate) fn failed(&self, error: &io::Error) {
        self.end(End::of(error));
    }

    fn end(&self, end: End) {
        let mut state = self.0.lock();
        if !matches!(state.end, Some(End::Failed(..))) {
            state.end = Some(end);
        }
        let reader = state.reader.take();
        let writer = match end {
            End::Ended | End::CutOff => None,
            End::Failed(..) => state.writer.take(),
        };
        drop(state);
        wake(reader);
        wake(writer);
    }

    /// Moves what the task wrote into the outbox, and tells what to do. To be called when the bell has rung.
    pub(crate) fn take(&self, outbox: &mut Outbox, pool: &mut OutputPool) -> Orders {
        let mut state = self.0.lock();
        state.is_rung = false;
        state.unsent += state.outbound.len();
        if state.outbound.len() >= REFERENCED {
            outbox
                .open(pool)
                .push(Bytes::from(std::mem::take(&mut state.outbound)));
        } else if !state.outbound.is_empty() {
            outbox.open(pool).tail().extend_from_slice(&state.outbound);
            settle(&mut state.outbound);
        }
        Orders {
            receive: !state.is_paused && state.then != Then::Close,
            then: state.then,
        }
    }

    /// What the task gave back, if it has, and what it has not read.
    pub(crate) fn take_back(&self) -> Option<(Returned, Vec<u8>)> {
        let mut state = self.0.lock();
        let returned = state.returned.take()?;
        let unread = state.inbound[state.read..].to_vec();
        Some((returned, unread))
    }

    /// Whether the peer has ended its direction.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.lock().end.is_some()
    }

    /// Tells how many of the bytes that were taken the system has not taken yet. To be called after each attempt to send.
    pub(crate) fn unsent(&self, count: usize) {
        let mut state = self.0.lock();
        state.unsent = count;
        let writer = state.writer_with_room();
        drop(state);
        wake(writer);
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        if self.0.lock().end.is_none() {
            self.failed(&io::ErrorKind::ConnectionAborted.into());
        }
        // Writes fail after the peer's end too: nobody takes them.
        let mut state = self.0.lock();
        if matches!(state.end, Some(End::Ended | End::CutOff)) {
            state.then = Then::Close;
        }
        let writer = state.writer.take();
        drop(state);
        wake(writer);
    }
}

impl fmt::Debug for PipeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipeEnd").field(&self.0.session).finish()
    }
}
