//! What a thread tells the coordinator.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::bench::cpu::CpuTime;
use crate::bench::tally::{Interval, Tally, Totals};

/// What a thread tells the coordinator.
#[derive(Debug)]
pub(in crate::bench) enum Report<S> {
    /// All connections are open or failed.
    Settled,
    Interval(Interval),
    /// It has done its part, or could not.
    Done(Box<Part<S>>),
    Broken(String),
}

/// What a thread found out in all.
#[derive(Debug)]
pub(in crate::bench) struct Part<S> {
    /// What it counted; the intervals were handed over before.
    pub(in crate::bench) tally: Tally,
    /// The CPU time of the thread while things counted.
    pub(in crate::bench) cpu: CpuTime,
    /// The part of it in which it waited awake for the clock.
    pub(in crate::bench) waited: Duration,
    /// What was agreed on with the first server that answered: subprotocol and whether messages are
    /// compressed.
    pub(in crate::bench) agreed: Option<Agreed>,
    pub(in crate::bench) scenario: S,
}

/// What a handshake agreed on, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bench) struct Agreed {
    pub(in crate::bench) subprotocol: Option<String>,
    pub(in crate::bench) compression: bool,
}

/// Numbers of a thread that others may look at while it runs.
#[derive(Debug, Default)]
pub(in crate::bench) struct Meter {
    pub(in crate::bench) sent: AtomicU64,
    pub(in crate::bench) received: AtomicU64,
    pub(in crate::bench) opened: AtomicU64,
    pub(in crate::bench) failed: AtomicU64,
    pub(in crate::bench) lost: AtomicU64,
}

impl Meter {
    pub(super) fn show(&self, totals: &Totals) {
        let Self {
            sent,
            received,
            opened,
            failed,
            lost,
        } = self;
        let pairs = [
            (sent, totals.sent),
            (received, totals.received),
            (opened, totals.opened),
            (failed, totals.failed),
            (lost, totals.lost),
        ];
        for (meter, number) in pairs {
            meter.store(number, Ordering::Relaxed);
        }
    }
}
