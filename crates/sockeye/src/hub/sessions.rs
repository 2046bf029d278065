//! Subscribers that no worker sees to: WebSockets of async handlers, on whatever runtime.
//!
//! All of a server are in one index under one lock, as if they were on one more worker. Whoever publishes gives them the
//! message by himself, at the end of his turn if he is a worker: it is framed once and compressed once, then copied to
//! what waits in each session, whose task is woken. The order of locks is histories, this, sessions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockeye_proto::{Compress, Prepared};

use super::SubscribeError;
use super::changes::Change;
use super::filters::Filters;
use super::index::{Index, TopicId};
use super::registry::Known;
use super::shared::{Hub, Post};
use super::topic::Topic;
use crate::session::Shared;

/// The subscribers that no worker sees to.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    table: Mutex<Table>,
    has_any: AtomicBool,
}

#[derive(Debug, Default)]
struct Table {
    index: Index<Extra>,
    filters: Filters,
    /// By slot.
    sessions: Vec<Option<Arc<Shared>>>,
    free: Vec<u32>,
    matches: Vec<TopicId>,
}

#[derive(Debug)]
struct Extra {
    known: Arc<Known>,
    is_filter: bool,
}

/// A session's place among the subscribers, which it leaves with all topics when this is dropped. Not to be dropped
/// while a session is locked.
#[derive(Debug)]
pub(crate) struct Seat {
    hub: Arc<Hub>,
    slot: u32,
}

impl Seat {
    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.session_leaves(self.slot);
    }
}

