//! What a worker keeps of one connection, from accepted to closed.

use std::time::Instant;

use super::door::Door;
use super::session::{Flags, Open};
use crate::driver::{Driver, Outbox};

/// A connection.
#[derive(Debug)]
pub(super) struct Slot<D: Driver> {
    pub(super) socket: D::Socket,
    /// What waits to be sent.
    pub(super) out: Outbox,
    pub(super) flags: Flags,
    /// Since when the peer has taken nothing of what waits.
    pub(super) stalled: Option<Instant>,
    pub(super) phase: Phase,
}

/// How far a connection is.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are open, and a box would cost them more memory"
)]
pub(super) enum Phase {
    /// Until its request is answered.
    Door(Box<Door>),
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

impl<D: Driver> Slot<D> {
    pub(super) fn new(socket: D::Socket, door: Door) -> Self {
        Self {
            socket,
            out: Outbox::default(),
            flags: Flags::default(),
            stalled: None,
            phase: Phase::Door(Box::new(door)),
        }
    }
}
