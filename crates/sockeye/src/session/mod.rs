//! One WebSocket connection as the library keeps it: the protocol's state, what was received and not yet taken by
//! the application, what was sent and not yet taken by the transport.
//!
//! [`WebSocket`](crate::WebSocket) and its halves are handles to a session; a driver ([`stream`]) moves its bytes.
//! Nothing here does I/O.

mod arena;
mod buffers;
mod inbox;
mod join;
mod pings;
mod standby;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sockeye_proto::{
    CloseFrame, Compress, Connection, Delivery, Event, MessageKind, Opcode, SendError, State, Workspace,
};

use crate::error::{Error, Kind};
use crate::message::{Frame, Utf8Bytes};
use crate::metrics::SessionMetrics;
use inbox::Inbox;
pub(crate) use inbox::Incoming;
pub(crate) use join::{HandlerFuture, Joined};
pub(crate) use pings::PingId;
use pings::Pings;
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
    /// Bytes of frames that wait for the transport before [`send`](crate::WebSocket::send) waits too.
    /// Default: 1 MiB.
    pub send: usize,
    /// How long the peer may take no byte of what waits for it. Default: 10 s.
    pub write_timeout: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            receive: 64 * 1024,
            send: 1024 * 1024,
            write_timeout: Duration::from_secs(10),
        }
    }
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

    /// Something happened to the transport, or a deadline passed.
    fn rouse(&self) {
        // Before the driver is told to look.
        self.is_roused.store(true, Ordering::Release);
        let wakers = self.lock().summon();
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Nothing will be received or sent any more.
    fn end(&self) {
        self.lock().end();
        self.ended.notify_waiters();
    }
}

impl Session {
    // For the handles

    /// Runs `command`, which appends to the queue, once there is room in it.
    pub(crate) fn poll_command(
        &mut self,
        cx: &mut Context<'_>,
        command: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        std::task::ready!(self.poll_room(cx))?;
        Poll::Ready(self.command(command))
    }

