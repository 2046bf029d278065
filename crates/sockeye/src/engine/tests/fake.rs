//! A driver without a system: what sockets take, and how they fail, is up to the test. Time is, too.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use super::super::common::Common;
use super::super::handler::Handler;
use super::super::mailbox::{Letter, Mailbox, Order, SocketHandle};
use super::super::owner::Connections;
use crate::driver::{Counters, Driver, DriverKind, Key, Outbox, OutputPool, Owner, Waker};
use crate::hub::{Hub, HubConfig, Local};
use crate::metrics::SessionMetrics;
use crate::server::{Address, Reception, ServerBuilder};
use crate::upgrade::Settings;

/// A driver whose sockets are what a test says.
pub(super) struct Fake {
    pub(super) lines: HashMap<Key, Line>,
    waker: Arc<mio::Waker>,
    poll: mio::Poll,
}

/// The other end of a socket.
#[derive(Debug)]
pub(super) struct Line {
    descriptor: OwnedFd,
    /// What was sent.
    pub(super) sent: Vec<u8>,
    /// How many bytes the system takes before it takes no more.
    pub(super) room: usize,
    /// How many bytes it takes at once.
    pub(super) at_once: usize,
    /// How sending fails.
    pub(super) fails: Option<io::ErrorKind>,
    pub(super) receives: bool,
    pub(super) end: Option<End>,
    /// How often something was sent.
    pub(super) sends: usize,
    /// What it is given flies until the test lets it [land](Stage::land), as with a driver that hands its work to the kernel.
    pub(super) flies: bool,
    /// What left the outbox and was not taken by the system yet.
    flight: Vec<u8>,
    /// The system had no room for what is in flight.
    is_behind: bool,
    /// Somebody waits for the end of what is in flight.
    is_awaited: Cell<bool>,
    has_shut_down: bool,
}

/// How a socket was closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Closed,
    /// After the sending direction had been ended.
    ShutDown,
    Reset,
}

impl Fake {
    fn new() -> Self {
        let poll = mio::Poll::new().unwrap();
        let waker = Arc::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap());
        Self {
            lines: HashMap::new(),
            waker,
            poll,
        }
    }

    fn take(&mut self, key: Key, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let line = self.lines.get_mut(&key).unwrap();
        assert!(line.end.is_none() && !line.has_shut_down, "sent after the end");
        line.sends += 1;
        if let Some(kind) = line.fails {
            return Err(kind.into());
        }
        let mut taken = 0;
        for slice in slices {
            let part = slice.len().min(line.room).min(line.at_once - taken);
            line.sent.extend_from_slice(&slice[..part]);
            line.room -= part;
            taken += part;
        }
        Ok(taken)
    }

    /// Takes all that waits, unless something is in flight.
    fn launch(&mut self, key: Key, outbox: &mut Outbox, pool: &mut OutputPool) -> io::Result<()> {
        let line = self.lines.get_mut(&key).unwrap();
        assert!(line.end.is_none() && !line.has_shut_down, "sent after the end");
        if line.await_flight() > 0 || outbox.is_empty() {
            return Ok(());
        }
        line.sends += 1;
        if let Some(kind) = line.fails {
            return Err(kind.into());
        }
        while let Some(output) = outbox.get_mut()
            && !output.is_empty()
        {
            let mut slices = [IoSlice::new(&[]); 4];
            let slices = output.slices(&mut slices);
            let count = slices.iter().map(|slice| slice.len()).sum();
            slices
                .iter()
                .for_each(|slice| line.flight.extend_from_slice(slice));
            output.advance(count);
        }
        outbox.settle(pool);
        Ok(())
    }

    fn end(&mut self, key: Key, end: End) {
        let line = self.lines.get_mut(&key).unwrap();
        assert_eq!(line.end, None, "closed twice");
        line.end = Some(end);
    }
}

impl Line {
    /// How much is in flight, for somebody who is told when that changes.
    fn await_flight(&self) -> usize {
        self.is_awaited
            .set(self.is_awaited.get() || !self.flight.is_empty());
        self.flight.len()
    }
}

impl AsRawFd for Fake {
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

impl Driver for Fake {
    type Socket = Key;
    type Listener = ();

    fn kind(&self) -> DriverKind {
        DriverKind::Readiness
    }

    fn listen(&mut self, _: OwnedFd, _: Key) -> io::Result<()> {
        Ok(())
    }

    fn set_accepting(&mut self, (): &mut (), _: bool) -> io::Result<()> {
        Ok(())
    }

