//! What is measured. A scenario's name says all of it, so that any can be asked for: `echo-1KB-chinese-w16-c100-tls`.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail, ensure};
use contract::Compression;

use crate::payload::Kind;

/// One thing to measure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Scenario {
    pub(crate) shape: Shape,
    pub(crate) compression: Compression,
    pub(crate) tls: bool,
}

/// Who sends what to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// Each connection sends messages and gets them back.
    Echo {
        message: Message,
        /// How many messages of each connection are on the way.
        window: usize,
        connections: usize,
        /// Half of the messages per second that the server can take, at even distances, in place of a full window.
        half_load: bool,
    },
    /// In each topic, each publisher sends a message; when all members have all of them, the next round begins.
    Publish {
        message: Message,
        topics: usize,
        /// In each topic.
        publishers: usize,
        /// In each topic, publishers included.
        members: usize,
    },
    /// Connections that did one echo and then nothing.
    Idle { connections: usize },
    /// Opening handshakes, so many at a time; each connection is then reset.
    Handshakes { concurrent: usize },
}

/// The messages of a scenario: what they consist of, and their size in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) len: usize,
}

/// What a full run measures; a quick one takes those marked with `*`.
const NAMES: &str = "
    * echo-20B-binary-w1-c100
      echo-125B-binary-w1-c100
    * echo-1KB-binary-w1-c100
    * echo-16KB-binary-w1-c100
    * echo-64KB-binary-w1-c100
    * echo-1MB-binary-w1-c10
    * echo-20B-binary-w16-c100
      echo-125B-binary-w16-c100
    * echo-1KB-binary-w16-c100
      echo-16KB-binary-w16-c100
      echo-64KB-binary-w16-c100
      echo-1MB-binary-w16-c4
      echo-20B-ascii-w1-c100
    * echo-20B-ascii-w16-c100
      echo-1KB-ascii-w16-c100
      echo-64KB-ascii-w1-c100
      echo-20B-chinese-w16-c100
    * echo-1KB-chinese-w16-c100
      echo-16KB-chinese-w1-c100
    * echo-64KB-chinese-w1-c100
      echo-1MB-chinese-w1-c10
      echo-1KB-emoji-w16-c100
      echo-64KB-emoji-w1-c100
      echo-20B-binary-w1-c1
      echo-20B-binary-w1-c1000
      echo-20B-binary-w16-c1
      echo-20B-binary-w16-c1000
    * echo-1KB-json-w16-c100-shared
      echo-125B-json-w16-c100-shared
      echo-16KB-json-w1-c100-shared
    * echo-1KB-json-w16-c100-dedicated
    * echo-20B-binary-w1-c100-tls
      echo-1KB-binary-w16-c100-tls
    * echo-16KB-binary-w1-c100-tls
      echo-1MB-binary-w1-c10-tls
      echo-20B-binary-w1-c100-half
      echo-1KB-binary-w1-c100-half
    * publish-125B-ascii-t1-p1-m1000
      publish-1KB-ascii-t1-p1-m1000
    * publish-125B-ascii-t1-p200-m200
    * publish-1KB-json-t1-p1-m1000-shared
      publish-1KB-json-t1-p200-m200-shared
      publish-125B-ascii-t50-p4-m4
      publish-125B-ascii-t1-p200-m200-tls
      idle-1000
      idle-5000
    * idle-10000
      idle-15000
    * idle-5000-tls
    * handshakes-c50
      handshakes-c50-tls
";

/// The scenarios of a full run, or of a quick one.
pub(crate) fn standard(quick: bool) -> Vec<Scenario> {
    NAMES
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && (!quick || line.starts_with('*')))
        .map(|line| {
            let name = line.trim_start_matches('*').trim();
            name.parse().expect("a name in the list is a scenario")
        })
        .collect()
}

/// Of the standard scenarios those whose names contain `wanted`, or the one that has this very name.
///
/// # Errors
///
/// There is none, and the text names no scenario either.
pub(crate) fn matching(wanted: &str, quick: bool) -> Result<Vec<Scenario>> {
    if let Ok(scenario) = wanted.parse() {
        return Ok(vec![scenario]);
    }
    let among = |list: Vec<Scenario>| -> Vec<Scenario> {
        list.into_iter()
            .filter(|scenario| scenario.to_string().contains(wanted))
            .collect()
    };
    let found = among(standard(quick));
    if !found.is_empty() {
        return Ok(found);
    }
    let found = among(standard(false));
    ensure!(
        !found.is_empty(),
        "no scenario's name contains {wanted:?}, and it is none itself; --list shows all"
    );
    Ok(found)
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape {
            Shape::Echo {
                message,
                window,
                connections,
                half_load,
            } => {
                write!(f, "echo-{message}-w{window}-c{connections}")?;
                if half_load {
                    f.write_str("-half")?;
                }
            }
            Shape::Publish {
                message,
                topics,
                publishers,
                members,
            } => write!(f, "publish-{message}-t{topics}-p{publishers}-m{members}")?,
            Shape::Idle { connections } => write!(f, "idle-{connections}")?,
            Shape::Handshakes { concurrent } => write!(f, "handshakes-c{concurrent}")?,
        }
        match self.compression {
            Compression::Off => {}
            Compression::Shared => f.write_str("-shared")?,
            Compression::Dedicated => f.write_str("-dedicated")?,
        }
        if self.tls {
            f.write_str("-tls")?;
        }
        Ok(())
    }
}

