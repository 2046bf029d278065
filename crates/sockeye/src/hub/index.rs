//! Who is subscribed to what, on one worker.
//!
//! A topic knows the slots of its subscribers, a slot its topics, and each entry of the one list knows its place in the
//! other: leaving costs the same however long the lists are, and fan-out walks an array. A subscription takes 16 bytes.

use hashbrown::HashTable;
use thin_vec::ThinVec;

use super::topic::Topic;

/// A topic on this worker: the index of its entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TopicId(pub(super) u32);

impl TopicId {
    fn index(self) -> usize {
        self.0 as usize
    }
}

/// A subscriber of a topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscriber {
    /// The slot of the socket.
    pub(super) slot: u32,
    /// Where the topic stands among those of the socket.
    place: u32,
}

/// A topic of a socket.
#[derive(Clone, Copy, Debug)]
struct Membership {
    topic: TopicId,
    /// Where the socket stands among the topic's subscribers.
    place: u32,
}

/// A topic that somebody is subscribed to; `T` is what else is kept of it.
#[derive(Debug)]
pub(super) struct Entry<T> {
    name: Topic,
    hash: u64,
    subscribers: Vec<Subscriber>,
    /// How many of the subscribers are subscribed to other topics too.
    shared: u32,
    /// The entry stays without subscribers.
    is_held: bool,
    pub(super) extra: T,
}

impl<T> Entry<T> {
    pub(super) fn name(&self) -> &Topic {
        &self.name
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn subscribers(&self) -> &[Subscriber] {
        &self.subscribers
    }

    /// Whether some subscriber is subscribed to other topics too.
    pub(super) fn is_shared(&self) -> bool {
        self.shared > 0
    }
}

#[derive(Debug)]
pub(super) struct Index<T> {
    entries: Vec<Option<Entry<T>>>,
    free: Vec<TopicId>,
    names: HashTable<TopicId>,
    /// By slot; as long as the highest slot that was ever subscribed.
    sockets: Vec<ThinVec<Membership>>,
    subscriptions: usize,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            names: HashTable::new(),
            sockets: Vec::new(),
            subscriptions: 0,
        }
    }
}

impl<T> Index<T> {
    /// The topic of this name, if somebody is subscribed to it or it is held.
    pub(super) fn find(&self, hash: u64, name: &str) -> Option<TopicId> {
        let is_it = |id: &TopicId| self.get(*id).name.as_str() == name;
        self.names.find(hash, is_it).copied()
    }

    /// # Panics
    /// If the topic was removed: identifiers are not kept longer than topics.
    pub(super) fn get(&self, id: TopicId) -> &Entry<T> {
        self.entries[id.index()].as_ref().expect("a topic that is there")
    }

    /// # Panics
    /// As [`get`](Self::get).
    pub(super) fn get_mut(&mut self, id: TopicId) -> &mut Entry<T> {
        self.entries[id.index()].as_mut().expect("a topic that is there")
    }

    /// The topic, unless it was removed and no other has its place.
    pub(super) fn get_if_there(&mut self, id: TopicId) -> Option<&mut Entry<T>> {
        self.entries.get_mut(id.index())?.as_mut()
    }

