//! The task of a client: one attempt after the other, one connection after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::backoff::Backoff;
use super::builder::{Connect, GiveUpWhen, OnOpen, Random, Refresh};
use super::carry::Carrier;
use super::cause::{Cause, GaveUp, Why};
use super::event::Event;
use super::shared::{Ended, Shared};
use super::target::Target;
use crate::error::Result;
use crate::websocket::WebSocket;

/// What the task goes by.
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) refresh: Option<Refresh>,
    pub(super) connect: Connect,
    pub(super) on_open: Option<OnOpen>,
    pub(super) give_up_when: Option<GiveUpWhen>,
    pub(super) random: Random,
    pub(super) backoff: Backoff,
    pub(super) limits: Limits,
}

#[derive(Debug)]
pub(super) struct Limits {
    pub(super) attempts: Option<u32>,
    pub(super) elapsed: Option<Duration>,
    pub(super) attempt: Duration,
    pub(super) probe: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempts: None,
            elapsed: None,
            attempt: Duration::from_secs(60),
            probe: Duration::from_secs(5),
        }
    }
}

pub(super) struct Task {
    shared: Arc<Shared>,
    plan: Plan,
    /// Attempts in a row without a connection that lasted.
    failures: u32,
    /// Waits since the last connection that lasted.
    waits: u32,
    /// Since when there is no connection that lasts.
    since: Instant,
    /// Connections so far.
    connections: u64,
    /// The last refusal was a 401.
    was_unauthorized: bool,
}

/// What came of an attempt.
enum Attempt {
    Opened(WebSocket),
    Failed(Cause),
    /// The network changed meanwhile.
    Outdated,
    Stopped,
}

/// How a wait ended.
enum Wait {
    Over,
    NetworkChanged,
    Stopped,
}

/// Says that the task is gone, should it be stopped in the middle.
struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        if self.0.lock().ended.is_none() {
            let gave_up = GaveUp {
                cause: Cause::Stopped,
                why: Why::Final,
            };
            self.0.end(Ended::GaveUp(gave_up));
        }
    }
}

impl Task {
    pub(super) fn new(shared: Arc<Shared>, plan: Plan) -> Self {
        Self {
            shared,
            plan,
            failures: 0,
            waits: 0,
            since: Instant::now(),
            connections: 0,
            was_unauthorized: false,
        }
    }

    pub(super) async fn run(mut self) {
        let farewell = Farewell(self.shared.clone());
        let ended = self.live().await;
        self.shared.end(ended);
        drop(farewell);
    }

    async fn live(&mut self) -> Ended {
        loop {
            self.failures = self.failures.saturating_add(1);
            let attempt = self.failures;
            self.shared.emit(Event::Connecting { attempt });
            let cause = match self.attempt(attempt).await {
                Attempt::Opened(ws) => match self.serve(ws, attempt).await {
                    Ok(cause) => cause,
                    Err(ended) => return ended,
                },
                Attempt::Failed(cause) => {
                    self.shared.emit(Event::Failed {
                        attempt,
                        cause: cause.clone(),
                    });
                    cause
                }
                Attempt::Outdated => {
                    self.forget_failures();
                    continue;
                }
                Attempt::Stopped => return Ended::Closed(None),
            };
            let delay = match self.judge(&cause) {
                Ok(delay) => delay,
                Err(why) => return Ended::GaveUp(GaveUp { cause, why }),
            };
            match self.wait(delay).await {
                Wait::Over => {}
                Wait::NetworkChanged => self.forget_failures(),
                Wait::Stopped => return Ended::Closed(None),
            }
        }
    }

    fn forget_failures(&mut self) {
        self.failures = 0;
        self.waits = 0;
        self.since = Instant::now();
    }

    // From nothing to an open connection

    /// Makes one attempt, unless something comes between.
    async fn attempt(&mut self, attempt: u32) -> Attempt {
        let shared = self.shared.clone();
        // A change before this is none to an attempt that begins now.
        shared.lock().network_changed = false;
        let interrupted = shared.until(|state| match state {
            state if state.stop.is_some() => Some(Attempt::Stopped),
            state => state.network_changed.then_some(Attempt::Outdated),
        });
        let limit = self.plan.limits.attempt;
        let opening = timeout(limit, self.open(attempt));
        tokio::select! {
            biased;
            interrupted = interrupted => interrupted,
            opened = opening => match opened {
                Ok(Ok(ws)) => Attempt::Opened(ws),
                Ok(Err(cause)) => Attempt::Failed(cause),
                Err(_) => Attempt::Failed(Cause::TimedOut(limit)),
            },
        }
    }

