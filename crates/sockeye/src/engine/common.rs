//! What all sessions of a worker share, whatever the driver.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::mailbox::Mailbox;
use crate::driver::{Key, OutputPool};
use crate::hub::{Change, Local};
use crate::metrics::{SessionMetrics, Tally};
use crate::{CloseInfo, Error};

/// What all sessions of a worker share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(super) pool: OutputPool,
    /// Slots to look at when the turn is over.
    pub(super) dirty: Vec<Key>,
    /// The time, as it was when the turn's first event came.
    pub(super) now: Instant,
    /// What was received and sent since the metrics were told.
    pub(super) tally: Tally,
    pub(super) metrics: Arc<SessionMetrics>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) hub: Local,
    /// Subscriptions of the WebSocket that is being told something, which it was not told of yet.
    pub(super) changes: VecDeque<Change>,
    /// Why what was just received is the last of its WebSocket.
    pub(super) stop: Option<Stop>,
    /// While input is handed out that was kept during a pause: how many bytes of it are to be kept again.
    pub(super) rest: Option<usize>,
    /// The WebSocket that was just told of has closed.
    pub(super) closed: Option<Box<Closed>>,
}

/// Why nothing more is read of a WebSocket.
#[derive(Debug)]
pub(super) enum Stop {
    /// The peer closes, with this code and reason.
    Close(u16, String),
    /// The connection failed.
    Failure(sockeye_proto::Error),
}

/// How a WebSocket ended.
#[derive(Debug)]
pub(super) struct Closed {
    /// The code under which the end is logged.
    pub(super) code: u16,
    /// What the peer said.
    pub(super) info: CloseInfo,
    pub(super) failure: Option<Error>,
}

impl Common {
    pub(super) fn new(mailbox: Arc<Mailbox>, metrics: Arc<SessionMetrics>, hub: Local) -> Self {
        Self {
            pool: OutputPool::default(),
            dirty: Vec::new(),
            now: Instant::now(),
            tally: Tally::default(),
            metrics,
            mailbox,
            hub,
            changes: VecDeque::new(),
            stop: None,
            rest: None,
            closed: None,
        }
    }
}
