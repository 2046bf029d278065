//! Which pages may open a WebSocket here: the Origin check.
//!
//! Browsers let any page open a WebSocket to any server and send the cookies along, and name the page's origin in
//! the request (RFC 6455 §10.2). Checking it is what stops a strange page from acting in a visitor's name.

use std::fmt;
use std::str::FromStr;

use http::HeaderMap;
use http::header::ORIGIN;

/// Decides by the `Origin` header whether a handshake may go on. Refusals are answered 403.
///
/// The default is [`same_origin`](Self::same_origin). Requests without the header are let through, since only
/// browsers send it and the check protects a browser's user; [`require_header`](Self::require_header) refuses them.
///
/// ```
/// use sockeye::OriginPolicy;
///
/// let policy = OriginPolicy::list(["https://example.com", "https://example.com:8443"])?.or_same_origin();
/// # Ok::<(), sockeye::BadOrigin>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPolicy {
    rule: Rule,
    absent_passes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Any,
    Listed { origins: Vec<Origin>, same_origin: bool },
}

impl Default for OriginPolicy {
    fn default() -> Self {
        Self::same_origin()
    }
}

impl OriginPolicy {
    /// No check at all: every page anywhere may connect, `null` origins included. For services without cookies
    /// and without anything to protect.
    pub fn any() -> Self {
        Self {
            rule: Rule::Any,
            absent_passes: true,
        }
    }

    /// Only pages from the scheme, host and port that the request itself was sent to.
    ///
    /// Behind a proxy that ends TLS the request arrives over plain HTTP and the schemes differ; name the proxy
    /// in the server's trusted proxies so that its `X-Forwarded-Proto` counts, or use [`list`](Self::list).
    pub fn same_origin() -> Self {
        Self {
            rule: Rule::Listed {
                origins: Vec::new(),
                same_origin: true,
            },
            absent_passes: true,
        }
    }

    /// Only pages from these origins, each written `scheme://host` or `scheme://host:port`. They are compared
    /// exactly: a host stands neither for its subdomains nor for other ports.
    ///
    /// # Errors
    /// When an entry is not an origin.
    pub fn list<O: AsRef<str>>(origins: impl IntoIterator<Item = O>) -> Result<Self, BadOrigin> {
        let origins = origins
            .into_iter()
            .map(|origin| origin.as_ref().parse())
            .collect::<Result<_, _>>()?;
        Ok(Self {
            rule: Rule::Listed {
                origins,
                same_origin: false,
            },
            absent_passes: true,
        })
    }

    /// Lets pages of the same origin pass besides the listed ones.
    #[must_use]
    pub fn or_same_origin(mut self) -> Self {
        if let Rule::Listed { same_origin, .. } = &mut self.rule {
            *same_origin = true;
        }
        self
    }

    /// Refuses requests that have no `Origin` header.
    #[must_use]
    pub fn require_header(mut self) -> Self {
        self.absent_passes = false;
        self
    }

    /// Judges a request by its headers. `target` is the origin it was sent to, when that is known.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub fn check(&self, headers: &HeaderMap, target: Option<&Origin>) -> Result<(), OriginRefusal> {
        let mut values = headers.get_all(ORIGIN).iter();
        let Some(value) = values.next() else {
            return if self.absent_passes {
                Ok(())
            } else {
                Err(OriginRefusal::Missing)
            };
        };
        let Rule::Listed { origins, same_origin } = &self.rule else {
            return Ok(());
        };
        // RFC 6454 §7.3: a request has at most one Origin header field.
        if values.next().is_some() {
            return Err(OriginRefusal::Several);
        }
        let text = value.to_str().map_err(|_| OriginRefusal::Malformed)?;
        // An opaque origin: sandboxed frames, data: and file: pages. Whoever wants in can become one of those.
        if text.eq_ignore_ascii_case("null") {
            return Err(OriginRefusal::Null);
        }
        let origin: Origin = text.parse().map_err(|_| OriginRefusal::Malformed)?;
        if origins.contains(&origin) || (*same_origin && target == Some(&origin)) {
            return Ok(());
        }
        Err(OriginRefusal::NotAllowed(origin))
    }
}

/// A scheme, host and port (RFC 6454), in lower case and with the scheme's default port left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// The origin that a request was sent to: its scheme, `http` or `https`, and its `Host`.
    ///
    /// # Errors
    /// When `authority` is not a host with an optional port.
    pub fn of_request(scheme: &str, authority: &str) -> Result<Self, BadOrigin> {
        let bad = || BadOrigin(format!("{scheme}://{authority}"));
        if !is_scheme(scheme) {
            return Err(bad());
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = split_authority(authority).ok_or_else(bad)?;
        let default = match &*scheme {
            "http" | "ws" => Some(80),
            "https" | "wss" => Some(443),
            _ => None,
        };
        Ok(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port: port.filter(|_| port != default),
        })
    }
}

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let bad = || BadOrigin(text.to_owned());
        let (scheme, authority) = text.split_once("://").ok_or_else(bad)?;
        Self::of_request(scheme, authority).map_err(|_| bad())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Splits `host` or `host:port`. User information, paths and anything else that could hide a host are refused.
fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        let (host, rest) = authority.split_at(end);
        host[1..end - 1].parse::<std::net::Ipv6Addr>().ok()?;
        (host, rest)
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        let (host, rest) = authority.split_at(end);
        let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_host_byte) {
            return None;
        }
        (host, rest)
    };
    if rest.is_empty() {
        return Some((host, None));
    }
    let digits = rest.strip_prefix(':')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((host, Some(digits.parse().ok()?)))
}

/// Text that is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an origin; write `https://example.com` or `https://example.com:8443`, without a path")]
pub struct BadOrigin(String);

