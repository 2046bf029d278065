//! The opening handshake of RFC 6455 §4, both sides, as values.
//!
//! [`server`] reads and checks requests and makes responses; [`client`] makes requests and checks responses.
//! Nothing here does I/O: bytes come in as slices and go out into a `Vec<u8>`. A driver that already has an
//! HTTP library (hyper, axum) skips the byte level and hands the parsed method, version, URI and headers to
//! [`server::Upgrade::check`].
//!
//! ```
//! use sockeye_proto::handshake::{HeadLimits, client, server};
//!
//! // Client: sixteen random bytes make the key.
//! let request = client::Request::new("ws://example.org/chat", [7; 16])?.subprotocol("chat.v1")?;
//! let mut to_server = Vec::new();
//! request.write(&mut to_server);
//!
//! // Server: bytes may arrive in any pieces; what follows the head belongs to the frames.
//! let mut reader = server::RequestReader::new(HeadLimits::default());
//! let head = reader.read(&to_server)?.expect("the head is complete");
//! assert_eq!(head.len, to_server.len());
//! let upgrade = server::Upgrade::from_request(&head.request)?;
//! let acceptance = upgrade.accept().subprotocol("chat.v1")?;
//! let mut to_client = Vec::new();
//! acceptance.write(&mut to_client);
//!
//! // Client again.
//! let mut reader = client::ResponseReader::new(HeadLimits::default());
//! let head = reader.read(&to_client)?.expect("the head is complete");
//! let negotiated = request.verify(&head.response)?;
//! assert_eq!(negotiated.subprotocol.as_deref(), Some("chat.v1"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod authority;
pub mod client;
mod field;
mod head;
mod key;
mod negotiated;
pub mod server;
pub(crate) mod tokens;

pub use field::{Field, HeaderError};
pub use head::{HeadError, HeadLimits};
pub use key::{Key, accept_key};
pub use negotiated::Negotiated;

#[cfg(test)]
mod tests;
