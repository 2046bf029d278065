//! Where a client connects and what it asks for there.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::PathAndQuery;

use crate::handshake::authority::HostPort;

/// A WebSocket URL, checked and taken apart (RFC 6455 §3).
///
/// The schemes are `ws` and `wss`; `http` and `https` mean the same, as in browsers. A URL with characters
/// outside ASCII must be encoded before: Punycode in the host, percent signs elsewhere.
///
/// ```
/// use sockeye_proto::handshake::client::Target;
///
/// let target: Target = "wss://[2001:db8::1]/chat?room=1".parse()?;
/// assert!(target.is_secure());
/// assert_eq!((target.host(), target.port()), ("2001:db8::1", 443));
/// assert_eq!(target.host_header(), "[2001:db8::1]");
/// assert_eq!(target.path_and_query(), "/chat?room=1");
/// # Ok::<(), sockeye_proto::handshake::client::InvalidTarget>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    secure: bool,
    userinfo: Option<String>,
    /// With brackets if it is an IPv6 address.
    host: String,
    port: u16,
    path_and_query: PathAndQuery,
}

impl Target {
    /// Takes a URL apart.
    ///
    /// # Errors
    ///
    /// [`InvalidTarget`] says what is wrong with it.
    pub fn parse(url: &str) -> Result<Self, InvalidTarget> {
        // RFC 6455 §3: "Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be
        // used". `Uri` would drop it without a word.
        if url.contains('#') {
            return Err(InvalidTarget::Fragment);
        }
        Self::from_uri(&Uri::try_from(url).map_err(|_| InvalidTarget::Syntax)?)
    }

    /// Takes a parsed URI apart. Note that [`Uri`] drops a fragment when it parses.
    ///
    /// # Errors
    ///
    /// [`InvalidTarget`] says what is wrong with it.
    pub fn from_uri(uri: &Uri) -> Result<Self, InvalidTarget> {
        let secure = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => return Err(InvalidTarget::Scheme),
        };
        let authority = uri.authority().ok_or(InvalidTarget::Host)?.as_str();
        let (userinfo, host_port) = match authority.rsplit_once('@') {
            Some((userinfo, host_port)) => (Some(userinfo.to_owned()), host_port),
            None => (None, authority),
        };
        let HostPort { host, port } = HostPort::parse(host_port).ok_or(InvalidTarget::Host)?;
        // RFC 6455 §3: an empty path is sent as "/", before a query too.
        let path_and_query = match uri.path_and_query().map_or("", PathAndQuery::as_str) {
            text if text.starts_with('/') => PathAndQuery::try_from(text),
            text => PathAndQuery::try_from(format!("/{text}")),
        };
        let path_and_query = path_and_query.map_err(|_| InvalidTarget::Syntax)?;
        // `Uri` lets through what RFC 3986 does not; on the request line only visible ASCII is safe.
        if !path_and_query.as_str().bytes().all(|b| matches!(b, b'!'..=b'~')) {
            return Err(InvalidTarget::Syntax);
        }
        let port = port.unwrap_or_else(|| default_port(secure));
        Ok(Self {
            secure,
            userinfo,
            host: host.to_owned(),
            port,
            path_and_query,
        })
    }

    /// Whether the connection is to use TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The host to connect to and to check the certificate for: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        self.host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(&self.host)
    }

    /// The port to connect to: 80 for `ws` and 443 for `wss` unless the URL has one.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `user:password` before the host, still percent-encoded. It is never sent as it is; a client may make
    /// an `Authorization` field of it.
    pub fn userinfo(&self) -> Option<&str> {
        self.userinfo.as_deref()
    }

    /// The resource name (RFC 6455 §3): path and query, at least `/`.
    pub fn path_and_query(&self) -> &str {
        self.path_and_query.as_str()
    }

    pub(super) fn path_and_query_part(&self) -> &PathAndQuery {
        &self.path_and_query
    }

    /// The value of the `Host` field: the port only if it is not the default one (RFC 6455 §4.1).
    pub fn host_header(&self) -> String {
        if self.port == default_port(self.secure) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// The URL, without user information and default port.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.host_header(), self.path_and_query())
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(url: &str) -> Result<Self, InvalidTarget> {
        Self::parse(url)
    }
}

