//! Bytes as text, and text that is safe to show.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;

/// How bytes are written in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    /// Two digits for each byte.
    Hex,
    /// Four characters for three bytes, padded.
    Base64,
    /// The bytes themselves.
    Raw,
}

impl Encoding {
    /// The text for these bytes; `None` for raw ones, which are no text.
    pub(crate) fn encode(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Hex => Some(to_hex(bytes)),
            Self::Base64 => Some(to_base64(bytes)),
            Self::Raw => None,
        }
    }

    /// The bytes that a line stands for.
    pub(crate) fn decode(self, line: Vec<u8>) -> Result<Vec<u8>, String> {
        if self == Self::Raw {
            return Ok(line);
        }
        let text = String::from_utf8(line).map_err(|_| "that is not UTF-8".to_owned())?;
        if self == Self::Hex {
            from_hex(&text)
        } else {
            from_base64(&text)
        }
    }
}

/// Bytes as hexadecimal digits, two each.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes that hexadecimal digits stand for. Spaces may separate them.
pub(crate) fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .map(|character| {
            let digit = character.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            digit.ok_or_else(|| format!("{character:?} is not a hexadecimal digit"))
        })
        .collect::<Result<_, _>>()?;
    if !digits.len().is_multiple_of(2) {
        return Err(format!(
            "{} hexadecimal digits are no whole number of bytes",
            digits.len()
        ));
    }
    Ok(digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect())
}

/// Bytes in base64 (RFC 4648 §4), padded.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes that base64 stands for. Spaces may separate the characters.
pub(crate) fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    let packed: String = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    STANDARD
        .decode(&packed)
        .map_err(|error| format!("that is not base64: {error}"))
}

/// Text that can do nothing to a terminal: control characters but line feed and tab are written out, and so are
/// those that change the direction of writing, with which text can be made to look like other text.
pub(crate) fn for_terminal(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => safe.push(character),
            character if is_unsafe(character) => safe.extend(character.escape_unicode()),
            character => safe.push(character),
        }
    }
    safe
}

/// Whether a terminal may do something else than to draw this character.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text that can do nothing to a terminal, in one line.
pub(crate) fn one_line(text: &str) -> String {
    for_terminal(text).replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_goes_both_ways() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)), Ok(bytes));
        assert_eq!(from_hex("00 fF\t7f"), Ok(vec![0, 255, 127]));
        assert_eq!(from_hex(""), Ok(vec![]));
    }

    #[test]
    fn bad_hexadecimal_is_explained() {
        assert_eq!(from_hex("0g"), Err("'g' is not a hexadecimal digit".to_owned()));
        assert_eq!(
            from_hex("012"),
            Err("3 hexadecimal digits are no whole number of bytes".to_owned())
        );
    }

    #[test]
    fn base64_goes_both_ways() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_base64(&to_base64(&bytes)), Ok(bytes));
        assert_eq!(from_base64("AP\n8="), Ok(vec![0, 255]));
        assert!(from_base64("A").unwrap_err().starts_with("that is not base64: "));
    }

    #[test]
    fn each_encoding_reads_what_it_writes() {
        let bytes = b"\x00\xff\n".to_vec();
        for encoding in [Encoding::Hex, Encoding::Base64] {
            let text = encoding.encode(&bytes).unwrap();
            assert_eq!(encoding.decode(text.into_bytes()), Ok(bytes.clone()));
        }
        assert_eq!(Encoding::Raw.encode(&bytes), None);
        assert_eq!(Encoding::Raw.decode(bytes.clone()), Ok(bytes));
        assert_eq!(
            Encoding::Hex.decode(vec![0xff]),
            Err("that is not UTF-8".to_owned())
        );
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(for_terminal("a\tb\nc"), "a\tb\nc");
        assert_eq!(for_terminal("\u{1b}[2J\u{7}\u{9b}"), "\\u{1b}[2J\\u{7}\\u{9b}");
        assert_eq!(one_line("a\tb\nc\u{1b}"), "a\tb\\nc\\u{1b}");
    }

    #[test]
    fn text_cannot_be_turned_around() {
        assert_eq!(for_terminal("a\u{202e}cb\u{2066}"), "a\\u{202e}cb\\u{2066}");
    }
}
