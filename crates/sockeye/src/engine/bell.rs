//! How the tasks of a worker tell it that there is something to do for one of its connections.
//!
//! On the worker's own thread that costs no system call: the worker looks at what was rung before it rests. From other
//! threads, where a connection may have been taken to, it is a letter.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::mailbox::{Letter, Mailbox};
use super::pipe::Bell;
use crate::driver::Key;

/// What was rung for on a worker's thread.
#[derive(Default)]
struct Rung {
    worker: Option<Arc<Mailbox>>,
    connections: Vec<Key>,
    waker: Option<Waker>,
}

thread_local! {
    static RUNG: RefCell<Rung> = RefCell::default();
}

/// The bell of a worker.
pub(super) struct WorkerBell(pub(super) Arc<Mailbox>);

impl Bell for WorkerBell {
    fn ring(&self, session: Key) {
        let is_here = RUNG.try_with(|rung| {
            let mut rung = rung.borrow_mut();
            let is_here = rung
                .worker
                .as_ref()
                .is_some_and(|here| Arc::ptr_eq(here, &self.0));
            if is_here {
                rung.connections.push(session);
                if let Some(waker) = rung.waker.take() {
                    waker.wake();
                }
            }
            is_here
        });
        if !is_here.unwrap_or(false) {
            self.0.post(Letter::Rung(session));
        }
    }
}

/// This thread is the worker with this mailbox.
pub(super) fn attach(worker: &Arc<Mailbox>) {
    RUNG.with_borrow_mut(|rung| rung.worker = Some(Arc::clone(worker)));
}

/// Takes what was rung for.
pub(super) fn take(into: &mut Vec<Key>) {
    RUNG.with_borrow_mut(|rung| into.append(&mut rung.connections));
}

/// Whether anything was rung for.
pub(super) fn is_rung() -> bool {
    RUNG.with_borrow(|rung| !rung.connections.is_empty())
}

/// Waits until something is rung for.
pub(super) fn poll_rung(cx: &mut Context<'_>) -> Poll<()> {
    RUNG.with_borrow_mut(|rung| {
        if !rung.connections.is_empty() {
            return Poll::Ready(());
        }
        rung.waker = Some(cx.waker().clone());
        Poll::Pending
    })
}
