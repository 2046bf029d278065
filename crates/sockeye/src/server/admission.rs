//! Who may come in: counts connections against [`ConnectionLimits`]. Each count goes back when its permit is
//! dropped.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::address::subscriber;
use super::{ConnectionLimits, ConnectionRate};

/// The counts of one server.
#[derive(Debug)]
pub(super) struct Admission {
    max_connections: usize,
    max_per_address: Option<usize>,
    max_half_open: usize,
    dry_run: bool,
    open: AtomicUsize,
    half_open: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    bucket: Option<Mutex<Bucket>>,
}

/// Which limit a connection ran into; the name is its label in the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Connections,
    PerAddress,
    HalfOpen,
    Rate,
}

impl Refusal {
    pub(super) const ALL: [Self; 4] = [Self::Connections, Self::PerAddress, Self::HalfOpen, Self::Rate];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connections => "max_connections",
            Self::PerAddress => "max_per_address",
            Self::HalfOpen => "max_half_open",
            Self::Rate => "connection_rate",
        }
    }
}

/// A place among the open connections, and among the half-open ones until the first request
/// [has come](Self::arrived).
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<Admission>,
    is_held: AtomicBool,
    is_half_open: AtomicBool,
}

/// A place among the open connections of one address.
#[derive(Debug)]
pub(super) struct AddressPermit {
    admission: Arc<Admission>,
    subscriber: IpAddr,
}

impl Admission {
    pub(super) fn new(limits: &ConnectionLimits, now: Instant) -> Self {
        Self {
            max_connections: limits.max_connections(),
            max_per_address: limits.max_per_address,
            max_half_open: limits.max_half_open.unwrap_or(usize::MAX),
            dry_run: limits.dry_run,
            open: AtomicUsize::new(0),
            half_open: AtomicUsize::new(0),
            by_address: Mutex::default(),
            bucket: limits.rate.map(|rate| Mutex::new(Bucket::new(rate, now))),
        }
    }

    /// A place for a connection that was just accepted.
    pub(super) fn admit(self: &Arc<Self>, now: Instant) -> Result<Permit, Refusal> {
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < self.max_connections).then_some(open + 1)
            })
            .map_err(|_| Refusal::Connections)?;
        // From here on the permit gives the places back.
        let permit = Permit::remembered(self, false);
        let fits = self
            .half_open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |half_open| {
                (half_open < self.max_half_open).then_some(half_open + 1)
            });
        if fits.is_err() {
            self.enforce(Refusal::HalfOpen)?;
            self.half_open.fetch_add(1, Ordering::Relaxed);
        }
        permit.is_half_open.store(true, Ordering::Relaxed);
        if let Some(bucket) = &self.bucket
            && !lock(bucket).take(now)
        {
            self.enforce(Refusal::Rate)?;
        }
        Ok(permit)
    }

    /// A place for a connection of this address.
    pub(super) fn admit_address(self: &Arc<Self>, ip: IpAddr) -> Result<Option<AddressPermit>, Refusal> {
        let Some(most) = self.max_per_address else {
            return Ok(None);
        };
        let subscriber = subscriber(ip);
        let over = {
            let mut counts = lock(&self.by_address);
            let count = counts.entry(subscriber).or_default();
            let over = *count >= most;
            if !over || self.dry_run {
                *count += 1;
            }
            over
        };
        if over {
            self.enforce(Refusal::PerAddress)?;
        }
        Ok(Some(AddressPermit {
            admission: Arc::clone(self),
            subscriber,
        }))
    }

    /// A connection is not half-open any more.
    pub(super) fn arrived(&self) {
        self.half_open.fetch_sub(1, Ordering::Relaxed);
    }

    fn enforce(&self, refusal: Refusal) -> Result<(), Refusal> {
        if self.dry_run {
            tracing::info!(
                limit = refusal.name(),
                "a connection is over a limit that is not enforced"
            );
            return Ok(());
        }
        Err(refusal)
    }
}

impl Permit {
    /// Leaves the place to whoever remembers that there is one, and makes a permit of it again with
    /// [`remembered`](Self::remembered). Gives whether it is half-open.
    pub(super) fn forget(&self) -> bool {
        self.is_held.store(false, Ordering::Relaxed);
        self.is_half_open.swap(false, Ordering::Relaxed)
    }

    /// A place that was taken before.
    pub(super) fn remembered(admission: &Arc<Admission>, is_half_open: bool) -> Self {
        Self {
            admission: Arc::clone(admission),
            is_held: AtomicBool::new(true),
            is_half_open: AtomicBool::new(is_half_open),
        }
    }

    /// The first request has come.
    pub(super) fn arrived(&self) {
        if self.is_half_open.swap(false, Ordering::Relaxed) {
            self.admission.arrived();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.arrived();
        if *self.is_held.get_mut() {
            self.admission.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut counts = lock(&self.admission.by_address);
        if let Some(count) = counts.get_mut(&self.subscriber) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.subscriber);
            }
        }
    }
}

/// A token bucket in whole steps of time: a token is there again after `interval`.
#[derive(Debug)]
struct Bucket {
    interval: Duration,
    /// How far `full_at` may lie ahead with a token left to take.
    depth: Duration,
    /// When all tokens will be back.
    full_at: Instant,
}

