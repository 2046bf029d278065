//! From the URL that a person wrote to the target of a connection.

use std::path::PathBuf;

use http::HeaderValue;
use percent_encoding::percent_decode_str;
use sockeye_proto::handshake::client::{InvalidTarget, Target};
use url::Url;

use super::auth;
use crate::error::{Error, Result};

/// Where a URL leads.
#[derive(Debug)]
pub(super) struct Location {
    pub(super) target: Target,
    /// The Unix socket to connect to, instead of the target's host.
    pub(super) socket: Option<PathBuf>,
}

/// Reads any URL that a client takes: those of [`parse`], and `ws+unix:/path/of/socket:/resource?query`.
///
/// In the latter, percent signs encode in the path of the socket what a URL cannot have there, such as `%3A` for a
/// colon. The host is `localhost`.
pub(super) fn locate(url: &str) -> Result<Location> {
    let trimmed = url.trim();
    let (scheme, rest) = trimmed.split_once(':').unwrap_or((trimmed, ""));
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "ws+unix" => "ws",
        "wss+unix" => "wss",
        _ => {
            let target = parse(url)?;
            return Ok(Location { target, socket: None });
        }
    };
    // `ws+unix:///run/a.sock` and `ws+unix:/run/a.sock` are the same: there is no host.
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let end = rest.find([':', '?', '#']).unwrap_or(rest.len());
    let (path, rest) = rest.split_at(end);
    let resource = rest.strip_prefix(':').unwrap_or(rest);
    let invalid = |reason: &str| Error::config(format!("cannot connect to `{}`: {reason}", redacted(url)));
    let path = percent_decode_str(path)
        .decode_utf8()
        .map_err(|_| invalid("the path of the Unix socket is not UTF-8"))?;
    if !path.starts_with('/') {
        return Err(invalid("the path of the Unix socket must begin with `/`"));
    }
    if !resource.is_empty() && !resource.starts_with(['/', '?', '#']) {
        return Err(invalid("what to ask for must begin with `/`"));
    }
    Ok(Location {
        target: parse(&format!("{scheme}://localhost{resource}"))?,
        socket: Some(PathBuf::from(path.into_owned())),
    })
}

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
    // `localhost:3000/chat` is a URL, of a scheme `localhost`.
    if !matches!(parsed.scheme(), "ws" | "wss" | "http" | "https") {
        return Err(invalid(&InvalidTarget::Scheme));
    }
    Target::parse(parsed.as_str()).map_err(|error| invalid(&error))
}

/// Basic authentication with the user name and password of the URL, if it has any.
pub(super) fn authorization(target: &Target) -> Result<Option<HeaderValue>> {
    let value = target.userinfo().map(auth::of_userinfo).transpose();
    value.map_err(|error| {
        let url = redacted(&target.to_string());
        Error::config(format!(
            "cannot connect to `{url}` with the credentials of the URL: {error}"
        ))
    })
}

/// The URL for an error message: without what stands before an `@`, which may be a password, without query and fragment,
/// which may hold tokens, and not endless. Of an `@` behind a `?` nobody knows to which it belongs.
pub(super) fn redacted(url: &str) -> String {
    let start = url.rfind('@').unwrap_or(0);
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let shown = url.get(start..end).unwrap_or_default();
    let cut = shown.char_indices().nth(200).map(|(cut, _)| cut);
    let before = if start > 0 { "…" } else { "" };
    let after = if cut.is_some() || end < url.len() {
        "…"
    } else {
        ""
    };
    format!("{before}{}{after}", &shown[..cut.unwrap_or(shown.len())])
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

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
            ("localhost:3000/chat", "ws://"),
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
    fn a_unix_socket_may_stand_in_the_url() {
        for (url, path, want) in [
            (
                "ws+unix:/run/a.sock:/chat?room=1",
                "/run/a.sock",
                "ws://localhost/chat?room=1",
            ),
            (
                "ws+unix:///run/a.sock:/chat",
                "/run/a.sock",
                "ws://localhost/chat",
            ),
            ("WSS+Unix:/run/a.sock", "/run/a.sock", "wss://localhost/"),
            ("ws+unix:/run/a.sock:", "/run/a.sock", "ws://localhost/"),
            (
                "ws+unix:/run/a.sock?q=a:b",
                "/run/a.sock",
                "ws://localhost/?q=a:b",
            ),
            ("ws+unix:/tmp/a%20b%3Ac:/ä", "/tmp/a b:c", "ws://localhost/%C3%A4"),
        ] {
            let location = locate(url).unwrap();
            assert_eq!(location.socket.unwrap().to_str(), Some(path), "{url}");
            assert_eq!(location.target.to_string(), want, "{url}");
        }
        assert_eq!(locate("ws://a/").unwrap().socket, None);
        for (url, want) in [
            ("ws+unix:run/a.sock", "begin with `/`"),
            ("ws+unix:", "begin with `/`"),
            ("ws+unix:/a:b", "begin with `/`"),
            ("ws+unix:/%ff:/", "UTF-8"),
            ("ws+unix:/a:/#b", "fragment"),
        ] {
            let error = locate(url).unwrap_err();
            assert!(error.is_config(), "{url}");
            assert!(error.to_string().contains(want), "{url}: {error}");
        }
    }

    #[test]
    fn passwords_and_queries_stay_out_of_error_messages() {
        for (url, shown) in [
            ("ws://user:secret@a:99999/b", "`…@a:99999/b`"),
            ("ws://a:99999/b?token=secret", "`ws://a:99999/b…`"),
            ("ws://a/b#secret", "`ws://a/b…`"),
            ("ws://user:secret@a:99999/b?secret#secret", "`…@a:99999/b…`"),
            ("ws://user:secret?secret@a/b", "`……`"),
            ("ws://a:99999/b?secret@secret", "`……`"),
            ("ws+unix:run/a.sock:/?secret", "`ws+unix:run/a.sock:/…`"),
        ] {
            let error = locate(url).unwrap_err().to_string();
            assert!(error.contains(shown) && !error.contains("secret"), "{error}");
        }
        let error = parse(&format!("ws://a:99999/{}", "ä".repeat(300))).unwrap_err();
        assert!(error.to_string().contains("ä…`"), "{error}");
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
            let value = authorization(&parse(url).unwrap()).unwrap();
            assert_eq!(
                value.as_ref().map(|v| v.to_str().unwrap()),
                want.as_deref(),
                "{url}"
            );
            assert!(value.is_none_or(|value| value.is_sensitive()));
        }
        let latin1 = authorization(&parse("ws://a:%E9@a/").unwrap()).unwrap();
        assert_eq!(latin1.unwrap(), format!("Basic {}", STANDARD.encode(b"a:\xE9")));
    }

    #[test]
    fn credentials_that_basic_authentication_cannot_carry_are_told() {
        for (url, want) in [
            ("ws://us%3Aer:secret@a/", "colon"),
            ("ws://user:secret%0A@a/", "control"),
            ("ws://user%C2%85@a/", "control"),
        ] {
            let error = authorization(&parse(url).unwrap()).unwrap_err();
            assert!(error.is_config());
            let text = error.to_string();
            assert!(text.contains(want) && !text.contains("secret"), "{text}");
        }
    }
}
