//! Pings of the application, and the Pongs that answer them.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sockeye_proto::{SendError, State};

use super::{Session, now, register};
use crate::error::Error;

/// How many Pings of a connection are remembered: as many may be waited for at once.
const MAX_PINGS: usize = 16;

/// Names a Ping that is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PingId(u64);

/// The Pings that were sent and not answered yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pings {
    sent: VecDeque<Ping>,
    next_id: u64,
}

#[derive(Debug)]
struct Ping {
    id: PingId,
    payload: Box<[u8]>,
    /// How many keepalive Pings were sent before it.
    keepalives: u64,
    /// The transport has it when it has this many bytes.
    end: u64,
    /// When the transport had it; until then, when it was queued.
    since: Instant,
    state: Wait,
}

#[derive(Debug)]
enum Wait {
    /// Nobody waits, or nobody any more. It is remembered all the same, because its Pong answers earlier Pings too.
    Unobserved,
    /// Somebody waits.
    Waiting(Option<Waker>),
    /// The round trip, for whoever waits.
    Answered(Duration),
}

impl Pings {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    fn position(&self, id: PingId) -> Option<usize> {
        self.sent.iter().position(|ping| ping.id == id)
    }

    fn is_waited_for(&self, payload: &[u8]) -> bool {
        let is_same = |ping: &Ping| matches!(ping.state, Wait::Waiting(_)) && *ping.payload == *payload;
        self.sent.iter().any(is_same)
    }

    /// Whether somebody waits for any of them.
    pub(super) fn are_waited_for(&self) -> bool {
        self.sent
            .iter()
            .any(|ping| matches!(ping.state, Wait::Waiting(_)))
    }

    /// Makes room for one more, if need be by forgetting the oldest for which nobody waits; gives whether there is any.
    fn make_room(&mut self) -> bool {
        if self.sent.len() < MAX_PINGS {
            return true;
        }
        let unobserved = |ping: &Ping| matches!(ping.state, Wait::Unobserved);
        let oldest = self.sent.iter().position(unobserved);
        oldest.is_some_and(|at| self.sent.remove(at).is_some())
    }

    /// Which Pings, from the front, a Pong with this payload answers.
    ///
    /// RFC 6455 §5.5.3: an endpoint "MAY elect to send a Pong frame for only the most recently processed Ping frame",
    /// so a Pong answers its own Ping and those before it.
    fn answered_by(&self, payload: &[u8], keepalives: u64) -> usize {
        let is_same = |ping: &Ping| *ping.payload == *payload;
        let waited = |ping: &Ping| is_same(ping) && matches!(ping.state, Wait::Waiting(_));
        let own = self.sent.iter().position(waited);
        if let Some(at) = own.or_else(|| self.sent.iter().position(is_same)) {
            return at + 1;
        }
        // The Pong of a keepalive Ping answers what was sent before that.
        let keepalive = payload.try_into().map(u64::from_be_bytes).unwrap_or_default();
        if keepalive > keepalives {
            return 0;
        }
        let earlier = |ping: &&Ping| ping.keepalives < keepalive;
        self.sent.iter().take_while(earlier).count()
    }

    /// Settles what a Pong answers.
    fn pong(&mut self, payload: &[u8], keepalives: u64, now: Instant) {
        let answered = self.answered_by(payload, keepalives);
        for ping in self.sent.iter_mut().take(answered) {
            if let Wait::Waiting(waker) = &mut ping.state {
                if let Some(waker) = waker.take() {
                    waker.wake();
                }
                ping.state = Wait::Answered(now.saturating_duration_since(ping.since));
            }
        }
        let mut at = 0;
        self.sent.retain(|ping| {
            at += 1;
            at > answered || matches!(ping.state, Wait::Answered(_))
        });
    }

    fn wake_all(&mut self) {
        for ping in &mut self.sent {
            if let Wait::Waiting(waker) = &mut ping.state
                && let Some(waker) = waker.take()
            {
                waker.wake();
            }
        }
    }
}

impl Session {
    /// Sends a Ping that nobody waits for.
    pub(crate) fn poll_start_ping(
        &mut self,
        payload: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        std::task::ready!(self.poll_room(cx))?;
        Poll::Ready(self.send_ping(payload, Wait::Unobserved).map(|_| ()))
    }

