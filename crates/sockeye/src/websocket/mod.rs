//! The async WebSocket: what handlers are given and what `connect` returns.

mod byte_stream;
mod reader;
mod receiver;
mod sender;
mod stream_sink;
#[cfg(engine)]
mod topics;
mod weak;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::{CloseCode, CloseFrame, MAX_CLOSE_REASON, MessageKind};

use crate::error::{Error, Result};
use crate::message::{AsMessage, Chunk, Frame, Message};
use crate::session::{CloseInfo, Shared};
pub use byte_stream::ByteStream;
pub use reader::MessageReader;
pub use receiver::Receiver;
pub use sender::Sender;
pub use weak::WeakSender;
pub use writer::MessageWriter;

/// An open WebSocket connection, of either role.
///
/// It is a handle: a driver in the background moves the bytes, answers Pings, probes a silent peer and keeps the
/// deadlines, whether or not a method of this type is being awaited.
///
/// One thing stops it: a future of [`recv`](Self::recv) that was polled, is kept, and is not polled again. On a client
/// such a future runs the driver by itself, so until it is polled or dropped no message is read and no Ping is
/// answered. Sending, flushing and closing go on.
///
/// # Back-pressure
///
/// Receiving: once [`QueueLimits::receive`](crate::QueueLimits::receive) bytes wait to be taken, the driver stops
/// reading and TCP holds the peer back. Sending: once [`QueueLimits::send`](crate::QueueLimits::send) bytes wait
/// for the peer, [`send`](Self::send) waits too; a peer that takes nothing for
/// [`QueueLimits::write_timeout`](crate::QueueLimits::write_timeout) is dropped.
///
/// # Dropping
///
/// When all handles are dropped (this one, its halves, clones of its [`Sender`]) what was sent is still delivered,
/// then the connection closes with 1000.
///
/// ```
/// # async fn handler(mut ws: sockeye::WebSocket) -> sockeye::Result<()> {
/// while let Some(message) = ws.recv().await? {
///     ws.send(message).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WebSocket {
    sender: Sender,
    receiver: Receiver,
}

/// What was agreed in the opening handshake, and what the application attached to the connection.
#[derive(Debug, Default)]
pub(crate) struct Agreement {
    pub(crate) subprotocol: Option<String>,
    pub(crate) extensions: String,
    pub(crate) data: http::Extensions,
    /// Where the topics of its server are.
    #[cfg(engine)]
    pub(crate) hub: Option<Arc<crate::hub::Hub>>,
}

