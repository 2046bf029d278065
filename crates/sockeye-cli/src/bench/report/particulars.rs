//! What only one scenario has to tell.

use serde::Serialize;

use super::results::{LatencyFacts, ratio};
use crate::bench::conduct::Findings;
use crate::bench::scenario::{Broadcast, BroadcastPlan, Churn, Idle, SlowPlan, SlowReader, Track};
use crate::bench::tally::latencies;

/// What only one scenario has to tell.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::bench) enum Particulars {
    Broadcast(BroadcastFacts),
    Idle(IdleFacts),
    Churn(ChurnFacts),
    SlowReader(SlowFacts),
}

/// Of the whole run, the warm-up included.
#[derive(Debug, Clone, Serialize)]
pub(in crate::bench) struct BroadcastFacts {
    pub(in crate::bench) publishers: usize,
    pub(in crate::bench) subscribers: usize,
    pub(in crate::bench) topics: usize,
    pub(in crate::bench) published: u64,
    /// How many deliveries that should have made.
    pub(in crate::bench) expected: u64,
    pub(in crate::bench) delivered: u64,
    pub(in crate::bench) lost: u64,
    pub(in crate::bench) duplicates: u64,
    pub(in crate::bench) reordered: u64,
    /// Messages that are none of this run's.
    pub(in crate::bench) foreign: u64,
    pub(in crate::bench) by_publisher: Vec<PublisherFacts>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(in crate::bench) struct PublisherFacts {
    pub(in crate::bench) publisher: usize,
    pub(in crate::bench) published: u64,
    pub(in crate::bench) expected: u64,
    pub(in crate::bench) delivered: u64,
    pub(in crate::bench) lost: u64,
    pub(in crate::bench) duplicates: u64,
    pub(in crate::bench) reordered: u64,
}

/// In bytes.
#[derive(Debug, Clone, Serialize)]
pub(in crate::bench) struct IdleFacts {
    /// What each connection added to the server, from before the first one to the end of the time that counts.
    pub(in crate::bench) rss_per_connection: Option<f64>,
    pub(in crate::bench) anonymous_per_connection: Option<f64>,
    /// What each added to the memory of the system's own objects: both ends of it, if the server is on this machine, and
    /// whatever else the machine did.
    pub(in crate::bench) kernel_per_connection: Option<f64>,
    /// CPU time that each takes in a second, in microseconds.
    pub(in crate::bench) cpu_us_per_connection_and_s: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::bench) struct ChurnFacts {
    /// Connections a second that were asked for, `null` if each waits for another to end.
    pub(in crate::bench) rate: Option<f64>,
    pub(in crate::bench) opened: u64,
    pub(in crate::bench) opened_per_s: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::bench) struct SlowFacts {
    pub(in crate::bench) slow: usize,
    /// In bytes a second.
    pub(in crate::bench) read_rate: u64,
    /// Payload of the slow ones: what they offered to the server, and what they read.
    pub(in crate::bench) sent: u64,
    pub(in crate::bench) read: u64,
    /// Slow ones that the server has put an end to.
    pub(in crate::bench) ended: u64,
    /// Latency of the others without slow ones beside them, and with them.
    pub(in crate::bench) without: Option<LatencyFacts>,
    pub(in crate::bench) with: Option<LatencyFacts>,
    /// What the slow ones added to the memory of the server, in bytes each.
    pub(in crate::bench) rss_per_slow_connection: Option<f64>,
}

/// Adds up what subscribers saw of what publishers sent.
pub(in crate::bench) fn deliveries(plan: &BroadcastPlan, parts: &[Broadcast]) -> BroadcastFacts {
    let mut by_publisher: Vec<_> = (0..plan.publishers)
        .map(|publisher| PublisherFacts {
            publisher,
            ..PublisherFacts::default()
        })
        .collect();
    for part in parts {
        for (place, published) in part.published.iter().enumerate() {
            by_publisher[part.first + place].published = *published;
        }
        for (publisher, track) in part.seen.iter().flat_map(|seen| {
            let heard = |(publisher, _): &&(usize, Track)| plan.hears(seen.number, *publisher);
            seen.tracks.iter().filter(heard)
        }) {
            let facts = &mut by_publisher[*publisher];
            facts.delivered += track.delivered;
            facts.duplicates += track.duplicates;
            facts.reordered += track.reordered;
        }
    }
    for facts in &mut by_publisher {
        facts.expected = facts.published * plan.audience(facts.publisher);
        facts.lost = facts.expected.saturating_sub(facts.delivered);
    }
    let sum = |number: fn(&PublisherFacts) -> u64| by_publisher.iter().map(number).sum();
    BroadcastFacts {
        publishers: plan.publishers,
        subscribers: plan.subscribers,
        topics: plan.topics,
        published: sum(|facts| facts.published),
        expected: sum(|facts| facts.expected),
        delivered: sum(|facts| facts.delivered),
        lost: sum(|facts| facts.lost),
        duplicates: sum(|facts| facts.duplicates),
        reordered: sum(|facts| facts.reordered),
        foreign: parts.iter().map(|part| part.foreign).sum(),
        by_publisher,
    }
}

/// Divides memory among connections.
pub(in crate::bench) fn memory(findings: &Findings<Idle>) -> IdleFacts {
    let connections = findings.totals.opened as f64;
    let each = |before: u64, after: u64| ratio(after as f64 - before as f64, connections);
    let server = findings.server.as_ref();
    IdleFacts {
        rss_per_connection: server.and_then(|server| each(server.before.rss, server.after.rss)),
        anonymous_per_connection: server
            .and_then(|server| each(server.before.anonymous, server.after.anonymous)),
        kernel_per_connection: each(findings.kernel.before, findings.kernel.after),
        cpu_us_per_connection_and_s: server.and_then(|server| {
            let seconds = findings.between.time.as_secs_f64();
            ratio(server.cpu.whole.as_secs_f64() * 1e6, connections * seconds)
        }),
    }
}

/// Counts openings.
pub(in crate::bench) fn churn(rate: Option<f64>, findings: &Findings<Churn>) -> ChurnFacts {
    let opened = findings.counted.received;
    ChurnFacts {
        rate,
        opened,
        opened_per_s: ratio(opened as f64, findings.measured.as_secs_f64()).unwrap_or_default(),
    }
}

/// Compares what was without slow readers with what was with them.
pub(in crate::bench) fn slow_readers(plan: SlowPlan, findings: &Findings<SlowReader>) -> SlowFacts {
    let (mut without, mut with) = (latencies(), latencies());
    for part in &findings.parts {
        // All have the same bounds.
        let _ = without.add(&part.before);
        let _ = with.add(&part.during);
    }
    let sum = |number: fn(&SlowReader) -> u64| findings.parts.iter().map(number).sum();
    SlowFacts {
        slow: plan.slow,
        read_rate: plan.read_rate,
        sent: sum(|part| part.facts.sent),
        read: sum(|part| part.facts.read),
        ended: sum(|part| part.facts.ended),
        without: LatencyFacts::of(&without),
        with: LatencyFacts::of(&with),
        rss_per_slow_connection: findings
            .server
            .as_ref()
            .and_then(|server| ratio(server.after.rss as f64 - server.open.rss as f64, plan.slow as f64)),
    }
}
