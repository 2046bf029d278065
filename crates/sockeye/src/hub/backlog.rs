//! Messages that wait for sockets that are behind, where they can still be dropped.

use std::collections::{HashMap, VecDeque};

use sockeye_proto::{Compress, Prepared, SendError};

use super::Pressure;
use super::recipient::{Frames, Recipient, add};
use super::topic::Topic;
use crate::session::Overflow;

/// The sockets that are behind, by slot.
#[derive(Debug, Default)]
pub(super) struct Backlogs {
    sockets: HashMap<u32, Backlog, foldhash::fast::RandomState>,
}

/// What waits for one of them.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    messages: VecDeque<Waiting>,
    bytes: usize,
}

/// What was sent of what waited.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drained {
    /// How many messages.
    pub(super) count: usize,
    /// It is in the middle of a fragmented message, and can be sent nothing.
    pub(super) is_midway: bool,
}

/// A message that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Where it was published, if it was.
    pub(crate) topic: Option<Topic>,
    pub(crate) message: Prepared,
    pub(crate) compress: Compress,
}

impl Waiting {
    /// What a message is counted for beside its bytes: its place in the queue and its own memory's overhead.
    const OVERHEAD: usize = 160;

    fn cost(&self) -> usize {
        self.message.as_bytes().len() + Self::OVERHEAD
    }
}

impl Backlogs {
    pub(super) fn contains(&self, slot: u32) -> bool {
        !self.sockets.is_empty() && self.sockets.contains_key(&slot)
    }

    /// Lets a message wait. What has to go for it is given to `dropped`; gives it back if there is no room.
    pub(super) fn push(
        &mut self,
        slot: u32,
        message: Waiting,
        limits: Pressure,
        dropped: impl FnMut(Waiting),
    ) -> Option<Waiting> {
        let backlog = self.sockets.entry(slot).or_default();
        backlog.push(message, limits, dropped)
    }

    /// Sends what waits for this socket, as long as no more than `room` waits as bytes.
    pub(super) fn drain(&mut self, slot: u32, recipient: &mut impl Recipient, room: usize) -> Drained {
        let mut drained = Drained::default();
        let Some(backlog) = self.sockets.get_mut(&slot) else {
            return drained;
        };
        while let Some(first) = backlog.messages.front() {
            if recipient.waiting() > 0 && recipient.waiting() + first.message.as_bytes().len() > room {
                break;
            }
            let frames = match recipient.connection().prepared(&first.message, first.compress) {
                Ok(Some(frames)) => frames.clone(),
                Err(SendError::FragmentInProgress) => {
                    drained.is_midway = true;
                    return drained;
                }
                Ok(None) | Err(_) => {
                    backlog.messages.clear();
                    break;
                }
            };
            let frames = Frames::Shared {
                bytes: frames,
                is_own: true,
            };
            add(recipient, frames);
            recipient.touched(first.message.kind(), 1, first.message.as_bytes().len());
            backlog.remove(0);
            drained.count += 1;
        }
        if backlog.messages.is_empty() {
            self.forget(slot);
        }
        drained
    }

    /// The socket is gone.
    pub(super) fn forget(&mut self, slot: u32) {
        if self.sockets.is_empty() {
            return;
        }
        self.sockets.remove(&slot);
        if self.sockets.is_empty() {
            self.sockets.shrink_to_fit();
        }
    }

    /// How many bytes wait for this socket, overhead included.
    pub(super) fn bytes(&self, slot: u32) -> usize {
        self.sockets.get(&slot).map_or(0, |backlog| backlog.bytes)
    }
}

impl Backlog {
    /// Lets a message wait. What has to go for it is given to `dropped`; gives it back if there is no room.
    pub(crate) fn push(
        &mut self,
        message: Waiting,
        limits: Pressure,
        mut dropped: impl FnMut(Waiting),
    ) -> Option<Waiting> {
        let cost = message.cost();
        if limits.policy == Overflow::KeepLatest {
            let older = |waiting: &Waiting| waiting.topic == message.topic;
            if message.topic.is_some()
                && let Some(at) = self.messages.iter().position(older)
            {
                self.remove(at).map(&mut dropped);
            }
        }
        if !limits.queues() && !self.messages.is_empty() && self.bytes + cost > limits.for_messages() {
            return Some(message);
        }
        // The newest message always has room.
        while self.bytes + cost > limits.for_messages()
            && let Some(oldest) = self.remove(0)
        {
            dropped(oldest);
        }
        self.bytes += cost;
        self.messages.push_back(message);
        None
    }

    /// What waits longest.
    pub(crate) fn first(&self) -> Option<&Waiting> {
        self.messages.front()
    }

    /// Forgets what waits longest.
    pub(crate) fn pop(&mut self) {
        self.remove(0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn remove(&mut self, at: usize) -> Option<Waiting> {
        let waiting = self.messages.remove(at)?;
        self.bytes -= waiting.cost();
        Some(waiting)
    }
}
