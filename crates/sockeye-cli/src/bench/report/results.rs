//! The results of a run, as they are written as JSON. The guide documents each field.

use std::time::Duration;

use serde::Serialize;

use super::particulars::Particulars;
use crate::bench::conduct::Findings;
use crate::bench::content::Content;
use crate::bench::cpu::CpuTime;
use crate::bench::load::Agreed;
use crate::bench::options::CommonOptions;
use crate::bench::plan::Plan;
use crate::bench::server::Memory;
use crate::bench::tally::Latencies;
use crate::bench::trouble::Kind;

/// All results.
#[derive(Debug, Clone, Serialize)]
pub(in crate::bench) struct Results {
    /// Of this format; a number that changes when a field goes or gets another meaning.
    pub(in crate::bench) version: u32,
    pub(in crate::bench) scenario: &'static str,
    pub(in crate::bench) url: String,
    pub(in crate::bench) started: String,
    pub(in crate::bench) interrupted: bool,
    pub(in crate::bench) load: LoadFacts,
    pub(in crate::bench) connections: ConnectionFacts,
    /// How long things counted, in seconds.
    pub(in crate::bench) measured_s: f64,
    pub(in crate::bench) messages: MessageFacts,
    /// From when a message was due (with a rate) or sent (without) until its answer.
    pub(in crate::bench) latency: Option<LatencyFacts>,
    /// With a rate: from when it really left.
    pub(in crate::bench) latency_from_sending: Option<LatencyFacts>,
    /// From the start of connecting until the WebSocket was open.
    pub(in crate::bench) opening: Option<LatencyFacts>,
    pub(in crate::bench) server: Option<ServerFacts>,
    /// Processes of the server that ended during the run; nothing is known of `server` then.
    pub(in crate::bench) server_gone: Vec<u32>,
    pub(in crate::bench) generator: GeneratorFacts,
    /// Under the name of the scenario.
    #[serde(flatten)]
    pub(in crate::bench) particulars: Option<Particulars>,
    pub(in crate::bench) errors: Vec<ErrorFacts>,
    pub(in crate::bench) intervals: Vec<IntervalFacts>,
}

/// What was asked for.
#[derive(Debug, Clone, Serialize)]
pub(in crate::bench) struct LoadFacts {
    pub(in crate::bench) connections: usize,
    pub(in crate::bench) threads: usize,
    pub(in crate::bench) driver: String,
    pub(in crate::bench) tls: bool,
    #[serde(flatten)]
    pub(in crate::bench) messages: Option<MessageLoad>,
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::bench) struct MessageLoad {
    pub(in crate::bench) kind: &'static str,
    pub(in crate::bench) payload: &'static str,
    pub(in crate::bench) size: usize,
    pub(in crate::bench) window: usize,
    /// Messages a second in all, `null` if each waits for the one before.
    pub(in crate::bench) rate: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::bench) struct ConnectionFacts {
    pub(in crate::bench) opened: u64,
    pub(in crate::bench) failed: u64,
    /// Those that were open and ended before they should.
    pub(in crate::bench) lost: u64,
    /// How long opening all of them took, in seconds.
    pub(in crate::bench) opening_s: f64,
    pub(in crate::bench) subprotocol: Option<String>,
    pub(in crate::bench) compression: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(in crate::bench) struct MessageFacts {
    pub(in crate::bench) sent: u64,
    pub(in crate::bench) received: u64,
    pub(in crate::bench) received_per_s: f64,
    /// Payloads, inflated.
    pub(in crate::bench) payload_sent: u64,
    pub(in crate::bench) payload_received: u64,
    /// What the connections carried, in bytes.
    pub(in crate::bench) wire_sent: u64,
    pub(in crate::bench) wire_received: u64,
    /// Messages that are not what was expected.
    pub(in crate::bench) wrong: u64,
    /// Messages without an answer when patience was at its end.
    pub(in crate::bench) unanswered: u64,
    /// With a rate: messages that were due and not sent, because too many were on the way.
    pub(in crate::bench) unsent: u64,
}

/// Times in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(in crate::bench) struct LatencyFacts {
    pub(in crate::bench) count: u64,
    pub(in crate::bench) min_us: f64,
    pub(in crate::bench) mean_us: f64,
    pub(in crate::bench) p50_us: f64,
    pub(in crate::bench) p75_us: f64,
    pub(in crate::bench) p90_us: f64,
    pub(in crate::bench) p99_us: f64,
    pub(in crate::bench) p999_us: f64,
    pub(in crate::bench) p9999_us: f64,
    pub(in crate::bench) max_us: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::bench) struct ServerFacts {
    pub(in crate::bench) pids: Vec<u32>,
    pub(in crate::bench) cpu_s: f64,
    pub(in crate::bench) cpu_user_s: f64,
    pub(in crate::bench) cpu_system_s: f64,
    /// 1 is one core all the time.
    pub(in crate::bench) cpu_share: f64,
    /// Per message that came back or was delivered; with churn, per connection that was opened.
    pub(in crate::bench) cpu_us_per_message: Option<f64>,
    /// In bytes, before the first connection.
    pub(in crate::bench) memory_before: Memory,
    /// When things began to count.
    pub(in crate::bench) memory_open: Memory,
    /// When they ceased to.
    pub(in crate::bench) memory_after: Memory,
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::bench) struct GeneratorFacts {
    pub(in crate::bench) cpu_s: f64,
    pub(in crate::bench) cpu_user_s: f64,
    pub(in crate::bench) cpu_system_s: f64,
    pub(in crate::bench) cpu_us_per_message: Option<f64>,
    pub(in crate::bench) user_us_per_message: Option<f64>,
    /// How busy the busiest thread was; waiting for the clock is not busy.
    pub(in crate::bench) busiest_thread: f64,
    /// With a rate: how late messages left.
    pub(in crate::bench) lateness: Option<LatencyFacts>,
    /// Whether it may have been this program, not the server, that set the limit.
    pub(in crate::bench) is_bottleneck: bool,
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::bench) struct ErrorFacts {
    pub(in crate::bench) kind: Kind,
    pub(in crate::bench) detail: String,
    pub(in crate::bench) count: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::bench) struct IntervalFacts {
    /// From when things count, in seconds.
    pub(in crate::bench) start_s: f64,
    pub(in crate::bench) received: u64,
    pub(in crate::bench) p50_us: Option<f64>,
    pub(in crate::bench) p99_us: Option<f64>,
    pub(in crate::bench) max_us: Option<f64>,
}

