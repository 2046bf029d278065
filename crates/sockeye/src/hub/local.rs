//! The hub as one worker has it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;
use sockeye_proto::{Compress, Message, Prepared, SendError};

use super::backlog::{Backlogs, Waiting};
use super::batch::Batch;
use super::filters::Filters;
use super::history::History;
use super::index::{Index, TopicId};
use super::recipient::{Frames, Recipient, Recipients, add};
use super::registry::Known;
use super::shared::{Hub, Outlet, Post};
use super::topic::{Topic, TopicError, check_name};
use super::{PublishError, SubscribeError};
use crate::session::Overflow;

/// More waiting batches than this, or bytes in them, are better given out before the next callback.
const MANY_BATCHES: usize = 64;
const MANY_BYTES: usize = 256 * 1024;

/// The hub's part on one worker.
///
/// Within a callback nothing is given to other sockets: [`publish`](Self::publish) only gathers, so it needs none of
/// them. The worker calls [`flush`](Self::flush) at the end of each turn, and after a callback when
/// [`is_urgent`](Self::is_urgent). Before it adds anything else to the output of a socket it calls
/// [`settle`](Self::settle), so that order is kept.
#[derive(Debug)]
pub(crate) struct Local {
    hub: Arc<Hub>,
    worker: usize,
    index: Index<Extra>,
    filters: Filters,
    /// What was published since the last flush, in that order.
    batches: Vec<Batch>,
    /// The last batch of a topic some of whose subscribers have other topics too. What is published to such a topic goes
    /// into this batch, or a new one: a subscriber of several topics sees their messages in order.
    last_shared: Option<usize>,
    /// Bytes of payload in the batches.
    gathered: usize,
    /// Batches for their memory.
    spare: Vec<Batch>,
    backlogs: Backlogs,
    /// Sockets that could not be sent messages to in the middle of a fragmented one.
    midway: Vec<u32>,
    drops: Drops,
    /// For each worker, what it gets at the end of the turn.
    outgoing: Box<[Vec<Arc<Post>>]>,
    /// Subscribers that were told of messages which may still be in the mailbox.
    replayed: Vec<Replayed>,
    mail_round: u64,
    matches: Vec<TopicId>,
    /// How many messages were published here since the last flush.
    published: u64,
}

/// What is kept of a topic besides its subscribers.
#[derive(Debug)]
struct Extra {
    known: Arc<Known>,
    is_filter: bool,
    kept: Option<History>,
    /// The last batch of this topic, if more may be added to it.
    open: Option<usize>,
}

#[derive(Debug)]
struct Replayed {
    topic: TopicId,
    slot: u32,
    up_to: u64,
    round: u64,
}

/// A topic's number of subscribers has changed, on all workers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    pub(crate) topic: Topic,
    pub(crate) new: usize,
    pub(crate) old: usize,
}

/// A message that somebody was too slow for.
#[derive(Clone, Debug)]
pub(crate) struct Dropped {
    pub(crate) slot: u32,
    pub(crate) topic: Topic,
    pub(crate) message: Prepared,
}

/// Messages that were dropped and are to be told of.
#[derive(Debug, Default)]
struct Drops {
    list: VecDeque<Drop>,
    /// The batches that the list refers to.
    batches: Vec<Batch>,
}

#[derive(Debug)]
enum Drop {
    /// Some messages of a batch.
    Refused {
        slot: u32,
        batch: usize,
        messages: Range<usize>,
    },
    /// A message that waited.
    Evicted { slot: u32, message: Box<Waiting> },
}

impl Local {
    pub(crate) fn new(hub: Arc<Hub>, worker: usize) -> Self {
        let outgoing = (0..hub.workers()).map(|_| Vec::new()).collect();
        Self {
            hub,
            worker,
            index: Index::default(),
            filters: Filters::default(),
            batches: Vec::new(),
            last_shared: None,
            gathered: 0,
            spare: Vec::new(),
            backlogs: Backlogs::default(),
            midway: Vec::new(),
            drops: Drops::default(),
            outgoing,
            replayed: Vec::new(),
            mail_round: 0,
            matches: Vec::new(),
            published: 0,
        }
    }

    /// Says how this worker is reached from other threads.
    pub(crate) fn attach(&self, outlet: Arc<dyn Outlet>) {
        self.hub.attach(self.worker, outlet);
    }

