//! Who looks on while topics gain and lose subscribers.

use std::sync::OnceLock;

use tokio::sync::broadcast::{self, error::RecvError};

use super::topic::Topic;

/// A topic's number of subscribers has changed, on all workers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Change {
    /// The topic, or pattern.
    pub topic: Topic,
    /// How many subscribers it has now.
    pub new: usize,
    /// How many it had before: one more, or one less.
    pub old: usize,
}

/// The changes of a hub's topics, from when this was made by [`Publisher::changes`](super::Publisher::changes).
///
/// WebSockets of all kinds count: with callbacks, of async handlers, of axum, hyper and an
/// [`Acceptor`](crate::server::Acceptor). What one thread changes comes in its order. What several change at the same moment may come in
/// another one than that of the counts: whoever wants to know how many there are now asks
/// [`Publisher::num_subscribers`](super::Publisher::num_subscribers).
#[derive(Debug)]
pub struct Changes(broadcast::Receiver<Change>);

/// Changes were not looked at in time, and are gone: so many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} changes of topics were missed")]
pub struct Missed(pub u64);

impl Changes {
    /// How many changes wait at most for whoever looks on.
    const WAITING: usize = 1024;

    /// Waits for the next change; `None` when the hub is gone: the server has ended, and all its publishers were dropped.
    ///
    /// # Errors
    /// More than 1,024 changes were waiting: the oldest are gone. The next call goes on with the oldest that is left.
    ///
    /// # Cancel safety
    /// Cancel safe: no change is lost.
    pub async fn next(&mut self) -> Result<Option<Change>, Missed> {
        match self.0.recv().await {
            Ok(change) => Ok(Some(change)),
            Err(RecvError::Closed) => Ok(None),
            Err(RecvError::Lagged(missed)) => Err(Missed(missed)),
        }
    }
}

/// Those who look on; takes nothing while nobody ever did.
#[derive(Debug, Default)]
pub(super) struct Lookout(OnceLock<broadcast::Sender<Change>>);

impl Lookout {
    pub(super) fn watch(&self) -> Changes {
        let sender = self.0.get_or_init(|| broadcast::Sender::new(Changes::WAITING));
        Changes(sender.subscribe())
    }

    pub(super) fn tell(&self, change: &Change) {
        if let Some(sender) = self.0.get()
            && sender.receiver_count() > 0
        {
            // The last of them may leave in this moment.
            let _ = sender.send(change.clone());
        }
    }
}
