//! What is published to a session: given to its queue, or let wait where it can still be dropped.

use sockeye_proto::{CloseCode, CloseFrame, Compress, Prepared, SendError};

use super::{Session, buffers};
use crate::hub::{Backlog, Pressure, Seat, Topic, Waiting};

/// The reason in the Close frame for a peer that is dropped for what waits for it.
pub(crate) const TOO_FAR_BEHIND: &str = "too much waits for you";

/// What a session with topics has besides.
#[derive(Debug)]
pub(crate) struct Published {
    seat: Seat,
    /// What waits until the transport takes more.
    backlog: Backlog,
}

/// What became of a message that was published to a session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Given {
    /// It is in the queue.
    pub(crate) is_queued: bool,
    /// How many messages were dropped for it, itself included.
    pub(crate) dropped: u64,
}

impl Session {
    /// Where it stands in the hub, once it was subscribed to something.
    pub(crate) fn slot_in_hub(&self) -> Option<u32> {
        self.published.as_ref().map(|published| published.seat.slot())
    }

    pub(crate) fn joined_hub(&mut self, seat: Seat) {
        self.published = Some(Box::new(Published {
            seat,
            backlog: Backlog::default(),
        }));
    }

    /// Takes what holds the place in the hub; to be dropped when the session is not locked any more.
    pub(super) fn leave_hub(&mut self) -> Option<Box<Published>> {
        self.published.take()
    }

    /// Sends a published message, now or later, or does with it what the policy says.
    pub(crate) fn give(&mut self, topic: &Topic, message: &Prepared, compress: Compress) -> Given {
        let mut given = Given::default();
        let limits = Pressure::of(&self.limits);
        if !self.is_open() {
            return given;
        }
        // While the transport has not taken what it was given, what may be dropped later is not made bytes.
        let waits_anyway = self.in_flight > 0 && limits.queues();
        let has_backlog = |published: &Published| !published.backlog.is_empty();
        let is_direct = !waits_anyway && !self.published.as_deref().is_some_and(has_backlog);
        if is_direct {
            match self.add_published(message, compress, limits.for_output()) {
                Ok(true) => {
                    given.is_queued = true;
                    return given;
                }
                Ok(false) | Err(SendError::FragmentInProgress) => {}
                Err(_) => return given,
            }
        }
        let may_wait = limits.lets_wait(self.connection.is_sending_fragments());
        let Some(published) = &mut self.published else {
            return given;
        };
        if may_wait {
            let message = Waiting {
                topic: Some(topic.clone()),
                message: message.clone(),
                compress,
            };
            let refused = published.backlog.push(message, limits, |_| given.dropped += 1);
            given.dropped += u64::from(refused.is_some());
        } else {
            given.dropped += 1;
        }
        self.missed += given.dropped;
        if limits.closes() && given.dropped > 0 {
            self.hang_up(CloseFrame::truncated(CloseCode::POLICY_VIOLATION, TOO_FAR_BEHIND));
        } else {
            self.wake_driver();
        }
        given
    }

    /// Sends what waits, now that the transport has what it was given.
    pub(super) fn drain_published(&mut self) {
        self.send_waiting(Pressure::of(&self.limits).for_output());
    }

    /// Queues all that waits, because nothing may come behind what follows.
    pub(super) fn release_published(&mut self) {
        self.send_waiting(usize::MAX);
    }

    fn send_waiting(&mut self, room: usize) {
        while let Some(published) = &self.published
            && let Some(first) = published.backlog.first()
        {
            let (message, compress) = (first.message.clone(), first.compress);
            match self.add_published(&message, compress, room) {
                // Later, when there is room, or the message in fragments is over.
                Ok(false) | Err(SendError::FragmentInProgress) => return,
                // Sent; or nothing can be sent any more.
                Ok(true) | Err(_) => {}
            }
            if let Some(published) = &mut self.published {
                published.backlog.pop();
            }
        }
    }

    /// Queues a message if no more than `room` waits with it; gives whether it did. One may go beyond it if nothing waits.
    fn add_published(
        &mut self,
        message: &Prepared,
        compress: Compress,
        room: usize,
    ) -> Result<bool, SendError> {
        let waiting = self.queue.len() + self.in_flight;
        // Asked before the frames are, which must go out next once they were.
        if waiting > 0 && waiting.saturating_add(message.as_bytes().len()) > room {
            return Ok(false);
        }
        match self.connection.prepared(message, compress)? {
            Some(frames) => {
                if self.queue.capacity() == 0 {
                    self.queue = buffers::take_output();
                }
                self.queue.extend_from_slice(frames);
            }
            // A client masks each frame by itself.
            None => {
                let queue = &mut self.queue;
                self.connection.send_prepared(message, compress, queue)?;
            }
        }
        self.metrics.sent(message.kind(), message.as_bytes().len());
        self.wake_driver();
        Ok(true)
    }
}
