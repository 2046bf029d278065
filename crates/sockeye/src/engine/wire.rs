//! What a session asks of its driver in the middle of a callback, whichever driver it is.

use std::io::{self, IoSlice};

use socket2::SockRef;

use crate::driver::{Driver, Outbox, OutputPool};
use crate::server::Address;

/// A driver and one of its sockets. Small messages never come here.
pub(super) trait Wire {
    fn send(&mut self, out: &mut Outbox, pool: &mut OutputPool) -> io::Result<()>;

    fn send_now(
        &mut self,
        out: &mut Outbox,
        pool: &mut OutputPool,
        payload: &[IoSlice<'_>],
    ) -> io::Result<usize>;

    /// Whether [`send_now`](Self::send_now) may be used: what is sent needs no work.
    fn takes_payloads(&self) -> bool;

    fn in_flight(&self) -> usize;

    fn set_receiving(&mut self, on: bool) -> io::Result<()>;

    fn peer_address(&self) -> io::Result<Address>;
}

/// A plain TCP or Unix socket.
pub(super) struct Plain<'w, D: Driver> {
    pub(super) driver: &'w mut D,
    pub(super) socket: &'w mut D::Socket,
}

impl<D: Driver> Wire for Plain<'_, D> {
    fn send(&mut self, out: &mut Outbox, pool: &mut OutputPool) -> io::Result<()> {
        self.driver.send(self.socket, out, pool)
    }

    fn send_now(
        &mut self,
        out: &mut Outbox,
        pool: &mut OutputPool,
        payload: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.driver.send_now(self.socket, out, pool, payload)
    }

    fn takes_payloads(&self) -> bool {
        true
    }

    fn in_flight(&self) -> usize {
        self.driver.in_flight(self.socket)
    }

    fn set_receiving(&mut self, on: bool) -> io::Result<()> {
        self.driver.set_receiving(self.socket, on)
    }

    fn peer_address(&self) -> io::Result<Address> {
        let descriptor = self.driver.descriptor(self.socket);
        let address = SockRef::from(&descriptor).peer_addr()?;
        Ok(match address.as_socket() {
            Some(address) => Address::Tcp(address),
            None => Address::Unix(address.as_pathname().map(Into::into)),
        })
    }
}
