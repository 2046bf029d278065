//! Deadlines. Traffic only moves timestamps; deadlines are computed from them when asked for.

use std::time::{Duration, Instant};

use crate::config::Config;
use crate::error::Timeout;

/// The timestamps of one connection, but for that of the message in progress, which is with the message.
#[derive(Debug)]
pub(super) struct Timers {
    opened: Instant,
    last_received: Instant,
    /// Since when the peer is waited for, where [`Wait`] says so.
    since: Instant,
    wait: Wait,
    /// The caller does not read: what the peer sends or does not send is unknown. `last_received` then tells when bytes last
    /// came, or when the latest sign of life was owed if that is later.
    paused: bool,
    /// A sign of life is to be written, because a pause is long.
    sign_owed: bool,
}

/// What the peer is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wait {
    Nothing,
    /// Nothing yet: a keepalive Ping, of which at most one is outstanding, is to be written when the transport takes
    /// output.
    PingOwed,
    /// Nothing yet: the Ping was written.
    PingWritten,
    /// For the Pong, since the Ping was handed to the transport: only then does its clock start.
    Pong,
    /// For the end of the closing handshake, since it began.
    Close,
}

impl Timers {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            opened: now,
            last_received: now,
            since: now,
            wait: Wait::Nothing,
            paused: false,
            sign_owed: false,
        }
    }

    pub(super) const fn opened(&self) -> Instant {
        self.opened
    }

    /// Ends the lifetime earlier by this share of its jitter.
    pub(super) fn shorten_lifetime(&mut self, config: &Config, share: f64) {
        let Some(lifetime) = config.max_lifetime else {
            return;
        };
        let jitter = f64::from(config.lifetime_jitter.min(100)) / 100.0;
        let earlier = lifetime.as_secs_f64() * jitter * share.clamp(0.0, 1.0);
        // As if it had been opened earlier: no connection has to remember a lifetime of its own.
        let opened = Duration::try_from_secs_f64(earlier)
            .ok()
            .and_then(|earlier| self.opened.checked_sub(earlier));
        self.opened = opened.unwrap_or(self.opened);
    }

    /// Notes that bytes arrived, in the midst of something (`incomplete`) or not.
    #[inline]
    pub(super) fn received(&mut self, incomplete: bool, now: Instant) {
        self.last_received = now;
        match self.wait {
            // The silence ended before its Ping could be written.
            Wait::PingOwed => self.wait = Wait::Nothing,
            // No Pong fits into the middle of a frame: as long as its bytes arrive, the wait starts anew. How long
            // that may go on is for the message timeout to say.
            Wait::Pong if incomplete => self.since = now,
            _ => {}
        }
    }

    pub(super) fn closing(&mut self, now: Instant) {
        if self.wait != Wait::Close {
            self.wait = Wait::Close;
            self.since = now;
        }
    }

    pub(super) fn pause(&mut self) {
        self.paused = true;
    }

    pub(super) fn resume(&mut self, now: Instant) {
        self.paused = false;
        self.sign_owed = false;
        self.last_received = now;
        if self.wait == Wait::Pong {
            self.since = now;
        }
    }

    /// Whether a Ping was written and not flushed.
    pub(super) fn awaits_flush(&self) -> bool {
        self.wait == Wait::PingWritten
    }

    /// Gives whether a Ping was among what was flushed.
    pub(super) fn flushed(&mut self, now: Instant) -> bool {
        let was_pinged = self.awaits_flush();
        if was_pinged {
            self.wait = Wait::Pong;
            self.since = now;
        }
        was_pinged
    }

    /// Takes the Ping that is owed, if any.
    pub(super) fn take_owed_ping(&mut self) -> bool {
        let owed = self.is_ping_owed();
        if owed {
            self.wait = Wait::PingWritten;
        }
        owed
    }

    pub(super) fn is_ping_owed(&self) -> bool {
        self.wait == Wait::PingOwed
    }

    /// Takes the sign of life that is owed, if any.
    pub(super) fn take_owed_sign(&mut self) -> bool {
        std::mem::take(&mut self.sign_owed)
    }

    pub(super) fn is_sign_owed(&self) -> bool {
        self.sign_owed
    }

    /// Whether a keepalive Ping went out and its Pong did not come back yet.
    pub(super) fn is_ping_outstanding(&self) -> bool {
        matches!(self.wait, Wait::PingWritten | Wait::Pong)
    }

    pub(super) fn pong_received(&mut self) {
        self.wait = Wait::Nothing;
    }

    /// The next time at which [`Timers::expire`] has something to do. `incomplete` says since when something is in
    /// progress.
    pub(super) fn next(&self, config: &Config, incomplete: Option<Instant>) -> Option<Instant> {
        if self.wait == Wait::Close {
            return self.since.checked_add(config.close_timeout);
        }
        let after = |since: Option<Instant>, wait: Option<Duration>| since?.checked_add(wait?);
        let lifetime = after(Some(self.opened), config.max_lifetime);
        if self.paused {
            let sign = after(
                Some(self.last_received),
                config.keepalive.map(|keepalive| keepalive.interval),
            );
            return [sign, lifetime].into_iter().flatten().min();
        }
        let keepalive = config.keepalive.and_then(|keepalive| match self.wait {
            Wait::Nothing => self.last_received.checked_add(keepalive.interval),
            Wait::Pong => self.since.checked_add(keepalive.timeout),
            Wait::PingOwed | Wait::PingWritten | Wait::Close => None,
        });
        [
            keepalive,
            after(incomplete, config.message_timeout),
            after(Some(self.last_received), config.idle_timeout),
            lifetime,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Acts on the deadlines that `now` has reached: owes a Ping, or fails.
    pub(super) fn expire(
        &mut self,
        config: &Config,
        incomplete: Option<Instant>,
        now: Instant,
    ) -> Result<(), Timeout> {
        let reached = |since: Option<Instant>, wait: Option<Duration>| match (since, wait) {
            (Some(since), Some(wait)) if since.checked_add(wait).is_some_and(|at| at <= now) => Some(wait),
            _ => None,
        };
        if self.wait == Wait::Close {
            let waited = reached(Some(self.since), Some(config.close_timeout));
            return waited.map_or(Ok(()), |wait| Err(Timeout::Close(wait)));
        }
        if let Some(wait) = reached(Some(self.opened), config.max_lifetime) {
            return Err(Timeout::Lifetime(wait));
        }
        if self.paused {
            // Whether the peer has gone shows only when something is sent to it.
            let interval = config.keepalive.map(|keepalive| keepalive.interval);
            if reached(Some(self.last_received), interval).is_some() {
                self.sign_owed = true;
                self.last_received = now;
            }
            return Ok(());
        }
        if let Some(wait) = reached(Some(self.last_received), config.idle_timeout) {
            return Err(Timeout::Idle(wait));
        }
        if let Some(wait) = reached(incomplete, config.message_timeout) {
            return Err(Timeout::Message(wait));
        }
        if let Some(keepalive) = config.keepalive {
            match self.wait {
                Wait::Nothing if reached(Some(self.last_received), Some(keepalive.interval)).is_some() => {
                    self.wait = Wait::PingOwed;
                }
                Wait::Pong => {
                    if let Some(wait) = reached(Some(self.since), Some(keepalive.timeout)) {
                        return Err(Timeout::Keepalive(wait));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
