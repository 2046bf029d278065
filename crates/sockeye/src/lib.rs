//! Sockeye.

#[cfg(feature = "tls")]
pub mod tls;