impl Sessions {
    /// Whether there was ever one.
    #[inline]
    pub(super) fn has_any(&self) -> bool {
        self.has_any.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    /// Subscribes a session to a topic, or a pattern; gives whether it was not subscribed yet. Up to `history` messages of
    /// before are sent to it first, if the topic's are kept.
    pub(crate) fn subscribe_session(
        self: &Arc<Self>,
        session: &Arc<Shared>,
        name: &str,
        history: usize,
    ) -> Result<bool, SubscribeError> {
        let is_filter = self.check_subscription(name)?;
        if history == 0 || is_filter {
            return self.session_joins(session, name, is_filter, &[]);
        }
        // What is kept is given out before anything else is kept: none is left out, and none comes twice.
        self.histories.replay_and(name, history, |replay| {
            self.session_joins(session, name, false, &replay.messages)
        })
    }

    fn session_joins(
        self: &Arc<Self>,
        session: &Arc<Shared>,
        name: &str,
        is_filter: bool,
        history: &[Prepared],
    ) -> Result<bool, SubscribeError> {
        let hash = self.hash(name);
        let mut table = self.sessions.lock();
        let table = &mut *table;
        let mut locked = session.lock();
        if !locked.is_open() {
            return Err(SubscribeError::Closed);
        }
        let slot = locked.slot_in_hub();
        let found = table.index.find(hash, name);
        if let (Some(slot), Some(id)) = (slot, found)
            && table.index.is_subscribed(slot, id)
        {
            return Ok(false);
        }
        let limit = self.config.max_subscriptions;
        if slot.map_or(0, |slot| table.index.topics_of(slot).len()) >= limit {
            self.metrics.limited();
            return Err(SubscribeError::Limit(limit));
        }
        let slot = slot.unwrap_or_else(|| {
            let slot = table.sit(Arc::clone(session));
            let hub = Arc::clone(self);
            locked.joined_hub(Seat { hub, slot });
            slot
        });
        let id = found.unwrap_or_else(|| {
            let topic = Topic::of_subscription(name);
            let (topic, known) = self.registry.enter(hash, &topic, self.workers());
            let id = table
                .index
                .insert(hash, topic.clone(), Extra { known, is_filter });
            if is_filter {
                table.filters.insert(&topic, id);
                self.wildcards.set(self.workers(), true);
            }
            id
        });
        self.sessions.has_any.store(true, Ordering::Release);
        table.index.subscribe(slot, id);
        let entry = table.index.get(id);
        let old = entry.extra.known.joined();
        self.lookout.tell(&Change {
            topic: entry.name().clone(),
            new: old + 1,
            old,
        });
        for message in history {
            let given = locked.give(entry.name(), message, Compress::Auto);
            self.metrics.dropped_many(given.dropped);
        }
        Ok(true)
    }

    /// Ends a subscription of a session; gives whether there was one.
    pub(crate) fn unsubscribe_session(&self, session: &Shared, name: &str) -> bool {
        let mut table = self.sessions.lock();
        let found = table.index.find(self.hash(name), name);
        let (Some(slot), Some(id)) = (session.lock().slot_in_hub(), found) else {
            return false;
        };
        let was = table.index.is_subscribed(slot, id);
        if was {
            self.session_parts(&mut table, slot, id);
        }
        was
    }

    /// The topics and patterns that a session is subscribed to, in no certain order.
    pub(crate) fn topics_of_session(&self, session: &Shared) -> Vec<Topic> {
        let table = self.sessions.lock();
        let Some(slot) = session.lock().slot_in_hub() else {
            return Vec::new();
        };
        let topics = table.index.topics_of(slot);
        topics.map(|id| table.index.get(id).name().clone()).collect()
    }

    fn session_parts(&self, table: &mut Table, slot: u32, id: TopicId) {
        table.index.unsubscribe(slot, id);
        let entry = table.index.get(id);
        let old = entry.extra.known.left();
        self.lookout.tell(&Change {
            topic: entry.name().clone(),
            new: old - 1,
            old,
        });
        let Some(entry) = table.index.release(id) else {
            return;
        };
        if entry.extra.is_filter {
            table.filters.remove(entry.name());
            if table.filters.is_empty() {
                self.wildcards.set(self.workers(), false);
            }
        }
        let known = &entry.extra.known;
        self.registry
            .leave(entry.hash(), entry.name(), known, self.workers());
    }

    fn session_leaves(&self, slot: u32) {
        let session = {
            let mut table = self.sessions.lock();
            while let Some(id) = table.last_topic_of(slot) {
                self.session_parts(&mut table, slot, id);
            }
            table.free.push(slot);
            table.sessions.get_mut(slot as usize).and_then(Option::take)
        };
        // Not under the lock: it may be the last.
        drop(session);
    }

    /// Gives messages to the sessions that are subscribed.
    pub(super) fn give_sessions(&self, posts: &mut Vec<Arc<Post>>) {
        let mut table = self.sessions.lock();
        let (mut delivered, mut dropped) = (0, 0);
        for post in posts.drain(..) {
            table.each_subscriber(&post, |session| {
                let given = session.lock().give(&post.topic, &post.message, post.compress);
                delivered += u64::from(given.is_queued);
                dropped += given.dropped;
            });
        }
        self.metrics.flushed(0, delivered);
        self.metrics.dropped_many(dropped);
    }
}

impl Table {
    fn sit(&mut self, session: Arc<Shared>) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.sessions[slot as usize] = Some(session);
            return slot;
        }
        self.sessions.push(Some(session));
        // As many sessions as that fit no machine's memory.
        (self.sessions.len() - 1) as u32
    }

    fn last_topic_of(&self, slot: u32) -> Option<TopicId> {
        self.index.topics_of(slot).next_back()
    }

    /// Those who are to have a message, each once.
    fn each_subscriber(&mut self, post: &Post, mut give: impl FnMut(&Shared)) {
        let mut targets = std::mem::take(&mut self.matches);
        targets.clear();
        if !self.filters.is_empty() {
            self.filters.matching(&post.topic, &mut targets);
        }
        targets.extend(self.index.find(post.hash, &post.topic));
        let subscribers = |id: &TopicId| self.index.get(*id).subscribers().iter();
        let mut to = |slot: u32| {
            if let Some(Some(session)) = self.sessions.get(slot as usize)
                && !post.is_of(session)
            {
                give(session);
            }
        };
        if let [only] = &targets[..] {
            subscribers(only).for_each(|subscriber| to(subscriber.slot));
        } else {
            let slots = targets.iter().flat_map(subscribers);
            let mut slots: Vec<_> = slots.map(|subscriber| subscriber.slot).collect();
            slots.sort_unstable();
            slots.dedup();
            slots.into_iter().for_each(to);
        }
        self.matches = targets;
    }
}
