//! The secret that a backend shows.

use std::fmt;
use std::path::Path;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::error::Failure;

/// Fewer characters can be guessed.
const SHORTEST: usize = 16;

/// A token, as its digest: comparing two of those takes the same time wherever they differ, and however long the tokens
/// are.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::serve) struct Token(Vec<u8>);

impl Token {
    /// Reads the file that the options name, if they name one.
    pub(in crate::serve) fn read(path: Option<&Path>) -> Result<Option<Self>, Failure> {
        let Some(path) = path else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
        let token = text.trim();
        if token.len() < SHORTEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = format!(
                "{} is not a token: write one line of {SHORTEST} or more printable ASCII characters into it",
                path.display()
            );
            return Err(Failure::usage(why));
        }
        Ok(Some(Self::of(token)))
    }

    fn of(token: &str) -> Self {
        Self(digest(&SHA256, token.as_bytes()).as_ref().to_vec())
    }

    /// Whether these headers have the token in them (RFC 6750 §2.1).
    pub(super) fn opens(&self, headers: &HeaderMap) -> bool {
        let shown = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = shown else {
            return false;
        };
        verify_slices_are_equal(&Self::of(token.trim()).0, &self.0).is_ok()
    }
}

/// Says nothing.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opens(authorization: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        Token::of("0123456789abcdef").opens(&headers)
    }

    #[test]
    fn only_the_token_opens() {
        assert!(opens("Bearer 0123456789abcdef"));
        assert!(opens("bearer  0123456789abcdef "));
        for other in [
            "Bearer 0123456789abcdeg",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer",
            "Bearer ",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
            "",
        ] {
            assert!(!opens(other), "{other}");
        }
        assert!(!Token::of("0123456789abcdef").opens(&HeaderMap::new()));
    }

    #[test]
    fn a_file_has_a_token_of_some_length() {
        let read = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            Token::read(Some(file.path()))
        };
        assert_eq!(
            read("0123456789abcdef\n").ok(),
            Some(Some(Token::of("0123456789abcdef")))
        );
        for text in ["", "short", "0123456789 abcdef", "0123456789äbcdef"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(Token::read(Some(Path::new("/nowhere/token"))).is_err());
        assert_eq!(Token::read(None).ok(), Some(None));
    }
}
