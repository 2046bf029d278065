//! The two halves of a WebSocket.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use sockeye_proto::{CloseCode, Compress};

use super::{Agreement, close_frame};
use crate::error::{Error, Kind, Result};
use crate::message::{AsMessage, Chunk, Message};
use crate::session::{CloseInfo, Incoming, Shared};

/// The sending half of a [`WebSocket`](super::WebSocket).
///
/// Clone it for every task that sends. Whole messages of different clones never mix; a message sent in
/// [fragments](Self::send_fragment) keeps the others out until it is complete.
#[derive(Debug)]
pub struct Sender {
    shared: Arc<Shared>,
    agreement: Arc<Agreement>,
}

impl Sender {
    pub(super) fn new(shared: Arc<Shared>, agreement: Arc<Agreement>) -> Self {
        Self { shared, agreement }
    }

    /// Sends a message. See [`WebSocket::send`](super::WebSocket::send).
    ///
    /// # Errors
    ///
    /// The connection is closing or closed ([`Error::is_closed`]).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped before it is done, nothing of the message is sent.
    pub async fn send(&self, message: impl AsMessage) -> Result<()> {
        self.send_with(message, Compress::Auto).await
    }

    /// As [`send`](Self::send), with the choice whether to compress.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as [`send`](Self::send).
    pub async fn send_with(&self, message: impl AsMessage, compress: Compress) -> Result<()> {
        poll_fn(|cx| {
            let mut session = self.shared.lock();
            ready!(session.poll_room(cx))?;
            Poll::Ready(session.send(message.as_message(), compress))
        })
        .await
    }

    /// Sends a message if there is room for it at once; gives whether there was.
    ///
    /// # Errors
    ///
    /// The connection is closing or closed.
    pub fn try_send(&self, message: impl AsMessage) -> Result<bool> {
        let mut session = self.shared.lock();
        if !session.has_room() {
            return Ok(false);
        }
        session.send(message.as_message(), Compress::Auto).map(|()| true)
    }

    /// Sends one fragment of a message; `fin` marks the last one. Fragments of one message are all text or all
    /// binary.
    ///
    /// # Errors
    ///
    /// The connection is closing or closed, or the fragment is of another kind than its message.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as [`send`](Self::send).
    pub async fn send_fragment(&self, fragment: impl AsMessage, fin: bool) -> Result<()> {
        poll_fn(|cx| {
            self.shared.lock().poll_command(cx, |connection, queue| {
                connection.send_fragment(fragment.as_message(), fin, Compress::Auto, queue)
            })
        })
        .await
    }

    /// Sends a Ping; its payload may be 125 bytes long.
    ///
    /// # Errors
    ///
    /// The connection is closing or closed, or the payload is too long.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as [`send`](Self::send).
    pub async fn ping(&self, payload: &[u8]) -> Result<()> {
        poll_fn(|cx| {
            self.shared
                .lock()
                .poll_command(cx, |connection, queue| connection.ping(payload, queue))
        })
        .await
    }

    /// Sends a Pong that nobody asked for, as a sign of life (RFC 6455 §5.5.3). Pings are answered without it.
    ///
    /// # Errors
    ///
    /// The connection is closing or closed, or the payload is too long.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as [`send`](Self::send).
    pub async fn pong(&self, payload: &[u8]) -> Result<()> {
        poll_fn(|cx| {
            self.shared
                .lock()
                .poll_command(cx, |connection, queue| connection.pong(payload, queue))
        })
        .await
    }

