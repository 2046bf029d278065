//! A sending handle that keeps nothing alive.

use std::sync::{Arc, Weak};

use super::{Agreement, Sender};
use crate::session::Shared;

/// A [`Sender`] that does not keep its connection open: for lists of connections, whose entries must not outlive what
/// they name.
///
/// A connection is closed once all its handles are dropped. This is none of them; [`upgrade`](Self::upgrade) makes one
/// for as long as it is needed.
///
/// ```
/// # async fn handler(mut ws: sockeye::WebSocket) -> sockeye::Result<()> {
/// let listed = ws.sender().downgrade();
/// // Elsewhere, perhaps much later:
/// if let Some(sender) = listed.upgrade() {
///     sender.send("still there?").await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct WeakSender {
    shared: Weak<Shared>,
    agreement: Arc<Agreement>,
}

impl WeakSender {
    /// A handle to send with; `None` once the connection is gone.
    ///
    /// Between the end of a connection and its being gone there may be a handle that cannot send any more:
    /// [`Error::is_closed`](crate::Error::is_closed).
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender> {
        let shared = self.shared.upgrade()?;
        shared.lock().sender_added();
        Some(Sender::new(shared, Arc::clone(&self.agreement)))
    }

    /// The connection itself.
    #[cfg(feature = "server")]
    pub(crate) fn session(&self) -> Option<Arc<Shared>> {
        self.shared.upgrade()
    }
}

impl Sender {
    /// A handle that does not keep the connection open.
    #[must_use]
    pub fn downgrade(&self) -> WeakSender {
        WeakSender {
            shared: Arc::downgrade(&self.shared()),
            agreement: self.agreement(),
        }
    }
}
