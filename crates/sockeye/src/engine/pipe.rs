//! A byte stream whose other end is a session of the engine, for whatever wants to read and write by itself: hyper, and
//! the async WebSockets of the library.
//!
//! [`Pipe`] is the task's end, from any thread; [`PipeEnd`] the session's. Both ways hold a bounded number of bytes: the
//! session stops receiving while the task is behind, and the task's writes wait while the peer is.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::driver::{Key, Outbox, OutputPool};
use crate::server::{Admitted, Place};

/// How many received bytes wait for the task before the session stops receiving.
const INBOUND: usize = 64 * 1024;
/// How many bytes that were written wait to be sent before writes wait too. It stands for the part of the system's own
/// send buffer that a socket would have.
const OUTBOUND: usize = 64 * 1024;
/// Memory that is kept while nothing is in it, for each direction.
const KEPT: usize = 2048;
/// Written bytes of at least this size change hands with their memory instead of being copied.
const REFERENCED: usize = 16 * 1024;

/// How a pipe tells the engine that there is something to do for one of its sessions. It is rung under the pipe's lock, so
/// that it must not call back.
pub(crate) trait Bell: Send + Sync {
    /// There is something to do for this session.
    fn ring(&self, session: Key);
}

/// Makes both ends. `bell` is rung for `session` when the task has done something that the session has to look at.
pub(crate) fn pipe(bell: Arc<dyn Bell>, session: Key) -> (Pipe, PipeEnd) {
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        bell,
        session,
    });
    (Pipe(Arc::clone(&shared)), PipeEnd(shared))
}

/// The task's end.
///
/// Flushing and shutting down do not wait, as with a socket: what was written is sent even if this is dropped after, as
/// long as the peer takes it.
pub(crate) struct Pipe(Arc<Shared>);

/// The session's end. When it is dropped, the task's reads and writes fail.
pub(crate) struct PipeEnd(Arc<Shared>);

/// What a session has to do for its pipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Orders {
    /// Whether to receive.
    pub(crate) receive: bool,
    /// What to do once everything was sent.
    pub(crate) then: Then,
}

/// What follows when everything was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Then {
    /// There will be more.
    #[default]
    GoOn,
    /// End the sending direction.
    Shutdown,
    /// Close the connection; nobody reads from it.
    Close,
    /// Take the connection [back](PipeEnd::take_back).
    Back,
}

/// What a task gives back along with a connection: the WebSocket that it has become.
pub(crate) type Returned = Box<(Admitted, Place)>;

struct Shared {
    state: Mutex<State>,
    bell: Arc<dyn Bell>,
    session: Key,
}

#[derive(Default)]
struct State {
    inbound: Vec<u8>,
    /// How much of `inbound` the task has read.
    read: usize,
    /// Nothing more will come, and why.
    end: Option<End>,
    reader: Option<Waker>,
    outbound: Vec<u8>,
    /// Bytes that the session has taken and the system has not.
    unsent: usize,
    writer: Option<Waker>,
    then: Then,
    /// The session was told to stop receiving.
    is_paused: bool,
    /// The task has read what there was, and has not been told that nothing more comes.
    has_read: bool,
    /// The bell was rung, and the session has not looked yet.
    is_rung: bool,
    returned: Option<Returned>,
}

#[derive(Clone, Copy)]
enum End {
    Ended,
    Failed(io::ErrorKind, Option<i32>),
}

impl End {
    fn of(error: &io::Error) -> Self {
        Self::Failed(error.kind(), error.raw_os_error())
    }

    fn error(self) -> Option<io::Error> {
        match self {
            Self::Ended => None,
            Self::Failed(_, Some(code)) => Some(io::Error::from_raw_os_error(code)),
            Self::Failed(kind, None) => Some(kind.into()),
        }
    }
}

impl Shared {
    /// Each change of the state is made whole under the lock, so that a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, state: &mut State) {
        if !std::mem::replace(&mut state.is_rung, true) {
            self.bell.ring(self.session);
        }
    }
}

impl State {
    /// How many received bytes wait for the task.
    fn unread(&self) -> usize {
        self.inbound.len() - self.read
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.read > self.inbound.len() / 2 {
            self.inbound.drain(..self.read);
            self.read = 0;
        }
        self.inbound.extend_from_slice(bytes);
        self.is_paused = self.unread() >= INBOUND;
    }

