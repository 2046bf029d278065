//! What a WebSocket and a message cost: memory, allocations, system calls.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use allocation_counter::measure;

use super::super::common::Common;
use super::super::mailbox::Mailbox;
use super::super::owner::Connections;
use super::workers::{Echo, on_each_driver};
use super::*;
use crate::driver::{Counters, Driver};
use crate::hub::{Hub, HubConfig, Local};
use crate::metrics::SessionMetrics;
use crate::server::{Address, Reception};

on_each_driver!(
    small_messages_cost_no_allocation,
    an_idle_connection_takes_no_more_than_240_bytes,
);

/// A worker without its thread.
pub(super) struct Floor<D: Driver> {
    pub(super) driver: D,
    pub(super) connections: Connections<D>,
    listener: TcpListener,
}

impl<D: Driver> Floor<D> {
    pub(super) fn new(make: fn() -> io::Result<D>) -> Self {
        Self::with(make, Settings::default())
    }

    pub(super) fn with(make: fn() -> io::Result<D>, settings: Settings) -> Self {
        let hub = Local::new(Hub::new(HubConfig::default(), 1).unwrap(), 0);
        let common = Common::new(Mailbox::new(), Arc::new(SessionMetrics::new()), hub);
        Self {
            driver: make().unwrap(),
            connections: Connections::new(common, Reception::of(server(Echo, settings))),
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    /// A connection that was not accepted yet.
    pub(super) fn peer(&self) -> TcpStream {
        let peer = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        peer.set_nodelay(true).unwrap();
        peer.set_nonblocking(true).unwrap();
        peer
    }

    fn accept(&mut self) {
        let (socket, _) = self.listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        self.connections.tick();
        let local = Address::Unix(None);
        self.connections.let_in(&mut self.driver, socket.into(), &local);
    }

    /// Takes turns until the peer has so many bytes.
    pub(super) fn read(&mut self, peer: &mut TcpStream, into: &mut [u8]) {
        let mut filled = 0;
        while filled < into.len() {
            match peer.read(&mut into[filled..]) {
                Ok(0) => panic!("closed"),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.turn(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(super) fn turn(&mut self) {
        self.connections.turn_begins();
        self.driver.turn(Some(millis(1)), &mut self.connections).unwrap();
        self.connections.turn_ends(&mut self.driver);
    }

    /// Sends a message and takes its echo.
    fn echo(&mut self, peer: &mut TcpStream, frame: &[u8], answer: &mut [u8]) {
        peer.write_all(frame).unwrap();
        self.read(peer, answer);
    }

    pub(super) fn open(&mut self, peer: &mut TcpStream) {
        self.accept();
        peer.write_all(REQUEST).unwrap();
        let mut response = [0; 129];
        self.read(peer, &mut response);
        assert!(response.ends_with(b"\r\n\r\n"));
    }
}

fn small_messages_cost_no_allocation<D: Driver + 'static>(make: fn() -> io::Result<D>) {
    let mut floor = Floor::new(make);
    let mut peer = floor.peer();
    floor.open(&mut peer);
    let frames = [1, 20, 125, 126, 1000].map(|len| binary(&vec![7; len]));
    let frames = [&frames[..], &[frame(0x82, "no answer is longer".as_bytes())]].concat();
    let mut answer = [0; 1100];
    let mut echo_all = |floor: &mut Floor<D>, count| {
        for _ in 0..count {
            for frame in &frames {
                floor.echo(&mut peer, frame, &mut answer[..frame.len() - 4]);
            }
        }
    };
    echo_all(&mut floor, 10);
    let cost = measure(|| echo_all(&mut floor, 100));
    assert_eq!(cost.count_total, 0, "{cost:?}");
}

fn an_idle_connection_takes_no_more_than_240_bytes<D: Driver + 'static>(make: fn() -> io::Result<D>) {
    const COUNT: usize = 960;
    let mut floor = Floor::new(make);
    // What there is one of for all of them.
    let mut first = floor.peer();
    floor.open(&mut first);
    let frame = binary(&[7; 20]);
    let mut answer = [0; 22];
    floor.echo(&mut first, &frame, &mut answer);
    let mut peers = Vec::with_capacity(COUNT);
    let cost = measure(|| {
        for _ in 0..COUNT {
            let mut peer = floor.peer();
            floor.open(&mut peer);
            floor.echo(&mut peer, &frame, &mut answer);
            peers.push(peer);
        }
    });
    let each = cost.bytes_current as usize / COUNT;
    assert!(each <= 240, "{each} bytes");
}

fn spent(before: Counters, after: Counters) -> (u64, u64, u64) {
    (
        after.receives - before.receives,
        after.sends - before.sends,
        after.waits - before.waits,
    )
}

#[test]
fn a_small_message_is_one_receive_and_one_send() {
    let mut floor = Floor::new(crate::driver::Readiness::new);
    let mut peer = floor.peer();
    floor.open(&mut peer);
    let frame = binary(&[7; 20]);
    let mut answer = [0; 22];
    floor.echo(&mut peer, &frame, &mut answer);
    let before = floor.driver.counters();
    for _ in 0..100 {
        floor.echo(&mut peer, &frame, &mut answer);
    }
    let (receives, sends, waits) = spent(before, floor.driver.counters());
    assert_eq!((receives, sends), (100, 100));
    assert!(waits <= 200, "{waits}");

    // Sixteen at once cost no more than one.
    let before = floor.driver.counters();
    let frames = frame.repeat(16);
    for _ in 0..100 {
        floor.echo(&mut peer, &frames, &mut [0; 22 * 16]);
    }
    let (receives, sends, _) = spent(before, floor.driver.counters());
    assert_eq!((receives, sends), (100, 100));
}

#[cfg(target_os = "linux")]
#[test]
fn with_io_uring_a_turn_of_many_sockets_is_one_call() {
    if crate::driver::DriverKind::Uring.resolve().is_err() {
        return;
    }
    let mut floor = Floor::new(crate::driver::Uring::new);
    let mut peers: Vec<_> = (0..50).map(|_| floor.peer()).collect();
    peers.iter_mut().for_each(|peer| floor.open(peer));
    let frame = binary(&[7; 20]);
    let before = floor.driver.counters();
    for _ in 0..100 {
        for peer in &mut peers {
            peer.write_all(&frame).unwrap();
        }
        for peer in &mut peers {
            floor.read(peer, &mut [0; 22]);
        }
    }
    let (receives, sends, waits) = spent(before, floor.driver.counters());
    assert_eq!((receives, sends), (0, 0));
    assert!(waits <= 1000, "{waits} calls for 5000 messages");
}

#[test]
fn a_request_takes_its_memory_along_when_it_is_answered() {
    let mut floor = Floor::new(crate::driver::Readiness::new);
    let mut peers: Vec<_> = (0..100).map(|_| floor.peer()).collect();
    let cost = measure(|| {
        for peer in &mut peers {
            floor.open(peer);
        }
        for peer in &mut peers {
            peer.set_nonblocking(false).unwrap();
            peer.write_all(&close(1000, "")).unwrap();
            floor.turn();
        }
        while floor.connections.slots.len() > 0 {
            floor.turn();
        }
    });
    // The slots of two chunks, and buffers for all, stay.
    assert!(cost.bytes_current < 100_000, "{cost:?}");
}
