//! Sockeye.

pub mod deflate;
pub mod extension;
mod role;

pub use role::Role;
