//! Writing a recording.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use super::format::{Entry, Event, Head, Side, VERSION};
use crate::client::Handshake;
use crate::error::Failure;

/// Writes what happens, a line at a time.
///
/// Each line goes to the system in one piece before the conversation goes on: a program that is killed leaves
/// every line that it has written.
#[derive(Debug)]
pub(crate) struct Recorder {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    /// Length of the file up to the end of its last whole line.
    whole: u64,
    opened: Option<Instant>,
    failed: Option<String>,
}

impl Recorder {
    /// Makes the file. One that exists is left alone.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // What people say to each other is nobody else's business.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| {
            let path = path.display();
            if error.kind() == ErrorKind::AlreadyExists {
                Failure::usage(format!(
                    "{path} exists, and is not overwritten: name another file for --record"
                ))
            } else {
                Failure::new(format!("cannot write to {path}: {error}"))
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            inner: Mutex::new(Inner {
                file,
                whole: 0,
                opened: None,
                failed: None,
            }),
        })
    }

    /// Notes that a connection is open: the head for the first one, an entry for each further one.
    pub(crate) fn opened(&self, url: &str, handshake: Handshake) {
        let mut inner = self.lock();
        if inner.opened.is_some() {
            return inner.note(
                Side::Server,
                Event::Open {
                    handshake: Box::new(handshake),
                },
            );
        }
        inner.opened = Some(Instant::now());
        inner.write(&Head {
            version: VERSION,
            url: without_credentials(url),
            started: jiff::Timestamp::now().to_string(),
            handshake,
        });
    }

    /// Notes what one side did.
    pub(crate) fn note(&self, from: Side, event: Event) {
        self.lock().note(from, event);
    }

    /// Why the recording stopped, if it did.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let failed = self.lock().failed.clone()?;
        Some(Failure::new(format!(
            "cannot write to {}: {failed}; what was recorded before is whole",
            self.path.display()
        )))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn note(&mut self, from: Side, event: Event) {
        let elapsed = self.opened.map(|opened| opened.elapsed()).unwrap_or_default();
        self.write(&Entry {
            at_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            from,
            event,
        });
    }

    fn write(&mut self, line: &impl Serialize) {
        if self.failed.is_some() {
            return;
        }
        let written = serde_json::to_vec(line)
            .map_err(std::io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                self.file.write_all(&line)?;
                Ok(line.len() as u64)
            });
        match written {
            Ok(length) => self.whole += length,
            Err(error) => {
                // Half a line may have gone out before the disk was full.
                let _ = self.file.set_len(self.whole);
                self.failed = Some(error.to_string());
            }
        }
    }
}

/// A URL without the name and the password that may stand in it.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_recorded() {
        let table = [
            ("ws://me:secret@host/path?a=b@c", "ws://host/path?a=b@c"),
            ("ws://me:p@ss@host", "ws://host"),
            ("ws://host/@x", "ws://host/@x"),
            ("nonsense", "nonsense"),
        ];
        for (url, want) in table {
            assert_eq!(without_credentials(url), want);
        }
    }

    #[test]
    fn a_file_that_exists_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "precious").unwrap();
        let failure = Recorder::create(&path).unwrap_err();
        assert!(failure.to_string().contains("is not overwritten"), "{failure}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn the_head_comes_first_and_lines_follow() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let recorder = Recorder::create(&path).unwrap();
        recorder.opened("ws://me:x@host/", Handshake::default());
        recorder.note(Side::Client, Event::ping(b""));
        recorder.opened("ws://host/", Handshake::default());
        assert!(recorder.failure().is_none());
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[0].starts_with(r#"{"sockeye-recording":1,"url":"ws://host/","started":"2"#),
            "{text}"
        );
        assert!(lines[1].contains(r#""kind":"ping""#), "{text}");
        assert!(lines[2].contains(r#""kind":"open""#), "{text}");
        assert_eq!(lines.len(), 3);
    }
}
