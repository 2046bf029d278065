//! The driver that asks which sockets are ready.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::io::Errno;
use rustix::net::Shutdown;
use socket2::{SockAddr, SockRef};

use super::ends::Ends;
use super::system::{System, concerns_one_connection};
use super::{Counters, Driver, DriverKind, Key, Outbox, OutputPool, Owner, Waker};

/// The driver that asks the system which sockets are ready (epoll, kqueue), then drains all of them in one loop and writes
/// at once.
///
/// Sockets are registered once, for both directions and edge-triggered, so that waiting is the only system call besides
/// receiving and sending. All of them receive into one buffer.
#[derive(Debug)]
pub struct Readiness {
    poll: Poll,
    events: Events,
    waker: Arc<mio::Waker>,
    /// What is received into; empty during a turn, which holds it.
    buffer: Vec<u8>,
    /// Sockets that may have more to read, without an event that will say so.
    unread: Vec<Key>,
    /// Listening sockets that may have more connections.
    unaccepted: Vec<Key>,
    /// Sockets of which an event has told that nothing comes behind what can be read now.
    ends: Ends<Key>,
    system: System,
}

/// A connection of the [`Readiness`] driver.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    key: Key,
    phase: Phase,
    /// The peer has ended its direction, as an event said; what came before may not have been read yet.
    ends: bool,
    /// Whether bytes that come are read.
    receives: bool,
    /// The system took less than it was given: it says when it takes more.
    is_full: bool,
}

#[cfg(test)]
impl Socket {
    pub(super) fn pretend_writable(&mut self) {
        self.is_full = false;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Connecting,
    Connected,
    /// Nothing more will be read.
    Ended,
}

/// A listening socket of the [`Readiness`] driver.
#[derive(Debug)]
pub struct Listener {
    descriptor: OwnedFd,
    key: Key,
    accepts: bool,
}

/// Marks the token of a listening socket, in a bit of the index that keys leave alone.
const LISTENER: usize = 1 << 31;
const WAKER: Token = Token(1 << 30);

impl Readiness {
    /// How much is read at once, in bytes. More than a socket's default receive buffer at first, so that one call takes
    /// what came.
    const BUFFER: usize = 256 * 1024;
    /// How many calls in a row read one socket that has more and more.
    const READS: usize = 4;
    const EVENTS: usize = 1024;
    /// How many connections a turn accepts of one listening socket before the others have their turn.
    const ACCEPTS: usize = 256;

