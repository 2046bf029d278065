//! What the handles and the task have in common.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use sockeye_proto::CloseCode;
use tokio::sync::{Notify, broadcast};

use super::cause::{Cause, GaveUp};
use super::event::{Event, Events, KEPT};
use super::queue::Queue;
use crate::error::Error;
use crate::message::Message;
use crate::session::CloseInfo;
use crate::websocket;

/// Bytes of messages from connections that have ended, overhead included, that wait for the application before another
/// attempt is made.
const MAX_LEFT: usize = 64 * 1024;

/// What a message costs beside its payload, in bytes.
const OVERHEAD: usize = size_of::<(u64, Message)>() + 32;

pub(super) struct Shared {
    state: Mutex<State>,
    /// Those who cannot queue their message at once take turns, so that they do so in the order in which they came.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Something changed for the task.
    work: Notify,
    /// Something changed for those who wait for room, for a connection, or for the end.
    progress: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: Queue,
    /// How many stand in line for the [turn](Shared::turn), or have it.
    pub(super) in_line: usize,
    /// The open connection.
    pub(super) open: Option<u64>,
    /// The application wants no further connection.
    pub(super) stop: Option<Stop>,
    /// The next attempt shall be made at once.
    pub(super) hurry: bool,
    /// The network may have changed.
    pub(super) network_changed: bool,
    /// The open connection cannot be used.
    pub(super) unusable: Option<Error>,
    /// The receiving half of the newest connection, until the application comes for it.
    receiver: Option<(u64, websocket::Receiver)>,
    /// What it had, if it has ended before.
    left: VecDeque<(u64, Message)>,
    left_size: usize,
    receiver_alive: bool,
    reader: Option<Waker>,
    pub(super) ended: Option<Ended>,
    /// Gone once the last event was told.
    events: Option<broadcast::Sender<Event>>,
    /// For the first who asks.
    first_events: Option<broadcast::Receiver<Event>>,
}

/// How the application closes the client.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    pub(super) code: CloseCode,
    pub(super) reason: String,
}

/// How the client ended.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    /// It was closed, and the connection with it if there was one.
    Closed(Option<CloseInfo>),
    /// It was closed, and the connection failed before that was done.
    Failed(Error),
    GaveUp(GaveUp),
}

/// Where a received message comes from.
#[derive(Debug)]
pub(super) enum Source {
    Message(u64, Message),
    Receiver(u64, websocket::Receiver),
    Ended(Ended),
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Reconnecting")
            .field("open", &state.open)
            .field("queued", &state.queue.len())
            .field("ended", &state.ended)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(queue: Queue) -> Self {
        let (events, first_events) = broadcast::channel(KEPT);
        Self {
            state: Mutex::new(State {
                queue,
                in_line: 0,
                open: None,
                stop: None,
                hurry: false,
                network_changed: false,
                unusable: None,
                receiver: None,
                left: VecDeque::new(),
                left_size: 0,
                receiver_alive: true,
                reader: None,
                ended: None,
                events: Some(events),
                first_events: Some(first_events),
            }),
            turn: tokio::sync::Mutex::new(()),
            work: Notify::new(),
            progress: Notify::new(),
        }
    }

    /// The state. No application code runs under the lock, so that a panic cannot leave it half changed.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // For the handles

