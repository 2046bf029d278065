//! One connection at a time to each server: the line that RFC 6455 §4.1 lets clients stand in.
//!
//! "If the client already has a WebSocket connection to the remote host (IP address) identified by /host/ and port
//! /port/ pair, even if the remote host is known by another name, the client MUST wait until that connection has been
//! established or for that connection to have failed. There MUST be no more than one connection in a CONNECTING state."

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::dial::Endpoint;
use super::phase::Clock;
use crate::error::{ConnectPhase, Result};

/// The lines of all clients of the process: whoever connects or waits is in them.
static LINES: LazyLock<Mutex<Lines>> = LazyLock::new(Mutex::default);

/// A fair lock for each server.
type Lines = HashMap<Remote, Arc<tokio::sync::Mutex<()>>>;

/// A server, as far as the rule goes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Remote {
    /// By its address: one server, whatever its names.
    Address(SocketAddr),
    /// By name and port, where a proxy looks it up: "the client MUST assume for the purposes of this step that each
    /// host name refers to a distinct remote host".
    Name(String, u16),
}

/// The right to connect to some servers; it passes to the next in line when this is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Turn(Vec<Place>);

/// A place in the line for one server, or at its head.
#[derive(Debug)]
struct Place {
    remote: Remote,
    /// Taken away by `drop` only.
    line: Option<Arc<tokio::sync::Mutex<()>>>,
    head: Option<OwnedMutexGuard<()>>,
}

