//! What is to be done: options that were checked, and the addresses they lead to.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use sockeye::driver::DriverKind;
use sockeye::proto::deflate::Deflate;
use sockeye::tls::{ClientTls, Pem};
use sockeye_proto::Config;
use sockeye_proto::handshake::client::{Request, Target};

use super::limits;
use super::options::CommonOptions;
use super::sources::Sources;
use crate::error::{Failure, chain};

/// What all threads need to know.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where requests go to; each connection has one of these.
    pub(super) targets: Vec<Target>,
    pub(super) address: Address,
    pub(super) sources: Sources,
    pub(super) tls: Option<Tls>,
    pub(super) driver: DriverKind,
    pub(super) threads: usize,
    pub(super) connections: usize,
    pub(super) connecting: usize,
    pub(super) ramp: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) settle: Duration,
    pub(super) warmup: Duration,
    pub(super) duration: Duration,
    pub(super) patience: Duration,
    pub(super) deflate: Option<Deflate>,
    /// The request but for target and key.
    request: CommonOptions,
    pub(super) config: Arc<Config>,
    /// How many of the first connections are to have small receive buffers.
    pub(super) slow: usize,
}

/// The numbers of the connections of a thread.
pub(super) fn share(connections: usize, threads: usize, thread: usize) -> Range<usize> {
    connections * thread / threads..connections * (thread + 1) / threads
}

/// What is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// Whether the server is on this machine.
    pub(super) fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp(address) if address.ip().is_loopback() => true,
            // Only addresses of this machine can be bound to.
            Self::Tcp(address) => std::net::UdpSocket::bind((address.ip(), 0)).is_ok(),
        }
    }
}

/// What encrypts.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl Plan {
    /// Checks the options, finds the server's address, and makes room for the descriptors. `topics` are put in the place
    /// of `{topic}` in the URL; without any the URL is used as it is.
    pub(super) async fn of(
        options: &CommonOptions,
        connections: usize,
        topics: &[String],
        largest: usize,
    ) -> Result<Self, Failure> {
        let targets = targets(&options.url, topics)?;
        // All of them differ in the path alone.
        let target = &targets[0];
        let tls = target.is_secure().then(|| tls(options, target)).transpose()?;
        let address = match &options.unix {
            Some(path) => Address::Unix(path.clone()),
            None => Address::Tcp(resolve(target).await?),
        };
        limits::make_room(connections)?;
        let plan = Self {
            sources: Sources::choose(&options.sources, &address, connections)?,
            address,
            tls,
            driver: options.driver,
            threads: options.threads.0.min(connections).max(1),
            connections,
            connecting: options.connecting.0,
            ramp: options.ramp.0,
            connect_timeout: options.connect_timeout.0,
            settle: options.settle.0,
            warmup: options.warmup.0,
            duration: options.duration.0,
            patience: options.patience.0,
            deflate: options.compress.then(|| Deflate {
                server_no_context_takeover: !options.context_takeover,
                ..Deflate::default()
            }),
            request: options.clone(),
            config: Arc::new(Config {
                // A server may answer with more than it was sent.
                max_message_size: (largest as u64)
                    .saturating_mul(2)
                    .max(Config::client().max_message_size),
                ..Config::client()
            }),
            slow: 0,
            targets,
        };
        // What is wrong with the headers is wrong with all of them.
        plan.request(0, [0; 16])?;
        Ok(plan)
    }

    /// The request of the connection with this number.
    pub(super) fn request(&self, number: usize, nonce: [u8; 16]) -> Result<Request, Failure> {
        let target = self.targets[number % self.targets.len()].clone();
        let build = || {
            let mut request = Request::new(target, nonce)?;
            for name in &self.request.subprotocols {
                request = request.subprotocol(name)?;
            }
            if let Some(options) = &self.deflate {
                request = request.deflate(options.clone());
            }
            for (name, value) in &self.request.headers {
                request = request.header(name, value)?;
            }
            match &self.request.origin {
                Some(origin) => request.origin(origin),
                None => Ok(request),
            }
        };
        build().map_err(|error| Failure::usage(chain(&error)))
    }
}

/// What stands for the name of a topic in a URL.
const TOPIC: &str = "{topic}";

fn targets(url: &str, topics: &[String]) -> Result<Vec<Target>, Failure> {
    let parse = |url: &str| {
        let target = Target::parse(url)
            .map_err(|error| Failure::usage(format!("cannot connect to {url}: {error}")))?;
        match target.userinfo() {
            Some(_) => Err(Failure::usage(
                "the URL has a user name in it, which bench does not send: give it with --header Authorization",
            )),
            None => Ok(target),
        }
    };
    if topics.is_empty() {
        return Ok(vec![parse(url)?]);
    }
    if !url.contains(TOPIC) {
        return Err(Failure::usage(format!(
            "--topics needs {TOPIC} in the URL, where the name of the topic belongs"
        )));
    }
    topics
        .iter()
        .map(|topic| parse(&url.replace(TOPIC, topic)))
        .collect()
}

async fn resolve(target: &Target) -> Result<SocketAddr, Failure> {
    let host = target.host();
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok((address, target.port()).into());
    }
    let mut found = tokio::net::lookup_host((host, target.port()))
        .await
        .map_err(|error| Failure::new(format!("cannot find {host}: {error}")))?
        .collect::<Vec<_>>();
    // One address, so that all connections do the same. Many servers on localhost listen on IPv4 alone.
    found.sort_by_key(SocketAddr::is_ipv6);
    found
        .first()
        .copied()
        .ok_or_else(|| Failure::new(format!("{host} has no address")))
}

fn tls(options: &CommonOptions, target: &Target) -> Result<Tls, Failure> {
    let mut builder = ClientTls::builder().danger_accept_invalid_certs(options.insecure);
    if let Some(authorities) = &options.ca {
        builder = builder.root(Pem::file(authorities));
    }
    let name = options.server_name.as_deref().unwrap_or_else(|| target.host());
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| Failure::usage(format!("{name} is neither a host name nor an IP address")))?;
    let mut config = builder
        .build()
        .map_err(|error| Failure::usage(format!("TLS: {}", chain(&error))))?
        .config();
    if !options.resume {
        Arc::make_mut(&mut config).resumption = Resumption::disabled();
    }
    Ok(Tls { config, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_take_their_place_in_the_url() {
        let topics = ["a".to_owned(), "b".to_owned()];
        let found = targets("ws://localhost:1/topics/{topic}?x", &topics).unwrap();
        let paths: Vec<_> = found.iter().map(Target::path_and_query).collect();
        assert_eq!(paths, ["/topics/a?x", "/topics/b?x"]);
        for (url, complaint) in [
            ("ws://localhost/", "{topic}"),
            ("ws://a:b@localhost/{topic}", "user name"),
            ("localhost/{topic}", "malformed"),
        ] {
            let error = targets(url, &topics).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