    fn waiting(&self) -> usize {
        self.outbound.len() + self.unsent
    }

    /// The task can go on to write: there is room again. It is woken at half of the limit, so that it does not run for each
    /// byte that leaves.
    fn writer_with_room(&mut self) -> Option<Waker> {
        let has_room = self.waiting() <= OUTBOUND / 2;
        self.writer.take_if(|_| has_room)
    }

    fn failure(&self) -> Option<io::Error> {
        self.end.and_then(End::error)
    }
}

/// Forgets memory that a busy moment left behind.
fn settle(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT);
}

fn append(outbound: &mut Vec<u8>, bytes: &[u8], room: usize) -> usize {
    let count = bytes.len().min(room);
    outbound.extend_from_slice(&bytes[..count]);
    count
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl PipeEnd {
    /// Gives received bytes to the task; tells whether to go on receiving. What comes after it said no is taken all the
    /// same.
    #[must_use]
    pub(crate) fn received(&self, bytes: &[u8]) -> bool {
        let mut state = self.0.lock();
        if state.then == Then::Close {
            return true;
        }
        state.put(bytes);
        let (reader, goes_on) = (state.reader.take(), !state.is_paused);
        drop(state);
        wake(reader);
        goes_on
    }

    /// The peer sends nothing more.
    pub(crate) fn ended(&self) {
        self.end(End::Ended);
    }

    /// The connection is lost.
    pub(crate) fn failed(&self, error: &io::Error) {
        self.end(End::of(error));
    }

    fn end(&self, end: End) {
        let mut state = self.0.lock();
        if !matches!(state.end, Some(End::Failed(..))) {
            state.end = Some(end);
        }
        let reader = state.reader.take();
        let writer = match end {
            End::Ended => None,
            End::Failed(..) => state.writer.take(),
        };
        drop(state);
        wake(reader);
        wake(writer);
    }

    /// Moves what the task wrote into the outbox, and tells what to do. To be called when the bell has rung.
    pub(crate) fn take(&self, outbox: &mut Outbox, pool: &mut OutputPool) -> Orders {
        let mut state = self.0.lock();
        state.is_rung = false;
        state.unsent += state.outbound.len();
        if state.outbound.len() >= REFERENCED {
            outbox
                .open(pool)
                .push(Bytes::from(std::mem::take(&mut state.outbound)));
        } else if !state.outbound.is_empty() {
            outbox.open(pool).tail().extend_from_slice(&state.outbound);
            settle(&mut state.outbound);
        }
        Orders {
            receive: !state.is_paused && state.then != Then::Close,
            then: state.then,
        }
    }

    /// What the task gave back, if it has, and what it has not read.
    pub(crate) fn take_back(&self) -> Option<(Returned, Vec<u8>)> {
        let mut state = self.0.lock();
        let returned = state.returned.take()?;
        let unread = state.inbound[state.read..].to_vec();
        Some((returned, unread))
    }

    /// Whether the peer has ended its direction.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.lock().end.is_some()
    }

    /// Tells how many of the bytes that were taken the system has not taken yet. To be called after each attempt to send.
    pub(crate) fn unsent(&self, count: usize) {
        let mut state = self.0.lock();
        state.unsent = count;
        let writer = state.writer_with_room();
        drop(state);
        wake(writer);
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        if self.0.lock().end.is_none() {
            self.failed(&io::ErrorKind::ConnectionAborted.into());
        }
        // Writes fail after the peer's end too: nobody takes them.
        let mut state = self.0.lock();
        if matches!(state.end, Some(End::Ended)) {
            state.then = Then::Close;
        }
        let writer = state.writer.take();
        drop(state);
        wake(writer);
    }
}

impl Pipe {
    /// Gives the connection back to its worker.
    pub(crate) fn hand_back(self, returned: Returned) {
        let mut state = self.0.lock();
        state.returned = Some(returned);
        state.then = Then::Back;
        self.0.ring(&mut state);
    }

