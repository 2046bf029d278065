//! The `stream` driver: moves a session's bytes through any `AsyncRead + AsyncWrite`.
//!
//! Reads go into a buffer of the thread; what a turn produces leaves in one write.

use std::mem;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use sockeye_proto::{CloseCode, CloseFrame, Shutdown};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::buffers::InputBuffers;
use super::{Shared, buffers, io_error, now};
use crate::error::{Error, Kind};

/// Turns taken at once before the other tasks of the thread get theirs.
const TURNS: usize = 16;

/// Moves the bytes of one session; as a future, it runs until the connection has ended.
pub(crate) struct Driver<IO> {
    io: IO,
    shared: Arc<Shared>,
    /// Input that was read while the application was behind.
    unread: Vec<u8>,
    /// Output taken from the session, and how much of it the transport took.
    writing: Vec<u8>,
    written: usize,
    /// When the last write began that may end a Ping; `None` if none is being written.
    pinging: Option<Instant>,
    /// The transport may hold output back until it is flushed.
    unflushed: bool,
    /// Output was flushed, and the session not told.
    flushed: bool,
    /// Since when the transport has taken nothing of what waits.
    stalled: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    sending_ended: bool,
    /// Reading was to wait for the application when the session was last looked at.
    paused: bool,
    /// Whoever runs this, the transport wakes the session and nobody else.
    pub(super) has_own_waker: bool,
    /// The transport had nothing to read, and wakes the session when it has.
    is_drained: bool,
}