    // Subscribing

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
            match socket.connection().prepared(&message, Compress::Auto) {
                Ok(Some(frames)) => {
                    let bytes = frames.clone();
                    add(socket, Frames::Shared { bytes, is_own: true });
                    socket.touched(message.kind(), 1, message.as_bytes().len());
                }
                Err(SendError::FragmentInProgress) => {
                    let message = Waiting {
                        topic: self.index.get(id).name().clone(),
                        message,
                        compress: Compress::Auto,
                    };
                    let mut delivery = Delivery {
                        backlogs: &mut self.backlogs,
                        midway: &mut self.midway,
                        drops: &mut self.drops.list,
                        hub: &self.hub,
                        is_final: false,
                        delivered: 0,
                    };
                    delivery.wait(message, slot, socket);
                }
                Ok(None) | Err(_) => return,
            }
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
                self.backlogs.forget(slot);
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
        self.release(id);
        change
    }

    /// Forgets a topic that has no subscribers any more.
    fn release(&mut self, id: TopicId) {
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

    // Publishing

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
        let hub = &self.hub;
        let kept = match id {
            Some(id) => self.index.get(id).extra.kept,
            None => hub.histories.limits_of(name),
        };
        if kept.is_none() && hub.workers() == 1 {
            return Ok(None);
        }
        let own = Some(self.worker);
        let interested: SmallVec<[usize; 16]> = match id {
            Some(id) => {
                let known = &self.index.get(id).extra.known;
                (0..hub.workers())
                    .filter(|worker| *worker != self.worker)
                    .filter(|worker| known.interest.has(*worker) || hub.wildcards.has(*worker))
                    .collect()
            }
            None => hub.interested(hash, name, own).collect(),
        };
        if kept.is_none() && interested.is_empty() {
            return Ok(None);
        }
        let prepared = prepared.cloned().unwrap_or_else(|| Prepared::new(message));
        let room = hub.room_for(&prepared)?;
        let topic = match id {
            Some(id) => self.index.get(id).name().clone(),
            None => Topic::of_subscription(name),
        };
        let mut post = hub.make_post(hash, topic.clone(), prepared.clone(), compress, room);
        if let Some(limits) = kept {
            // Here and now, so that it arrives in the order in which it is kept.
            hub.histories.keep(&topic, limits, &prepared, |number| {
                post.number = number;
                hub.distribute(post, own);
            });
        } else {
            let post = Arc::new(post);
            for worker in interested {
                self.outgoing[worker].push(Arc::clone(&post));
            }
        }
        Ok(Some(prepared))
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

    // Delivering

    /// Whether there is something to [`flush`](Self::flush).
    pub(crate) fn is_pending(&self) -> bool {
        !self.batches.is_empty()
            || !self.midway.is_empty()
            || self.outgoing.iter().any(|list| !list.is_empty())
    }

    /// Whether something was published that waits for the next [`flush`](Self::flush).
    #[inline]
    pub(crate) fn is_gathering(&self) -> bool {
        !self.batches.is_empty()
    }

    /// Whether so much has been gathered that it should be given out before the end of the turn.
    #[inline]
    pub(crate) fn is_urgent(&self) -> bool {
        self.batches.len() > MANY_BATCHES || self.gathered > MANY_BYTES
    }

    /// Gives a socket what was published to it so far, because something else is about to be sent to it.
    #[inline]
    pub(crate) fn settle(&mut self, slot: u32, socket: &mut impl Recipient) {
        if !self.batches.is_empty() && self.index.topics_of(slot).len() > 0 {
            self.settle_with(slot, socket);
        }
    }

    #[inline(never)]
    fn settle_with(&mut self, slot: u32, socket: &mut impl Recipient) {
        let base = self.drops.batches.len();
        let mut delivery = Delivery {
            backlogs: &mut self.backlogs,
            midway: &mut self.midway,
            drops: &mut self.drops.list,
            hub: &self.hub,
            is_final: false,
            delivered: 0,
        };
        for (number, batch) in self.batches.iter_mut().enumerate() {
            let is_for_it = |id: &TopicId| self.index.is_subscribed(slot, *id);
            if batch.targets().iter().any(is_for_it) {
                delivery.deliver(batch, base + number, slot, socket);
                batch.skip_all(slot);
            }
        }
    }

    /// Gives all subscribers what was published to them, and other workers what concerns them. The worker tells the
    /// handlers of what was [dropped](Self::next_dropped) afterwards, and sends what was added.
    pub(crate) fn flush(&mut self, sockets: &mut impl Recipients) {
        for slot in std::mem::take(&mut self.midway) {
            match sockets.recipient(slot) {
                Some(mut socket) => {
                    self.drain(slot, &mut socket);
                }
                None => self.backlogs.forget(slot),
            }
        }
        let base = self.drops.batches.len();
        let mut delivery = Delivery {
            backlogs: &mut self.backlogs,
            midway: &mut self.midway,
            drops: &mut self.drops.list,
            hub: &self.hub,
            is_final: true,
            delivered: 0,
        };
        for (number, batch) in self.batches.iter_mut().enumerate() {
            let several = batch.targets().len() > 1;
            for at in 0..batch.targets().len() {
                for subscriber in self.index.get(batch.targets()[at]).subscribers() {
                    let Some(mut socket) = sockets.recipient(subscriber.slot) else {
                        continue;
                    };
                    delivery.deliver(batch, base + number, subscriber.slot, &mut socket);
                    if several {
                        batch.skip_all(subscriber.slot);
                    }
                }
            }
        }
        let delivered = delivery.delivered;
        self.hub
            .metrics
            .flushed(std::mem::take(&mut self.published), delivered);
        self.finish();
        for (worker, posts) in self.outgoing.iter_mut().enumerate() {
            if !posts.is_empty() {
                self.hub.post(worker, posts);
            }
        }
    }

    /// All batches have been given out.
    fn finish(&mut self) {
        self.last_shared = None;
        self.gathered = 0;
        for number in 0..self.batches.len() {
            for at in 0..self.batches[number].targets().len() {
                let id = self.batches[number].targets()[at];
                // The same topic may have been in an earlier batch, and be gone with it.
                if let Some(entry) = self.index.get_if_there(id) {
                    entry.extra.open = None;
                    self.index.let_go(id);
                    self.release(id);
                }
            }
        }
        if self.drops.list.is_empty() {
            recycle(&mut self.spare, &mut self.batches);
        } else {
            self.drops.batches.append(&mut self.batches);
        }
    }

    /// A message that was dropped, and who was to get it.
    pub(crate) fn next_dropped(&mut self) -> Option<Dropped> {
        let Drops { list, batches } = &mut self.drops;
        let dropped = match list.front_mut() {
            None => {
                recycle(&mut self.spare, batches);
                return None;
            }
            Some(Drop::Refused {
                slot,
                batch,
                messages,
            }) => {
                // What a settled socket was refused is in a batch that is not finished yet.
                let base = batches.len();
                let batch = match batch.checked_sub(base) {
                    None => &mut batches[*batch],
                    Some(number) => &mut self.batches[number],
                };
                let at = messages.start;
                messages.start += 1;
                let dropped = Dropped {
                    slot: *slot,
                    topic: batch.topic().clone(),
                    message: batch.prepared(at),
                };
                if messages.start < messages.end {
                    return Some(dropped);
                }
                dropped
            }
            Some(Drop::Evicted { slot, message }) => Dropped {
                slot: *slot,
                topic: message.topic.clone(),
                message: message.message.clone(),
            },
        };
        list.pop_front();
        Some(dropped)
    }

    /// Sends a socket that has caught up what waited for it, as much as may wait as output. Gives whether that was
    /// anything.
    pub(crate) fn drain(&mut self, slot: u32, socket: &mut impl Recipient) -> bool {
        if !self.backlogs.contains(slot) {
            return false;
        }
        let drained = self.backlogs.drain(slot, socket);
        if drained.is_midway && !self.midway.contains(&slot) {
            self.midway.push(slot);
        }
        drained.count > 0
    }

    /// How many bytes of messages wait for this socket and may still be dropped.
    pub(crate) fn backlog(&self, slot: u32) -> usize {
        self.backlogs.bytes(slot)
    }
}

