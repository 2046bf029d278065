//! How connections of the driver receive.
//!
//! Mostly into the ring's buffers, by one operation that goes on. A turn fills many buffers before the first of them is looked at,
//! which is no loss while they are small. Large messages would push each other out of the processor's cache: who
//! sends much at a time is read by calls, one after the other, into one buffer. The ring then only tells that there is
//! something to read.

use std::io;
use std::iter::Peekable;
use std::os::fd::AsFd;
use std::vec::Drain;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::super::ends::Ends;
use super::super::{Key, Owner};
use super::driver::{Marks, Phase, Socket, Uring, Way};
use super::ring::Completion;
use super::token::Token;

#[cfg(test)]
use super::super::faults::Operation;

/// The kernel has told of a socket that nothing comes behind what was received.
#[derive(Debug)]
pub(super) struct End {
    key: Key,
    /// What came just before, if that was little.
    words: Box<[u8]>,
    outcome: Result<usize, Errno>,
    /// Whether the operation that told goes on.
    goes_on: bool,
}

/// Completions that were not looked at yet.
pub(super) type Rest<'c> = Peekable<Drain<'c, Completion>>;

impl Way {
    /// As it begins.
    const CALLS: Self = Self::Calls {
        small: 0,
        ends: false,
    };
}

impl Uring {
    /// Who is found to send so much at a time, in bytes, is read by calls; and so much is sent by a call.
    pub(super) const MUCH: usize = 32 * 1024;
    /// A call that gives less, in bytes, was not worth it.
    const LITTLE: usize = 4 * 1024;
    /// After so many such calls in a row, the ring's buffers are used again.
    const SMALL_CALLS: u8 = 16;
    /// How many calls in a row read one socket that has more and more.
    const READS: usize = 4;
    /// How often a turn looks what else has happened before it tells of ends. The kernel gives some twenty things each time.
    const LOOKS: usize = 48;
    /// No more than so much, in bytes, waits to be told with an end.
    const LAST_WORDS: usize = 256;
    /// How much a call receives, in bytes.
    const CALL: usize = 256 * 1024;

    /// Begins to receive, if that is wanted and not begun.
    pub(super) fn arm(&mut self, socket: &mut Socket) {
        let wants = socket.marks.has(Marks::RECEIVES) && socket.phase == Phase::Connected;
        if wants && !socket.marks.set(Marks::ARMED, true) {
            match socket.way {
                Way::Buffers => self.ring.receive(socket.descriptor.as_fd(), socket.key),
                Way::Calls { .. } => self.ring.await_bytes(socket.descriptor.as_fd(), socket.key),
            }
        }
    }

    fn disarm(&mut self, socket: &mut Socket) {
        if socket.marks.has(Marks::ARMED) && !socket.marks.set(Marks::DISARMED, true) {
            self.ring.cancel(Token::Receive(socket.key));
        }
    }

    /// Receives from now on, or does not.
    pub(super) fn want(&mut self, socket: &mut Socket, on: bool) {
        let wanted = socket.marks.set(Marks::RECEIVES, on);
        match (on, socket.way) {
            (false, Way::Buffers) => self.disarm(socket),
            // It is not read, whatever the ring tells.
            (false, Way::Calls { .. }) => {}
            (true, Way::Buffers) => self.arm(socket),
            (true, Way::Calls { .. }) => {
                self.arm(socket);
                if !wanted {
                    // What came meanwhile has been told of.
                    self.unread.push(socket.key);
                }
            }
        }
    }

    /// Goes over to the other way: the operation of the old one ends, that of the new one begins then.
    fn change(&mut self, socket: &mut Socket, way: Way) {
        socket.way = way;
        self.disarm(socket);
    }

