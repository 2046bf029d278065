//! Reading a recording.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::format::{Entry, Head, VERSION};
use crate::error::Failure;

/// A recording, read as it is needed: it may be larger than memory.
#[derive(Debug)]
pub(crate) struct Recording<R = BufReader<File>> {
    name: String,
    reader: R,
    line: u64,
    pub(crate) head: Head,
}

impl Recording {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let file =
            File::open(path).map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
        Self::read(name, BufReader::new(file))
    }
}

impl<R: BufRead> Recording<R> {
    fn read(name: String, reader: R) -> Result<Self, Failure> {
        let mut recording = Self {
            name,
            reader,
            line: 0,
            head: Head {
                version: 0,
                url: String::new(),
                started: String::new(),
                handshake: Default::default(),
            },
        };
        let head = recording.next_line()?.unwrap_or_default();
        let version = serde_json::from_str::<serde_json::Value>(&head)
            .ok()
            .and_then(|head| head.get("sockeye-recording")?.as_u64());
        match version {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => {
                return Err(recording.bad(format!(
                    "it is in version {version} of the format, and this program reads version {VERSION}"
                )));
            }
            None => return Err(recording.bad("that is no recording of sockeye connect --record")),
        }
        recording.head = serde_json::from_str(&head).map_err(|error| recording.bad(error))?;
        Ok(recording)
    }

    /// The next entry; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Failure> {
        let Some(line) = self.next_line()? else {
            return Ok(None);
        };
        serde_json::from_str(&line)
            .map(Some)
            .map_err(|error| self.bad(error))
    }

    /// A mistake in the line read last.
    pub(crate) fn bad(&self, complaint: impl std::fmt::Display) -> Failure {
        Failure::usage(format!("{}, line {}: {complaint}", self.name, self.line))
    }

    /// The number of the line read last.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    fn next_line(&mut self) -> Result<Option<String>, Failure> {
        let mut line = String::new();
        self.line += 1;
        self.reader
            .read_line(&mut line)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", self.name)))?;
        if line.pop() != Some('\n') {
            if !line.is_empty() {
                // A machine that lost its power may have kept the beginning of a line.
                eprintln!(
                    "sockeye: {}, line {} is cut off, and left out",
                    self.name, self.line
                );
            }
            return Ok(None);
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::{Event, Side};
    use super::*;

    const HEAD: &str = r#"{"sockeye-recording":1,"url":"ws://a/","started":"2026-01-01T00:00:00Z","handshake":{"status":101,"headers":[],"subprotocol":null,"extensions":""}}"#;

    fn recording(text: &str) -> Result<Recording<&[u8]>, Failure> {
        Recording::read("a.jsonl".into(), text.as_bytes())
    }

    #[test]
    fn entries_come_in_their_order_and_a_line_that_is_cut_off_ends_them() {
        let text = format!(
            "{HEAD}\n{}\n{}",
            r#"{"at_us":5,"from":"client","kind":"text","text":"x"}"#, r#"{"at_us":6,"from":"cli"#
        );
        let mut recording = recording(&text).unwrap();
        assert_eq!(recording.head.url, "ws://a/");
        let entry = recording.next().unwrap().unwrap();
        let event = Event::Text { text: "x".into() };
        assert_eq!((entry.at_us, entry.from, entry.event), (5, Side::Client, event));
        assert_eq!(recording.next().unwrap(), None);
    }

    #[test]
    fn what_cannot_be_replayed_is_told_with_its_line() {
        let table = [
            ("", "a.jsonl, line 1: that is no recording"),
            ("{}\n", "a.jsonl, line 1: that is no recording"),
            (
                "{\"sockeye-recording\":2}\n",
                "a.jsonl, line 1: it is in version 2 of the format",
            ),
            ("{\"sockeye-recording\":1}\n", "a.jsonl, line 1: missing field"),
        ];
        for (text, want) in table {
            let failure = recording(text).unwrap_err().to_string();
            assert!(failure.starts_with(want), "{failure}");
        }
        let text = format!("{HEAD}\n{{\"at_us\":1}}\n");
        let mut recording = recording(&text).unwrap();
        let failure = recording.next().unwrap_err().to_string();
        assert!(failure.starts_with("a.jsonl, line 2: missing field"), "{failure}");
    }
}
