//! The messages that were promised, and what became of them.
//!
//! Nothing here waits or does I/O: [`Queue`] is what the handles and the task share under their lock.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::error::{Error, Kind};
use crate::message::Message;

/// How much a client holds of messages without a fate: those that wait for a connection, those that are being given to
/// one, and with [`Promise::AtLeastOnce`] those that are not acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// Messages; at least 1. Default: 1,024.
    pub messages: usize,
    /// Bytes of payload. Default: 1 MiB. A message that is larger than this can never be sent.
    pub bytes: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            messages: 1024,
            bytes: 1024 * 1024,
        }
    }
}

/// What [`send`](super::Reconnecting::send) does when the queue is full.
///
/// There is no choice that drops the newest message: that is [`Reject`](Self::Reject) for a caller who ignores the
/// error, and it should be seen that he does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// Waits for room: back-pressure. Sane wherever the sender can wait, however long the outage is.
    #[default]
    Wait,
    /// Fails with [`SendError::Full`], and nothing is queued. Sane where a person or a caller can be told.
    Reject,
    /// Drops the oldest messages that were not given to a connection yet; their fate is [`Fate::Dropped`]. Sane for
    /// values of which only the newest counts (a position, a price). Where all of them would not make enough room, none
    /// is dropped, and it waits. Not to be had with [`Promise::AtLeastOnce`], which it would break.
    DropOldest,
}

/// What a client promises for the messages it is given. The [module](super#what-becomes-of-a-message) has the exact
/// words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Promise {
    /// No message is given to a second connection.
    #[default]
    AtMostOnce,
    /// Each message is given to every new connection again until the application says that it is acknowledged.
    AtLeastOnce,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Fate {
    /// The operating system, or whatever the transport is, has taken the whole message. The peer may not have read it
    /// yet, and will not if the connection is lost first.
    Sent {
        /// The number of the connection.
        connection: u64,
    },
    /// The application said so: the peer has it.
    Acknowledged,
    /// It was given to this connection, and perhaps to others before, and the peer may have read it or not. It will not
    /// be sent again.
    Unknown {
        /// The number of the last connection it was given to.
        connection: u64,
    },
    /// It made room for a newer one ([`WhenFull::DropOldest`]). The peer has read nothing of it.
    Dropped,
    /// The client ended first, or, for [`send_now`](super::Sender::send_now), the connection. The peer has read nothing
    /// of it.
    Unsent,
}

/// The fate of a message, to be awaited or dropped.
///
/// As a future it gives the message's [`Fate`]. Dropping it changes nothing.
#[derive(Debug)]
pub struct Receipt {
    id: u64,
    fate: oneshot::Receiver<Fate>,
}

impl Receipt {
    /// The number of the message: 1 for the client's first, and one more for each.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The fate, if it is known by now. Gives it once: to the first who asks, or awaits.
    pub fn try_fate(&mut self) -> Option<Fate> {
        self.fate.try_recv().ok()
    }
}

impl Future for Receipt {
    type Output = Fate;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fate> {
        // An entry is dropped without a fate nowhere; should it be, nothing is known.
        let nothing = |_| Fate::Unknown { connection: 0 };
        Pin::new(&mut self.fate)
            .poll(cx)
            .map(|fate| fate.unwrap_or_else(nothing))
    }
}

/// A message that was not queued, given back.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// There is no room for it at the moment.
    Full(Message),
    /// It is larger than [`Capacity::bytes`].
    TooLarge(Message),
    /// There is no open connection, and it was not to wait for one.
    NotOpen(Message),
    /// The client is closing, or has ended.
    Ended(Message),
}

impl SendError {
    /// The message.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self {
            Self::Full(message) | Self::TooLarge(message) | Self::NotOpen(message) | Self::Ended(message) => {
                message
            }
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::TooLarge(_) => "the message is larger than the queue",
            Self::NotOpen(_) => "there is no open connection",
            Self::Ended(_) => "the client has ended",
        })
    }
}

impl std::error::Error for SendError {}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Ended(_) => Self::new(Kind::Send(sockeye_proto::SendError::Closed)),
            error => Self::other(error.to_string()),
        }
    }
}

/// The messages without a fate, in the order of their numbers.
#[derive(Debug)]
pub(super) struct Queue {
    promise: Promise,
    capacity: Capacity,
    entries: BTreeMap<u64, Entry>,
    /// Bytes of payload in it.
    bytes: usize,
    /// The number of the next message.
    next_id: u64,
    /// The first that was not given to the present connection. What lies before was.
    cursor: u64,
}

