//! What the client tells about itself.

use std::time::Duration;

use tokio::sync::broadcast;

use super::cause::{Cause, GaveUp};
use crate::session::CloseInfo;

/// How many events are kept for a listener that is behind.
pub(super) const KEPT: usize = 64;

/// A step of the client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// An attempt begins.
    Connecting {
        /// Attempts in a row without a connection that lasted, this one included; from 1.
        attempt: u32,
    },
    /// The attempt has failed.
    Failed {
        /// Which attempt.
        attempt: u32,
        /// What happened.
        cause: Cause,
    },
    /// A connection is open, the hook [`on_open`](super::ReconnectBuilder::on_open) is done, and what is queued goes
    /// out.
    Open {
        /// The number of the connection; from 1.
        connection: u64,
        /// Which attempt it was.
        attempt: u32,
    },
    /// The open connection has ended, and not by this client's will.
    Lost {
        /// The number of the connection.
        connection: u64,
        /// What happened.
        cause: Cause,
        /// Messages that were given to this connection and are not known to have left, or not acknowledged.
        /// With [`Promise::AtMostOnce`](super::Promise::AtMostOnce) their fate is
        /// [`Unknown`](super::Fate::Unknown); with [`Promise::AtLeastOnce`](super::Promise::AtLeastOnce) they will be
        /// sent again.
        unknown: usize,
        /// Messages that wait for the next connection, those to be sent again included.
        queued: usize,
    },
    /// The next attempt is made after this time, unless somebody
    /// [asks](super::Reconnecting::reconnect_now) for it sooner.
    Waiting {
        /// The time.
        delay: Duration,
    },
    /// The last event: no further attempt is made.
    GaveUp(GaveUp),
    /// The last event: the client was closed by this program, or its handles were dropped.
    Closed {
        /// How the connection ended, if there was one and it was not lost meanwhile.
        info: Option<CloseInfo>,
    },
    /// This listener was behind, and has missed that many events.
    Missed {
        /// How many.
        count: u64,
    },
}

/// The events of a client, in order.
///
/// The client does not wait for its listeners: one that is more than 64 events behind loses the oldest and is told how
/// many.
#[derive(Debug)]
pub struct Events {
    /// `None`: the client had ended before.
    pub(super) events: Option<broadcast::Receiver<Event>>,
}

impl Events {
    /// The next event; `None` after the last.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an event is either returned or still there.
    pub async fn recv(&mut self) -> Option<Event> {
        match self.events.as_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(Event::Missed { count }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