    /// A driver without sockets.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        Ok(Self {
            poll,
            waker,
            events: Events::with_capacity(Self::EVENTS),
            buffer: vec![0; Self::BUFFER],
            unread: Vec::new(),
            unaccepted: Vec::new(),
            ends: Ends::default(),
            system: System::default(),
        })
    }

    #[cfg(test)]
    pub(super) fn faults(&mut self) -> &mut super::faults::Faults {
        &mut self.system.faults
    }

    fn register(&self, descriptor: OwnedFd, key: Key, phase: Phase) -> io::Result<Socket> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.watch(&descriptor, Token(key.to_bits() as usize), interest)?;
        Ok(Socket {
            descriptor,
            key,
            phase,
            ends: false,
            receives: true,
            is_full: false,
        })
    }

    fn watch(&self, descriptor: &OwnedFd, token: Token, interest: Interest) -> io::Result<()> {
        let mut source = SourceFd(&descriptor.as_raw_fd());
        self.poll.registry().register(&mut source, token, interest)
    }

    fn act(&mut self, event: &Event, owner: &mut impl Owner<Self>) {
        let bits = event.token().0;
        let key = Key::from_bits(bits as u64);
        if bits & LISTENER != 0 {
            if !self.unaccepted.contains(&key) {
                self.unaccepted.push(key);
            }
            return;
        }
        // Edges are for both directions, and most of them only say that there is something to read.
        if event.is_writable()
            && owner
                .socket(key)
                .is_some_and(|socket| socket.is_full || socket.phase == Phase::Connecting)
        {
            self.can_write(key, owner);
        }
        if event.is_read_closed() {
            if let Some(socket) = owner.socket(key)
                && !std::mem::replace(&mut socket.ends, true)
            {
                self.ends.push(key);
            }
        } else if event.is_readable() {
            self.read(key, owner);
        }
    }

    fn can_write(&mut self, key: Key, owner: &mut impl Owner<Self>) {
        let Some(socket) = owner.socket(key) else {
            return;
        };
        if socket.phase == Phase::Connecting {
            let error = SockRef::from(&socket.descriptor).take_error();
            socket.phase = Phase::Connected;
            let result = match error {
                Ok(None) => Ok(()),
                Ok(Some(error)) | Err(error) => {
                    socket.phase = Phase::Ended;
                    Err(error)
                }
            };
            return owner.connected(self, key, result);
        }
        if std::mem::take(&mut socket.is_full) {
            owner.writable(self, key);
        }
    }

    /// Reads what is there, or a buffer full of it.
    fn read(&mut self, key: Key, owner: &mut impl Owner<Self>) {
        // A large message is taken while its memory is in the processor's cache, before the others have their turn.
        for _ in 0..Self::READS {
            if !self.read_once(key, owner) {
                return;
            }
        }
        self.unread.push(key);
    }

    /// Gives whether there may be more, without an event that will say so.
    #[inline]
    fn read_once(&mut self, key: Key, owner: &mut impl Owner<Self>) -> bool {
        let Some(socket) = owner.socket(key) else {
            return false;
        };
        if socket.phase != Phase::Connected || !socket.receives {
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
        let outcome = self.system.receive(&socket.descriptor, &mut buffer);
        let (count, goes_on) = self.came(key, outcome, buffer.len(), owner);
        if count > 0 {
            owner.received(self, key, &mut buffer[..count]);
        }
        self.buffer = buffer;
        goes_on
    }

    /// Acts on what a call gave that had so much room; gives how many bytes came, and whether there may be more.
    #[inline]
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
        match outcome {
            Ok(0) => {
                socket.phase = Phase::Ended;
                owner.ended(self, key);
            }
            Ok(count) => {
                // Less than there was room for: the socket is empty, and an event will say when it is not. Of the end there will
                // be no other.
                return (count, count == room || socket.ends);
            }
            Err(Errno::WOULDBLOCK) => {}
            Err(Errno::INTR) => return (0, true),
            Err(error) => {
                socket.phase = Phase::Ended;
                owner.failed(self, key, error.into());
            }
        }
        (0, false)
    }

    fn accept(&mut self, key: Key, owner: &mut impl Owner<Self>) {
        let most = if self.ends.is_empty() {
            Self::ACCEPTS
        } else {
            Ends::<Key>::NEWCOMERS
        };
        for _ in 0..most {
            let Some(listener) = owner.listener(key).filter(|listener| listener.accepts) else {
                return;
            };
            match self.system.accept(&listener.descriptor) {
                Ok(socket) => owner.accepted(self, key, socket),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    listener.accepts = false;
                    return owner.accept_failed(self, key, error);
                }
            }
        }
        self.unaccepted.push(key);
    }
}

impl AsRawFd for Readiness {
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

impl Driver for Readiness {
    type Socket = Socket;
    type Listener = Listener;

    fn kind(&self) -> DriverKind {
        DriverKind::Readiness
    }

    fn listen(&mut self, listener: OwnedFd, key: Key) -> io::Result<Listener> {
        let token = Token(key.to_bits() as usize | LISTENER);
        self.watch(&listener, token, Interest::READABLE)?;
        Ok(Listener {
            descriptor: listener,
            key,
            accepts: true,
        })
    }

    fn set_accepting(&mut self, listener: &mut Listener, on: bool) -> io::Result<()> {
        if on && !listener.accepts {
            // What came meanwhile has had its event.
            self.unaccepted.push(listener.key);
        }
        listener.accepts = on;
        Ok(())
    }

    fn stop_listening(&mut self, listener: Listener) {
        drop(listener);
    }

    fn add(&mut self, socket: OwnedFd, key: Key) -> io::Result<Socket> {
        self.register(socket, key, Phase::Connected)
    }

