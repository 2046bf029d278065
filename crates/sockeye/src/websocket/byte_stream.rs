//! A whole connection as one stream of bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use sockeye_proto::{CloseCode, Compress, Message};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::{Receiver, Sender};
use crate::session::Incoming;

/// The longest message that a write makes, in bytes: small enough for peers with narrow limits.
const MAX_MESSAGE: usize = 64 * 1024;

/// A connection as `AsyncRead + AsyncWrite`. Made by [`WebSocket::into_byte_stream`](super::WebSocket::into_byte_stream).
///
/// Each write becomes one binary message of at most 64 KiB. Reads give the payloads of all messages, of both kinds,
/// one behind the other, whatever the connection [delivers](crate::Delivery): a tunnel has no message boundaries. With
/// [`Delivery::Chunks`](crate::Delivery::Chunks) the peer's messages may be of any size.
///
/// A close by the peer with 1000, 1001 or no code is the end of the stream; with another code it is an error, so that
/// a stream that was cut off is not taken for a whole one.
///
/// `shutdown` closes the connection with 1000 behind all that was written, and waits until the transport has it.
/// WebSocket has no half-close: what the peer sends before it answers the Close can still be read, but a peer that
/// answers at once sends nothing more. Dropping the stream closes with 1000.
///
/// ```
/// # async fn tunnel(ws: sockeye::WebSocket) -> std::io::Result<()> {
/// let mut local = tokio::net::TcpStream::connect("127.0.0.1:5432").await?;
/// let mut remote = ws.into_byte_stream();
/// tokio::io::copy_bidirectional(&mut local, &mut remote).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ByteStream {
    sender: Sender,
    receiver: Receiver,
    /// What came and was not read.
    unread: Bytes,
}

impl ByteStream {
    pub(super) fn new(sender: Sender, receiver: Receiver) -> Self {
        Self {
            sender,
            receiver,
            unread: Bytes::new(),
        }
    }

    /// The end of the connection as the end of the stream.
    fn end(&self) -> io::Result<()> {
        let info = self.receiver.close_info();
        match info.code {
            1000 | 1001 | 1005 => Ok(()),
            code => {
                // What the peer wrote goes to terminals and logs with this.
                let message = format!("the peer closed with {code}: {}", info.reason.escape_debug());
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, message))
            }
        }
    }
}

/// Without a copy: what is lent is what arrived at once.
impl AsyncBufRead for ByteStream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.unread.is_empty() {
            this.unread = match ready!(this.receiver.poll_incoming(cx))? {
                Some(Incoming::Message(message)) => message.into_bytes(),
                Some(Incoming::Chunk(chunk)) => chunk.payload,
                Some(Incoming::Frame(frame)) if !frame.opcode.is_control() => frame.payload,
                Some(Incoming::Frame(_)) => continue,
                None => return Poll::Ready(this.end().map(|()| &[][..])),
            };
        }
        Poll::Ready(Ok(&this.unread))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.unread.advance(amount);
    }
}

impl AsyncRead for ByteStream {
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

impl AsyncWrite for ByteStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let message = &bytes[..bytes.len().min(MAX_MESSAGE)];
        if !message.is_empty() {
            let mut session = self.sender.lock();
            ready!(session.poll_turn(cx))?;
            session.send(Message::Binary(message), Compress::Auto)?;
        }
        Poll::Ready(Ok(message.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.sender.poll_flushed(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sender.start_close(CloseCode::NORMAL, "")?;
        self.poll_flush(cx)
    }
}
