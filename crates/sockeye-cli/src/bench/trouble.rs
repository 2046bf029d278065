//! What goes wrong with connections, counted by kind.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;

use crate::error::without_numbers;
use crate::payload;

/// At which point something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// No TCP connection.
    Connect,
    /// The TLS handshake failed, or TLS did later.
    Tls,
    /// The server answered with another status than 101.
    Refused,
    /// The answer was no WebSocket handshake.
    Handshake,
    /// The connection was not open in time.
    Timeout,
    /// The server closed an open connection.
    Closed,
    /// An open connection broke off without a Close frame.
    Lost,
    /// The server broke the protocol.
    Protocol,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Refused => "refused",
            Self::Handshake => "handshake",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Lost => "lost",
            Self::Protocol => "protocol",
        }
    }
}

/// One thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    pub(super) detail: String,
}

impl Trouble {
    /// What peers say goes into it: one line, safe to show, and not endless.
    pub(super) fn new(kind: Kind, detail: impl AsRef<str>) -> Self {
        let line = payload::one_line(detail.as_ref().trim());
        let mut detail: String = line.chars().take(Self::LONGEST).collect();
        if detail.len() < line.len() {
            detail.push_str(" …");
        }
        Self { kind, detail }
    }

    pub(super) fn of_system(kind: Kind, error: &io::Error) -> Self {
        Self::new(kind, without_numbers(&error.to_string()))
    }

    /// In characters.
    const LONGEST: usize = 300;
}

/// How often each went wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct Troubles(BTreeMap<Trouble, u64>);

impl Troubles {
    /// How many different ones are kept; a server can invent new ones for ever.
    const KEPT: usize = 64;

    pub(super) fn add(&mut self, trouble: Trouble) {
        self.add_many(trouble, 1);
    }

    fn add_many(&mut self, trouble: Trouble, count: u64) {
        let trouble = if self.0.len() < Self::KEPT || self.0.contains_key(&trouble) {
            trouble
        } else {
            Trouble::new(trouble.kind, "others")
        };
        *self.0.entry(trouble).or_default() += count;
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (trouble, count) in other.0 {
            self.add_many(trouble, count);
        }
    }

    /// The most frequent first.
    pub(super) fn sorted(&self) -> Vec<(&Trouble, u64)> {
        let mut all: Vec<_> = self.0.iter().map(|(trouble, count)| (trouble, *count)).collect();
        all.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_troubles_are_counted_together_and_the_most_frequent_comes_first() {
        let mut troubles = Troubles::default();
        troubles.add(Trouble::new(Kind::Lost, "a"));
        let mut other = Troubles::default();
        other.add(Trouble::new(Kind::Closed, "b"));
        other.add(Trouble::new(Kind::Closed, "b"));
        troubles.merge(other);
        let sorted: Vec<_> = troubles
            .sorted()
            .into_iter()
            .map(|(trouble, count)| (trouble.detail.as_str(), count))
            .collect();
        assert_eq!(sorted, [("b", 2), ("a", 1)]);
    }

    #[test]
    fn a_server_cannot_make_them_grow_for_ever() {
        let mut troubles = Troubles::default();
        for number in 0..10_000 {
            troubles.add(Trouble::new(Kind::Refused, format!("{number}")));
        }
        assert_eq!(troubles.0.len(), Troubles::KEPT + 1);
        assert_eq!(troubles.0.values().sum::<u64>(), 10_000);
        let long = Trouble::new(Kind::Refused, "\u{1b}x".repeat(10_000));
        assert!(long.detail.chars().count() < 310 && !long.detail.contains('\u{1b}'));
    }
}
