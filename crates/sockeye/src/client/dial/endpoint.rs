//! A place in the network.

use std::fmt;
use std::net::Ipv6Addr;

use sockeye_proto::handshake::client::Target;

/// A host, by name or address, and a port: the server, or a proxy before it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::client) struct Endpoint {
    host: String,
    port: u16,
    is_proxy: bool,
}

impl Endpoint {
    /// An IPv6 address comes without brackets.
    pub(in crate::client) fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            is_proxy: false,
        }
    }

    /// Where a proxy is; `host` as in [`new`](Self::new).
    pub(in crate::client) fn proxy(host: impl Into<String>, port: u16) -> Self {
        Self {
            is_proxy: true,
            ..Self::new(host, port)
        }
    }

    /// Where the server of this URL is.
    pub(in crate::client) fn of(target: &Target) -> Self {
        Self::new(target.host(), target.port())
    }

    pub(in crate::client) fn host(&self) -> &str {
        &self.host
    }

    pub(in crate::client) const fn port(&self) -> u16 {
        self.port
    }

    /// As error messages call it.
    pub(in crate::client) fn name(&self) -> String {
        if self.is_proxy {
            format!("the proxy {self}")
        } else {
            self.to_string()
        }
    }
}

/// As in the authority of a URL: an IPv6 address in brackets, the port always there.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.parse::<Ipv6Addr>().is_ok() {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_reads_like_the_authority_of_a_url() {
        for (url, want) in [
            ("ws://example.org/", "example.org:80"),
            ("wss://192.0.2.7/", "192.0.2.7:443"),
            ("wss://[2001:db8::1]:3000/", "[2001:db8::1]:3000"),
        ] {
            assert_eq!(Endpoint::of(&Target::parse(url).unwrap()).to_string(), want);
        }
    }
}
