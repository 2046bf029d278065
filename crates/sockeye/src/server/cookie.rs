//! Cookies: those a client sends, read with tolerance, and those a server sets, written by the grammar of
//! RFC 6265.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;

/// A cookie that a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie<'r> {
    /// The name; case matters.
    pub name: &'r str,
    /// The value as sent, without the quotes around it if there were any.
    pub value: &'r str,
}

impl<'r> Cookie<'r> {
    /// The value with its percent-escapes decoded, the way most web frameworks encode what a cookie cannot
    /// hold. A value with broken escapes is returned as it is.
    pub fn decoded(&self) -> Cow<'r, str> {
        percent_decode_str(self.value)
            .decode_utf8()
            .unwrap_or(Cow::Borrowed(self.value))
    }
}

/// The cookies in a request's headers. What does not look like a cookie is passed over: a stray cookie that
/// some other application of the same host left behind must not cost a client its connection.
pub(super) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            (!name.is_empty()).then_some(Cookie {
                name,
                value: unquoted.unwrap_or(value),
            })
        })
}

/// A cookie to set with the answer to a handshake (RFC 6265 §4.1).
///
/// ```
/// use sockeye::server::{SameSite, SetCookie};
///
/// let cookie = SetCookie::new("session", "k3Jx")?.path("/")?.secure().http_only().same_site(SameSite::Lax);
/// assert_eq!(cookie.to_string(), "session=k3Jx; Path=/; Secure; HttpOnly; SameSite=Lax");
/// # Ok::<(), sockeye::server::BadCookie>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetCookie {
    name: String,
    value: String,
    path: Option<String>,
    domain: Option<String>,
    expires: Option<SystemTime>,
    max_age: Option<Duration>,
    secure: bool,
    http_only: bool,
    same_site: Option<SameSite>,
}

/// When a browser sends a cookie with requests from other sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// Only when the user follows a link here.
    Lax,
    /// Always. Browsers accept this only together with [`SetCookie::secure`].
    None,
}

/// A part of a cookie with characters that RFC 6265 §4.1.1 forbids there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cookie's {part} cannot be {text:?}")]
pub struct BadCookie {
    part: &'static str,
    text: String,
}

impl SetCookie {
    /// A cookie for the rest of the browser session, sent back to this host and path only.
    ///
    /// # Errors
    /// When the name is not a token, or the value holds controls, spaces, quotes, commas, semicolons,
    /// backslashes or anything beyond ASCII. Encode such values, e.g. with percent-escapes.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Result<Self, BadCookie> {
        let name = checked("name", name.into(), is_token)?;
        let value = checked("value", value.into(), is_cookie_value)?;
        Ok(Self {
            name,
            value,
            path: None,
            domain: None,
            expires: None,
            max_age: None,
            secure: false,
            http_only: false,
            same_site: None,
        })
    }

    /// The cookie's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path below which the cookie is sent back.
    ///
    /// # Errors
    /// When it holds controls, semicolons or anything beyond ASCII.
    pub fn path(mut self, path: impl Into<String>) -> Result<Self, BadCookie> {
        self.path = Some(checked("path", path.into(), is_attribute_value)?);
        Ok(self)
    }

    /// The host, and all hosts below it, that the cookie is sent back to.
    ///
    /// # Errors
    /// When it holds controls, semicolons or anything beyond ASCII.
    pub fn domain(mut self, domain: impl Into<String>) -> Result<Self, BadCookie> {
        self.domain = Some(checked("domain", domain.into(), is_attribute_value)?);
        Ok(self)
    }

    /// When the cookie ends. Times before 1970 or after the year 9999 are moved to those bounds.
    #[must_use]
    pub fn expires(mut self, at: SystemTime) -> Self {
        // What the HTTP date format can write.
        const LAST: Duration = Duration::from_secs(253_402_300_799);
        self.expires = Some(at.clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST));
        self
    }

    /// How long the cookie lives, in whole seconds; it wins over [`expires`](Self::expires). Zero removes the
    /// cookie.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Sends the cookie back over TLS only.
    #[must_use]
    pub fn secure(mut self) -> Self {
        self.secure = true;
        self
    }

    /// Hides the cookie from scripts.
    #[must_use]
    pub fn http_only(mut self) -> Self {
        self.http_only = true;
        self
    }

    /// Which requests from other sites carry the cookie.
    #[must_use]
    pub fn same_site(mut self, rule: SameSite) -> Self {
        self.same_site = Some(rule);
        self
    }

    pub(super) fn header_value(&self) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
        HeaderValue::try_from(self.to_string())
    }
}

