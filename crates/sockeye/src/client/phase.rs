//! The phases of connecting, their limits of time, and the clock of one attempt.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{ConnectPhase, Error, Kind, Lateness, Result};

/// How long each phase of connecting may take.
///
/// `Duration::MAX` is no limit. An attempt that follows redirections goes through the phases for each of them; `total`
/// is for all together.
///
/// ```
/// use std::time::Duration;
/// use sockeye::{Client, ConnectTimeouts};
///
/// let timeouts = ConnectTimeouts { connect: Duration::from_secs(2), ..ConnectTimeouts::default() };
/// let client = Client::builder().timeouts(timeouts).build()?;
/// # Ok::<(), sockeye::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectTimeouts {
    /// Looking up the host's addresses. Default: 10 s.
    pub resolve: Duration,
    /// TCP, all addresses together. Default: 10 s.
    pub connect: Duration,
    /// From the connection with a proxy to its word that the way to the server is open. Default: 10 s.
    pub proxy: Duration,
    /// The TLS handshake. Default: 10 s.
    pub tls: Duration,
    /// From the opening handshake's request to the end of the head of its response. The body of a refusal is read
    /// for as long as this leaves time. Default: 10 s.
    pub handshake: Duration,
    /// The whole attempt, with the time spent waiting for its turn
    /// ([`one_pending_per_host`](crate::ClientBuilder::one_pending_per_host)), which no other limit counts.
    /// Default: no limit beside those of the phases.
    pub total: Duration,
}

impl Default for ConnectTimeouts {
    /// Ten seconds for each phase.
    fn default() -> Self {
        Self::each(Duration::from_secs(10))
    }
}

impl ConnectTimeouts {
    /// The same for each phase, and no limit for all together.
    pub const fn each(limit: Duration) -> Self {
        Self {
            resolve: limit,
            connect: limit,
            proxy: limit,
            tls: limit,
            handshake: limit,
            total: Duration::MAX,
        }
    }

    const fn of(&self, phase: ConnectPhase) -> Duration {
        match phase {
            ConnectPhase::Resolve => self.resolve,
            ConnectPhase::Connect => self.connect,
            ConnectPhase::Proxy => self.proxy,
            ConnectPhase::Tls => self.tls,
            ConnectPhase::Handshake => self.handshake,
        }
    }
}

/// The clock of one attempt to connect: hands out to each phase what it may take, and no more than the attempt has
/// left.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    timeouts: ConnectTimeouts,
    started: Instant,
    /// What came so far. Redirections go through them again; their number has a limit.
    began: Arc<Mutex<Vec<Beginning>>>,
}

/// What began, and when: a phase, or a wait that is none.
type Beginning = (Option<ConnectPhase>, Instant);

/// The time that something may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    phase: ConnectPhase,
    /// What is left of it.
    time: Duration,
    /// What it was from the start, as the caller knows it.
    whole: Duration,
    /// It is the whole attempt's.
    total: bool,
}

impl Clock {
    pub(super) fn start(timeouts: &ConnectTimeouts) -> Self {
        Self {
            timeouts: timeouts.clone(),
            started: Instant::now(),
            began: Arc::default(),
        }
    }

    /// How long each phase took so far, in the order of their first times; a phase lasts until the next one begins, or
    /// a [wait](Self::wait_for_turn).
    pub(super) fn phases(&self) -> Vec<(ConnectPhase, Duration)> {
        let began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = began.iter().skip(1).map(|(_, end)| *end).chain([Instant::now()]);
        let mut phases: Vec<(ConnectPhase, Duration)> = Vec::new();
        for ((phase, start), end) in began.iter().zip(ends) {
            let Some(phase) = phase else { continue };
            let took = end.saturating_duration_since(*start);
            match phases.iter_mut().find(|(earlier, _)| earlier == phase) {
                Some((_, sum)) => *sum += took,
                None => phases.push((*phase, took)),
            }
        }
        phases
    }

    /// Runs a phase that has to do with `host`, under its limit and that of the whole attempt.
    pub(super) async fn run<T>(
        &self,
        phase: ConnectPhase,
        host: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let limit = self.limit(phase);
        match limit.hold(work).await {
            Some(result) => result,
            None => Err(limit.passed(host, "")),
        }
    }

    /// What a phase that begins now may take.
    pub(super) fn limit(&self, phase: ConnectPhase) -> Limit {
        self.begin(Some(phase));
        let own = self.timeouts.of(phase);
        let all = self.limit_of_all(phase);
        if all.time < own {
            return all;
        }
        Limit {
            phase,
            time: own,
            whole: own,
            total: false,
        }
    }

