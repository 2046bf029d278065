//! The byte streams a server serves: a socket, plain or under TLS, as one type.

use std::pin::Pin;

pub(crate) use crate::socket::Socket;
use crate::socket::delegate;

/// What the protocol runs on.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(Socket),
    /// Boxed, since a TLS session is an order of magnitude larger than a socket.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<Socket>>),
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

delegate!(Transport, on_transport, |transport| match transport {
    Transport::Plain(_) => true,
    #[cfg(feature = "tls")]
    Transport::Tls(stream) => stream.is_write_vectored(),
});
