//! The byte streams a server serves: TCP or a Unix socket, plain or under TLS, as one type.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

/// A socket that was accepted.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// What the protocol runs on.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(Socket),
    /// Boxed, since a TLS session is an order of magnitude larger than a socket.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<Socket>>),
}

impl Socket {
    /// Writes without waiting, for a last word before closing; whatever does not fit is lost.
    pub(super) fn try_write(&self, bytes: &[u8]) {
        let _ = match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_write(bytes),
        };
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
        }
    };
}

macro_rules! on_transport {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Transport::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(feature = "tls")]
            Transport::Tls(stream) => {
                let $stream = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

macro_rules! delegate {
    ($type:ty, $on:ident, $vectored:expr) => {
        impl AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                $on!(self, stream => stream.poll_read(cx, buf))
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                $on!(self, stream => stream.poll_write(cx, buf))
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                $on!(self, stream => stream.poll_write_vectored(cx, bufs))
            }

            fn is_write_vectored(&self) -> bool {
                let vectored: fn(&Self) -> bool = $vectored;
                vectored(self)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                $on!(self, stream => stream.poll_flush(cx))
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                $on!(self, stream => stream.poll_shutdown(cx))
            }
        }
    };
}

delegate!(Socket, on_socket, |_| true);
delegate!(Transport, on_transport, |transport| match transport {
    Transport::Plain(_) => true,
    #[cfg(feature = "tls")]
    Transport::Tls(stream) => stream.is_write_vectored(),
});
