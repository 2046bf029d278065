//! The connection as its callers and its peers see it.

mod closing;
mod cost;
mod deflate;
mod frames;
mod framing;
mod keepalive;
mod limits;
mod prepared;
mod properties;
mod room;
mod streaming;
#[path = "../support/mod.rs"]
mod support;
mod utf8;
