//! What the fuzz targets do with their input. Each is a plain function that panics when something is wrong, so that a
//! test can call it too.
//!
//! ```text
//! cargo +nightly fuzz run pair
//! cargo test --manifest-path fuzz/Cargo.toml      # the corpora, and mutations of them, on any toolchain
//! cargo run --manifest-path fuzz/Cargo.toml --example seeds      # writes the hand-made part of the corpora anew
//! ```

mod compression;
mod frames;
mod handshake;
mod inflate;
mod pair;
#[cfg(test)]
mod replay;
// Shared with the tests of the connection, which use all of it.
#[allow(dead_code)]
#[path = "../../crates/sockeye-proto/tests/support/mod.rs"]
mod support;

pub use compression::{compress, deflate};
pub use frames::{frames_client, frames_server};
pub use handshake::{client_handshake, server_handshake};
pub use inflate::inflate;
pub use pair::pair;

/// A target by its name, which is also that of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 8] = [
    ("server_handshake", server_handshake),
    ("client_handshake", client_handshake),
    ("frames_server", frames_server),
    ("frames_client", frames_client),
    ("deflate", deflate),
    ("inflate", inflate),
    ("compress", compress),
    ("pair", pair),
];