    /// Bytes were received into a buffer, or can be read, or the operation has ended.
    pub(super) fn receive(
        &mut self,
        key: Key,
        mut completion: Completion,
        rest: &mut Rest<'_>,
        owner: &mut impl Owner<Self>,
    ) {
        let outcome = completion.moved();
        let mut goes_on = completion.goes_on();
        let Some(mut filled) = self.ring.filled(&mut completion) else {
            if is_end(&completion) {
                // Until it is told, the socket counts as armed.
                return self.ends.push(End {
                    key,
                    words: Box::default(),
                    outcome,
                    goes_on,
                });
            }
            return self.receive_nothing(key, outcome, goes_on, owner);
        };
        // What follows in memory is handed over as one.
        while goes_on
            && let Some(mut next) =
                rest.next_if(|next| next.token == Token::Receive(key) && next.follows(&filled))
            && let Some(more) = self.ring.filled(&mut next)
        {
            goes_on = next.goes_on();
            filled.join(more);
        }
        // Closing is the most work that a few bytes can make: who closes and goes is one of a crowd, too.
        if goes_on
            && filled.len() <= Self::LAST_WORDS
            && let Some(end) = rest.next_if(|next| next.token == Token::Receive(key) && is_end(next))
        {
            self.ends.push(End {
                key,
                words: Box::from(&*filled),
                outcome: end.moved(),
                goes_on: end.goes_on(),
            });
            return self.ring.give_back(filled);
        }
        #[cfg(test)]
        self.fail_on_purpose(key, owner);
        if let Some(socket) = owner.socket(key)
            && socket.phase == Phase::Connected
        {
            if socket.way == Way::Buffers && filled.len() >= Self::MUCH {
                self.change(socket, Way::CALLS);
            }
            owner.received(self, key, &mut filled);
        }
        self.ring.give_back(filled);
        if !goes_on && let Some(socket) = disarmed(key, owner) {
            // It ended because it was told to, or had no room for its completion.
            self.arm(socket);
        }
    }

    /// Tells of some ends, when all else that has happened was told, or much of it; gives how many events there were.
    pub(super) fn tell_ends(&mut self, owner: &mut impl Owner<Self>) -> io::Result<usize> {
        let mut count = 0;
        for _ in 0..Self::LOOKS {
            if self.ends.is_empty() || !self.ring.has_more() {
                break;
            }
            count += self.look_once_more(owner)?;
        }
        for _ in 0..Ends::<End>::SHARE {
            let Some(mut end) = self.ends.pop() else {
                break;
            };
            if !end.words.is_empty()
                && let Some(socket) = owner.socket(end.key)
                && socket.phase == Phase::Connected
            {
                owner.received(self, end.key, &mut end.words);
            }
            self.receive_nothing(end.key, end.outcome, end.goes_on, owner);
            count += 1;
        }
        Ok(count)
    }

    fn receive_nothing(
        &mut self,
        key: Key,
        outcome: Result<usize, Errno>,
        goes_on: bool,
        owner: &mut impl Owner<Self>,
    ) {
        if !goes_on && disarmed(key, owner).is_none() {
            return;
        }
        let Some(socket) = owner.socket(key) else {
            return;
        };
        match outcome {
            // Receiving into buffers ends so; waiting tells of something.
            Ok(0) => {
                socket.phase = Phase::Ended;
                owner.ended(self, key);
            }
            Ok(told) => {
                let ended = tells_end(told);
                if let Way::Calls { ends, .. } = &mut socket.way {
                    *ends |= ended;
                    self.arm(socket);
                    self.read(key, owner);
                } else {
                    self.arm(socket);
                }
            }
            Err(Errno::NOBUFS) => self.starved.push_back(key),
            Err(error) if goes_on_after(error) => self.arm(socket),
            Err(error) => {
                socket.phase = Phase::Lost;
                owner.failed(self, key, error.into());
            }
        }
    }

    /// Reads by calls what is there, or a buffer or some full of it.
    pub(super) fn read(&mut self, key: Key, owner: &mut impl Owner<Self>) {
        // A large message is taken while its memory is in the processor's cache, before the others have their turn.
        for _ in 0..Self::READS {
            if !self.read_once(key, owner) {
                return;
            }
        }
        // There may be more, and nothing else will say so.
        self.unread.push(key);
    }

