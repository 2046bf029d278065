//! The end of a server: which connections there are, and how they are asked, then made, to go.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::ConfigError;
use super::builder::Shared;
use super::clients::Clients;
use crate::spread::share;
use sockeye_proto::CloseCode;

/// How a server ends.
///
/// The order is: [`ServerHandle::is_ready`](super::ServerHandle::is_ready) turns false; after `notice` the
/// listeners are closed; over `spread` each WebSocket is closed with `code` and `reason`, and HTTP
/// connections finish the request they are in; what is left after `deadline` is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long the server goes on accepting after it stopped being ready, so that load balancers notice and
    /// send no one who would be turned away. Default: zero.
    pub notice: Duration,
    /// Over how long a time the Close frames are spread, so that clients do not all reconnect at once.
    /// Default: 5 s.
    pub spread: Duration,
    /// How long connections may take, counted from the closing of the listeners. Default: 30 s, which is what
    /// common orchestrators allow.
    pub deadline: Duration,
    /// 1001 "going away" or 1012 "service restart". Default: 1001, which every client knows.
    pub code: CloseCode,
    /// The reason in the Close frame. Default: `server is shutting down`.
    pub reason: String,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            notice: Duration::ZERO,
            spread: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
            code: CloseCode::GOING_AWAY,
            reason: "server is shutting down".to_owned(),
        }
    }
}

impl Drain {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.spread > self.deadline {
            return Err(ConfigError::new(
                "the drain's spread must not be longer than its deadline",
            ));
        }
        if self.reason.len() > sockeye_proto::MAX_CLOSE_REASON {
            return Err(ConfigError::new(
                "the drain's reason must not be longer than 123 bytes",
            ));
        }
        Ok(())
    }
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Connections that were open when the listeners were closed.
    pub connections: usize,
    /// Those that ended by themselves or after being asked.
    pub closed: usize,
    /// Those that were dropped at the deadline.
    pub forced: usize,
    /// From the call to the end.
    pub elapsed: Duration,
}

/// The state of a server that its connections and handles share.
#[derive(Debug)]
pub(super) struct Lifecycle {
    /// The server itself, once it is built.
    server: OnceLock<Weak<Shared>>,
    clients: Arc<Clients>,
    phase: watch::Sender<Phase>,
    open: watch::Sender<usize>,
    websockets: AtomicUsize,
    forced: AtomicUsize,
    listening: AtomicBool,
    next_id: AtomicU64,
    report: watch::Sender<Option<ShutdownReport>>,
}

#[derive(Clone, Debug)]
enum Phase {
    Running,
    /// Somebody asked for the end.
    Asked(Arc<Drain>),
    /// Listeners are closed, connections are being closed.
    Draining {
        since: Instant,
        drain: Arc<Drain>,
    },
    /// Connections are dropped.
    Forced,
}

