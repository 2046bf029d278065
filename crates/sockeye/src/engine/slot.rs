//! What a worker keeps of one connection, from accepted to closed.

use std::io;
use std::time::Instant;

use super::door::Door;
use super::piped::Piped;
use super::session::{Flags, Open};
use super::tls::Tls;
use super::wheel::Stamp;
use crate::driver::{Driver, Outbox, OutputPool};
use crate::server::Place;

/// A connection.
#[derive(Debug)]
pub(super) struct Slot<D: Driver> {
    pub(super) socket: D::Socket,
    pub(super) tls: Tls,
    /// What waits to be sent.
    pub(super) out: Outbox,
    pub(super) flags: Flags,
    /// Since when the peer has taken nothing of what waits.
    pub(super) stalled: Option<Stamp>,
    /// In the counts of the server; none while a task sees to it, who has it then.
    pub(super) place: Option<Place>,
    pub(super) phase: Phase,
}

/// How far a connection is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Until its request is answered.
    Door(Box<Door>),
    /// A task sees to it.
    Piped(Box<Piped>),
    /// A WebSocket.
    Open(Open),
    /// Nothing more is heard of it, but there may be something to send.
    Closing(Closing),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    /// When the connection is dropped, whatever is left to do.
    pub(super) deadline: Instant,
    /// The peer is to end the connection first: dropping a socket with unread input resets it, and what was sent
    /// last may never be seen.
    pub(super) lingers: bool,
    /// The sending direction has been ended.
    pub(super) has_shut_down: bool,
}

impl Phase {
    /// What a slot has for the moment in which it is taken from one phase to the next.
    pub(super) fn gone() -> Self {
        Self::Closing(Closing {
            deadline: Instant::now(),
            lingers: false,
            has_shut_down: true,
        })
    }
}

impl Phase {
    /// Whether a header of the PROXY protocol is to come before anything else.
    #[inline]
    pub(super) fn awaits_introduction(&self) -> bool {
        matches!(self, Self::Door(door) if door.introduction.is_some())
    }
}

impl<D: Driver> Slot<D> {
    pub(super) fn new(socket: D::Socket, tls: Tls, place: Option<Place>, phase: Phase) -> Self {
        Self {
            socket,
            tls,
            out: Outbox::default(),
            flags: Flags::default(),
            stalled: None,
            place,
            phase,
        }
    }

    /// Gives the driver what waits, or as much as it takes now.
    #[inline]
    pub(super) fn send(&mut self, driver: &mut D, pool: &mut OutputPool) -> io::Result<()> {
        self.tls.send(driver, &mut self.socket, &mut self.out, pool)
    }

    /// Whether something waits that the driver has not taken.
    #[inline]
    pub(super) fn has_output(&self) -> bool {
        !self.out.is_empty() || self.tls.waiting() > 0
    }

    /// How many bytes wait that the driver has not taken.
    #[inline]
    pub(super) fn waiting(&self) -> usize {
        self.out.len() + self.tls.waiting()
    }

    /// Throws away what waits.
    pub(super) fn discard(&mut self, pool: &mut OutputPool) {
        self.out.discard(pool);
        self.tls.discard(pool);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Readiness;

    #[test]
    fn a_connection_takes_as_much_with_each_driver() {
        let size = if cfg!(feature = "tls") { 200 } else { 192 };
        assert_eq!(size_of::<Slot<Readiness>>(), size);
        #[cfg(target_os = "linux")]
        assert_eq!(size_of::<Slot<crate::driver::Uring>>(), size);
    }
}
