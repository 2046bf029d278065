//! Publishing on one worker: what concerns other workers is handed on, what concerns its own sockets gathered.

use std::sync::Arc;

use smallvec::SmallVec;
use sockeye_proto::{Compress, Message, Prepared};

use super::Local;
use crate::hub::PublishError;
use crate::hub::batch::Batch;
use crate::hub::history::History;
use crate::hub::index::TopicId;
use crate::hub::shared::Post;
use crate::hub::topic::{Topic, TopicError, check_name};

/// Who is concerned by a message besides the sockets of this worker.
struct Elsewhere {
    /// How much of its topic is kept, if anything.
    kept: Option<History>,
    /// The workers that have subscribers.
    workers: SmallVec<[usize; 16]>,
}

impl Local {
    /// Publishes a message to all subscribers but `from`. `prepared` is the same message, if it is framed already.
    pub(crate) fn publish(
        &mut self,
        from: Option<u32>,
        name: &str,
        message: Message<'_>,
        prepared: Option<&Prepared>,
        compress: Compress,
    ) -> Result<(), PublishError> {
        let hash = self.hub.hash(name);
        let id = self.index.find(hash, name);
        match id {
            None => check_name(name)?,
            Some(id) if self.index.get(id).extra.is_filter => return Err(TopicError::Wildcard.into()),
            Some(_) => {}
        }
        let made = self.publish_elsewhere(hash, name, id, message, prepared, compress)?;
        self.published += 1;
        self.gather(name, id, from, message, made.as_ref().or(prepared), compress);
        Ok(())
    }

    /// Publishes a message of this socket that was handed over by another thread, to all subscribers but the socket.
    pub(crate) fn publish_post(&mut self, from: u32, post: Post) {
        let id = self.index.find(post.hash, &post.topic);
        let (topic, message, compress) = (post.topic.clone(), post.message.clone(), post.compress);
        if let Some(elsewhere) = self.elsewhere(post.hash, &topic, id) {
            self.hand_on(post, elsewhere);
        }
        self.published += 1;
        self.gather(
            &topic,
            id,
            Some(from),
            message.message(),
            Some(&message),
            compress,
        );
    }

    /// Sees to what concerns other workers, and to what is kept; gives the message as it was framed for that.
    fn publish_elsewhere(
        &mut self,
        hash: u64,
        name: &str,
        id: Option<TopicId>,
        message: Message<'_>,
        prepared: Option<&Prepared>,
        compress: Compress,
    ) -> Result<Option<Prepared>, PublishError> {
        let Some(elsewhere) = self.elsewhere(hash, name, id) else {
            return Ok(None);
        };
        let prepared = prepared.cloned().unwrap_or_else(|| Prepared::new(message));
        let room = self.hub.room_for(&prepared)?;
        let topic = match id {
            Some(id) => self.index.get(id).name().clone(),
            None => Topic::of_subscription(name),
        };
        let post = self.hub.make_post(hash, topic, prepared.clone(), compress, room);
        self.hand_on(post, elsewhere);
        Ok(Some(prepared))
    }

    /// Who else is concerned by what is published to a topic, if anybody.
    fn elsewhere(&self, hash: u64, name: &str, id: Option<TopicId>) -> Option<Elsewhere> {
        let hub = &self.hub;
        let kept = match id {
            Some(id) => self.index.get(id).extra.kept,
            None => hub.histories.limits_of(name),
        };
        if kept.is_none() && !hub.has_others() {
            return None;
        }
        let workers: SmallVec<[usize; 16]> = match id {
            Some(id) => {
                let known = &self.index.get(id).extra.known;
                (0..=hub.workers())
                    .filter(|worker| *worker != self.worker)
                    .filter(|worker| known.interest.has(*worker) || hub.wildcards.has(*worker))
                    .collect()
            }
            None => hub.interested(hash, name, Some(self.worker)).collect(),
        };
        (kept.is_some() || !workers.is_empty()).then_some(Elsewhere { kept, workers })
    }

    fn hand_on(&mut self, mut post: Post, elsewhere: Elsewhere) {
        let Some(limits) = elsewhere.kept else {
            let post = Arc::new(post);
            for worker in elsewhere.workers {
                self.outgoing[worker].push(Arc::clone(&post));
            }
            return;
        };
        // Here and now, so that it arrives in the order in which it is kept.
        let (hub, topic, message) = (&self.hub, post.topic.clone(), post.message.clone());
        hub.histories.keep(&topic, limits, &message, |number| {
            post.number = number;
            hub.distribute(post, Some(self.worker));
        });
    }

