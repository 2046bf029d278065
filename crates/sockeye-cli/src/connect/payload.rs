//! Messages as lines: text as it is, bytes as hexadecimal unless they are wanted raw.

use std::fmt::Write;

/// Bytes as hexadecimal digits, two each.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes that hexadecimal digits stand for. Spaces may separate them.
pub(super) fn from_hex(text: &str) -> Result<Vec<u8>, String> {
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

/// Text that can do nothing to a terminal: control characters but line feed and tab are written out.
pub(super) fn for_terminal(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => safe.push(character),
            character if character.is_control() => safe.extend(character.escape_default()),
            character => safe.push(character),
        }
    }
    safe
}

/// Text that can do nothing to a terminal, in one line.
pub(super) fn one_line(text: &str) -> String {
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
    fn a_terminal_gets_no_control_characters() {
        assert_eq!(for_terminal("a\tb\nc"), "a\tb\nc");
        assert_eq!(for_terminal("\u{1b}[2J\u{7}\u{9b}"), "\\u{1b}[2J\\u{7}\\u{9b}");
        assert_eq!(one_line("a\tb\nc\u{1b}"), "a\tb\\nc\\u{1b}");
    }
}