    /// Writes what there is room for.
    pub(crate) fn try_write(&self, bytes: &[u8]) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = self.poll_append(&mut cx, |outbound, room| append(outbound, bytes, room));
    }

    fn poll_append(
        &self,
        cx: &mut Context<'_>,
        append: impl FnOnce(&mut Vec<u8>, usize) -> usize,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        if let Some(error) = state.failure() {
            return Poll::Ready(Err(error));
        }
        if state.then != Then::GoOn {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = OUTBOUND.saturating_sub(state.waiting());
        if room == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = append(&mut state.outbound, room);
        if count > 0 {
            self.0.ring(&mut state);
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        let unread = state.unread();
        if unread == 0 {
            // As with a socket, the end comes after another wait: a server of HTTP that learns of it in one breath with a
            // request takes the client for gone, who only has nothing more to say.
            if std::mem::take(&mut state.has_read) && matches!(state.end, Some(End::Ended)) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            return match state.end {
                Some(end) => Poll::Ready(end.error().map_or(Ok(()), Err)),
                None => {
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        }
        let count = unread.min(buf.remaining());
        buf.put_slice(&state.inbound[state.read..][..count]);
        state.read += count;
        if count == unread {
            settle(&mut state.inbound);
            state.read = 0;
            state.has_read = true;
        }
        if state.is_paused && unread - count <= INBOUND / 2 {
            state.is_paused = false;
            self.0.ring(&mut state);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_append(cx, |outbound, room| append(outbound, bytes, room))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_append(cx, |outbound, room| {
            let before = outbound.len();
            for part in parts {
                let left = room - (outbound.len() - before);
                outbound.extend_from_slice(&part[..part.len().min(left)]);
            }
            outbound.len() - before
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.lock().failure().map_or(Ok(()), Err))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if let Some(error) = state.failure() {
            return Poll::Ready(Err(error));
        }
        if state.then == Then::GoOn {
            state.then = Then::Shutdown;
            self.0.ring(&mut state);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.then == Then::Back {
            return;
        }
        state.then = Then::Close;
        state.inbound = Vec::new();
        state.read = 0;
        self.0.ring(&mut state);
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pipe").field(&self.0.session).finish()
    }
}

impl fmt::Debug for PipeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipeEnd").field(&self.0.session).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Bell for Count {
        fn ring(&self, session: Key) {
            assert_eq!(session, KEY);
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const KEY: Key = Key::new(3, 5);

    /// A pipe and a session that has an outbox and sends nothing by itself.
    struct Rig {
        bell: Arc<Count>,
        end: PipeEnd,
        outbox: Outbox,
        pool: OutputPool,
    }

    fn rig() -> (Pipe, Rig) {
        let bell = Arc::<Count>::default();
        let (pipe, end) = pipe(bell.clone(), KEY);
        let rig = Rig {
            bell,
            end,
            outbox: Outbox::default(),
            pool: OutputPool::default(),
        };
        (pipe, rig)
    }

    impl Rig {
        fn rings(&self) -> usize {
            self.bell.0.load(Ordering::Relaxed)
        }

        fn take(&mut self) -> Orders {
            self.end.take(&mut self.outbox, &mut self.pool)
        }

        /// Sends everything, and gives it.
        fn send(&mut self) -> Vec<u8> {
            let mut sent = Vec::new();
            while let Some(output) = self.outbox.get_mut()
                && !output.is_empty()
            {
                let mut slices = [IoSlice::new(&[]); 8];
                let before = sent.len();
                for slice in output.slices(&mut slices) {
                    sent.extend_from_slice(slice);
                }
                output.advance(sent.len() - before);
            }
            self.outbox.settle(&mut self.pool);
            self.end.unsent(0);
            sent
        }
    }

    const fn orders(receive: bool, then: Then) -> Orders {
        Orders { receive, then }
    }

    #[tokio::test]
    async fn what_was_received_is_read_and_then_the_end() {
        let (mut pipe, rig) = rig();
        let mut read = Vec::new();
        let reading = async {
            pipe.read_to_end(&mut read).await.unwrap();
        };
        let receiving = async {
            for part in ["one ", "two ", "three"] {
                assert!(rig.end.received(part.as_bytes()));
                tokio::task::yield_now().await;
            }
            rig.end.ended();
        };
        tokio::join!(reading, receiving);
        assert_eq!(read, b"one two three");
        assert_eq!(rig.rings(), 0, "nothing was to be done for the session");
    }

    #[tokio::test]
    async fn a_reader_that_is_behind_stops_the_session_until_it_has_caught_up() {
        let (mut pipe, mut rig) = rig();
        assert!(rig.end.received(&vec![1; INBOUND - 1]));
        assert!(!rig.end.received(&[1]));
        assert_eq!(rig.take(), orders(false, Then::GoOn));
        // What the driver had received already is taken.
        assert!(!rig.end.received(&[1]));
        let mut half = vec![0; INBOUND / 2];
        pipe.read_exact(&mut half).await.unwrap();
        assert_eq!(rig.rings(), 0);
        pipe.read_exact(&mut half[..1]).await.unwrap();
        assert_eq!(rig.rings(), 1);
        assert_eq!(rig.take(), orders(true, Then::GoOn));
    }

    #[tokio::test]
    async fn writes_are_collected_under_one_ring_and_sent_in_order() {
        let (mut pipe, mut rig) = rig();
        pipe.write_all(b"one ").await.unwrap();
        let parts = [IoSlice::new(b"two "), IoSlice::new(b""), IoSlice::new(b"three")];
        assert_eq!(pipe.write_vectored(&parts).await.unwrap(), 9);
        pipe.flush().await.unwrap();
        assert_eq!(rig.rings(), 1);
        assert_eq!(rig.take(), orders(true, Then::GoOn));
        let large = vec![7; REFERENCED];
        pipe.write_all(&large).await.unwrap();
        pipe.write_all(b"end").await.unwrap();
        assert_eq!(rig.rings(), 2);
        rig.take();
        let sent = rig.send();
        assert!(sent.starts_with(b"one two three\x07"));
        assert!(sent.ends_with(b"\x07end"));
        assert_eq!(sent.len(), 13 + REFERENCED + 3);
    }

    #[tokio::test]
    async fn writes_wait_while_the_peer_takes_nothing() {
        let (mut pipe, mut rig) = rig();
        let writing = tokio::spawn(async move {
            pipe.write_all(&vec![1; OUTBOUND + 1]).await.unwrap();
            pipe
        });
        tokio::task::yield_now().await;
        assert!(!writing.is_finished());
        // Moving it to the outbox makes no room; sending it does, at half.
        rig.take();
        rig.end.unsent(OUTBOUND / 2 + 1);
        tokio::task::yield_now().await;
        assert!(!writing.is_finished());
        rig.end.unsent(OUTBOUND / 2);
        let _pipe = writing.await.unwrap();
    }

    #[tokio::test]
    async fn no_write_is_larger_than_the_room() {
        let (mut pipe, mut rig) = rig();
        let large = vec![1; OUTBOUND];
        let parts = [IoSlice::new(&large), IoSlice::new(&large)];
        assert_eq!(pipe.write_vectored(&parts).await.unwrap(), OUTBOUND);
        rig.take();
        assert_eq!(rig.outbox.len(), OUTBOUND);
    }

    #[tokio::test]
    async fn shutting_down_ends_one_direction_only() {
        let (mut pipe, mut rig) = rig();
        pipe.write_all(b"bye").await.unwrap();
        pipe.shutdown().await.unwrap();
        pipe.shutdown().await.unwrap();
        assert_eq!(rig.take(), orders(true, Then::Shutdown));
        assert_eq!(rig.send(), b"bye");
        assert_eq!(
            pipe.write(b"more").await.unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
        assert!(rig.end.received(b"still here"));
        let mut read = [0; 10];
        pipe.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"still here");
    }

    #[tokio::test]
    async fn a_dropped_pipe_closes_after_what_it_wrote_and_hears_nothing_more() {
        let (mut pipe, mut rig) = rig();
        assert!(!rig.end.received(&vec![1; INBOUND]));
        pipe.write_all(b"bye").await.unwrap();
        drop(pipe);
        assert_eq!(rig.rings(), 1);
        assert_eq!(rig.take(), orders(false, Then::Close));
        assert_eq!(rig.send(), b"bye");
        assert!(rig.end.received(b"nobody reads this"));
    }

    #[tokio::test]
    async fn a_lost_connection_fails_both_directions_wherever_they_wait() {
        let (pipe, rig) = rig();
        let (mut reader, mut writer) = tokio::io::split(pipe);
        assert!(rig.end.received(b"last"));
        let reading = tokio::spawn(async move {
            let mut read = Vec::new();
            let error = reader.read_to_end(&mut read).await.unwrap_err();
            (read, error.kind())
        });
        let writing = tokio::spawn(async move { writer.write_all(&vec![1; OUTBOUND + 1]).await });
        tokio::task::yield_now().await;
        rig.end.failed(&io::ErrorKind::ConnectionReset.into());
        let reset = io::ErrorKind::ConnectionReset;
        assert_eq!(reading.await.unwrap(), (b"last".to_vec(), reset));
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), reset);
    }

    #[tokio::test]
    async fn a_session_that_is_gone_fails_what_the_task_does() {
        for has_ended in [false, true] {
            let (mut pipe, rig) = rig();
            if has_ended {
                rig.end.ended();
            }
            pipe.write_all(&vec![1; OUTBOUND]).await.unwrap();
            let writing = poll_fn(|cx| {
                let polled = Pin::new(&mut pipe).poll_write(cx, b"more");
                if polled.is_pending() {
                    // The session goes while the task waits.
                    cx.waker().wake_by_ref();
                    return Poll::Ready(None);
                }
                polled.map(Some)
            });
            assert!(writing.await.is_none(), "there is no room");
            drop(rig);
            pipe.write(b"more").await.unwrap_err();
            let mut byte = [0];
            assert_eq!(pipe.read(&mut byte).await.is_ok(), has_ended);
        }
    }

    #[tokio::test]
    async fn a_pipe_at_rest_keeps_little_memory() {
        let (mut pipe, mut rig) = rig();
        assert!(rig.end.received(&vec![1; INBOUND / 2]));
        pipe.read_exact(&mut vec![0; INBOUND / 2]).await.unwrap();
        pipe.write_all(&vec![1; REFERENCED - 1]).await.unwrap();
        rig.take();
        let state = pipe.0.lock();
        assert!(state.inbound.capacity() <= KEPT && state.outbound.capacity() <= KEPT);
    }

    /// One thread writes and reads, the other is the engine: nothing is lost, and neither sleeps for ever.
    #[test]
    fn wakes_from_another_thread_are_not_lost() {
        const LEN: usize = 2_000_000;

        struct Unpark(std::thread::Thread);

        impl Bell for Unpark {
            fn ring(&self, _: Key) {
                self.0.unpark();
            }
        }

        let (pipe, end) = pipe(Arc::new(Unpark(std::thread::current())), KEY);
        let task = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async move {
                let (mut reader, mut writer) = tokio::io::split(pipe);
                let write = async {
                    for at in 0..LEN / 1000 {
                        writer.write_all(&[at as u8; 1000]).await.unwrap();
                    }
                };
                let read = async {
                    let mut bytes = vec![0; LEN];
                    reader.read_exact(&mut bytes).await.unwrap();
                    bytes
                };
                tokio::join!(read, write).0
            })
        });
        let (mut outbox, mut pool) = (Outbox::default(), OutputPool::default());
        let mut echoed = Vec::new();
        // An echo with a limited appetite: each turn sends a part and receives it again.
        loop {
            let orders = end.take(&mut outbox, &mut pool);
            if orders.then == Then::Close {
                break;
            }
            let mut part = Vec::new();
            if orders.receive
                && let Some(output) = outbox.get_mut()
            {
                let mut slices = [IoSlice::new(&[]); 4];
                for slice in output.slices(&mut slices) {
                    part.extend_from_slice(slice);
                }
                part.truncate(7_777);
                output.advance(part.len());
            }
            end.unsent(outbox.len());
            if part.is_empty() {
                std::thread::park();
            } else {
                let _ = end.received(&part);
                echoed.extend_from_slice(&part);
            }
        }
        assert_eq!(task.join().unwrap(), echoed);
        assert_eq!(echoed.len(), LEN);
    }
}