    /// Changes something, and lets everybody look who may be waiting for it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.work.notify_one();
        self.progress.notify_waiters();
        result
    }

    /// Closes the client, unless that has begun.
    pub(super) fn stop(&self, code: CloseCode, reason: String) {
        self.change(|state| _ = state.stop.get_or_insert(Stop { code, reason }));
    }

    /// Waits until `look` finds what it looks for; for any number of waiters.
    pub(super) async fn find<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            // Before the look, or a change right after it would be missed.
            let progress = self.progress.notified();
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            progress.await;
        }
    }

    /// The next of what there is to receive.
    pub(super) fn poll_source(&self, cx: &mut Context<'_>) -> Poll<Source> {
        let mut state = self.lock();
        if let Some((connection, message)) = state.left.pop_front() {
            state.left_size -= message.len() + OVERHEAD;
            // The next attempt may wait for that.
            self.work.notify_one();
            return Poll::Ready(Source::Message(connection, message));
        }
        if let Some((connection, receiver)) = state.receiver.take() {
            return Poll::Ready(Source::Receiver(connection, receiver));
        }
        if let Some(ended) = &state.ended {
            return Poll::Ready(Source::Ended(ended.clone()));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn receiver_dropped(&self) {
        let receiver = self.change(|state| {
            state.receiver_alive = false;
            state.left = VecDeque::new();
            state.left_size = 0;
            state.receiver.take()
        });
        // Its own lock is taken when it is dropped: not under ours.
        drop(receiver);
    }

    pub(super) fn events(&self) -> Events {
        let mut state = self.lock();
        let first = state.first_events.take();
        let events = first.or_else(|| state.events.as_ref().map(broadcast::Sender::subscribe));
        Events { events }
    }

    // For the task

    /// Waits until `look` finds what it looks for; for the task alone.
    pub(super) async fn until<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            self.work.notified().await;
        }
    }

    pub(super) fn emit(&self, event: Event) {
        tracing::debug!(?event, "reconnecting client");
        if let Some(events) = &self.lock().events {
            // Nobody may listen.
            let _ = events.send(event);
        }
    }

    /// Takes note of an open connection.
    pub(super) fn opened(&self, connection: u64, receiver: websocket::Receiver) {
        let mut unwanted = Some(receiver);
        let reader = self.change(|state| {
            state.open = Some(connection);
            state.unusable = None;
            state.network_changed = false;
            if state.receiver_alive {
                state.receiver = unwanted.take().map(|receiver| (connection, receiver));
            }
            state.reader.take()
        });
        reader.into_iter().for_each(Waker::wake);
    }

    /// Takes note of the end of a connection; gives how many messages are unknown and how many wait.
    pub(super) fn lost(&self, connection: u64) -> (usize, usize) {
        let receiver = self.lock().receiver.take();
        let mut left = receiver.map_or_else(Vec::new, |(_, receiver)| remainder(receiver));
        self.change(|state| {
            state.open = None;
            if state.receiver_alive {
                state.left_size += left.iter().map(|message| message.len() + OVERHEAD).sum::<usize>();
                let numbered = left.drain(..).map(|message| (connection, message));
                state.left.extend(numbered);
            }
            let unknown = state.queue.lost(connection);
            (unknown, state.queue.len())
        })
    }

    /// The client has ended, with this event as its last.
    pub(super) fn end(&self, ended: Ended) {
        let last = match &ended {
            Ended::Closed(info) => Event::Closed { info: info.clone() },
            Ended::Failed(_) => Event::Closed { info: None },
            Ended::GaveUp(gave_up) => Event::GaveUp(gave_up.clone()),
        };
        self.emit(last);
        let reader = self.change(|state| {
            state.events = None;
            state.open = None;
            state.queue.end();
            state.ended = Some(ended);
            state.reader.take()
        });
        reader.into_iter().for_each(Waker::wake);
    }
}

impl Ended {
    /// The end of a client that was to be closed when its connection ended by itself.
    pub(super) fn with(cause: Cause) -> Self {
        match cause {
            Cause::Closed(info) => Self::Closed(Some(info)),
            cause => cause.error().cloned().map_or(Self::Closed(None), Self::Failed),
        }
    }
}

impl State {
    /// Whether the application has to take what earlier connections left before there may be another one.
    pub(super) fn is_behind(&self) -> bool {
        self.left_size >= MAX_LEFT
    }

    pub(super) fn has_ended(&self) -> bool {
        self.stop.is_some() || self.ended.is_some()
    }
}

/// What an ended connection still has.
fn remainder(mut receiver: websocket::Receiver) -> Vec<Message> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut messages = Vec::new();
    // An error comes last, and is told by the task.
    while let Poll::Ready(Some(Ok(message))) = std::pin::Pin::new(&mut receiver).poll_next(&mut cx) {
        messages.push(message);
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::reconnect::{Capacity, Promise};

    #[tokio::test]
    async fn events_before_the_first_listener_are_kept_for_it() {
        let shared = Shared::new(Queue::new(Promise::default(), Capacity::default()));
        shared.emit(Event::Connecting { attempt: 1 });
        let mut first = shared.events();
        let mut second = shared.events();
        shared.emit(Event::Connecting { attempt: 2 });
        assert!(matches!(
            first.recv().await,
            Some(Event::Connecting { attempt: 1 })
        ));
        assert!(matches!(
            second.recv().await,
            Some(Event::Connecting { attempt: 2 })
        ));
        shared.end(Ended::Closed(None));
        assert!(matches!(second.recv().await, Some(Event::Closed { info: None })));
        assert!(second.recv().await.is_none());
        assert!(shared.events().recv().await.is_none());
    }

    #[tokio::test]
    async fn a_listener_that_is_behind_is_told_what_it_missed() {
        let shared = Shared::new(Queue::new(Promise::default(), Capacity::default()));
        for attempt in 0..100 {
            shared.emit(Event::Connecting { attempt });
        }
        let mut events = shared.events();
        assert!(matches!(events.recv().await, Some(Event::Missed { count: 36 })));
        assert!(matches!(
            events.recv().await,
            Some(Event::Connecting { attempt: 36 })
        ));
    }
}
