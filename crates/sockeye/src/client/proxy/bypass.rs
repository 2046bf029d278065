//! Hosts that are reached without a proxy: the rules of `NO_PROXY`.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Host;

/// The rules, as curl has them and with the ports that Go has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bypass {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    hosts: Hosts,
    /// `None` is any.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    /// One address is a network of one.
    Network(IpNet),
    /// The domain and all names in it; lower case, without dots at the ends.
    Domain(String),
}

impl Bypass {
    /// Reads rules, separated by commas or white space. What is no rule matches nothing.
    pub(super) fn parse(text: &str) -> Self {
        let words = text.split(|c: char| c == ',' || c.is_whitespace());
        Self {
            rules: words.filter(|word| !word.is_empty()).map(Rule::parse).collect(),
        }
    }

    /// Whether `host` (a name, or an address without brackets) is reached without a proxy.
    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let is_meant = |hosts: &Hosts| match (hosts, address) {
            (Hosts::All, _) => true,
            (Hosts::Network(network), Some(address)) => network.contains(&address),
            (Hosts::Domain(domain), None) => name
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            _ => false,
        };
        self.rules
            .iter()
            .any(|rule| rule.port.is_none_or(|only| only == port) && is_meant(&rule.hosts))
    }
}

impl Rule {
    fn parse(word: &str) -> Self {
        // An IPv6 address without brackets has colons of its own.
        if let Some(network) = network(word) {
            return Self {
                hosts: Hosts::Network(network),
                port: None,
            };
        }
        let (host, port) = match word.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().ok()),
            _ => (word, None),
        };
        Self {
            hosts: Hosts::parse(host),
            port,
        }
    }
}

impl Hosts {
    fn parse(host: &str) -> Self {
        if host == "*" {
            return Self::All;
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if let Some(network) = network(bare.unwrap_or(host)) {
            return Self::Network(network);
        }
        let domain = host.strip_prefix('*').unwrap_or(host).trim_matches('.');
        // Names outside ASCII are compared in Punycode, as they are in URLs.
        match Host::parse(domain) {
            Ok(Host::Domain(domain)) => Self::Domain(domain),
            _ => Self::Domain(domain.to_ascii_lowercase()),
        }
    }
}

/// An address, or a network in CIDR notation.
fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>()
        .or_else(|_| {
            text.parse::<IpAddr>()
                .map(|address| IpNet::from(address.to_canonical()))
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_matched_as_curl_matches_them() {
        for (rules, host, covered) in [
            ("", "example.org", false),
            ("*", "example.org", true),
            ("*", "192.0.2.1", true),
            ("example.org", "example.org", true),
            ("example.org", "www.example.org", true),
            ("example.org", "EXAMPLE.org.", true),
            ("example.org", "badexample.org", false),
            ("example.org", "example.org.evil.example", false),
            (".example.org", "example.org", true),
            (".example.org", "a.b.example.org", true),
            ("*.example.org", "www.example.org", true),
            ("Example.ORG.", "example.org", true),
            ("exämple.org", "xn--exmple-cua.org", true),
            ("other.example, example.org", "example.org", true),
            ("other.example example.org", "example.org", true),
            (" ,, ", "example.org", false),
            ("localhost", "localhost", true),
            ("localhost", "127.0.0.1", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.10", false),
            ("192.0.2.0/24", "192.0.2.10", true),
            ("192.0.2.0/24", "192.0.3.1", false),
            ("0.0.0.0/0", "example.org", false),
            ("2.1", "192.0.2.1", false),
            ("2001:db8::1", "2001:db8::1", true),
            ("2001:db8:0::1", "2001:db8::1", true),
            ("[2001:db8::1]", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("!!", "example.org", false),
            (".", "example.org", false),
        ] {
            assert_eq!(
                Bypass::parse(rules).covers(host, 443),
                covered,
                "{rules:?} {host}"
            );
        }
    }

    #[test]
    fn a_rule_may_be_for_one_port() {
        for (rules, host, port, covered) in [
            ("example.org:8080", "example.org", 8080, true),
            ("example.org:8080", "www.example.org", 8080, true),
            ("example.org:8080", "example.org", 443, false),
            ("192.0.2.1:8080", "192.0.2.1", 8080, true),
            ("192.0.2.1:8080", "192.0.2.1", 80, false),
            ("[2001:db8::1]:8080", "2001:db8::1", 8080, true),
            ("[2001:db8::1]:8080", "2001:db8::1", 80, false),
            ("*:8080", "example.org", 8080, true),
            ("*:8080", "example.org", 80, false),
            ("example.org:port", "example.org", 80, false),
        ] {
            assert_eq!(
                Bypass::parse(rules).covers(host, port),
                covered,
                "{rules:?} {host}:{port}"
            );
        }
    }
}
