//! A stream socket, TCP or Unix, as one type: what the server accepts and the client dials.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// A socket of a worker.
    #[cfg(engine)]
    Piped(crate::engine::Pipe),
    /// Boxed, since few sockets are one.
    Early(Box<Early>),
}

/// A socket of which something was read already, to be read again.
#[derive(Debug)]
pub(crate) struct Early {
    bytes: Vec<u8>,
    taken: usize,
    socket: Socket,
}

impl Socket {
    /// Puts bytes that were read back before everything else.
    pub(crate) fn with_early(self, bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            return self;
        }
        Self::Early(Box::new(Early {
            bytes,
            taken: 0,
            socket: self,
        }))
    }

    /// The pipe to a worker's socket, and what was read early and not taken, if it is one.
    #[cfg(engine)]
    pub(crate) fn into_pipe(self) -> Option<(crate::engine::Pipe, Vec<u8>)> {
        match self {
            Self::Piped(pipe) => Some((pipe, Vec::new())),
            Self::Early(early) => {
                let Early {
                    mut bytes,
                    taken,
                    socket,
                } = *early;
                let (pipe, rest) = socket.into_pipe()?;
                bytes.drain(..taken);
                bytes.extend(rest);
                Some((pipe, bytes))
            }
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    /// Writes without waiting, for a last word before closing; whatever does not fit is lost.
    pub(crate) fn try_write(&self, bytes: &[u8]) {
        let _ = match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_write(bytes),
            #[cfg(engine)]
            Self::Piped(pipe) => return pipe.try_write(bytes),
            Self::Early(early) => return early.socket.try_write(bytes),
        };
    }
}

impl AsyncRead for Early {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let early = self.get_mut();
        let rest = &early.bytes[early.taken..];
        if rest.is_empty() {
            return Pin::new(&mut early.socket).poll_read(cx, buf);
        }
        let len = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..len]);
        early.taken += len;
        if early.taken == early.bytes.len() {
            early.bytes = Vec::new();
            early.taken = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Early {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}

/// Calls a poll function of the variant in hand.
macro_rules! on_socket {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Socket::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(unix)]
            Socket::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(engine)]
            Socket::Piped(pipe) => {
                let $stream = Pin::new(pipe);
                $call
            }
            Socket::Early(early) => {
                let $stream = Pin::new(&mut **early);
                $call
            }
        }
    };
}

/// Implements `AsyncRead` and `AsyncWrite` for an enum of streams, given a macro that calls the variant in hand, and
/// whether that writes vectored.
macro_rules! delegate {
    ($type:ty, $on:ident, $vectored:expr) => {
        impl ::tokio::io::AsyncRead for $type {
            fn poll_read(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &mut ::tokio::io::ReadBuf<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                $on!(self, stream => stream.poll_read(cx, buf))
            }
        }

        impl ::tokio::io::AsyncWrite for $type {
            fn poll_write(self: ::std::pin::Pin<&mut Self>, cx: &mut ::std::task::Context<'_>, buf: &[u8]) -> ::std::task::Poll<::std::io::Result<usize>> {
                $on!(self, stream => stream.poll_write(cx, buf))
            }

            fn poll_write_vectored(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                bufs: &[::std::io::IoSlice<'_>],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                $on!(self, stream => stream.poll_write_vectored(cx, bufs))
            }

            fn is_write_vectored(&self) -> bool {
                let vectored: fn(&Self) -> bool = $vectored;
                vectored(self)
            }

            fn poll_flush(self: ::std::pin::Pin<&mut Self>, cx: &mut ::std::task::Context<'_>) -> ::std::task::Poll<::std::io::Result<()>> {
                $on!(self, stream => stream.poll_flush(cx))
            }

            fn poll_shutdown(self: ::std::pin::Pin<&mut Self>, cx: &mut ::std::task::Context<'_>) -> ::std::task::Poll<::std::io::Result<()>> {
                $on!(self, stream => stream.poll_shutdown(cx))
            }
        }
    };
}

pub(crate) use delegate;

delegate!(Socket, on_socket, |_| true);