/// The value of the `Set-Cookie` header.
impl std::fmt::Display for SetCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, self.value)?;
        if let Some(path) = &self.path {
            write!(f, "; Path={path}")?;
        }
        if let Some(domain) = &self.domain {
            write!(f, "; Domain={domain}")?;
        }
        if let Some(at) = self.expires {
            write!(f, "; Expires={}", httpdate::fmt_http_date(at))?;
        }
        if let Some(age) = self.max_age {
            write!(f, "; Max-Age={}", age.as_secs())?;
        }
        if self.secure {
            f.write_str("; Secure")?;
        }
        if self.http_only {
            f.write_str("; HttpOnly")?;
        }
        match self.same_site {
            Some(SameSite::Strict) => f.write_str("; SameSite=Strict"),
            Some(SameSite::Lax) => f.write_str("; SameSite=Lax"),
            Some(SameSite::None) => f.write_str("; SameSite=None"),
            None => Ok(()),
        }
    }
}

fn checked(part: &'static str, text: String, fits: fn(&str) -> bool) -> Result<String, BadCookie> {
    if fits(&text) {
        Ok(text)
    } else {
        Err(BadCookie { part, text })
    }
}

/// RFC 7230 §3.2.6.
fn is_token(text: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// RFC 6265 §4.1.1: `cookie-octet`s, possibly in double quotes.
fn is_cookie_value(text: &str) -> bool {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    inner
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte))
}

/// RFC 6265 §4.1.1: any character except controls and `;`.
fn is_attribute_value(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b';')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&[u8]]) -> Vec<(String, String)> {
        let headers: HeaderMap = values
            .iter()
            .map(|value| (COOKIE, HeaderValue::from_bytes(value).unwrap()))
            .collect();
        cookies(&headers)
            .map(|cookie| (cookie.name.to_owned(), cookie.value.to_owned()))
            .collect()
    }

    #[test]
    fn bad_cookies_are_passed_over_and_good_ones_kept() {
        for (values, expected) in [
            (&[&b"a=1; b=2"[..]][..], &[("a", "1"), ("b", "2")][..]),
            (&[b"a=1;b=\"q q\" ;c="], &[("a", "1"), ("b", "q q"), ("c", "")]),
            (&[b"a=1", b"b=2"], &[("a", "1"), ("b", "2")]),
            (&[b";;; junk; =nameless; a=b=c"], &[("a", "b=c")]),
            (&[b"a=%zz; b=%"], &[("a", "%zz"), ("b", "%")]),
            (&[b"a=\"half"], &[("a", "\"half")]),
            (&[b"a=\"", b""], &[("a", "\"")]),
            (&[b"a=\xff\xfe", b"b=2"], &[("b", "2")]),
            (&[], &[]),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            assert_eq!(read(values), expected);
        }
    }

    #[test]
    fn decoded_undoes_escapes_and_leaves_broken_ones() {
        for (value, expected) in [
            ("a%20b", "a b"),
            ("%zz", "%zz"),
            ("%ff", "%ff"),
            ("caf%C3%A9", "café"),
        ] {
            assert_eq!(Cookie { name: "a", value }.decoded(), expected);
        }
    }

    #[test]
    fn every_attribute_is_written() {
        let cookie = SetCookie::new("id", "\"v\"")
            .unwrap()
            .path("/chat")
            .unwrap()
            .domain("example.com")
            .unwrap()
            .expires(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
            .max_age(Duration::from_millis(60_900))
            .secure()
            .http_only()
            .same_site(SameSite::None);
        assert_eq!(
            cookie.header_value().unwrap(),
            "id=\"v\"; Path=/chat; Domain=example.com; Expires=Sun, 06 Nov 1994 08:49:37 GMT; \
             Max-Age=60; Secure; HttpOnly; SameSite=None"
        );
    }

    #[test]
    fn characters_that_would_break_the_header_are_refused() {
        for name in ["", "a b", "a=b", "a;b", "a\r\nb", "é", "a,b"] {
            assert!(SetCookie::new(name, "v").is_err(), "{name:?}");
        }
        for value in [
            "a b",
            "a;b",
            "a,b",
            "a\"b",
            "\"",
            "a\\b",
            "a\r\nSet-Cookie: x=y",
            "é",
            "\0",
        ] {
            assert!(SetCookie::new("n", value).is_err(), "{value:?}");
        }
        for text in ["/a; Domain=evil.test", "/\r\n", "", "/é"] {
            assert!(SetCookie::new("n", "v").unwrap().path(text).is_err(), "{text:?}");
            assert!(
                SetCookie::new("n", "v").unwrap().domain(text).is_err(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn times_out_of_range_are_clamped() {
        let cookie = SetCookie::new("n", "v").unwrap();
        let before = cookie
            .clone()
            .expires(SystemTime::UNIX_EPOCH - Duration::from_secs(1));
        assert!(before.to_string().contains("1970"), "{before}");
        let after = cookie.expires(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40));
        assert!(after.to_string().contains("9999"), "{after}");
    }
}
