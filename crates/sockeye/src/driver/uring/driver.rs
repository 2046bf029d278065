//! The driver on io_uring.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::vec::Drain;

use rustix::event::EventfdFlags;
use socket2::{SockAddr, SockRef};

use super::super::ends::Ends;
use super::super::system::System;
use super::super::{Counters, Driver, DriverKind, Key, Outbox, Output, OutputPool, Owner, Waker};
use super::flight::{ALL, Number};
use super::receiving::End;
use super::ring::{Completion, Ring, Sizes};
use super::token::Token;

/// The driver on io_uring: operations of a turn are handed to the kernel, and their results taken, by one system call.
///
/// Connections receive by one operation that goes on, into buffers that the kernel takes from a ring when bytes have
/// come; an idle connection has none. What is sent leaves the outbox whole and comes back to the pool when it was sent;
/// each socket has at most one such operation under way, so that order is kept. Small sends that succeed at once do not
/// complete. Who sends much at a time is read by calls, into one buffer that stays in the cache.
///
/// It must be used by the thread that made it, and needs Linux 6.1.
pub struct Uring {
    pub(super) ring: Ring,
    pub(super) system: System,
    pub(super) wake: Arc<Wake>,
    /// Somebody asked for the descriptor, to wait for it.
    pub(super) is_awaited: Cell<bool>,
    /// Empty outside of a turn; kept for its memory.
    pub(super) completions: Vec<Completion>,
    /// Flights that were sent whole without a completion. Empty outside of a turn, too.
    pub(super) sent: Vec<Key>,
    /// Somebody waits for the end of a flight that may have no completion: the kernel is to be entered, but not to wait.
    pub(super) hurries: Cell<bool>,
    /// Outputs that were sent, for the pool of whoever sends next.
    #[expect(clippy::vec_box, reason = "they change hands as boxes")]
    pub(super) spent: Vec<Box<Output>>,
    /// Sockets whose [`Driver::send_now`] sent a part only: the owner is told that it may go on.
    pub(super) unsent: Vec<Key>,
    /// Sockets that found no buffer. Some of them receive again in each turn: all at once would find none again.
    pub(super) starved: VecDeque<Key>,
    /// How many of them.
    pub(super) share: usize,
    /// Sockets that receive by calls and may have more.
    pub(super) unread: Vec<Key>,
    /// Sockets of which the kernel has told that nothing comes behind what was received.
    pub(super) ends: Ends<End>,
    /// What those calls receive into; taken away while the owner has it, empty before the first one.
    pub(super) buffer: Vec<u8>,
    /// Connections that had been accepted when their listening socket was told to stop for a while, or while ends waited to be told.
    pub(super) held: VecDeque<(Key, OwnedFd)>,
    /// The listening sockets.
    pub(super) listeners: Vec<Key>,
}

/// A connection of the [`Uring`] driver.
#[derive(Debug)]
pub struct Socket {
    pub(super) descriptor: OwnedFd,
    pub(super) key: Key,
    /// What is under way: sending, or connecting.
    pub(super) flight: Option<Number>,
    pub(super) phase: Phase,
    pub(super) way: Way,
    pub(super) marks: Marks,
}

/// What is so or not of a connection, in a byte: there are very many of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Marks(u8);

impl Marks {
    /// Bytes that come are wanted.
    pub(super) const RECEIVES: Self = Self(1);
    /// An operation receives, or waits for bytes.
    pub(super) const ARMED: Self = Self(1 << 1);
    /// That operation was told to end.
    pub(super) const DISARMED: Self = Self(1 << 2);
    /// The sending direction ends when what is under way was sent.
    pub(super) const SHUTS_DOWN: Self = Self(1 << 3);

    pub(super) const fn has(self, mark: Self) -> bool {
        self.0 & mark.0 != 0
    }

    /// Sets or removes a mark; gives whether it was there.
    pub(super) fn set(&mut self, mark: Self, on: bool) -> bool {
        let had = self.has(mark);
        self.0 = if on { self.0 | mark.0 } else { self.0 & !mark.0 };
        had
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Connecting,
    Connected,
    /// Nothing more will be received.
    Ended,
    /// The owner was told that the connection is lost.
    Lost,
}

/// How a connection receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Into the ring's buffers.
    Buffers,
    /// Much at a time, by calls: the ring only tells that bytes have come.
    Calls {
        /// How many calls in a row gave little.
        small: u8,
        /// The peer has ended its direction; what came before may not have been read yet.
        ends: bool,
    },
}

