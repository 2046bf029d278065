//! The browser's API against the WebSockets Standard, box by box: `docs/src/reference/whatwg.md` maps the boxes to
//! these tests.
#![cfg(feature = "web")]

mod attributes;
mod close;
mod constructor;
mod events;
mod feedback;
mod garbage;
mod handshake;
mod listeners;
mod page;
mod peer;
mod send;
mod stream;
mod stream_end;