impl FromStr for Scenario {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let mut words = name.split('-').peekable();
        let mut word = |what: &str| {
            words
                .next()
                .with_context(|| format!("{name:?} ends before its {what}"))
        };
        let mut shape = match word("kind")? {
            "echo" => Shape::Echo {
                message: Message::parse(word("size")?, word("content")?)?,
                window: count(word("window")?, "w")?,
                connections: count(word("connections")?, "c")?,
                half_load: false,
            },
            "publish" => Shape::Publish {
                message: Message::parse(word("size")?, word("content")?)?,
                topics: count(word("topics")?, "t")?,
                publishers: count(word("publishers")?, "p")?,
                members: count(word("members")?, "m")?,
            },
            "idle" => Shape::Idle {
                connections: count(word("connections")?, "")?,
            },
            "handshakes" => Shape::Handshakes {
                concurrent: count(word("connections")?, "c")?,
            },
            other => bail!("{other:?} is no kind of scenario: echo, publish, idle, handshakes"),
        };
        let mut compression = Compression::Off;
        let mut tls = false;
        for word in words {
            match (word, &mut shape) {
                ("shared", _) => compression = Compression::Shared,
                ("dedicated", _) => compression = Compression::Dedicated,
                ("tls", _) => tls = true,
                ("half", Shape::Echo { half_load, .. }) => *half_load = true,
                _ => bail!("{word:?} in {name:?}: shared, dedicated, tls, or half for an echo"),
            }
        }
        if let Shape::Publish {
            publishers, members, ..
        } = shape
        {
            ensure!(publishers <= members, "{name:?} has more publishers than members");
        }
        Ok(Self {
            shape,
            compression,
            tls,
        })
    }
}

/// A number behind a letter: `w16`.
fn count(word: &str, letter: &str) -> Result<usize> {
    word.strip_prefix(letter)
        .and_then(|digits| digits.parse().ok())
        .filter(|&count| count > 0)
        .with_context(|| format!("{word:?} is not {letter:?} and a number above zero"))
}

impl Message {
    fn parse(size: &str, kind: &str) -> Result<Self> {
        let (digits, unit) = size.split_at(size.find(|c: char| !c.is_ascii_digit()).unwrap_or(size.len()));
        let unit = match unit {
            "B" => 1,
            "KB" => 1024,
            "MB" => 1024 * 1024,
            _ => bail!("{size:?} is no size: a number of B, KB or MB"),
        };
        let len = digits.parse::<usize>()?.saturating_mul(unit);
        ensure!(
            (16..=contract::LARGEST_MESSAGE).contains(&len),
            "{size:?}: servers take up to 100 MB, and a published message's mark needs 16 bytes"
        );
        Ok(Self {
            kind: kind.parse()?,
            len,
        })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KB: usize = 1024;
        const MB: usize = 1024 * KB;
        match self.len {
            len if len % MB == 0 => write!(f, "{}MB", len / MB),
            len if len % KB == 0 => write!(f, "{}KB", len / KB),
            len => write!(f, "{len}B"),
        }?;
        write!(f, "-{}", self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_standard_scenario_has_the_name_it_was_made_of() {
        let names: Vec<&str> = NAMES
            .lines()
            .map(|line| line.trim().trim_start_matches('*').trim())
            .filter(|line| !line.is_empty())
            .collect();
        let scenarios = standard(false);
        assert_eq!(names.len(), scenarios.len());
        for (name, scenario) in names.into_iter().zip(scenarios) {
            assert_eq!(name, scenario.to_string());
        }
    }

    #[test]
    fn names_that_say_too_little_or_nonsense_are_refused() {
        for name in [
            "",
            "echo",
            "echo-20B",
            "echo-20X-binary-w1-c1",
            "echo-20B-binary-w0-c1",
            "echo-20B-binary-w1-c1-loud",
            "idle-10-half",
            "publish-20B-ascii-t1-p2-m1",
        ] {
            assert!(name.parse::<Scenario>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_part_of_a_name_chooses_among_the_standard_scenarios() {
        let found = matching("echo-1MB", true).unwrap();
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["echo-1MB-binary-w1-c10"]
        );
        // What a quick run leaves out can still be asked for.
        assert_eq!(matching("emoji", true).unwrap().len(), 2);
        assert!(matching("nothing of the kind", false).is_err());
    }
}