impl WebSocket {
    /// The connection itself, for whoever has to close it from outside of the application's handler.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.sender.shared()
    }

    /// A handle for whoever lists connections.
    #[cfg(any(feature = "server", feature = "hyper"))]
    pub(crate) fn weak(&self) -> WeakSender {
        self.sender.downgrade()
    }

    pub(crate) fn new(shared: Arc<Shared>, agreement: Agreement) -> Self {
        let agreement = Arc::new(agreement);
        Self {
            sender: Sender::new(shared.clone(), agreement.clone()),
            receiver: Receiver::new(shared, agreement),
        }
    }

    /// Receives the next message; `None` once the connection has closed.
    ///
    /// # Errors
    ///
    /// The connection failed: lost, timed out, or the peer broke the protocol or reached a limit. Told once, after
    /// all messages that came before it; then `None`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a message is either returned or still there.
    pub async fn recv(&mut self) -> Result<Option<Message>> {
        self.receiver.recv().await
    }

    /// Receives the next piece of a message, for connections that deliver
    /// [chunks](sockeye_proto::Delivery::Chunks). On others each message is one piece.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a chunk is either returned or still there.
    pub async fn recv_chunk(&mut self) -> Result<Option<Chunk>> {
        self.receiver.recv_chunk().await
    }

    /// Receives the next frame, control frames among them, for connections that deliver
    /// [frames](sockeye_proto::Delivery::Frames).
    ///
    /// Frames are checked and bounded as in other deliveries; payloads are unmasked and inflated. Pings are answered
    /// all the same, unless [`Config::auto_pong`](crate::Config::auto_pong) is off; the peer's Close is answered
    /// once it was taken and more is asked for.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and if the connection does not deliver frames.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a frame is either returned or still there.
    pub async fn recv_frame(&mut self) -> Result<Option<Frame>> {
        self.receiver.recv_frame().await
    }

    /// Receives the next message piece by piece, as [`AsyncRead`](tokio::io::AsyncRead): of any size, in constant
    /// memory. For connections that deliver [chunks](sockeye_proto::Delivery::Chunks).
    ///
    /// The rest of a message that was not read to its end is skipped.
    ///
    /// ```
    /// # async fn download(mut ws: sockeye::WebSocket) -> Result<(), Box<dyn std::error::Error>> {
    /// if let Some(mut message) = ws.recv_reader().await? {
    ///     let mut file = tokio::fs::File::create("big.iso").await?;
    ///     tokio::io::copy(&mut message, &mut file).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and if the connection does not deliver chunks.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the message is either returned or still there.
    pub async fn recv_reader(&mut self) -> Result<Option<MessageReader<'_>>> {
        self.receiver.recv_reader().await
    }

    /// Stops reading. See [`Receiver::pause`].
    pub fn pause(&self) {
        self.receiver.pause();
    }

    /// Reads again. See [`Receiver::resume`].
    pub fn resume(&self) {
        self.receiver.resume();
    }

    /// Whether the application [paused](Self::pause) the connection.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.receiver.is_paused()
    }

    /// Sends a message: text for strings, binary for bytes.
    ///
    /// Returns once the message is queued, which is at once unless
    /// [`QueueLimits::send`](crate::QueueLimits::send) bytes wait already.
    ///
    /// # Errors
    ///
    /// The connection is closing or closed ([`Error::is_closed`]).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped before it is done, nothing of the message is sent.
    pub async fn send(&self, message: impl AsMessage) -> Result<()> {
        self.sender.send(message).await
    }

    /// Sends one frame of any opcode. See [`Sender::send_frame`].
    ///
    /// # Errors
    ///
    /// Nothing was sent: the connection is closing or closed, or the frame would break the protocol.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as [`send`](Self::send).
    pub async fn send_frame(&self, frame: Frame) -> Result<()> {
        self.sender.send_frame(frame).await
    }

    /// Begins a message that is written piece by piece. See [`Sender::message_writer`].
    ///
    /// # Errors
    ///
    /// The connection is closing or closed, or a message is being sent in fragments.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: if the future is dropped, nobody is kept waiting.
    pub async fn message_writer(&self, kind: MessageKind) -> Result<MessageWriter> {
        self.sender.message_writer(kind).await
    }

    /// Sends a Ping and waits for its Pong; gives the round trip. See [`Sender::ping`].
    ///
    /// # Errors
    ///
    /// The connection is closing or closed, or closes before the Pong came, or the payload is too long.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future gives up the wait. The Ping may have been sent.
    pub async fn ping(&self, payload: &[u8]) -> Result<Duration> {
        self.sender.ping(payload).await
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
        self.sender.flush().await
    }

    /// Closes the connection and waits until it has closed. Everything sent before is delivered first; messages
    /// that still arrive are dropped.
    ///
    /// Gives what the peer answered. If the connection is closing already, waits for that to end.
    ///
    /// # Errors
    ///
    /// `reason` is longer than 123 bytes, or the connection failed before it had closed.
    ///
    /// # Cancel safety
    ///
    /// The closing handshake begins when this is called and goes on if the future is dropped.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<CloseInfo> {
        self.sender.start_close(code, reason)?;
        self.receiver.drain().await;
        self.sender.closed().await
    }

    /// How the connection ended, or is ending; `None` as long as it is open.
    #[must_use]
    pub fn close_info(&self) -> Option<CloseInfo> {
        self.sender.close_info()
    }

    /// The connection as one stream of bytes, for protocols that know nothing of messages: what is written is sent in
    /// binary messages, what is read is the payloads of all messages, one behind the other.
    #[must_use]
    pub fn into_byte_stream(self) -> ByteStream {
        ByteStream::new(self.sender, self.receiver)
    }

    /// Splits the connection into two halves, for two tasks.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// A further sending handle, cheap to make, to keep, and to use from any task.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Bytes of frames that were sent and not handed to the operating system yet.
    #[must_use]
    pub fn buffered_amount(&self) -> usize {
        self.sender.buffered_amount()
    }

    /// The subprotocol that was agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.sender.subprotocol()
    }

    /// The extensions that were agreed on, as the `Sec-WebSocket-Extensions` header lists them; may be empty.
    #[must_use]
    pub fn negotiated_extensions(&self) -> &str {
        self.sender.negotiated_extensions()
    }

    /// What was attached to the connection during the upgrade: the application's own data by type.
    #[must_use]
    pub fn data(&self) -> &http::Extensions {
        self.sender.data()
    }
}

/// Checks a close reason.
fn close_frame(code: CloseCode, reason: &str) -> Result<CloseFrame<'_>> {
    CloseFrame::new(code, reason).map_err(|error| {
        debug_assert!(error.length > MAX_CLOSE_REASON);
        Error::config(error.to_string())
    })
}