    fn stop_listening(&mut self, (): ()) {}

    fn add(&mut self, descriptor: OwnedFd, key: Key) -> io::Result<Key> {
        let line = Line {
            descriptor,
            sent: Vec::new(),
            room: usize::MAX,
            at_once: usize::MAX,
            fails: None,
            receives: true,
            end: None,
            sends: 0,
            flies: false,
            flight: Vec::new(),
            is_behind: false,
            is_awaited: Cell::new(false),
            has_shut_down: false,
        };
        self.lines.insert(key, line);
        Ok(key)
    }

    fn connect(&mut self, _: OwnedFd, _: &socket2::SockAddr, _: Key) -> io::Result<Key> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_receiving(&mut self, socket: &mut Key, on: bool) -> io::Result<()> {
        self.lines.get_mut(socket).unwrap().receives = on;
        Ok(())
    }

    fn send(&mut self, socket: &mut Key, outbox: &mut Outbox, pool: &mut OutputPool) -> io::Result<()> {
        if self.lines[socket].flies {
            return self.launch(*socket, outbox, pool);
        }
        while let Some(output) = outbox.get_mut()
            && !output.is_empty()
        {
            let mut slices = [IoSlice::new(&[]); 4];
            let slices = output.slices(&mut slices);
            let taken = self.take(*socket, slices)?;
            output.advance(taken);
            if taken == 0 {
                break;
            }
        }
        outbox.settle(pool);
        Ok(())
    }

    fn send_now(
        &mut self,
        socket: &mut Key,
        outbox: &mut Outbox,
        pool: &mut OutputPool,
        payload: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.send(socket, outbox, pool)?;
        if !outbox.is_empty() || self.in_flight(socket) > 0 {
            return Ok(0);
        }
        self.take(*socket, payload)
    }

    fn in_flight(&self, socket: &Key) -> usize {
        self.lines[socket].await_flight()
    }

    fn is_behind(&self, socket: &Key) -> bool {
        self.lines[socket].is_behind
    }

    fn shutdown(&mut self, socket: &mut Key) {
        self.lines.get_mut(socket).unwrap().has_shut_down = true;
    }

    fn close(&mut self, socket: Key) {
        let has_shut_down = self.lines[&socket].has_shut_down;
        self.end(socket, if has_shut_down { End::ShutDown } else { End::Closed });
    }

    fn reset(&mut self, socket: Key) {
        self.end(socket, End::Reset);
    }

    fn descriptor<'s>(&'s self, socket: &'s Key) -> BorrowedFd<'s> {
        self.lines[socket].descriptor.as_fd()
    }

    fn turn(&mut self, _: Option<Duration>, _: &mut impl Owner<Self>) -> io::Result<usize> {
        Ok(0)
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }

    fn waker(&self) -> Waker {
        let waker = Arc::clone(&self.waker);
        Waker::new(move || waker.wake())
    }
}

/// The connections of a worker without the worker.
pub(super) struct Stage {
    pub(super) driver: Fake,
    pub(super) connections: Connections<Fake>,
    mailbox: Arc<Mailbox>,
    letters: VecDeque<Letter>,
}

impl Stage {
    pub(super) fn new(handler: impl Handler, settings: Settings) -> Self {
        Self::of(super::server(handler, settings))
    }

    #[cfg(feature = "tls")]
    pub(super) fn under_tls(handler: impl Handler, settings: Settings, tls: crate::tls::ServerTls) -> Self {
        Self::of(super::server(handler, settings).tls(tls))
    }

    pub(super) fn of(server: ServerBuilder) -> Self {
        let mailbox = Mailbox::new();
        let hub = Local::new(Hub::new(HubConfig::default(), 1).unwrap(), 0);
        let common = Common::new(Arc::clone(&mailbox), Arc::new(SessionMetrics::new()), hub);
        Self {
            driver: Fake::new(),
            connections: Connections::new(common, Reception::of(server)),
            mailbox,
            letters: VecDeque::new(),
        }
    }

    /// A connection that has said nothing yet.
    pub(super) fn accept(&mut self) -> Key {
        let known: Vec<_> = self.driver.lines.keys().copied().collect();
        let (socket, _) = std::os::unix::net::UnixStream::pair().unwrap();
        let Self {
            driver, connections, ..
        } = self;
        connections.tick();
        connections.let_in(driver, socket.into(), &Address::Unix(None));
        let mut keys = driver.lines.keys();
        *keys.find(|key| !known.contains(key)).unwrap()
    }

