//! JSON as people read it.
//!
//! Values are laid out anew and never changed: numbers keep their digits, members their order and their duplicates.
//! A parser into values, such as `serde_json`'s, keeps none of these; it only checks here.

use serde::de::IgnoredAny;

use crate::payload::is_unsafe;
use crate::style::{FAINT, KEY, NUMBER, Painter, TEXT, WORD};

/// How it is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// In one line, without spaces.
    Line,
    /// A member a line, indented.
    Pretty,
}

/// Checks that a text is JSON.
pub(super) fn check(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(text).map(|_| ())
}

/// Whether a text begins to be JSON, and more has to follow.
pub(super) fn is_incomplete(text: &str) -> bool {
    check(text).is_err_and(|error| error.is_eof())
}

/// Whether a text looks like an object or an array, which is what deserves a layout.
pub(super) fn is_structured(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// How many times larger than the text its layout may be, without and with colours. Many small values deep inside
/// grow by their indentation, and a server chooses how many and how deep.
const MAX_GROWTH: (usize, usize) = (8, 32);

/// What a short text may grow by, whatever is in it.
const FREE_GROWTH: usize = 4096;

/// A text that is JSON, laid out; `None` if it is not, or if its layout were too large. For a terminal, characters that
/// could control it are escaped.
pub(super) fn format(text: &str, layout: Layout, painter: Painter, for_terminal: bool) -> Option<String> {
    check(text).ok()?;
    let factor = if painter.paints() {
        MAX_GROWTH.1
    } else {
        MAX_GROWTH.0
    };
    let limit = text.len() * factor + FREE_GROWTH;
    let mut writer = Writer {
        out: String::with_capacity(text.len() * 2),
        depth: 0,
        open: false,
        layout,
        painter,
        for_terminal,
    };
    let mut rest = text.trim_ascii_start();
    while let Some(first) = rest.chars().next() {
        let (token, tail) = rest.split_at(token_length(rest));
        rest = tail.trim_ascii_start();
        writer.token(first, token, rest.chars().next());
        if writer.out.len() > limit {
            return None;
        }
    }
    Some(writer.out)
}

/// The length of the token at the beginning of valid JSON.
fn token_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    match bytes[0] {
        b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
        b'"' => {
            let mut at = 1;
            while at < bytes.len() && bytes[at] != b'"' {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            (at + 1).min(bytes.len())
        }
        _ => text
            .find([',', ']', '}', ' ', '\t', '\n', '\r'])
            .unwrap_or(text.len()),
    }
}

struct Writer {
    out: String,
    depth: usize,
    /// Whether the last token opened an object or an array.
    open: bool,
    layout: Layout,
    painter: Painter,
    for_terminal: bool,
}

impl Writer {
    fn token(&mut self, first: char, token: &str, next: Option<char>) {
        match first {
            '{' | '[' => {
                self.punctuation(token);
                self.depth += 1;
                if !matches!(next, Some('}' | ']')) {
                    self.new_line();
                }
            }
            '}' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                if !self.open {
                    self.new_line();
                }
                self.punctuation(token);
            }
            ',' => {
                self.punctuation(token);
                self.new_line();
            }
            ':' => {
                self.punctuation(token);
                if self.layout == Layout::Pretty {
                    self.out.push(' ');
                }
            }
            '"' => {
                let style = if next == Some(':') { KEY } else { TEXT };
                let text = self.safe(token);
                self.out.push_str(&self.painter.paint(style, text));
            }
            't' | 'f' | 'n' => self.out.push_str(&self.painter.paint(WORD, token)),
            _ => self.out.push_str(&self.painter.paint(NUMBER, token)),
        }
        self.open = matches!(first, '{' | '[');
    }

    fn punctuation(&mut self, token: &str) {
        self.out.push_str(&self.painter.paint(FAINT, token));
    }

    fn new_line(&mut self) {
        if self.layout == Layout::Pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", self.depth));
        }
    }

    /// A string whose unsafe characters are written as JSON may write them.
    fn safe(&self, token: &str) -> String {
        if !self.for_terminal || !token.chars().any(is_unsafe) {
            return token.to_owned();
        }
        let mut safe = String::with_capacity(token.len());
        for character in token.chars() {
            if is_unsafe(character) {
                safe.push_str(&format!("\\u{:04x}", u32::from(character)));
            } else {
                safe.push(character);
            }
        }
        safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pretty(text: &str) -> Option<String> {
        format(text, Layout::Pretty, Painter::plain(), true)
    }

    #[test]
    fn members_get_lines_of_their_own() {
        let text = r#" {"a":[1,{"b":null}],"c":{},"d":[ ],"e":"x,}\"" } "#;
        let want = "{\n  \"a\": [\n    1,\n    {\n      \"b\": null\n    }\n  ],\n  \"c\": {},\n  \"d\": [],\n  \"e\": \"x,}\\\"\"\n}";
        assert_eq!(pretty(text).as_deref(), Some(want));
    }

    #[test]
    fn nothing_is_changed_but_the_layout() {
        let text = r#"{"z":1.0,"a":12345678901234567890123,"z":1e400,"t":"\u00e9"}"#;
        let line = format(&pretty(text).unwrap(), Layout::Line, Painter::plain(), false);
        assert_eq!(line.as_deref(), Some(text));
    }

    #[test]
    fn what_is_not_json_stays_as_it_is() {
        for text in ["", "{", "hello", "{'a':1}", "[1,]", "{} {}"] {
            assert_eq!(pretty(text), None, "{text}");
        }
    }

    #[test]
    fn a_terminal_gets_no_control_characters_and_the_same_value() {
        let text = "{\"a\":\"x\u{9b}31m\u{202e}\u{7f}\"}";
        let safe = format(text, Layout::Line, Painter::plain(), true).unwrap();
        assert_eq!(safe, r#"{"a":"x\u009b31m\u202e\u007f"}"#);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&safe), value(text));
        assert_eq!(
            format(text, Layout::Line, Painter::plain(), false).as_deref(),
            Some(text)
        );
    }

    #[test]
    fn keys_and_values_have_colours() {
        let text = format(r#"{"a":true}"#, Layout::Line, Painter::colourful(), true).unwrap();
        assert!(text.contains("\u{1b}[34m\"a\"\u{1b}[0m"), "{text:?}");
        assert!(text.contains("\u{1b}[35mtrue\u{1b}[0m"), "{text:?}");
    }

    #[test]
    fn the_layout_of_what_is_nested_deep_has_a_limit() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(pretty(&nested(30)).is_some());
        assert_eq!(pretty(&nested(100_000)), None);
        let text = nested(100_000);
        assert_eq!(format(&text, Layout::Line, Painter::plain(), true), Some(text));
    }

    #[test]
    fn an_object_may_be_typed_in_pieces() {
        assert!(is_incomplete("{\"a\":"));
        assert!(!is_incomplete("{\"a\":1}"));
        assert!(!is_incomplete("{a"));
    }
}