impl MessageLoad {
    pub(in crate::bench) fn new(content: Content, window: usize, rate: Option<f64>) -> Self {
        Self {
            kind: content.kind_name(),
            payload: content.payload.name(),
            size: content.size,
            window,
            rate,
        }
    }
}

/// What the results have from elsewhere than the run.
#[derive(Debug)]
pub(in crate::bench) struct Facts {
    pub(in crate::bench) scenario: &'static str,
    pub(in crate::bench) url: String,
    pub(in crate::bench) connections: usize,
    pub(in crate::bench) threads: usize,
    pub(in crate::bench) messages: Option<MessageLoad>,
}

impl Facts {
    pub(in crate::bench) fn of(scenario: &'static str, options: &CommonOptions, plan: &Plan) -> Self {
        Self {
            scenario,
            url: options.url.clone(),
            connections: plan.connections,
            threads: plan.threads,
            messages: None,
        }
    }
}

impl Results {
    pub(in crate::bench) fn new<S>(
        facts: Facts,
        findings: &Findings<S>,
        particulars: Option<Particulars>,
    ) -> Self {
        let measured = findings.measured.as_secs_f64();
        let counted = &findings.counted;
        let (subprotocol, compression) = match &findings.agreed {
            Some(Agreed {
                subprotocol,
                compression,
            }) => (subprotocol.clone(), *compression),
            None => (None, false),
        };
        Self {
            version: 1,
            scenario: facts.scenario,
            started: findings.started.to_string(),
            interrupted: findings.interrupted,
            load: LoadFacts {
                connections: facts.connections,
                threads: facts.threads,
                driver: findings.driver.to_string(),
                tls: facts.url.starts_with("wss") || facts.url.starts_with("https"),
                messages: facts.messages,
            },
            url: facts.url,
            connections: ConnectionFacts {
                opened: findings.totals.opened,
                failed: findings.totals.failed,
                lost: findings.totals.lost,
                opening_s: findings.connecting.as_secs_f64(),
                subprotocol,
                compression,
            },
            measured_s: measured,
            messages: MessageFacts {
                sent: counted.sent,
                received: counted.received,
                received_per_s: ratio(counted.received as f64, measured).unwrap_or_default(),
                payload_sent: counted.payload_sent,
                payload_received: counted.payload_received,
                wire_sent: counted.wire_sent,
                wire_received: counted.wire_received,
                wrong: counted.wrong,
                unanswered: counted.unanswered,
                unsent: counted.unsent,
            },
            latency: LatencyFacts::of(&findings.latencies),
            latency_from_sending: LatencyFacts::of(&findings.service),
            opening: LatencyFacts::of(&findings.opening),
            server: server_facts(findings),
            server_gone: findings.server_gone.clone(),
            generator: generator_facts(findings),
            particulars,
            errors: findings
                .troubles
                .sorted()
                .into_iter()
                .map(|(trouble, count)| ErrorFacts {
                    kind: trouble.kind,
                    detail: trouble.detail.clone(),
                    count,
                })
                .collect(),
            intervals: interval_facts(findings),
        }
    }

