//! Deadlines. Traffic only moves timestamps; deadlines are computed from them when asked for.

use std::time::{Duration, Instant};

use crate::config::Config;
use crate::error::Timeout;

/// The timestamps of one connection.
#[derive(Debug)]
pub(super) struct Timers {
    opened: Instant,
    last_received: Instant,
    /// When the message, frame or header that is now incomplete began.
    incomplete_since: Option<Instant>,
    closing_since: Option<Instant>,
    ping: Ping,
    /// The caller does not read: what the peer sends or does not send is unknown.
    paused: bool,
}

/// The keepalive Ping, of which at most one is outstanding.
#[derive(Debug)]
enum Ping {
    Idle,
    /// To be written when the transport takes output.
    Owed,
    Written,
    /// Handed to the transport at this time: only now does the clock of its Pong start.
    Flushed(Instant),
}

impl Timers {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            opened: now,
            last_received: now,
            incomplete_since: None,
            closing_since: None,
            ping: Ping::Idle,
            paused: false,
        }
    }

    pub(super) fn received(&mut self, now: Instant) {
        self.last_received = now;
        match &mut self.ping {
            // The silence ended before its Ping could be written.
            Ping::Owed => self.ping = Ping::Idle,
            // No Pong fits into the middle of a frame: as long as its bytes arrive, the wait starts anew. How long
            // that may go on is for the message timeout to say.
            Ping::Flushed(at) if self.incomplete_since.is_some() => *at = now,
            _ => {}
        }
    }

    /// Notes whether a message, frame or header is incomplete after input was read.
    pub(super) fn progress(&mut self, incomplete: bool, now: Instant) {
        if incomplete {
            self.incomplete_since.get_or_insert(now);
        } else {
            self.incomplete_since = None;
        }
    }

    pub(super) fn closing(&mut self, now: Instant) {
        self.closing_since.get_or_insert(now);
        self.incomplete_since = None;
        self.ping = Ping::Idle;
    }

    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    pub(super) fn resume(&mut self, now: Instant) {
        self.paused = false;
        self.last_received = now;
        if self.incomplete_since.is_some() {
            self.incomplete_since = Some(now);
        }
        if let Ping::Flushed(at) = &mut self.ping {
            *at = now;
        }
    }

    pub(super) fn flushed(&mut self, now: Instant) {
        if matches!(self.ping, Ping::Written) {
            self.ping = Ping::Flushed(now);
        }
    }

    /// Takes the Ping that is owed, if any.
    pub(super) fn take_owed_ping(&mut self) -> bool {
        let owed = matches!(self.ping, Ping::Owed);
        if owed {
            self.ping = Ping::Written;
        }
        owed
    }

    pub(super) fn is_ping_owed(&self) -> bool {
        matches!(self.ping, Ping::Owed)
    }

    /// Whether a keepalive Ping went out and its Pong did not come back yet.
    pub(super) fn is_ping_outstanding(&self) -> bool {
        matches!(self.ping, Ping::Written | Ping::Flushed(_))
    }

    pub(super) fn pong_received(&mut self) {
        self.ping = Ping::Idle;
    }

    /// The next time at which [`Timers::expire`] has something to do.
    pub(super) fn next(&self, config: &Config) -> Option<Instant> {
        if let Some(since) = self.closing_since {
            return since.checked_add(config.close_timeout);
        }
        let after = |since: Option<Instant>, wait: Option<Duration>| since?.checked_add(wait?);
        let lifetime = after(Some(self.opened), config.max_lifetime);
        if self.paused {
            return lifetime;
        }
        let keepalive = config.keepalive.and_then(|keepalive| match self.ping {
            Ping::Idle => self.last_received.checked_add(keepalive.interval),
            Ping::Owed | Ping::Written => None,
            Ping::Flushed(at) => at.checked_add(keepalive.timeout),
        });
        [
            keepalive,
            after(self.incomplete_since, config.message_timeout),
            after(Some(self.last_received), config.idle_timeout),
            lifetime,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Acts on the deadlines that `now` has reached: owes a Ping, or fails.
    pub(super) fn expire(&mut self, config: &Config, now: Instant) -> Result<(), Timeout> {
        let reached = |since: Option<Instant>, wait: Option<Duration>| match (since, wait) {
            (Some(since), Some(wait)) if since.checked_add(wait).is_some_and(|at| at <= now) => Some(wait),
            _ => None,
        };
        if self.closing_since.is_some() {
            let waited = reached(self.closing_since, Some(config.close_timeout));
            return waited.map_or(Ok(()), |wait| Err(Timeout::Close(wait)));
        }
        if let Some(wait) = reached(Some(self.opened), config.max_lifetime) {
            return Err(Timeout::Lifetime(wait));
        }
        if self.paused {
            return Ok(());
        }
        if let Some(wait) = reached(Some(self.last_received), config.idle_timeout) {
            return Err(Timeout::Idle(wait));
        }
        if let Some(wait) = reached(self.incomplete_since, config.message_timeout) {
            return Err(Timeout::Message(wait));
        }
        if let Some(keepalive) = config.keepalive {
            match self.ping {
                Ping::Idle if reached(Some(self.last_received), Some(keepalive.interval)).is_some() => {
                    self.ping = Ping::Owed;
                }
                Ping::Flushed(at) => {
                    if let Some(wait) = reached(Some(at), Some(keepalive.timeout)) {
                        return Err(Timeout::Keepalive(wait));
                    }
                }
                Ping::Idle | Ping::Owed | Ping::Written => {}
            }
        }
        Ok(())
    }
}
