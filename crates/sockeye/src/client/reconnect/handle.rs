//! The handles of a client that comes back.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use sockeye_proto::{CloseCode, CloseFrame};

use super::builder::ReconnectBuilder;
use super::cause::GaveUp;
use super::event::Events;
use super::queue::{Receipt, SendError, WhenFull};
use super::shared::{Ended, Shared, Source, State};
use crate::error::{Error, Result};
use crate::message::Message;
use crate::session::CloseInfo;
use crate::websocket;

/// A client that comes back: it looks like one WebSocket, and is one after the other.
///
/// The [module](super) says what it promises.
///
/// Received messages arrive here from all connections in turn. Back-pressure works as on a
/// [`WebSocket`](crate::WebSocket): what the application does not take stops the reading. While 64 KiB or more of what
/// connections left that have ended wait to be taken, no further attempt is made.
///
/// # Dropping
///
/// When all handles are dropped (this one, its halves, clones of its [`Sender`]), the client is closed with 1000, as by
/// [`close`](Self::close).
#[derive(Debug)]
pub struct Reconnecting {
    sender: Sender,
    receiver: Receiver,
}

/// The sending half of a [`Reconnecting`] client. Clone it for every task that sends.
#[derive(Clone, Debug)]
pub struct Sender {
    shared: Arc<Shared>,
    when_full: WhenFull,
    _alive: Arc<Alive>,
}

/// The receiving half of a [`Reconnecting`] client.
///
/// Dropping it alone drops what is received from then on.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    /// The connection whose messages are being taken.
    current: Option<(u64, websocket::Receiver)>,
    /// Where the last message came from.
    connection: u64,
    told: bool,
    _alive: Arc<Alive>,
}

/// Closes the client when the last handle is gone.
#[derive(Debug)]
struct Alive(Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.stop(CloseCode::NORMAL, String::new());
    }
}

impl Reconnecting {
    /// Starts from the defaults. See [`ReconnectBuilder`].
    pub fn builder(url: impl Into<String>) -> ReconnectBuilder {
        ReconnectBuilder::new(url.into())
    }

    pub(super) fn new(shared: Arc<Shared>, when_full: WhenFull) -> Self {
        let alive = Arc::new(Alive(shared.clone()));
        Self {
            sender: Sender {
                shared: shared.clone(),
                when_full,
                _alive: alive.clone(),
            },
            receiver: Receiver {
                shared,
                current: None,
                connection: 0,
                told: false,
                _alive: alive,
            },
        }
    }

    /// Receives the next message, of whichever connection; `None` once the client was closed.
    ///
    /// # Errors
    ///
    /// The client has given up. Told once, after all messages that came before it; then `None`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a message is either returned or still there.
    pub async fn recv(&mut self) -> Result<Option<Message>, GaveUp> {
        self.receiver.recv().await
    }

    /// The number of the connection that the last received message came from; 0 before the first.
    #[must_use]
    pub fn received_from(&self) -> u64 {
        self.receiver.received_from()
    }

    /// Queues a message for the open connection, or for the next one. See [`Sender::send`].
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped before it is done, nothing is queued.
    pub async fn send(&self, message: impl Into<Message>) -> Result<Receipt, SendError> {
        self.sender.send(message).await
    }

    /// Waits until each message sent so far has its [`Fate`](super::Fate). See [`Sender::flush`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn flush(&self) {
        self.sender.flush().await;
    }

    /// Waits for an open connection. See [`Sender::opened`].
    ///
    /// # Errors
    ///
    /// The client has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn opened(&self) -> Result<u64> {
        self.sender.opened().await
    }

    /// The steps of the client. See [`Sender::events`].
    #[must_use]
    pub fn events(&self) -> Events {
        self.sender.events()
    }

    /// Makes the next attempt at once. See [`Sender::reconnect_now`].
    pub fn reconnect_now(&self) {
        self.sender.reconnect_now();
    }

    /// Says that the network may have changed. See [`Sender::network_changed`].
    pub fn network_changed(&self) {
        self.sender.network_changed();
    }

    /// Says that the peer has acknowledged a message. See [`Sender::acknowledge`].
    pub fn acknowledge(&self, id: u64) -> bool {
        self.sender.acknowledge(id)
    }

    /// Ends the client and waits until it has ended.
    ///
    /// If a connection is open, it is given everything queued, then closed; what it still receives is dropped.
    /// Otherwise the client ends at once, and what is queued is [`Unsent`](super::Fate::Unsent): to have it sent first,
    /// wait for [`flush`](Self::flush). Gives what the peer answered to the close, `None` if no connection was open.
    ///
    /// # Errors
    ///
    /// `reason` is longer than 123 bytes ([`Error::is_config`]); the connection failed before it had closed; the
    /// client had given up before.
    ///
    /// # Cancel safety
    ///
    /// The client begins to end when this is called, and goes on if the future is dropped.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Option<CloseInfo>> {
        self.sender.start_close(code, reason)?;
        self.receiver.discard();
        self.sender.closed().await
    }

    /// Splits the client into two halves, for two tasks.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// A further sending handle, cheap to make, to keep, and to use from any task.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }
}

