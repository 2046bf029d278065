//! Subscribing and unsubscribing on one worker.

use sockeye_proto::Compress;

use super::{Extra, Local, Replayed};
use crate::hub::SubscribeError;
use crate::hub::backlog::Waiting;
use crate::hub::changes::Change;
use crate::hub::index::TopicId;
use crate::hub::recipient::Recipient;
use crate::hub::topic::Topic;

impl Local {
    /// Subscribes a socket to a topic, or a pattern; gives `None` if it is subscribed already. Up to `history` messages
    /// that were published before are sent to it first, if the topic's are kept.
    pub(crate) fn subscribe(
        &mut self,
        slot: u32,
        name: &str,
        history: usize,
        socket: &mut impl Recipient,
    ) -> Result<Option<Change>, SubscribeError> {
        let is_filter = self.hub.check_subscription(name)?;
        let hash = self.hub.hash(name);
        let found = self.index.find(hash, name);
        if found.is_some_and(|id| self.index.is_subscribed(slot, id)) {
            return Ok(None);
        }
        let limit = self.hub.config.max_subscriptions;
        if self.index.topics_of(slot).len() >= limit {
            self.hub.metrics.limited();
            return Err(SubscribeError::Limit(limit));
        }
        let id = found.unwrap_or_else(|| self.enter(hash, name, is_filter));
        // What is for it already, by a pattern perhaps, is its own; what else is in the same batches is not.
        self.settle(slot, socket);
        self.index.subscribe(slot, id);
        for batch in &mut self.batches {
            if batch.targets().contains(&id) {
                batch.skip_all(slot);
            }
        }
        let entry = self.index.get(id);
        let old = entry.extra.known.joined();
        let change = Change {
            topic: entry.name().clone(),
            new: old + 1,
            old,
        };
        self.hub.lookout.tell(&change);
        if history > 0 && entry.extra.kept.is_some() {
            self.replay(slot, id, history, socket);
        }
        Ok(Some(change))
    }

    fn enter(&mut self, hash: u64, name: &str, is_filter: bool) -> TopicId {
        let name = Topic::of_subscription(name);
        let (name, known) = self.hub.registry.enter(hash, &name, self.worker);
        let kept = if is_filter {
            None
        } else {
            self.hub.histories.limits_of(&name)
        };
        let extra = Extra {
            known,
            is_filter,
            kept,
            open: None,
        };
        let id = self.index.insert(hash, name.clone(), extra);
        if is_filter {
            self.filters.insert(&name, id);
            self.hub.wildcards.set(self.worker, true);
        }
        id
    }

    /// Sends what was published before. What of it is on its way to this worker is not sent again.
    fn replay(&mut self, slot: u32, id: TopicId, history: usize, socket: &mut impl Recipient) {
        self.settle(slot, socket);
        let replay = self.hub.histories.replay(self.index.get(id).name(), history);
        self.replayed.push(Replayed {
            topic: id,
            slot,
            up_to: replay.up_to,
            round: self.mail_round,
        });
        for message in replay.messages {
            let message = Waiting {
                topic: Some(self.index.get(id).name().clone()),
                message,
                compress: Compress::Auto,
            };
            self.delivery.give(message, slot, socket);
        }
    }

    /// Ends a subscription; gives `None` if there was none. What was published before is sent.
    pub(crate) fn unsubscribe(
        &mut self,
        slot: u32,
        name: &str,
        socket: &mut impl Recipient,
    ) -> Option<Change> {
        let id = self.index.find(self.hub.hash(name), name)?;
        if !self.index.is_subscribed(slot, id) {
            return None;
        }
        self.settle(slot, socket);
        Some(self.part(slot, id))
    }

    /// Ends one subscription of a socket that is closed; `None` when it has none left. What was published to it and not
    /// [settled](Self::settle) is forgotten.
    pub(crate) fn leave(&mut self, slot: u32) -> Option<Change> {
        let last = self.index.topics_of(slot).next_back();
        match last {
            Some(id) => Some(self.part(slot, id)),
            None => {
                self.delivery.forget(slot);
                None
            }
        }
    }

    fn part(&mut self, slot: u32, id: TopicId) -> Change {
        self.index.unsubscribe(slot, id);
        self.replayed
            .retain(|replayed| replayed.slot != slot || replayed.topic != id);
        let entry = self.index.get(id);
        let old = entry.extra.known.left();
        let change = Change {
            topic: entry.name().clone(),
            new: old - 1,
            old,
        };
        self.hub.lookout.tell(&change);
        self.release(id);
        change
    }

    /// Forgets a topic that has no subscribers any more.
    pub(super) fn release(&mut self, id: TopicId) {
        let Some(entry) = self.index.release(id) else {
            return;
        };
        if entry.extra.is_filter {
            self.filters.remove(entry.name());
            if self.filters.is_empty() {
                self.hub.wildcards.set(self.worker, false);
            }
        }
        self.hub
            .registry
            .leave(entry.hash(), entry.name(), &entry.extra.known, self.worker);
    }

    pub(crate) fn is_subscribed(&self, slot: u32, name: &str) -> bool {
        let id = self.index.find(self.hub.hash(name), name);
        id.is_some_and(|id| self.index.is_subscribed(slot, id))
    }

    /// The topics and patterns that a socket is subscribed to, in no certain order.
    pub(crate) fn topics_of(&self, slot: u32) -> impl ExactSizeIterator<Item = &Topic> {
        self.index.topics_of(slot).map(|id| self.index.get(id).name())
    }

    /// How many are subscribed to a topic, on all workers.
    pub(crate) fn num_subscribers(&self, name: &str) -> usize {
        self.hub.registry.count(self.hub.hash(name), name)
    }
}
