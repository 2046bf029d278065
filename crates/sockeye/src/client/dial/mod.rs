//! From a host and a port, or the path of a Unix socket, to a connected byte stream.
//!
//! [`Dialer`] has what the user may set about it. Its steps: `resolve` finds the addresses of the host and their order,
//! `race` tries them (RFC 8305), `tcp` sets a socket up. What comes out, [`Dialed`], is one kind of [`Stream`](stream::Stream) for
//! whoever goes on with it: a proxy, TLS, the opening handshake.

mod dialer;
mod endpoint;
mod race;
mod resolve;
mod stream;
mod tcp;

pub(super) use dialer::Dialer;
pub(super) use endpoint::Endpoint;
pub use resolve::{Resolve, Resolving};
pub(super) use stream::{Dialed, Duplex, Stream};
pub use tcp::TcpOptions;
