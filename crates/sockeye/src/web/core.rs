//! What a WebSocket is behind its handles: the state that scripts see, and the tasks that change it.
//!
//! Everything observable changes in a task of the [`EventLoop`], except by the methods of the handle itself. The
//! [`connection`](super::connection) lives in parallel: it is told by [`Core::changed`], and answers with tasks.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sockeye_proto::CloseCode;
use tokio::sync::Notify;
use url::Url;

use super::data::{BinaryType, Data, MessageData};
use super::environment::Environment;
use super::event::{CloseEvent, CloseEventInit, Event, MessageEvent};
use super::event_loop::EventLoop;
use super::event_target::EventTarget;
use super::websocket::{ReadyState, WebSocket};
use crate::error::{Error, Kind};
use crate::message::{Message, Utf8Bytes};

/// Bytes of received messages that wait for their tasks to run before reading stops.
const RECEIVE_AHEAD: usize = 64 * 1024;

/// What a message in the queue of the loop costs beside its payload: many small messages count as much as a large one.
const OVERHEAD: usize = 256;

pub(super) struct Core {
    pub(super) url: Url,
    /// The serialised origin of the URL, which messages carry.
    origin: Utf8Bytes,
    environment: Environment,
    event_loop: EventLoop,
    pub(super) target: Arc<EventTarget>,
    state: Mutex<State>,
    /// How many handles there are.
    handles: AtomicUsize,
    /// Tells the connection that there is something to do for it.
    changed: Notify,
    /// Tells the connection that messages were taken.
    taken: Notify,
    /// Bytes of messages whose tasks have not run.
    received: AtomicUsize,
}

struct State {
    ready_state: ReadyState,
    protocol: Utf8Bytes,
    extensions: Utf8Bytes,
    binary_type: BinaryType,
    /// As scripts see it.
    buffered: u64,
    /// What was handed to the network and not subtracted from `buffered` yet.
    transmitted: u64,
    /// What is really held for the network.
    held: u64,
    outgoing: VecDeque<Outgoing>,
    giving_up: Option<GivingUp>,
    /// Nobody can observe the WebSocket any more.
    collected: bool,
    failure: Option<Error>,
}

/// What the connection is to send next.
#[derive(Clone, Debug)]
pub(super) enum Outgoing {
    Data(Data),
    Close(Option<(CloseCode, Utf8Bytes)>),
}

/// The connection has to be failed.
#[derive(Clone, Debug)]
pub(super) struct GivingUp {
    pub(super) error: Error,
    /// With a Close frame for the peer, or without a word.
    pub(super) close: Option<CloseCode>,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) close: CloseEventInit,
    /// The standard asked for the connection to be failed, so that there is an `error` event.
    pub(super) failed: bool,
    pub(super) error: Option<Error>,
}

impl End {
    /// The connection failed: scripts learn no more than that.
    pub(super) fn failed(error: Error) -> Self {
        Self {
            close: CloseEventInit {
                code: 1006,
                ..CloseEventInit::default()
            },
            failed: true,
            error: Some(error),
        }
    }
}

