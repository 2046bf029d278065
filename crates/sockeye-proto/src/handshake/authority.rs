//! `host[:port]`, as it stands in a `Host` field and in a URL.

use std::net::Ipv6Addr;

/// A checked `host[:port]` without user information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostPort<'a> {
    /// Registered name, IPv4 address, or IPv6 address in brackets; never empty.
    pub(super) host: &'a str,
    /// `None` if there is no port or it is empty, as in `example.org:`.
    pub(super) port: Option<u16>,
}

impl<'a> HostPort<'a> {
    /// Splits and checks `text` (RFC 3986 §3.2.2 and §3.2.3). `None` if it has another form.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let host_len = if text.starts_with('[') {
            text.find(']')? + 1
        } else {
            text.find(':').unwrap_or(text.len())
        };
        let (host, port) = text.split_at(host_len);
        if !is_host(host) {
            return None;
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some("") => None,
            // `parse` alone would take "+80".
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { host, port })
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(address) => address
            .strip_suffix(']')
            .is_some_and(|a| a.parse::<Ipv6Addr>().is_ok()),
        None => is_registered_name(host.as_bytes()),
    }
}

/// RFC 3986 §3.2.2: `reg-name = *( unreserved / pct-encoded / sub-delims )`, which covers IPv4 addresses. An
/// empty one names no `ws` or `http` host.
fn is_registered_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => tail,
            (b'-' | b'.' | b'_' | b'~', _) => tail,
            (b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=', _) => tail,
            _ if byte.is_ascii_alphanumeric() => tail,
            _ => return false,
        };
    }
    !name.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, host, port) in [
            ("example.org", "example.org", None),
            ("example.org:", "example.org", None),
            ("example.org:80", "example.org", Some(80)),
            ("my_host:0080", "my_host", Some(80)),
            ("127.0.0.1:65535", "127.0.0.1", Some(65535)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::1]:9001", "[2001:db8::1]", Some(9001)),
            ("a%20b", "a%20b", None),
        ] {
            assert_eq!(HostPort::parse(text), Some(HostPort { host, port }), "{text:?}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            ":",
            ":80",
            "a:b",
            "a:+80",
            "a:65536",
            "a:99999999999",
            "a:1:2",
            "::1",
            "[::1",
            "[::1]x",
            "[]",
            "[a]",
            "[1.2.3.4]",
            "[fe80::1%25eth0]",
            "user@host",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a%2",
            "a%zz",
            "ä",
            "a\"b",
            "a<b",
            "a,b:x",
        ] {
            assert_eq!(HostPort::parse(text), None, "{text:?}");
        }
    }
}