impl TryFrom<&str> for Target {
    type Error = InvalidTarget;

    fn try_from(url: &str) -> Result<Self, InvalidTarget> {
        Self::parse(url)
    }
}

impl TryFrom<&Uri> for Target {
    type Error = InvalidTarget;

    fn try_from(uri: &Uri) -> Result<Self, InvalidTarget> {
        Self::from_uri(uri)
    }
}

/// Why a URL is not one that a WebSocket client can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTarget {
    /// It is not a URL, or has characters that must be percent-encoded.
    #[error("the URL is malformed or has characters that must be percent-encoded")]
    Syntax,
    /// The scheme is missing or is not `ws`, `wss`, `http` or `https`.
    #[error("the URL does not begin with ws:// or wss://")]
    Scheme,
    /// There is no host, or host or port are malformed.
    #[error("the URL has no valid host and port")]
    Host,
    /// There is a fragment, `#…`.
    #[error("a WebSocket URL has no fragment")]
    Fragment,
}

const fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, secure, host, port, host_header, path) in [
            ("ws://example.org", false, "example.org", 80, "example.org", "/"),
            (
                "ws://example.org:80/",
                false,
                "example.org",
                80,
                "example.org",
                "/",
            ),
            (
                "ws://example.org:443/",
                false,
                "example.org",
                443,
                "example.org:443",
                "/",
            ),
            (
                "wss://example.org:443/a/b",
                true,
                "example.org",
                443,
                "example.org",
                "/a/b",
            ),
            (
                "wss://example.org:80/?q",
                true,
                "example.org",
                80,
                "example.org:80",
                "/?q",
            ),
            (
                "ws://example.org?q=1",
                false,
                "example.org",
                80,
                "example.org",
                "/?q=1",
            ),
            ("ws://example.org:/", false, "example.org", 80, "example.org", "/"),
            ("ws://[::1]:9001/", false, "::1", 9001, "[::1]:9001", "/"),
            (
                "WSS://Example.org/%20",
                true,
                "Example.org",
                443,
                "Example.org",
                "/%20",
            ),
            ("http://a/", false, "a", 80, "a", "/"),
            ("https://a/", true, "a", 443, "a", "/"),
            (
                "ws://user:p%40ss@example.org:8080/",
                false,
                "example.org",
                8080,
                "example.org:8080",
                "/",
            ),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(target.is_secure(), secure, "{url}");
            assert_eq!(target.host(), host, "{url}");
            assert_eq!(target.port(), port, "{url}");
            assert_eq!(target.host_header(), host_header, "{url}");
            assert_eq!(target.path_and_query(), path, "{url}");
            assert_eq!(
                Target::parse(&target.to_string()).unwrap().to_string(),
                target.to_string(),
                "{url}"
            );
        }
    }

    #[test]
    fn user_information_is_kept_apart() {
        let target = Target::parse("ws://user:p%40ss@example.org/").unwrap();
        assert_eq!(target.userinfo(), Some("user:p%40ss"));
        assert_eq!(target.to_string(), "ws://example.org/");
    }

    #[test]
    fn unusable_urls_are_refused_with_the_reason() {
        for (url, want) in [
            ("", InvalidTarget::Syntax),
            ("/chat", InvalidTarget::Scheme),
            ("example.org:80", InvalidTarget::Scheme),
            ("ftp://example.org/", InvalidTarget::Scheme),
            ("ws://example.org/#", InvalidTarget::Fragment),
            ("ws://example.org/a#b", InvalidTarget::Fragment),
            ("ws://example.org:99999/", InvalidTarget::Host),
            ("ws://example.org:8x/", InvalidTarget::Host),
            ("ws://[::1/", InvalidTarget::Syntax),
            ("ws://[zz]/", InvalidTarget::Host),
            ("ws:///chat", InvalidTarget::Syntax),
            ("ws://exämple.org/", InvalidTarget::Syntax),
            ("ws://example.org/ä", InvalidTarget::Syntax),
            ("ws://example.org/a b", InvalidTarget::Syntax),
            ("ws://example.org/\r\nA: b", InvalidTarget::Syntax),
        ] {
            assert_eq!(Target::parse(url).unwrap_err(), want, "{url:?}");
        }
    }
}