    /// Waits for room in the queue.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.ended || self.buffered_amount() < self.limits.send {
            return Poll::Ready(Ok(()));
        }
        self.wait_to_write(cx);
        Poll::Pending
    }

    /// Waits for room in the queue, and for the end of a message that is being written piece by piece.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.is_writing && !self.ended {
            self.wait_to_write(cx);
            return Poll::Pending;
        }
        self.poll_room(cx)
    }

    /// Keeps other senders of messages out; waits until no other does.
    pub(crate) fn poll_begin_writing(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        std::task::ready!(self.poll_turn(cx))?;
        if self.connection.is_sending_fragments() {
            return Poll::Ready(Err(SendError::FragmentInProgress.into()));
        }
        self.check_open()?;
        self.is_writing = true;
        Poll::Ready(Ok(()))
    }

    /// Lets other senders of messages in again.
    pub(crate) fn end_writing(&mut self) {
        self.is_writing = false;
        self.wake_writers();
    }

    /// Runs `command` whether or not there is room.
    pub(crate) fn command(
        &mut self,
        command: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        self.check_open()?;
        if self.queue.capacity() == 0 {
            self.queue = buffers::take_output();
        }
        command(&mut self.connection, &mut self.queue)?;
        self.wake_driver();
        Ok(())
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.ended {
            Err(SendError::Closed.into())
        } else {
            Ok(())
        }
    }

    pub(crate) fn has_turn(&self) -> bool {
        !self.is_writing && self.buffered_amount() < self.limits.send
    }

    pub(crate) fn send(
        &mut self,
        message: sockeye_proto::Message<'_>,
        compress: Compress,
    ) -> Result<(), Error> {
        self.command(|connection, queue| connection.send_with(message, compress, queue))?;
        self.metrics.sent(message.kind(), message.as_bytes().len());
        Ok(())
    }

    pub(crate) fn send_fragment(
        &mut self,
        fragment: sockeye_proto::Message<'_>,
        fin: bool,
    ) -> Result<(), Error> {
        self.command(|connection, queue| connection.send_fragment(fragment, fin, Compress::Auto, queue))?;
        self.metrics
            .sent_piece(fragment.kind(), fragment.as_bytes().len(), fin);
        Ok(())
    }

    pub(crate) fn send_frame(
        &mut self,
        frame: sockeye_proto::Frame<'_>,
        compress: Compress,
    ) -> Result<(), Error> {
        self.command(|connection, queue| connection.send_frame(frame, compress, now(), queue))?;
        if self.connection.state() != State::Open {
            self.release();
        }
        Ok(())
    }

    /// Sends the next fragment of a message of this kind.
    pub(crate) fn send_piece(
        &mut self,
        kind: MessageKind,
        piece: sockeye_proto::Frame<'_>,
        compress: Compress,
    ) -> Result<(), Error> {
        self.send_frame(piece, compress)?;
        self.metrics.sent_piece(kind, piece.payload.len(), piece.fin);
        Ok(())
    }

    pub(crate) fn close(&mut self, frame: Option<CloseFrame<'_>>) {
        if self.is_open() {
            self.connection.close(frame, now(), &mut self.queue);
            self.release();
            self.wake_driver();
        }
    }

    /// Sends a Close frame, and has the driver drop the transport as soon as that has it.
    pub(crate) fn hang_up(&mut self, frame: CloseFrame<'_>) {
        if !self.ended {
            self.close(Some(frame));
            self.hangs_up = true;
            self.fail(Error::new(Kind::Aborted));
            self.wake_driver();
        }
    }

    /// Stops reading.
    pub(crate) fn hold(&mut self) {
        if self.is_open() && !self.held {
            self.held = true;
            self.reading_stops();
        }
    }

    /// Reads again after [`hold`](Self::hold).
    pub(crate) fn release(&mut self) {
        if std::mem::take(&mut self.held) && !self.inbox.is_paused() {
            self.connection.handle_resumed(now());
            self.wake_driver();
        }
    }

    /// How often reading was stopped so far; `None` while it is.
    #[cfg(feature = "client")]
    pub(crate) fn pauses(&self) -> Option<u32> {
        (!self.is_reading_paused()).then_some(self.pauses)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    pub(crate) fn delivery(&self) -> Delivery {
        self.connection.config().delivery
    }

    pub(crate) fn check_delivery(&self, wanted: Delivery) -> Result<(), Error> {
        let delivery = self.delivery();
        if delivery == wanted {
            Ok(())
        } else {
            Err(Error::new(Kind::Delivery(delivery)))
        }
    }

    /// Takes the next message or chunk; `None` after the last one.
    pub(crate) fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        if let Some(incoming) = self.inbox.pop() {
            self.reader = None;
            if self.inbox.is_empty() || self.inbox.size() < self.limits.receive / 2 {
                self.resume();
            }
            return Poll::Ready(Some(Ok(incoming)));
        }
        // Nothing comes after a failure, though the peer may have to be told of it first.
        if self.ended || self.failure.is_some() {
            let told = std::mem::replace(&mut self.failure_told, true);
            if self.last_words.is_some() {
                self.wake_driver();
            }
            return Poll::Ready(self.failure.clone().filter(|_| !told).map(Err));
        }
        register(&mut self.reader, cx);
        // In the driver's task, and while that is at work: this is called by the handler that is joined with it.
        let is_drivers = |task: &Waker| task.will_wake(cx.waker());
        let is_joined = self.attended && self.driver.as_ref().is_some_and(is_drivers);
        self.waits = if is_joined { Waits::Joined } else { Waits::Woken };
        if self.last_words.is_some() {
            self.wake_driver();
        }
        Poll::Pending
    }

    /// How many bytes were queued since the beginning.
    pub(crate) fn queued(&self) -> u64 {
        self.taken + self.queue.len() as u64
    }

    /// Waits until the transport has as many bytes.
    pub(crate) fn poll_flushed(&mut self, bytes: u64, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.flushed >= bytes {
            return Poll::Ready(Ok(()));
        }
        if self.ended {
            return Poll::Ready(Err(SendError::Closed.into()));
        }
        self.wait_to_write(cx);
        Poll::Pending
    }

    /// Waits for the end of the connection. Unlike [`Shared::ended`] it leaves a waker behind when it is given up.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Result<CloseInfo, Error>> {
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        self.wait_to_write(cx);
        Poll::Pending
    }

    /// Whether there is something to take, without asking for more.
    #[cfg(feature = "web")]
    pub(crate) fn has_incoming(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Waits until the connection is closing: until one side has sent a Close frame.
    #[cfg(feature = "web")]
    pub(crate) fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_open() {
            return Poll::Ready(());
        }
        self.wait_to_write(cx);
        Poll::Pending
    }

    /// How many bytes the transport had when the peer's Close frame came; `None` as long as none has.
    #[cfg(feature = "web")]
    pub(crate) fn flushed_before_close(&self) -> Option<u64> {
        self.flushed_before_close
    }

    /// How the connection ended; `None` before that.
    pub(crate) fn outcome(&self) -> Option<Result<CloseInfo, Error>> {
        self.ended.then(|| match &self.failure {
            Some(error) => Err(error.clone()),
            None => Ok(self.close_info()),
        })
    }

    /// How the connection ended; 1006 as long as no Close frame came.
    pub(crate) fn close_info(&self) -> CloseInfo {
        let none = || CloseInfo {
            code: 1006,
            reason: Utf8Bytes::default(),
            clean: false,
        };
        let info = self.peer_close.clone().unwrap_or_else(none);
        CloseInfo {
            clean: self.connection.is_close_complete(),
            ..info
        }
    }

    /// The code under which the end is counted and logged: ours if the connection failed and the peer was told,
    /// since its answer, if any, says nothing new; the peer's otherwise.
    pub(crate) fn end_code(&self) -> u16 {
        let ours = self.failure.as_ref().and_then(Error::close_code);
        ours.map_or_else(|| self.close_info().code, u16::from)
    }

    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.ended && self.connection.state() == State::Open
    }

    pub(crate) fn buffered_amount(&self) -> usize {
        self.queue.len() + self.in_flight
    }

    pub(crate) fn sender_added(&mut self) {
        self.senders += 1;
    }

    pub(crate) fn sender_dropped(&mut self) {
        self.senders -= 1;
        if self.is_abandoned() {
            self.wake_driver();
        }
    }

    pub(crate) fn receiver_dropped(&mut self) {
        self.receiver_alive = false;
        // Nobody will take what is there: reading must go on, or the peer's Close is never seen.
        self.inbox.clear();
        self.resume();
        self.release();
        if self.is_abandoned() {
            self.wake_driver();
        }
    }

    /// Lets the driver read again, if it had stopped because the application was behind.
    fn resume(&mut self) {
        if self.inbox.take_paused() && !self.held {
            self.connection.handle_resumed(now());
            self.wake_driver();
        }
    }

    fn is_abandoned(&self) -> bool {
        self.senders == 0 && !self.receiver_alive
    }

    fn wait_to_write(&mut self, cx: &mut Context<'_>) {
        if !self.writers.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.writers.push(cx.waker().clone());
        }
        self.other_waits();
    }

    fn wake_writers(&mut self) {
        if !self.writers.is_empty() {
            std::mem::take(&mut self.writers)
                .into_iter()
                .for_each(Waker::wake);
        }
    }

    /// Has the driver look at the session, because the application did something.
    fn wake_driver(&mut self) {
        self.dirty = true;
        if !self.attended
            && !std::mem::replace(&mut self.is_summoned, true)
            && let Some(driver) = &self.driver
        {
            driver.wake_by_ref();
        }
    }

    /// Has the driver look at the transport and the clock.
    ///
    /// Whoever waits for a message runs the driver by itself. Only if others wait too the standby is woken as well:
    /// nobody but the runtime knows whether a future that waits will be polled.
    ///
    /// Gives whom to wake once the lock is released: they take it at once, perhaps on another thread.
    fn summon(&mut self) -> [Option<Waker>; 2] {
        self.dirty = true;
        if self.attended {
            return [None, None];
        }
        let reader = self.reader.clone().filter(|_| self.waits == Waits::Driving);
        let waits_for_pong = self.pings.as_ref().is_some_and(|pings| pings.are_waited_for());
        let only_reader = reader.is_some() && self.writers.is_empty() && !waits_for_pong && !self.is_watched;
        if only_reader || std::mem::replace(&mut self.is_summoned, true) {
            return [reader, None];
        }
        [reader, self.driver.clone()]
    }

    /// Somebody else than the one who receives waits for the driver.
    fn other_waits(&mut self) {
        if self.is_unattended() && self.waits == Waits::Driving {
            self.wake_driver();
        }
    }

    /// The task that would have run the driver waits no more.
    fn reader_gone(&mut self) {
        self.reader = None;
        self.waits = Waits::Woken;
        if self.is_unattended() {
            self.wake_driver();
        }
    }

    /// Whether there is something that the driver has to act on, and nobody does.
    fn is_unattended(&self) -> bool {
        self.dirty && !self.attended && !self.yields
    }

    /// Whether the driver is to go on after it [yielded](Self::yield_now).
    fn takes_turns(&self) -> bool {
        self.yields && !self.attended
    }

    /// Whether the driver yielded, and the standby looked for it before it was back.
    fn has_missed_turn(&self) -> bool {
        self.takes_turns() && !self.is_summoned
    }

    // For the drivers

    /// Whether the driver is not to read: the application is behind, or asked for it.
    fn is_reading_paused(&self) -> bool {
        (self.inbox.is_paused() || self.held) && self.connection.state() != State::Closed
    }

    fn reading_stops(&mut self) {
        self.pauses = self.pauses.wrapping_add(1);
        self.connection.handle_paused();
    }

    /// Notes that the driver is at work, until it [rests](Self::rest) or [yields](Self::yield_now).
    fn attend(&mut self) {
        self.dirty = false;
        self.yields = false;
        self.attended = true;
    }

    /// Lets the driver rest until it is woken, unless there is something left to act on; gives whether it may.
    fn rest(&mut self) -> bool {
        self.attended = self.dirty;
        !self.dirty
    }

    /// Lets other tasks have their turn, and wakes the driver to go on after them.
    fn yield_now(&mut self) {
        self.attended = false;
        self.yields = true;
        self.wake_driver();
    }

    /// Reads `input` until it is used up or the inbox is full; gives how much was read.
    ///
    /// `writable` says whether the transport takes output, so that each Ping can be answered rather than only the
    /// newest.
    fn receive(
        &mut self,
        input: &mut [u8],
        workspace: &mut Workspace,
        writable: bool,
        now: Instant,
    ) -> usize {
        let mut at = 0;
        while at < input.len() {
            let is_behind = self.inbox.size() >= self.limits.receive && self.receiver_alive;
            // What comes after the end is dropped, so that nobody is behind with it.
            if is_behind && self.connection.state() != State::Closed {
                self.inbox.pause();
                self.reading_stops();
                break;
            }
            match self.connection.receive(&mut input[at..], workspace, now) {
                Ok(received) => {
                    at += received.consumed;
                    match received.event {
                        Some(Event::Message(message)) => {
                            self.metrics.received(message.kind(), message.as_bytes().len());
                            if self.receiver_alive {
                                let message = match message.kind() {
                                    _ if !received.takeable => self.inbox.copy_message(message),
                                    MessageKind::Text => workspace.take_text().into(),
                                    MessageKind::Binary => workspace.take_binary().into(),
                                };
                                self.inbox.push_message(message);
                            }
                        }
                        Some(Event::Frame(frame)) => {
                            self.count_frame(frame);
                            if self.receiver_alive {
                                let (opcode, fin) = (frame.opcode, frame.fin);
                                let payload = if received.takeable {
                                    workspace.take_binary().into()
                                } else {
                                    self.inbox.copy(frame.payload)
                                };
                                self.inbox.push_frame(Frame { opcode, fin, payload });
                            }
                        }
                        Some(Event::Chunk(chunk)) => {
                            self.metrics
                                .received_piece(chunk.kind, chunk.payload.len(), chunk.ends_message);
                            if self.receiver_alive {
                                self.inbox.push_chunk(&chunk);
                            }
                        }
                        Some(Event::Ping(payload)) => {
                            self.push_control(|inbox| Frame::ping(inbox.copy(payload)))
                        }
                        Some(Event::Pong(payload)) => {
                            self.pong_received(payload);
                            self.push_control(|inbox| Frame::pong(inbox.copy(payload)));
                        }
                        Some(Event::Close(frame)) => {
                            self.push_control(|_| Frame::from_close(frame));
                            self.peer_close = Some(CloseInfo {
                                code: frame.map_or(1005, |frame| frame.code().get()),
                                reason: frame.map_or("", |frame| frame.reason()).into(),
                                clean: false,
                            });
                            #[cfg(feature = "web")]
                            self.flushed_before_close.get_or_insert(self.flushed);
                            self.wake_writers();
                            self.wake_pings();
                        }
                        None => {}
                    }
                }
                Err(error) => {
                    self.fail(error.into());
                    at = input.len();
                }
            }
            if self.owes_close() && !self.inbox.is_empty() {
                self.last_words.get_or_insert(now + LAST_WORDS);
            }
            if writable {
                self.poll_output(now);
            }
        }
        at
    }

    fn count_frame(&mut self, frame: sockeye_proto::Frame<'_>) {
        self.frames_of = match frame.opcode {
            Opcode::Text => MessageKind::Text,
            Opcode::Binary => MessageKind::Binary,
            _ => self.frames_of,
        };
        self.metrics
            .received_piece(self.frames_of, frame.payload.len(), frame.fin);
    }

    /// Hands a control frame to an application that looks at frames.
    fn push_control(&mut self, frame: impl FnOnce(&Inbox) -> Frame) {
        if self.receiver_alive && self.delivery() == Delivery::Frames {
            let frame = frame(&self.inbox);
            self.inbox.push_frame(frame);
        }
    }

    /// Queues the control frames that are owed; a Close frame not before the application has had its last words.
    fn poll_output(&mut self, now: Instant) {
        // Nothing is left in the inbox and the application asks for more: it has answered what it will.
        let asks = self.reader.is_some() || self.failure_told;
        let answered = !self.receiver_alive || self.hangs_up || (self.inbox.is_empty() && asks);
        if self.last_words.is_none_or(|until| answered || until <= now) {
            self.last_words = None;
            self.connection.poll_output(&mut self.queue);
        }
    }

    /// Whether the peer closed, or broke a rule, and was not sent our Close frame yet.
    fn owes_close(&self) -> bool {
        self.connection.state() != State::Open && self.connection.has_output()
    }

    fn fail(&mut self, error: Error) {
        if let Some(error) = error.protocol() {
            self.metrics.failed(&error);
        } else if error.is_connection_lost() {
            self.metrics.failed(&sockeye_proto::Error::ConnectionLost);
        }
        self.failure.get_or_insert(error);
        self.release();
        self.wake_pings();
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn end(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        // What is lost was queued all the same.
        self.taken = self.queued();
        self.queue = Vec::new();
        self.in_flight = 0;
        let driver = self.driver.take();
        if self.has_standby
            && let Some(driver) = driver
        {
            driver.wake();
        }
        self.is_writing = false;
        self.metrics.closed(self.end_code());
        self.wake_pings();
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        self.wake_writers();
    }

    /// Tells who waits for a message that there is one. A handler is polled in this turn anyway: waking its task would
    /// only make that run once more for nothing.
    fn wake_reader(&mut self) {
        if !self.inbox.is_empty()
            && self.waits != Waits::Joined
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
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
