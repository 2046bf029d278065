//! Topics of a WebSocket, and what a worker does about what is published.

use std::time::Instant;

use sockeye_proto::{CloseCode, CloseFrame, Compress, Connection, MessageKind, Prepared};

use super::mailbox::{Letter, Mailbox};
use super::news::News;
use super::owner::Connections;
use super::route::Routes;
use super::session::{Flags, Lent, Open, hang_up};
use super::slab::Slab;
use super::slot::{Phase, Slot};
use super::wire::{Line, Wire};
use crate::MessageRef;
use crate::driver::{Driver, Key, Outbox, Output, OutputPool};
use crate::hub::{Local, Outlet, Post, Pressure, PublishError, Recipient, Recipients, SubscribeError, Topic};
use crate::metrics::Tally;
use crate::session::{QueueLimits, TOO_FAR_BEHIND};

/// How often a worker gives out what was published while it gave out what was published before, until it lets other
/// events have their turn.
const ROUNDS: usize = 4;

impl Lent<'_> {
    /// Gives this WebSocket what was published to it, because something else is to be sent.
    #[inline]
    pub(super) fn settle_published(&mut self) {
        if self.common.hub.is_gathering() {
            let (hub, slot, mut subscriber) = self.subscriber();
            hub.settle(slot, &mut subscriber);
        }
    }

    pub(super) fn subscribe(&mut self, topic: &str, history: usize) -> Result<bool, SubscribeError> {
        if self.flags.is_over {
            return Err(SubscribeError::Closed);
        }
        let (hub, slot, mut subscriber) = self.subscriber();
        let change = hub.subscribe(slot, topic, history, &mut subscriber)?;
        let is_new = change.is_some();
        self.common.changes.extend(change);
        Ok(is_new)
    }

    pub(super) fn unsubscribe(&mut self, topic: &str) -> bool {
        let (hub, slot, mut subscriber) = self.subscriber();
        let change = hub.unsubscribe(slot, topic, &mut subscriber);
        let was = change.is_some();
        self.common.changes.extend(change);
        was
    }

    pub(super) fn publish(
        &mut self,
        excluding_self: bool,
        topic: &str,
        message: MessageRef<'_>,
        compress: Compress,
    ) -> Result<(), PublishError> {
        let from = excluding_self.then(|| slot_of(self.key));
        self.common.hub.publish(from, topic, message, None, compress)
    }

    pub(super) fn publish_prepared(&mut self, topic: &str, message: &Prepared) -> Result<(), PublishError> {
        let (from, as_it_is) = (Some(slot_of(self.key)), message.message());
        let hub = &mut self.common.hub;
        hub.publish(from, topic, as_it_is, Some(message), Compress::Auto)
    }

    /// Publishes a message of this WebSocket that was handed over by another thread.
    pub(super) fn publish_post(&mut self, post: Post) {
        self.common.hub.publish_post(slot_of(self.key), post);
    }

    /// Lets a message wait, in line with what is published, where it can still be dropped.
    pub(super) fn let_wait(&mut self, message: Prepared, compress: Compress) {
        let (hub, slot, mut subscriber) = self.subscriber();
        hub.let_wait(slot, message, compress, &mut subscriber);
    }

    /// Makes output of what waits where it could still be dropped, because nothing may come behind what follows.
    pub(super) fn release_waiting(&mut self) {
        let (hub, slot, mut subscriber) = self.subscriber();
        hub.release_waiting(slot, &mut subscriber);
    }

    /// How many bytes wait where they can still be dropped.
    pub(super) fn backlog(&self) -> usize {
        self.common.hub.backlog(slot_of(self.key))
    }

    pub(super) fn is_subscribed(&self, topic: &str) -> bool {
        self.common.hub.is_subscribed(slot_of(self.key), topic)
    }

    pub(super) fn topics(&self) -> impl ExactSizeIterator<Item = &Topic> {
        self.common.hub.topics_of(slot_of(self.key))
    }

    /// The hub, and this WebSocket as the hub wants it.
    fn subscriber(&mut self) -> (&mut Local, u32, Subscriber<'_, &mut dyn Wire>) {
        let wire: &mut dyn Wire = &mut *self.wire;
        let subscriber = Subscriber {
            key: self.key,
            open: self.open,
            out: self.out,
            flags: self.flags,
            queues: self.queues,
            pool: &mut self.common.pool,
            tally: &mut self.common.tally,
            // What a callback leaves in the output is sent when it returns.
            dirty: None,
            wire,
            now: self.common.now,
            was_relieved: false,
        };
        (&mut self.common.hub, slot_of(self.key), subscriber)
    }
}

impl<D: Driver> Connections<D> {
    /// Gives subscribers what was published to them, and tells handlers what was dropped.
    pub(super) fn give_out(&mut self, driver: &mut D) {
        let mut subscribers = Subscribers {
            driver: &mut *driver,
            slots: &mut self.slots,
            routes: &mut self.routes,
            pool: &mut self.common.pool,
            tally: &mut self.common.tally,
            dirty: &mut self.common.dirty,
            now: self.common.now,
        };
        self.common.hub.flush(&mut subscribers);
        while let Some(dropped) = self.common.hub.next_dropped() {
            let topic = dropped.topic.as_ref().map(tracing::field::display);
            tracing::trace!(topic, "somebody is too far behind for a message");
            if dropped.topic.is_none() {
                self.common.tally.dropped();
            }
            if let Some(key) = self.slots.key_at(dropped.slot as usize) {
                self.news(driver, key, News::Dropped(dropped));
            }
        }
    }

