//! What other threads, and tasks, want of a worker; and the handles that they do it by.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use sockeye_proto::{CloseCode, CloseFrame, Compress, Prepared, ReasonTooLong};
use tokio::sync::{mpsc, oneshot};

use super::desk::Question;
use crate::Message;
use crate::driver::{Key, Waker};
use crate::hub::{Hub, Post, PublishError, SubscribeError, Topic};
use crate::message::AsMessage;
use crate::server::{Address, Drain, Reached};

/// What a worker is asked for, in order.
pub(crate) struct Mailbox {
    letters: Mutex<VecDeque<Letter>>,
    /// Something is in it that the worker was woken for.
    is_full: AtomicBool,
    /// The worker is gone. Changed under the lock only.
    is_closed: AtomicBool,
    waker: OnceLock<Waker>,
}

/// Something that a worker is asked to do.
#[derive(Debug)]
pub(crate) enum Letter {
    /// Something about one socket, if that is still there.
    Socket(Key, Order),
    /// Something was published that concerns this worker.
    Published(Arc<Post>),
    /// A task has done something with its connection.
    Rung(Key),
    /// A task wants a handler to be asked.
    Ask(Key, Box<Question>),
    /// Take over a connection that was accepted elsewhere, at this address.
    Accepted(OwnedFd, Arc<Address>),
    /// Accept on this socket.
    Listen(OwnedFd, Arc<Address>),
    /// Close the listening sockets of an address, or all; then drop the sender.
    StopListening(Option<Address>, mpsc::UnboundedSender<()>),
    /// Close all WebSockets, and say how many that were.
    CloseAll(CloseCode, Box<str>, mpsc::UnboundedSender<Reached>),
    /// Send a message to all WebSockets, and say how many that were.
    Broadcast(Prepared, mpsc::UnboundedSender<Reached>),
    /// Name the open WebSockets.
    List(mpsc::UnboundedSender<Vec<Listed>>),
    /// Close all WebSockets over the spread of the drain.
    Drain(Arc<Drain>),
    /// Drop what is left, and end.
    Stop,
}

/// An open WebSocket in a list.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The number of its connection.
    pub(crate) id: u64,
    pub(crate) peer: Option<Address>,
    /// The pattern of its route.
    pub(crate) route: Arc<str>,
    pub(crate) handle: SocketHandle,
}

/// Something to do with a socket.
#[derive(Debug)]
pub(crate) enum Order {
    Send(Message, Compress, Waiting),
    SendPrepared(Prepared, Waiting),
    Ping(Bytes, Waiting),
    Close(Option<(CloseCode, Box<str>)>),
    CloseAfterFlush(CloseCode, Box<str>),
    Abort,
    /// Pause or resume, whichever was asked for last.
    Receive(Arc<Identity>),
    Subscribe {
        topic: Topic,
        history: usize,
        reply: oneshot::Sender<Result<bool, SubscribeError>>,
        waiting: Waiting,
    },
    Unsubscribe(Topic, Waiting),
    /// How much of these waits, the hub limits.
    Publish(Box<Post>),
    Topics(oneshot::Sender<Vec<Topic>>, Waiting),
}

