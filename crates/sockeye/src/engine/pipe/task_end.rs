//! The task's end of a pipe.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{End, INBOUND, OUTBOUND, Returned, Shared, Then, settle};

/// The task's end.
///
/// Flushing and shutting down do not wait, as with a socket: what was written is sent even if this is dropped after, as
/// long as the peer takes it.
pub(crate) struct Pipe(pub(super) Arc<Shared>);

impl Pipe {
    /// Gives the connection back to its worker.
    pub(crate) fn hand_back(self, returned: Returned) {
        let mut state = self.0.lock();
        state.returned = Some(returned);
        state.then = Then::Back;
        self.0.ring(&mut state);
    }

    /// Writes what there is room for.
    pub(crate) fn try_write(&self, bytes: &[u8]) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = self.poll_append(&mut cx, |outbound, room| append(outbound, bytes, room));
    }

    fn poll_append(
        &self,
        cx: &mut Context<'_>,
        append: impl FnOnce(&mut Vec<u8>, usize) -> usize,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.lock();
        if let Some(error) = state.failure() {
            return Poll::Ready(Err(error));
        }
        if state.then != Then::GoOn {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = OUTBOUND.saturating_sub(state.waiting());
        if room == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = append(&mut state.outbound, room);
        if count > 0 {
            self.0.ring(&mut state);
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        let unread = state.unread();
        if unread == 0 {
            // As with a socket, the end comes after another wait: a server of HTTP that learns of it in one breath with a
            // request takes the client for gone, who only has nothing more to say.
            if std::mem::take(&mut state.has_read) && matches!(state.end, Some(End::Ended)) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            return match state.end {
                Some(end) => Poll::Ready(end.error().map_or(Ok(()), Err)),
                None => {
                    state.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        }
        let count = unread.min(buf.remaining());
        buf.put_slice(&state.inbound[state.read..][..count]);
        state.read += count;
        if count == unread {
            settle(&mut state.inbound);
            state.read = 0;
            state.has_read = true;
        }
        if state.is_paused && unread - count <= INBOUND / 2 {
            state.is_paused = false;
            self.0.ring(&mut state);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_append(cx, |outbound, room| append(outbound, bytes, room))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_append(cx, |outbound, room| {
            let before = outbound.len();
            for part in parts {
                let left = room - (outbound.len() - before);
                outbound.extend_from_slice(&part[..part.len().min(left)]);
            }
            outbound.len() - before
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.lock().failure().map_or(Ok(()), Err))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if let Some(error) = state.failure() {
            return Poll::Ready(Err(error));
        }
        if state.then == Then::GoOn {
            state.then = Then::Shutdown;
            self.0.ring(&mut state);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.then == Then::Back {
            return;
        }
        state.then = Then::Close;
        state.inbound = Vec::new();
        state.read = 0;
        self.0.ring(&mut state);
    }
}

fn append(outbound: &mut Vec<u8>, bytes: &[u8], room: usize) -> usize {
    let count = bytes.len().min(room);
    outbound.extend_from_slice(&bytes[..count]);
    count
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pipe").field(&self.0.session).finish()
    }
}
