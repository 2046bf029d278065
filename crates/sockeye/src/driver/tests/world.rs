//! A driver, an owner that writes down what it is told, and peers on ordinary sockets.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::Tested;
use crate::driver::{Driver, Key, Outbox, OutputPool, Owner};

/// How long anything may take before a test has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A driver with its owner.
pub(super) struct World<D: Tested> {
    // Before the slots: drivers are dropped with sockets still there.
    pub(super) driver: D,
    pub(super) book: Book<D>,
}

/// The owner: slots, and what happened in them.
pub(super) struct Book<D: Driver> {
    pub(super) slots: Vec<Slot<D>>,
    pub(super) free: Vec<usize>,
    listeners: Vec<(u32, Option<D::Listener>)>,
    pub(super) pool: OutputPool,
    /// What is done with bytes that come.
    pub(super) answer: Answer,
    /// Accepted sockets get so little room to send, in bytes.
    pub(super) send_room: Option<usize>,
    /// There are places for so many connections. Who comes when none is free is turned away.
    pub(super) places: usize,
    pub(super) turned_away: usize,
    /// Keys of connections as they were accepted.
    pub(super) accepted: VecDeque<Key>,
    pub(super) accept_errors: Vec<io::Error>,
    /// Connections that were closed by the owner because they ended or failed.
    pub(super) over: usize,
}

/// What the owner does with bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// Keeps them.
    Keep,
    /// Sends them back, and closes what ended or failed.
    Echo,
    /// Closes the connection.
    Close,
}

/// What is known of a connection.
pub(super) struct Slot<D: Driver> {
    generation: u32,
    pub(super) socket: Option<D::Socket>,
    pub(super) outbox: Outbox,
    pub(super) seen: Seen,
    /// Memory of the owner's that is offered for the next bytes; of any length.
    pub(super) place: Vec<u8>,
}

/// What the owner was told of a connection.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) bytes: Vec<u8>,
    pub(super) ended: usize,
    pub(super) failed: Vec<io::ErrorKind>,
    pub(super) connected: Vec<Result<(), io::ErrorKind>>,
    pub(super) writable: usize,
    /// Each call with bytes, how many.
    pub(super) portions: Vec<usize>,
    /// How many bytes were received in the owner's memory.
    pub(super) in_place: usize,
}

impl<D: Tested> World<D> {
    pub(super) fn new(answer: Answer) -> Self {
        Self::with(D::fresh(), answer)
    }

    pub(super) fn with(driver: D, answer: Answer) -> Self {
        Self {
            driver,
            book: Book {
                slots: Vec::new(),
                free: Vec::new(),
                listeners: Vec::new(),
                pool: OutputPool::default(),
                answer,
                send_room: None,
                places: usize::MAX,
                turned_away: 0,
                accepted: VecDeque::new(),
                accept_errors: Vec::new(),
                over: 0,
            },
        }
    }

