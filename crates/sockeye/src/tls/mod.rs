//! TLS by rustls with aws-lc-rs: certificates from PEM files or memory, for the server and for the client.
//!
//! Everything here names its crypto provider; rustls's process-wide default is neither read nor set.
//! The server's listeners call [`ServerTls`], the client's connector calls [`ClientTls`].

mod certificates;
mod client;
mod error;
mod info;
mod pem;
mod pin;
mod server;
#[cfg(all(feature = "server", unix))]
pub(crate) mod session;
mod version;

pub use client::{ClientTls, ClientTlsBuilder};
pub use error::TlsError;
pub use info::TlsInfo;
pub use pem::{Identity, Pem};
pub use pin::KeyPin;
pub(crate) use pin::PinMismatch;
pub use server::{ClientCertificates, ServerTls, ServerTlsBuilder};
pub use version::TlsVersion;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The provider of every handshake of this crate.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
