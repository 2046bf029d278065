//! The hub as one worker has it.

mod publishing;
mod subscribing;

use std::sync::Arc;

use sockeye_proto::{Compress, Prepared};

use super::backlog::Waiting;
use super::batch::Batch;
use super::delivery::{Delivery, Dropped, Numbered};
use super::filters::Filters;
use super::history::History;
use super::index::{Index, TopicId};
use super::recipient::{Recipient, Recipients};
use super::registry::Known;
use super::shared::{Hub, Outlet, Post};

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
    delivery: Delivery,
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

impl Local {
    pub(crate) fn new(hub: Arc<Hub>, worker: usize) -> Self {
        // One more, for the subscribers that no worker sees to.
        let outgoing = (0..=hub.workers()).map(|_| Vec::new()).collect();
        Self {
            delivery: Delivery::new(Arc::clone(&hub)),
            hub,
            worker,
            index: Index::default(),
            filters: Filters::default(),
            batches: Vec::new(),
            last_shared: None,
            gathered: 0,
            spare: Vec::new(),
            outgoing,
            replayed: Vec::new(),
            mail_round: 0,
            matches: Vec::new(),
            published: 0,
        }
    }

    /// What all workers have in common.
    pub(crate) fn shared(&self) -> Arc<Hub> {
        Arc::clone(&self.hub)
    }

    /// Says how this worker is reached from other threads.
    pub(crate) fn attach(&self, outlet: Arc<dyn Outlet>) {
        self.hub.attach(self.worker, outlet);
    }

    /// Whether there is something to [`flush`](Self::flush).
    pub(crate) fn is_pending(&self) -> bool {
        !self.batches.is_empty()
            || self.delivery.is_pending()
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
        for (number, batch) in self.batches.iter_mut().enumerate() {
            let is_for_it = |id: &TopicId| self.index.is_subscribed(slot, *id);
            if batch.targets().iter().any(is_for_it) {
                let numbered = Numbered {
                    batch: &mut *batch,
                    number,
                    is_final: false,
                };
                self.delivery.deliver(numbered, slot, socket);
                batch.skip_all(slot);
            }
        }
    }

    /// Gives all subscribers what was published to them, and other workers what concerns them. The worker tells the
    /// handlers of what was [dropped](Self::next_dropped) afterwards, and sends what was added.
    pub(crate) fn flush(&mut self, sockets: &mut impl Recipients) {
        self.delivery.go_on(sockets);
        for (number, batch) in self.batches.iter_mut().enumerate() {
            let several = batch.targets().len() > 1;
            for at in 0..batch.targets().len() {
                for subscriber in self.index.get(batch.targets()[at]).subscribers() {
                    let Some(mut socket) = sockets.recipient(subscriber.slot) else {
                        continue;
                    };
                    let numbered = Numbered {
                        batch: &mut *batch,
                        number,
                        is_final: true,
                    };
                    self.delivery.deliver(numbered, subscriber.slot, &mut socket);
                    if several {
                        batch.skip_all(subscriber.slot);
                    }
                }
            }
        }
        let (published, delivered) = (
            std::mem::take(&mut self.published),
            self.delivery.take_delivered(),
        );
        self.hub.metrics.flushed(published, delivered);
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
        self.delivery.keep(&mut self.batches);
        recycle(&mut self.spare, &mut self.batches);
    }

    /// A message that was dropped, and who was to get it.
    pub(crate) fn next_dropped(&mut self) -> Option<Dropped> {
        let dropped = self.delivery.next_dropped(&mut self.batches, &mut self.spare);
        if dropped.is_none() {
            self.spare.truncate(MANY_BATCHES);
        }
        dropped
    }

    /// Sends a socket that has caught up what waited for it, as much as may wait as output. Gives whether that was
    /// anything.
    pub(crate) fn drain(&mut self, slot: u32, socket: &mut impl Recipient) -> bool {
        self.delivery.drain(slot, socket)
    }

    /// Lets a message wait that is for this socket alone, in line with what was published to it.
    pub(crate) fn let_wait(
        &mut self,
        slot: u32,
        message: Prepared,
        compress: Compress,
        socket: &mut impl Recipient,
    ) {
        let message = Waiting {
            topic: None,
            message,
            compress,
        };
        self.delivery.wait(message, slot, socket);
    }

    /// Makes output of all that waits for this socket, because it closes.
    pub(crate) fn release_waiting(&mut self, slot: u32, socket: &mut impl Recipient) {
        self.delivery.release(slot, socket);
    }

    /// How many bytes of messages wait for this socket and may still be dropped.
    pub(crate) fn backlog(&self, slot: u32) -> usize {
        self.delivery.backlog(slot)
    }
}

/// Keeps batches for their memory.
fn recycle(spare: &mut Vec<Batch>, batches: &mut Vec<Batch>) {
    spare.append(batches);
    spare.truncate(MANY_BATCHES);
}
