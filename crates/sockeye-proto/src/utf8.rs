//! UTF-8 validated as it arrives: a bad byte fails at once, a code point may be split anywhere.

/// The text received so far is not the start of any valid UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InvalidUtf8;

/// A validator that carries an unfinished code point from one piece of text to the next.
///
/// Every byte is looked at a constant number of times, however small the pieces are.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Utf8Validator {
    partial: [u8; 4],
    len: u8,
}

impl Utf8Validator {
    /// Validates the next piece of a text and hands the complete code points to `sink`, in order.
    pub(crate) fn feed(&mut self, mut piece: &[u8], mut sink: impl FnMut(&str)) -> Result<(), InvalidUtf8> {
        while self.len > 0 {
            let Some((&byte, rest)) = piece.split_first() else {
                return Ok(());
            };
            piece = rest;
            self.partial[self.len as usize] = byte;
            self.len += 1;
            match check(&self.partial[..self.len as usize])? {
                Some(text) => {
                    sink(text);
                    self.len = 0;
                }
                None => continue,
            }
        }
        let (whole, tail) = piece.split_at(piece.len() - unfinished_tail(piece));
        if !whole.is_empty() {
            sink(validate(whole)?);
        }
        check(tail)?;
        self.partial[..tail.len()].copy_from_slice(tail);
        self.len = tail.len() as u8;
        Ok(())
    }

    /// Whether no code point is unfinished.
    pub(crate) fn is_at_boundary(self) -> bool {
        self.len == 0
    }

    /// Ends the text: no code point may be left unfinished.
    pub(crate) fn finish(self) -> Result<(), InvalidUtf8> {
        if self.len == 0 { Ok(()) } else { Err(InvalidUtf8) }
    }
}

/// A whole text as `&str`.
pub(crate) fn validate(text: &[u8]) -> Result<&str, InvalidUtf8> {
    #[cfg(test)]
    crate::work::count(text.len());
    // Below this length the standard library's loop is ahead of the vector code's set-up.
    const SHORT: usize = 64;
    if text.len() < SHORT {
        std::str::from_utf8(text).map_err(|_| InvalidUtf8)
    } else {
        simdutf8::basic::from_utf8(text).map_err(|_| InvalidUtf8)
    }
}

/// The text of at most four bytes, `None` if they are a valid but unfinished code point.
fn check(bytes: &[u8]) -> Result<Option<&str>, InvalidUtf8> {
    #[cfg(test)]
    crate::work::count(bytes.len());
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.error_len().is_none() && error.valid_up_to() == 0 => Ok(None),
        Err(_) => Err(InvalidUtf8),
    }
}

/// How many bytes at the end of `piece` begin a code point that the piece does not finish.
fn unfinished_tail(piece: &[u8]) -> usize {
    for (back, &byte) in piece.iter().rev().take(3).enumerate() {
        let needed = match byte {
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
            0x00..=0x7F => 1,
        };
        return if needed > back + 1 { back + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work;

    fn feed_all(pieces: &[&[u8]]) -> Result<String, InvalidUtf8> {
        let mut validator = Utf8Validator::default();
        let mut text = String::new();
        for piece in pieces {
            validator.feed(piece, |s| text.push_str(s))?;
        }
        validator.finish()?;
        Ok(text)
    }

    #[test]
    fn a_code_point_may_be_split_anywhere() {
        let text = "aé鮭🐟z".repeat(30);
        let bytes = text.as_bytes();
        for first in 0..=bytes.len() {
            for second in [first, (first + 1).min(bytes.len()), bytes.len()] {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(
                    feed_all(&pieces).as_deref(),
                    Ok(text.as_str()),
                    "split at {first}, {second}"
                );
            }
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(feed_all(&single), Ok(text.clone()));
    }

    #[test]
    fn a_bad_byte_fails_in_the_piece_that_holds_it() {
        // RFC 3629: overlong forms, surrogates, above U+10FFFF, stray continuation, bytes that never occur.
        let bad: [&[u8]; 9] = [
            &[0xC0, 0xAF],
            &[0xE0, 0x80],
            &[0xED, 0xA0],
            &[0xF4, 0x90],
            &[0xF8],
            &[0x80],
            &[0xFF],
            &[0xF0, 0x80],
            &[0xC3, 0x28],
        ];
        for bytes in bad {
            let mut validator = Utf8Validator::default();
            assert_eq!(
                validator.feed(bytes, |_| ()),
                Err(InvalidUtf8),
                "{bytes:x?} at once"
            );
            let mut validator = Utf8Validator::default();
            let results: Vec<_> = bytes.chunks(1).map(|byte| validator.feed(byte, |_| ())).collect();
            assert_eq!(results.last(), Some(&Err(InvalidUtf8)), "{bytes:x?} byte by byte");
        }
    }

    #[test]
    fn an_unfinished_code_point_at_the_end_is_invalid() {
        assert_eq!(feed_all(&[b"ok", &[0xE9]]), Err(InvalidUtf8));
        assert_eq!(feed_all(&[&[0xF0, 0x9F], &[0x90]]), Err(InvalidUtf8));
    }

    #[test]
    fn agrees_with_the_standard_library_on_every_two_byte_start() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                let bytes = [a, b];
                let expected = std::str::from_utf8(&bytes)
                    .map(str::to_owned)
                    .map_err(|_| InvalidUtf8);
                assert_eq!(feed_all(&[&bytes]), expected, "{bytes:x?}");
                assert_eq!(
                    feed_all(&[&bytes[..1], &bytes[1..]]),
                    expected,
                    "{bytes:x?} split"
                );
            }
        }
    }

    #[test]
    fn the_cost_is_linear_however_small_the_pieces_are() {
        let text = "aé鮭🐟".repeat(100_000);
        for piece in [1, 2, 3, 7, 64, 1000] {
            let mut validator = Utf8Validator::default();
            let looked_at = work::measure(|| {
                for piece in text.as_bytes().chunks(piece) {
                    validator.feed(piece, |_| ()).unwrap();
                }
            });
            assert!(
                looked_at <= 5 * text.len() as u64,
                "{looked_at} for pieces of {piece}"
            );
        }
    }
}