#[derive(Debug)]
struct Entry {
    message: Message,
    fate: oneshot::Sender<Fate>,
    /// It is meant for this connection and no other.
    only: Option<u64>,
    /// The last connection that took it.
    given_to: Option<u64>,
}

impl Queue {
    pub(super) fn new(promise: Promise, capacity: Capacity) -> Self {
        Self {
            promise,
            capacity,
            entries: BTreeMap::new(),
            bytes: 0,
            next_id: 1,
            cursor: 1,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Whether all messages before this number have their fate.
    pub(super) fn is_settled_before(&self, id: u64) -> bool {
        self.entries
            .first_key_value()
            .is_none_or(|(&first, _)| first >= id)
    }

    /// Whether a message of this length can never be queued.
    pub(super) fn is_too_large(&self, length: usize) -> bool {
        length > self.capacity.bytes
    }

    pub(super) fn has_room(&self, length: usize) -> bool {
        self.entries.len() < self.capacity.messages && self.bytes + length <= self.capacity.bytes
    }

    pub(super) fn push(&mut self, message: Message, only: Option<u64>) -> Receipt {
        let id = self.next_id;
        self.next_id += 1;
        self.bytes += message.len();
        let (tell, fate) = oneshot::channel();
        let entry = Entry {
            message,
            fate: tell,
            only,
            given_to: None,
        };
        self.entries.insert(id, entry);
        Receipt { id, fate }
    }

    /// Drops the oldest messages that no connection was given until there is room; none if all of them would not make
    /// enough. Gives whether there is room.
    pub(super) fn make_room(&mut self, length: usize) -> bool {
        let given = self.entries.range(..self.cursor).map(|(_, entry)| entry);
        let (messages, bytes) = given.fold((0, 0), |(messages, bytes), entry| {
            (messages + 1, bytes + entry.message.len())
        });
        if messages >= self.capacity.messages || bytes + length > self.capacity.bytes {
            return false;
        }
        while !self.has_room(length) {
            let Some((&oldest, _)) = self.entries.range(self.cursor..).next() else {
                return false;
            };
            self.settle(oldest, Fate::Dropped);
        }
        true
    }

    /// Whether there is something to give to the present connection.
    pub(super) fn has_next(&self) -> bool {
        self.entries.range(self.cursor..).next().is_some()
    }

    /// The next message for this connection. It counts as given until it is [put back](Self::put_back).
    pub(super) fn take_next(&mut self, connection: u64) -> Option<(u64, Message)> {
        loop {
            let (&id, entry) = self.entries.range(self.cursor..).next()?;
            if entry.only.is_some_and(|only| only != connection) {
                self.settle(id, Fate::Unsent);
                continue;
            }
            self.cursor = id + 1;
            return Some((id, entry.message.clone()));
        }
    }

    /// The connection did not take it.
    pub(super) fn put_back(&mut self, id: u64) {
        self.cursor = id;
    }

    /// The connection took it.
    pub(super) fn given(&mut self, id: u64, connection: u64) {
        // It may be acknowledged by now.
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.given_to = Some(connection);
        }
    }

    /// The transport has all that was given to this connection.
    pub(super) fn flushed(&mut self, connection: u64) {
        if self.promise == Promise::AtMostOnce {
            self.settle_given(Fate::Sent { connection });
        }
    }

    /// The connection has ended; gives for how many messages it is not known whether they left.
    pub(super) fn lost(&mut self, connection: u64) -> usize {
        let unknown = self.entries.range(..self.cursor).count();
        if self.promise == Promise::AtMostOnce {
            self.settle_given(Fate::Unknown { connection });
        }
        let stays = |entry: &Entry| entry.only.is_none();
        let leaving: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| !stays(entry))
            .map(|(&id, entry)| (id, entry.last_fate()))
            .collect();
        for (id, fate) in leaving {
            self.settle(id, fate);
        }
        self.cursor = self
            .entries
            .first_key_value()
            .map_or(self.next_id, |(&first, _)| first);
        unknown
    }

    /// The application says that the peer has it; gives whether that is news.
    pub(super) fn acknowledge(&mut self, id: u64) -> bool {
        // What no connection was given the peer cannot have.
        let was_given = |entry: &Entry| entry.given_to.is_some();
        self.promise == Promise::AtLeastOnce
            && self.entries.get(&id).is_some_and(was_given)
            && self.settle(id, Fate::Acknowledged)
    }