    /// A WebSocket.
    pub(super) fn open(&mut self) -> Key {
        let key = self.accept();
        self.receive(key, super::REQUEST);
        let head = self.sent(key);
        assert!(head.starts_with(b"HTTP/1.1 101 "));
        key
    }

    /// What arrives on a connection, and the turn in which it does.
    pub(super) fn receive(&mut self, key: Key, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        self.connections.received(&mut self.driver, key, &mut bytes);
        self.turn();
    }

    /// What arrives on a connection that is read much at a time: at most `piece` bytes by a call, and where the connection wants
    /// them. Gives how many came to stay where they were received.
    pub(super) fn receive_much(&mut self, key: Key, bytes: &[u8], piece: usize) -> usize {
        let (mut rest, mut in_place) = (bytes, 0);
        while !rest.is_empty() && self.driver.lines[&key].receives && self.driver.lines[&key].end.is_none() {
            let came = self.connections.receive_in_place(key, |_, room| {
                let count = room.len().min(piece).min(rest.len());
                room[..count].copy_from_slice(&rest[..count]);
                count
            });
            let count = came.unwrap_or_else(|| piece.min(rest.len()));
            let (now, later) = rest.split_at(count);
            rest = later;
            if came.is_some() {
                in_place += count;
                self.connections.received_in_place(&mut self.driver, key, count);
            } else {
                let mut bytes = now.to_vec();
                self.connections.received(&mut self.driver, key, &mut bytes);
            }
            self.turn();
        }
        in_place
    }

    /// A handle to a WebSocket.
    pub(super) fn handle(&mut self, key: Key) -> SocketHandle {
        let mut handle = None;
        self.connections
            .with_open(&mut self.driver, key, |lent, _, _| handle = Some(lent.handle()));
        handle.unwrap()
    }

    /// What is asked for through a handle.
    pub(super) fn order(&mut self, key: Key, order: Order) {
        self.mailbox.post(Letter::Socket(key, order));
        self.turn();
    }

    pub(super) fn pause(&mut self, key: Key) {
        let _ = self.handle(key).pause();
        self.turn();
    }

    pub(super) fn resume(&mut self, key: Key) {
        let _ = self.handle(key).resume();
        self.turn();
    }

    /// How many letters wait for the worker.
    pub(super) fn letters(&self) -> usize {
        self.mailbox.len()
    }

    /// The peer ends its direction.
    pub(super) fn end(&mut self, key: Key) {
        self.connections.ended(&mut self.driver, key);
        self.turn();
    }

    pub(super) fn fail(&mut self, key: Key, kind: io::ErrorKind) {
        self.connections.failed(&mut self.driver, key, kind.into());
        self.turn();
    }

    /// The system takes so many bytes more.
    pub(super) fn make_room(&mut self, key: Key, room: usize) {
        self.driver.lines.get_mut(&key).unwrap().room = room;
        self.connections.writable(&mut self.driver, key);
        self.turn();
    }

    /// What is in flight reaches the system, which has room for so much of it.
    pub(super) fn land(&mut self, key: Key, room: usize) {
        let line = self.line(key);
        let landed = line.flight.len().min(room);
        line.sent.extend(line.flight.drain(..landed));
        line.is_behind = !line.flight.is_empty();
        // Of what was taken whole only those are told who wait for it.
        if line.is_awaited.take() || line.is_behind {
            self.connections.writable(&mut self.driver, key);
        }
        self.turn();
    }

    pub(super) fn turn(&mut self) {
        self.mailbox.take(&mut self.letters);
        while let Some(letter) = self.letters.pop_front() {
            if let Letter::Socket(key, order) = letter {
                self.connections.order(&mut self.driver, key, order);
            }
        }
        self.connections.turn_ends(&mut self.driver);
    }

    /// Time passes, in steps that miss no deadline.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.connections.common.now + time;
        while self.connections.common.now < end {
            let left = end - self.connections.common.now;
            self.connections.common.now += left.min(Duration::from_millis(100));
            self.turn();
        }
    }

    /// What was sent since the last look.
    pub(super) fn sent(&mut self, key: Key) -> Vec<u8> {
        std::mem::take(&mut self.driver.lines.get_mut(&key).unwrap().sent)
    }

    pub(super) fn line(&mut self, key: Key) -> &mut Line {
        self.driver.lines.get_mut(&key).unwrap()
    }
}