    /// Listens on loopback.
    pub(super) fn listen(&mut self) -> (Key, SocketAddr) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
            .bind(&SockAddr::from(SocketAddr::from(([127, 0, 0, 1], 0))))
            .unwrap();
        // Room for all that connect at once.
        listener.listen(4096).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let key = Key::new(u32::try_from(self.book.listeners.len()).unwrap(), 7);
        let listener = self.driver.listen(listener.into(), key).unwrap();
        self.book.listeners.push((7, Some(listener)));
        (key, address)
    }

    pub(super) fn set_accepting(&mut self, key: Key, on: bool) {
        let listener = self.book.listeners[key.index()].1.as_mut().unwrap();
        self.driver.set_accepting(listener, on).unwrap();
    }

    pub(super) fn stop_listening(&mut self, key: Key) {
        let listener = self.book.listeners[key.index()].1.take().unwrap();
        self.driver.stop_listening(listener);
    }

    /// A connection that the driver has, and its peer.
    pub(super) fn pair(&mut self) -> (Key, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.set_nodelay(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        if let Some(room) = self.book.send_room {
            SockRef::from(&socket).set_send_buffer_size(room).unwrap();
        }
        (self.book.add(&mut self.driver, socket.into()), peer)
    }

    /// A socket of the driver that connects to `address`.
    pub(super) fn connect(&mut self, address: SocketAddr) -> Key {
        self.try_connect(address).unwrap()
    }

    pub(super) fn try_connect(&mut self, address: SocketAddr) -> io::Result<Key> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let key = self.book.vacant();
        let socket = self
            .driver
            .connect(socket.into(), &SockAddr::from(address), key)?;
        self.book.slots[key.index()].socket = Some(socket);
        Ok(key)
    }

    pub(super) fn turn(&mut self, timeout: Duration) -> usize {
        self.driver.turn(Some(timeout), &mut self.book).unwrap()
    }

    /// Takes turns until `done`.
    ///
    /// # Panics
    /// If that takes too long.
    #[track_caller]
    pub(super) fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < end, "it did not happen");
            self.turn(Duration::from_millis(10));
        }
    }

    /// Takes turns until nothing happens any more.
    pub(super) fn settle(&mut self) {
        while self.turn(Duration::from_millis(5)) > 0 {}
    }

    pub(super) fn seen(&mut self, key: Key) -> &mut Seen {
        &mut self.book.slots[key.index()].seen
    }

    /// Sends `bytes` by the outbox.
    pub(super) fn send(&mut self, key: Key, bytes: &[u8]) -> io::Result<()> {
        let Book { slots, pool, .. } = &mut self.book;
        let slot = &mut slots[key.index()];
        slot.outbox.open(pool).tail().extend_from_slice(bytes);
        self.flush(key)
    }

    pub(super) fn flush(&mut self, key: Key) -> io::Result<()> {
        self.book.flush(&mut self.driver, key)
    }

    /// How many bytes were not taken by the system yet.
    pub(super) fn unsent(&mut self, key: Key) -> usize {
        let slot = &self.book.slots[key.index()];
        slot.outbox.len() + self.driver.in_flight(slot.socket.as_ref().unwrap())
    }

    pub(super) fn set_receiving(&mut self, key: Key, on: bool) {
        let socket = self.book.slots[key.index()].socket.as_mut().unwrap();
        self.driver.set_receiving(socket, on).unwrap();
    }

    pub(super) fn shutdown(&mut self, key: Key) {
        let socket = self.book.slots[key.index()].socket.as_mut().unwrap();
        self.driver.shutdown(socket);
    }

    pub(super) fn close(&mut self, key: Key) {
        self.book.close(&mut self.driver, key);
    }

    pub(super) fn reset(&mut self, key: Key) {
        let socket = self.book.vacate(key);
        self.driver.reset(socket);
    }
}

impl<D: Driver> Book<D> {
    pub(super) fn add(&mut self, driver: &mut D, socket: OwnedFd) -> Key {
        let key = self.vacant();
        let socket = driver.add(socket, key).unwrap();
        self.slots[key.index()].socket = Some(socket);
        key
    }

    fn vacant(&mut self) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                socket: None,
                outbox: Outbox::default(),
                seen: Seen::default(),
                place: Vec::new(),
            });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[index];
        slot.seen = Seen::default();
        slot.outbox = Outbox::default();
        slot.place = Vec::new();
        Key::new(u32::try_from(index).unwrap(), slot.generation)
    }

    fn vacate(&mut self, key: Key) -> D::Socket {
        let slot = &mut self.slots[key.index()];
        assert_eq!(slot.generation, key.generation());
        slot.generation += 1;
        self.free.push(key.index());
        slot.socket.take().unwrap()
    }

    pub(super) fn close(&mut self, driver: &mut D, key: Key) {
        let socket = self.vacate(key);
        driver.close(socket);
    }

    fn slot(&mut self, key: Key) -> &mut Slot<D> {
        let slot = &mut self.slots[key.index()];
        assert_eq!(slot.generation, key.generation(), "an event of a closed socket");
        assert!(slot.socket.is_some(), "an event of a closed socket");
        slot
    }

    /// Tries to send again, as after an event that the system has no reason to give when it fails on purpose.
    pub(super) fn writable_again(&mut self, driver: &mut D, key: Key)
    where
        D: Tested,
    {
        let socket = self.slots[key.index()].socket.as_mut().unwrap();
        driver.pretend_writable(socket);
        let _ = self.flush(driver, key);
    }

    pub(super) fn flush(&mut self, driver: &mut D, key: Key) -> io::Result<()> {
        let slot = &mut self.slots[key.index()];
        driver.send(slot.socket.as_mut().unwrap(), &mut slot.outbox, &mut self.pool)
    }
}

impl<D: Driver> Owner<D> for Book<D> {
    fn socket(&mut self, key: Key) -> Option<&mut D::Socket> {
        let slot = self.slots.get_mut(key.index())?;
        slot.socket
            .as_mut()
            .filter(|_| slot.generation == key.generation())
    }

