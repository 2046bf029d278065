//! The sending half of a WebSocket.

use std::future::poll_fn;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sockeye_proto::{CloseCode, Compress, MessageKind};

use super::{Agreement, MessageWriter, close_frame};
use crate::error::Result;
use crate::message::{AsMessage, Frame};
use crate::session::{CloseInfo, PingId, Session, Shared};

/// The sending half of a [`WebSocket`](super::WebSocket).
///
/// Clone it for every task that sends. Whole messages of different clones never mix: while one
/// [writes a message](Self::message_writer) piece by piece, the others wait; while a message is sent in
/// [fragments](Self::send_fragment) or [frames](Self::send_frame), other messages are refused.
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
    /// The connection is closing or closed ([`Error::is_closed`](crate::Error::is_closed)).
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
        poll_fn(|cx| self.shared.poll_send(message.as_message(), compress, cx)).await
    }

    /// Sends a message if there is room for it at once, and nobody is writing one; gives whether it was sent.
    ///
    /// # Errors
    ///
    /// The connection is closing or closed.
    pub fn try_send(&self, message: impl AsMessage) -> Result<bool> {
        let mut session = self.lock();
        if !session.has_turn() {
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
            let mut session = self.lock();
            ready!(session.poll_turn(cx))?;
            Poll::Ready(session.send_fragment(fragment.as_message(), fin))
        })
        .await
    }

    /// Sends one frame of any opcode, for programs that choose the framing themselves.
    ///
    /// Nothing that breaks the protocol is sent. A data frame begins a message or carries on the one in progress;
    /// text may be cut inside a code point. A Close frame begins to close, as [`start_close`](Self::start_close)
    /// does.
    ///
    /// # Errors
    ///
    /// Nothing was sent. The connection is closing or closed; or a control frame is not the last of its message or
    /// longer than 125 bytes; or a Close frame has an invalid body; or the opcode does not fit the message in
    /// progress; or the text is not UTF-8.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as [`send`](Self::send).
    pub async fn send_frame(&self, frame: Frame) -> Result<()> {
        poll_fn(|cx| {
            let mut session = self.lock();
            if frame.opcode.is_control() {
                ready!(session.poll_room(cx))?;
            } else {
                ready!(session.poll_turn(cx))?;
            }
            Poll::Ready(session.send_frame(frame.as_frame(), Compress::Auto))
        })
        .await
    }

    /// Begins a message that is written piece by piece, as [`AsyncWrite`](tokio::io::AsyncWrite): of any size, in
    /// constant memory.
    ///
    /// Waits while another such message is being written. Until this one is finished or dropped, all others who send
    /// messages wait; Pings, Pongs and Close frames go out in between.
    ///
    /// ```
    /// # async fn upload(ws: sockeye::WebSocket) -> Result<(), Box<dyn std::error::Error>> {
    /// use sockeye::MessageKind;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// let mut file = tokio::fs::File::open("big.iso").await?;
    /// let mut message = ws.sender().message_writer(MessageKind::Binary).await?;
    /// tokio::io::copy(&mut file, &mut message).await?;
    /// message.shutdown().await?; // the last fragment: without it the message is not whole
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The connection is closing or closed, or a message is being sent in [fragments](Self::send_fragment).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, nobody is kept waiting.
    pub async fn message_writer(&self, kind: MessageKind) -> Result<MessageWriter> {
        poll_fn(|cx| self.lock().poll_begin_writing(cx)).await?;
        Ok(MessageWriter::new(self.clone(), kind))
    }

    /// Sends a Ping and waits for its Pong; gives the round trip, from when the transport had the Ping.
    ///
    /// The payload may be 125 bytes long. The driver takes note of the Pong whether or not messages are being
    /// received; but while it does not read, because the application is behind or
    /// [paused](super::Receiver::pause), it does not see the Pong either, and the wait is as long.
    ///
    /// RFC 6455 §5.5.3 lets a peer answer only the newest of several Pings, so a Pong counts for its own Ping and
    /// for all before it. Two Pings with the same payload could not be told apart: the second is not sent before the
    /// first was answered, or given up. Of those given up a late Pong may still come, and would count for the next
    /// Ping with that payload: use another one each time if that matters. At most 16 Pings of a connection are
    /// waited for at once; more wait for their turn.
    ///
    /// # Errors
    ///
    /// The connection is closing or closed, or closes before the Pong came, or the payload is too long.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future gives up the wait. The Ping may have been sent.
    pub async fn ping(&self, payload: &[u8]) -> Result<Duration> {
        let id = poll_fn(|cx| self.lock().poll_ping(payload, cx)).await?;
        let awaited = AwaitedPong { sender: self, id };
        poll_fn(|cx| awaited.sender.lock().poll_pong(id, cx)).await
    }

    /// Sends a Ping and does not wait for its Pong; the payload may be 125 bytes long.
    ///
    /// # Errors
    ///
    /// The connection is closing or closed, or the payload is too long.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as [`send`](Self::send).
    pub async fn start_ping(&self, payload: &[u8]) -> Result<()> {
        poll_fn(|cx| self.lock().poll_start_ping(payload, cx)).await
    }

    /// Sends a Pong that nobody asked for, as a sign of life (RFC 6455 §5.5.3). Pings are answered without it, unless
    /// [`Config::auto_pong`](crate::Config::auto_pong) is off.
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

    /// Waits until everything sent so far was handed to the transport, by any sender of the connection: the receipt
    /// for what was sent. Whether the peer got it only the peer can tell.
    ///
    /// # Errors
    ///
    /// The connection ended first, so some of it may be lost.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn flush(&self) -> Result<()> {
        let queued = self.lock().queued();
        poll_fn(|cx| self.lock().poll_flushed(queued, cx)).await
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

    /// Sends a Close frame behind everything sent before, and drops the connection as soon as the transport has it,
    /// without waiting for the peer's answer. If it is closing already, it is dropped once what waits was sent.
    ///
    /// The peer sees the code, if it reads on: one that is sending at that moment may see the connection reset
    /// instead. The receiving half is told at once that the program dropped the connection.
    ///
    /// # Errors
    ///
    /// `reason` is longer than 123 bytes.
    pub fn abort_with(&self, code: CloseCode, reason: &str) -> Result<()> {
        let frame = close_frame(code, reason)?;
        self.lock().hang_up(frame);
        Ok(())
    }

    /// How the connection ended, or is ending; `None` as long as it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<CloseInfo> {
        let session = self.lock();
        (!session.is_open()).then(|| session.close_info())
    }

    /// How often reading was stopped so far; `None` while it is.
    #[cfg(feature = "client")]
    pub(crate) fn pauses(&self) -> Option<u32> {
        self.lock().pauses()
    }

    /// Bytes of frames that were sent and not handed to the operating system yet.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.lock().buffered_amount()
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

    /// Where the topics of its server are, if it is a server's.
    #[cfg(engine)]
    pub(super) fn hub(&self) -> Option<&Arc<crate::hub::Hub>> {
        self.agreement.hub.as_ref()
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    pub(super) fn agreement(&self) -> Arc<Agreement> {
        self.agreement.clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Session> {
        self.shared.lock()
    }

    pub(super) fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut session = self.lock();
        let queued = session.queued();
        session.poll_flushed(queued, cx)
    }

    pub(super) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<Result<CloseInfo>> {
        self.lock().poll_ended(cx)
    }
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.lock().sender_added();
        Self {
            shared: self.shared.clone(),
            agreement: self.agreement.clone(),
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.lock().sender_dropped();
    }
}

/// Somebody who waits for a Pong, or gives up.
struct AwaitedPong<'a> {
    sender: &'a Sender,
    id: PingId,
}

impl Drop for AwaitedPong<'_> {
    fn drop(&mut self) {
        self.sender.lock().forget_ping(self.id);
    }
}
