//! A TOML file as a list of keys, values and the lines they stand on.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::Failure;

/// Largest configuration file read. One with every option and its comment takes a few kilobytes.
const LARGEST_FILE: u64 = 1 << 20;

/// One line of a configuration file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) values: Vec<String>,
    /// Counted from 1.
    pub(super) line: usize,
}

/// Reads the file at `path`.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, Failure> {
    let shown = path.display();
    let unreadable =
        |error: std::io::Error| Failure::usage(format!("cannot read the configuration {shown}: {error}"));
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST_FILE {
        return Err(Failure::usage(format!(
            "{shown} is {size} bytes: too large for a configuration"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    parse(&text).map_err(|(line, message)| Failure::usage(format!("{shown}:{line}: {message}")))
}

fn parse(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let line = |span: Range<usize>| {
        1 + text.as_bytes()[..span.start.min(text.len())]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
    };
    let table = DeTable::parse(text).map_err(|error| {
        let line = line(error.span().unwrap_or_default());
        (line, format!("not valid TOML: {}", error.message()))
    })?;
    let mut entries = Vec::new();
    for (key, value) in table.into_inner() {
        let line = line(key.span());
        let key = key.into_inner().into_owned();
        let values = values(value).map_err(|message| (line, format!("{key}: {message}")))?;
        entries.push(Entry { key, values, line });
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn values(value: Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    match value.into_inner() {
        DeValue::Array(items) => items.into_iter().map(|item| scalar(&item.into_inner())).collect(),
        value => scalar(&value).map(|value| vec![value]),
    }
}

fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
        DeValue::Boolean(value) => Ok(value.to_string()),
        DeValue::Table(_) => Err("options are not grouped: write the key at the top level".to_owned()),
        DeValue::Array(_) => Err("a list cannot hold lists".to_owned()),
        _ => Err("write a string, a decimal integer, true, false or a list of strings".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, values: &[&str], line: usize) -> Entry {
        Entry {
            key: key.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
            line,
        }
    }

    #[test]
    fn keys_keep_their_lines() {
        let entries = parse(
            "# a comment\nport = 80\n\norigin = [\n  \"any\",\n]\nmetrics = false\nqueue-size = \"1MiB\"\n",
        );
        let expected = vec![
            entry("port", &["80"], 2),
            entry("origin", &["any"], 4),
            entry("metrics", &["false"], 7),
            entry("queue-size", &["1MiB"], 8),
        ];
        assert_eq!(entries, Ok(expected));
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        let table = [
            ("port = 80\nhost = ", 2, "not valid TOML"),
            ("port = 80\nport = 81", 2, "duplicate key"),
            ("[tls]\ncert = \"a\"", 1, "not grouped"),
            ("\nport = 1.5", 2, "port: write a string"),
            ("port = 0x50", 1, "port: write a string"),
            ("host = [[\"a\"]]", 1, "a list cannot hold lists"),
        ];
        for (text, line, words) in table {
            let (found, message) = parse(text).unwrap_err();
            assert_eq!(found, line, "{text}");
            assert!(message.contains(words), "{message}");
        }
    }
}