    /// Adds a topic that is not there yet. It has to be given a subscriber, or be held, or be [released](Self::release).
    pub(super) fn insert(&mut self, hash: u64, name: Topic, extra: T) -> TopicId {
        let entry = Some(Entry {
            name,
            hash,
            subscribers: Vec::new(),
            shared: 0,
            is_held: false,
            extra,
        });
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id.index()] = entry;
                id
            }
            None => {
                self.entries.push(entry);
                TopicId(u32::try_from(self.entries.len() - 1).expect("fewer topics than 2³²"))
            }
        };
        let entries = &self.entries;
        self.names.insert_unique(hash, id, |id| {
            entries[id.index()].as_ref().map_or(0, |entry| entry.hash)
        });
        id
    }

    /// Adds a subscriber who is not one yet; gives how many there are now.
    pub(super) fn subscribe(&mut self, slot: u32, topic: TopicId) -> usize {
        let at = slot as usize;
        if at >= self.sockets.len() {
            self.sockets.resize_with(at + 1, ThinVec::new);
        }
        let topics = &mut self.sockets[at];
        if topics.is_empty() {
            // Most sockets have one topic.
            topics.reserve_exact(1);
        }
        let (place, others) = (topics.len(), topics.first().map(|first| first.topic));
        let entry = self.entries[topic.index()]
            .as_mut()
            .expect("a topic that is there");
        topics.push(Membership {
            topic,
            place: entry.subscribers.len() as u32,
        });
        entry.subscribers.push(Subscriber {
            slot,
            place: place as u32,
        });
        let count = entry.subscribers.len();
        self.subscriptions += 1;
        if let Some(first) = others {
            self.get_mut(topic).shared += 1;
            if place == 1 {
                self.get_mut(first).shared += 1;
            }
        }
        count
    }

    pub(super) fn is_subscribed(&self, slot: u32, topic: TopicId) -> bool {
        self.place(slot, topic).is_some()
    }

    /// Ends a subscription; gives whether there was one. The topic stays until it is [released](Self::release).
    pub(super) fn unsubscribe(&mut self, slot: u32, topic: TopicId) -> bool {
        let Some(place) = self.place(slot, topic) else {
            return false;
        };
        let topics = &mut self.sockets[slot as usize];
        let left = topics.swap_remove(place);
        let moved = topics.get(place).copied();
        let (count, first) = (topics.len(), topics.first().map(|first| first.topic));
        if topics.is_empty() {
            *topics = ThinVec::new();
        }
        if let Some(moved) = moved {
            self.get_mut(moved.topic).subscribers[moved.place as usize].place = place as u32;
        }
        if let Some(first) = first {
            self.get_mut(topic).shared -= 1;
            if count == 1 {
                self.get_mut(first).shared -= 1;
            }
        }

        let subscribers = &mut self.get_mut(topic).subscribers;
        subscribers.swap_remove(left.place as usize);
        let moved = subscribers.get(left.place as usize).copied();
        if subscribers.capacity() > 64 && subscribers.len() < subscribers.capacity() / 4 {
            subscribers.shrink_to(subscribers.len() * 2);
        }
        if let Some(moved) = moved {
            self.sockets[moved.slot as usize][moved.place as usize].place = left.place;
        }
        self.subscriptions -= 1;
        true
    }

    /// Where the topic stands among those of a socket: the shorter list is searched.
    fn place(&self, slot: u32, topic: TopicId) -> Option<usize> {
        let topics = self.sockets.get(slot as usize)?;
        let subscribers = self.get(topic).subscribers();
        if subscribers.len() < topics.len() {
            let subscriber = subscribers.iter().find(|subscriber| subscriber.slot == slot)?;
            return Some(subscriber.place as usize);
        }
        topics.iter().position(|membership| membership.topic == topic)
    }

    /// The topics of a socket, in no certain order.
    pub(super) fn topics_of(
        &self,
        slot: u32,
    ) -> impl DoubleEndedIterator<Item = TopicId> + ExactSizeIterator + '_ {
        let topics = self.sockets.get(slot as usize).map_or(&[][..], |topics| topics);
        topics.iter().map(|membership| membership.topic)
    }

    /// Keeps the topic even while it has no subscribers.
    pub(super) fn hold(&mut self, topic: TopicId) {
        self.get_mut(topic).is_held = true;
    }

    /// Ends [`hold`](Self::hold).
    pub(super) fn let_go(&mut self, topic: TopicId) {
        self.get_mut(topic).is_held = false;
    }

    /// Removes the topic if nobody is subscribed to it and it is not held; gives what was kept of it.
    pub(super) fn release(&mut self, topic: TopicId) -> Option<Entry<T>> {
        let entry =
            self.entries[topic.index()].take_if(|entry| entry.subscribers.is_empty() && !entry.is_held)?;
        if let Ok(found) = self.names.find_entry(entry.hash, |id| *id == topic) {
            found.remove();
        }
        self.free.push(topic);
        if self.names.is_empty() {
            // What a crowd needed is not kept when it has gone.
            *self = Self::default();
        } else if self.names.capacity() > 64 && self.names.len() < self.names.capacity() / 8 {
            let entries = &self.entries;
            self.names.shrink_to(self.names.len() * 2, |id| {
                entries[id.index()].as_ref().map_or(0, |entry| entry.hash)
            });
        }
        Some(entry)
    }

    /// How many topics there are, and how many subscriptions.
    #[cfg(test)]
    fn len(&self) -> (usize, usize) {
        (self.names.len(), self.subscriptions)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn hash_of(name: &str) -> u64 {
        // Many collisions, on purpose.
        name.len() as u64
    }

    fn enter(index: &mut Index<()>, name: &str) -> TopicId {
        index
            .find(hash_of(name), name)
            .unwrap_or_else(|| index.insert(hash_of(name), Topic::new(name).unwrap(), ()))
    }

    fn subscribers_of(index: &Index<()>, topic: TopicId) -> BTreeSet<u32> {
        let list = index.get(topic).subscribers();
        let set: BTreeSet<_> = list.iter().map(|subscriber| subscriber.slot).collect();
        assert_eq!(set.len(), list.len(), "nobody is listed twice");
        set
    }

    #[derive(Clone, Debug)]
    enum Step {
        Subscribe(u32, u8),
        Unsubscribe(u32, u8),
        Leave(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..12_u32, 0..10_u8).prop_map(|(slot, topic)| Step::Subscribe(slot, topic)),
            2 => (0..12_u32, 0..10_u8).prop_map(|(slot, topic)| Step::Unsubscribe(slot, topic)),
            1 => (0..12_u32).prop_map(Step::Leave),
        ]
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_plain_sets(steps in proptest::collection::vec(step(), 1..200)) {
            let mut index = Index::default();
            let mut model: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Subscribe(slot, topic) => {
                        let name = format!("topic {topic}");
                        let id = enter(&mut index, &name);
                        let is_new = model.entry(slot).or_default().insert(name);
                        prop_assert_eq!(index.is_subscribed(slot, id), !is_new);
                        if is_new {
                            index.subscribe(slot, id);
                        }
                    }
                    Step::Unsubscribe(slot, topic) => {
                        let name = format!("topic {topic}");
                        let was = model.entry(slot).or_default().remove(&name);
                        if let Some(id) = index.find(hash_of(&name), &name) {
                            prop_assert_eq!(index.unsubscribe(slot, id), was);
                            index.release(id);
                        }
                    }
                    Step::Leave(slot) => {
                        model.remove(&slot);
                        let last = |index: &Index<()>| index.topics_of(slot).next_back();
                        while let Some(id) = last(&index) {
                            prop_assert!(index.unsubscribe(slot, id));
                            index.release(id);
                        }
                    }
                }
                let mut topics: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
                for (slot, names) in &model {
                    for name in names {
                        topics.entry(name).or_default().insert(*slot);
                    }
                    let listed: BTreeSet<_> = index.topics_of(*slot)
                        .map(|id| index.get(id).name().to_string()).collect();
                    prop_assert_eq!(&listed, names);
                }
                let subscriptions = topics.values().map(BTreeSet::len).sum();
                prop_assert_eq!(index.len(), (topics.len(), subscriptions));
                for (name, slots) in &topics {
                    let id = index.find(hash_of(name), name).unwrap();
                    prop_assert_eq!(&subscribers_of(&index, id), slots);
                    let shared = slots.iter().any(|slot| model[slot].len() > 1);
                    prop_assert_eq!(index.get(id).is_shared(), shared);
                }
            }
        }
    }

    #[test]
    fn topics_that_come_and_go_leave_nothing() {
        let mut index = Index::default();
        let keep = enter(&mut index, "keep");
        index.subscribe(0, keep);
        for round in 0..10_000 {
            let id = enter(&mut index, &format!("visit {round}"));
            index.subscribe(round % 7, id);
            index.unsubscribe(round % 7, id);
            index.release(id);
        }
        assert_eq!(index.len(), (1, 1));
        assert!(index.entries.len() <= 2 && index.names.capacity() <= 64);
        index.unsubscribe(0, keep);
        index.release(keep);
        assert_eq!((index.entries.capacity(), index.sockets.capacity()), (0, 0));
    }

    #[test]
    fn a_crowd_that_leaves_gives_its_memory_back() {
        let mut index = Index::default();
        let id = enter(&mut index, "crowded");
        for slot in 0..100_000 {
            index.subscribe(slot, id);
        }
        for slot in 1..100_000 {
            index.unsubscribe(slot, id);
        }
        assert!(index.get(id).subscribers.capacity() <= 64 + 1);
        assert_eq!(subscribers_of(&index, id), BTreeSet::from([0]));
    }

    #[test]
    fn a_held_topic_stays_without_subscribers() {
        let mut index = Index::default();
        let id = enter(&mut index, "held");
        index.hold(id);
        assert!(index.release(id).is_none());
        index.let_go(id);
        assert!(index.release(id).is_some());
        assert_eq!(index.find(hash_of("held"), "held"), None);
    }

    #[test]
    fn an_entry_takes_8_bytes_on_either_side() {
        assert_eq!(size_of::<Subscriber>(), 8);
        assert_eq!(size_of::<Membership>(), 8);
        assert_eq!(size_of::<ThinVec<Membership>>(), 8);
    }
}