/// A listening socket of the [`Uring`] driver.
#[derive(Debug)]
pub struct Listener {
    pub(super) descriptor: OwnedFd,
    pub(super) key: Key,
    pub(super) accepts: bool,
    pub(super) is_armed: bool,
    pub(super) is_disarmed: bool,
}

/// What wakes a driver from other threads.
#[derive(Debug)]
pub(super) struct Wake {
    /// What the ring watches.
    pub(super) descriptor: OwnedFd,
    /// What others watch in place of the ring.
    notice: OwnedFd,
    /// Whether there may be others. Then the kernel signals `notice`, too; but not what it learns by an eventfd itself, since
    /// it does not let one signal another at once.
    notifies: AtomicBool,
    /// Somebody woke it, and it does not know yet: nobody else has to.
    pub(super) is_pending: AtomicBool,
}

impl Wake {
    fn wake(&self) -> io::Result<()> {
        if !self.is_pending.swap(true, Ordering::AcqRel) {
            rustix::io::write(&self.descriptor, &1_u64.to_ne_bytes())?;
            if self.notifies.load(Ordering::SeqCst) {
                rustix::io::write(&self.notice, &1_u64.to_ne_bytes())?;
            }
        }
        Ok(())
    }
}

impl Uring {
    /// A driver without sockets, for the present thread.
    ///
    /// # Errors
    /// io_uring cannot be used here, and the message says why; or the system's.
    pub fn new() -> io::Result<Self> {
        Self::with(Sizes::WORKER)
    }

    pub(super) fn with(sizes: Sizes) -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let mut ring = Ring::new(sizes)?;
        let wake = rustix::event::eventfd(0, flags)?;
        let notice = rustix::event::eventfd(0, flags)?;
        ring.register_notice(notice.as_fd())?;
        ring.watch(wake.as_fd());
        Ok(Self {
            ring,
            system: System::default(),
            wake: Arc::new(Wake {
                descriptor: wake,
                notice,
                notifies: AtomicBool::new(false),
                is_pending: AtomicBool::new(false),
            }),
            is_awaited: Cell::new(false),
            completions: Vec::new(),
            sent: Vec::new(),
            hurries: Cell::new(false),
            spent: Vec::new(),
            unsent: Vec::new(),
            starved: VecDeque::new(),
            share: usize::from(sizes.buffers.count / 2).max(1),
            unread: Vec::new(),
            ends: Ends::default(),
            buffer: Vec::new(),
            held: VecDeque::new(),
            listeners: Vec::new(),
        })
    }

    /// A driver with little of everything, so that it runs out of it.
    #[cfg(test)]
    pub(in super::super) fn scarce() -> io::Result<Self> {
        Self::with(Sizes::SMALL)
    }

    /// Lets it be as if the kernel lost the next completions, so many of them.
    #[cfg(test)]
    pub(in super::super) fn lose_completions(&mut self, count: u32) {
        self.ring.to_lose += count;
    }

    #[cfg(test)]
    pub(in super::super) fn faults(&mut self) -> &mut super::super::faults::Faults {
        &mut self.system.faults
    }

    fn take_over(&mut self, descriptor: OwnedFd, key: Key, phase: Phase) -> Socket {
        Socket {
            descriptor,
            key,
            flight: None,
            phase,
            way: Way::Buffers,
            marks: Marks::RECEIVES,
        }
    }

    /// Does what is left of earlier turns; gives how much that was.
    fn resume(&mut self, owner: &mut impl Owner<Self>) -> usize {
        let mut count = 0;
        for key in std::mem::take(&mut self.unsent) {
            if owner.socket(key).is_some() {
                owner.writable(self, key);
                count += 1;
            }
        }
        for _ in 0..self.share.min(self.starved.len()) {
            if let Some(key) = self.starved.pop_front()
                && let Some(socket) = owner.socket(key)
            {
                self.arm(socket);
                count += 1;
            }
        }
        for key in std::mem::take(&mut self.unread) {
            self.read(key, owner);
            count += 1;
        }
        count
    }

    /// Looks for what the kernel has told since the last look; gives how many events there were.
    pub(in super::super) fn look_once_more(&mut self, owner: &mut impl Owner<Self>) -> io::Result<usize> {
        self.ring.look()?;
        self.collect(owner)
    }

    fn act(
        &mut self,
        completion: Completion,
        rest: &mut std::iter::Peekable<Drain<'_, Completion>>,
        owner: &mut impl Owner<Self>,
    ) -> bool {
        match completion.token {
            Token::Receive(key) => self.receive(key, completion, rest, owner),
            Token::Flight(flight) => self.land(flight, completion.moved(), owner),
            Token::Accept(key) => self.accept(key, completion, owner),
            Token::Wake => {
                self.wake.is_pending.swap(false, Ordering::AcqRel);
                if !completion.goes_on() {
                    self.watch();
                }
                return false;
            }
            Token::End | Token::Ignored => return false,
        }
        true
    }
}

