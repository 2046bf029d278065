//! A byte stream whose other end is a session of the engine, for whatever wants to read and write by itself: hyper, and
//! the async WebSockets of the library.
//!
//! [`Pipe`] is the task's end, from any thread; [`PipeEnd`] the session's. Both ways hold a bounded number of bytes: the
//! session stops receiving while the task is behind, and the task's writes wait while the peer is.

mod task_end;
#[cfg(test)]
mod tests;
mod worker_end;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::driver::Key;
use crate::server::{Admitted, Place};

pub(crate) use task_end::Pipe;
pub(crate) use worker_end::PipeEnd;

/// How many received bytes wait for the task before the session stops receiving.
const INBOUND: usize = 64 * 1024;
/// How many bytes that were written wait to be sent before writes wait too. It stands for the part of the system's own
/// send buffer that a socket would have.
const OUTBOUND: usize = 64 * 1024;
/// Memory that is kept while nothing is in it, for each direction.
const KEPT: usize = 2048;
/// Written bytes of at least this size change hands with their memory instead of being copied.
const REFERENCED: usize = 16 * 1024;

/// How a pipe tells the engine that there is something to do for one of its sessions. It is rung under the pipe's lock, so
/// that it must not call back.
pub(crate) trait Bell: Send + Sync {
    /// There is something to do for this session.
    fn ring(&self, session: Key);
}

/// Makes both ends. `bell` is rung for `session` when the task has done something that the session has to look at.
pub(crate) fn pipe(bell: Arc<dyn Bell>, session: Key) -> (Pipe, PipeEnd) {
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        bell,
        session,
    });
    (Pipe(Arc::clone(&shared)), PipeEnd(shared))
}

/// What a session has to do for its pipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Orders {
    /// Whether to receive.
    pub(crate) receive: bool,
    /// What to do once everything was sent.
    pub(crate) then: Then,
}

/// What follows when everything was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Then {
    /// There will be more.
    #[default]
    GoOn,
    /// End the sending direction.
    Shutdown,
    /// Close the connection; nobody reads from it.
    Close,
    /// Take the connection [back](PipeEnd::take_back).
    Back,
}

/// What a task gives back along with a connection: the WebSocket that it has become.
pub(crate) type Returned = Box<(Admitted, Place)>;

struct Shared {
    state: Mutex<State>,
    bell: Arc<dyn Bell>,
    session: Key,
}

#[derive(Default)]
struct State {
    inbound: Vec<u8>,
    /// How much of `inbound` the task has read.
    read: usize,
    /// Nothing more will come, and why.
    end: Option<End>,
    reader: Option<Waker>,
    outbound: Vec<u8>,
    /// Bytes that the session has taken and the system has not.
    unsent: usize,
    writer: Option<Waker>,
    then: Then,
    /// The session was told to stop receiving.
    is_paused: bool,
    /// The task has read what there was, and has not been told that nothing more comes.
    has_read: bool,
    /// The bell was rung, and the session has not looked yet.
    is_rung: bool,
    returned: Option<Returned>,
}

#[derive(Clone, Copy)]
enum End {
    Ended,
    /// The peer's direction was cut off: reading fails, and what is written is still sent.
    CutOff,
    Failed(io::ErrorKind, Option<i32>),
}

impl End {
    fn of(error: &io::Error) -> Self {
        Self::Failed(error.kind(), error.raw_os_error())
    }

    fn error(self) -> Option<io::Error> {
        match self {
            Self::Ended => None,
            Self::CutOff => Some(io::ErrorKind::UnexpectedEof.into()),
            Self::Failed(_, Some(code)) => Some(io::Error::from_raw_os_error(code)),
            Self::Failed(kind, None) => Some(kind.into()),
        }
    }
}

impl Shared {
    /// Each change of the state is made whole under the lock, so that a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, state: &mut State) {
        if !std::mem::replace(&mut state.is_rung, true) {
            self.bell.ring(self.session);
        }
    }
}

impl State {
    /// How many received bytes wait for the task.
    fn unread(&self) -> usize {
        self.inbound.len() - self.read
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.read > self.inbound.len() / 2 {
            self.inbound.drain(..self.read);
            self.read = 0;
        }
        self.inbound.extend_from_slice(bytes);
        self.is_paused = self.unread() >= INBOUND;
    }

    fn waiting(&self) -> usize {
        self.outbound.len() + self.unsent
    }

    /// The task can go on to write: there is room again. It is woken at half of the limit, so that it does not run for each
    /// byte that leaves.
    fn writer_with_room(&mut self) -> Option<Waker> {
        let has_room = self.waiting() <= OUTBOUND / 2;
        self.writer.take_if(|_| has_room)
    }

    /// Why nothing can be written.
    fn failure(&self) -> Option<io::Error> {
        let end = self.end.filter(|end| matches!(end, End::Failed(..)));
        end.and_then(End::error)
    }
}

/// Forgets memory that a busy moment left behind.
fn settle(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT);
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