    /// What the attempt has left for waiting on the verge of `phase`; the wait belongs to none.
    pub(super) fn wait_for_turn(&self, phase: ConnectPhase) -> Limit {
        self.begin(None);
        self.limit_of_all(phase)
    }

    fn begin(&self, phase: Option<ConnectPhase>) {
        let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        began.push((phase, Instant::now()));
    }

    fn limit_of_all(&self, phase: ConnectPhase) -> Limit {
        let whole = self.timeouts.total;
        Limit {
            phase,
            time: whole.saturating_sub(self.started.elapsed()),
            whole,
            total: true,
        }
    }
}

impl Limit {
    /// Runs this for as long as the limit allows; `None` when it has passed.
    pub(super) async fn hold<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.time, work).await.ok()
    }

    /// The error that tells of it, with what else is known about `host`.
    pub(super) fn passed(self, host: &str, detail: impl Into<String>) -> Error {
        Error::new(Kind::ConnectTimeout(Lateness {
            phase: self.phase,
            host: host.to_owned(),
            limit: self.whole,
            total: self.total,
            detail: detail.into(),
        }))
    }

    pub(super) const fn time(&self) -> Duration {
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [ConnectPhase; 5] = [
        ConnectPhase::Resolve,
        ConnectPhase::Connect,
        ConnectPhase::Proxy,
        ConnectPhase::Tls,
        ConnectPhase::Handshake,
    ];

    fn each(seconds: u64) -> ConnectTimeouts {
        ConnectTimeouts::each(Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_each_phase_is_known_and_repeated_ones_are_summed() {
        let clock = Clock::start(&each(10));
        let wait = async |phase, seconds| {
            let work = async {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Ok(())
            };
            clock.run(phase, "a.test", work).await.unwrap();
        };
        wait(ConnectPhase::Resolve, 1).await;
        let turn = clock.wait_for_turn(ConnectPhase::Connect);
        turn.hold(tokio::time::sleep(Duration::from_secs(9))).await;
        wait(ConnectPhase::Connect, 2).await;
        wait(ConnectPhase::Handshake, 3).await;
        wait(ConnectPhase::Connect, 4).await;
        let seconds: Vec<_> = clock
            .phases()
            .into_iter()
            .map(|(phase, took)| (phase, took.as_secs()))
            .collect();
        let want = [
            (ConnectPhase::Resolve, 1),
            (ConnectPhase::Connect, 6),
            (ConnectPhase::Handshake, 3),
        ];
        assert_eq!(seconds, want);
    }

    async fn run(clock: &Clock, phase: ConnectPhase) -> Error {
        let never = std::future::pending::<Result<()>>();
        clock.run(phase, "a.test", never).await.unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_phase_that_takes_too_long_is_named_with_host_and_limit() {
        let texts = [
            "looking up a.test took longer than 3s",
            "connecting to a.test took longer than 3s",
            "asking the proxy a.test took longer than 3s",
            "the TLS handshake with a.test took longer than 3s",
            "the opening handshake with a.test took longer than 3s",
        ];
        for (phase, want) in PHASES.into_iter().zip(texts) {
            let started = Instant::now();
            let error = run(&Clock::start(&each(3)), phase).await;
            assert!(error.is_timeout());
            assert_eq!(error.phase(), Some(phase));
            assert_eq!(error.to_string(), want);
            assert_eq!(started.elapsed().as_secs(), 3);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_whole_attempt_has_a_limit_of_its_own() {
        let clock = Clock::start(&ConnectTimeouts {
            total: Duration::from_secs(5),
            ..each(3)
        });
        let started = Instant::now();
        assert_eq!(
            run(&clock, ConnectPhase::Connect).await.phase(),
            Some(ConnectPhase::Connect)
        );
        let error = run(&clock, ConnectPhase::Handshake).await;
        assert_eq!(started.elapsed().as_secs(), 5);
        assert!(error.is_timeout());
        assert_eq!(error.phase(), Some(ConnectPhase::Handshake));
        assert_eq!(
            error.to_string(),
            "the opening handshake with a.test was not done when the 5s of the whole attempt were over"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_duration_is_no_limit() {
        let clock = Clock::start(&ConnectTimeouts {
            connect: Duration::MAX,
            ..each(3)
        });
        let done = clock.run(ConnectPhase::Connect, "a.test", async { Ok(7) }).await;
        assert_eq!(done.unwrap(), 7);
    }
}
