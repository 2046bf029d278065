//! The last messages of topics, for subscribers that come later.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use sockeye_proto::Prepared;

use super::filters::Filters;
use super::index::TopicId;
use super::topic::{Topic, TopicError, check_filter};

/// How much of a topic is kept for subscribers that come later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct History {
    /// How many messages. Default: 100.
    pub messages: usize,
    /// How many bytes of payload. Default: 64 KiB. A longer message is not kept.
    pub bytes: usize,
}

impl History {
    /// At most so many messages, and so many bytes of payload.
    #[must_use]
    pub const fn new(messages: usize, bytes: usize) -> Self {
        Self { messages, bytes }
    }
}

impl Default for History {
    fn default() -> Self {
        Self::new(100, 64 * 1024)
    }
}

/// The rings of all topics whose messages are kept.
#[derive(Debug)]
pub(super) struct Histories {
    rules: Filters,
    limits: Vec<History>,
    rings: Mutex<Rings>,
}

#[derive(Debug)]
struct Rings {
    /// The topic that was published to last is the first.
    topics: LruCache<Topic, Ring>,
    /// The number of the last message, of all topics.
    last: u64,
}

#[derive(Debug, Default)]
struct Ring {
    messages: VecDeque<(u64, Prepared)>,
    bytes: usize,
}

/// What a subscriber is told of what was before it.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) messages: Vec<Prepared>,
    /// The number of the last message that was published before, whether it is told of or not.
    pub(super) up_to: u64,
}

impl Histories {
    /// Keeps the topics of these patterns, each within its limits, and at most `max_topics` of them.
    pub(super) fn new(rules: &[(String, History)], max_topics: usize) -> Result<Self, TopicError> {
        let mut filters = Filters::default();
        let mut limits: Vec<History> = Vec::new();
        for (filter, limit) in rules {
            check_filter(filter)?;
            filters.insert(filter, TopicId(limits.len() as u32));
            limits.push(*limit);
        }
        let rings = Rings {
            topics: LruCache::new(NonZeroUsize::new(max_topics).unwrap_or(NonZeroUsize::MIN)),
            last: 0,
        };
        Ok(Self {
            rules: filters,
            limits,
            rings: Mutex::new(rings),
        })
    }

    /// What is kept of a topic, if anything.
    pub(super) fn limits_of(&self, name: &str) -> Option<History> {
        if self.rules.is_empty() {
            return None;
        }
        let mut found = Vec::new();
        self.rules.matching(name, &mut found);
        // The rule that was made last counts.
        let rule = found.into_iter().map(|id| id.0).max()?;
        self.limits.get(rule as usize).copied()
    }

    /// Keeps a message. `post` is given its number, and runs before any other message is kept: what it posts is in the order
    /// of the numbers.
    pub(super) fn keep<R>(
        &self,
        topic: &Topic,
        limits: History,
        message: &Prepared,
        post: impl FnOnce(u64) -> R,
    ) -> R {
        let mut rings = self.lock();
        rings.last += 1;
        let number = rings.last;
        let ring = rings.topics.get_or_insert_mut(topic.clone(), Ring::default);
        ring.bytes += message.as_bytes().len();
        ring.messages.push_back((number, message.clone()));
        while ring.messages.len() > limits.messages || ring.bytes > limits.bytes {
            let Some((_, oldest)) = ring.messages.pop_front() else {
                break;
            };
            ring.bytes -= oldest.as_bytes().len();
        }
        post(number)
    }

    /// The last messages of a topic, at most `count`.
    pub(super) fn replay(&self, topic: &str, count: usize) -> Replay {
        self.replay_and(topic, count, |replay| replay)
    }

    /// The same, given to `and` before any other message is kept.
    pub(super) fn replay_and<R>(&self, topic: &str, count: usize, and: impl FnOnce(Replay) -> R) -> R {
        let rings = self.lock();
        let messages = rings.topics.peek(topic).map_or_else(Vec::new, |ring| {
            let skipped = ring.messages.len().saturating_sub(count);
            let last = ring.messages.iter().skip(skipped);
            last.map(|(_, message)| message.clone()).collect()
        });
        and(Replay {
            messages,
            up_to: rings.last,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use sockeye_proto::Message;

    use super::*;

    fn rules(rules: &[(&str, usize, usize)]) -> Vec<(String, History)> {
        let rule = |&(filter, messages, bytes): &(&str, usize, usize)| {
            (filter.to_owned(), History::new(messages, bytes))
        };
        rules.iter().map(rule).collect()
    }

    fn keep(histories: &Histories, topic: &str, text: &str) {
        let limits = histories.limits_of(topic).unwrap();
        let topic = Topic::new(topic).unwrap();
        histories.keep(&topic, limits, &Prepared::new(Message::Text(text)), |_| ());
    }

    fn texts(replay: &Replay) -> Vec<String> {
        let text = |message: &Prepared| String::from_utf8_lossy(message.as_bytes()).into_owned();
        replay.messages.iter().map(text).collect()
    }

    #[test]
    fn a_ring_keeps_the_last_messages_by_count_and_by_bytes() {
        let histories = Histories::new(&rules(&[("a", 3, 100), ("b", 100, 6)]), 10).unwrap();
        for text in ["1", "22", "333", "4444"] {
            keep(&histories, "a", text);
            keep(&histories, "b", text);
        }
        assert_eq!(texts(&histories.replay("a", 10)), ["22", "333", "4444"]);
        assert_eq!(texts(&histories.replay("a", 2)), ["333", "4444"]);
        assert_eq!(texts(&histories.replay("b", 10)), ["4444"]);
        keep(&histories, "b", "too long for it");
        assert_eq!(texts(&histories.replay("b", 10)), [""; 0]);
        assert_eq!(texts(&histories.replay("a", 0)), [""; 0]);
        assert_eq!(histories.replay("a", 0).up_to, 9);
    }

    #[test]
    fn the_topic_that_was_quiet_longest_goes_when_there_are_too_many() {
        let histories = Histories::new(&rules(&[("#", 10, 100)]), 2).unwrap();
        for topic in ["a", "b", "a", "c"] {
            keep(&histories, topic, topic);
        }
        assert_eq!(texts(&histories.replay("a", 10)), ["a", "a"]);
        assert_eq!(texts(&histories.replay("b", 10)), [""; 0]);
        assert_eq!(texts(&histories.replay("c", 10)), ["c"]);
    }

    #[test]
    fn the_last_rule_that_matches_counts() {
        let histories = Histories::new(&rules(&[("#", 1, 1), ("a/+", 2, 2), ("a/b", 3, 3)]), 1).unwrap();
        for (topic, messages) in [("x", 1), ("a/x", 2), ("a/b", 3), ("a/b/c", 1)] {
            assert_eq!(histories.limits_of(topic).unwrap().messages, messages, "{topic}");
        }
        let none = Histories::new(&[], 1).unwrap();
        assert_eq!(none.limits_of("x"), None);
        assert!(Histories::new(&rules(&[("a#", 1, 1)]), 1).is_err());
    }
}
