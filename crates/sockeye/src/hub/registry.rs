//! Topics as all workers know them: how many subscribers each has, and on which workers they are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::topic::Topic;

/// How many parts the table has, so that workers seldom wait for each other.
const PARTS: usize = 16;

/// The topics that have subscribers on any worker.
#[derive(Debug)]
pub(super) struct Registry {
    parts: [Mutex<HashMap<Topic, Arc<Known>>>; PARTS],
    workers: usize,
}

/// A topic that has, or just had, subscribers.
#[derive(Debug)]
pub(super) struct Known {
    /// Its subscribers on all workers.
    total: AtomicUsize,
    pub(super) interest: Interest,
}

/// A set of workers.
#[derive(Debug)]
pub(super) struct Interest(Box<[AtomicU64]>);

impl Interest {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn set(&self, worker: usize, on: bool) {
        let (word, bit) = (&self.0[worker / 64], 1 << (worker % 64));
        if on {
            word.fetch_or(bit, Ordering::AcqRel);
        } else {
            word.fetch_and(!bit, Ordering::AcqRel);
        }
    }

    pub(super) fn has(&self, worker: usize) -> bool {
        self.0[worker / 64].load(Ordering::Acquire) >> (worker % 64) & 1 == 1
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| word.load(Ordering::Acquire) == 0)
    }
}

impl Known {
    /// Counts one more; gives how many there were before.
    pub(super) fn joined(&self) -> usize {
        self.total.fetch_add(1, Ordering::AcqRel)
    }

    /// Counts one less; gives how many there were before.
    pub(super) fn left(&self) -> usize {
        self.total.fetch_sub(1, Ordering::AcqRel)
    }
}

impl Registry {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            parts: Default::default(),
            workers,
        }
    }

    /// The topic, if anybody is subscribed.
    pub(super) fn find(&self, hash: u64, name: &str) -> Option<Arc<Known>> {
        self.part(hash).get(name).cloned()
    }

    /// The topic, for a worker that now has subscribers of it.
    pub(super) fn enter(&self, hash: u64, name: &Topic, worker: usize) -> (Topic, Arc<Known>) {
        let mut part = self.part(hash);
        let known = part.entry(name.clone()).or_insert_with(|| {
            Arc::new(Known {
                total: AtomicUsize::new(0),
                interest: Interest::new(self.workers),
            })
        });
        known.interest.set(worker, true);
        let known = Arc::clone(known);
        // All workers keep the name in the same memory.
        let name = part.get_key_value(name).map_or(name, |(name, _)| name);
        (name.clone(), known)
    }

    /// The worker has no subscribers of it any more.
    pub(super) fn leave(&self, hash: u64, name: &Topic, known: &Known, worker: usize) {
        let mut part = self.part(hash);
        known.interest.set(worker, false);
        if known.interest.is_empty() {
            part.remove(name);
            if part.capacity() > 64 && part.len() < part.capacity() / 8 {
                let len = part.len();
                part.shrink_to(len * 2);
            }
        }
    }

    /// How many subscribers a topic has.
    pub(super) fn count(&self, hash: u64, name: &str) -> usize {
        let part = self.part(hash);
        part.get(name)
            .map_or(0, |known| known.total.load(Ordering::Acquire))
    }

    /// All topics that have subscribers, and how many.
    pub(super) fn list(&self) -> Vec<(Topic, usize)> {
        let mut list = Vec::new();
        for part in &self.parts {
            let part = part.lock().unwrap_or_else(PoisonError::into_inner);
            list.extend(part.iter().filter_map(|(name, known)| {
                let count = known.total.load(Ordering::Acquire);
                (count > 0).then(|| (name.clone(), count))
            }));
        }
        list
    }

    fn part(&self, hash: u64) -> MutexGuard<'_, HashMap<Topic, Arc<Known>>> {
        let part = &self.parts[(hash >> 32) as usize % PARTS];
        part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_known_while_any_worker_has_it() {
        let registry = Registry::new(130);
        let name = Topic::new("t").unwrap();
        let (_, known) = registry.enter(1, &name, 0);
        assert_eq!(known.joined(), 0);
        let (same, other) = registry.enter(1, &Topic::new("t").unwrap(), 129);
        assert!(Arc::ptr_eq(&known, &other) && std::ptr::eq(same.as_str(), name.as_str()));
        assert_eq!(other.joined(), 1);
        assert_eq!(registry.count(1, "t"), 2);
        assert!(known.interest.has(0) && known.interest.has(129) && !known.interest.has(64));

        assert_eq!(known.left(), 2);
        registry.leave(1, &name, &known, 0);
        assert_eq!(registry.list(), [(name.clone(), 1)]);
        assert_eq!(other.left(), 1);
        registry.leave(1, &name, &other, 129);
        assert!(registry.find(1, "t").is_none() && registry.list().is_empty());
    }
}