    fn keys(&mut self) -> Vec<Key> {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(_, slot)| slot.socket.is_some())
            .map(|(index, slot)| Key::new(u32::try_from(index).unwrap(), slot.generation))
            .collect()
    }

    fn listener(&mut self, key: Key) -> Option<&mut D::Listener> {
        let (generation, listener) = self.listeners.get_mut(key.index())?;
        listener.as_mut().filter(|_| *generation == key.generation())
    }

    fn accepted(&mut self, driver: &mut D, listener: Key, socket: OwnedFd) {
        assert!(self.listener(listener).is_some());
        if self.slots.len() - self.free.len() >= self.places {
            self.turned_away += 1;
            return;
        }
        if let Some(room) = self.send_room {
            SockRef::from(&socket).set_send_buffer_size(room).unwrap();
        }
        let key = self.add(driver, socket);
        self.accepted.push_back(key);
    }

    fn accept_failed(&mut self, _: &mut D, _: Key, error: io::Error) {
        self.accept_errors.push(error);
    }

    fn connected(&mut self, _: &mut D, key: Key, result: io::Result<()>) {
        self.slot(key)
            .seen
            .connected
            .push(result.map_err(|error| error.kind()));
    }

    fn receive_in_place<R>(
        &mut self,
        key: Key,
        receive: impl FnOnce(&mut D::Socket, &mut [u8]) -> R,
    ) -> Option<R> {
        let slot = self.slot(key);
        let socket = slot.socket.as_mut().filter(|_| !slot.place.is_empty())?;
        Some(receive(socket, &mut slot.place))
    }

    fn received_in_place(&mut self, driver: &mut D, key: Key, count: usize) {
        let place = std::mem::take(&mut self.slot(key).place);
        self.slot(key).seen.in_place += count;
        self.received(driver, key, &mut place[..count].to_vec());
        // Another length each time.
        if self.answer == Answer::Keep {
            self.slot(key).place = vec![0; place.len() * 3 % 100_003];
        }
    }

    fn received(&mut self, driver: &mut D, key: Key, bytes: &mut [u8]) {
        let answer = self.answer;
        let slot = self.slot(key);
        slot.seen.portions.push(bytes.len());
        match answer {
            Answer::Keep => slot.seen.bytes.extend_from_slice(bytes),
            Answer::Close => self.close(driver, key),
            Answer::Echo => {
                let Self { slots, pool, .. } = self;
                slots[key.index()]
                    .outbox
                    .open(pool)
                    .tail()
                    .extend_from_slice(bytes);
                // A loss is told by an event, too.
                let _ = self.flush(driver, key);
            }
        }
        // They are the owner's to change.
        bytes.fill(0xee);
    }

    fn ended(&mut self, driver: &mut D, key: Key) {
        let slot = self.slot(key);
        slot.seen.ended += 1;
        if self.answer != Answer::Keep {
            self.over += 1;
            self.close(driver, key);
        }
    }

    fn failed(&mut self, driver: &mut D, key: Key, error: io::Error) {
        let slot = self.slot(key);
        slot.seen.failed.push(error.kind());
        if self.answer != Answer::Keep {
            self.over += 1;
            self.close(driver, key);
        }
    }

    fn writable(&mut self, driver: &mut D, key: Key) {
        self.slot(key).seen.writable += 1;
        // A loss is told by an event, too.
        let _ = self.flush(driver, key);
    }
}

/// How many sockets with their peers a test may have that wants very many, beside other such tests.
pub(super) fn crowd() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let descriptors = maximum.map_or(usize::MAX, |maximum| maximum as usize);
    2000.min(descriptors.saturating_sub(1000) / 8)
}

/// Bytes that are told apart by their place.
pub(super) fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 251 + at + seed * 31) as u8).collect()
}

/// Reads `length` bytes in another thread.
pub(super) fn reader(mut peer: TcpStream, length: usize) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = vec![0; length];
        peer.read_exact(&mut bytes).unwrap();
        bytes
    })
}

/// Writes `bytes` in another thread, and keeps the connection open until the handle is dropped.
pub(super) fn writer(mut peer: TcpStream, bytes: Vec<u8>) -> std::thread::JoinHandle<TcpStream> {
    std::thread::spawn(move || {
        peer.write_all(&bytes).unwrap();
        peer
    })
}