impl AsRawFd for Uring {
    fn as_raw_fd(&self) -> RawFd {
        self.is_awaited.set(true);
        self.wake.notice.as_raw_fd()
    }
}

impl fmt::Debug for Uring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uring")
            .field("ring", &self.ring)
            .field("counters", &self.system.counters)
            .finish_non_exhaustive()
    }
}

impl Driver for Uring {
    type Socket = Socket;
    type Listener = Listener;

    fn kind(&self) -> DriverKind {
        DriverKind::Uring
    }

    fn listen(&mut self, listener: OwnedFd, key: Key) -> io::Result<Listener> {
        let mut listener = Listener {
            descriptor: listener,
            key,
            accepts: true,
            is_armed: false,
            is_disarmed: false,
        };
        self.arm_listener(&mut listener);
        self.listeners.push(key);
        Ok(listener)
    }

    fn set_accepting(&mut self, listener: &mut Listener, on: bool) -> io::Result<()> {
        listener.accepts = on;
        if on {
            self.arm_listener(listener);
        } else if listener.is_armed && !listener.is_disarmed {
            listener.is_disarmed = true;
            self.ring.cancel(Token::Accept(listener.key));
        }
        Ok(())
    }

    fn stop_listening(&mut self, listener: Listener) {
        if listener.is_armed {
            self.ring.cancel(Token::Accept(listener.key));
        }
        self.held.retain(|(key, _)| *key != listener.key);
        self.listeners.retain(|key| *key != listener.key);
        self.ring.close(listener.descriptor);
        // At once, so that nobody connects to it any more. An error shows again in the next turn.
        let _ = self.ring.look();
    }

    fn add(&mut self, socket: OwnedFd, key: Key) -> io::Result<Socket> {
        let mut socket = self.take_over(socket, key, Phase::Connected);
        self.arm(&mut socket);
        Ok(socket)
    }

    fn connect(&mut self, socket: OwnedFd, address: &SockAddr, key: Key) -> io::Result<Socket> {
        let mut socket = self.take_over(socket, key, Phase::Connecting);
        let flight = self.ring.flights().address(key, address.clone());
        socket.flight = Some(Number::of(flight));
        self.ring.launch(flight, socket.descriptor.as_raw_fd(), ALL);
        Ok(socket)
    }

    fn set_receiving(&mut self, socket: &mut Socket, on: bool) -> io::Result<()> {
        self.want(socket, on);
        Ok(())
    }

    fn send(&mut self, socket: &mut Socket, outbox: &mut Outbox, pool: &mut OutputPool) -> io::Result<()> {
        for output in self.spent.drain(..) {
            pool.put(output);
        }
        outbox.settle(pool);
        if self.is_sending(socket) || !matches!(socket.phase, Phase::Connected | Phase::Ended) {
            return Ok(());
        }
        let mut is_full = false;
        if outbox.len() >= Self::MUCH
            && let Some(output) = outbox.get_mut()
        {
            // At once, while it is in the processor's cache. A turn's worth of it would not stay there.
            let (offered, taken) = self.system.send(&socket.descriptor, output)?;
            output.advance(taken);
            is_full = taken < offered;
            outbox.settle(pool);
        }
        if let Some(output) = outbox.take() {
            let flight = self.ring.flights().output(socket.key, output, is_full);
            socket.flight = Some(Number::of(flight));
            self.launch(flight, socket.descriptor.as_raw_fd());
        }
        Ok(())
    }