/// Why an [`OriginPolicy`] refused a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginRefusal {
    /// The header is absent and the policy demands it.
    #[error("no Origin header")]
    Missing,
    /// There is more than one Origin header.
    #[error("several Origin headers")]
    Several,
    /// The origin is `null`.
    #[error("opaque origin `null`")]
    Null,
    /// The header is not an origin.
    #[error("malformed Origin header")]
    Malformed,
    /// The origin is another one than those allowed.
    #[error("origin {0} is not allowed")]
    NotAllowed(Origin),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (ORIGIN, value.parse().unwrap()))
            .collect()
    }

    fn origin(text: &str) -> Origin {
        text.parse().unwrap()
    }

    #[test]
    fn listed_origins_are_compared_exactly() {
        let policy = OriginPolicy::list(["https://Example.com", "http://localhost:3000"]).unwrap();
        for (value, passes) in [
            ("https://example.com", true),
            ("https://EXAMPLE.com", true),
            ("HTTPS://example.com", true),
            ("https://example.com:443", true),
            ("http://localhost:3000", true),
            ("http://example.com", false),
            ("http://example.com:443", false),
            ("https://example.com:80", false),
            ("https://example.com:8443", false),
            ("https://example.com.", false),
            ("https://sub.example.com", false),
            ("https://notexample.com", false),
            ("https://example.com.evil.test", false),
            ("https://example.company", false),
            ("https://evil.test/https://example.com", false),
            ("https://example.com/", false),
            ("https://example.com@evil.test", false),
            ("https://evil.test@example.com", false),
            ("https://example.com#", false),
            ("https://example.com:", false),
            ("https://example.com:0443", true),
            ("https://example.com:+443", false),
            ("https://example.com:443:443", false),
            ("https://example.com:99999", false),
            (" https://example.com", false),
            ("https://example.com https://evil.test", false),
            ("https://example.com, https://evil.test", false),
            ("wss://example.com", false),
            ("http://localhost", false),
            ("http://localhost:30000", false),
            ("http://127.0.0.1:3000", false),
            ("//example.com", false),
            ("example.com", false),
            ("*", false),
            ("", false),
            ("null", false),
            ("NULL", false),
        ] {
            assert_eq!(
                policy.check(&headers(&[value]), None).is_ok(),
                passes,
                "{value:?}"
            );
        }
    }

    #[test]
    fn same_origin_compares_with_the_request() {
        let policy = OriginPolicy::default();
        for (value, scheme, host, passes) in [
            ("http://localhost:3000", "http", "localhost:3000", true),
            ("http://a.test", "http", "a.test:80", true),
            ("https://a.test", "https", "A.test", true),
            ("http://[::1]:3000", "http", "[::1]:3000", true),
            ("https://a.test", "http", "a.test", false),
            ("http://a.test", "http", "a.test:3000", false),
            ("http://b.test", "http", "a.test", false),
            ("null", "http", "null", false),
        ] {
            let target = Origin::of_request(scheme, host).unwrap();
            let verdict = policy.check(&headers(&[value]), Some(&target));
            assert_eq!(verdict.is_ok(), passes, "{value} at {scheme}://{host}");
        }
        assert!(policy.check(&headers(&["http://a.test"]), None).is_err());
    }

    #[test]
    fn several_origin_headers_are_refused_even_when_each_is_allowed() {
        let policy = OriginPolicy::list(["https://a.test"]).unwrap();
        let verdict = policy.check(&headers(&["https://a.test", "https://a.test"]), None);
        assert_eq!(verdict, Err(OriginRefusal::Several));
    }

    #[test]
    fn absent_origin_passes_unless_required() {
        let none = HeaderMap::new();
        let policy = OriginPolicy::same_origin();
        assert_eq!(policy.check(&none, None), Ok(()));
        assert_eq!(
            policy.require_header().check(&none, None),
            Err(OriginRefusal::Missing)
        );
        assert_eq!(
            OriginPolicy::any().require_header().check(&none, None),
            Err(OriginRefusal::Missing)
        );
    }

    #[test]
    fn any_checks_nothing() {
        for value in ["null", "https://evil.test", "rubbish"] {
            assert_eq!(OriginPolicy::any().check(&headers(&[value]), None), Ok(()));
        }
    }

    #[test]
    fn a_list_may_include_the_same_origin() {
        let target = origin("https://a.test");
        let policy = OriginPolicy::list(["https://b.test"]).unwrap();
        assert!(
            policy
                .check(&headers(&["https://a.test"]), Some(&target))
                .is_err()
        );
        assert!(
            policy
                .or_same_origin()
                .check(&headers(&["https://a.test"]), Some(&target))
                .is_ok()
        );
    }

    #[test]
    fn non_ascii_origin_is_malformed() {
        let mut headers = HeaderMap::new();
        headers.insert(
            ORIGIN,
            http::HeaderValue::from_bytes(b"https://a\xff.test").unwrap(),
        );
        let verdict = OriginPolicy::same_origin().check(&headers, None);
        assert_eq!(verdict, Err(OriginRefusal::Malformed));
    }

    #[test]
    fn a_bad_list_entry_is_an_error() {
        for entry in [
            "example.com",
            "https://",
            "https://a.test/",
            "https://*.a.test",
            "null",
            "",
        ] {
            assert!(OriginPolicy::list([entry]).is_err(), "{entry:?}");
        }
    }

    #[test]
    fn app_schemes_can_be_listed() {
        let policy = OriginPolicy::list(["capacitor://localhost"]).unwrap();
        assert!(policy.check(&headers(&["capacitor://localhost"]), None).is_ok());
        assert!(policy.check(&headers(&["https://localhost"]), None).is_err());
    }
}
