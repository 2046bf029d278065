//! Takes the messages to be sent.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;

use super::conversation::Conversation;
use super::error::StreamError;
use crate::message::{AsMessage, Message};
use crate::web::DomException;

/// The writable stream of a [`WebSocketStream`](super::WebSocketStream): takes text and bytes, each of them a message.
///
/// Once the connection has ended everything fails with its error, or with an `InvalidStateError` if it was closed
/// cleanly.
///
/// Dropping it closes nothing, as [`close`](Self::close) and [`abort`](Self::abort) do; what was written is sent.
#[derive(Debug)]
pub struct WebSocketWritable {
    conversation: Arc<Conversation>,
    state: State,
}

#[derive(Debug)]
enum State {
    Writing,
    /// By [`close`](WebSocketWritable::close): its outcome is that of the connection.
    Closing,
    Aborted(StreamError),
}

impl WebSocketWritable {
    pub(super) fn new(conversation: Arc<Conversation>) -> Self {
        Self {
            conversation,
            state: State::Writing,
        }
    }

    /// Writes a message: text for strings, binary for bytes. Waits until it was handed to the network, and so for a
    /// peer that is slow to take it.
    ///
    /// # Errors
    ///
    /// - [`WebSocketError`](super::WebSocketError): the connection failed, or was closed by the peer before it had
    ///   taken the message.
    /// - `InvalidStateError`: the connection is closing or closed.
    /// - The reason of [`abort`](Self::abort).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is done, the message was either queued whole, and is sent, or not at all.
    pub async fn write(&mut self, message: impl AsMessage) -> Result<(), StreamError> {
        self.check()?;
        let end = poll_fn(|cx| self.conversation.poll_write(cx, &message)).await?;
        poll_fn(|cx| self.conversation.poll_written(end, cx)).await
    }

    /// Closes the connection with no code, after everything that was written. Waits until it is closed.
    ///
    /// # Errors
    ///
    /// - [`WebSocketError`](super::WebSocketError): the connection was not closed cleanly.
    /// - `InvalidStateError`: it was closed before this was called.
    /// - The reason of [`abort`](Self::abort).
    ///
    /// # Cancel safety
    ///
    /// The closing handshake begins when this is first polled and goes on if the future is dropped.
    pub async fn close(&mut self) -> Result<(), StreamError> {
        poll_fn(|cx| self.poll_closed(cx)).await
    }

    /// Closes the connection; nothing can be written any more, and trying to fails with this reason, or with an
    /// `AbortError` if there is none. What was queued before is sent.
    ///
    /// The peer is sent the code and the reason of a [`WebSocketError`](super::WebSocketError); for every other reason,
    /// and for codes and reasons that no Close frame can carry, a Close frame with no code. Does nothing once the
    /// connection has ended.
    pub fn abort(&mut self, reason: impl Into<Option<StreamError>>) {
        if matches!(self.state, State::Aborted(_)) || self.conversation.outcome().is_some() {
            return;
        }
        let reason = reason.into();
        self.conversation.close_using_reason(reason.as_ref());
        self.state = State::Aborted(reason.unwrap_or_else(|| DomException::abort().into()));
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        match &self.state {
            State::Writing if self.conversation.outcome().is_some() => {
                return Poll::Ready(Err(self.conversation.refusal()));
            }
            State::Writing => {
                self.conversation.close(None);
                self.state = State::Closing;
            }
            State::Closing => {}
            State::Aborted(reason) => return Poll::Ready(Err(reason.clone())),
        }
        let outcome = ready!(self.conversation.poll_ended(cx)).clone();
        Poll::Ready(Ok(outcome.map(|_| ())?))
    }

    fn check(&self) -> Result<(), StreamError> {
        match &self.state {
            State::Writing => Ok(()),
            State::Closing => Err(self.conversation.refusal()),
            State::Aborted(reason) => Err(reason.clone()),
        }
    }
}

/// Flushing waits until everything that was written was handed to the network; closing is
/// [`close`](WebSocketWritable::close).
impl Sink<Message> for WebSocketWritable {
    type Error = StreamError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.check()?;
        self.conversation.poll_room(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), StreamError> {
        self.check()?;
        self.conversation.write(&message).map(|_| ())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.conversation.poll_written(self.conversation.newest(), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        self.poll_closed(cx)
    }
}
