//! What one side wants of compression.

use std::fmt;

/// Defines a number that is always within its range.
macro_rules! bounded {
    ($(#[$doc:meta])* $name:ident, $min:literal..=$max:literal, default $default:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u8);

        impl $name {
            /// The least value.
            pub const MIN: Self = Self($min);
            /// The greatest value.
            pub const MAX: Self = Self($max);

            /// The value, if it is within the range.
            pub const fn new(value: u8) -> Option<Self> {
                if matches!(value, $min..=$max) { Some(Self(value)) } else { None }
            }

            /// The number.
            pub const fn get(self) -> u8 {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self($default)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

bounded! {
    /// The base-2 logarithm of a compression window's size: 8 (256 bytes) to 15 (32 KiB, the default).
    ///
    /// A compressor refers back to what it sent within the window instead of sending it again, so a larger
    /// window compresses better and costs both sides more memory.
    ///
    /// ```
    /// use sockeye_proto::deflate::WindowBits;
    ///
    /// assert_eq!(WindowBits::new(10).map(WindowBits::window_size), Some(1024));
    /// assert_eq!(WindowBits::new(16), None);
    /// ```
    WindowBits, 8..=15, default 15
}

impl WindowBits {
    /// The size of the window in bytes.
    pub const fn window_size(self) -> usize {
        1 << self.0
    }
}

bounded! {
    /// How hard a compressor tries: 0 (does not compress), 1 (fastest) to 9 (smallest), by default 2.
    ///
    /// Level 1 codes all messages alike; from 2 on each message gets a code of its own, which makes a kilobyte a quarter
    /// smaller and takes less than twice the time.
    ///
    /// Levels 2 to 5 are one: a compressor that is made for messages, with context and without. It comes within a few per cent
    /// of what level 6 finds, in less than two thirds of its time, and takes a fraction of the memory where context is kept.
    /// Levels 0, 1 and 6 to 9 are those of zlib.
    ///
    /// ```
    /// use sockeye_proto::deflate::Level;
    ///
    /// assert_eq!(Level::default().get(), 2);
    /// assert_eq!(Level::new(10), None);
    /// ```
    Level, 0..=9, default 2
}

bounded! {
    /// How much memory a compressor uses beside its window: 1 (least) to 9, by default 8. Less memory finds less.
    ///
    /// At [levels](Level) 2 to 5 it is the size of the table of positions that is kept with a context: 2 to the power of this
    /// and 7 in bytes, 256 to 64 KiB, but at most twice the window. Messages that are compressed without context do not
    /// differ. At the other levels it is zlib's `memLevel`.
    ///
    /// ```
    /// use sockeye_proto::deflate::MemLevel;
    ///
    /// assert_eq!(MemLevel::default().get(), 8);
    /// assert_eq!(MemLevel::new(0), None);
    /// ```
    MemLevel, 1..=9, default 8
}

/// What one side offers or accepts of permessage-deflate, and how it compresses.
///
/// The default keeps no context between messages in either direction, so that a connection that is not in
/// the middle of a compressed message holds no compression memory at all.
///
/// ```
/// use sockeye_proto::deflate::{Deflate, WindowBits};
///
/// // Better compression of small messages that resemble each other, for 7 KiB of memory per connection.
/// let dedicated = Deflate {
///     server_no_context_takeover: false,
///     server_max_window_bits: WindowBits::new(11).unwrap(),
///     ..Deflate::default()
/// };
/// assert!(dedicated.client_no_context_takeover);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Deflate {
    /// How hard our own compressor tries. Default 2.
    pub level: Level,
    /// How much memory our own compressor uses beside its window. Default 8.
    pub mem_level: MemLevel,
    /// Messages whose payload is smaller than this many bytes are sent uncompressed. Default 128.
    ///
    /// Without context takeover a small message hardly shrinks, and the work is wasted.
    pub threshold: usize,
    /// The server forgets its window after each message. Default `true`.
    ///
    /// As a server: our compressor does so. As a client: we require it of the server, which saves us the
    /// memory for its window.
    pub server_no_context_takeover: bool,
    /// The client forgets its window after each message. Default `true`.
    ///
    /// As a server: we require it of the client, which saves us the memory for its window. As a client: our
    /// compressor does so.
    pub client_no_context_takeover: bool,
    /// The largest window of the server. Default 15.
    ///
    /// As a client, a value below 15 is required of the server; a server that cannot limit its window is
    /// asked for `server_no_context_takeover` instead, by a second offer.
    pub server_max_window_bits: WindowBits,
    /// The largest window of the client. Default 15.
    ///
    /// As a server, a value below 15 is required of the client. A client that did not offer the parameter
    /// must not be sent it (RFC 7692 §7.1.2.2); it is told `client_no_context_takeover` instead, so that
    /// no larger window than wanted is ever kept between messages.
    pub client_max_window_bits: WindowBits,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            level: Level::default(),
            mem_level: MemLevel::default(),
            threshold: 128,
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: WindowBits::MAX,
            client_max_window_bits: WindowBits::MAX,
        }
    }
}
