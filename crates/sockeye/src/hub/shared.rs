//! What the workers of a server have of the hub in common.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock, Weak};

use sockeye_proto::{Compress, Prepared};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::changes::{Changes, Lookout};
use super::config::HubConfig;
use super::history::Histories;
use super::metrics::HubMetrics;
use super::registry::{Interest, Registry};
use super::sessions::Sessions;
use super::topic::{Topic, TopicError, check_filter, check_name, is_filter};
use super::{PublishError, Topics};
use crate::session::Shared as Session;

/// The hub of a server, as all its workers and other threads know it.
pub(crate) struct Hub {
    pub(super) config: HubConfig,
    hasher: foldhash::fast::RandomState,
    pub(super) registry: Registry,
    /// The workers that have subscriptions to patterns.
    pub(super) wildcards: Interest,
    pub(super) histories: Histories,
    pub(super) metrics: HubMetrics,
    /// Who looks on while topics gain and lose subscribers.
    pub(super) lookout: Lookout,
    /// The subscribers that no worker sees to. Among workers, they have the number behind the last.
    pub(super) sessions: Sessions,
    /// Bytes of messages that may be on their way between threads.
    room: Arc<Semaphore>,
    workers: usize,
    outlets: Box<[OnceLock<Arc<dyn Outlet>>]>,
}

/// The way to a worker, from any thread.
pub(crate) trait Outlet: Send + Sync {
    /// Hands over messages, in order, all of the list. They are lost only if the worker is gone, and its sockets with it.
    fn post(&self, posts: &mut Vec<Arc<Post>>);
}

/// A message on its way to other workers.
pub(crate) struct Post {
    pub(super) hash: u64,
    pub(super) topic: Topic,
    pub(super) message: Prepared,
    pub(super) compress: Compress,
    /// The session that published it and is not to have it. Not by its slot, which may be another's when this is given out.
    pub(super) session: Option<Weak<Session>>,
    /// Its number, if its topic is kept.
    pub(super) number: u64,
    /// Given back when the last worker has taken it.
    _room: OwnedSemaphorePermit,
}

impl Hub {
    /// The hub of so many workers.
    pub(crate) fn new(config: HubConfig, workers: usize) -> Result<Arc<Self>, TopicError> {
        let histories = Histories::new(&config.history, config.max_history_topics)?;
        Ok(Arc::new(Self {
            room: Arc::new(Semaphore::new(
                config.max_in_transit.clamp(1, u32::MAX as usize / 2),
            )),
            config,
            hasher: foldhash::fast::RandomState::default(),
            registry: Registry::new(workers + 1),
            wildcards: Interest::new(workers + 1),
            histories,
            metrics: HubMetrics::new(),
            lookout: Lookout::default(),
            sessions: Sessions::default(),
            workers,
            outlets: (0..workers).map(|_| OnceLock::new()).collect(),
        }))
    }

    /// Says how a worker is reached, before it has subscribers.
    pub(super) fn attach(&self, worker: usize, outlet: Arc<dyn Outlet>) {
        let _ = self.outlets[worker].set(outlet);
    }

    pub(super) fn hash(&self, name: &str) -> u64 {
        self.hasher.hash_one(name.as_bytes())
    }

    pub(super) fn workers(&self) -> usize {
        self.workers
    }

    /// Whether there may be subscribers that are not on the worker which asks.
    #[inline]
    pub(super) fn has_others(&self) -> bool {
        self.workers > 1 || self.sessions.has_any()
    }

    /// Checks what somebody wants to subscribe to; gives whether it is a pattern.
    pub(super) fn check_subscription(&self, name: &str) -> Result<bool, TopicError> {
        if self.config.wildcards && is_filter(name) {
            check_filter(name)?;
            return Ok(true);
        }
        check_name(name)?;
        Ok(false)
    }