    /// Takes a message that was published elsewhere.
    pub(crate) fn receive(&mut self, post: &Post) {
        let id = self.index.find(post.hash, &post.topic);
        let message = post.message.message();
        let place = self.gather(&post.topic, id, None, message, Some(&post.message), post.compress);
        let (Some((batch, at)), Some(id)) = (place, id) else {
            return;
        };
        for replayed in &self.replayed {
            if replayed.topic == id && post.number != 0 && post.number <= replayed.up_to {
                self.batches[batch].skip(replayed.slot, at);
            }
        }
    }

    /// The worker is about to take everything from its mailbox.
    pub(crate) fn begin_mail(&mut self) {
        self.mail_round += 1;
    }

    /// The worker has [received](Self::receive) what it took.
    pub(crate) fn end_mail(&mut self) {
        // What was posted before a replay has come by now, if the mailbox was emptied after it.
        let round = self.mail_round;
        self.replayed.retain(|replayed| replayed.round >= round);
    }

    /// Adds a message to a batch for the subscribers of this worker; gives the batch and the place in it.
    fn gather(
        &mut self,
        name: &str,
        id: Option<TopicId>,
        from: Option<u32>,
        message: Message<'_>,
        prepared: Option<&Prepared>,
        compress: Compress,
    ) -> Option<(usize, u32)> {
        let number = if self.filters.is_empty() {
            self.batch_of(id?, message)?
        } else {
            self.batch_of_many(name, id, message)?
        };
        self.gathered += message.as_bytes().len();
        let batch = &mut self.batches[number];
        let at = batch.push(message, prepared.cloned(), compress);
        if let Some(from) = from {
            batch.skip(from, at);
        }
        Some((number, at))
    }

    /// The batch that a message to this topic goes into, if anybody is subscribed.
    fn batch_of(&mut self, id: TopicId, message: Message<'_>) -> Option<usize> {
        let entry = self.index.get(id);
        if entry.subscribers().is_empty() {
            return None;
        }
        let (is_shared, open) = (entry.is_shared(), entry.extra.open);
        let usable = open.filter(|number| {
            (!is_shared || self.last_shared == Some(*number))
                && self.batches[*number].takes(message.kind(), message.as_bytes().len())
        });
        let number = usable.unwrap_or_else(|| {
            let topic = self.index.get(id).name().clone();
            let number = self.begin_batch(topic, message, &[id]);
            self.index.get_mut(id).extra.open = Some(number);
            number
        });
        if is_shared {
            self.last_shared = Some(number);
        }
        Some(number)
    }

    /// The same where there are subscribers of patterns.
    fn batch_of_many(&mut self, name: &str, id: Option<TopicId>, message: Message<'_>) -> Option<usize> {
        let mut targets = std::mem::take(&mut self.matches);
        targets.clear();
        self.filters.matching(name, &mut targets);
        let number = match (targets.is_empty(), id) {
            (true, None) => None,
            (true, Some(id)) => self.batch_of(id, message),
            (false, _) => {
                targets.extend(id);
                targets.retain(|id| !self.index.get(*id).subscribers().is_empty());
                (!targets.is_empty()).then(|| self.batch_like_last(name, id, message, &targets))
            }
        };
        self.matches = targets;
        number
    }

    fn batch_like_last(
        &mut self,
        name: &str,
        id: Option<TopicId>,
        message: Message<'_>,
        targets: &[TopicId],
    ) -> usize {
        let last = self.batches.last().filter(|last| {
            last.topic() == name
                && last.targets() == targets
                && last.takes(message.kind(), message.as_bytes().len())
        });
        let number = if last.is_some() {
            self.batches.len() - 1
        } else {
            let topic = id.map_or_else(
                || Topic::of_subscription(name),
                |id| self.index.get(id).name().clone(),
            );
            self.begin_batch(topic, message, targets)
        };
        for target in targets {
            self.index.get_mut(*target).extra.open = None;
        }
        self.last_shared = Some(number);
        number
    }

    fn begin_batch(&mut self, topic: Topic, message: Message<'_>, targets: &[TopicId]) -> usize {
        for target in targets {
            // Its number must not become another topic's while it is in the batch.
            self.index.hold(*target);
        }
        let batch = match self.spare.pop() {
            Some(mut batch) => {
                batch.renew(topic, message.kind(), targets);
                batch
            }
            None => Batch::new(topic, message.kind(), targets),
        };
        self.batches.push(batch);
        self.batches.len() - 1
    }
}
