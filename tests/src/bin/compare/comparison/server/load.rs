//! The load: many connections, each with a window of messages on the way, driven by one thread.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::wire::{self, PATIENCE, Traffic};
use crate::comparison::kind::{self, Kind};

/// How much is read at once, in bytes: more than a window, so that one read is enough.
const READ_SIZE: usize = 256 * 1024;

/// An echo of one kind, size and window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    kind: Kind,
    payload_len: usize,
    /// How many messages each connection has on the way.
    window: usize,
}

impl Scenario {
    pub(super) const fn new(kind: Kind, payload_len: usize, window: usize) -> Self {
        Self {
            kind,
            payload_len,
            window,
        }
    }

    pub(super) fn name(&self) -> String {
        let size = kind::size(self.payload_len);
        format!("{size} {}, window {}", self.kind, self.window)
    }
}

/// The connections of one scenario to one server.
#[derive(Debug)]
pub(super) struct Load {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    traffic: Traffic,
    buffer: Vec<u8>,
    /// Whether a reply is followed by a new request.
    refilling: bool,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// Where in the cycle of requests the next byte to write is, and how many bytes may be written.
    request_at: usize,
    writable: usize,
    /// Where in the cycle of replies the next byte to read is, and how many bytes are due.
    reply_at: usize,
    due: usize,
}

impl Load {
    /// Opens the connections; nothing is sent yet.
    pub(super) fn open(address: SocketAddr, scenario: Scenario, connections: usize) -> Result<Self> {
        let poll = Poll::new()?;
        let traffic = Traffic::new(scenario.kind, scenario.payload_len, scenario.window);
        let connections = (0..connections)
            .map(|n| {
                let stream = wire::open(address, n)?;
                stream.set_nonblocking(true)?;
                let mut stream = TcpStream::from_std(stream);
                let interest = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut stream, Token(n), interest)?;
                Ok(Connection {
                    stream,
                    request_at: 0,
                    writable: scenario.window * traffic.request_len,
                    reply_at: 0,
                    due: scenario.window * traffic.reply_len,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            connections,
            traffic,
            buffer: vec![0; READ_SIZE],
            refilling: true,
        })
    }

    /// Exchanges messages for a while; gives how many came back, and how long it took.
    pub(super) fn run_for(&mut self, duration: Duration) -> Result<(u64, Duration)> {
        let start = Instant::now();
        let mut messages = 0;
        while start.elapsed() < duration {
            messages += self.turn()?;
        }
        Ok((messages, start.elapsed()))
    }

    /// Waits for what is still on the way.
    pub(super) fn finish(mut self) -> Result<()> {
        self.refilling = false;
        while self.connections.iter().any(|connection| connection.due > 0) {
            self.turn()?;
        }
        Ok(())
    }

    /// Serves the sockets that are ready; gives how many messages came back.
    fn turn(&mut self) -> Result<u64> {
        self.poll.poll(&mut self.events, Some(PATIENCE))?;
        ensure!(!self.events.is_empty(), "nothing came back for {PATIENCE:?}");
        let mut messages = 0;
        for event in &self.events {
            let connection = &mut self.connections[event.token().0];
            if event.is_readable() {
                messages += connection.read(&self.traffic, &mut self.buffer, self.refilling)?;
            }
            connection.write(&self.traffic)?;
        }
        Ok(messages)
    }
}

impl Connection {
    /// Reads what is there and checks it; gives how many messages were completed.
    fn read(&mut self, traffic: &Traffic, buffer: &mut [u8], refilling: bool) -> Result<u64> {
        let mut messages = 0;
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => bail!("the server ended the connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("read"),
            };
            messages += self.check(traffic, &buffer[..read], refilling)?;
            // epoll(7): a short read means that there is nothing more to read.
            if read < buffer.len() {
                break;
            }
        }
        Ok(messages)
    }

    /// Compares received bytes with the replies that are due, byte by byte.
    fn check(&mut self, traffic: &Traffic, mut received: &[u8], refilling: bool) -> Result<u64> {
        ensure!(received.len() <= self.due, "more came back than was sent");
        self.due -= received.len();
        let mut messages = 0;
        while !received.is_empty() {
            let take = received.len().min(traffic.replies.len() - self.reply_at);
            let (now, later) = received.split_at(take);
            ensure!(
                now == &traffic.replies[self.reply_at..self.reply_at + take],
                "something else came back than was sent: {}…",
                now[..take.min(40)].escape_ascii()
            );
            let end = self.reply_at + take;
            messages += end / traffic.reply_len - self.reply_at / traffic.reply_len;
            self.reply_at = end % traffic.replies.len();
            received = later;
        }
        if refilling {
            self.writable += messages * traffic.request_len;
            self.due += messages * traffic.reply_len;
        }
        Ok(messages as u64)
    }

    fn write(&mut self, traffic: &Traffic) -> Result<()> {
        while self.writable > 0 {
            let end = (self.request_at + self.writable).min(traffic.requests.len());
            match self.stream.write(&traffic.requests[self.request_at..end]) {
                Ok(written) => {
                    self.writable -= written;
                    self.request_at = (self.request_at + written) % traffic.cycle_len();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("write"),
            }
        }
        Ok(())
    }
}