/// Keeps batches for their memory.
fn recycle(spare: &mut Vec<Batch>, batches: &mut Vec<Batch>) {
    spare.append(batches);
    spare.truncate(MANY_BATCHES);
}

/// What delivering needs besides a batch and a socket.
struct Delivery<'d> {
    backlogs: &'d mut Backlogs,
    midway: &'d mut Vec<u32>,
    drops: &'d mut VecDeque<Drop>,
    hub: &'d Hub,
    /// Nothing is added to the batches any more.
    is_final: bool,
    /// How many messages were added to an output.
    delivered: u64,
}

impl Delivery<'_> {
    /// Gives a socket what it has not got yet of a batch.
    fn deliver(&mut self, batch: &mut Batch, number: usize, slot: u32, socket: &mut impl Recipient) {
        if batch.is_for_all_alike() {
            self.part(batch, number, 0..batch.len(), slot, socket);
            return;
        }
        for part in batch.parts_for(slot) {
            self.part(batch, number, part, slot, socket);
        }
    }

    fn part(
        &mut self,
        batch: &mut Batch,
        number: usize,
        messages: Range<usize>,
        slot: u32,
        socket: &mut impl Recipient,
    ) {
        if self.is_direct(slot, socket) && self.add(batch, messages.clone(), socket) {
            return;
        }
        // One after the other: as many as there is room for.
        for at in messages {
            if self.is_direct(slot, socket) && self.add(batch, at..at + 1, socket) {
                continue;
            }
            self.refuse(batch, number, at, slot, socket);
        }
    }

    /// Whether messages for this socket become output at once.
    fn is_direct(&self, slot: u32, socket: &impl Recipient) -> bool {
        let waits_anyway = socket.is_blocked() && socket.pressure().queues();
        !waits_anyway && !self.backlogs.contains(slot)
    }

    /// Adds messages to the output if there is room; gives whether there was. A socket that is closing needs none.
    fn add(&mut self, batch: &mut Batch, messages: Range<usize>, socket: &mut impl Recipient) -> bool {
        let (count, kind) = (messages.len(), batch.kind());
        let payload = batch.payload_of(messages.clone());
        let mut log = match batch.log_for(socket) {
            Ok(log) => log,
            Err(SendError::FragmentInProgress) => return false,
            Err(_) => return true,
        };
        let len = log.len_of(messages.clone());
        let room = socket.pressure().for_output();
        let fits = |waiting: usize| waiting + len <= room || (waiting == 0 && count == 1);
        if !fits(socket.waiting()) {
            if !socket.is_blocked() {
                socket.relieve();
            }
            if !fits(socket.waiting()) {
                return false;
            }
        }
        let compresses = log.compresses;
        add(socket, log.frames(messages, self.is_final));
        if compresses {
            socket.connection().sent_prepared();
        }
        socket.touched(kind, count, payload);
        self.delivered += count as u64;
        true
    }

    /// Does with a message what the socket's policy says.
    fn refuse(
        &mut self,
        batch: &mut Batch,
        number: usize,
        at: usize,
        slot: u32,
        socket: &mut impl Recipient,
    ) {
        let limits = socket.pressure();
        if limits.queues() || socket.connection().is_sending_fragments() {
            let message = Waiting {
                topic: batch.topic().clone(),
                message: batch.prepared(at),
                compress: batch.compress(at),
            };
            if self.wait(message, slot, socket) {
                return;
            }
        }
        self.hub.metrics.dropped();
        if limits.policy == Overflow::Close {
            socket.overflowed();
        }
        match self.drops.back_mut() {
            Some(Drop::Refused {
                slot: last,
                batch,
                messages,
            }) if *last == slot && *batch == number && messages.end == at => messages.end = at + 1,
            _ => self.drops.push_back(Drop::Refused {
                slot,
                batch: number,
                messages: at..at + 1,
            }),
        }
    }
    /// Lets a message wait; gives whether there was room.
    fn wait(&mut self, message: Waiting, slot: u32, socket: &mut impl Recipient) -> bool {
        if socket.connection().is_sending_fragments() && !self.midway.contains(&slot) {
            self.midway.push(slot);
        }
        let (drops, metrics) = (&mut *self.drops, &self.hub.metrics);
        let evicted = |message| {
            metrics.dropped();
            drops.push_back(Drop::Evicted {
                slot,
                message: Box::new(message),
            });
        };
        self.backlogs
            .push(slot, message, socket.pressure(), evicted)
            .is_none()
    }
}