/// What came of one turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// The connection has ended.
    Ended,
    /// There may be more to read, or to write.
    Progress,
    /// Nothing to do until the driver is woken.
    Idle,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Driver<IO> {
    /// `leftover` is what the peer sent behind the opening handshake.
    pub(crate) fn new(io: IO, shared: Arc<Shared>, leftover: Vec<u8>) -> Self {
        Self {
            io,
            shared,
            unread: leftover,
            writing: Vec::new(),
            written: 0,
            pinging: None,
            unflushed: false,
            flushed: false,
            stalled: None,
            timer: None,
            sending_ended: false,
            paused: false,
            has_own_waker: false,
            is_drained: false,
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Makes the timer, for as late as can be: a timer belongs to the runtime in which it was made.
    pub(super) fn arm_timer(&mut self) {
        self.timer = Some(Box::pin(tokio::time::sleep(Duration::MAX)));
    }

    /// Takes turns until there is nothing to do; `Ready` when the connection has ended.
    ///
    /// `handle` is the application's part in a turn: it runs when something was read, so that the answer leaves in
    /// the same turn, and once in any case, since it may be the application that was woken.
    pub(super) fn poll_turns(
        &mut self,
        cx: &mut Context<'_>,
        mut handle: impl FnMut(&mut Context<'_>),
    ) -> Poll<()> {
        let now = now();
        {
            let mut session = self.shared.lock();
            session.attend();
            self.paused = session.is_reading_paused();
        }
        let mut woken = true;
        for _ in 0..TURNS {
            match self.turn(cx, now, woken, &mut handle) {
                Turn::Ended => return Poll::Ready(()),
                Turn::Progress => woken = false,
                Turn::Idle => return Poll::Pending,
            }
        }
        self.shared.lock().yield_now();
        Poll::Pending
    }

    /// Reads once, writes what waits, acts on deadlines.
    fn turn(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        woken: bool,
        handle: impl FnOnce(&mut Context<'_>),
    ) -> Turn {
        let read = self.poll_read(cx, now);
        if woken || read.is_ready() {
            handle(cx);
        } else if self.shared.lock().rest() {
            return Turn::Idle;
        }
        if self.begin_output(now).is_break() {
            return self.end();
        }
        let written = self.poll_write(cx, now);
        if let (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) = (read, written) {
            return self.lost(error);
        }
        if self.poll_deadline(cx, now).is_break() || self.poll_end(cx).is_break() {
            return self.end();
        }
        Turn::Progress
    }

    /// Takes note of what the application did; breaks if that ended the connection.
    fn begin_output(&mut self, now: Instant) -> ControlFlow<()> {
        let mut session = self.shared.lock();
        let session = &mut *session;
        session.dirty = false;
        if session.aborted {
            session.fail(Error::new(Kind::Aborted));
            return ControlFlow::Break(());
        }
        if session.is_abandoned() {
            let normal = CloseFrame::truncated(CloseCode::NORMAL, "");
            #[cfg(engine)]
            session.release_published();
            session.connection.close(Some(normal), now, &mut session.queue);
        }
        self.paused = session.is_reading_paused();
        ControlFlow::Continue(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<std::io::Result<()>> {
        let result = self.poll_write_all(cx, now);
        if result.is_pending() {
            if self.stalled.is_none() {
                self.stalled = Some(now);
                let session = self.shared.lock();
                session.metrics.blocked(session.buffered_amount());
            }
        } else {
            self.stalled = None;
        }
        result
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<std::io::Result<()>> {
        if self.sending_ended {
            return Poll::Ready(Ok(()));
        }
        loop {
            if self.written == self.writing.len() {
                if self.unflushed {
                    ready!(Pin::new(&mut self.io).poll_flush(cx))?;
                    (self.unflushed, self.flushed) = (false, true);
                }
                if !self.refill(now) {
                    return Poll::Ready(Ok(()));
                }
            }
            if let Some(began) = &mut self.pinging {
                *began = super::now();
            }
            let taken = ready!(Pin::new(&mut self.io).poll_write(cx, &self.writing[self.written..]))?;
            if taken == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.written += taken;
            self.stalled = None;
            self.unflushed = true;
            if self.written < self.writing.len() {
                self.shared.lock().in_flight = self.writing.len() - self.written;
            }
        }
    }

    /// Takes the next output from the session, now that the last was handed over; gives whether there is any.
    fn refill(&mut self, now: Instant) -> bool {
        buffers::return_output(mem::take(&mut self.writing));
        self.written = 0;
        let mut session = self.shared.lock();
        let session = &mut *session;
        let flushed = mem::take(&mut self.flushed);
        if flushed {
            session.flushed = session.taken;
            if let Some(began) = self.pinging {
                session.pings_flushed(began);
            }
        }
        // All of what was taken is with the transport.
        session.in_flight = 0;
        session.poll_output(now);
        #[cfg(engine)]
        session.drain_published();
        self.pinging = session.has_pings_to_write().then_some(now);
        mem::swap(&mut self.writing, &mut session.queue);
        session.in_flight = self.writing.len();
        session.taken += self.writing.len() as u64;
        if flushed {
            if self.writing.is_empty() {
                session.connection.handle_flushed(now);
            }
            session.wake_writers();
        }
        !self.writing.is_empty()
    }

    /// `Ready` if something was read, or the end of the stream was seen.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<std::io::Result<()>> {
        if self.paused && self.is_paused() {
            return Poll::Pending;
        }
        let writable = self.stalled.is_none();
        buffers::with_input(|InputBuffers { bytes, workspace }| {
            if self.unread.is_empty() {
                let is_roused = || self.shared.is_roused.swap(false, Ordering::Acquire);
                if self.is_drained && !is_roused() {
                    return Poll::Pending;
                }
                let mut input = ReadBuf::new(bytes);
                let read = Pin::new(&mut self.io).poll_read(cx, &mut input);
                self.is_drained = read.is_pending() && self.has_own_waker;
                ready!(read)?;
                let input = input.filled_mut();
                let mut session = self.shared.lock();
                if input.is_empty() {
                    if let Err(error) = session.connection.handle_eof() {
                        session.fail(error.into());
                    }
                    return Poll::Ready(Ok(()));
                }
                let used = session.receive(input, workspace, writable, now);
                self.paused = session.is_reading_paused();
                session.wake_reader();
                if used < input.len() {
                    self.unread = input[used..].to_vec();
                }
            } else {
                let mut session = self.shared.lock();
                let used = session.receive(&mut self.unread, workspace, writable, now);
                self.paused = session.is_reading_paused();
                session.wake_reader();
                self.unread.drain(..used);
                if self.unread.is_empty() {
                    self.unread = Vec::new();
                }
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Whether reading waits for the application.
    fn is_paused(&self) -> bool {
        self.shared.lock().is_reading_paused()
    }

    /// Acts on the deadlines that have passed and waits for the next; breaks if that ended the connection.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, now: Instant) -> ControlFlow<()> {
        let next = {
            let mut session = self.shared.lock();
            let write_timeout = session.limits.write_timeout;
            let stall = self.stalled.and_then(|since| since.checked_add(write_timeout));
            if stall.is_some_and(|at| at <= now) {
                session.metrics.write_stalled();
                session.fail(Error::new(Kind::WriteStalled(write_timeout)));
                return ControlFlow::Break(());
            }
            let mut timeout = session.connection.poll_timeout();
            if timeout.is_some_and(|at| at <= now) {
                if let Err(error) = session.connection.handle_timeout(now) {
                    session.fail(error.into());
                }
                session.dirty = true;
                timeout = session.connection.poll_timeout();
            }
            let last_words = session.last_words.filter(|&until| until > now);
            [stall, last_words, timeout].into_iter().flatten().min()
        };
        let Some(next) = next else {
            return ControlFlow::Continue(());
        };
        let next = tokio::time::Instant::from_std(next);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
        // Traffic moves deadlines back: a timer that is early costs one look when it fires, and no traffic ever
        // touches it.
        if timer.deadline() > next {
            timer.as_mut().reset(next);
        }
        if timer.as_mut().poll(cx).is_ready() && timer.deadline() < next {
            timer.as_mut().reset(next);
            let _ = timer.as_mut().poll(cx);
        }
        if timer.is_elapsed() {
            // It has passed since the driver was polled, and is acted on when it is polled again.
            cx.waker().wake_by_ref();
        }
        ControlFlow::Continue(())
    }

    /// Ends the transport when the connection is done with it; breaks when it may be dropped.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> ControlFlow<()> {
        let (shutdown, drained, hangs_up) = {
            let session = self.shared.lock();
            let drained =
                session.buffered_amount() == 0 && !session.connection.has_output() && !self.unflushed;
            (session.connection.shutdown(), drained, session.hangs_up)
        };
        match shutdown {
            Shutdown::Now => ControlFlow::Break(()),
            _ if hangs_up && drained && self.ends_sending(cx) => ControlFlow::Break(()),
            _ if hangs_up => ControlFlow::Continue(()),
            Shutdown::NotYet | Shutdown::AwaitPeer => ControlFlow::Continue(()),
            Shutdown::AfterFlush | Shutdown::Linger if !drained => ControlFlow::Continue(()),
            Shutdown::AfterFlush | Shutdown::Linger => {
                if self.ends_sending(cx) && shutdown == Shutdown::AfterFlush {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            }
        }
    }

    /// Ends the sending direction of the transport; gives whether that is done.
    fn ends_sending(&mut self, cx: &mut Context<'_>) -> bool {
        self.sending_ended = self.sending_ended || Pin::new(&mut self.io).poll_shutdown(cx).is_ready();
        self.sending_ended
    }

    /// The transport failed.
    fn lost(&mut self, error: std::io::Error) -> Turn {
        {
            let mut session = self.shared.lock();
            // Once all frames were exchanged it does not matter how the transport ends.
            if session.connection.handle_eof().is_err() {
                session.fail(io_error(error));
            }
        }
        self.end()
    }

    fn end(&mut self) -> Turn {
        self.shared.end();
        Turn::Ended
    }
}

impl<IO> Drop for Driver<IO> {
    fn drop(&mut self) {
        // The task was stopped: whoever waits on the session must hear of it.
        let mut session = self.shared.lock();
        if !session.ended {
            session.fail(Error::new(Kind::Aborted));
            drop(session);
            self.shared.end();
        }
    }
}

impl<IO> std::fmt::Debug for Driver<IO> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use sockeye_proto::{Config, Connection, State};

    use super::*;
    use crate::metrics::SessionMetrics;
    use crate::session::QueueLimits;

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_passes_while_the_driver_is_polled_wakes_it_again() {
        let lifetime = Duration::from_secs(60);
        let opened = now();
        let config = Config {
            max_lifetime: Some(lifetime),
            keepalive: None,
            ..Config::server()
        };
        let connection = Connection::server(Arc::new(config), None, opened);
        let metrics = Arc::new(SessionMetrics::new());
        let shared = Shared::new(connection, QueueLimits::default(), metrics);
        let (io, _peer) = tokio::io::duplex(64);
        let mut driver = Driver::new(io, shared, Vec::new());
        let woken = Arc::new(Flag::default());
        let waker = woken.clone().into();
        let mut cx = Context::from_waker(&waker);
        assert!(driver.poll_turns(&mut cx, |_| {}).is_pending());
        tokio::time::advance(lifetime).await;
        assert!(woken.0.swap(false, Ordering::Relaxed));
        // The timer has fired, but the driver has looked at the clock before that.
        let looked = opened + lifetime - Duration::from_millis(1);
        assert!(driver.poll_deadline(&mut cx, looked).is_continue());
        assert!(woken.0.swap(false, Ordering::Relaxed));
        assert!(driver.poll_turns(&mut cx, |_| {}).is_pending());
        assert_eq!(driver.shared.lock().connection.state(), State::Closing);
        assert!(!woken.0.load(Ordering::Relaxed));
    }
}
