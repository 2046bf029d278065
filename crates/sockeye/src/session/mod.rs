//! One WebSocket connection as the library keeps it: the protocol's state, what was received and not yet taken by
//! the application, what was sent and not yet taken by the transport.
//!
//! [`WebSocket`](crate::WebSocket) and its halves are handles to a session; a driver ([`stream`]) moves its bytes.
//! Nothing here does I/O.

mod application;
mod arena;
mod buffers;
mod inbox;
mod join;
mod pings;
#[cfg(engine)]
mod published;
mod standby;
mod stream;
#[cfg(test)]
mod tests;
mod transport;
mod waking;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use sockeye_proto::{CloseFrame, Connection, MessageKind};

use crate::error::{Error, Kind};
use crate::message::Utf8Bytes;
use crate::metrics::SessionMetrics;
use inbox::Inbox;
pub(crate) use inbox::Incoming;
pub(crate) use join::{HandlerFuture, Joined, Stage};
pub(crate) use pings::PingId;
use pings::Pings;
#[cfg(engine)]
pub(crate) use published::TOO_FAR_BEHIND;
pub(crate) use standby::Next;
use standby::Parked;
pub(crate) use stream::Driver;
use tokio::sync::Notify;

/// How much a session holds for an application, or a peer, that is behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueLimits {
    /// Bytes of received messages, their overhead included, that wait for the application before reading stops.
    /// Default: 64 KiB. TCP then holds the peer back.
    pub receive: usize,
    /// Bytes of frames that wait for the transport before [`send`](crate::WebSocket::send) waits too, and before those who
    /// cannot wait do what [`overflow`](Self::overflow) says. Default: 1 MiB. One message may go beyond it.
    pub send: usize,
    /// What becomes of a message that a [`Handler`](crate::server::Handler) sends, or that is published, when
    /// [`send`](Self::send) bytes wait already. Default: it is dropped.
    pub overflow: Overflow,
    /// Bytes that wait before a [`Handler`](crate::server::Handler) is told so by
    /// [`Sent::Buffered`](crate::server::Sent::Buffered). Default: 64 KiB.
    pub high_water: usize,
    /// Bytes that wait at most when it is told, by [`Handler::drain`](crate::server::Handler::drain), that the peer has
    /// caught up. Default: 16 KiB.
    pub low_water: usize,
    /// How long the peer may take no byte of what waits for it. Default: 10 s.
    pub write_timeout: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            receive: 64 * 1024,
            send: 1024 * 1024,
            overflow: Overflow::default(),
            high_water: 64 * 1024,
            low_water: 16 * 1024,
            write_timeout: Duration::from_secs(10),
        }
    }
}

/// What becomes of a message for a peer that is too far behind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// It is dropped, and whoever sent it is told.
    #[default]
    DropNewest,
    /// It is dropped, and the connection is closed with 1008: who must not miss a message comes back, and asks for what
    /// it missed.
    Close,
    /// Messages that wait are dropped for it, the oldest first, whether they were published or sent by the handler. For
    /// telling what happened of late.
    ///
    /// While the peer is behind, half of [`QueueLimits::send`] is for messages that may still be dropped. Those that the
    /// handler sends [in fragments](crate::server::Socket::send_fragment) are never dropped, and overtake them.
    DropOldest,
    /// Of each topic only the newest published message waits. For states that replace each other: positions, prices,
    /// scores. Otherwise as [`DropOldest`](Self::DropOldest), also when there are more topics than fit; and so is what the
    /// handler sends, which has no topic.
    KeepLatest,
}

/// How long a Close frame is held back for the application to answer messages that came before the peer's Close, or
/// before the peer broke a rule.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a connection ended, or is ending.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CloseInfo {
    /// The code of the peer's Close frame; 1005 if it had none; 1006 if no Close frame came.
    pub code: u16,
    /// The reason in the peer's Close frame, empty if there was none.
    pub reason: Utf8Bytes,
    /// Whether Close frames went both ways.
    pub clean: bool,
}

impl CloseInfo {
    /// What the code means, in a few words; `None` for codes whose meaning is the application's.
    #[must_use]
    pub const fn description(&self) -> Option<&'static str> {
        sockeye_proto::close_description(self.code)
    }
}

/// A session, shared by its driver and its handles.
pub(crate) struct Shared {
    session: Mutex<Session>,
    /// A driver that stands by, while nobody runs it.
    parked: Mutex<Option<Parked>>,
    /// The transport, or the timer, has woken the session since the driver last read.
    is_roused: AtomicBool,
    /// Tells that the session has ended.
    ended: Notify,
}

/// How the task that waits for a message gets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Waits {
    /// It is woken when there is one.
    Woken,
    /// It looks by itself whenever the driver has read something: it is the handler in the driver's task, or runs the
    /// driver right now.
    Joined,
    /// It is woken when the driver has something to do, and runs it.
    Driving,
}

/// Short, and without payloads: handles are printed into logs.
impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let session = self.lock();
        f.debug_struct("Session")
            .field("role", &session.connection.role())
            .field("state", &session.connection.state())
            .field("buffered_amount", &session.buffered_amount())
            .finish_non_exhaustive()
    }
}

