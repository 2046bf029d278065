//! What a thread counts, and hands over piece by piece.

use hdrhistogram::Histogram;

use super::clock::{Moment, Times};
use super::trouble::{Trouble, Troubles};

/// Times in nanoseconds, three significant digits.
pub(super) type Latencies = Histogram<u64>;

/// The longest time that is told apart from longer ones: an hour, in nanoseconds.
const LONGEST: u64 = 3_600_000_000_000;

pub(super) fn latencies() -> Latencies {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("these bounds are possible")
}

/// What one interval of time saw.
#[derive(Debug)]
pub(super) struct Interval {
    /// How many came before it, from the moment when things count.
    pub(super) index: usize,
    pub(super) received: u64,
    /// From when a message was due, or sent if there is no schedule.
    pub(super) latencies: Latencies,
}

/// What a thread counts.
#[derive(Debug)]
pub(super) struct Tally {
    /// Of all times, to follow the progress.
    pub(super) total: Totals,
    /// Of the time that counts.
    pub(super) counted: Counted,
    /// Since the last interval ended.
    pub(super) received: u64,
    pub(super) latencies: Latencies,
    /// With a schedule: from when a message really left.
    pub(super) service: Latencies,
    /// With a schedule: how late this program was to send.
    pub(super) lateness: Latencies,
    /// How long connections took to open.
    pub(super) opening: Latencies,
    pub(super) troubles: Troubles,
}

/// Numbers of all times.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) opened: u64,
    pub(super) failed: u64,
    /// Open connections that ended before we wanted.
    pub(super) lost: u64,
}

/// Numbers of the time that counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    /// Messages.
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Payload, inflated.
    pub(super) payload_sent: u64,
    pub(super) payload_received: u64,
    /// Bytes on the connections, with everything but TCP.
    pub(super) wire_sent: u64,
    pub(super) wire_received: u64,
    /// Messages that are not what was expected.
    pub(super) wrong: u64,
    /// Messages without an answer at the end.
    pub(super) unanswered: u64,
    /// Messages that were due and not sent, because too many were on the way.
    pub(super) unsent: u64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            total: Totals::default(),
            counted: Counted::default(),
            received: 0,
            latencies: latencies(),
            service: latencies(),
            lateness: latencies(),
            opening: latencies(),
            troubles: Troubles::default(),
        }
    }

    /// A connection of those that are opened all the time is open: it counts as messages elsewhere do.
    pub(super) fn churned(&mut self, due: Moment, at: Moment, times: Times) {
        self.total.received += 1;
        if times.counts(at) {
            self.counted.received += 1;
            self.received += 1;
        }
        if times.counts(due) {
            record(&mut self.latencies, due, at);
        }
    }

    pub(super) fn failed(&mut self, trouble: Trouble) {
        self.total.failed += 1;
        self.troubles.add(trouble);
    }

    pub(super) fn lost(&mut self, trouble: Trouble) {
        self.total.lost += 1;
        self.troubles.add(trouble);
    }

    /// What was counted since the last time.
    pub(super) fn take_interval(&mut self, index: usize) -> Interval {
        Interval {
            index,
            received: std::mem::take(&mut self.received),
            latencies: std::mem::replace(&mut self.latencies, latencies()),
        }
    }
}

impl Totals {
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            sent,
            received,
            opened,
            failed,
            lost,
        } = other;
        self.sent += sent;
        self.received += received;
        self.opened += opened;
        self.failed += failed;
        self.lost += lost;
    }
}

impl Counted {
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            sent,
            received,
            payload_sent,
            payload_received,
            wire_sent,
            wire_received,
            wrong,
            unanswered,
            unsent,
        } = other;
        self.sent += sent;
        self.received += received;
        self.payload_sent += payload_sent;
        self.payload_received += payload_received;
        self.wire_sent += wire_sent;
        self.wire_received += wire_received;
        self.wrong += wrong;
        self.unanswered += unanswered;
        self.unsent += unsent;
    }
}

/// Counts a time; one that is longer than an hour counts as an hour.
pub(super) fn record(latencies: &mut Latencies, from: Moment, to: Moment) {
    latencies.saturating_record(to.saturating_sub(from).max(1));
}