    fn connect(&mut self, socket: OwnedFd, address: &SockAddr, key: Key) -> io::Result<Socket> {
        match SockRef::from(&socket).connect(address) {
            Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            connected => connected?,
        }
        self.register(socket, key, Phase::Connecting)
    }

    fn set_receiving(&mut self, socket: &mut Socket, on: bool) -> io::Result<()> {
        if on && !socket.receives {
            // What came meanwhile has had its event.
            self.unread.push(socket.key);
        }
        socket.receives = on;
        Ok(())
    }

    fn send(&mut self, socket: &mut Socket, outbox: &mut Outbox, pool: &mut OutputPool) -> io::Result<()> {
        while !socket.is_full
            && let Some(output) = outbox.get_mut()
            && !output.is_empty()
        {
            let (offered, taken) = self.system.send(&socket.descriptor, output)?;
            output.advance(taken);
            socket.is_full = taken < offered;
        }
        outbox.settle(pool);
        Ok(())
    }

    fn send_now(
        &mut self,
        socket: &mut Socket,
        outbox: &mut Outbox,
        pool: &mut OutputPool,
        payload: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        if socket.is_full {
            return Ok(0);
        }
        let waiting = outbox.len();
        let output = outbox.get_mut().map(|output| &*output);
        let Some((offered, taken)) = self.system.send_both(&socket.descriptor, output, payload)? else {
            // Too many pieces for one call: what waits leaves first.
            self.send(socket, outbox, pool)?;
            return if outbox.is_empty() {
                self.send_now(socket, outbox, pool, payload)
            } else {
                Ok(0)
            };
        };
        socket.is_full = taken < offered;
        if let Some(output) = outbox.get_mut() {
            output.advance(taken.min(waiting));
        }
        outbox.settle(pool);
        Ok(taken.saturating_sub(waiting))
    }

    fn in_flight(&self, _: &Socket) -> usize {
        0
    }

    fn is_behind(&self, _: &Socket) -> bool {
        false
    }

    fn shutdown(&mut self, socket: &mut Socket) {
        // It fails when the connection is lost, of which another event tells.
        let _ = rustix::net::shutdown(&socket.descriptor, Shutdown::Write);
    }

    fn close(&mut self, socket: Socket) {
        drop(socket);
    }

    fn reset(&mut self, socket: Socket) {
        // Lingering for no time is how a socket is told to reset; it fails when the connection is lost already.
        let _ = SockRef::from(&socket.descriptor).set_linger(Some(Duration::ZERO));
    }

    fn descriptor<'s>(&'s self, socket: &'s Socket) -> BorrowedFd<'s> {
        socket.descriptor.as_fd()
    }

    fn turn(&mut self, timeout: Option<Duration>, owner: &mut impl Owner<Self>) -> io::Result<usize> {
        let unread = std::mem::take(&mut self.unread);
        let left = unread.len() + self.unaccepted.len();
        let waits = left == 0 && self.ends.is_empty();
        let timeout = if waits { timeout } else { Some(Duration::ZERO) };
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        self.system.counters.turns += 1;
        self.system.counters.waits += 1;
        let polled = match self.poll.poll(&mut events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            polled => polled,
        };
        let mut count = left;
        if polled.is_ok() {
            for event in events.iter().filter(|event| event.token() != WAKER) {
                self.act(event, owner);
                count += 1;
            }
        }
        self.events = events;
        for key in unread {
            self.read(key, owner);
        }
        for _ in 0..Ends::<Key>::SHARE {
            let Some(key) = self.ends.pop() else {
                break;
            };
            self.read(key, owner);
            count += 1;
        }
        // Those who come find the places of those who have left.
        for key in std::mem::take(&mut self.unaccepted) {
            self.accept(key, owner);
        }
        self.system.counters.events += count as u64;
        polled.map(|()| count)
    }

    fn waker(&self) -> Waker {
        let waker = Arc::clone(&self.waker);
        Waker::new(move || waker.wake())
    }

    fn counters(&self) -> Counters {
        self.system.counters
    }
}