    fn send_now(
        &mut self,
        socket: &mut Socket,
        outbox: &mut Outbox,
        pool: &mut OutputPool,
        payload: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        if self.is_sending(socket) || !matches!(socket.phase, Phase::Connected | Phase::Ended) {
            return Ok(0);
        }
        let waiting = outbox.len();
        let output = outbox.get_mut().map(|output| &*output);
        let Some((offered, taken)) = self.system.send_both(&socket.descriptor, output, payload)? else {
            // Too many pieces for one call: what waits leaves first.
            self.send(socket, outbox, pool)?;
            return Ok(0);
        };
        if taken < offered {
            self.unsent.push(socket.key);
        }
        if let Some(output) = outbox.get_mut() {
            output.advance(taken.min(waiting));
        }
        outbox.settle(pool);
        Ok(taken.saturating_sub(waiting))
    }

    fn in_flight(&self, socket: &Socket) -> usize {
        self.awaited(socket).map_or(0, |flight| self.ring.left(flight))
    }

    fn is_behind(&self, socket: &Socket) -> bool {
        socket.flight.is_some_and(|flight| !self.ring.is_silent(flight))
    }

    fn shutdown(&mut self, socket: &mut Socket) {
        if self.is_sending(socket) {
            socket.marks.set(Marks::SHUTS_DOWN, true);
        } else {
            super::sending::shutdown(&socket.descriptor);
        }
    }

    fn close(&mut self, socket: Socket) {
        self.give_up(socket, false);
    }

    fn reset(&mut self, socket: Socket) {
        // Lingering for no time is how a socket is told to reset; it fails when the connection is lost already.
        let _ = SockRef::from(&socket.descriptor).set_linger(Some(Duration::ZERO));
        self.give_up(socket, true);
    }

    fn descriptor<'s>(&'s self, socket: &'s Socket) -> BorrowedFd<'s> {
        socket.descriptor.as_fd()
    }

    fn turn(&mut self, timeout: Option<Duration>, owner: &mut impl Owner<Self>) -> io::Result<usize> {
        self.system.counters.turns += 1;
        if self.wake.notifies.load(Ordering::Relaxed) {
            self.wake.notifies.store(false, Ordering::Relaxed);
            self.ring.set_notices(false);
            // Whatever it said is looked at now; it is empty if it said nothing.
            let _ = rustix::io::read(&self.wake.notice, &mut [0; 8]);
        }
        let mut count = self.resume(owner);
        let is_at_rest = self.starved.is_empty() && self.ends.is_empty() && !self.lets_in(owner);
        let waits = count == 0 && is_at_rest && !self.hurries.get();
        self.ring
            .enter(if waits { timeout } else { Some(Duration::ZERO) })?;
        count += self.collect(owner)?;
        count += self.tell_ends(owner)?;
        // Those who come find the places of those who have left, also where an idle turn learned of both.
        count += self.hand_over_held(owner);
        if count == 0 && self.is_awaited.get() {
            // From here on the kernel signals. What it did before is looked for once more.
            self.wake.notifies.store(true, Ordering::SeqCst);
            self.ring.set_notices(true);
            count += self.look_once_more(owner)?;
        }
        self.system.counters.events += count as u64;
        Ok(count)
    }

    fn waker(&self) -> Waker {
        let wake = Arc::clone(&self.wake);
        Waker::new(move || wake.wake())
    }

    fn counters(&self) -> Counters {
        Counters {
            waits: self.ring.enters(),
            ..self.system.counters
        }
    }
}

impl Uring {
    /// For so many completions and flights of a turn memory is kept.
    pub(super) const KEPT: usize = 1024;

    /// Takes what has completed by now and acts on it; gives how many events that were.
    pub(super) fn collect(&mut self, owner: &mut impl Owner<Self>) -> io::Result<usize> {
        let mut completions = std::mem::take(&mut self.completions);
        let is_lost = self.ring.take(&mut completions, &mut self.sent);
        if is_lost {
            // Nobody knows whether these were sent whole.
            self.sent.clear();
            return self.begin_anew(completions, owner);
        }
        // Before others act, so that these sockets can be sent to again.
        let mut count = self.land_silent(owner);
        let mut rest = completions.drain(..).peekable();
        while let Some(completion) = rest.next() {
            count += usize::from(self.act(completion, &mut rest, owner));
        }
        drop(rest);
        completions.shrink_to(Self::KEPT);
        self.completions = completions;
        Ok(count)
    }
}
