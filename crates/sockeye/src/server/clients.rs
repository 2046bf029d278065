//! The open WebSockets of a server: who they are, and what can be done to all of them at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockeye_proto::{CloseCode, CloseFrame};
#[cfg(engine)]
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use super::ConnectionInfo;
use crate::message::AsMessage;
use crate::{Sender, WeakSender};

/// An open WebSocket of a server, as [`ServerHandle::clients`](super::ServerHandle::clients) lists it.
///
/// It holds a [`Sender`] and so keeps the connection open; keep its [`WeakSender`](crate::WeakSender) in
/// lists of your own.
#[derive(Clone, Debug)]
pub struct ConnectedClient {
    info: Arc<ConnectionInfo>,
    route: Option<Arc<str>>,
    sender: Sender,
}

impl ConnectedClient {
    pub(super) fn new(info: Arc<ConnectionInfo>, route: Option<Arc<str>>, sender: Sender) -> Self {
        Self { info, route, sender }
    }

    /// The number, ends and TLS facts of the connection.
    pub fn connection(&self) -> &ConnectionInfo {
        &self.info
    }

    /// The pattern of its route, such as `/rooms/{room}`; `None` for a WebSocket that the server's fallback
    /// made with `sockeye::axum` or `sockeye::hyper`.
    ///
    /// What else the application wants to know its clients by, the upgrade hook attaches
    /// ([`Accept::data`](super::Accept::data)) and [`Sender::data`] has.
    pub fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// The handle to send to it, to close it or to drop it.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }
}

/// An open WebSocket of a [`Handler`](super::Handler), as
/// [`ServerHandle::sockets`](super::ServerHandle::sockets) lists it.
#[cfg(engine)]
#[derive(Debug)]
pub struct ConnectedSocket(pub(super) crate::engine::Listed);

#[cfg(engine)]
impl ConnectedSocket {
    /// The number of its connection, from 0, in the order in which they were accepted.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The client's address, or that of the proxy before it; `None` if the connection is lost already.
    pub fn peer_address(&self) -> Option<&super::Address> {
        self.0.peer.as_ref()
    }

    /// The pattern of its route, such as `/rooms/{room}`.
    pub fn route(&self) -> &str {
        &self.0.route
    }

    /// The handle to send to it, to close it or to drop it.
    pub fn handle(&self) -> &super::SocketHandle {
        &self.0.handle
    }
}

/// What became of a message that was sent to all.
#[derive(Debug, Default)]
#[must_use = "it names the clients that the message was not sent to"]
pub struct Broadcast {
    /// How many it was sent to, those of a [`Handler`](super::Handler) not counted: they are [on
    /// workers](Self::on_workers).
    pub sent: usize,
    /// Those who have not taken what was sent to them before
    /// ([`QueueLimits::send`](crate::QueueLimits::send) bytes wait), so that it was not sent to them.
    pub behind: Vec<ConnectedClient>,
    /// What becomes of it on the workers, which are sending it to the WebSockets of handlers with callbacks.
    #[cfg(engine)]
    pub on_workers: OnWorkers,
}

/// How many WebSockets were closed because all were.
#[derive(Debug, Default)]
pub struct AllClosed {
    /// How many, those of a [`Handler`](super::Handler) not counted: they are [on workers](Self::on_workers).
    pub closed: usize,
    /// How many on the workers, which are closing the WebSockets of handlers with callbacks.
    #[cfg(engine)]
    pub on_workers: OnWorkers,
}

/// What becomes of a message on the workers of a server. They send it whether anybody waits for this or not.
#[cfg(engine)]
#[derive(Debug, Default)]
pub struct OnWorkers(Option<UnboundedReceiver<Reached>>);

/// How many WebSockets a message has reached.
#[cfg(engine)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Reached {
    /// Those that it was sent to, be it a Close frame.
    pub sent: usize,
    /// Those that were too far behind for it; [`Handler::dropped`](super::Handler::dropped) was told of each.
    pub dropped: usize,
}

#[cfg(engine)]
impl OnWorkers {
    pub(super) fn new(reached: UnboundedReceiver<Reached>) -> Self {
        Self(Some(reached))
    }

