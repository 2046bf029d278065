//! The messages that arrive.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::conversation::Conversation;
use super::error::StreamError;
use crate::message::Message;

/// The readable stream of a [`WebSocketStream`](super::WebSocketStream): one chunk for each message, text or bytes.
///
/// What had arrived when the connection ended can still be read. Then it ends, if the connection was closed cleanly, and
/// fails with the error of the connection otherwise.
///
/// Dropping it throws away what arrives; it does not close the connection, as [`cancel`](Self::cancel) does.
#[derive(Debug)]
pub struct WebSocketReadable {
    conversation: Arc<Conversation>,
    /// As a `Stream` it has said how it ended.
    ended: bool,
}

impl WebSocketReadable {
    pub(super) fn new(conversation: Arc<Conversation>) -> Self {
        Self {
            conversation,
            ended: false,
        }
    }

    /// Reads the next message; `None` once the connection was closed cleanly, or reading was [canceled](Self::cancel).
    ///
    /// # Errors
    ///
    /// [`WebSocketError`](super::WebSocketError): the connection was not closed cleanly. Each further call says it
    /// again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a message is either returned or still there.
    pub async fn read(&mut self) -> Result<Option<Message>, StreamError> {
        poll_fn(|cx| self.conversation.poll_read(cx)).await
    }

    /// Closes the connection and throws away what arrived and arrives. The peer is sent the code and the reason of a
    /// [`WebSocketError`](super::WebSocketError); for every other reason, and for codes and reasons that no Close frame
    /// can carry, a Close frame with no code.
    pub fn cancel(&mut self, reason: impl Into<Option<StreamError>>) {
        self.conversation.close_using_reason(reason.into().as_ref());
        self.conversation.stop_reading();
    }
}

/// Ends after an error, which [`read`](WebSocketReadable::read) repeats.
impl Stream for WebSocketReadable {
    type Item = Result<Message, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = ready!(self.conversation.poll_read(cx)).transpose();
        self.ended = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}

impl Drop for WebSocketReadable {
    fn drop(&mut self) {
        self.conversation.stop_reading();
    }
}
