//! One open WebSocket on a worker: its protocol state, its output, and what callbacks do with it.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use sockeye_proto::{
    CloseCode, CloseFrame, Compress, Connection, MessageKind, Prepared, SendError, State, Subprotocol,
};

use super::common::Common;
use super::mailbox::{Identity, SocketHandle};
use super::route::Seat;
use super::socket::Sent;
use super::wire::Wire;
use crate::MessageRef;
use crate::driver::{Key, Outbox, Output};
use crate::hub::Pressure;
use crate::server::Address;
use crate::session::{QueueLimits, TOO_FAR_BEHIND};

/// Output of a callback is given to the system before the callback returns when it is more than this, in bytes.
const MUCH: usize = 64 * 1024;
/// Payloads from this size on are given to the system from where they lie, instead of being copied behind what waits.
const LARGE: usize = 16 * 1024;

/// An open WebSocket, as the worker keeps it in its slot.
#[derive(Debug)]
pub(crate) struct Open {
    pub(super) connection: Connection,
    pub(super) seat: Seat,
    /// What few WebSockets have.
    pub(super) extra: Option<Box<Extra>>,
}

/// What few WebSockets have, or few for long.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub(super) subprotocol: Option<Subprotocol>,
    /// The client's address by the word of a proxy.
    pub(super) peer: Option<Address>,
    /// Terms of its own.
    pub(super) queues: Option<QueueLimits>,
    pub(super) identity: Option<Arc<Identity>>,
    /// Input that came while receiving was paused.
    pub(super) unread: BytesMut,
    /// The Close frame behind which the connection ends.
    pub(super) hang_up: Option<(CloseCode, Box<str>)>,
}

/// What is going on with a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Flags {
    /// The worker will look at the slot at the end of the turn.
    pub(super) is_dirty: bool,
    /// The system took less than it was given, and says when it takes more.
    pub(super) is_full: bool,
    /// The application was told that much waits.
    pub(super) is_behind: bool,
    /// The application wants nothing to be received.
    pub(super) is_paused: bool,
    /// It was paused, and wants what came meanwhile.
    pub(super) resumes: bool,
    /// The connection is to be dropped.
    pub(super) is_aborted: bool,
    /// Nothing that comes is of interest any more, and nothing can be sent.
    pub(super) is_over: bool,
    /// What is seldom asked for.
    pub(super) rare: Rare,
}

/// Flags that share a byte: with one more, a slot would be larger.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Rare(u8);

impl Rare {
    /// The kind of the message whose frames come one by one is text.
    pub(super) const FRAMES_ARE_TEXT: Self = Self(1);
    /// The handler was told that the WebSocket has closed.
    pub(super) const TOLD: Self = Self(1 << 1);
    /// The peer has ended its direction, which is told behind what was kept while receiving was paused.
    pub(super) const ENDED: Self = Self(1 << 2);

    pub(super) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    /// Sets or removes a flag; gives whether it was there.
    pub(super) fn set(&mut self, flag: Self, on: bool) -> bool {
        let had = self.has(flag);
        self.0 = if on { self.0 | flag.0 } else { self.0 & !flag.0 };
        had
    }
}

/// An open WebSocket and what is needed to do something with it, for as long as a callback runs.
pub(crate) struct Lent<'l> {
    pub(super) key: Key,
    pub(super) open: &'l mut Open,
    pub(super) out: &'l mut Outbox,
    pub(super) flags: &'l mut Flags,
    pub(super) queues: &'l QueueLimits,
    pub(super) common: &'l mut Common,
    pub(super) wire: &'l mut dyn Wire,
    /// How many bytes have left the outbox and were not taken by the system yet.
    pub(super) ahead: usize,
}

impl Open {
    pub(super) fn new(connection: Connection, seat: Seat, extra: Extra) -> Self {
        let has_any = extra.subprotocol.is_some() || extra.peer.is_some() || extra.queues.is_some();
        Self {
            connection,
            seat,
            extra: has_any.then(|| Box::new(extra)),
        }
    }

    /// The terms of this WebSocket, where `route` has those of most.
    #[inline]
    pub(super) fn queues<'q>(&'q self, route: &'q QueueLimits) -> &'q QueueLimits {
        let own = self.extra.as_ref().and_then(|extra| extra.queues.as_ref());
        own.unwrap_or(route)
    }

