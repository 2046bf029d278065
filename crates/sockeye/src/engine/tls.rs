//! TLS between a connection and its driver. Most of what is here is nothing at all when the connection is plain.

use std::io::{self, IoSlice};

use crate::driver::{Driver, Outbox, OutputPool};
#[cfg(feature = "tls")]
use {
    super::news::News,
    super::owner::Connections,
    super::slot::Phase,
    crate::driver::Key,
    crate::error::Kind,
    crate::tls::session::{End, Received, TlsFailure, TlsSession},
    std::collections::VecDeque,
};

/// The TLS of a connection, if it has any.
#[derive(Debug, Default)]
pub(super) struct Tls {
    #[cfg(feature = "tls")]
    secure: Option<Box<Secure>>,
}

/// The handshakes of a worker. Answering a hello takes as long as hundreds of messages, so that only a few are
/// answered in a turn when many come at once.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    /// How many were answered in this turn, if only by an alert.
    #[cfg(feature = "tls")]
    answered: u8,
    /// Those whose hello has come.
    #[cfg(feature = "tls")]
    waiting: VecDeque<Key>,
}

impl Handshakes {
    /// Whether nobody waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.waiting.is_empty();
        #[cfg(not(feature = "tls"))]
        true
    }
}

#[cfg(feature = "tls")]
impl Handshakes {
    /// How many hellos are answered in a turn.
    const IN_A_TURN: u8 = 4;

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether one more may be answered at once.
    fn is_free(&self) -> bool {
        self.answered < Self::IN_A_TURN && self.waiting.is_empty()
    }

    /// The next one to answer in this turn.
    fn next(&mut self) -> Option<Key> {
        if self.answered >= Self::IN_A_TURN {
            return None;
        }
        self.waiting.pop_front()
    }
}

/// A connection under TLS.
#[cfg(feature = "tls")]
#[derive(Debug)]
struct Secure {
    session: TlsSession,
    /// Records that the driver has not taken yet. What waits as plaintext comes behind them.
    sealed: Outbox,
    /// The peer is to be told that nothing comes behind what waits.
    closes: bool,
}

#[cfg(feature = "tls")]
impl Secure {
    /// How much plaintext is sealed before the driver is asked to take it, in bytes: what waits for a slow peer is better
    /// kept once than twice.
    const AT_ONCE: usize = 256 * 1024;

    /// Seals and sends until the driver takes no more.
    fn send<D: Driver>(
        &mut self,
        driver: &mut D,
        socket: &mut D::Socket,
        out: &mut Outbox,
        pool: &mut OutputPool,
    ) -> io::Result<()> {
        loop {
            if self.sealed.is_empty() {
                self.seal(out, pool)?;
            }
            if self.sealed.is_empty() {
                return Ok(());
            }
            driver.send(socket, &mut self.sealed, pool)?;
            if !self.sealed.is_empty() || out.is_empty() || driver.in_flight(socket) > 0 {
                return Ok(());
            }
        }
    }

    /// Seals what waits as plaintext, or a part of it.
    fn seal(&mut self, out: &mut Outbox, pool: &mut OutputPool) -> io::Result<()> {
        /// More pieces than this begin a new record.
        const PIECES: usize = 16;

        let records = self.sealed.open(pool).tail();
        let mut sealed = 0;
        while let Some(output) = out.get_mut()
            && sealed < Self::AT_ONCE
        {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let pieces = output.slices(&mut slices);
            let taken = self
                .session
                .seal(pieces, Self::AT_ONCE - sealed, records)
                .map_err(io::Error::other)?;
            output.advance(taken);
            sealed += taken;
            if taken == 0 {
                break;
            }
        }
        if self.closes && out.is_empty() {
            self.session.close(records);
        }
        out.settle(pool);
        self.sealed.settle(pool);
        Ok(())
    }

    /// Seals these pieces behind everything else, and sends them; gives how much was sealed. It is nothing as long as
    /// the peer is behind.
    fn send_now<D: Driver>(
        &mut self,
        driver: &mut D,
        socket: &mut D::Socket,
        out: &mut Outbox,
        pool: &mut OutputPool,
        pieces: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.send(driver, socket, out, pool)?;
        if !out.is_empty() || !self.sealed.is_empty() {
            return Ok(0);
        }
        let records = self.sealed.open(pool).tail();
        let taken = self
            .session
            .seal(pieces, Self::AT_ONCE, records)
            .map_err(io::Error::other)?;
        self.sealed.settle(pool);
        self.send(driver, socket, out, pool)?;
        Ok(taken)
    }
}

impl Tls {
    /// None.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// A session that waits for the client's hello.
    #[cfg(feature = "tls")]
    pub(super) fn new(config: &std::sync::Arc<rustls::ServerConfig>) -> Result<Self, rustls::Error> {
        let secure = Secure {
            session: TlsSession::new(config)?,
            sealed: Outbox::default(),
            closes: false,
        };
        Ok(Self {
            secure: Some(Box::new(secure)),
        })
    }

    /// Whether bytes are what they are.
    #[inline]
    pub(super) fn is_none(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.secure.is_none();
        #[cfg(not(feature = "tls"))]
        true
    }

