//! One message to be sent, as `AsyncWrite`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use sockeye_proto::{CloseCode, CloseFrame, Compress, Frame, MessageKind, Opcode};
use tokio::io::AsyncWrite;

use super::Sender;

/// How much goes into one fragment, in bytes: few enough fragments for receivers that count them, little enough memory.
const FRAGMENT_SIZE: usize = 64 * 1024;

/// One message, sent piece by piece as it is written. Made by [`Sender::message_writer`].
///
/// What is written is gathered into fragments of 64 KiB; [`flush`](tokio::io::AsyncWriteExt::flush) sends what there
/// is, and waits until the transport has it. [`shutdown`](tokio::io::AsyncWriteExt::shutdown) sends the last fragment:
/// only then the message is whole, and is others' turn to send. Text has to be UTF-8, and may be cut anywhere.
///
/// Back-pressure is that of [`Sender::send`]: writing waits for a peer that is behind.
///
/// # Dropping
///
/// A message that was begun cannot be taken back, and no other may follow before its end. So a writer that is dropped
/// in the middle of its message closes the connection, with 1011: the peer never takes a part for the whole. Dropped
/// before anything was sent, or after `shutdown`, it changes nothing.
#[derive(Debug)]
pub struct MessageWriter {
    sender: Sender,
    kind: MessageKind,
    compress: Compress,
    /// What was written and not sent.
    gathered: Vec<u8>,
    progress: Progress,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// Nothing was sent.
    Unsent,
    /// The first fragment was sent.
    Begun,
    /// The last fragment was sent.
    Finished,
}

impl MessageWriter {
    /// Takes over the turn that `sender` was given.
    pub(super) fn new(sender: Sender, kind: MessageKind) -> Self {
        Self {
            sender,
            kind,
            compress: Compress::Auto,
            gathered: Vec::new(),
            progress: Progress::Unsent,
        }
    }

    /// Whether to compress the message, where that was negotiated. By default it is compressed, since how long it
    /// gets is not known. Has no effect once something was sent.
    #[must_use]
    pub fn compress(mut self, compress: Compress) -> Self {
        self.compress = compress;
        self
    }

    /// Whether the message is text or binary.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Sends a fragment, if there is room for it.
    fn poll_send(&mut self, cx: &mut Context<'_>, payload: &[u8], fin: bool) -> Poll<io::Result<()>> {
        let mut session = self.sender.lock();
        ready!(session.poll_room(cx))?;
        let opcode = match self.progress {
            Progress::Unsent => self.kind.opcode(),
            Progress::Begun | Progress::Finished => Opcode::Continuation,
        };
        let frame = Frame { opcode, fin, payload };
        session.send_piece(self.kind, frame, self.compress)?;
        if fin {
            session.end_writing();
        }
        self.progress = if fin { Progress::Finished } else { Progress::Begun };
        Poll::Ready(Ok(()))
    }

    /// Sends what was gathered, and keeps its memory for more.
    fn poll_send_gathered(&mut self, cx: &mut Context<'_>, fin: bool) -> Poll<io::Result<()>> {
        let gathered = std::mem::take(&mut self.gathered);
        let result = self.poll_send(cx, &gathered, fin);
        self.gathered = gathered;
        ready!(result)?;
        self.gathered.clear();
        Poll::Ready(Ok(()))
    }

    fn check_unfinished(&self) -> io::Result<()> {
        if self.progress == Progress::Finished {
            let message = "the last fragment of the message was sent";
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, message));
        }
        Ok(())
    }
}

impl AsyncWrite for MessageWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check_unfinished()?;
        let room = FRAGMENT_SIZE - self.gathered.len();
        if bytes.len() < room {
            self.gathered.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        if self.gathered.is_empty() {
            ready!(self.poll_send(cx, &bytes[..FRAGMENT_SIZE], false))?;
        } else {
            let before = self.gathered.len();
            self.gathered.extend_from_slice(&bytes[..room]);
            let sent = self.poll_send_gathered(cx, false);
            if sent.is_pending() {
                // What is gathered counts as written, and these bytes will come again.
                self.gathered.truncate(before);
            }
            ready!(sent)?;
        }
        Poll::Ready(Ok(room))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.gathered.is_empty() {
            ready!(self.poll_send_gathered(cx, false))?;
        }
        ready!(self.sender.poll_flushed(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.progress == Progress::Finished {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_send_gathered(cx, true))?;
        self.gathered = Vec::new();
        Poll::Ready(Ok(()))
    }
}

impl Drop for MessageWriter {
    fn drop(&mut self) {
        let mut session = self.sender.lock();
        match self.progress {
            Progress::Unsent => session.end_writing(),
            Progress::Begun => {
                let reason = "a message was abandoned before its end";
                session.close(Some(CloseFrame::truncated(CloseCode::INTERNAL_ERROR, reason)));
                session.end_writing();
            }
            Progress::Finished => {}
        }
    }
}
