//! What a server listens on, which may change while it runs.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use super::builder::Shared;
use super::listener::{Listener, accept_loop};
use super::{Address, connection};

/// Where the listeners of a server are asked to change, and what they are.
#[derive(Debug)]
pub(super) struct Listening {
    addresses: Mutex<Vec<Address>>,
    changes: mpsc::UnboundedSender<Change>,
}

/// The other end: whoever serves.
#[derive(Debug)]
pub(super) struct Changes(mpsc::UnboundedReceiver<Change>);

#[derive(Debug)]
enum Change {
    Open(Vec<Listener>),
    /// Answered when the listener is closed.
    Close(Address, oneshot::Sender<()>),
}

impl Listening {
    pub(super) fn new() -> (Self, Changes) {
        let (changes, receiver) = mpsc::unbounded_channel();
        let listening = Self {
            addresses: Mutex::default(),
            changes,
        };
        (listening, Changes(receiver))
    }

    /// What the server listens on.
    pub(super) fn addresses(&self) -> Vec<Address> {
        self.lock().clone()
    }

    /// Notes the address of a listener that is open.
    pub(super) fn note(&self, address: Address) {
        self.lock().push(address);
    }

    /// Has the server accept on these too. When it ends meanwhile, they are closed.
    pub(super) fn add(&self, listeners: Vec<Listener>) {
        let _ = self.changes.send(Change::Open(listeners));
    }

    /// Closes the listener of this address; gives whether there was one.
    pub(super) async fn remove(&self, address: &Address) -> bool {
        let at = {
            let mut addresses = self.lock();
            let at = addresses.iter().position(|known| known == address);
            at.map(|at| addresses.remove(at))
        };
        let Some(address) = at else { return false };
        let (closed, done) = oneshot::channel();
        // Fails when the server has ended, and its listeners with it.
        if self.changes.send(Change::Close(address, closed)).is_ok() {
            let _ = done.await;
        }
        true
    }

    /// The server has ended.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Address>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The listeners at work, each in a task. Dropping it closes them.
#[derive(Debug)]
pub(super) struct Listeners {
    shared: Arc<Shared>,
    changes: Changes,
    tasks: JoinSet<Infallible>,
    handles: Vec<(Address, AcceptedBy)>,
}

/// Who accepts on a listener.
#[derive(Debug)]
enum AcceptedBy {
    Task(AbortHandle),
    #[cfg(engine)]
    Workers,
}

impl Listeners {
    pub(super) fn new(shared: Arc<Shared>, changes: Changes, listeners: Vec<Listener>) -> Self {
        let mut at_work = Self {
            shared,
            changes,
            tasks: JoinSet::new(),
            handles: Vec::new(),
        };
        at_work.start(listeners);
        at_work
    }

    /// Makes the changes that are asked for, for ever.
    ///
    /// # Cancel safety
    /// Whoever waits for a listener to be closed is told when this value is dropped.
    pub(super) async fn change(&mut self) -> Infallible {
        loop {
            match self.changes.0.recv().await {
                Some(Change::Open(listeners)) => self.start(listeners),
                Some(Change::Close(address, closed)) => {
                    self.stop(&address).await;
                    let _ = closed.send(());
                }
                // The sender lives as long as `self.shared`.
                None => std::future::pending().await,
            }
        }
    }

    /// Closes all listeners.
    pub(super) async fn shutdown(mut self) {
        self.tasks.shutdown().await;
        #[cfg(engine)]
        if let Some(workers) = self.shared.workers.get() {
            workers.stop_listening(None).await;
        }
        self.shared.listening.clear();
    }

    fn start(&mut self, listeners: Vec<Listener>) {
        for listener in listeners {
            let address = listener.address().clone();
            #[cfg(engine)]
            let listener = match self.to_workers(listener) {
                Some(listener) => listener,
                None => {
                    self.handles.push((address, AcceptedBy::Workers));
                    continue;
                }
            };
            let task = accept(listener, Arc::clone(&self.shared));
            let handle = self.tasks.spawn(task);
            self.handles.push((address, AcceptedBy::Task(handle)));
        }
    }

    /// Has the workers accept by themselves, if they can.
    #[cfg(engine)]
    fn to_workers(&self, listener: Listener) -> Option<Listener> {
        let Some(workers) = self.shared.workers.get() else {
            return Some(listener);
        };
        let address = Arc::new(listener.address().clone());
        match listener.into_balanced() {
            Ok(sockets) => {
                workers.listen(&address, sockets);
                None
            }
            Err(listener) => Some(listener),
        }
    }

    async fn stop(&mut self, address: &Address) {
        let Some(at) = self.handles.iter().position(|(known, _)| known == address) else {
            return;
        };
        match self.handles.swap_remove(at).1 {
            AcceptedBy::Task(handle) => {
                handle.abort();
                // The tasks end for no other reason.
                let _ = self.tasks.join_next().await;
            }
            #[cfg(engine)]
            AcceptedBy::Workers => {
                if let Some(workers) = self.shared.workers.get() {
                    workers.stop_listening(Some(address)).await;
                }
            }
        }
    }
}

async fn accept(listener: Listener, shared: Arc<Shared>) -> Infallible {
    #[cfg(engine)]
    if let Some(workers) = shared.workers.get() {
        let local = Arc::new(listener.address().clone());
        return accept_loop(
            || listener.accept_descriptor(),
            |socket| workers.hand(socket, &local),
        )
        .await;
    }
    accept_loop(
        || listener.accept(),
        |(socket, peer)| connection::spawn(&shared, socket, peer, listener.address().clone()),
    )
    .await
}
