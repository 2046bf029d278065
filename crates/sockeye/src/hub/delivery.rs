//! What was published, given to the sockets of one worker: at once, later, or not at all.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use sockeye_proto::{Prepared, SendError};

use super::Pressure;
use super::backlog::{Backlogs, Waiting};
use super::batch::Batch;
use super::recipient::{Frames, Recipient, Recipients, add};
use super::shared::Hub;
use super::topic::Topic;

/// Gives messages to sockets, and remembers who is behind and what was dropped.
#[derive(Debug)]
pub(super) struct Delivery {
    hub: Arc<Hub>,
    backlogs: Backlogs,
    /// Sockets that could not be sent messages to in the middle of a fragmented one.
    midway: Vec<u32>,
    /// Messages that were dropped and are to be told of.
    drops: VecDeque<Drop>,
    /// The batches that those refer to.
    told_of: Vec<Batch>,
    /// How many messages were added to an output since the metrics were told.
    delivered: u64,
}

/// A batch, and its place among those that were gathered.
pub(super) struct Numbered<'b> {
    pub(super) batch: &'b mut Batch,
    pub(super) number: usize,
    /// Nothing is added to it any more.
    pub(super) is_final: bool,
}

/// A message that somebody was too slow for.
#[derive(Clone, Debug)]
pub(crate) struct Dropped {
    pub(crate) slot: u32,
    /// Where it was published; none if it was sent to this socket alone.
    pub(crate) topic: Option<Topic>,
    pub(crate) message: Prepared,
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

impl Delivery {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            backlogs: Backlogs::default(),
            midway: Vec::new(),
            drops: VecDeque::new(),
            told_of: Vec::new(),
            delivered: 0,
        }
    }

    /// Gives a socket what it has not got yet of a batch.
    pub(super) fn deliver(&mut self, mut batch: Numbered<'_>, slot: u32, socket: &mut impl Recipient) {
        // What is told of earlier batches comes before this one.
        batch.number += self.told_of.len();
        if batch.batch.is_for_all_alike() {
            let all = 0..batch.batch.len();
            return self.part(&mut batch, all, slot, socket);
        }
        for part in batch.batch.parts_for(slot) {
            self.part(&mut batch, part, slot, socket);
        }
    }

    fn part(
        &mut self,
        batch: &mut Numbered<'_>,
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
            self.refuse(batch, at, slot, socket);
        }
    }

    /// Whether messages for this socket become output at once.
    fn is_direct(&self, slot: u32, socket: &impl Recipient) -> bool {
        let waits_anyway = socket.is_blocked() && socket.pressure().queues();
        !waits_anyway && !self.backlogs.contains(slot)
    }

    /// Adds messages to the output if there is room; gives whether there was. A socket that is closing needs none.
    fn add(&mut self, batch: &mut Numbered<'_>, messages: Range<usize>, socket: &mut impl Recipient) -> bool {
        let is_final = batch.is_final;
        let batch = &mut *batch.batch;
        let (count, kind) = (messages.len(), batch.kind());
        let payload = batch.payload_of(messages.clone());
        let mut log = match batch.log_for(socket) {
            Ok(log) => log,
            Err(SendError::FragmentInProgress) => return false,
            Err(_) => return true,
        };
        if !has_room(socket, log.len_of(messages.clone()), count) {
            return false;
        }
        let compresses = log.compresses;
        add(socket, log.frames(messages, is_final));
        if compresses {
            socket.connection().sent_prepared();
        }
        socket.touched(kind, count, payload);
        self.delivered += count as u64;
        true
    }

    /// Does with a message what the socket's policy says.
    fn refuse(&mut self, batch: &mut Numbered<'_>, at: usize, slot: u32, socket: &mut impl Recipient) {
        let limits = socket.pressure();
        if limits.lets_wait(socket.connection().is_sending_fragments()) {
            let message = Waiting {
                topic: Some(batch.batch.topic().clone()),
                message: batch.batch.prepared(at),
                compress: batch.batch.compress(at),
            };
            if self.wait(message, slot, socket).is_none() {
                return;
            }
        }
        self.too_slow(limits, socket);
        match self.drops.back_mut() {
            Some(Drop::Refused {
                slot: last,
                batch: number,
                messages,
            }) if *last == slot && *number == batch.number && messages.end == at => messages.end = at + 1,
            _ => self.drops.push_back(Drop::Refused {
                slot,
                batch: batch.number,
                messages: at..at + 1,
            }),
        }
    }

    /// Gives a socket a message that is in no batch, by the same rules.
    pub(super) fn give(&mut self, message: Waiting, slot: u32, socket: &mut impl Recipient) {
        if self.is_direct(slot, socket) && self.send(&message, socket) {
            return;
        }
        let limits = socket.pressure();
        let refused = if limits.lets_wait(socket.connection().is_sending_fragments()) {
            self.wait(message, slot, socket)
        } else {
            Some(message)
        };
        if let Some(message) = refused {
            self.too_slow(limits, socket);
            let message = Box::new(message);
            self.drops.push_back(Drop::Evicted { slot, message });
        }
    }

    /// Adds a message to the output if there is room; gives whether there was. A socket that is closing needs none.
    fn send(&mut self, message: &Waiting, socket: &mut impl Recipient) -> bool {
        // Asked before the frames are, which must go out next once they were.
        if !has_room(socket, message.message.as_bytes().len(), 1) {
            return false;
        }
        let frames = match socket.connection().prepared(&message.message, message.compress) {
            Ok(Some(frames)) => frames.clone(),
            Err(SendError::FragmentInProgress) => return false,
            Ok(None) | Err(_) => return true,
        };
        add(
            socket,
            Frames::Shared {
                bytes: frames,
                is_own: true,
            },
        );
        socket.touched(message.message.kind(), 1, message.message.as_bytes().len());
        self.delivered += 1;
        true
    }

    /// A message was dropped because a socket is behind.
    fn too_slow(&self, limits: Pressure, socket: &mut impl Recipient) {
        self.hub.metrics.dropped();
        if limits.closes() {
            socket.overflowed();
        }
    }

    /// Lets a message wait; gives it back if there is no room.
    pub(super) fn wait(
        &mut self,
        message: Waiting,
        slot: u32,
        socket: &mut impl Recipient,
    ) -> Option<Waiting> {
        if socket.connection().is_sending_fragments() {
            self.note_midway(slot);
        }
        let (drops, metrics) = (&mut self.drops, &self.hub.metrics);
        let evicted = |message: Waiting| {
            if message.topic.is_some() {
                metrics.dropped();
            }
            drops.push_back(Drop::Evicted {
                slot,
                message: Box::new(message),
            });
        };
        self.backlogs.push(slot, message, socket.pressure(), evicted)
    }

    fn note_midway(&mut self, slot: u32) {
        if !self.midway.contains(&slot) {
            self.midway.push(slot);
        }
    }

    /// Whether there is something to tell, or somebody was in the middle of a fragmented message, and may not be any
    /// more.
    pub(super) fn is_pending(&self) -> bool {
        !self.midway.is_empty() || !self.drops.is_empty()
    }

    /// Looks after those who were in the middle of a fragmented message.
    pub(super) fn go_on(&mut self, sockets: &mut impl Recipients) {
        for slot in std::mem::take(&mut self.midway) {
            match sockets.recipient(slot) {
                Some(mut socket) => {
                    self.drain(slot, &mut socket);
                }
                None => self.backlogs.forget(slot),
            }
        }
    }

    /// Sends a socket that has caught up what waited for it, as much as may wait as output. Gives whether that was
    /// anything.
    pub(super) fn drain(&mut self, slot: u32, socket: &mut impl Recipient) -> bool {
        if !self.backlogs.contains(slot) {
            return false;
        }
        let room = socket.pressure().for_output();
        let drained = self.backlogs.drain(slot, socket, room);
        if drained.is_midway {
            self.note_midway(slot);
        }
        drained.count > 0
    }

    /// Makes output of all that waits for a socket.
    pub(super) fn release(&mut self, slot: u32, socket: &mut impl Recipient) {
        if self.backlogs.contains(slot) {
            self.backlogs.drain(slot, socket, usize::MAX);
        }
    }

    /// How many bytes of messages wait for this socket and may still be dropped.
    pub(super) fn backlog(&self, slot: u32) -> usize {
        self.backlogs.bytes(slot)
    }

    /// The socket is gone.
    pub(super) fn forget(&mut self, slot: u32) {
        self.backlogs.forget(slot);
    }

    /// How many messages were added to an output since the last time.
    pub(super) fn take_delivered(&mut self) -> u64 {
        std::mem::take(&mut self.delivered)
    }

    /// Takes batches over that are finished, if something is to be told of them.
    pub(super) fn keep(&mut self, batches: &mut Vec<Batch>) {
        if !self.drops.is_empty() {
            self.told_of.append(batches);
        }
    }

    /// A message that was dropped, and who was to get it. `unfinished` are the batches that were not given to
    /// [`keep`](Self::keep) yet. When there is none, the batches that were told of go to `spare`.
    pub(super) fn next_dropped(
        &mut self,
        unfinished: &mut [Batch],
        spare: &mut Vec<Batch>,
    ) -> Option<Dropped> {
        let dropped = match self.drops.front_mut() {
            None => {
                spare.append(&mut self.told_of);
                return None;
            }
            Some(Drop::Refused {
                slot,
                batch,
                messages,
            }) => {
                // What a settled socket was refused is in a batch that is not finished yet.
                let batch = match batch.checked_sub(self.told_of.len()) {
                    None => &mut self.told_of[*batch],
                    Some(number) => &mut unfinished[number],
                };
                let at = messages.start;
                messages.start += 1;
                let dropped = Dropped {
                    slot: *slot,
                    topic: Some(batch.topic().clone()),
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
        self.drops.pop_front();
        Some(dropped)
    }
}

/// Whether so many bytes, of this number of messages, may be added to the output: if need be after sending what waits. One
/// message may, however large, if nothing waits.
fn has_room(socket: &mut impl Recipient, len: usize, count: usize) -> bool {
    let room = socket.pressure().for_output();
    let fits = |waiting: usize| waiting + len <= room || (waiting == 0 && count == 1);
    if fits(socket.waiting()) {
        return true;
    }
    if !socket.is_blocked() {
        socket.relieve();
    }
    fits(socket.waiting())
}