impl Sender {
    /// Queues a message for the open connection, or for the next one.
    ///
    /// Returns once the message is queued, which is at once unless the queue is [full](WhenFull).
    ///
    /// # Errors
    ///
    /// The client has ended or is closing; the message is larger than the queue; the queue is full and
    /// [`WhenFull::Reject`] was chosen. The message is in the error.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped before it is done, nothing is queued.
    pub async fn send(&self, message: impl Into<Message>) -> Result<Receipt, SendError> {
        match self.try_send(message) {
            Err(SendError::Full(message)) => self.send_with(|_| message).await,
            result => result,
        }
    }

    /// As [`send`](Self::send), for a message that says its own [number](Receipt::id), for the peer to acknowledge it.
    ///
    /// ```no_run
    /// # async fn example(sender: sockeye::reconnect::Sender) -> sockeye::Result<()> {
    /// let receipt = sender.send_with(|id| format!(r#"{{"id":{id},"order":"salmon"}}"#)).await?;
    /// println!("number {}", receipt.id());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// As [`send`](Self::send). The number of a message that was not queued goes to the next.
    pub async fn send_with<M: Into<Message>>(
        &self,
        message: impl FnOnce(u64) -> M,
    ) -> Result<Receipt, SendError> {
        let _in_line = InLine::join(&self.shared);
        let _turn = self.shared.turn.lock().await;
        // Nobody else takes it: it is our turn.
        let id = self.shared.lock().queue.next_id();
        let mut message = Some(message(id).into());
        let push = |state: &mut State| match push(state, message.take()?, None, self.when_full) {
            Err(SendError::Full(back)) if self.when_full != WhenFull::Reject => {
                message = Some(back);
                None
            }
            result => Some(result),
        };
        let result = self.shared.find(push).await;
        self.shared.change(|_| ());
        result
    }

    /// Queues a message if there is room for it at once.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::Full`] where that would wait: for room, or for others who came before,
    /// be it for the moment in which [`send_with`](Self::send_with) makes a message.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<Receipt, SendError> {
        self.queue_at_once(message.into(), |_| Ok(None))
    }

    /// Sends a message on the connection that is open now, and on no other: for what has no meaning on the next one,
    /// such as the end of a subscription.
    ///
    /// If the connection ends before it was given the message, the fate is [`Unsent`](super::Fate::Unsent). Never waits.
    ///
    /// # Errors
    ///
    /// As [`try_send`](Self::try_send), and [`SendError::NotOpen`] if there is no open connection.
    pub fn send_now(&self, message: impl Into<Message>) -> Result<Receipt, SendError> {
        self.queue_at_once(message.into(), |state| state.open.map(Some).ok_or(()))
    }

    /// `only` gives the connection that the message is meant for.
    fn queue_at_once(
        &self,
        message: Message,
        only: impl FnOnce(&State) -> Result<Option<u64>, ()>,
    ) -> Result<Receipt, SendError> {
        self.shared.change(|state| match only(state) {
            _ if state.has_ended() => Err(SendError::Ended(message)),
            Err(()) => Err(SendError::NotOpen(message)),
            Ok(_) if state.in_line > 0 && !state.queue.is_too_large(message.len()) => {
                Err(SendError::Full(message))
            }
            Ok(only) => push(state, message, only, self.when_full),
        })
    }

    /// Says that the peer has acknowledged the message with this number, so that it is not sent again
    /// ([`Promise::AtLeastOnce`](super::Promise::AtLeastOnce)); gives whether the message was waiting for that.
    ///
    /// A number that no connection was given, or that was acknowledged before, changes nothing; nor does any with
    /// [`Promise::AtMostOnce`](super::Promise::AtMostOnce).
    pub fn acknowledge(&self, id: u64) -> bool {
        self.shared.change(|state| state.queue.acknowledge(id))
    }

    /// As [`acknowledge`](Self::acknowledge), for all messages up to this number; gives how many were waiting for that.
    pub fn acknowledge_through(&self, id: u64) -> usize {
        self.shared.change(|state| state.queue.acknowledge_through(id))
    }

    /// Waits until each message sent so far has its [`Fate`](super::Fate): the transport has it, or the peer has
    /// acknowledged it, or it is known to be lost, or the client has ended. The [`Receipt`]s tell which.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn flush(&self) {
        let next = self.shared.lock().queue.next_id();
        self.shared
            .find(|state| state.queue.is_settled_before(next).then_some(()))
            .await;
    }

    /// Waits until a connection is open; gives its number.
    ///
    /// # Errors
    ///
    /// The client has given up, or has ended otherwise ([`Error::is_closed`]).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn opened(&self) -> Result<u64> {
        self.shared
            .find(|state| match (&state.ended, state.open) {
                (Some(ended), _) => Some(Err(match ended.clone() {
                    Ended::GaveUp(gave_up) => gave_up.into(),
                    Ended::Failed(error) => error,
                    Ended::Closed(_) => sockeye_proto::SendError::Closed.into(),
                })),
                (None, open) => open.map(Ok),
            })
            .await
    }

    /// The number of the open connection, `None` if there is none.
    #[must_use]
    pub fn connection(&self) -> Option<u64> {
        self.shared.lock().open
    }

    /// Messages that have no fate yet, and the bytes of their payloads.
    #[must_use]
    pub fn queued(&self) -> (usize, usize) {
        let state = self.shared.lock();
        (state.queue.len(), state.queue.bytes())
    }

    /// The steps of the client from now on; for the first who asks, from the start, as far as they are kept.
    #[must_use]
    pub fn events(&self) -> Events {
        self.shared.events()
    }

    /// Makes the next attempt at once, if the client is waiting for its time. Otherwise nothing changes.
    pub fn reconnect_now(&self) {
        self.shared.change(|state| state.hurry = true);
    }

    /// Says that the network may have changed: another interface, back from sleep. Failures so far are forgotten. A
    /// wait ends, an attempt that is under way starts anew, and an open connection is probed with a Ping and dropped
    /// if the Pong does not come within
    /// [`probe_timeout`](super::ReconnectBuilder::probe_timeout). While the application is behind nothing is read, no
    /// Pong either: that time does not count.
    pub fn network_changed(&self) {
        self.shared.change(|state| state.network_changed = true);
    }

    /// Begins to end the client. See [`Reconnecting::close`]. Does nothing if that has begun.
    ///
    /// The receiving half gets what the peer still sends, then `None`. If nobody takes that, the connection is dropped
    /// after 30 s.
    ///
    /// # Errors
    ///
    /// `reason` is longer than 123 bytes.
    pub fn start_close(&self, code: CloseCode, reason: &str) -> Result<()> {
        CloseFrame::new(code, reason).map_err(|error| Error::config(error.to_string()))?;
        self.shared.stop(code, reason.to_owned());
        Ok(())
    }

    /// Waits until the client has ended; gives what the peer answered to the close, `None` if no connection was open.
    ///
    /// # Errors
    ///
    /// The client has given up, or its connection failed while it was being closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn closed(&self) -> Result<Option<CloseInfo>> {
        match self.shared.find(|state| state.ended.clone()).await {
            Ended::Closed(info) => Ok(info),
            Ended::Failed(error) => Err(error),
            Ended::GaveUp(gave_up) => Err(gave_up.into()),
        }
    }
}

