//! A transport that its server can take back. What the fallback upgrades leaves hyper's hands with its
//! transport, and must still count, and be gone at the end of a shutdown.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// The server's end. Dropping it cuts the transport off.
#[derive(Debug)]
pub(super) struct Leash {
    /// One for each direction, since two tasks may wait on the transport.
    reading: oneshot::Sender<()>,
    _writing: oneshot::Sender<()>,
}

impl Leash {
    /// Puts a transport on a leash.
    pub(super) fn new<IO>(io: IO) -> (Self, Leashed<IO>) {
        let (reading, read_cut) = oneshot::channel();
        let (writing, write_cut) = oneshot::channel();
        let leash = Self {
            reading,
            _writing: writing,
        };
        let leashed = Leashed {
            io,
            read_cut,
            write_cut,
            is_cut: false,
        };
        (leash, leashed)
    }

    /// Resolves when whoever held the transport has dropped it.
    pub(super) async fn released(&mut self) {
        self.reading.closed().await;
    }
}

/// The transport, which fails once its [`Leash`] is dropped.
#[derive(Debug)]
pub(super) struct Leashed<IO> {
    io: IO,
    read_cut: oneshot::Receiver<()>,
    write_cut: oneshot::Receiver<()>,
    is_cut: bool,
}

impl<IO> Leashed<IO> {
    /// Lets the transport off the leash.
    pub(super) fn into_inner(self) -> IO {
        self.io
    }

    fn check(cut: &mut oneshot::Receiver<()>, is_cut: &mut bool, cx: &mut Context<'_>) -> io::Result<()> {
        // A receiver must not be polled again after it was ready.
        *is_cut = *is_cut || Pin::new(cut).poll(cx).is_ready();
        if *is_cut {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }

    fn check_read(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        Self::check(&mut self.read_cut, &mut self.is_cut, cx)
    }

    fn check_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        Self::check(&mut self.write_cut, &mut self.is_cut, cx)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Leashed<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_read(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Leashed<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_write(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_write(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_write(cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_write(cx)?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};

    use super::*;

    #[tokio::test]
    async fn dropping_the_leash_fails_both_directions_wherever_they_wait() {
        let (io, _peer) = duplex(16);
        let (leash, io) = Leash::new(io);
        let (mut reader, mut writer) = split(io);
        let reading = tokio::spawn(async move { reader.read_u8().await });
        let writing = tokio::spawn(async move { writer.write_all(&[0; 17]).await });
        tokio::task::yield_now().await;
        drop(leash);
        let aborted = io::ErrorKind::ConnectionAborted;
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), aborted);
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), aborted);
    }

    #[tokio::test]
    async fn dropping_the_transport_releases_the_leash() {
        let (io, _peer) = duplex(16);
        let (mut leash, io) = Leash::new(io);
        let holding = tokio::spawn(async move {
            let mut io = io;
            io.write_u8(7).await
        });
        leash.released().await;
        holding.await.unwrap().unwrap();
    }
}
