//! What client and servers of a fault test noted, held against the promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use sockeye::reconnect::{Fate, Promise, Receiver};
use sockeye::{Message, WebSocket};

/// What all servers have read: the number of the life and of the message.
pub(crate) type Read = Arc<Mutex<Vec<(usize, u64)>>>;

/// A message that says its number, of random length and kind.
pub(crate) fn message(id: u64, random: &mut SmallRng) -> Message {
    let text = format!("{id}:{}", "x".repeat(random.random_range(0..3000)));
    if random.random::<bool>() {
        Message::text(text)
    } else {
        Message::binary(text.into_bytes())
    }
}

/// The number that a message says.
pub(crate) fn number(message: &Message) -> u64 {
    let bytes = message.as_bytes();
    let end = bytes.iter().position(|&byte| byte == b':').expect("a number");
    std::str::from_utf8(&bytes[..end]).unwrap().parse().unwrap()
}

pub(crate) fn generator(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(seed)
}

/// What became of each message, by its number.
pub(crate) struct Story {
    pub(crate) promise: Promise,
    pub(crate) fates: BTreeMap<u64, Fate>,
    pub(crate) read: Vec<(usize, u64)>,
    /// How often each was newly acknowledged.
    pub(crate) acknowledged: BTreeMap<u64, usize>,
}

impl Story {
    /// `fates` are those that the receipts told, in their order.
    pub(crate) fn new(promise: Promise, fates: Vec<(u64, Fate)>, read: &Read, acknowledged: &[u64]) -> Self {
        let numbers: Vec<_> = fates.iter().map(|(id, _)| *id).collect();
        assert_eq!(
            numbers,
            (1..=numbers.len() as u64).collect::<Vec<_>>(),
            "the numbers have no gaps"
        );
        let mut counts = BTreeMap::new();
        for &id in acknowledged {
            *counts.entry(id).or_default() += 1;
        }
        let read = read.lock().unwrap().clone();
        Self {
            promise,
            fates: fates.into_iter().collect(),
            read,
            acknowledged: counts,
        }
    }

    /// Checks everything that the documentation of `sockeye::reconnect` promises. `last` is the connection that was
    /// closed properly.
    pub(crate) fn check(&self, last: u64) {
        match self.promise {
            Promise::AtMostOnce => self.check_at_most_once(last),
            Promise::AtLeastOnce => self.check_at_least_once(),
            other => unreachable!("{other:?}"),
        }
    }

    fn check_at_most_once(&self, last: u64) {
        let read: Vec<_> = self.read.iter().map(|&(_, id)| id).collect();
        assert!(
            read.is_sorted_by(|one, other| one < other),
            "in order, and none twice: {read:?}"
        );
        let read: BTreeSet<_> = read.into_iter().collect();
        // What was given to one connection, and whether it arrived.
        let mut given: BTreeMap<u64, Vec<bool>> = BTreeMap::new();
        for (&id, &fate) in &self.fates {
            let arrived = read.contains(&id);
            let connection = match fate {
                Fate::Sent { connection } | Fate::Unknown { connection } => connection,
                other => panic!("number {id} is {other:?}, though the client went on until all was sent"),
            };
            assert!(
                arrived || connection < last,
                "number {id} was lost on a connection that was not"
            );
            given.entry(connection).or_default().push(arrived);
        }
        // Connections are given messages in order, one connection after the other.
        let connections = self.fates.values().map(|fate| match fate {
            Fate::Sent { connection } | Fate::Unknown { connection } => *connection,
            _ => 0,
        });
        assert!(connections.is_sorted());
        for (connection, arrived) in given {
            // Only the tail of what a connection was given can be lost.
            assert!(
                arrived.is_sorted_by(|one, other| one >= other),
                "connection {connection}: {arrived:?}"
            );
        }
    }

    fn check_at_least_once(&self) {
        for (id, fate) in &self.fates {
            assert_eq!(*fate, Fate::Acknowledged, "number {id}");
            assert_eq!(
                self.acknowledged.get(id),
                Some(&1),
                "number {id} was acknowledged once"
            );
        }
        // A peer that drops what it knows reads each once, in order, with no gap.
        let mut newest = 0;
        for &(_, id) in &self.read {
            assert!(id <= newest + 1, "number {id} came when {newest} was the newest");
            newest = newest.max(id);
        }
        assert_eq!(newest, self.fates.len() as u64);
        for lives in self.read.chunk_by(|one, other| one.0 == other.0) {
            assert!(
                lives.is_sorted_by(|one, other| one.1 < other.1),
                "in order: {lives:?}"
            );
        }
    }
}

/// Takes the answers of the servers, each the number of the message it answers, until the client has ended; gives the
/// numbers in the order they came, and those that were newly acknowledged.
pub(crate) async fn take_answers(
    mut receiver: Receiver,
    sender: sockeye::reconnect::Sender,
) -> (Vec<u64>, Vec<u64>) {
    let (mut answers, mut acknowledged) = (Vec::new(), Vec::new());
    while let Some(answer) = receiver.recv().await.unwrap() {
        let id = answer.as_text().unwrap().parse().unwrap();
        answers.push(id);
        if sender.acknowledge(id) {
            acknowledged.push(id);
        }
    }
    (answers, acknowledged)
}

/// Reads each message, and answers with its number.
pub(crate) async fn read_and_answer(ws: &mut WebSocket, life: usize, read: &Read) -> bool {
    match ws.recv().await {
        Ok(Some(message)) => {
            let id = number(&message);
            read.lock().unwrap().push((life, id));
            ws.send(id.to_string()).await.is_ok()
        }
        _ => false,
    }
}

/// Prints the seed if the test fails.
pub(crate) struct Seed(pub(crate) u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}", self.0);
        }
    }
}
