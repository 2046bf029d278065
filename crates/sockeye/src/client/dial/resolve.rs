//! From the name of a host to its addresses, in the order in which they are tried.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

/// The most addresses of a host that are tried.
const MAX_ADDRESSES: usize = 32;

/// What [`Resolve::resolve`] gives: the addresses, later.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Finds the addresses of a host.
///
/// Implemented by async closures that take the host and the port:
///
/// ```
/// use sockeye::Client;
///
/// let client = Client::builder()
///     .resolver(|host: String, port: u16| async move {
///         match host.as_str() {
///             "chat.internal" => Ok(vec![([10, 0, 0, 7], port).into()]),
///             _ => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
///         }
///     })
///     .build()?;
/// # Ok::<(), sockeye::Error>(())
/// ```
///
/// A host that is an address already is not looked up. Of the addresses given the first 32 are tried, IPv6 and IPv4 in
/// turn; within each family their order is kept.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`, best first. The port of each is the one connected to; usually it is `port`, but a
    /// resolver that knows better, from SRV records say, may give another.
    ///
    /// The future is dropped when the time for it is over ([`ConnectTimeouts`](crate::ConnectTimeouts)).
    ///
    /// # Errors
    ///
    /// Whatever there is to say; it becomes the source of an [`Error`](crate::Error) of the phase
    /// [`Resolve`](crate::ConnectPhase::Resolve). No address at all is an error too.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

impl<F, Found> Resolve for F
where
    F: Fn(String, u16) -> Found + Send + Sync + 'static,
    Found: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
{
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(self(host.to_owned(), port))
    }
}

/// The system's own resolver, `getaddrinfo`: it knows `/etc/hosts`, mDNS and whatever else is configured.
#[derive(Debug)]
pub(super) struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Brings addresses into the order in which they are tried (RFC 8305 §4): IPv6 first, then one of each family in
/// turn, none twice, and no more than [`MAX_ADDRESSES`].
pub(super) fn in_order(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut distinct: Vec<SocketAddr> = Vec::new();
    for address in found {
        if distinct.len() == MAX_ADDRESSES {
            break;
        }
        if !distinct.contains(&address) {
            distinct.push(address);
        }
    }
    let (v6, v4): (Vec<_>, Vec<_>) = distinct.into_iter().partition(SocketAddr::is_ipv6);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut ordered = Vec::with_capacity(v6.len() + v4.len());
    while v6.len() + v4.len() > 0 {
        ordered.extend(v6.next());
        ordered.extend(v4.next());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &str) -> Vec<SocketAddr> {
        list.split_whitespace()
            .map(|ip| SocketAddr::new(ip.parse().unwrap(), 80))
            .collect()
    }

    #[test]
    fn families_take_turns_and_ipv6_begins() {
        for (found, want) in [
            ("", ""),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.2 10.0.0.1", "10.0.0.2 10.0.0.1"),
            ("10.0.0.1 ::2", "::2 10.0.0.1"),
            ("::3 ::2 ::1 10.0.0.9 10.0.0.1", "::3 10.0.0.9 ::2 10.0.0.1 ::1"),
            ("10.0.0.1 10.0.0.1 ::1 10.0.0.1 ::1", "::1 10.0.0.1"),
        ] {
            assert_eq!(in_order(addresses(found)), addresses(want), "{found}");
        }
    }

    #[test]
    fn an_endless_answer_is_cut() {
        let many = (0..5000).map(|port| SocketAddr::from(([10, 0, 0, 1], port)));
        assert_eq!(in_order(many.collect()).len(), MAX_ADDRESSES);
    }
}