    /// Gives out what was published if that is much: it is not to pile up within a turn.
    #[inline]
    pub(super) fn give_out_if_much(&mut self, driver: &mut D) {
        if self.common.hub.is_urgent() {
            self.give_out(driver);
        }
    }

    /// Gives out all that was published in this turn, and by handlers who were told of it.
    pub(super) fn give_out_all(&mut self, driver: &mut D) {
        for _ in 0..ROUNDS {
            if !self.common.hub.is_pending() {
                return;
            }
            self.give_out(driver);
        }
    }

    /// Sends a WebSocket whose peer takes more again what was published while it did not.
    pub(super) fn drain_published(&mut self, driver: &mut D, key: Key) {
        while self.common.hub.backlog(slot_of(key)) > 0 {
            let mut subscribers = Subscribers {
                driver: &mut *driver,
                slots: &mut self.slots,
                routes: &mut self.routes,
                pool: &mut self.common.pool,
                tally: &mut self.common.tally,
                dirty: &mut self.common.dirty,
                now: self.common.now,
            };
            let Some(mut subscriber) = subscribers.recipient(slot_of(key)) else {
                return;
            };
            if subscriber.is_blocked() || !self.common.hub.drain(slot_of(key), &mut subscriber) {
                return;
            }
            self.news(driver, key, News::Writable);
        }
    }
}

fn slot_of(key: Key) -> u32 {
    // An index of a key is at most `Key::MAX_INDEX`.
    key.index() as u32
}

/// The WebSockets of a worker, for the hub.
struct Subscribers<'s, D: Driver> {
    driver: &'s mut D,
    slots: &'s mut Slab<Slot<D>>,
    routes: &'s mut Routes,
    pool: &'s mut OutputPool,
    tally: &'s mut Tally,
    dirty: &'s mut Vec<Key>,
    now: Instant,
}

impl<D: Driver> Recipients for Subscribers<'_, D> {
    type Recipient<'r>
        = Subscriber<'r, Line<'r, D>>
    where
        Self: 'r;

    #[inline]
    fn recipient(&mut self, slot: u32) -> Option<Self::Recipient<'_>> {
        let (key, slot) = self.slots.at_mut(slot as usize)?;
        let Slot {
            socket,
            tls,
            out,
            flags,
            phase: Phase::Open(open),
            ..
        } = slot
        else {
            return None;
        };
        if flags.is_over {
            return None;
        }
        let route = self.routes.get_mut(open.seat.route)?;
        Some(Subscriber {
            key,
            open,
            out,
            flags,
            queues: &route.queues,
            pool: self.pool,
            tally: self.tally,
            dirty: Some(self.dirty),
            wire: Line {
                driver: self.driver,
                socket,
                tls,
            },
            now: self.now,
            was_relieved: false,
        })
    }
}

/// A WebSocket that messages are published to.
struct Subscriber<'s, W> {
    key: Key,
    open: &'s mut Open,
    out: &'s mut Outbox,
    flags: &'s mut Flags,
    queues: &'s QueueLimits,
    pool: &'s mut OutputPool,
    tally: &'s mut Tally,
    /// Where it is noted that there is something to send.
    dirty: Option<&'s mut Vec<Key>>,
    wire: W,
    now: Instant,
    was_relieved: bool,
}

impl<W> Subscriber<'_, W> {
    fn queues(&self) -> &QueueLimits {
        let own = self.open.extra.as_ref().and_then(|extra| extra.queues.as_ref());
        own.unwrap_or(self.queues)
    }

    /// Has the worker look at it at the end of the turn.
    fn mark(&mut self) {
        if let Some(dirty) = &mut self.dirty
            && !std::mem::replace(&mut self.flags.is_dirty, true)
        {
            dirty.push(self.key);
        }
    }
}

impl<W: Wire> Recipient for Subscriber<'_, W> {
    fn connection(&mut self) -> &mut Connection {
        &mut self.open.connection
    }

    fn output(&mut self) -> &mut Output {
        self.out.open(self.pool)
    }

    fn waiting(&self) -> usize {
        self.out.len() + self.wire.in_flight()
    }

    fn is_blocked(&self) -> bool {
        self.flags.is_full || (self.was_relieved && !self.out.is_empty())
    }

    fn pressure(&self) -> Pressure {
        Pressure::of(self.queues())
    }

    fn relieve(&mut self) {
        if !std::mem::replace(&mut self.was_relieved, true) {
            // A failure shows again at the end of the turn, and so does that the system takes no more.
            let _ = self.wire.send(self.out, self.pool);
            self.mark();
        }
    }

    fn touched(&mut self, kind: MessageKind, messages: usize, bytes: usize) {
        self.tally.sent(kind, messages as u64, bytes);
        if self.waiting() >= self.queues().high_water {
            self.flags.is_behind = true;
        }
        self.mark();
    }

    fn overflowed(&mut self) {
        let frame = CloseFrame::truncated(CloseCode::POLICY_VIOLATION, TOO_FAR_BEHIND);
        hang_up(self.open, self.flags, self.out.open(self.pool), frame, self.now);
        self.mark();
    }
}

impl Outlet for Mailbox {
    fn post(&self, posts: &mut Vec<std::sync::Arc<Post>>) {
        self.post_all(posts.drain(..).map(Letter::Published));
    }
}