pub(crate) struct Session {
    connection: Connection,
    limits: QueueLimits,
    metrics: Arc<SessionMetrics>,
    inbox: Inbox,
    /// Encoded frames that the driver has not taken yet.
    queue: Vec<u8>,
    /// How many bytes the driver has taken and not written yet.
    in_flight: usize,
    /// How many bytes the driver has taken since the beginning, and up to which of them the transport has them all.
    taken: u64,
    flushed: u64,
    /// The task that waits for a message.
    reader: Option<Waker>,
    waits: Waits,
    /// The last message was taken and not answered yet: what is sent now leaves at once.
    answers: bool,
    /// Tasks that wait for room in the queue, for it to be empty, or for the end.
    writers: Vec<Waker>,
    /// The task of the driver.
    driver: Option<Waker>,
    /// The driver, or the handler in its task, is running, and looks at `dirty` when it is done.
    attended: bool,
    /// Something changed that the driver has to act on.
    dirty: bool,
    /// The driver's task was woken, and has not looked yet.
    is_summoned: bool,
    /// The driver stopped in the middle of its work to let other tasks have their turn.
    yields: bool,
    /// The driver is one that stands by.
    has_standby: bool,
    /// Somebody waits for the end of the connection, or did.
    is_watched: bool,
    receiver_alive: bool,
    senders: usize,
    /// The application wants nothing to be read.
    held: bool,
    /// How often reading was stopped.
    pauses: u32,
    /// A message is being written piece by piece, and others have to wait for its end.
    is_writing: bool,
    /// The kind of the message whose frames are being delivered.
    frames_of: MessageKind,
    /// The Pings that were not answered yet, if there are any.
    pings: Option<Box<Pings>>,
    /// What it has of topics, once it was subscribed to any.
    #[cfg(engine)]
    published: Option<Box<published::Published>>,
    /// How many messages were published to it that it was not sent.
    #[cfg(engine)]
    pub(crate) missed: u64,
    aborted: bool,
    /// The transport is to be dropped once it has what waits.
    hangs_up: bool,
    peer_close: Option<CloseInfo>,
    /// How many bytes the transport had when the peer's Close frame came.
    #[cfg(feature = "web")]
    flushed_before_close: Option<u64>,
    /// Until when the Close frame that is owed waits for the application to answer what came before.
    last_words: Option<Instant>,
    failure: Option<Error>,
    /// The receiving half was told of the failure.
    failure_told: bool,
    /// The driver is done: nothing will be received or sent any more.
    ended: bool,
}

impl Shared {
    pub(crate) fn new(
        connection: Connection,
        limits: QueueLimits,
        metrics: Arc<SessionMetrics>,
    ) -> Arc<Self> {
        metrics.opened();
        let session = Session {
            connection,
            limits,
            metrics,
            inbox: Inbox::default(),
            queue: Vec::new(),
            in_flight: 0,
            taken: 0,
            flushed: 0,
            reader: None,
            waits: Waits::Woken,
            answers: false,
            writers: Vec::new(),
            driver: None,
            attended: false,
            dirty: false,
            is_summoned: false,
            yields: false,
            has_standby: false,
            is_watched: false,
            receiver_alive: true,
            senders: 1,
            held: false,
            pauses: 0,
            is_writing: false,
            frames_of: MessageKind::Binary,
            pings: None,
            #[cfg(engine)]
            published: None,
            #[cfg(engine)]
            missed: 0,
            aborted: false,
            hangs_up: false,
            peer_close: None,
            #[cfg(feature = "web")]
            flushed_before_close: None,
            last_words: None,
            failure: None,
            failure_told: false,
            ended: false,
        };
        Arc::new(Self {
            session: Mutex::new(session),
            parked: Mutex::new(None),
            is_roused: AtomicBool::new(false),
            ended: Notify::new(),
        })
    }

    /// The session. A panic elsewhere cannot leave it half changed in a way that matters: every change is made by
    /// this module, which does not call into application code while it holds the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the closing handshake from outside of the application's handler.
    pub(crate) fn close(&self, frame: Option<CloseFrame<'_>>) {
        self.lock().close(frame);
    }

    /// Makes the driver drop the transport without another word.
    pub(crate) fn abort(&self) {
        let mut session = self.lock();
        session.aborted = true;
        session.wake_driver();
    }

    /// Waits for the end of the connection.
    pub(crate) async fn ended(&self) -> Result<CloseInfo, Error> {
        loop {
            // Before the look at the session, or an end right after it would be missed.
            let ended = self.ended.notified();
            {
                let mut session = self.lock();
                if let Some(outcome) = session.outcome() {
                    return outcome;
                }
                session.is_watched = true;
                session.other_waits();
            }
            ended.await;
        }
    }

    /// Leaves all topics.
    #[cfg(engine)]
    fn leave_hub(&self) {
        let published = self.lock().leave_hub();
        // Not while the session is locked: it locks the hub, which whoever publishes has locked when it locks the session.
        drop(published);
    }

    /// Something happened to the transport, or a deadline passed.
    fn rouse(&self) {
        // Before the driver is told to look.
        self.is_roused.store(true, Ordering::Release);
        let wakers = self.lock().summon();
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Nothing will be received or sent any more.
    fn end(&self) {
        // Before anybody can see that it has ended.
        #[cfg(engine)]
        self.leave_hub();
        self.lock().end();
        // It may have been subscribed to something meanwhile.
        #[cfg(engine)]
        self.leave_hub();
        self.ended.notify_waiters();
    }
}

/// Keeps the waker of the task that waits.
fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => {}
        slot => *slot = Some(cx.waker().clone()),
    }
}

/// The time, by tokio's clock so that tests can stop it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The failure of a driver's transport.
fn io_error(error: std::io::Error) -> Error {
    Error::with_source(Kind::Io, error)
}
