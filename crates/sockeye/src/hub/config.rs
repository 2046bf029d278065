//! How a hub is set up, what it refuses, and what it lists.

use super::history::History;
use super::topic::{Topic, TopicError};

/// How publish/subscribe works on a server.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct HubConfig {
    /// How many topics a WebSocket may be subscribed to. Default: 128. Each takes 16 bytes, and some more in the lists'
    /// spare room.
    pub max_subscriptions: usize,
    /// Whether WebSockets may subscribe to patterns as MQTT has them: `+` stands for one level between slashes, `#`
    /// for all levels that follow. Default: no.
    ///
    /// A pattern costs a node of a tree for each of its levels. While a worker has any, publishing costs a walk through
    /// the tree, one hash for each level of the name, doubled by every `+` on the way, and messages to one topic are
    /// no longer gathered with those to others. Without patterns publishing costs the same whether they are allowed or not.
    pub wildcards: bool,
    /// Bytes of published messages that may be on their way between threads, with 256 for each message. Default:
    /// 64 MiB. Beyond, publishing fails with [`PublishError::Full`], or waits
    /// ([`Publisher::publish_when_ready`](super::Publisher::publish_when_ready)).
    pub max_in_transit: usize,
    /// The topics whose last messages are kept, by name or pattern (as in [`wildcards`](Self::wildcards), which need not be
    /// on for this). The last of the list that matches counts. Default: none.
    pub history: Vec<(String, History)>,
    /// Of how many topics messages are kept: beyond, the one goes that was published to longest ago. Default: 1024.
    pub max_history_topics: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            max_subscriptions: 128,
            wildcards: false,
            max_in_transit: 64 * 1024 * 1024,
            history: Vec::new(),
            max_history_topics: 1024,
        }
    }
}

/// Why a message was not published. Nobody gets it then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The topic has no valid name.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Too much is on its way to other workers, who are busy: [`HubConfig::max_in_transit`].
    #[error("too many published messages are on their way")]
    Full,
    /// There is no server to publish on: it is not built yet, or has ended; or the WebSocket is not one of a server.
    #[error("there is no server to publish on")]
    NoServer,
    /// The WebSocket that was to publish it is closed.
    #[error("the WebSocket is closed")]
    Closed,
}

/// Why a WebSocket was not subscribed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The topic has no valid name.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// It is subscribed to [`HubConfig::max_subscriptions`] topics already.
    #[error("a WebSocket may be subscribed to {0} topics at most")]
    Limit(usize),
    /// The WebSocket is closed.
    #[error("the WebSocket is closed")]
    Closed,
    /// Too much was asked of the WebSocket through [handles](crate::server::SocketHandle) that its worker has not come to
    /// yet: ask again a little later.
    #[error("too much waits for the worker of the WebSocket")]
    Full,
    /// It is not a WebSocket of a [`Server`](crate::Server), and was given no other topics.
    #[error("the WebSocket is not one of a server, and was given no topics")]
    NoServer,
}

/// Topics and how many subscribers they have.
#[derive(Clone, Debug)]
pub struct Topics(std::vec::IntoIter<(Topic, usize)>);

impl Topics {
    pub(super) fn new(list: Vec<(Topic, usize)>) -> Self {
        Self(list.into_iter())
    }
}

impl Iterator for Topics {
    type Item = (Topic, usize);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Topics {}
