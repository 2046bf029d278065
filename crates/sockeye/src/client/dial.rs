//! From a host name to a TCP connection.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sockeye_proto::handshake::client::Target;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::phase::{ConnectTimeouts, Phase};
use crate::error::{Error, Kind, Result};

/// Connects to the host of `target`.
pub(super) async fn dial(target: &Target, timeouts: &ConnectTimeouts) -> Result<TcpStream> {
    let addresses = Phase::Resolve.within(timeouts.resolve, resolve(target)).await?;
    let failed = |cause| match cause {
        Failure::TimedOut => Phase::Connect.timed_out(timeouts.connect),
        Failure::Io(error) => cannot("connect to", target, error),
    };
    let io = first_of(&addresses, timeouts.connect, TcpStream::connect)
        .await
        .map_err(failed)?;
    // Small messages must not wait for the answers to earlier ones.
    io.set_nodelay(true)
        .map_err(|error| cannot("connect to", target, error))?;
    Ok(io)
}

async fn resolve(target: &Target) -> Result<Vec<SocketAddr>> {
    let (host, port) = (target.host(), target.port());
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    match tokio::net::lookup_host((host, port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(cannot("find", target, error)),
    }
}

fn cannot(verb: &str, target: &Target, error: io::Error) -> Error {
    Error::with_source(
        Kind::Connect(format!("cannot {verb} {}", target.host_header())),
        error,
    )
}

/// Why the last address did not work.
#[derive(Debug)]
enum Failure {
    TimedOut,
    Io(io::Error),
}

/// Tries one address after the other.
///
/// Each gets an equal share of the time that is left, so that one that never answers leaves time for the next.
async fn first_of<T, F>(
    addresses: &[SocketAddr],
    limit: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = io::Result<T>>,
{
    let started = Instant::now();
    let mut failure = Failure::Io(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    for (tried, &address) in addresses.iter().enumerate() {
        let left = limit.saturating_sub(started.elapsed());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        failure = match timeout(share, connect(address)).await {
            Ok(Ok(io)) => return Ok(io),
            Ok(Err(error)) => Failure::Io(error),
            Err(_) => Failure::TimedOut,
        };
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn addresses(count: u8) -> Vec<SocketAddr> {
        (0..count)
            .map(|last| SocketAddr::from(([192, 0, 2, last], 80)))
            .collect()
    }

    #[tokio::test]
    async fn an_address_in_the_url_is_not_looked_up() {
        for (url, want) in [
            ("ws://[2001:db8::1]:3000/", "[2001:db8::1]:3000"),
            ("ws://192.0.2.7/", "192.0.2.7:80"),
            ("wss://[::1]/", "[::1]:443"),
        ] {
            let found = resolve(&Target::parse(url).unwrap()).await.unwrap();
            assert_eq!(found, [want.parse().unwrap()], "{url}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_address_that_answers_wins() {
        let tried = Mutex::new(Vec::new());
        let connect = async |address: SocketAddr| {
            let count = {
                let mut tried = tried.lock().unwrap();
                tried.push(address);
                tried.len()
            };
            match count {
                1 => Err(io::ErrorKind::ConnectionRefused.into()),
                2 => std::future::pending().await,
                _ => Ok(address),
            }
        };
        let all = addresses(4);
        let started = Instant::now();
        let found = first_of(&all, Duration::from_secs(9), connect).await.unwrap();
        assert_eq!(found, all[2]);
        assert_eq!(*tried.lock().unwrap(), all[..3]);
        // The silent one had a third of the time.
        assert_eq!(started.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn silent_addresses_take_no_longer_than_the_limit_together() {
        let started = Instant::now();
        let connect = async |_| std::future::pending::<io::Result<()>>().await;
        let failure = first_of(&addresses(7), Duration::from_secs(10), connect).await;
        assert!(matches!(failure, Err(Failure::TimedOut)));
        assert_eq!(started.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_is_a_limit_too() {
        let connect = async |address: SocketAddr| io::Result::Ok(address);
        assert!(first_of(&addresses(2), Duration::MAX, connect).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_without_addresses_is_an_error() {
        let connect = async |_| io::Result::Ok(());
        let failure = first_of(&[], Duration::from_secs(1), connect).await;
        assert!(matches!(failure, Err(Failure::Io(_))));
    }
}