    /// As [`acknowledge`](Self::acknowledge), for all up to this one; gives how many that was news for.
    pub(super) fn acknowledge_through(&mut self, id: u64) -> usize {
        let ids: Vec<_> = self.entries.range(..=id).map(|(&id, _)| id).collect();
        ids.into_iter().filter(|&id| self.acknowledge(id)).count()
    }

    /// The client has ended.
    pub(super) fn end(&mut self) {
        while let Some((&id, entry)) = self.entries.first_key_value() {
            let fate = entry.last_fate();
            self.settle(id, fate);
        }
    }

    /// Settles all that was given to the present connection.
    fn settle_given(&mut self, fate: Fate) {
        while let Some((&id, _)) = self.entries.range(..self.cursor).next() {
            self.settle(id, fate);
        }
    }

    fn settle(&mut self, id: u64, fate: Fate) -> bool {
        let Some(entry) = self.entries.remove(&id) else {
            return false;
        };
        self.bytes -= entry.message.len();
        // Nobody may want to know.
        let _ = entry.fate.send(fate);
        true
    }
}

impl Entry {
    /// The fate if no further connection is given this.
    fn last_fate(&self) -> Fate {
        self.given_to
            .map_or(Fate::Unsent, |connection| Fate::Unknown { connection })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(promise: Promise) -> Queue {
        Queue::new(
            promise,
            Capacity {
                messages: 3,
                bytes: 10,
            },
        )
    }

    fn push(queue: &mut Queue, text: &'static str) -> Receipt {
        queue.push(text.into(), None)
    }

    /// Gives all that waits to this connection.
    fn give(queue: &mut Queue, connection: u64) -> Vec<u64> {
        std::iter::from_fn(|| {
            let (id, _) = queue.take_next(connection)?;
            queue.given(id, connection);
            Some(id)
        })
        .collect()
    }

    #[test]
    fn room_is_counted_in_messages_and_in_bytes() {
        let mut queue = queue(Promise::AtMostOnce);
        assert!(queue.has_room(10) && !queue.has_room(11));
        assert!(queue.is_too_large(11) && !queue.is_too_large(10));
        let _receipt = push(&mut queue, "12345678");
        assert!(queue.has_room(2) && !queue.has_room(3));
        let _receipts = [push(&mut queue, ""), push(&mut queue, "")];
        assert!(!queue.has_room(0));
        queue.end();
        assert!(queue.has_room(10));
    }

    #[test]
    fn what_the_transport_has_is_sent() {
        let mut queue = queue(Promise::AtMostOnce);
        let (mut one, mut two) = (push(&mut queue, "1"), push(&mut queue, "2"));
        assert_eq!(give(&mut queue, 1), [1, 2]);
        assert_eq!(one.try_fate(), None);
        let mut three = push(&mut queue, "3");
        queue.flushed(1);
        assert_eq!(one.try_fate(), Some(Fate::Sent { connection: 1 }));
        assert_eq!(two.try_fate(), Some(Fate::Sent { connection: 1 }));
        assert_eq!(three.try_fate(), None);
        assert_eq!((queue.len(), queue.bytes()), (1, 1));
    }

    #[test]
    fn at_most_once_gives_nothing_to_a_second_connection() {
        let mut queue = queue(Promise::AtMostOnce);
        let (mut one, mut two) = (push(&mut queue, "1"), push(&mut queue, "2"));
        let (id, _) = queue.take_next(1).unwrap();
        queue.given(id, 1);
        assert_eq!(queue.lost(1), 1);
        assert_eq!(one.try_fate(), Some(Fate::Unknown { connection: 1 }));
        assert_eq!(give(&mut queue, 2), [2]);
        queue.flushed(2);
        assert_eq!(two.try_fate(), Some(Fate::Sent { connection: 2 }));
    }

    #[test]
    fn what_a_connection_did_not_take_is_given_to_the_next() {
        let mut queue = queue(Promise::AtMostOnce);
        let mut one = push(&mut queue, "1");
        let (id, _) = queue.take_next(1).unwrap();
        queue.put_back(id);
        assert_eq!(queue.lost(1), 0);
        assert_eq!(one.try_fate(), None);
        assert_eq!(give(&mut queue, 2), [1]);
    }

    #[test]
    fn at_least_once_gives_all_again_until_it_is_acknowledged() {
        let mut queue = queue(Promise::AtLeastOnce);
        let mut receipts = [
            push(&mut queue, "1"),
            push(&mut queue, "2"),
            push(&mut queue, "3"),
        ];
        assert_eq!(give(&mut queue, 1), [1, 2, 3]);
        queue.flushed(1);
        assert!(queue.acknowledge(2));
        assert!(!queue.acknowledge(2));
        assert_eq!(queue.lost(1), 2);
        let four = push(&mut queue, "4");
        assert_eq!(give(&mut queue, 2), [1, 3, 4]);
        assert_eq!(queue.acknowledge_through(3), 2);
        assert_eq!(queue.acknowledge_through(3), 0);
        for receipt in &mut receipts {
            assert_eq!(receipt.try_fate(), Some(Fate::Acknowledged));
        }
        assert_eq!((four.id(), queue.len()), (4, 1));
    }

    #[test]
    fn what_was_never_given_cannot_be_acknowledged() {
        let mut queue = queue(Promise::AtLeastOnce);
        let mut one = push(&mut queue, "1");
        assert!(!queue.acknowledge(1) && !queue.acknowledge(7));
        assert_eq!(queue.acknowledge_through(u64::MAX), 0);
        assert_eq!(one.try_fate(), None);
        give(&mut queue, 1);
        queue.lost(1);
        // The acknowledgement may come by another way than the connection.
        assert!(queue.acknowledge(1));
    }

    #[test]
    fn at_most_once_knows_no_acknowledgements() {
        let mut queue = queue(Promise::AtMostOnce);
        let mut one = push(&mut queue, "1");
        assert_eq!(give(&mut queue, 1), [1]);
        assert!(!queue.acknowledge(1));
        assert_eq!(queue.acknowledge_through(1), 0);
        assert_eq!(one.try_fate(), None);
    }

    #[test]
    fn the_end_tells_apart_what_was_given_and_what_was_not() {
        let mut queue = queue(Promise::AtLeastOnce);
        let mut one = push(&mut queue, "1");
        give(&mut queue, 1);
        queue.lost(1);
        let mut two = push(&mut queue, "2");
        queue.end();
        assert_eq!(one.try_fate(), Some(Fate::Unknown { connection: 1 }));
        assert_eq!(two.try_fate(), Some(Fate::Unsent));
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
    }

    #[test]
    fn the_oldest_make_room_unless_they_are_being_sent() {
        let mut queue = queue(Promise::AtMostOnce);
        let mut receipts = [
            push(&mut queue, "1"),
            push(&mut queue, "2"),
            push(&mut queue, "3"),
        ];
        queue.take_next(1).unwrap();
        assert!(queue.make_room(1));
        assert_eq!(receipts[0].try_fate(), None);
        assert_eq!(receipts[1].try_fate(), Some(Fate::Dropped));
        assert_eq!(receipts[2].try_fate(), None);
        // The first takes a byte of the ten, and stays.
        assert!(!queue.make_room(10));
        assert_eq!(receipts[2].try_fate(), None);
        assert!(queue.make_room(9));
        assert_eq!(receipts[2].try_fate(), Some(Fate::Dropped));
    }

    #[test]
    fn a_message_for_one_connection_does_not_go_to_another() {
        for promise in [Promise::AtMostOnce, Promise::AtLeastOnce] {
            let mut queue = queue(promise);
            let mut given = queue.push("1".into(), Some(1));
            assert_eq!(give(&mut queue, 1), [1]);
            let mut waits = queue.push("2".into(), Some(1));
            let _stays = push(&mut queue, "3");
            queue.lost(1);
            assert_eq!(
                given.try_fate(),
                Some(Fate::Unknown { connection: 1 }),
                "{promise:?}"
            );
            assert_eq!(waits.try_fate(), Some(Fate::Unsent), "{promise:?}");
            assert_eq!(give(&mut queue, 2), [3], "{promise:?}");
        }
    }

    #[test]
    fn it_is_settled_when_every_message_before_has_its_fate() {
        let mut queue = queue(Promise::AtMostOnce);
        let _receipts = [push(&mut queue, "1"), push(&mut queue, "2")];
        assert!(queue.is_settled_before(1) && !queue.is_settled_before(2));
        let (id, _) = queue.take_next(1).unwrap();
        queue.given(id, 1);
        queue.flushed(1);
        assert!(queue.is_settled_before(2) && !queue.is_settled_before(3));
    }

    #[test]
    fn an_error_gives_the_message_back() {
        let error = SendError::Full("salmon".into());
        assert_eq!(error.clone().into_message(), Message::from("salmon"));
        assert!(!Error::from(error).is_closed());
        assert!(Error::from(SendError::Ended("salmon".into())).is_closed());
    }
}