impl Remote {
    pub(super) fn address(address: SocketAddr) -> Self {
        Self::Address(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    pub(super) fn name(endpoint: &Endpoint) -> Self {
        Self::Name(endpoint.host().to_ascii_lowercase(), endpoint.port())
    }
}

impl Turn {
    /// Waits until nobody else connects to any of `remotes`, which are those of the server `host`.
    ///
    /// The wait is fair. It has no limit of its own, since it says nothing about the server: those ahead have theirs,
    /// and the attempt as a whole may have one.
    ///
    /// # Errors
    ///
    /// The time for the whole attempt is over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the line.
    pub(super) async fn wait(
        remotes: impl IntoIterator<Item = Remote>,
        host: &str,
        clock: &Clock,
    ) -> Result<Self> {
        let mut remotes: Vec<_> = remotes.into_iter().collect();
        // Everybody takes them in the same order, so that no two wait for each other; none twice, for the same reason.
        remotes.sort_unstable();
        remotes.dedup();
        let all = async {
            let mut places = Vec::with_capacity(remotes.len());
            for remote in remotes {
                let mut place = Place::join(remote);
                place.reach_head().await;
                places.push(place);
            }
            places
        };
        let limit = clock.wait_for_turn(ConnectPhase::Connect);
        match limit.hold(all).await {
            Some(places) => Ok(Self(places)),
            None => Err(limit.passed(host, "another connection to it was being opened all the time")),
        }
    }

    /// Lets others connect to all but this one, if it is among them. It may not be: a connection to 0.0.0.0 ends at
    /// 127.0.0.1.
    pub(super) fn keep_only(&mut self, remote: &Remote) {
        if self.0.iter().any(|place| place.remote == *remote) {
            self.0.retain(|place| place.remote == *remote);
        }
    }
}

impl Place {
    fn join(remote: Remote) -> Self {
        let line = Arc::clone(lines().entry(remote.clone()).or_default());
        Self {
            remote,
            line: Some(line),
            head: None,
        }
    }

    async fn reach_head(&mut self) {
        let Some(line) = &self.line else { return };
        self.head = match Arc::clone(line).try_lock_owned() {
            Ok(head) => Some(head),
            Err(_) => {
                tracing::debug!(server = ?self.remote, "waiting for another connection to this server");
                Some(Arc::clone(line).lock_owned().await)
            }
        };
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.head = None;
        let mut lines = lines();
        self.line = None;
        // The map's own is the last: nobody is in this line.
        if lines
            .get(&self.remote)
            .is_some_and(|line| Arc::strong_count(line) == 1)
        {
            lines.remove(&self.remote);
        }
    }
}

fn lines() -> MutexGuard<'static, Lines> {
    // Nothing in here panics halfway.
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::client::ConnectTimeouts;

    /// A server that no other test uses.
    fn server(test: &str, number: u16) -> Remote {
        Remote::Name(test.to_owned(), number)
    }

    async fn turn(remotes: &[Remote]) -> Turn {
        let clock = Clock::start(&ConnectTimeouts::default());
        Turn::wait(remotes.iter().cloned(), "a.test", &clock)
            .await
            .unwrap()
    }

    fn is_known(remote: &Remote) -> bool {
        lines().contains_key(remote)
    }

    #[tokio::test(start_paused = true)]
    async fn turns_come_in_the_order_of_asking() {
        let remote = server("order", 1);
        let order = Arc::new(Mutex::new(Vec::new()));
        let first = turn(std::slice::from_ref(&remote)).await;
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..5 {
            let (remote, order) = (remote.clone(), Arc::clone(&order));
            tasks.spawn(async move {
                let _turn = turn(&[remote]).await;
                order.lock().unwrap().push(number);
                // Whoever comes too early would be noticed here.
                sleep(Duration::from_secs(1)).await;
                order.lock().unwrap().push(number);
            });
            tokio::task::yield_now().await;
        }
        drop(first);
        tasks.join_all().await;
        assert_eq!(*order.lock().unwrap(), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
        assert!(!is_known(&remote));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_the_line_holds_up_nobody() {
        let remote = [server("leave", 1)];
        let first = turn(&remote).await;
        assert!(timeout(Duration::from_secs(1), turn(&remote)).await.is_err());
        drop(first);
        drop(timeout(Duration::from_secs(1), turn(&remote)).await.unwrap());
        assert!(!is_known(&remote[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_with_several_addresses_is_one_server() {
        let [a, b, c] = [1, 2, 3].map(|number| server("several", number));
        let mut first = turn(&[b.clone(), a.clone()]).await;
        let waits = |remotes: Vec<Remote>| async move {
            timeout(Duration::from_secs(1), turn(&remotes)).await.is_err()
        };
        assert!(waits(vec![a.clone()]).await);
        assert!(waits(vec![c.clone(), b.clone()]).await);
        assert!(!waits(vec![c.clone()]).await);
        first.keep_only(&c);
        assert!(waits(vec![a.clone()]).await);
        // It has connected to one of its addresses; the other is free.
        first.keep_only(&a);
        assert!(waits(vec![a.clone(), b.clone()]).await);
        assert!(!waits(vec![b.clone(), c]).await);
        drop(first);
        assert!(!waits(vec![a, b]).await);
    }

    #[tokio::test(start_paused = true)]
    async fn opposite_orders_do_not_lock_each_other_out() {
        let [a, b] = [1, 2].map(|number| server("opposite", number));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..100 {
            let mut remotes = vec![a.clone(), b.clone(), a.clone()];
            if number % 2 == 0 {
                remotes.reverse();
            }
            remotes.rotate_left(number % 3);
            tasks.spawn(async move {
                let _turn = turn(&remotes).await;
                tokio::task::yield_now().await;
            });
        }
        timeout(Duration::from_secs(60), tasks.join_all()).await.unwrap();
        assert!(!is_known(&a) && !is_known(&b));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_counts_against_the_whole_attempt_only() {
        let remote = [server("clock", 1)];
        let _first = turn(&remote).await;
        let patient = Clock::start(&ConnectTimeouts::default());
        let waiting = Turn::wait(remote.clone(), "a.test", &patient);
        assert!(timeout(Duration::from_secs(3600), waiting).await.is_err());

        let hasty = Clock::start(&ConnectTimeouts {
            total: Duration::from_secs(3),
            ..ConnectTimeouts::default()
        });
        let error = Turn::wait(remote, "a.test", &hasty).await.unwrap_err();
        assert!(error.is_timeout());
        assert_eq!(error.phase(), Some(ConnectPhase::Connect));
        assert_eq!(
            error.to_string(),
            "connecting to a.test was not done when the 3s of the whole attempt were over: another connection to it \
             was being opened all the time"
        );
    }

    #[test]
    fn an_ipv4_address_in_ipv6_clothes_is_the_same_server() {
        let [plain, mapped] = ["192.0.2.1:80", "[::ffff:192.0.2.1]:80"];
        let remote = |address: &str| Remote::address(address.parse().unwrap());
        assert_eq!(remote(plain), remote(mapped));
        assert_ne!(remote(plain), remote("192.0.2.1:81"));
    }
}