    async fn open(&mut self, attempt: u32) -> Result<WebSocket, Cause> {
        let plan = &mut self.plan;
        let mut target = plan.target.for_attempt(attempt);
        if let Some(refresh) = &mut plan.refresh {
            target = refresh(target).await.map_err(Cause::Refresh)?;
        }
        let ws = (plan.connect)(target).await.map_err(Cause::NotConnected)?;
        match &mut plan.on_open {
            Some(hook) => hook(ws, self.connections + 1).await.map_err(Cause::OnOpen),
            None => Ok(ws),
        }
    }

    // On an open connection

    /// Sends what is queued until the connection ends; gives why it did, or how the client has ended with it.
    async fn serve(&mut self, ws: WebSocket, attempt: u32) -> Result<Cause, Ended> {
        self.connections += 1;
        self.was_unauthorized = false;
        let connection = self.connections;
        let opened = Instant::now();
        let (sender, receiver) = ws.split();
        self.shared.opened(connection, receiver);
        self.shared.emit(Event::Open { connection, attempt });

        let carrier = Carrier {
            shared: &self.shared,
            sender: &sender,
            connection,
            probe: self.plan.limits.probe,
        };
        let outcome = match carrier.carry().await {
            Ok(cause) => {
                let (unknown, queued) = self.shared.lost(connection);
                self.shared.emit(Event::Lost {
                    connection,
                    cause: cause.clone(),
                    unknown,
                    queued,
                });
                // It may have been about to be closed.
                match self.shared.lock().stop {
                    Some(_) => Err(Ended::with(cause)),
                    None => Ok(cause),
                }
            }
            Err(stop) => {
                let ended = carrier.close(&stop).await;
                self.shared.lost(connection);
                Err(ended)
            }
        };
        if opened.elapsed() >= self.plan.backoff.reset_after {
            self.forget_failures();
        }
        outcome
    }

    // Between connections

    /// How long to wait for the next attempt, or why there is none.
    fn judge(&mut self, cause: &Cause) -> Result<Duration, Why> {
        if self.is_final(cause) {
            return Err(Why::Final);
        }
        let limits = &self.plan.limits;
        if let Some(attempts) = limits.attempts
            && self.failures >= attempts
        {
            return Err(Why::Attempts(self.failures));
        }
        let backoff = &self.plan.backoff;
        let asked = cause
            .retry_after()
            .unwrap_or_default()
            .min(backoff.max_retry_after);
        self.waits = self.waits.saturating_add(1);
        // Both may be as long as a duration can be: one by the user's choice, one by the server's too.
        let delay = asked.saturating_add(backoff.delay(self.waits, (self.plan.random)()));
        let Some(limit) = limits.elapsed else {
            return Ok(delay);
        };
        match limit.saturating_sub(self.since.elapsed()) {
            Duration::ZERO => Err(Why::Elapsed(limit)),
            left => Ok(delay.min(left)),
        }
    }

    fn is_final(&mut self, cause: &Cause) -> bool {
        let was_unauthorized = std::mem::replace(&mut self.was_unauthorized, cause.is_unauthorized());
        match (cause, &mut self.plan.give_up_when) {
            (Cause::Refresh(error) | Cause::OnOpen(error), _) if error.is_final() => true,
            (Cause::Stopped, _) => true,
            (cause, Some(rule)) => rule(cause),
            // The next attempt has a new token.
            (cause, None) if cause.is_unauthorized() && self.plan.refresh.is_some() => was_unauthorized,
            (cause, None) => cause.is_final(),
        }
    }

    async fn wait(&mut self, delay: Duration) -> Wait {
        {
            let mut state = self.shared.lock();
            state.hurry = false;
            state.network_changed = false;
        }
        self.shared.emit(Event::Waiting { delay });
        let interrupted = self.shared.until(|state| match state {
            state if state.stop.is_some() => Some(Wait::Stopped),
            state if state.network_changed => Some(Wait::NetworkChanged),
            state => state.hurry.then_some(Wait::Over),
        });
        let wait = tokio::select! {
            biased;
            wait = interrupted => wait,
            () = tokio::time::sleep(delay) => Wait::Over,
        };
        // Each connection may leave something behind: there must not be one after the other for nobody.
        self.shared
            .until(|state| (state.stop.is_some() || !state.is_behind()).then_some(()))
            .await;
        wait
    }
}
