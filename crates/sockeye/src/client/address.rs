//! From the URL that a person wrote to the target of a connection.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use sockeye_proto::handshake::client::{InvalidTarget, Target};
use url::Url;

use crate::error::{Error, Result};

/// Reads a URL as browsers do: names outside ASCII become Punycode, other characters are percent-encoded.
pub(super) fn parse(url: &str) -> Result<Target> {
    let invalid = |reason: &dyn std::fmt::Display| {
        Error::config(format!("cannot connect to `{}`: {reason}", redacted(url)))
    };
    let parsed = match Url::parse(url) {
        Ok(parsed) => parsed,
        Err(url::ParseError::RelativeUrlWithoutBase) => return Err(invalid(&InvalidTarget::Scheme)),
        Err(error) => return Err(invalid(&error)),
    };
    Target::parse(parsed.as_str()).map_err(|error| invalid(&error))
}

/// Basic authentication with the user name and password of the URL, if it has any (RFC 7617).
pub(super) fn authorization(target: &Target) -> Option<HeaderValue> {
    let userinfo = target.userinfo()?;
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let mut credentials: Vec<u8> = percent_decode_str(user).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(password));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(credentials))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The URL for an error message: without what stands before an `@`, which may be a password, and not endless.
fn redacted(url: &str) -> String {
    let shown: String = match url.rsplit_once('@') {
        Some((_, rest)) => format!("…@{rest}"),
        None => url.to_owned(),
    };
    match shown.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_browsers_read_them() {
        for (url, want) in [
            ("ws://example.org", "ws://example.org/"),
            ("WSS://Example.ORG:443/a", "wss://example.org/a"),
            ("http://example.org:8080/", "ws://example.org:8080/"),
            ("https://example.org/", "wss://example.org/"),
            ("ws://exämple.org/ä b", "ws://xn--exmple-cua.org/%C3%A4%20b"),
            ("ws://[2001:DB8::0:1]:3000/x?y", "ws://[2001:db8::1]:3000/x?y"),
            (" ws://example.org/ ", "ws://example.org/"),
        ] {
            assert_eq!(parse(url).unwrap().to_string(), want, "{url}");
        }
    }

    #[test]
    fn unusable_urls_are_told_with_the_reason() {
        for (url, want) in [
            ("", "ws://"),
            ("/chat", "ws://"),
            ("localhost:3000", "ws://"),
            ("ftp://example.org/", "ws://"),
            ("ws://", "host"),
            ("ws://example.org:99999/", "port"),
            ("ws://example.org/#part", "fragment"),
        ] {
            let error = parse(url).unwrap_err();
            assert!(error.is_config(), "{url}");
            assert!(error.to_string().contains(want), "{url}: {error}");
        }
    }

    #[test]
    fn a_password_stays_out_of_error_messages() {
        let error = parse("ws://user:secret@example.org:99999/").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn credentials_are_decoded_before_they_are_sent() {
        for (url, want) in [
            ("ws://user:p%40ss@a/", Some("user:p@ss")),
            ("ws://user@a/", Some("user:")),
            ("ws://:password@a/", Some(":password")),
            ("ws://a:b:c@a/", Some("a:b:c")),
            ("ws://a/", None),
        ] {
            let want = want.map(|text| format!("Basic {}", STANDARD.encode(text)));
            let value = authorization(&parse(url).unwrap());
            assert_eq!(
                value.as_ref().map(|v| v.to_str().unwrap()),
                want.as_deref(),
                "{url}"
            );
            assert!(value.is_none_or(|value| value.is_sensitive()));
        }
    }
}
