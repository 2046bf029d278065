//! `Authorization` and `Proxy-Authorization`: Basic (RFC 7617) and Bearer (RFC 6750).
//!
//! The values made here are marked sensitive: no `Debug` output shows them, and redirections to other hosts drop them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

/// Whether what a field of this name has to say is a secret, marked or not.
pub(super) fn is_secret(name: &HeaderName) -> bool {
    [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name)
}

/// Basic authentication.
///
/// # Errors
///
/// What RFC 7617 §2 forbids: a colon in the user name, control characters.
pub(super) fn basic(user: &str, password: &str) -> Result<HeaderValue, &'static str> {
    of_bytes(user.as_bytes(), password.as_bytes())
}

/// A bearer token.
///
/// # Errors
///
/// Characters that RFC 6750 §2.1 does not allow.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, &'static str> {
    let body = token.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if body.is_empty() || !body.bytes().all(allowed) {
        return Err("a bearer token consists of letters, digits and -._~+/, perhaps with = at its end");
    }
    sensitive(format!("Bearer {token}")).ok_or("the bearer token is too long")
}

/// Basic authentication with the user information of a URL, still percent-encoded.
///
/// # Errors
///
/// As [`basic`]. Other encodings than UTF-8 are sent as they are.
pub(super) fn of_userinfo(userinfo: &str) -> Result<HeaderValue, &'static str> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let [user, password] = [user, password].map(|text| percent_decode_str(text).collect::<Vec<_>>());
    of_bytes(&user, &password)
}

fn of_bytes(user: &[u8], password: &[u8]) -> Result<HeaderValue, &'static str> {
    if user.contains(&b':') {
        return Err("a user name for Basic authentication cannot have a colon");
    }
    let has_control = |text| String::from_utf8_lossy(text).chars().any(char::is_control);
    if has_control(user) || has_control(password) {
        return Err("user name and password for Basic authentication cannot have control characters");
    }
    let credentials = STANDARD.encode([user, password].join(&b':'));
    sensitive(format!("Basic {credentials}")).ok_or("user name and password are too long")
}

fn sensitive(text: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_the_example_of_rfc_7617() {
        let value = basic("Aladdin", "open sesame").unwrap();
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(value.is_sensitive());
        // §2.1, in UTF-8.
        assert_eq!(basic("test", "123£").unwrap(), "Basic dGVzdDoxMjPCow==");
    }

    #[test]
    fn what_basic_cannot_carry_is_refused() {
        for (user, password) in [("a:b", "c"), ("a\n", "c"), ("a", "\0"), ("a", "\u{85}")] {
            assert!(basic(user, password).is_err(), "{user:?} {password:?}");
        }
        assert!(basic("", "b:c").is_ok());
    }

    #[test]
    fn a_bearer_token_has_the_grammar_of_rfc_6750() {
        let value = bearer("mF_9.B5f-4.1JqM~+/==").unwrap();
        assert_eq!(value, "Bearer mF_9.B5f-4.1JqM~+/==");
        assert!(value.is_sensitive());
        for token in ["", "=", "a b", "a=b", "a\r\nb", "ä"] {
            assert!(bearer(token).is_err(), "{token:?}");
        }
    }
}
