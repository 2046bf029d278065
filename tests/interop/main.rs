//! Sockeye against what users have on the other side, in both roles.
//!
//! The Node and Python peers, proxies among them, are processes (`peer`), tokio-tungstenite runs in this one. Chromium is tested
//! with the console page, `cargo xtask test browser`.

mod browser_api;
mod client_role;
mod echo_server;
mod messages;
mod peer;
mod proxies;
mod server_role;
mod tls;
mod tungstenite;

use sockeye::proto::deflate::{Deflate, WindowBits};

/// Compression of every message, with the same terms for both sides.
fn deflate(bits: u8, no_context_takeover: bool) -> Deflate {
    let window = WindowBits::new(bits).expect("a window of 8 to 15 bits");
    Deflate {
        threshold: 0,
        server_max_window_bits: window,
        client_max_window_bits: window,
        server_no_context_takeover: no_context_takeover,
        client_no_context_takeover: no_context_takeover,
        ..Deflate::default()
    }
}