/// A place in the line of those who send: nobody passes them.
struct InLine<'a>(&'a Shared);

impl<'a> InLine<'a> {
    fn join(shared: &'a Shared) -> Self {
        shared.lock().in_line += 1;
        Self(shared)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.lock().in_line -= 1;
    }
}

fn push(
    state: &mut State,
    message: Message,
    only: Option<u64>,
    when_full: WhenFull,
) -> Result<Receipt, SendError> {
    let length = message.len();
    if state.has_ended() {
        Err(SendError::Ended(message))
    } else if state.queue.is_too_large(length) {
        Err(SendError::TooLarge(message))
    } else if state.queue.has_room(length)
        || (when_full == WhenFull::DropOldest && state.queue.make_room(length))
    {
        Ok(state.queue.push(message, only))
    } else {
        Err(SendError::Full(message))
    }
}

impl Receiver {
    /// Receives the next message. See [`Reconnecting::recv`].
    ///
    /// # Errors
    ///
    /// The client has given up. Told once, after all messages that came before it; then `None`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a message is either returned or still there.
    pub async fn recv(&mut self) -> Result<Option<Message>, GaveUp> {
        poll_fn(|cx| self.poll_recv(cx)).await.transpose()
    }

    /// The number of the connection that the last message came from; 0 before the first. A number that is larger than
    /// the last one says that there may be a gap between the two messages.
    #[must_use]
    pub fn received_from(&self) -> u64 {
        self.connection
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, GaveUp>>> {
        loop {
            if let Some((connection, receiver)) = &mut self.current {
                match ready!(Pin::new(receiver).poll_next(cx)) {
                    Some(Ok(message)) => {
                        self.connection = *connection;
                        return Poll::Ready(Some(Ok(message)));
                    }
                    Some(Err(error)) if error.is_delivery() => {
                        self.current = None;
                        self.shared.change(|state| state.unusable = Some(error));
                    }
                    // How a connection ended is for the task to judge.
                    Some(Err(_)) => {}
                    None => self.current = None,
                }
                continue;
            }
            match ready!(self.shared.poll_source(cx)) {
                Source::Message(connection, message) => {
                    self.connection = connection;
                    return Poll::Ready(Some(Ok(message)));
                }
                Source::Receiver(connection, receiver) => self.current = Some((connection, receiver)),
                Source::Ended(ended) => {
                    let told = std::mem::replace(&mut self.told, true);
                    return Poll::Ready(match ended {
                        Ended::GaveUp(gave_up) if !told => Some(Err(gave_up)),
                        _ => None,
                    });
                }
            }
        }
    }

    /// Drops what is received from now on.
    fn discard(&mut self) {
        self.current = None;
        self.shared.receiver_dropped();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.discard();
    }
}

impl Stream for Receiver {
    type Item = Result<Message, GaveUp>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(cx)
    }
}

impl Stream for Reconnecting {
    type Item = Result<Message, GaveUp>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(cx)
    }
}
