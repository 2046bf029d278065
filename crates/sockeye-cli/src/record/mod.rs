//! Recordings of conversations: a line of JSON for everything that was sent and received, with its time.
//!
//! `connect --record` writes them, `replay` reads them; the format is a chapter of the guide.

mod format;
mod read;
mod write;

pub(crate) use format::{Entry, Event, Side};
pub(crate) use read::Recording;
pub(crate) use write::Recorder;
