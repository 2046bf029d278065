//! One received message as `AsyncRead`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use sockeye_proto::MessageKind;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use super::Receiver;
use crate::message::Chunk;
use crate::session::Incoming;

/// One message, read piece by piece as it arrives.
///
/// Its end is the end of the stream. A connection that ends before is an error: that of the connection, or
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the peer closed in the middle of the message. Of text, a read
/// may end inside a code point; as a whole it is valid.
///
/// When dropped early, the rest of the message is skipped by the next [`recv_reader`](Receiver::recv_reader).
#[derive(Debug)]
pub struct MessageReader<'a> {
    receiver: &'a mut Receiver,
    kind: MessageKind,
    /// What came and was not read.
    unread: Bytes,
    /// Nothing comes after it.
    is_last: bool,
}

impl<'a> MessageReader<'a> {
    pub(super) fn new(receiver: &'a mut Receiver, first: Chunk) -> Self {
        Self {
            receiver,
            kind: first.kind,
            unread: first.payload,
            is_last: first.ends_message,
        }
    }

    /// Whether the message is text or binary.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        self.kind
    }
}

/// Without a copy: what is lent is what arrived at once.
impl AsyncBufRead for MessageReader<'_> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.unread.is_empty() && !this.is_last {
            match ready!(this.receiver.poll_incoming(cx))? {
                Some(Incoming::Chunk(chunk)) => {
                    this.unread = chunk.payload;
                    this.is_last = chunk.ends_message;
                }
                Some(_) => {}
                None => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
        Poll::Ready(Ok(&this.unread))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.unread.advance(amount);
    }
}

impl AsyncRead for MessageReader<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let unread = ready!(self.as_mut().poll_fill_buf(cx))?;
        let taken = unread.len().min(buffer.remaining());
        buffer.put_slice(&unread[..taken]);
        self.consume(taken);
        Poll::Ready(Ok(()))
    }
}
