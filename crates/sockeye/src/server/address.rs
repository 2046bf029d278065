//! Where a connection comes from and arrives at.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// An end of a connection, or what a listener listens on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and port.
    Tcp(SocketAddr),
    /// A Unix socket. Clients of Unix sockets rarely have a path.
    Unix(Option<PathBuf>),
}

impl Address {
    /// The IP address, unless this is a Unix socket. IPv4 addresses in IPv6 clothes (`::ffff:192.0.2.1`), as
    /// a dual-stack listener reports them, come out as IPv4.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip().to_canonical()),
            Self::Unix(_) => None,
        }
    }
}

#[cfg(unix)]
impl Address {
    /// What the system calls it; `None` for sockets of other families.
    pub(crate) fn of(address: &socket2::SockAddr) -> Option<Self> {
        if let Some(address) = address.as_socket() {
            return Some(Self::Tcp(address));
        }
        address
            .is_unix()
            .then(|| Self::Unix(address.as_pathname().map(Into::into)))
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(None) => f.write_str("unix"),
        }
    }
}

/// Whom an address stands for when addresses are counted: an IPv4 address for itself, an IPv6 address for its
/// /64, since that is what one household or one rented machine is given.
pub(super) fn subscriber(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (!0 << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_addresses_are_counted_by_their_64() {
        for (ip, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
        ] {
            assert_eq!(
                subscriber(ip.parse().unwrap()),
                expected.parse::<IpAddr>().unwrap(),
                "{ip}"
            );
        }
    }

    #[test]
    fn mapped_addresses_come_out_as_ipv4() {
        let address = Address::Tcp("[::ffff:192.0.2.1]:80".parse().unwrap());
        assert_eq!(address.ip(), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(Address::Unix(None).ip(), None);
    }
}