    /// Waits until everything sent so far was handed to the transport.
    ///
    /// # Errors
    ///
    /// The connection ended first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn flush(&self) -> Result<()> {
        let queued = self.shared.lock().queued();
        poll_fn(|cx| self.shared.lock().poll_flushed(queued, cx)).await
    }

    /// Begins to close the connection: a Close frame goes out behind everything sent before. Does nothing if the
    /// connection is closing already.
    ///
    /// The receiving half gets what the peer still sends, then `None`.
    ///
    /// # Errors
    ///
    /// `reason` is longer than 123 bytes.
    pub fn start_close(&self, code: CloseCode, reason: &str) -> Result<()> {
        self.shared.close(Some(close_frame(code, reason)?));
        Ok(())
    }

    /// Waits until the connection has ended.
    ///
    /// # Errors
    ///
    /// The connection failed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn closed(&self) -> Result<CloseInfo> {
        self.shared.ended().await
    }

    /// Drops the connection at once, without a Close frame: the peer sees 1006. What waits to be sent is lost.
    pub fn abort(&self) {
        self.shared.abort();
    }

    /// How the connection ended, or is ending; `None` as long as it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<CloseInfo> {
        let session = self.shared.lock();
        (!session.is_open()).then(|| session.close_info())
    }

    /// Bytes of frames that were sent and not handed to the operating system yet.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.shared.lock().buffered_amount()
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.agreement.subprotocol.as_deref()
    }

    /// The extensions that were agreed on, as the `Sec-WebSocket-Extensions` header lists them; may be empty.
    #[must_use]
    pub fn negotiated_extensions(&self) -> &str {
        &self.agreement.extensions
    }

    /// What was attached to the connection during the upgrade: the application's own data by type.
    #[must_use]
    pub fn data(&self) -> &http::Extensions {
        &self.agreement.data
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    pub(super) fn agreement(&self) -> Arc<Agreement> {
        self.agreement.clone()
    }

    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.shared.lock().poll_room(cx)
    }

    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut session = self.shared.lock();
        let queued = session.queued();
        session.poll_flushed(queued, cx)
    }

    pub(super) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<Result<CloseInfo>> {
        self.shared.lock().poll_ended(cx)
    }

    /// Queues a message for which [`poll_room`](Self::poll_room) made room.
    pub(super) fn queue(&self, message: &Message) -> Result<()> {
        self.shared.lock().send(message.as_message(), Compress::Auto)
    }
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.shared.lock().sender_added();
        Self {
            shared: self.shared.clone(),
            agreement: self.agreement.clone(),
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.lock().sender_dropped();
    }
}

/// The receiving half of a [`WebSocket`](super::WebSocket).
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    agreement: Arc<Agreement>,
}

impl Receiver {
    pub(super) fn new(shared: Arc<Shared>, agreement: Arc<Agreement>) -> Self {
        Self { shared, agreement }
    }

    /// Receives the next message; `None` once the connection has closed.
    ///
    /// # Errors
    ///
    /// The connection failed. Told once, after all messages that came before it; then `None`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a message is either returned or still there.
    pub async fn recv(&mut self) -> Result<Option<Message>> {
        poll_fn(|cx| self.poll_recv(cx)).await.transpose()
    }

    /// Receives the next piece of a message. See [`WebSocket::recv_chunk`](super::WebSocket::recv_chunk).
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a chunk is either returned or still there.
    pub async fn recv_chunk(&mut self) -> Result<Option<Chunk>> {
        Ok(poll_fn(|cx| self.shared.lock().poll_incoming(cx))
            .await
            .transpose()?
            .map(|incoming| match incoming {
                Incoming::Chunk(chunk) => chunk,
                Incoming::Message(message) => Chunk {
                    kind: message.kind(),
                    payload: message.into_bytes(),
                    starts_message: true,
                    ends_frame: true,
                    ends_message: true,
                },
            }))
    }

    /// How the connection ended, or is ending: the code and reason of the peer's Close frame.
    #[must_use]
    pub fn close_info(&self) -> CloseInfo {
        self.shared.lock().close_info()
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.agreement.subprotocol.as_deref()
    }

    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        match ready!(self.shared.lock().poll_incoming(cx)) {
            Some(Ok(Incoming::Message(message))) => Poll::Ready(Some(Ok(message))),
            Some(Ok(Incoming::Chunk(_))) => Poll::Ready(Some(Err(Error::new(Kind::Delivery)))),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => Poll::Ready(None),
        }
    }

    /// Drops messages until the connection has ended.
    pub(super) async fn drain(&mut self) {
        while let Some(Ok(_)) = poll_fn(|cx| self.shared.lock().poll_incoming(cx)).await {}
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.lock().receiver_dropped();
    }
}
