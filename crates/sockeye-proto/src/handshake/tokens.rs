//! Tokens and comma-separated lists of header fields (RFC 9110 §5.6).

use http::HeaderValue;

/// Whether `bytes` is a token (RFC 9110 §5.6.2; the same set as RFC 2616's, which RFC 6455 refers to).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| is_token_byte(b))
}

/// Whether a token may contain `byte`.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// `bytes` without optional white space (space, tab) at both ends.
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let is_text = |b: &u8| !matches!(b, b' ' | b'\t');
    let start = bytes.iter().position(is_text).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(is_text).map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// The elements of a list that may stretch over several header lines.
///
/// RFC 9110 §5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list elements". What is
/// reasonable here is what fits in the limit for header bytes; an empty element costs nothing but its comma.
pub(super) fn elements<'a>(lines: impl Iterator<Item = &'a HeaderValue>) -> impl Iterator<Item = &'a [u8]> {
    lines
        .flat_map(|line| line.as_bytes().split(|&b| b == b','))
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// Whether a list of tokens has `token` in it, without regard to case.
///
/// Elements may carry a version as in `h2c, websocket/13` (RFC 9110 §7.8), which makes them another element
/// than the bare name. `None` when any element is not of that form: a list that is partly nonsense is not
/// trusted for the rest.
pub(super) fn list_has_token<'a>(lines: impl Iterator<Item = &'a HeaderValue>, token: &str) -> Option<bool> {
    let mut found = false;
    for element in elements(lines) {
        if !element.splitn(2, |&b| b == b'/').all(is_token) {
            return None;
        }
        found |= element.eq_ignore_ascii_case(token.as_bytes());
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(values: &[&'static [u8]]) -> Vec<HeaderValue> {
        values
            .iter()
            .map(|v| HeaderValue::from_bytes(v).unwrap())
            .collect()
    }

    #[test]
    fn white_space_is_trimmed_at_both_ends_only() {
        for (given, want) in [
            ("", ""),
            (" \t ", ""),
            ("a", "a"),
            (" a b\t", "a b"),
            ("\ta", "a"),
            ("\u{a0}", "\u{a0}"),
        ] {
            assert_eq!(trim(given.as_bytes()), want.as_bytes(), "{given:?}");
        }
    }

    #[test]
    fn empty_list_elements_are_skipped() {
        let lines = lines(&[b", a,,\t,b ,", b"", b" , ", b"c"]);
        assert_eq!(elements(lines.iter()).collect::<Vec<_>>(), [b"a", b"b", b"c"]);
    }

    #[test]
    fn a_token_is_found_in_any_line_and_case() {
        for (values, want) in [
            (&[b"websocket" as &[u8]] as &[&[u8]], Some(true)),
            (&[b"h2c, WebSocket"], Some(true)),
            (&[b"h2c", b",,WEBSOCKET,"], Some(true)),
            (&[b"websocket/13"], Some(false)),
            (&[b"websockets"], Some(false)),
            (&[b"web socket"], None),
            (&[b"websocket, \xff"], None),
            (&[b"websocket, a/b/c"], None),
            (&[b"websocket; q=1"], None),
            (&[b""], Some(false)),
            (&[], Some(false)),
        ] {
            let lines: Vec<_> = values
                .iter()
                .map(|v| HeaderValue::from_bytes(v).unwrap())
                .collect();
            assert_eq!(list_has_token(lines.iter(), "websocket"), want, "{values:?}");
        }
    }
}