impl Core {
    pub(super) fn new(url: Url, environment: Environment, event_loop: EventLoop) -> Arc<Self> {
        Arc::new(Self {
            origin: url.origin().ascii_serialization().into(),
            url,
            environment,
            event_loop,
            target: Arc::default(),
            state: Mutex::new(State {
                ready_state: ReadyState::Connecting,
                protocol: Utf8Bytes::default(),
                extensions: Utf8Bytes::default(),
                binary_type: BinaryType::default(),
                buffered: 0,
                transmitted: 0,
                held: 0,
                outgoing: VecDeque::new(),
                giving_up: None,
                collected: false,
                failure: None,
            }),
            handles: AtomicUsize::new(0),
            changed: Notify::new(),
            taken: Notify::new(),
            received: AtomicUsize::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // For the handles

    pub(super) fn ready_state(&self) -> ReadyState {
        self.lock().ready_state
    }

    pub(super) fn buffered_amount(&self) -> u64 {
        self.lock().buffered
    }

    pub(super) fn protocol(&self) -> Utf8Bytes {
        self.lock().protocol.clone()
    }

    pub(super) fn extensions(&self) -> Utf8Bytes {
        self.lock().extensions.clone()
    }

    pub(super) fn binary_type(&self) -> BinaryType {
        self.lock().binary_type
    }

    pub(super) fn set_binary_type(&self, binary_type: BinaryType) {
        self.lock().binary_type = binary_type;
    }

    pub(super) fn failure(&self) -> Option<Error> {
        self.lock().failure.clone()
    }

    /// Queues data. What is sent when the connection is closing is dropped, but counts.
    pub(super) fn send(&self, data: Data) {
        let length = data.len();
        let mut state = self.lock();
        state.buffered = state.buffered.saturating_add(length);
        if state.ready_state != ReadyState::Open || state.giving_up.is_some() {
            return;
        }
        state.held = state.held.saturating_add(length);
        let limit = self.environment.max_buffered();
        if state.held > limit {
            let full = format!("more than {limit} bytes wait to be sent");
            state.give_up(Error::other(full), None);
        } else {
            state.outgoing.push_back(Outgoing::Data(data));
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Closes, as far as the state lets it (WebSockets Standard §3, "close a WebSocket object").
    pub(super) fn close(&self, frame: Option<(CloseCode, Utf8Bytes)>) {
        let mut state = self.lock();
        match state.ready_state {
            ReadyState::Closing | ReadyState::Closed => return,
            ReadyState::Connecting => state.give_up(Error::new(Kind::Aborted), None),
            ReadyState::Open => state.outgoing.push_back(Outgoing::Close(frame)),
        }
        state.ready_state = ReadyState::Closing;
        drop(state);
        self.changed.notify_waiters();
    }

    /// Calls the listeners at once. Gives whether the event was not canceled; `None` if it is on its way already.
    pub(super) fn dispatch(self: &Arc<Self>, event: &Event, trusted: bool) -> Option<bool> {
        if !event.set_out(WebSocket::of(self.clone()), trusted) {
            return None;
        }
        self.target.invoke(event, self.environment.reporter());
        Some(!event.arrive())
    }

    pub(super) fn handle_added(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn handle_dropped(&self) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.collect();
        }
    }

    /// Closes the connection when nobody holds the WebSocket and no event of it would be heard (WebSockets Standard
    /// §7, "garbage collection").
    fn collect(&self) {
        if self.handles.load(Ordering::Acquire) > 0 {
            return;
        }
        let heard: &[&str] = match self.ready_state() {
            ReadyState::Connecting => &["open", "message", "error", "close"],
            ReadyState::Open => &["message", "error", "close"],
            ReadyState::Closing => &["error", "close"],
            ReadyState::Closed => return,
        };
        if self.target.listens_to(heard) {
            return;
        }
        let mut state = self.lock();
        if std::mem::replace(&mut state.collected, true) {
            return;
        }
        match state.ready_state {
            ReadyState::Connecting => state.give_up(Error::new(Kind::Aborted), None),
            // "… with no status code for the Close message." What was sent before goes out before it.
            ReadyState::Open => state.outgoing.push_back(Outgoing::Close(None)),
            ReadyState::Closing | ReadyState::Closed => {}
        }
        drop(state);
        self.changed.notify_waiters();
    }

    // For the connection

    /// Waits until the connection has to be failed.
    pub(super) async fn given_up(&self) -> GivingUp {
        self.when(|state| state.giving_up.clone()).await
    }

    /// Waits for what is to be sent next. It stays in the queue until it [was sent](Self::sent).
    pub(super) async fn next_outgoing(&self) -> Outgoing {
        self.when(|state| state.outgoing.front().cloned()).await
    }

    /// What was next was sent.
    pub(super) fn sent(&self) {
        self.lock().outgoing.pop_front();
        self.changed.notify_waiters();
    }

    /// Waits until listeners have heard everything that was received, and what they answered was sent.
    pub(super) async fn settled(&self) {
        let settled = |state: &State| self.received.load(Ordering::Acquire) == 0 && state.outgoing.is_empty();
        self.when(|state| settled(state).then_some(())).await;
    }

    async fn when<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            // Before the look, or a change right after it would be missed.
            let changed = self.changed.notified();
            let found = look(&mut self.lock());
            if let Some(found) = found {
                return found;
            }
            changed.await;
        }
    }

    /// Has the connection failed.
    pub(super) fn give_up(&self, error: Error, close: Option<CloseCode>) {
        self.lock().give_up(error, close);
        self.changed.notify_waiters();
    }

    /// Bytes of payload were handed to the network. Scripts see that from their next task on.
    pub(super) fn transmitted(self: &Arc<Self>, bytes: u64) {
        let mut state = self.lock();
        state.held -= bytes;
        let first = state.transmitted == 0;
        state.transmitted += bytes;
        drop(state);
        if first && bytes > 0 {
            self.queue(|core| {
                let mut state = core.lock();
                state.buffered -= std::mem::take(&mut state.transmitted);
            });
        }
    }

    /// Waits until listeners have caught up with what was received.
    pub(super) async fn room(&self) {
        while self.received.load(Ordering::Acquire) >= RECEIVE_AHEAD {
            self.taken.notified().await;
        }
    }

    // Tasks (WebSockets Standard §5, "feedback from the protocol")

    /// "When the WebSocket connection is established".
    pub(super) fn established(self: &Arc<Self>, protocol: Utf8Bytes, extensions: Utf8Bytes) {
        self.queue(move |core| {
            {
                let mut state = core.lock();
                if state.ready_state != ReadyState::Connecting {
                    return;
                }
                state.ready_state = ReadyState::Open;
                state.protocol = protocol;
                state.extensions = extensions;
            }
            core.fire(&Event::trusted("open"));
        });
    }

    /// "When a WebSocket message has been received".
    pub(super) fn message(self: &Arc<Self>, message: Message) {
        let size = message.len() + OVERHEAD;
        self.received.fetch_add(size, Ordering::Release);
        self.queue(move |core| {
            core.hear(message);
            core.received.fetch_sub(size, Ordering::AcqRel);
            core.taken.notify_one();
            core.changed.notify_waiters();
        });
    }

    fn hear(self: &Arc<Self>, message: Message) {
        let binary_type = {
            let state = self.lock();
            if state.ready_state != ReadyState::Open {
                return;
            }
            state.binary_type
        };
        let data = match message {
            Message::Text(text) => MessageData::Text(text),
            Message::Binary(bytes) => binary(bytes, binary_type),
        };
        self.fire(&MessageEvent::trusted(data, self.origin.clone()));
    }

    /// "When the WebSocket closing handshake is started".
    pub(super) fn closing(self: &Arc<Self>) {
        self.queue(|core| {
            let mut state = core.lock();
            state.ready_state = state.ready_state.max(ReadyState::Closing);
        });
    }

    /// "When the WebSocket connection is closed".
    pub(super) fn closed(self: &Arc<Self>, end: End) {
        self.queue(move |core| {
            {
                let mut state = core.lock();
                state.ready_state = ReadyState::Closed;
                state.failure = end.error;
                state.outgoing.clear();
            }
            if end.failed {
                core.fire(&Event::trusted("error"));
            }
            core.fire(&CloseEvent::trusted(end.close));
            // No event will come any more. Listeners that hold a handle would keep each other alive for ever.
            core.target.clear();
        });
    }

    fn fire(self: &Arc<Self>, event: &Event) {
        // It was just made, so it cannot be on its way.
        let _ = self.dispatch(event, true);
    }

    fn queue(self: &Arc<Self>, task: impl FnOnce(&Arc<Self>) + Send + 'static) {
        let core = self.clone();
        self.event_loop.queue(move || {
            task(&core);
            core.collect();
        });
    }
}

fn binary(bytes: Bytes, binary_type: BinaryType) -> MessageData {
    match binary_type {
        BinaryType::Blob => MessageData::Blob(bytes.into()),
        BinaryType::ArrayBuffer => MessageData::ArrayBuffer(bytes),
    }
}

impl State {
    fn give_up(&mut self, error: Error, close: Option<CloseCode>) {
        self.outgoing.clear();
        self.giving_up.get_or_insert(GivingUp { error, close });
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("WebSocket")
            .field("url", &self.url.host_str())
            .field("ready_state", &state.ready_state)
            .field("buffered_amount", &state.buffered)
            .finish_non_exhaustive()
    }
}
