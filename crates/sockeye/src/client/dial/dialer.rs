//! Dialing: all steps with their limits and errors.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::race::{Tries, race};
use super::resolve::{self, Resolve};
use super::stream::Dialed;
use super::{Endpoint, TcpOptions};
use crate::client::phase::Clock;
use crate::error::{ConnectPhase, Error, Result};
use crate::socket::Socket;

/// How a client gets to a host.
#[derive(Clone)]
pub(in crate::client) struct Dialer {
    pub(in crate::client) resolver: Arc<dyn Resolve>,
    /// Addresses of hosts that are not looked up, by the name in lower case.
    pub(in crate::client) known_hosts: HashMap<String, Vec<SocketAddr>>,
    pub(in crate::client) local_address: Option<IpAddr>,
    pub(in crate::client) tcp: TcpOptions,
}

impl Default for Dialer {
    fn default() -> Self {
        Self {
            resolver: Arc::new(resolve::System),
            known_hosts: HashMap::new(),
            local_address: None,
            tcp: TcpOptions::default(),
        }
    }
}

impl Dialer {
    /// Looks the host up and connects to it.
    ///
    /// # Errors
    ///
    /// Of the phases [`Resolve`](ConnectPhase::Resolve) and [`Connect`](ConnectPhase::Connect), with an [`io::Error`]
    /// among the sources if there was one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what was opened.
    pub(in crate::client) async fn dial(&self, endpoint: &Endpoint, clock: &Clock) -> Result<Dialed> {
        let addresses = self.resolve(endpoint, clock).await?;
        self.connect(endpoint, &addresses, clock).await
    }

    /// The addresses of the host to which this machine may connect, at least one, in the order in which to try them.
    pub(in crate::client) async fn resolve(
        &self,
        endpoint: &Endpoint,
        clock: &Clock,
    ) -> Result<Vec<SocketAddr>> {
        let mut addresses = self.resolve_for_others(endpoint, clock).await?;
        let host = endpoint.host();
        if let Some(local) = self.local_address {
            addresses.retain(|address| address.is_ipv4() == local.is_ipv4());
            if addresses.is_empty() {
                return Err(no_address(format!(
                    "the host {host} has no address of the same family as {local}, from which to connect"
                )));
            }
        }
        Ok(addresses)
    }

    /// The addresses of the host, at least one, for somebody else to connect to: where this machine connects from does
    /// not matter.
    pub(in crate::client) async fn resolve_for_others(
        &self,
        endpoint: &Endpoint,
        clock: &Clock,
    ) -> Result<Vec<SocketAddr>> {
        let addresses = resolve::in_order(self.lookup(endpoint, clock).await?);
        if addresses.is_empty() {
            let host = endpoint.host();
            return Err(no_address(format!("the host {host} has no address")));
        }
        Ok(addresses)
    }

    async fn lookup(&self, endpoint: &Endpoint, clock: &Clock) -> Result<Vec<SocketAddr>> {
        let (host, port) = (endpoint.host(), endpoint.port());
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        if let Some(known) = self.known_hosts.get(&host.to_ascii_lowercase()) {
            return Ok(known.iter().map(|address| with_port(*address, port)).collect());
        }
        let lookup = async {
            let found = self.resolver.resolve(host, port).await;
            found.map_err(|error| {
                Error::connecting_by(
                    ConnectPhase::Resolve,
                    format!("cannot find the host {host}"),
                    error,
                )
            })
        };
        clock.run(ConnectPhase::Resolve, host, lookup).await
    }

    /// Connects to the first of the addresses that answers.
    pub(in crate::client) async fn connect(
        &self,
        endpoint: &Endpoint,
        addresses: &[SocketAddr],
        clock: &Clock,
    ) -> Result<Dialed> {
        let limit = clock.limit(ConnectPhase::Connect);
        let mut tries = Tries::default();
        // Within the race: one that is reset before it says who it is has lost.
        let connect = async |address| {
            let tcp = self.tcp.connect(address, self.local_address).await?;
            Dialed::new(Socket::Tcp(tcp))
        };
        match limit.hold(race(addresses, connect, &mut tries)).await {
            Some(Some(dialed)) => Ok(dialed),
            // One address says what was wrong as the source; of several each is told.
            Some(None) => {
                let detail = several(&tries);
                Err(unreachable(&endpoint.name(), &detail, tries.into_last_failure()))
            }
            None => Err(limit.passed(&endpoint.name(), several(&tries))),
        }
    }

    /// Connects to the Unix socket at `path`.
    #[cfg(unix)]
    pub(in crate::client) async fn connect_unix(
        &self,
        path: &std::path::Path,
        clock: &Clock,
    ) -> Result<Dialed> {
        let name = path.display().to_string();
        let connect = async {
            let connected = tokio::net::UnixStream::connect(path).await;
            connected
                .and_then(|unix| Dialed::new(Socket::Unix(unix)))
                .map_err(|error| unreachable(&name, "", Some(error)))
        };
        clock.run(ConnectPhase::Connect, &name, connect).await
    }
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    if address.port() == 0 {
        address.set_port(port);
    }
    address
}

fn no_address(message: String) -> Error {
    Error::connecting(ConnectPhase::Resolve, message)
}

/// What was tried, if that was more than one address.
fn several(tries: &Tries) -> String {
    if tries.len() > 1 {
        tries.to_string()
    } else {
        String::new()
    }
}

fn unreachable(name: &str, detail: &str, error: Option<io::Error>) -> Error {
    let mut message = format!("cannot connect to {name}");
    if !detail.is_empty() {
        message = format!("{message}: {detail}");
    }
    match error {
        Some(error) => Error::connecting_by(ConnectPhase::Connect, message, error),
        None => Error::connecting(ConnectPhase::Connect, message),
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("known_hosts", &self.known_hosts)
            .field("local_address", &self.local_address)
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}
