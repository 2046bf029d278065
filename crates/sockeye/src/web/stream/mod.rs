//! `WebSocketStream`: a WebSocket as a readable and a writable stream, with back-pressure both ways.
//!
//! [`handle`] is what programs hold until the connection is open, [`attempt`] opens it; [`conversation`] is the open
//! connection, which [`readable`] and [`writable`] are the two ends of.

mod attempt;
mod conversation;
mod error;
mod handle;
mod readable;
#[cfg(test)]
mod tests;
mod writable;

pub use error::{StreamError, WebSocketError};
pub use handle::{WebSocketCloseInfo, WebSocketOpenInfo, WebSocketStream, WebSocketStreamOptions};
pub use readable::WebSocketReadable;
pub use writable::WebSocketWritable;
