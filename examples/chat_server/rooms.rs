//! Who is in which room.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use sockeye::Utf8Bytes;
use tokio::sync::broadcast::{self, error::RecvError};

/// How many lines a member may be behind.
const BEHIND: usize = 100;

/// The name of a member: 1 to 20 letters or digits, so that nobody can pass for the server's `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn new(text: &str) -> Option<Self> {
        let fits = (1..=20).contains(&text.chars().count()) && text.chars().all(char::is_alphanumeric);
        fits.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All rooms, by name.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Mutex<HashMap<String, broadcast::Sender<Utf8Bytes>>>);

impl Rooms {
    /// Enters a room, and makes it if nobody is in it.
    pub(crate) fn join(&self, room: &str) -> Member {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Names that nobody uses any more must not pile up.
        rooms.retain(|_, lines| lines.receiver_count() > 0);
        let lines = rooms
            .entry(room.to_owned())
            .or_insert_with(|| broadcast::Sender::new(BEHIND));
        Member {
            lines: lines.clone(),
            ears: lines.subscribe(),
        }
    }
}

/// Somebody in a room; dropping it leaves the room.
#[derive(Debug)]
pub(crate) struct Member {
    lines: broadcast::Sender<Utf8Bytes>,
    ears: broadcast::Receiver<Utf8Bytes>,
}

impl Member {
    /// Says a line to everybody in the room, its speaker included.
    pub(crate) fn say(&self, line: String) {
        // Fails if nobody listens, and we do.
        let _ = self.lines.send(line.into());
    }

    /// The next line that was said. The text is shared, not copied, between all members.
    ///
    /// Cancel safe: a line is either returned or still there.
    pub(crate) async fn hear(&mut self) -> Result<Utf8Bytes, RecvError> {
        self.ears.recv().await
    }
}
