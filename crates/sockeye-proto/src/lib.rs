//! The WebSocket protocol as a state machine: bytes in, events out. It speaks RFC 6455 and RFC 7692
//! (permessage-deflate) for both roles, and leaves sockets, clock, runtime and randomness to its caller.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//! use sockeye_proto::handshake::{HeadLimits, client, server};
//! use sockeye_proto::{CloseCode, CloseFrame, Config, Connection, Event, Message, State, Workspace};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Instant::now();
//! let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
//!
//! // The opening handshake. The client asks; sixteen random bytes make its key.
//! let request = client::Request::new("ws://example.org/echo", [7; 16])?;
//! request.write(&mut to_server);
//!
//! // The server answers.
//! let head = server::RequestReader::new(HeadLimits::default()).read(&to_server)?.expect("a whole head");
//! server::Upgrade::from_request(&head.request)?.accept().write(&mut to_client);
//! to_server.drain(..head.len);
//! let mut server = Connection::server(Arc::new(Config::server()), None, now);
//!
//! // The client checks the answer. Its masking keys must come from a cryptographic generator.
//! let head = client::ResponseReader::new(HeadLimits::default()).read(&to_client)?.expect("a whole head");
//! request.verify(&head.response)?;
//! to_client.drain(..head.len);
//! let mut client = Connection::client(Arc::new(Config::client()), Box::new(|| [1, 2, 3, 4]), None, now);
//!
//! // Bytes go back and forth until both ends are closed.
//! let mut workspace = Workspace::new();
//! client.send(Message::Text("Hello"), &mut to_server)?;
//! while server.state() != State::Closed || client.state() != State::Closed {
//!     let mut input = std::mem::take(&mut to_server);
//!     let mut at = 0;
//!     while at < input.len() {
//!         let received = server.receive(&mut input[at..], &mut workspace, now)?;
//!         at += received.consumed;
//!         if let Some(Event::Message(message)) = received.event {
//!             server.send(message, &mut to_client)?; // an echo
//!         }
//!         server.poll_output(&mut to_client);
//!     }
//!
//!     let mut input = std::mem::take(&mut to_client);
//!     let mut at = 0;
//!     while at < input.len() {
//!         let received = client.receive(&mut input[at..], &mut workspace, now)?;
//!         at += received.consumed;
//!         if let Some(Event::Message(message)) = received.event {
//!             assert_eq!(message, Message::Text("Hello"));
//!             client.close(Some(CloseFrame::new(CloseCode::NORMAL, "done")?), now, &mut to_server);
//!         }
//!         client.poll_output(&mut to_server);
//!     }
//! }
//! assert!(server.is_close_complete() && client.is_close_complete());
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! - The [opening handshake](handshake), both sides, as values: heads that arrive in any pieces are read within
//!   limits, checked, and answered; subprotocols and compression are negotiated. With an HTTP library at hand only
//!   the checks are used.
//! - [`Connection`]: frames, fragments, masking, UTF-8, the closing handshake, Pongs, keepalive Pings and timeouts.
//! - [`deflate`]: compression with every parameter of RFC 7692 in both roles, its memory pooled.
//! - [Limits](Config) on everything that a peer can make grow, and [errors](Error) that say whose fault it was and
//!   which close code tells the peer.
//!
//! # What it does not do
//!
//! No I/O, no TLS, no timers, no threads. It does not measure time, draw random numbers or log. It has no queue: what
//! it sends is appended to a buffer of the caller's, who bounds it. The `sockeye` crate adds all that on tokio.
//!
//! # How to drive it
//!
//! A [`Connection`] owns no buffers. A whole frame that lies in the input is unmasked there and lent out: no copy, no
//! allocation. What spans reads or fragments, or was compressed, is put together in a [`Workspace`], which the
//! connections of a thread share. In each turn of the caller's loop:
//!
//! 1. Read from the transport and give the bytes to [`Connection::receive`] until they are used up. Act on its events
//!    as they come. At the end of the stream call [`Connection::handle_eof`].
//! 2. While the transport takes output, call [`Connection::poll_output`] after each event: it appends the Pongs, Close
//!    frames and keepalive Pings that the protocol owes. While earlier output waits, do not: the newest Ping alone is
//!    answered then, so that a peer that never reads cannot make answers pile up.
//! 3. Write, and call [`Connection::handle_flushed`] when all is written.
//! 4. When the time of [`Connection::poll_timeout`] has come, call [`Connection::handle_timeout`].
//! 5. Do with the transport what [`Connection::shutdown`] says.
//!
//! An application that is behind need not be fed: stop reading, and say so by [`Connection::handle_paused`], so that
//! the peer is not blamed for the silence.
//!
//! A server that tells many clients the same frames and compresses it once, as [`Prepared`]. What is large and needs
//! neither compression nor a mask is sent without a copy: [`Connection::send_header`].
//!
//! Messages larger than memory pass through in pieces with [`Delivery::Chunks`], and are sent in pieces with
//! [`Connection::send_fragment`]. Programs that look at the framing itself use [`Delivery::Frames`] and
//! [`Connection::send_frame`].
//!
//! # Links
//!
//! - [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455), the WebSocket protocol
//! - [RFC 7692](https://www.rfc-editor.org/rfc/rfc7692), its compression extensions
//! - [WebSockets](https://websockets.spec.whatwg.org/), the API of browsers

#![forbid(unsafe_code)]

mod close;
mod config;
mod connection;
mod copy;
pub mod deflate;
mod error;
pub mod extension;
mod frame;
pub mod handshake;
mod mask;
mod message;
mod prepared;
mod role;
mod subprotocol;
mod utf8;
#[cfg(test)]
mod work;

pub use close::{CloseCode, CloseFrame, MAX_CLOSE_REASON, ReasonTooLong, close_description};
pub use config::{Config, Delivery, Keepalive};
pub use connection::{Chunk, Connection, Event, Received, Shutdown, State, Workspace};
pub use error::{Error, Limit, ProtocolError, SendError, Timeout};
pub use frame::{Frame, FrameHeader, HeaderBytes, MAX_CONTROL_PAYLOAD, MAX_HEADER_LEN, Opcode};
pub use mask::{Mask, MaskKeys};
pub use message::{Compress, Message, MessageKind};
pub use prepared::{Prepared, PreparedForm};
pub use role::Role;
pub use subprotocol::{InvalidSubprotocol, Subprotocol};
