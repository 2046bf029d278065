//! Which of a server's domains a request is for.

use std::cmp::Reverse;

#[cfg(engine)]
use super::Handler;
use super::{AsyncHandler, ConfigError, Route};

/// The routes of a domain, as [`ServerBuilder::host`](super::ServerBuilder::host) collects them.
#[derive(Debug, Default)]
pub struct HostRoutes {
    pub(super) routes: Vec<(String, Route)>,
}

impl HostRoutes {
    /// As [`ServerBuilder::route`](super::ServerBuilder::route), for this domain.
    #[must_use]
    pub fn route<A>(self, path: impl Into<String>, handler: impl AsyncHandler<A>) -> Self {
        self.route_with(path, Route::new(handler))
    }

    /// As [`ServerBuilder::handle`](super::ServerBuilder::handle), for this domain.
    #[cfg(engine)]
    #[must_use]
    pub fn handle(self, path: impl Into<String>, handler: impl Handler) -> Self {
        self.route_with(path, Route::handler(handler))
    }

    /// As [`ServerBuilder::route_with`](super::ServerBuilder::route_with), for this domain.
    #[must_use]
    pub fn route_with(mut self, path: impl Into<String>, route: Route) -> Self {
        self.routes.push((path.into(), route));
        self
    }
}

/// The name of a domain, or a pattern for several: a label `*` stands for any one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HostPattern(String);

impl HostPattern {
    pub(super) fn new(name: &str) -> Result<Self, ConfigError> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let fits = |label: &str| {
            let is_name = label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            label == "*" || !label.is_empty() && is_name
        };
        let is_ipv6 = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok());
        if is_ipv6 || name.split('.').all(fits) {
            return Ok(Self(name));
        }
        Err(ConfigError::new(format!(
            "host `{name}`: write a name without a port, such as `chat.example.com` or `*.example.com`, \
             where `*` stands for one label"
        )))
    }

    /// Whether it is for this host.
    pub(super) fn fits(&self, host: &str) -> bool {
        let (mut pattern, mut labels) = (self.0.split('.'), host.split('.'));
        loop {
            match (pattern.next(), labels.next()) {
                (None, None) => return true,
                (Some("*"), Some(label)) if !label.is_empty() => {}
                (Some(name), Some(label)) if name.eq_ignore_ascii_case(label) => {}
                _ => return false,
            }
        }
    }

    /// Sorts the patterns that fit one host, best first: those with fewer wildcards, then those whose
    /// wildcard stands further left.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        let wildcards = self.0.split('.').filter(|label| *label == "*").count();
        let named = self.0.rsplit('.').take_while(|label| *label != "*").count();
        (wildcards, Reverse(named))
    }
}

/// The host of an authority, as it is compared: without the port and the dot at the end.
pub(super) fn host_of(authority: &str) -> &str {
    let host = match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    };
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(name: &str) -> HostPattern {
        HostPattern::new(name).unwrap()
    }

    #[test]
    fn labels_are_compared_one_by_one() {
        for (name, host, fits) in [
            ("chat.example.com", "chat.example.com", true),
            ("chat.example.com", "CHAT.Example.com:8080", true),
            ("Chat.example.com.", "chat.example.com.", true),
            ("chat.example.com", "example.com", false),
            ("chat.example.com", "x.chat.example.com", false),
            ("*.example.com", "chat.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.*.com", "a.example.com", true),
            ("127.0.0.1", "127.0.0.1:80", true),
            ("[::1]", "[::1]:80", true),
            ("[::1]", "[::2]", false),
            ("localhost", "", false),
        ] {
            assert_eq!(pattern(name).fits(host_of(host)), fits, "{name} {host}");
        }
    }

    #[test]
    fn fewer_wildcards_are_better_then_those_further_left() {
        let mut patterns = ["*.*.com", "a.*.com", "a.b.com", "*.b.com"].map(pattern);
        patterns.sort_by_key(HostPattern::rank);
        assert_eq!(
            patterns,
            ["a.b.com", "*.b.com", "a.*.com", "*.*.com"].map(pattern)
        );
    }

    #[test]
    fn what_is_no_name_is_an_error() {
        for name in [
            "",
            "a..b",
            "a:80",
            "http://a",
            "a/b",
            "*a.com",
            "[::g]",
            "caf\u{e9}.fr",
        ] {
            assert!(HostPattern::new(name).is_err(), "{name:?}");
        }
    }
}