    /// Waits until all workers have sent the message, and tells how many WebSockets it has reached. A worker
    /// that is gone has reached none.
    ///
    /// # Cancel safety
    /// Cancel safe; what the workers do is not undone.
    pub async fn reached(self) -> Reached {
        let mut all = Reached::default();
        if let Some(mut workers) = self.0 {
            while let Some(Reached { sent, dropped }) = workers.recv().await {
                all.sent += sent;
                all.dropped += dropped;
            }
        }
        all
    }
}

/// The list.
#[derive(Debug)]
pub(super) struct Clients {
    entries: Mutex<BTreeMap<u64, Entry>>,
    /// The last words to all, for those who are about to open.
    closing: watch::Sender<Option<Arc<LastWords>>>,
    pending: AtomicUsize,
}

#[derive(Debug)]
struct Entry {
    info: Arc<ConnectionInfo>,
    route: Option<Arc<str>>,
    sender: WeakSender,
}

#[derive(Debug)]
struct LastWords {
    code: CloseCode,
    reason: String,
}

impl Clients {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            entries: Mutex::default(),
            closing: watch::Sender::new(None),
            pending: AtomicUsize::new(0),
        })
    }

    /// All of them, in the order in which their connections were accepted.
    pub(super) fn list(&self) -> Vec<ConnectedClient> {
        let client = |entry: &Entry| {
            Some(ConnectedClient {
                info: Arc::clone(&entry.info),
                route: entry.route.clone(),
                sender: entry.sender.upgrade()?,
            })
        };
        self.lock().values().filter_map(client).collect()
    }

    pub(super) fn broadcast(&self, message: impl AsMessage) -> Broadcast {
        let mut broadcast = Broadcast::default();
        for client in self.list() {
            match client.sender.try_send(&message) {
                Ok(true) => broadcast.sent += 1,
                Ok(false) => broadcast.behind.push(client),
                // It is closing.
                Err(_) => {}
            }
        }
        broadcast
    }

    /// Closes all, and turns down who has asked and was not answered yet. Gives how many were open.
    pub(super) fn close(&self, frame: CloseFrame<'_>) -> usize {
        // First, so that whoever opens meanwhile either sees this or is in the list.
        self.closing.send_replace(Some(Arc::new(LastWords {
            code: frame.code(),
            reason: frame.reason().to_owned(),
        })));
        let sessions: Vec<_> = self
            .lock()
            .values()
            .filter_map(|entry| entry.sender.session())
            .collect();
        let close = |session: &Arc<crate::session::Shared>| {
            let mut session = session.lock();
            let is_open = session.is_open();
            session.close(Some(frame));
            is_open
        };
        sessions.iter().filter(|session| close(session)).count()
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// Counts a request until it is answered and its WebSocket is open.
    pub(super) fn knock(self: &Arc<Self>) -> Knock {
        self.pending.fetch_add(1, Ordering::Relaxed);
        Knock {
            closing: self.closing.subscribe(),
            clients: Arc::clone(self),
        }
    }

    /// Puts a WebSocket into the list, until the result is dropped.
    pub(super) fn enter(
        self: &Arc<Self>,
        info: Arc<ConnectionInfo>,
        route: Option<Arc<str>>,
        sender: WeakSender,
    ) -> Entered {
        let id = info.id;
        self.lock().insert(id, Entry { info, route, sender });
        Entered {
            id,
            clients: Arc::clone(self),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that was not answered yet.
#[derive(Debug)]
pub(super) struct Knock {
    closing: watch::Receiver<Option<Arc<LastWords>>>,
    clients: Arc<Clients>,
}

impl Knock {
    /// Resolves when all were closed.
    pub(super) async fn turned_away(&self) {
        // The sender is in `self.clients`, so that waiting cannot fail.
        let _ = self.closing.clone().changed().await;
    }

    /// Closes a WebSocket that came of the request, and is in the list now, if all were closed meanwhile.
    pub(super) fn settle(self, sender: &Sender) {
        if self.closing.has_changed().unwrap_or(false)
            && let Some(words) = &*self.closing.borrow()
        {
            // The reason was checked when all were closed.
            let _ = sender.start_close(words.code, &words.reason);
        }
    }
}

impl Drop for Knock {
    fn drop(&mut self) {
        self.clients.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A WebSocket in the list.
#[derive(Debug)]
pub(super) struct Entered {
    id: u64,
    clients: Arc<Clients>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.clients.lock().remove(&self.id);
    }
}
