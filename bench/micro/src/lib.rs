//! What several libraries do with every byte of a message, each part under one signature: unmasking, the check of text,
//! the cutting of a stream into frames, compression. µWebSockets' parts are in `uwebsockets.cpp`.

mod deflate;
mod frames;

pub use deflate::{Deflater, Inflater, deflaters, inflaters, json};
pub use frames::{Reader, readers};

/// Unmasks a payload in place (RFC 6455 §5.3).
pub type Unmask = fn(&mut [u8], [u8; 4]);

/// Whether bytes are UTF-8.
pub type Check = fn(&[u8]) -> bool;

/// The functions that unmask, by library.
pub const UNMASK: [(&str, Unmask); 4] = [
    ("sockeye", |payload, key| {
        sockeye_proto::Mask::new(key).apply(payload)
    }),
    ("fastwebsockets", fastwebsockets::unmask),
    ("sockudo-ws", sockudo_ws::simd::apply_mask),
    ("yawc", yawc::mask::apply_mask),
];

/// The functions that check text, by library. Sockeye and most peers use simdutf8.
pub const CHECK: [(&str, Check); 3] = [
    ("simdutf8", |text| simdutf8::basic::from_utf8(text).is_ok()),
    ("sockudo-ws", sockudo_ws::utf8::validate_utf8),
    ("std", |text| std::str::from_utf8(text).is_ok()),
];
