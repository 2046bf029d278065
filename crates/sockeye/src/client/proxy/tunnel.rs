//! From a proxy's URL to a stream that leads to the server.

use std::net::{IpAddr, SocketAddr};

use sockeye_proto::handshake::HeadLimits;

use super::{Kind, Proxy, http_connect, socks};
use crate::client::dial::{Dialed, Dialer, Endpoint};
use crate::client::phase::Clock;
use crate::client::turn::Remote;
use crate::error::Result;

/// A way to a server that leads through a proxy, not gone yet.
#[derive(Debug)]
pub(in crate::client) struct Way<'a> {
    proxy: &'a Proxy,
    /// The server.
    to: &'a Endpoint,
    destination: Destination<'a>,
}

/// Where a proxy is to connect.
#[derive(Clone, Copy, Debug)]
pub(super) enum Destination<'a> {
    /// To this host, whose name it looks up.
    Name(&'a Endpoint),
    Address(SocketAddr),
}

impl<'a> Way<'a> {
    /// The way to `to`; the name is looked up where the proxy does not do that itself.
    pub(in crate::client) async fn to(
        to: &'a Endpoint,
        proxy: &'a Proxy,
        dialer: &Dialer,
        clock: &Clock,
    ) -> Result<Self> {
        let destination = if let Ok(address) = to.host().parse::<IpAddr>() {
            Destination::Address(SocketAddr::new(address, to.port()))
        } else if proxy.kind == Kind::Socks5 {
            let address = preferred(&dialer.resolve_for_others(to, clock).await?);
            address.map_or(Destination::Name(to), Destination::Address)
        } else {
            Destination::Name(to)
        };
        Ok(Self {
            proxy,
            to,
            destination,
        })
    }

    /// The server, as far as it is known which one it is.
    pub(in crate::client) fn remote(&self) -> Remote {
        match self.destination {
            Destination::Name(endpoint) => Remote::name(endpoint),
            Destination::Address(address) => Remote::address(address),
        }
    }

    /// Connects to the proxy and asks it for the way.
    ///
    /// # Errors
    ///
    /// Those of dialing and TLS, about the proxy, and those of the phase [`Proxy`](crate::ConnectPhase::Proxy).
    pub(in crate::client) async fn open(
        self,
        dialer: &Dialer,
        limits: HeadLimits,
        clock: &Clock,
    ) -> Result<Dialed> {
        let Self {
            proxy,
            to,
            destination,
        } = self;
        if proxy.kind == Kind::Https {
            return open_over_tls(proxy, to, dialer, limits, clock).await;
        }
        let mut dialed = dialer.dial(&proxy.endpoint, clock).await?;
        if proxy.kind.is_socks() {
            socks::ask(&mut dialed.stream, proxy, to, destination, clock).await?;
        } else {
            http_connect::ask(&mut dialed.stream, proxy, to, limits, clock).await?;
        }
        Ok(dialed)
    }
}

#[cfg(feature = "tls")]
async fn open_over_tls(
    proxy: &Proxy,
    to: &Endpoint,
    dialer: &Dialer,
    limits: HeadLimits,
    clock: &Clock,
) -> Result<Dialed> {
    use crate::client::dial::Stream;
    use crate::client::tls;

    // Before connecting: reading the system's roots may take longer than a proxy waits for a handshake.
    let tls = tls::settings(proxy.tls.as_ref()).await?;
    let Dialed { stream, peer, local } = dialer.dial(&proxy.endpoint, clock).await?;
    let mut io = tls::encrypt(stream, proxy.endpoint.host(), tls, clock).await?;
    http_connect::ask(&mut io, proxy, to, limits, clock).await?;
    Ok(Dialed {
        stream: Stream::tunnel(io),
        peer,
        local,
    })
}

#[cfg(not(feature = "tls"))]
async fn open_over_tls(
    _proxy: &Proxy,
    _to: &Endpoint,
    _dialer: &Dialer,
    _limits: HeadLimits,
    _clock: &Clock,
) -> Result<Dialed> {
    Err(crate::error::Error::config(
        "an https:// proxy needs TLS, which this program was built without (feature `tls` of the crate `sockeye`)",
    ))
}

/// The address that a SOCKS5 proxy is asked for when names are looked up here: one is all that it takes, and more
/// proxies have a way to IPv4.
fn preferred(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let first_v4 = addresses.iter().find(|address| address.is_ipv4());
    first_v4.or_else(|| addresses.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ConnectTimeouts;

    #[tokio::test]
    async fn where_this_machine_connects_from_does_not_matter_behind_a_proxy() {
        let server = SocketAddr::from(([192, 0, 2, 1], 80));
        let dialer = Dialer {
            known_hosts: [("server.test".to_owned(), vec![server])].into(),
            local_address: Some("::1".parse().unwrap()),
            ..Dialer::default()
        };
        let to = Endpoint::new("server.test", 80);
        let clock = Clock::start(&ConnectTimeouts::default());
        assert!(dialer.resolve(&to, &clock).await.is_err());
        let proxy = Proxy::new("socks5://proxy.test").unwrap();
        let way = Way::to(&to, &proxy, &dialer, &clock).await.unwrap();
        assert_eq!(way.remote(), Remote::address(server));
    }
}