    /// Gives whether there may be more.
    fn read_once(&mut self, key: Key, owner: &mut impl Owner<Self>) -> bool {
        let Some(socket) = owner.socket(key) else {
            return false;
        };
        // As long as the operation of the other way has not ended, there may be bytes that came before.
        let is_called = matches!(socket.way, Way::Calls { .. }) && socket.marks.has(Marks::RECEIVES);
        if socket.phase != Phase::Connected || !is_called || socket.marks.has(Marks::DISARMED) {
            return false;
        }
        let system = &mut self.system;
        let in_place = owner.receive_in_place(key, |socket, room| {
            (system.receive(&socket.descriptor, room), room.len())
        });
        if let Some((outcome, room)) = in_place {
            let (count, goes_on) = self.came(key, outcome, room, owner);
            if count > 0 {
                owner.received_in_place(self, key, count);
            }
            return goes_on;
        }
        let Some(socket) = owner.socket(key) else {
            return false;
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        if buffer.is_empty() {
            buffer.resize(Self::CALL, 0);
        }
        let outcome = self.system.receive(&socket.descriptor, &mut buffer);
        let (count, goes_on) = self.came(key, outcome, buffer.len(), owner);
        if count > 0 {
            owner.received(self, key, &mut buffer[..count]);
        }
        self.buffer = buffer;
        goes_on
    }

    /// Acts on what a call gave that had so much room; gives how many bytes came, and whether there may be more.
    fn came(
        &mut self,
        key: Key,
        outcome: Result<usize, Errno>,
        room: usize,
        owner: &mut impl Owner<Self>,
    ) -> (usize, bool) {
        let Some(socket) = owner.socket(key) else {
            return (0, false);
        };
        let Way::Calls { small, ends } = &mut socket.way else {
            return (0, false);
        };
        match outcome {
            Ok(0) => self.end_reading(key, None, owner),
            Ok(count) => {
                *small = if count < Self::LITTLE {
                    small.saturating_add(1)
                } else {
                    0
                };
                let goes_on = count == room || *ends;
                if !goes_on && *small == Self::SMALL_CALLS {
                    self.change(socket, Way::Buffers);
                }
                return (count, goes_on);
            }
            Err(Errno::WOULDBLOCK) => {}
            Err(Errno::INTR) => return (0, true),
            Err(error) => self.end_reading(key, Some(error.into()), owner),
        }
        (0, false)
    }

    fn end_reading(&mut self, key: Key, error: Option<io::Error>, owner: &mut impl Owner<Self>) {
        let Some(socket) = owner.socket(key) else {
            return;
        };
        self.disarm(socket);
        match error {
            None => {
                socket.phase = Phase::Ended;
                owner.ended(self, key);
            }
            Some(error) => {
                socket.phase = Phase::Lost;
                owner.failed(self, key, error);
            }
        }
    }

    #[cfg(test)]
    fn fail_on_purpose(&mut self, key: Key, owner: &mut impl Owner<Self>) {
        if let Err(error) = self.system.faults.limit(Operation::Receive, 0)
            && let Some(socket) = owner.socket(key)
            && socket.phase == Phase::Connected
        {
            socket.phase = Phase::Lost;
            owner.failed(self, key, error.into());
        }
    }
}

/// Whether nothing is received behind this, of a socket that receives.
fn is_end(completion: &Completion) -> bool {
    match completion.moved() {
        // So many bytes, and no flags.
        Ok(_) if completion.is_filled() => false,
        Ok(told) => told == 0 || tells_end(told),
        Err(error) => error != Errno::NOBUFS && !goes_on_after(error),
    }
}

/// Whether what the ring tells of a socket, as flags, is that its peer ended its direction, or that it is lost.
fn tells_end(told: usize) -> bool {
    let closes = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    // How wide the flags are differs between systems.
    i64::try_from(told).is_ok_and(|told| told & i64::from(closes.bits()) != 0)
}

/// Whether receiving can begin again that has ended so.
fn goes_on_after(error: Errno) -> bool {
    matches!(error, Errno::CANCELED | Errno::INTR | Errno::AGAIN | Errno::NOMEM)
}

/// The operation of a socket has ended; gives the socket if more of it is to come.
fn disarmed<D>(key: Key, owner: &mut D) -> Option<&mut Socket>
where
    D: Owner<Uring>,
{
    let socket = owner.socket(key)?;
    socket.marks.set(Marks::ARMED, false);
    socket.marks.set(Marks::DISARMED, false);
    (socket.phase == Phase::Connected).then_some(socket)
}