    /// Takes what was received. `workspace` lends memory.
    #[cfg(feature = "tls")]
    fn receive<'b>(
        &mut self,
        bytes: &'b mut [u8],
        workspace: &'b mut Vec<u8>,
        pool: &mut OutputPool,
    ) -> Received<'b> {
        let Some(secure) = &mut self.secure else {
            return Received {
                plain: bytes,
                ..Received::default()
            };
        };
        let records = secure.sealed.open(pool).tail();
        let received = secure.session.receive(bytes, workspace, records);
        secure.sealed.settle(pool);
        received
    }

    /// Whether the peer was told that nothing comes any more.
    #[cfg(feature = "tls")]
    fn is_closed(&self) -> bool {
        let secure = self.secure.as_ref();
        secure.is_some_and(|secure| secure.session.is_closed())
    }

    #[cfg(feature = "tls")]
    fn is_costly(&self) -> bool {
        let secure = self.secure.as_ref();
        secure.is_some_and(|secure| secure.session.is_costly())
    }

    #[cfg(feature = "tls")]
    fn postpone(&mut self, bytes: &[u8]) -> bool {
        let secure = self.secure.as_mut();
        secure.is_some_and(|secure| secure.session.postpone(bytes))
    }

    /// Whether an end of the connection is not what the peer announced.
    pub(super) fn is_cut_off(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(secure) = &self.secure {
            return secure.session.ended().is_err();
        }
        false
    }

    /// Gives the driver what waits in the outbox, or as much as it takes now, as [`Driver::send`] does.
    #[inline]
    pub(super) fn send<D: Driver>(
        &mut self,
        driver: &mut D,
        socket: &mut D::Socket,
        out: &mut Outbox,
        pool: &mut OutputPool,
    ) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Some(secure) = &mut self.secure {
            return secure.send(driver, socket, out, pool);
        }
        driver.send(socket, out, pool)
    }

    /// Sends pieces from where they lie, as [`Driver::send_now`] does.
    pub(super) fn send_now<D: Driver>(
        &mut self,
        driver: &mut D,
        socket: &mut D::Socket,
        out: &mut Outbox,
        pool: &mut OutputPool,
        pieces: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(secure) = &mut self.secure {
            return secure.send_now(driver, socket, out, pool, pieces);
        }
        driver.send_now(socket, out, pool, pieces)
    }

    /// How many bytes wait here, behind the outbox.
    #[inline]
    pub(super) fn waiting(&self) -> usize {
        #[cfg(feature = "tls")]
        if let Some(secure) = &self.secure {
            return secure.sealed.len();
        }
        0
    }

    /// Has the peer told, behind what waits now, that nothing comes any more. It goes with the next [`send`](Self::send).
    pub(super) fn close(&mut self) {
        #[cfg(feature = "tls")]
        if let Some(secure) = &mut self.secure {
            secure.closes = true;
        }
    }

    /// Throws away what waits here.
    pub(super) fn discard(&mut self, pool: &mut OutputPool) {
        #[cfg(feature = "tls")]
        if let Some(secure) = &mut self.secure {
            secure.sealed.discard(pool);
        }
        #[cfg(not(feature = "tls"))]
        let _ = pool;
    }
}

#[cfg(feature = "tls")]
impl<D: Driver> Connections<D> {
    /// Goes on with what a connection brought under TLS.
    pub(super) fn records_came(&mut self, driver: &mut D, key: Key, bytes: &mut [u8]) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let handshakes = &mut self.handshakes;
        if slot.tls.is_costly() && !handshakes.is_free() {
            if slot.tls.postpone(bytes) {
                handshakes.waiting.push_back(key);
                self.forget_the_gone();
            }
            return;
        }
        self.open_records(driver, key, bytes);
    }

    fn open_records(&mut self, driver: &mut D, key: Key, bytes: &mut [u8]) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        // Everything is said, and nobody listens any more.
        if matches!(slot.phase, Phase::Closing(_)) && slot.tls.is_closed() {
            return;
        }
        let was_costly = slot.tls.is_costly();
        let mut plaintext = std::mem::take(&mut self.plaintext);
        let received = slot.tls.receive(bytes, &mut plaintext, &mut self.common.pool);
        // A part of a hello costs nothing: who sends one byte after the other takes no answer from others.
        if was_costly && !slot.tls.is_costly() {
            self.handshakes.answered += 1;
        }
        if let Some(info) = received.opened
            && let Phase::Door(door) = &mut slot.phase
        {
            door.secured(*info);
            self.wheel.arm(key.index(), door.deadline());
        }
        // TLS has words of its own in the handshake, and when it fails.
        if slot.tls.waiting() > 0 && !slot.flags.is_full {
            self.flush(driver, key);
        }
        if !received.plain.is_empty() {
            self.came(driver, key, received.plain);
        }
        match received.end {
            None => {}
            Some(End::Closed) => self.end_came(driver, key),
            Some(End::Failed(failure)) => self.tls_failed(driver, key, failure),
        }
        self.plaintext = plaintext;
    }

    /// Keeps the line no longer than the connections are many, also when clients come and go while they wait.
    fn forget_the_gone(&mut self) {
        let Self {
            slots, handshakes, ..
        } = self;
        if handshakes.waiting.len() > 2 * slots.len() + 64 {
            handshakes.waiting.retain(|&key| slots.get_mut(key).is_some());
        }
    }

    /// Goes on with handshakes that had to wait, at the end of a turn.
    pub(super) fn shake_hands(&mut self, driver: &mut D) {
        self.handshakes.answered = 0;
        while let Some(key) = self.handshakes.next() {
            self.open_records(driver, key, &mut []);
        }
        self.handshakes.answered = 0;
    }

    #[cold]
    fn tls_failed(&mut self, driver: &mut D, key: Key, failure: TlsFailure) {
        tracing::debug!(%failure, "TLS failed");
        self.insecure(key);
        let error = crate::Error::with_source(Kind::Io, io::Error::other(failure));
        self.news(driver, key, News::Lost(error));
        // Whoever is still at the door is to see why.
        self.turn_away(driver, key);
    }
}