    /// The topic, or pattern, that somebody wants to subscribe to.
    pub(crate) fn subscription(&self, name: &str) -> Result<Topic, TopicError> {
        self.check_subscription(name)?;
        Ok(Topic::of_subscription(name))
    }

    /// A message on its way to a topic, if there is room for it.
    pub(crate) fn post_to(
        &self,
        topic: &str,
        message: Prepared,
        compress: Compress,
    ) -> Result<Post, PublishError> {
        let topic = Topic::new(topic)?;
        let room = self.room_for(&message)?;
        Ok(self.make_post(self.hash(&topic), topic, message, compress, room))
    }

    /// The workers but `own` that have subscribers of this topic.
    pub(super) fn interested(
        &self,
        hash: u64,
        name: &str,
        own: Option<usize>,
    ) -> impl Iterator<Item = usize> + '_ {
        let known = self.registry.find(hash, name);
        let has = move |worker: &usize| {
            Some(*worker) != own
                && (self.wildcards.has(*worker)
                    || known.as_ref().is_some_and(|known| known.interest.has(*worker)))
        };
        (0..=self.workers).filter(has)
    }

    /// Room for a message on its way between threads, if there is.
    pub(super) fn room_for(&self, message: &Prepared) -> Result<OwnedSemaphorePermit, PublishError> {
        let room = Arc::clone(&self.room).try_acquire_many_owned(self.cost(message));
        room.map_err(|_| {
            self.metrics.refused();
            PublishError::Full
        })
    }

    /// What a message on its way is counted for: its bytes, and what goes with each.
    fn cost(&self, message: &Prepared) -> u32 {
        let most = self.config.max_in_transit.clamp(1, u32::MAX as usize / 2);
        (message.as_bytes().len() + 256).min(most) as u32
    }

    pub(super) fn post(&self, worker: usize, posts: &mut Vec<Arc<Post>>) {
        match self.outlets.get(worker).map(OnceLock::get) {
            Some(Some(outlet)) => outlet.post(posts),
            Some(None) => posts.clear(),
            None => self.give_sessions(posts),
        }
    }

    pub(super) fn make_post(
        &self,
        hash: u64,
        topic: Topic,
        message: Prepared,
        compress: Compress,
        room: OwnedSemaphorePermit,
    ) -> Post {
        Post {
            hash,
            topic,
            message,
            compress,
            session: None,
            number: 0,
            _room: room,
        }
    }
}

