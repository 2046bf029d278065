//! The receiving half of a WebSocket.

use std::sync::Arc;
use std::task::{Context, Poll};

use sockeye_proto::Delivery;

use super::{Agreement, MessageReader};
use crate::error::Result;
use crate::message::{Chunk, Frame, Message};
use crate::session::{CloseInfo, Incoming, Next, Shared};

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
        Ok(match Next::new(&self.shared, Delivery::Messages).await? {
            Some(Incoming::Message(message)) => Some(message),
            _ => None,
        })
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
        match Next::new(&self.shared, Delivery::Chunks).await {
            Err(error) if error.delivers(Delivery::Messages) => Ok(self.recv().await?.map(Chunk::whole)),
            Ok(Some(Incoming::Chunk(chunk))) => Ok(Some(chunk)),
            other => other.map(|_| None),
        }
    }

    /// Receives the next frame. See [`WebSocket::recv_frame`](super::WebSocket::recv_frame).
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and if the connection does not deliver [frames](Delivery::Frames).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a frame is either returned or still there.
    pub async fn recv_frame(&mut self) -> Result<Option<Frame>> {
        Ok(match Next::new(&self.shared, Delivery::Frames).await? {
            Some(Incoming::Frame(frame)) => Some(frame),
            _ => None,
        })
    }

    /// Receives the next message piece by piece. See [`WebSocket::recv_reader`](super::WebSocket::recv_reader).
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and if the connection does not deliver [chunks](Delivery::Chunks).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the message is either returned or still there.
    pub async fn recv_reader(&mut self) -> Result<Option<MessageReader<'_>>> {
        loop {
            match Next::new(&self.shared, Delivery::Chunks).await? {
                Some(Incoming::Chunk(chunk)) if chunk.starts_message => {
                    return Ok(Some(MessageReader::new(self, chunk)));
                }
                // The rest of a message that was not read to its end.
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Stops reading: nothing more is taken from the transport until [`resume`](Self::resume), and TCP holds the peer
    /// back.
    ///
    /// Messages that were received before can still be taken; after them [`recv`](Self::recv) waits. Pings are not
    /// seen meanwhile, nor the peer's Close, nor that it is gone; in turn it is not blamed for its silence:
    /// keepalive, idle and message timeouts stand still. Sending goes on. A pause ends when the connection begins to
    /// close from this side, since the peer's answer has to be read. Does nothing if the connection is closing.
    pub fn pause(&self) {
        self.shared.lock().hold();
    }

    /// Reads again after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.shared.lock().release();
    }

    /// Whether the application [paused](Self::pause) the connection.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.shared.lock().is_held()
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
        let mut session = self.shared.lock();
        if let Err(error) = session.check_delivery(Delivery::Messages) {
            return Poll::Ready(Some(Err(error)));
        }
        session.poll_incoming(cx).map(|next| match next? {
            Ok(Incoming::Message(message)) => Some(Ok(message)),
            other => other.err().map(Err),
        })
    }

    /// The next entry, whatever the connection delivers.
    pub(super) fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Incoming>>> {
        self.shared.lock().poll_incoming(cx).map(Option::transpose)
    }

    /// Drops messages until the connection has ended.
    pub(super) async fn drain(&mut self) {
        while let Ok(Some(_)) = Next::new(&self.shared, None).await {}
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.lock().receiver_dropped();
    }
}
