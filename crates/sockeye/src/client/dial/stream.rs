//! A connected byte stream of any origin, as one type.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::socket::{Socket, delegate};

/// What was dialed: the stream, and whose ends it has.
///
/// A proxy that has opened a way through it replaces the stream and leaves the addresses, which are those of the
/// socket.
#[derive(Debug)]
pub(in crate::client) struct Dialed {
    pub(in crate::client) stream: Stream,
    /// The other end of the socket; a Unix socket has none.
    pub(in crate::client) peer: Option<SocketAddr>,
    /// This end of the socket.
    pub(in crate::client) local: Option<SocketAddr>,
}

/// A socket as it is, or whatever was put on top of one.
#[derive(Debug)]
pub(in crate::client) enum Stream {
    Socket(Socket),
    /// A way through something, such as TLS with a proxy.
    Tunnel(Tunnel),
}

/// Anything that bytes go through both ways.
pub(in crate::client) trait Duplex:
    AsyncRead + AsyncWrite + Unpin + Send + 'static
{
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static> Duplex for IO {}

/// A stream whose type does not matter any more.
pub(in crate::client) struct Tunnel(Box<dyn Duplex>);

impl Dialed {
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        let (peer, local) = match &socket {
            Socket::Tcp(tcp) => (Some(tcp.peer_addr()?), Some(tcp.local_addr()?)),
            #[cfg(unix)]
            Socket::Unix(_) => (None, None),
            // Only servers put bytes back.
            Socket::Early(_) => (None, None),
            // Nor have clients workers.
            #[cfg(engine)]
            Socket::Piped(_) => (None, None),
        };
        Ok(Self {
            stream: Stream::Socket(socket),
            peer,
            local,
        })
    }
}

impl Stream {
    /// A stream made of something else than a socket.
    #[cfg(feature = "tls")]
    pub(in crate::client) fn tunnel(io: impl Duplex) -> Self {
        Self::Tunnel(Tunnel(Box::new(io)))
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").finish_non_exhaustive()
    }
}

macro_rules! on_stream {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Socket(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Stream::Tunnel(tunnel) => {
                let $stream = Pin::new(&mut *tunnel.0);
                $call
            }
        }
    };
}

delegate!(Stream, on_stream, |stream| match stream {
    Stream::Socket(_) => true,
    Stream::Tunnel(tunnel) => tunnel.0.is_write_vectored(),
});