impl Lifecycle {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            server: OnceLock::new(),
            clients: Clients::new(),
            phase: watch::Sender::new(Phase::Running),
            open: watch::Sender::new(0),
            websockets: AtomicUsize::new(0),
            forced: AtomicUsize::new(0),
            listening: AtomicBool::new(false),
            next_id: AtomicU64::new(0),
            report: watch::Sender::new(None),
        })
    }

    /// The server is built.
    pub(super) fn built(&self, server: Weak<Shared>) {
        // A builder builds once.
        let _ = self.server.set(server);
    }

    /// The server, for handles.
    pub(super) fn server(&self) -> Result<Arc<Shared>, ConfigError> {
        let server = self
            .server
            .get()
            .ok_or_else(|| ConfigError::new("the server is not built yet"))?;
        server
            .upgrade()
            .ok_or_else(|| ConfigError::new("the server has ended"))
    }

    /// The open WebSockets.
    pub(super) fn clients(&self) -> &Arc<Clients> {
        &self.clients
    }

    /// Asks for the end. Only the first call counts.
    pub(super) fn ask(&self, drain: Drain) {
        self.phase.send_if_modified(|phase| {
            let first = matches!(phase, Phase::Running);
            if first {
                *phase = Phase::Asked(Arc::new(drain));
            }
            first
        });
    }

    /// The listeners are open.
    pub(super) fn listening(&self) {
        self.listening.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.listening.load(Ordering::Relaxed) && self.is_running()
    }

    /// Whether nobody has asked for the end yet.
    pub(super) fn is_running(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Running)
    }

    /// Drops all connections, unless the shutdown is over.
    pub(super) fn abort(&self) {
        if self.report.borrow().is_none() {
            self.phase.send_replace(Phase::Forced);
        }
    }

    pub(super) fn open(&self) -> usize {
        *self.open.borrow()
    }

    pub(super) fn websockets(&self) -> usize {
        self.websockets.load(Ordering::Relaxed)
    }

    /// Waits for somebody to ask for the end.
    pub(super) async fn asked(&self) -> Arc<Drain> {
        let mut phase = self.phase.subscribe();
        loop {
            if let Phase::Asked(drain) | Phase::Draining { drain, .. } = &*phase.borrow_and_update() {
                break Arc::clone(drain);
            }
            if phase.changed().await.is_err() {
                // The sender is `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Closes the connections. Call it when no listener accepts any more; so many connections were open then.
    pub(super) async fn drain(
        &self,
        drain: Arc<Drain>,
        connections: usize,
        asked_at: Instant,
    ) -> ShutdownReport {
        /// How long dropping the connections may take: a task that computes without a pause cannot be
        /// dropped.
        const UNWIND: Duration = Duration::from_secs(1);

        let deadline = Instant::now() + drain.deadline;
        self.phase.send_replace(Phase::Draining {
            since: Instant::now(),
            drain,
        });
        let emptied = tokio::time::timeout_at(deadline, self.empty()).await.is_ok();
        if !emptied {
            self.phase.send_replace(Phase::Forced);
            let _ = tokio::time::timeout(UNWIND, self.empty()).await;
        }
        // Those that could not even be dropped count as forced too.
        let forced = self.forced.load(Ordering::Relaxed) + self.open();
        ShutdownReport {
            connections,
            closed: connections.saturating_sub(forced),
            forced,
            elapsed: asked_at.elapsed(),
        }
    }

    /// Tells everybody who waits how the shutdown went.
    pub(super) fn ended(&self, report: ShutdownReport) {
        self.report.send_replace(Some(report));
    }

    async fn empty(&self) {
        // The sender is `self`, so that waiting cannot fail.
        let _ = self.open.subscribe().wait_for(|&open| open == 0).await;
    }

    /// Waits for the end of the shutdown.
    pub(super) async fn report(&self) -> ShutdownReport {
        let mut report = self.report.subscribe();
        loop {
            if let Some(report) = *report.borrow_and_update() {
                return report;
            }
            if report.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Takes a connection into the count.
    pub(super) fn track(self: &Arc<Self>) -> Tracked {
        self.open.send_modify(|open| *open += 1);
        self.remembered(self.next_id.fetch_add(1, Ordering::Relaxed), false)
    }

    /// A connection that is in the count already.
    pub(super) fn remembered(self: &Arc<Self>, id: u64, is_websocket: bool) -> Tracked {
        Tracked {
            id,
            is_held: true,
            is_websocket,
            phase: self.phase.subscribe(),
            lifecycle: Arc::clone(self),
        }
    }

    /// A connection has become a WebSocket.
    pub(super) fn upgraded(&self) {
        self.websockets.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection is dropped because the time of a shutdown is over.
    pub(super) fn force(&self) {
        self.forced.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a WebSocket is told to do when its server ends.
#[derive(Debug)]
pub(super) enum Order {
    Close(Arc<Drain>),
    Drop,
}

/// One connection in the count, until dropped.
#[derive(Debug)]
pub(super) struct Tracked {
    id: u64,
    is_held: bool,
    is_websocket: bool,
    phase: watch::Receiver<Phase>,
    lifecycle: Arc<Lifecycle>,
}

impl Tracked {
    /// A number of its own.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Leaves the connection in the count, to be [remembered](Lifecycle::remembered).
    pub(super) fn forget(mut self) {
        self.is_held = false;
    }

    /// The connection is a WebSocket from now on.
    pub(super) fn upgraded(&mut self) {
        if !self.is_websocket {
            self.is_websocket = true;
            self.lifecycle.upgraded();
        }
    }

    /// Waits until the server is draining: HTTP connections finish then.
    pub(super) async fn draining(&self) {
        self.reached(|phase| matches!(phase, Phase::Draining { .. } | Phase::Forced).then_some(()))
            .await;
    }

    /// Waits for what a WebSocket is told to do: to close, when it is its turn and unless it `is_closing`,
    /// and to be gone, when the deadline of the shutdown has passed.
    pub(super) async fn order(&self, is_closing: bool) -> Order {
        let draining = self.reached(|phase| match phase {
            Phase::Draining { since, drain } if !is_closing => Some(Some((*since, Arc::clone(drain)))),
            Phase::Forced => Some(None),
            _ => None,
        });
        let Some((since, drain)) = draining.await else {
            return self.force();
        };
        // Boxed, since a timer is large and hardly ever wanted.
        let turn = Box::pin(tokio::time::sleep_until(
            since + drain.spread.mul_f64(share(self.id)),
        ));
        tokio::select! {
            () = turn => Order::Close(drain),
            () = Box::pin(self.reached(|phase| matches!(phase, Phase::Forced).then_some(()))) => self.force(),
        }
    }

    /// Waits until the deadline of the shutdown has passed: the connection must be dropped now.
    pub(super) async fn forced(&self) {
        self.reached(|phase| matches!(phase, Phase::Forced).then_some(()))
            .await;
        self.force();
    }

    fn force(&self) -> Order {
        self.lifecycle.force();
        Order::Drop
    }

    async fn reached<T>(&self, at: impl Fn(&Phase) -> Option<T>) -> T {
        let mut phase = self.phase.clone();
        loop {
            if let Some(found) = at(&phase.borrow_and_update()) {
                return found;
            }
            if phase.changed().await.is_err() {
                // The sender lives as long as `self.lifecycle`.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if !self.is_held {
            return;
        }
        if self.is_websocket {
            self.lifecycle.websockets.fetch_sub(1, Ordering::Relaxed);
        }
        self.lifecycle.open.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_are_closed_over_the_spread_and_the_rest_forced() {
        let lifecycle = Lifecycle::new();
        let started = Instant::now();
        let mut tasks = Vec::new();
        for number in 0..100 {
            let mut tracked = lifecycle.track();
            tasks.push(tokio::spawn(async move {
                tracked.upgraded();
                if let Order::Close(drain) = tracked.order(false).await {
                    assert_eq!(drain.code, CloseCode::SERVICE_RESTART);
                }
                // Every tenth client never answers.
                if number % 10 == 0 {
                    assert!(matches!(tracked.order(true).await, Order::Drop));
                }
                started.elapsed()
            }));
        }
        while lifecycle.websockets() < 100 {
            tokio::task::yield_now().await;
        }
        assert_eq!((lifecycle.open(), lifecycle.websockets()), (100, 100));
        assert!(!lifecycle.is_ready());
        lifecycle.listening();
        assert!(lifecycle.is_ready());

        lifecycle.ask(Drain {
            spread: Duration::from_secs(10),
            deadline: Duration::from_secs(20),
            code: CloseCode::SERVICE_RESTART,
            ..Drain::default()
        });
        lifecycle.ask(Drain::default());
        assert!(!lifecycle.is_ready());
        let drain = lifecycle.asked().await;
        let report = lifecycle.drain(drain, 100, started).await;
        lifecycle.ended(report);
        assert_eq!((report.connections, report.closed, report.forced), (100, 90, 10));
        assert_eq!(report.elapsed, Duration::from_secs(20));
        assert_eq!(lifecycle.report().await, report);
        assert_eq!((lifecycle.open(), lifecycle.websockets()), (0, 0));

        let mut in_first_half = 0;
        for task in tasks {
            in_first_half += usize::from(task.await.unwrap() < Duration::from_secs(5));
        }
        assert!((40..=50).contains(&in_first_half), "{in_first_half}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_without_connections_ends_at_once() {
        let lifecycle = Lifecycle::new();
        let report = lifecycle.drain(Arc::default(), 0, Instant::now()).await;
        assert_eq!((report.connections, report.elapsed), (0, Duration::ZERO));
    }

    #[test]
    fn defaults_are_those_documented() {
        let drain = Drain::default();
        assert_eq!(drain.notice, Duration::ZERO);
        assert_eq!(drain.spread, Duration::from_secs(5));
        assert_eq!(drain.deadline, Duration::from_secs(30));
        assert_eq!(drain.code.get(), 1001);
        assert_eq!(drain.reason, "server is shutting down");
    }

    #[test]
    fn drains_that_cannot_work_are_errors() {
        Drain::default().check().unwrap();
        let spread = Drain {
            spread: Duration::from_secs(60),
            ..Drain::default()
        };
        assert!(spread.check().is_err());
        let reason = Drain {
            reason: "x".repeat(124),
            ..Drain::default()
        };
        assert!(reason.check().is_err());
    }
}
