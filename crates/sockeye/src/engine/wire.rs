//! What a session asks of its driver in the middle of a callback, whichever driver it is.

use std::io::{self, IoSlice};

use socket2::SockRef;

use super::tls::Tls;
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

    /// How much has left the outbox and was not taken by the system.
    fn in_flight(&self) -> usize;

    fn set_receiving(&mut self, on: bool) -> io::Result<()>;

    fn peer_address(&self) -> io::Result<Address>;
}

impl<W: Wire + ?Sized> Wire for &mut W {
    fn send(&mut self, out: &mut Outbox, pool: &mut OutputPool) -> io::Result<()> {
        (**self).send(out, pool)
    }

    fn send_now(
        &mut self,
        out: &mut Outbox,
        pool: &mut OutputPool,
        payload: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        (**self).send_now(out, pool, payload)
    }

    fn in_flight(&self) -> usize {
        (**self).in_flight()
    }

    fn set_receiving(&mut self, on: bool) -> io::Result<()> {
        (**self).set_receiving(on)
    }

    fn peer_address(&self) -> io::Result<Address> {
        (**self).peer_address()
    }
}

/// A TCP or Unix socket, plain or under TLS.
pub(super) struct Line<'w, D: Driver> {
    pub(super) driver: &'w mut D,
    pub(super) socket: &'w mut D::Socket,
    pub(super) tls: &'w mut Tls,
}

impl<D: Driver> Wire for Line<'_, D> {
    fn send(&mut self, out: &mut Outbox, pool: &mut OutputPool) -> io::Result<()> {
        self.tls.send(self.driver, self.socket, out, pool)
    }

    fn send_now(
        &mut self,
        out: &mut Outbox,
        pool: &mut OutputPool,
        payload: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.tls.send_now(self.driver, self.socket, out, pool, payload)
    }

    fn in_flight(&self) -> usize {
        self.driver.in_flight(self.socket) + self.tls.waiting()
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