    /// Whether everything came as it should.
    pub(in crate::bench) fn is_good(&self) -> bool {
        let Self {
            connections,
            messages,
            particulars,
            ..
        } = self;
        let flows = messages.received > 0;
        let came = match particulars {
            Some(Particulars::Idle(_)) => true,
            Some(Particulars::Broadcast(facts)) => {
                flows && facts.lost == 0 && facts.duplicates == 0 && facts.reordered == 0
            }
            _ => flows,
        };
        let whole = connections.failed == 0 && connections.lost == 0;
        whole && came && messages.wrong == 0 && messages.unanswered == 0
    }
}

impl LatencyFacts {
    /// `None` of nothing.
    pub(in crate::bench) fn of(latencies: &Latencies) -> Option<Self> {
        let at = |quantile| to_micros(latencies.value_at_quantile(quantile));
        (!latencies.is_empty()).then(|| Self {
            count: latencies.len(),
            min_us: to_micros(latencies.min()),
            mean_us: (latencies.mean() / 10.0).round() / 100.0,
            p50_us: at(0.5),
            p75_us: at(0.75),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: to_micros(latencies.max()),
        })
    }
}

fn server_facts<S>(findings: &Findings<S>) -> Option<ServerFacts> {
    let server = findings.server.as_ref()?;
    let CpuTime { whole, user, system } = server.cpu;
    Some(ServerFacts {
        pids: server.pids.clone(),
        cpu_s: whole.as_secs_f64(),
        cpu_user_s: user.as_secs_f64(),
        cpu_system_s: system.as_secs_f64(),
        cpu_share: ratio(whole.as_secs_f64(), findings.between.time.as_secs_f64()).unwrap_or_default(),
        cpu_us_per_message: per_message(whole, findings.between.messages),
        memory_before: server.before,
        memory_open: server.open,
        memory_after: server.after,
    })
}

/// From where on a thread counts as busy all the time: some waiting is always measured.
const BUSY: f64 = 0.95;

fn generator_facts<S>(findings: &Findings<S>) -> GeneratorFacts {
    let CpuTime { whole, user, system } = findings.own_cpu;
    let measured = findings.measured.as_secs_f64();
    let busiest = findings
        .threads
        .iter()
        .map(|(cpu, waited)| cpu.whole.saturating_sub(*waited).as_secs_f64())
        .fold(0.0, f64::max);
    let busiest_thread = ratio(busiest, measured).unwrap_or_default();
    let server_is_busy = findings
        .server
        .as_ref()
        .is_some_and(|server| server.cpu.whole.as_secs_f64() >= BUSY * findings.between.time.as_secs_f64());
    let messages = findings.between.messages;
    GeneratorFacts {
        cpu_s: whole.as_secs_f64(),
        cpu_user_s: user.as_secs_f64(),
        cpu_system_s: system.as_secs_f64(),
        cpu_us_per_message: per_message(whole, messages),
        user_us_per_message: per_message(user, messages),
        busiest_thread,
        lateness: LatencyFacts::of(&findings.lateness),
        is_bottleneck: busiest_thread >= BUSY && !server_is_busy,
    }
}

fn interval_facts<S>(findings: &Findings<S>) -> Vec<IntervalFacts> {
    let length = findings.interval.as_secs_f64();
    let facts = findings.intervals.iter().enumerate().map(|(index, span)| {
        let seen = Some(&span.latencies).filter(|latencies| !latencies.is_empty());
        IntervalFacts {
            start_s: index as f64 * length,
            received: span.received,
            p50_us: seen.map(|latencies| to_micros(latencies.value_at_quantile(0.5))),
            p99_us: seen.map(|latencies| to_micros(latencies.value_at_quantile(0.99))),
            max_us: seen.map(|latencies| to_micros(latencies.max())),
        }
    });
    facts.collect()
}

fn per_message(time: Duration, messages: u64) -> Option<f64> {
    ratio(time.as_secs_f64() * 1e6, messages as f64)
}

/// `None` instead of a division by nothing.
pub(super) fn ratio(of: f64, by: f64) -> Option<f64> {
    (by > 0.0).then(|| of / by)
}

fn to_micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}