impl Mailbox {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            letters: Mutex::default(),
            is_full: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            waker: OnceLock::new(),
        })
    }

    /// Says how the worker is woken. What was posted before is found by its first look.
    pub(super) fn attach(&self, waker: Waker) {
        let _ = self.waker.set(waker);
    }

    /// Asks the worker for something; gives whether there is a worker.
    pub(crate) fn post(&self, letter: Letter) -> bool {
        {
            let mut letters = self.lock();
            if self.is_closed.load(Ordering::Relaxed) {
                return false;
            }
            letters.push_back(letter);
        }
        self.notify();
        true
    }

    /// The same for several, in this order.
    pub(super) fn post_all(&self, letters: impl Iterator<Item = Letter>) {
        {
            let mut waiting = self.lock();
            if self.is_closed.load(Ordering::Relaxed) {
                return;
            }
            waiting.extend(letters);
        }
        self.notify();
    }

    /// Whether there is something that the worker was woken for and has not taken.
    pub(super) fn has_letters(&self) -> bool {
        self.is_full.load(Ordering::Acquire)
    }

    /// Wakes the worker, once until it looks.
    fn notify(&self) {
        if !self.is_full.swap(true, Ordering::AcqRel)
            && let Some(waker) = self.waker.get()
        {
            waker.wake();
        }
    }

    /// Takes all letters.
    pub(super) fn take(&self, into: &mut VecDeque<Letter>) {
        // Most turns find it empty, and a look costs less than a change.
        if self.is_full.load(Ordering::Acquire) && self.is_full.swap(false, Ordering::AcqRel) {
            into.append(&mut self.lock());
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Takes no letters any more.
    pub(super) fn close(&self) {
        let letters = {
            let mut letters = self.lock();
            self.is_closed.store(true, Ordering::Relaxed);
            std::mem::take(&mut *letters)
        };
        // Who waits for an answer learns by this that there is none.
        drop(letters);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

/// Which socket a handle is for.
#[derive(Debug)]
pub(crate) struct Identity {
    mailbox: Arc<Mailbox>,
    hub: Arc<Hub>,
    key: Key,
    is_gone: AtomicBool,
    /// How many bytes may wait in the mailbox, and how many do.
    most: usize,
    waiting: AtomicUsize,
    /// The ways to end it that were asked for: each is asked of the worker once.
    ends: AtomicU8,
    /// What was asked for about receiving, while that waits for the worker: only the last of it counts.
    receiving: AtomicU8,
}

/// Bits of [`Identity::ends`].
const CLOSE: u8 = 1;
const CLOSE_AFTER_FLUSH: u8 = 1 << 1;
const ABORT: u8 = 1 << 2;

/// Values of [`Identity::receiving`].
const NOTHING: u8 = 0;
const PAUSE: u8 = 1;
const RESUME: u8 = 2;

/// Something that waits in a mailbox. Its bytes count until this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    identity: Arc<Identity>,
    bytes: usize,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.identity.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Identity {
    pub(super) fn new(mailbox: Arc<Mailbox>, hub: Arc<Hub>, key: Key, most: usize) -> Self {
        Self {
            mailbox,
            hub,
            key,
            is_gone: AtomicBool::new(false),
            most,
            waiting: AtomicUsize::new(0),
            ends: AtomicU8::new(0),
            receiving: AtomicU8::new(NOTHING),
        }
    }

    /// Lets so many bytes wait, and what goes with each letter, if there is room. A single one may wait however long it is.
    fn wait(self: &Arc<Self>, bytes: usize) -> Option<Waiting> {
        let bytes = bytes.saturating_add(size_of::<Letter>());
        let room = |waiting: usize| {
            let sum = waiting.checked_add(bytes)?;
            (waiting == 0 || sum <= self.most).then_some(sum)
        };
        self.waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .ok()?;
        Some(Waiting {
            identity: Arc::clone(self),
            bytes,
        })
    }

    /// Takes what was asked for about receiving: `false` is to pause.
    pub(super) fn take_receiving(&self) -> Option<bool> {
        match self.receiving.swap(NOTHING, Ordering::AcqRel) {
            NOTHING => None,
            asked => Some(asked == RESUME),
        }
    }

    /// The socket is closed.
    pub(super) fn retire(&self) {
        self.is_gone.store(true, Ordering::Release);
    }
}

/// A handle to a WebSocket of a [`Handler`](super::Handler), for any thread. Cloning it is cheap, and it does not keep
/// the connection open.
///
/// What is asked of a WebSocket through its handles is done in that order, by its worker. Until the worker comes to it, it
/// waits; what a WebSocket's handles ask for takes [`QueueLimits::send`](crate::QueueLimits::send) bytes at most (1 MiB by
/// default), each message counted with its length and everything with a hundred bytes or so. Beyond, a call says that it
/// was [`Full`](Unsent::Full), and can be made again a little later. What is published counts for
/// [`HubConfig::max_in_transit`](crate::hub::HubConfig::max_in_transit) instead. To close, to abort, to pause and to resume
/// need no room.
#[derive(Clone)]
pub struct SocketHandle(Arc<Identity>);

/// The WebSocket is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the WebSocket is closed")]
pub struct Gone;

/// Why a [`SocketHandle`] did not take a message, or what else it was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unsent {
    /// The WebSocket is closed.
    #[error("the WebSocket is closed")]
    Gone,
    /// [`QueueLimits::send`](crate::QueueLimits::send) bytes wait for the worker of the WebSocket, which has not come to
    /// them yet.
    #[error("too much waits for the worker of the WebSocket")]
    Full,
}

impl From<Gone> for Unsent {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// About what the way takes by which an answer comes back, in bytes.
const ANSWER: usize = 128;

impl From<Unsent> for SubscribeError {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Gone => Self::Closed,
            Unsent::Full => Self::Full,
        }
    }
}

impl SocketHandle {
    pub(super) fn new(identity: Arc<Identity>) -> Self {
        Self(identity)
    }

    /// Whether the WebSocket is closed.
    pub fn is_gone(&self) -> bool {
        self.0.is_gone.load(Ordering::Acquire)
    }

    /// Sends a message. If too much waits for the peer, [`Handler::dropped`](super::Handler::dropped) is told.
    ///
    /// # Errors
    /// The WebSocket is closed; it may also close before the message is sent. Or up to
    /// [`QueueLimits::send`](crate::QueueLimits::send) bytes, with about a hundred for each message, were asked to be sent
    /// through handles of this WebSocket, and its worker has not come to them yet: send again a little later. The policy for
    /// slow peers does not come into it: the peer may be as fast as can be.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), Unsent> {
        self.send_with(message, Compress::Auto)
    }

    /// Sends a message, with the choice whether to compress it.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_with(&self, message: impl Into<Message>, compress: Compress) -> Result<(), Unsent> {
        let message = message.into();
        let waiting = self.wait(message.as_message().as_bytes().len())?;
        Ok(self.order(Order::Send(message, compress, waiting))?)
    }

    /// Sends a message that was framed ahead.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_prepared(&self, message: &Prepared) -> Result<(), Unsent> {
        let waiting = self.wait(message.as_bytes().len())?;
        Ok(self.order(Order::SendPrepared(message.clone(), waiting))?)
    }

    /// Sends a Ping; one with a payload of more than 125 bytes is not sent.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn ping(&self, payload: impl Into<Bytes>) -> Result<(), Unsent> {
        let payload = payload.into();
        let waiting = self.wait(payload.len())?;
        Ok(self.order(Order::Ping(payload, waiting))?)
    }

    /// Starts the closing handshake, as [`Socket::close`](super::Socket::close) does. On a WebSocket that is closed it
    /// does nothing.
    ///
    /// # Errors
    /// The reason is longer than 123 bytes.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), ReasonTooLong> {
        CloseFrame::new(code, reason)?;
        self.end(CLOSE, || Order::Close(Some((code, reason.into()))));
        Ok(())
    }

    /// Closes without waiting for the peer, as [`Socket::close_after_flush`](super::Socket::close_after_flush) does.
    ///
    /// # Errors
    /// The reason is longer than 123 bytes.
    pub fn close_after_flush(&self, code: CloseCode, reason: &str) -> Result<(), ReasonTooLong> {
        CloseFrame::new(code, reason)?;
        self.end(CLOSE_AFTER_FLUSH, || Order::CloseAfterFlush(code, reason.into()));
        Ok(())
    }

    /// Drops the connection without a word.
    pub fn abort(&self) {
        self.end(ABORT, || Order::Abort);
    }

    /// Stops receiving, as [`Socket::pause`](super::Socket::pause) does. If [`resume`](Self::resume) is asked for before the
    /// worker comes to this, only that is done, in the place that this had.
    ///
    /// # Errors
    /// The WebSocket is closed.
    pub fn pause(&self) -> Result<(), Gone> {
        self.receive(PAUSE)
    }

    /// Receives again.
    ///
    /// # Errors
    /// The WebSocket is closed.
    pub fn resume(&self) -> Result<(), Gone> {
        self.receive(RESUME)
    }

    /// Subscribes the WebSocket to a topic, or a pattern, as [`Socket::subscribe`](super::Socket::subscribe) does. The
    /// future tells what came of it: whether it was not subscribed yet.
    ///
    /// It is asked for by this call, in order with all else that is asked for through its handles, and done whether or not
    /// the future is awaited: drop it to not know.
    ///
    /// # Errors
    /// As there; or too much waits for the worker.
    pub fn subscribe(
        &self,
        topic: &str,
    ) -> impl Future<Output = Result<bool, SubscribeError>> + Send + use<> {
        self.subscribe_with_history(topic, 0)
    }

    /// Subscribes the WebSocket, and sends it up to `history` messages of before, as
    /// [`Socket::subscribe_with_history`](super::Socket::subscribe_with_history) does; otherwise as
    /// [`subscribe`](Self::subscribe).
    ///
    /// # Errors
    /// As there; or too much waits for the worker.
    pub fn subscribe_with_history(
        &self,
        topic: &str,
        history: usize,
    ) -> impl Future<Output = Result<bool, SubscribeError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let asked = self
            .0
            .hub
            .subscription(topic)
            .map_err(SubscribeError::from)
            .and_then(|topic| {
                let waiting = self.wait(topic.as_str().len() + ANSWER)?;
                let order = Order::Subscribe {
                    topic,
                    history,
                    reply,
                    waiting,
                };
                self.order(order).map_err(|Gone| SubscribeError::Closed)
            });
        async move {
            asked?;
            // Who is closed before it is its turn does not answer.
            answer.await.unwrap_or(Err(SubscribeError::Closed))
        }
    }

    /// Ends a subscription, if there is one. What was published before is still sent.
    ///
    /// # Errors
    /// The WebSocket is closed, or too much waits for the worker.
    pub fn unsubscribe(&self, topic: &str) -> Result<(), Unsent> {
        // Nobody is subscribed to what is no topic.
        let Ok(topic) = self.0.hub.subscription(topic) else {
            return Ok(());
        };
        let waiting = self.wait(topic.as_str().len())?;
        Ok(self.order(Order::Unsubscribe(topic, waiting))?)
    }

    /// Publishes a message to all subscribers of a topic but this WebSocket, on all workers, behind what was sent or
    /// published through this handle before. To publish beside any WebSocket there is
    /// [`Publisher`](crate::hub::Publisher).
    ///
    /// # Errors
    /// The topic has no valid name; or too much is on its way between threads, see
    /// [`HubConfig::max_in_transit`](crate::hub::HubConfig::max_in_transit); or the WebSocket is closed. Nobody gets the
    /// message then.
    pub fn publish(&self, topic: &str, message: impl AsMessage) -> Result<(), PublishError> {
        self.publish_with(topic, message, Compress::Auto)
    }

    /// Publishes a message, with the choice whether to compress it.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_with(
        &self,
        topic: &str,
        message: impl AsMessage,
        compress: Compress,
    ) -> Result<(), PublishError> {
        self.post(topic, message.as_message().into(), compress)
    }

    /// Publishes a message that was framed ahead.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_prepared(&self, topic: &str, message: &Prepared) -> Result<(), PublishError> {
        self.post(topic, message.clone(), Compress::Auto)
    }

    fn post(&self, topic: &str, message: Prepared, compress: Compress) -> Result<(), PublishError> {
        let post = self.0.hub.post_to(topic, message, compress)?;
        let order = Order::Publish(Box::new(post));
        self.order(order).map_err(|Gone| PublishError::Closed)
    }

    /// The topics and patterns that the WebSocket is subscribed to when its worker comes to this, in no certain order.
    ///
    /// # Errors
    /// The WebSocket is closed, or too much waits for the worker.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn topics(&self) -> Result<Vec<Topic>, Unsent> {
        let (reply, answer) = oneshot::channel();
        let waiting = self.wait(ANSWER)?;
        self.order(Order::Topics(reply, waiting))?;
        answer.await.map_err(|_| Unsent::Gone)
    }

    /// Asks for an end of the WebSocket, if this one was not asked for before: that stands, or the WebSocket is gone.
    fn end(&self, way: u8, order: impl FnOnce() -> Order) {
        if self.0.ends.fetch_or(way, Ordering::Relaxed) & way == 0 {
            let _ = self.order(order());
        }
    }

    /// Asks for a pause, or the end of one, in place of what was asked for and not done yet.
    fn receive(&self, asked: u8) -> Result<(), Gone> {
        if self.is_gone() {
            return Err(Gone);
        }
        match self.0.receiving.swap(asked, Ordering::AcqRel) {
            NOTHING => self.order(Order::Receive(Arc::clone(&self.0))),
            _ => Ok(()),
        }
    }

    /// Room in the mailbox.
    fn wait(&self, bytes: usize) -> Result<Waiting, Unsent> {
        if self.is_gone() {
            return Err(Unsent::Gone);
        }
        self.0.wait(bytes).ok_or(Unsent::Full)
    }

    fn order(&self, order: Order) -> Result<(), Gone> {
        let Identity { mailbox, key, .. } = &*self.0;
        if self.is_gone() || !mailbox.post(Letter::Socket(*key, order)) {
            return Err(Gone);
        }
        Ok(())
    }
}

impl fmt::Debug for SocketHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketHandle")
            .field("is_gone", &self.is_gone())
            .finish_non_exhaustive()
    }
}