impl Post {
    /// Whether this session has published it.
    pub(super) fn is_of(&self, session: &Arc<Session>) -> bool {
        let publisher = self.session.as_ref();
        publisher.is_some_and(|publisher| std::ptr::eq(publisher.as_ptr(), Arc::as_ptr(session)))
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post")
            .field("topic", &self.topic)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// Publishes to topics, those of a server in most cases, from any thread. Clones publish to the same.
///
/// What is published reaches the subscribers of each topic in the order in which one thread published it. Between
/// publishers, subscribers of different workers may see different orders.
#[derive(Clone, Debug)]
pub struct Publisher(Arc<Hub>);

impl Publisher {
    /// One with topics of its own, for WebSockets that no [`Server`](crate::Server) serves: with `sockeye::axum`,
    /// `sockeye::hyper` and an [`Acceptor`](crate::server::Acceptor) they are given these by `topics`. Those of a server come with
    /// [`ServerHandle::publisher`](crate::server::ServerHandle::publisher).
    ///
    /// # Errors
    /// A pattern of the configured [history](HubConfig::history) is none.
    pub fn new(config: HubConfig) -> Result<Self, TopicError> {
        Hub::new(config, 0).map(Self)
    }

    /// That of a server.
    pub(crate) fn of(hub: Arc<Hub>) -> Self {
        Self(hub)
    }

    pub(crate) fn hub(&self) -> Arc<Hub> {
        Arc::clone(&self.0)
    }

    /// Publishes a message to the subscribers of a topic, on all workers. It is compressed where that was negotiated and the
    /// message is long enough; [`publish_with`](Self::publish_with) has the choice.
    ///
    /// # Errors
    /// What is published and not taken by the workers yet reaches
    /// [`HubConfig::max_in_transit`](super::HubConfig::max_in_transit): nobody gets the message. Or the topic has no
    /// valid name.
    pub fn publish(&self, topic: &str, message: impl Into<Prepared>) -> Result<(), PublishError> {
        self.publish_with(topic, message, Compress::Auto)
    }

    /// Publishes a message, with the choice whether to compress it.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_with(
        &self,
        topic: &str,
        message: impl Into<Prepared>,
        compress: Compress,
    ) -> Result<(), PublishError> {
        let post = self.0.post_to(topic, message.into(), compress)?;
        self.0.hand_over(post);
        Ok(())
    }

    /// Publishes a message as soon as the workers have taken enough of what is on its way.
    ///
    /// # Errors
    /// The topic has no valid name.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it has published nothing. Who waits is served in order.
    pub async fn publish_when_ready(
        &self,
        topic: &str,
        message: impl Into<Prepared>,
    ) -> Result<(), PublishError> {
        let topic = Topic::new(topic)?;
        let message = message.into();
        let room = Arc::clone(&self.0.room).acquire_many_owned(self.0.cost(&message));
        // It is never closed.
        let room = room.await.map_err(|_| PublishError::Full)?;
        let hash = self.0.hash(&topic);
        self.0
            .hand_over(self.0.make_post(hash, topic, message, Compress::Auto, room));
        Ok(())
    }

    /// How many WebSockets are subscribed to this topic, on all workers; those subscribed to a pattern of it do not
    /// count.
    pub fn num_subscribers(&self, topic: &str) -> usize {
        self.0.registry.count(self.0.hash(topic), topic)
    }

    /// The topics that have subscribers, in no certain order, and patterns that have some.
    pub fn topics(&self) -> Topics {
        Topics::new(self.0.registry.list())
    }

    /// What changes about the subscribers of all topics from now on, as
    /// [`Handler::subscription`](crate::server::Handler::subscription) is told by those of its own WebSockets. To open a
    /// source when a topic gets its first subscriber, for example, and to close it when the last one has left.
    ///
    /// Workers tell of their changes one by one, so that the end of the last subscription on one and the first on another may
    /// come the other way round: to act on what is there, ask for it with [`num_subscribers`](Self::num_subscribers).
    pub fn changes(&self) -> Changes {
        self.0.lookout.watch()
    }

    /// What is kept of a topic: its last messages, at most `count`, the oldest first.
    pub fn history(&self, topic: &str, count: usize) -> Vec<Prepared> {
        self.0.histories.replay(topic, count).messages
    }
}

impl Hub {
    /// Publishes a message of a session, to all others.
    pub(crate) fn publish_from_session(
        &self,
        session: &Arc<Session>,
        topic: &str,
        message: Prepared,
    ) -> Result<(), PublishError> {
        let mut post = self.post_to(topic, message, Compress::Auto)?;
        post.session = Some(Arc::downgrade(session));
        self.hand_over(post);
        Ok(())
    }

    /// Hands a message that no worker publishes to all who have subscribers of it.
    fn hand_over(&self, mut post: Post) {
        let limits = self.histories.limits_of(&post.topic);
        self.metrics.flushed(1, 0);
        match limits {
            None => self.distribute(post, None),
            Some(limits) => {
                let (topic, message) = (post.topic.clone(), post.message.clone());
                self.histories.keep(&topic, limits, &message, |number| {
                    post.number = number;
                    self.distribute(post, None);
                });
            }
        }
    }

    /// Hands a message to all workers but `own` that have subscribers of it.
    pub(super) fn distribute(&self, post: Post, own: Option<usize>) {
        let post = Arc::new(post);
        let mut list = Vec::new();
        for worker in self.interested(post.hash, &post.topic, own) {
            list.push(Arc::clone(&post));
            self.post(worker, &mut list);
        }
    }
}