    /// Whether input is kept that the handler has not seen.
    pub(super) fn has_unread(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| !extra.unread.is_empty())
    }
}

/// How much may wait, in bytes.
struct Limits {
    /// From here on a message is refused.
    refused: usize,
    /// Below this there is nothing to do and nothing to tell.
    quiet: usize,
}

impl Limits {
    #[inline]
    fn of(queues: &QueueLimits) -> Self {
        Self {
            refused: queues.send,
            quiet: queues.high_water.min(MUCH),
        }
    }
}

impl Flags {
    /// Whether nothing that comes is to be handed out, for now or for ever.
    #[inline]
    pub(super) const fn is_deaf(self) -> bool {
        self.is_over || self.is_paused
    }

    /// Whether there is more to do than to send what waits.
    #[inline]
    pub(super) const fn wants_care(self) -> bool {
        self.is_over || self.resumes || self.is_behind
    }
}

impl Extra {
    pub(super) fn of(open: &mut Open) -> &mut Self {
        open.extra.get_or_insert_default()
    }
}

impl Lent<'_> {
    /// The same, for a shorter time.
    #[inline]
    pub(super) fn reborrow(&mut self) -> Lent<'_> {
        Lent {
            key: self.key,
            open: self.open,
            out: self.out,
            flags: self.flags,
            queues: self.queues,
            common: self.common,
            wire: self.wire,
            ahead: self.ahead,
        }
    }

    // Sending

    #[inline]
    pub(super) fn send(&mut self, message: MessageRef<'_>, compress: Compress) -> Sent {
        let (kind, payload) = (message.kind(), message.as_bytes());
        self.settle_published();
        if self.flags.is_full && self.may_be_dropped_later() {
            return self.send_later(Prepared::new(message), compress);
        }
        let limits = Limits::of(self.open.queues(self.queues));
        let output = self.out.open(&mut self.common.pool);
        if self.flags.is_over || output.len() + self.ahead >= limits.refused {
            return self.refuse();
        }
        if payload.len() >= LARGE {
            return self.send_large(message, compress);
        }
        let tail = output.tail();
        if let Err(error) = self.open.connection.send_with(message, compress, tail) {
            return self.unsendable(error);
        }
        self.common.tally.sent(kind, 1, payload.len());
        if output.len() + self.ahead < limits.quiet {
            return Sent::Sent;
        }
        self.outcome()
    }

    /// Gives the payload to the system from where it lies; what that does not take is copied.
    #[inline(never)]
    fn send_large(&mut self, message: MessageRef<'_>, compress: Compress) -> Sent {
        let (kind, payload) = (message.kind(), message.as_bytes());
        match self.open.connection.send_header(kind, payload.len(), compress) {
            Ok(None) => {
                let tail = self.out.open(&mut self.common.pool).tail();
                if let Err(error) = self.open.connection.send_with(message, compress, tail) {
                    return self.unsendable(error);
                }
            }
            Ok(Some(header)) => {
                let mut taken = 0;
                if !self.flags.is_full {
                    let parts = [io::IoSlice::new(&header), io::IoSlice::new(payload)];
                    // A failure shows again when the rest is sent.
                    taken = self
                        .wire
                        .send_now(self.out, &mut self.common.pool, &parts)
                        .unwrap_or(0);
                    self.ahead = self.wire.in_flight();
                }
                let sent_of_payload = taken.saturating_sub(header.len());
                if taken < header.len() + payload.len() {
                    let tail = self.out.open(&mut self.common.pool).tail();
                    tail.extend_from_slice(&header[taken.min(header.len())..]);
                    tail.extend_from_slice(&payload[sent_of_payload..]);
                }
            }
            Err(error) => return self.unsendable(error),
        }
        self.queued(kind, payload.len())
    }

    pub(super) fn send_prepared(&mut self, prepared: &Prepared, compress: Compress) -> Sent {
        self.settle_published();
        if self.flags.is_full && self.may_be_dropped_later() {
            return self.send_later(prepared.clone(), compress);
        }
        if self.flags.is_over || self.is_limit_reached() {
            return self.refuse();
        }
        let result = match self.open.connection.prepared(prepared, compress) {
            Ok(Some(frames)) if frames.len() >= LARGE => {
                self.out.open(&mut self.common.pool).push(frames.clone());
                Ok(())
            }
            Ok(Some(frames)) => {
                self.out
                    .open(&mut self.common.pool)
                    .tail()
                    .extend_from_slice(frames);
                Ok(())
            }
            Ok(None) => {
                let tail = self.out.open(&mut self.common.pool).tail();
                self.open.connection.send_prepared(prepared, compress, tail)
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => self.queued(prepared.kind(), prepared.as_bytes().len()),
            Err(error) => self.unsendable(error),
        }
    }

    /// Whether the policy is to drop messages that wait, rather than those that come.
    fn may_be_dropped_later(&self) -> bool {
        Pressure::of(self.queues()).queues()
    }

    /// Lets a message wait until the peer takes more, or messages that come later need its room.
    #[inline(never)]
    fn send_later(&mut self, message: Prepared, compress: Compress) -> Sent {
        if self.flags.is_over {
            return self.refuse();
        }
        let connection = &self.open.connection;
        if connection.state() != State::Open {
            return self.unsendable(SendError::Closed);
        }
        if connection.is_sending_fragments() {
            return self.unsendable(SendError::FragmentInProgress);
        }
        self.flags.is_behind = true;
        self.let_wait(message, compress);
        Sent::Buffered
    }

    pub(super) fn send_fragment(&mut self, fragment: MessageRef<'_>, fin: bool) -> Sent {
        self.settle_published();
        // A fragment cannot be left out: the message would be another one.
        let is_refused = self.is_limit_reached() && !self.open.connection.is_sending_fragments();
        if self.flags.is_over || is_refused {
            return self.refuse();
        }
        let tail = self.out.open(&mut self.common.pool).tail();
        let connection = &mut self.open.connection;
        match connection.send_fragment(fragment, fin, Compress::Auto, tail) {
            Ok(()) => {
                let (kind, len) = (fragment.kind(), fragment.as_bytes().len());
                self.common.tally.sent(kind, u64::from(fin), len);
                self.outcome()
            }
            Err(error) => self.unsendable(error),
        }
    }

    pub(super) fn control(
        &mut self,
        write: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        if self.flags.is_over {
            return Err(SendError::Closed);
        }
        self.settle_published();
        let tail = self.out.open(&mut self.common.pool).tail();
        let written = write(&mut self.open.connection, tail);
        self.out.settle(&mut self.common.pool);
        written
    }

    #[inline]
    fn is_limit_reached(&self) -> bool {
        self.buffered_amount() >= self.queues().send
    }

    #[inline]
    fn queued(&mut self, kind: MessageKind, len: usize) -> Sent {
        self.common.tally.sent(kind, 1, len);
        self.outcome()
    }

    /// Has much leave at once, and tells whether the peer is behind.
    #[inline]
    fn outcome(&mut self) -> Sent {
        if self.out.len() >= MUCH {
            self.flush_early();
        }
        if self.buffered_amount() < self.queues().high_water {
            return Sent::Sent;
        }
        self.flags.is_behind = true;
        Sent::Buffered
    }

    #[inline(never)]
    fn flush_early(&mut self) {
        if !self.flags.is_full {
            // A failure shows again when the callback has returned.
            let sent = self.wire.send(self.out, &mut self.common.pool);
            self.ahead = self.wire.in_flight();
            self.flags.is_full = sent.is_ok() && !self.out.is_empty();
        }
    }

    #[inline(never)]
    fn refuse(&mut self) -> Sent {
        self.out.settle(&mut self.common.pool);
        if self.flags.is_over {
            return Sent::Dropped;
        }
        self.common.tally.dropped();
        self.flags.is_behind = true;
        if Pressure::of(self.queues()).closes() && self.open.connection.state() == State::Open {
            let frame = CloseFrame::truncated(CloseCode::POLICY_VIOLATION, TOO_FAR_BEHIND);
            self.hang_up(frame);
        }
        Sent::Dropped
    }

    #[inline(never)]
    fn unsendable(&mut self, error: SendError) -> Sent {
        self.out.settle(&mut self.common.pool);
        if error != SendError::Closed {
            tracing::debug!(%error, "a message could not be sent");
        }
        Sent::Dropped
    }

    /// The terms of this WebSocket.
    #[inline]
    fn queues(&self) -> &QueueLimits {
        self.open.queues(self.queues)
    }

    // Closing

    pub(super) fn close(&mut self, frame: Option<CloseFrame<'_>>) {
        if self.flags.is_over {
            return;
        }
        self.settle_published();
        self.release_waiting();
        let tail = self.out.open(&mut self.common.pool).tail();
        self.open.connection.close(frame, self.common.now, tail);
        self.out.settle(&mut self.common.pool);
        // Messages that were on the way, and the peer's answer, are to be seen.
        self.resume();
    }

    pub(super) fn hang_up(&mut self, frame: CloseFrame<'_>) {
        if self.flags.is_over {
            return;
        }
        self.settle_published();
        self.release_waiting();
        let out = self.out.open(&mut self.common.pool);
        hang_up(self.open, self.flags, out, frame, self.common.now);
    }

    pub(super) fn abort(&mut self) {
        self.flags.is_aborted = true;
        self.flags.is_over = true;
    }

    /// Appends the control frames that the protocol owes, unless the peer takes nothing.
    pub(super) fn write_owed(&mut self) {
        let connection = &mut self.open.connection;
        // A Close frame is the last one, so that it cannot pile up.
        let may_write = !self.flags.is_full || connection.state() != State::Open;
        if may_write && connection.has_output() {
            connection.poll_output(self.out.open(&mut self.common.pool).tail());
        }
    }

    // Receiving

    pub(super) fn pause(&mut self) -> io::Result<()> {
        if self.open.connection.state() != State::Open || self.flags.is_paused {
            return Ok(());
        }
        self.wire.set_receiving(false)?;
        self.flags.is_paused = true;
        self.flags.resumes = false;
        self.open.connection.handle_paused();
        Ok(())
    }

    pub(super) fn resume(&mut self) {
        if std::mem::take(&mut self.flags.is_paused) {
            self.open.connection.handle_resumed(self.common.now);
            // What waits is read first, when this callback has returned.
            self.flags.resumes = true;
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.flags.is_paused
    }

    /// Keeps what came while receiving is paused. What was kept before stays where it is: a handler that pauses at each
    /// message would have all the rest copied each time.
    #[inline(never)]
    pub(super) fn keep_unread(&mut self, bytes: &[u8]) {
        if self.flags.is_over || bytes.is_empty() {
            return;
        }
        match &mut self.common.rest {
            Some(rest) => *rest = bytes.len(),
            None => Extra::of(self.open).unread.extend_from_slice(bytes),
        }
    }

    // Facts

    #[inline]
    pub(super) fn buffered_amount(&self) -> usize {
        self.out.len() + self.ahead
    }

    pub(super) fn state(&self) -> State {
        if self.flags.is_over {
            State::Closed
        } else {
            self.open.connection.state()
        }
    }

    pub(super) fn subprotocol(&self) -> Option<&str> {
        let extra = self.open.extra.as_ref()?;
        extra.subprotocol.as_ref().map(|name| name.as_str())
    }

    pub(super) fn is_compressing(&self) -> bool {
        self.open.connection.is_compressing()
    }

    pub(super) fn peer_address(&self) -> io::Result<Address> {
        let told = self.open.extra.as_ref().and_then(|extra| extra.peer.clone());
        told.map_or_else(|| self.wire.peer_address(), Ok)
    }

    pub(super) fn handle(&mut self) -> SocketHandle {
        let Common { mailbox, hub, .. } = &*self.common;
        let most = self.queues().send;
        let new = || {
            let (mailbox, hub) = (Arc::clone(mailbox), hub.shared());
            Arc::new(Identity::new(mailbox, hub, self.key, most))
        };
        let identity = Extra::of(self.open).identity.get_or_insert_with(new);
        SocketHandle::new(Arc::clone(identity))
    }
}

/// Ends a WebSocket behind this Close frame.
pub(super) fn hang_up(
    open: &mut Open,
    flags: &mut Flags,
    out: &mut Output,
    frame: CloseFrame<'_>,
    now: Instant,
) {
    flags.is_over = true;
    open.connection.close(Some(frame), now, out.tail());
    Extra::of(open)
        .hang_up
        .get_or_insert_with(|| (frame.code(), frame.reason().into()));
}

/// When to look at the clock of this connection next. A message that begins meanwhile arms nothing, so this is never
/// further away than the time that one may take.
pub(super) fn deadline(connection: &Connection, now: Instant) -> Option<Instant> {
    let horizon = connection
        .config()
        .message_timeout
        .and_then(|time| now.checked_add(time));
    [connection.poll_timeout(), horizon].into_iter().flatten().min()
}
