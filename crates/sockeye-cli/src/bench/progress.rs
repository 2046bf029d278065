//! What a person at a terminal sees while it runs.

use std::cmp::Ordering;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::report::words::{count, micros};
use super::tally::Latencies;

/// What can be seen while it runs.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) opened: u64,
    pub(super) failed: u64,
    pub(super) lost: u64,
    pub(super) received: u64,
    /// Of the latest interval.
    pub(super) latest: Option<&'a Latencies>,
}

/// A bar on standard error, or nothing at all.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    connections: usize,
    warmup: Duration,
    duration: Duration,
    began: Option<Instant>,
    /// When the last rate was taken, at how many messages.
    last: (Instant, u64),
    rate: f64,
}

impl Progress {
    pub(super) fn new(quiet: bool, connections: usize, warmup: Duration, duration: Duration) -> Self {
        let bar = if quiet || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(connections as u64)
        };
        // All of it has room in 80 columns.
        if let Ok(style) = ProgressStyle::with_template("{prefix:10} {bar:18} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix("connecting");
        Self {
            bar,
            connections,
            warmup,
            duration,
            began: None,
            last: (Instant::now(), 0),
            rate: 0.0,
        }
    }

    /// Connections are open, and traffic begins.
    pub(super) fn flows(&mut self) {
        self.began = Some(Instant::now());
        let whole = self.warmup + self.duration;
        self.bar
            .set_length(u64::try_from(whole.as_millis()).unwrap_or(u64::MAX));
    }

    pub(super) fn show(&mut self, seen: &Seen<'_>) {
        let mut parts = vec![self.opened(seen.opened)];
        match self.began {
            None => self.bar.set_position(seen.opened + seen.failed),
            Some(began) => {
                let past = began.elapsed();
                self.bar.set_prefix(if past < self.warmup {
                    "warming up"
                } else if past < self.warmup + self.duration {
                    "measuring"
                } else {
                    "ending"
                });
                self.bar
                    .set_position(u64::try_from(past.as_millis()).unwrap_or(u64::MAX));
                self.take_rate(seen.received);
                parts.push(format!("{}/s", count(self.rate as u64)));
                if let Some(latest) = seen.latest.filter(|latest| !latest.is_empty()) {
                    let (half, most) = (latest.value_at_quantile(0.5), latest.value_at_quantile(0.99));
                    parts.push(format!("p50 {}, p99 {}", micros(half), micros(most)));
                }
            }
        }
        for (number, what) in [(seen.failed, "failed"), (seen.lost, "lost")] {
            if number > 0 {
                parts.push(format!("{} {what}", count(number)));
            }
        }
        self.bar.set_message(parts.join(" · "));
    }

    fn opened(&self, opened: u64) -> String {
        let all = self.connections as u64;
        match opened.cmp(&all) {
            Ordering::Less => format!("{} of {} open", count(opened), count(all)),
            Ordering::Equal => format!("{} open", count(all)),
            // They come and go.
            Ordering::Greater => format!("{} opened", count(opened)),
        }
    }

    fn take_rate(&mut self, received: u64) {
        let past = self.last.0.elapsed();
        if past >= Duration::from_millis(400) {
            self.rate = received.saturating_sub(self.last.1) as f64 / past.as_secs_f64();
            self.last = (Instant::now(), received);
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