impl Bucket {
    fn new(rate: ConnectionRate, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / rate.per_second.max(1);
        Self {
            interval,
            depth: interval * rate.burst.saturating_sub(1),
            full_at: now,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.max(now);
        if full_at - now > self.depth {
            return false;
        }
        self.full_at = full_at + self.interval;
        true
    }
}

/// The data behind these locks is valid at every step, so that a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(limits: &ConnectionLimits) -> Arc<Admission> {
        Arc::new(Admission::new(limits, Instant::now()))
    }

    fn open(admission: &Admission) -> usize {
        admission.open.load(Ordering::Relaxed)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn quota_is_exactly_n_under_a_race_and_returns_to_zero() {
        let limits = ConnectionLimits {
            max_connections: Some(50),
            max_per_address: Some(30),
            ..ConnectionLimits::default()
        };
        let admission = admission(&limits);
        let now = Instant::now();
        let mut held = Vec::new();
        let (mut connections, mut addresses) = (0, 0);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..20)
                            .map(|_| {
                                (
                                    admission.admit(now).ok(),
                                    admission.admit_address(ip("192.0.2.1")).ok(),
                                )
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            for thread in threads {
                for (permit, address) in thread.join().unwrap() {
                    connections += usize::from(permit.is_some());
                    addresses += usize::from(address.is_some());
                    held.push((permit, address));
                }
            }
        });
        assert_eq!((connections, addresses), (50, 30));
        assert_eq!(open(&admission), 50);
        drop(held);
        assert_eq!(open(&admission), 0);
        assert!(lock(&admission.by_address).is_empty());
    }

    #[test]
    fn addresses_are_counted_apart_and_ipv6_by_64() {
        let limits = ConnectionLimits {
            max_per_address: Some(1),
            ..ConnectionLimits::default()
        };
        let admission = admission(&limits);
        let _first = admission.admit_address(ip("2001:db8::1")).unwrap();
        assert_eq!(
            admission.admit_address(ip("2001:db8::2")).unwrap_err(),
            Refusal::PerAddress
        );
        let _second = admission.admit_address(ip("2001:db8:0:1::1")).unwrap();
        let third = admission.admit_address(ip("192.0.2.1")).unwrap();
        drop(third);
        admission.admit_address(ip("192.0.2.1")).unwrap();
    }

    #[test]
    fn who_has_asked_for_something_is_not_half_open_any_more() {
        let limits = ConnectionLimits {
            max_half_open: Some(2),
            ..ConnectionLimits::default()
        };
        let admission = admission(&limits);
        let now = Instant::now();
        let half_open = || admission.half_open.load(Ordering::Relaxed);
        let one = admission.admit(now).unwrap();
        let two = admission.admit(now).unwrap();
        assert_eq!(admission.admit(now).unwrap_err(), Refusal::HalfOpen);
        assert_eq!((open(&admission), half_open()), (2, 2));
        one.arrived();
        one.arrived();
        let three = admission.admit(now).unwrap();
        assert_eq!(admission.admit(now).unwrap_err(), Refusal::HalfOpen);
        // Remembered elsewhere.
        let is_half_open = three.forget();
        assert!(is_half_open && !one.forget());
        drop((one, three));
        assert_eq!((open(&admission), half_open()), (3, 2));
        drop(Permit::remembered(&admission, is_half_open));
        drop(two);
        assert_eq!((open(&admission), half_open()), (1, 0));
    }

    #[test]
    fn a_refused_rate_takes_no_place() {
        let limits = ConnectionLimits {
            rate: Some(ConnectionRate {
                per_second: 10,
                burst: 3,
            }),
            ..ConnectionLimits::default()
        };
        let now = Instant::now();
        let admission = Arc::new(Admission::new(&limits, now));
        let burst: Vec<_> = (0..3).map(|_| admission.admit(now).unwrap()).collect();
        assert_eq!(admission.admit(now).unwrap_err(), Refusal::Rate);
        assert_eq!(open(&admission), 3);
        drop(burst);
        // A token is back after a tenth of a second, and only one.
        let later = now + Duration::from_millis(100);
        admission.admit(later).unwrap();
        assert_eq!(admission.admit(later).unwrap_err(), Refusal::Rate);
        // After a long quiet time there are as many as the burst, not more.
        let much_later = now + Duration::from_secs(3600);
        for _ in 0..3 {
            admission.admit(much_later).unwrap();
        }
        assert_eq!(admission.admit(much_later).unwrap_err(), Refusal::Rate);
        assert_eq!(open(&admission), 0);
    }

    #[test]
    fn dry_run_refuses_nothing_but_the_limit_on_open_files() {
        let limits = ConnectionLimits {
            max_connections: Some(2),
            max_per_address: Some(1),
            max_half_open: Some(1),
            rate: Some(ConnectionRate {
                per_second: 1,
                burst: 1,
            }),
            dry_run: true,
        };
        let now = Instant::now();
        let admission = Arc::new(Admission::new(&limits, now));
        let held: Vec<_> = (0..2)
            .map(|_| {
                (
                    admission.admit(now).unwrap(),
                    admission.admit_address(ip("192.0.2.1")).unwrap(),
                )
            })
            .collect();
        assert_eq!(admission.admit(now).unwrap_err(), Refusal::Connections);
        drop(held);
        assert_eq!(open(&admission), 0);
        assert!(lock(&admission.by_address).is_empty());
    }
}