    /// Sends a Ping whose Pong is waited for; waits while the same Ping, or too many others, are waited for.
    pub(crate) fn poll_ping(&mut self, payload: &[u8], cx: &mut Context<'_>) -> Poll<Result<PingId, Error>> {
        std::task::ready!(self.poll_room(cx))?;
        if !self.hears_pongs() {
            return Poll::Ready(Err(SendError::Closed.into()));
        }
        if let Some(pings) = &mut self.pings
            && (pings.is_waited_for(payload) || !pings.make_room())
        {
            self.wait_to_write(cx);
            return Poll::Pending;
        }
        Poll::Ready(self.send_ping(payload, Wait::Waiting(None)))
    }

    /// Waits for the Pong of a Ping.
    pub(crate) fn poll_pong(&mut self, id: PingId, cx: &mut Context<'_>) -> Poll<Result<Duration, Error>> {
        let hears_pongs = self.hears_pongs();
        let ping = self
            .pings
            .as_mut()
            .and_then(|pings| pings.sent.iter_mut().find(|ping| ping.id == id));
        match ping.map(|ping| &mut ping.state) {
            Some(Wait::Answered(time)) => Poll::Ready(Ok(*time)),
            Some(Wait::Waiting(waker)) if hears_pongs => {
                register(waker, cx);
                Poll::Pending
            }
            _ => Poll::Ready(Err(SendError::Closed.into())),
        }
    }

    /// Whoever waited for a Ping has its time, or has given up.
    pub(crate) fn forget_ping(&mut self, id: PingId) {
        let Some(pings) = &mut self.pings else { return };
        let Some(at) = pings.position(id) else { return };
        match pings.sent[at].state {
            Wait::Answered(_) => {
                pings.sent.remove(at);
            }
            _ => pings.sent[at].state = Wait::Unobserved,
        }
        self.pings_changed();
    }

    fn send_ping(&mut self, payload: &[u8], state: Wait) -> Result<PingId, Error> {
        self.command(|connection, queue| connection.ping(payload, queue))?;
        let (keepalives, end) = (self.connection.keepalive_pings(), self.queued());
        let pings = self.pings.get_or_insert_default();
        let id = PingId(pings.next_id);
        pings.next_id += 1;
        if pings.make_room() {
            pings.sent.push_back(Ping {
                id,
                payload: payload.into(),
                keepalives,
                end,
                since: now(),
                state,
            });
        }
        Ok(id)
    }

    /// Settles the Pings that a Pong answers.
    pub(super) fn pong_received(&mut self, payload: &[u8]) {
        if let Some(pings) = &mut self.pings {
            // Not the time at which the driver's turn began, which may be before the Ping was sent.
            pings.pong(payload, self.connection.keepalive_pings(), now());
            self.pings_changed();
        }
    }

    /// Whether there are Pings that the transport does not have yet.
    pub(super) fn has_pings_to_write(&self) -> bool {
        let is_to_write = |ping: &Ping| ping.end != u64::MAX;
        self.pings
            .as_ref()
            .is_some_and(|pings| pings.sent.iter().any(is_to_write))
    }

    /// Starts the clocks of the Pings that the transport has now, by the write that began at `since`: their Pongs may
    /// be back before that has returned.
    pub(super) fn pings_flushed(&mut self, since: Instant) {
        let flushed = self.flushed;
        if let Some(pings) = &mut self.pings {
            for ping in pings.sent.iter_mut().filter(|ping| ping.end <= flushed) {
                ping.since = since;
                ping.end = u64::MAX;
            }
        }
    }

    /// Tells those who wait that no Pong will come.
    pub(super) fn wake_pings(&mut self) {
        if let Some(pings) = &mut self.pings {
            pings.wake_all();
        }
    }

    /// Whether the peer may still send Pongs.
    fn hears_pongs(&self) -> bool {
        !self.ended && self.peer_close.is_none() && self.connection.state() != State::Closed
    }

    /// Lets those have their turn who wait to send a Ping.
    fn pings_changed(&mut self) {
        if self.pings.as_ref().is_some_and(|pings| pings.sent.is_empty()) {
            // An idle connection owns no buffers.
            self.pings = None;
        }
        self.wake_writers();
    }
}
