//! The results as a person reads them.

use std::fmt::Write;

use super::particulars::{BroadcastFacts, ChurnFacts, IdleFacts, Particulars, PublisherFacts, SlowFacts};
use super::results::{LatencyFacts, MessageFacts, Results};
use super::words::{bytes, count, micros, three_digits};
use crate::payload;
use crate::style::{BAD, FAINT, GOOD, MIDDLING, Painter, STRONG};

/// The whole table.
pub(super) fn table(results: &Results, painter: Painter) -> String {
    let mut table = Table {
        text: String::new(),
        painter,
    };
    table.head(results);
    table.connections(results);
    match &results.particulars {
        Some(Particulars::Idle(facts)) => {
            table.idle(facts);
            table.faults(&results.messages);
        }
        Some(Particulars::Churn(facts)) => table.churn(facts),
        Some(Particulars::Broadcast(facts)) => {
            table.messages(results);
            table.broadcast(facts);
        }
        Some(Particulars::SlowReader(_)) | None => table.messages(results),
    }
    table.latencies(results);
    if let Some(Particulars::SlowReader(facts)) = &results.particulars {
        table.slow_readers(facts);
    }
    table.server(results);
    table.generator(results);
    table.errors(results);
    table.text
}

struct Table {
    text: String,
    painter: Painter,
}

impl Table {
    fn row(&mut self, name: &str, value: &str) {
        // Memory takes everything.
        let _ = writeln!(
            self.text,
            "{} {value}",
            self.painter.paint(STRONG, format!("{name:<12}"))
        );
    }

    fn note(&mut self, value: &str) {
        let _ = writeln!(self.text, "{:<12} {}", "", self.painter.paint(FAINT, value));
    }

    fn head(&mut self, results: &Results) {
        let load = &results.load;
        let url = payload::one_line(&results.url);
        self.row(results.scenario, &url);
        let mut parts = vec![format!("{} connections", count(load.connections as u64))];
        if let Some(messages) = &load.messages {
            parts.push(match messages.rate {
                Some(rate) => format!("{} messages/s", count(rate as u64)),
                None => format!("window {}", messages.window),
            });
            parts.push(format!(
                "{} of {} bytes ({})",
                messages.kind,
                count(messages.size as u64),
                messages.payload
            ));
        }
        if results.connections.compression {
            parts.push("compressed".to_owned());
        }
        if load.tls {
            parts.push("TLS".to_owned());
        }
        if let Some(subprotocol) = &results.connections.subprotocol {
            parts.push(format!("subprotocol {subprotocol}"));
        }
        parts.push(match load.threads {
            1 => format!("1 thread ({})", load.driver),
            threads => format!("{threads} threads ({})", load.driver),
        });
        self.note(&parts.join(", "));
        if results.interrupted {
            let text = self
                .painter
                .paint(MIDDLING, "interrupted: less than was asked for");
            self.row("", &text);
        }
    }

    fn connections(&mut self, results: &Results) {
        let facts = &results.connections;
        let mut text = format!("{} opened", count(facts.opened));
        // With churn there is no moment when all are open.
        if !matches!(results.particulars, Some(Particulars::Churn(_))) {
            let _ = write!(text, " in {}", seconds(facts.opening_s));
        }
        for (number, what) in [(facts.failed, "failed"), (facts.lost, "lost")] {
            if number > 0 {
                let part = format!("{} {what}", count(number));
                let _ = write!(text, ", {}", self.painter.paint(BAD, part));
            }
        }
        self.row("Connections", &text);
        if let Some(opening) = &results.opening {
            self.note(&format!(
                "each in p50 {}, p99 {}, max {}",
                time(opening.p50_us),
                time(opening.p99_us),
                time(opening.max_us)
            ));
        }
    }

    fn messages(&mut self, results: &Results) {
        let facts = &results.messages;
        let came = match &results.particulars {
            Some(Particulars::Broadcast(_)) => "delivered",
            _ => "received",
        };
        let value = format!(
            "{} {came} in {}: {} per second",
            count(facts.received),
            seconds(results.measured_s),
            self.painter.paint(GOOD, count(facts.received_per_s as u64))
        );
        self.row("Messages", &value);
        let per_second = |number: u64| bytes(number as f64 / results.measured_s.max(1e-9));
        self.note(&format!(
            "{}/s received, {}/s sent, as the connections carry them",
            per_second(facts.wire_received),
            per_second(facts.wire_sent)
        ));
        self.faults(facts);
    }

    fn faults(&mut self, facts: &MessageFacts) {
        let faults = [
            (facts.wrong, "not what was expected"),
            (facts.unanswered, "without an answer"),
            (facts.unsent, "due and not sent, because too many were on the way"),
        ];
        for (number, what) in faults {
            if number > 0 {
                let text = self.painter.paint(BAD, format!("{} {what}", count(number)));
                self.row("", &text);
            }
        }
    }

    fn broadcast(&mut self, facts: &BroadcastFacts) {
        let BroadcastFacts {
            publishers,
            subscribers,
            topics,
            ..
        } = *facts;
        let on = match topics {
            1 => String::new(),
            topics => format!(" on {} topics", count(topics as u64)),
        };
        let from = format!(
            "{} to {}{on}",
            people(publishers, "publisher"),
            people(subscribers, "subscriber")
        );
        self.row("Deliveries", &from);
        let whole = format!(
            "in all {} published, {} of {} delivered",
            count(facts.published),
            count(facts.delivered),
            count(facts.expected)
        );
        self.note(&whole);
        let faults = [
            (facts.lost, "lost"),
            (facts.duplicates, "duplicates"),
            (facts.reordered, "out of order"),
            (facts.foreign, "that nobody of this run sent"),
        ];
        for (number, what) in faults {
            if number > 0 {
                let text = self.painter.paint(BAD, format!("{} {what}", count(number)));
                self.row("", &text);
            }
        }
        let faulty = |one: &&PublisherFacts| one.lost + one.duplicates + one.reordered > 0;
        if publishers > 1 {
            for one in facts.by_publisher.iter().filter(faulty).take(Self::PUBLISHERS) {
                self.note(&format!(
                    "publisher {}: {} lost, {} duplicates, {} out of order",
                    one.publisher,
                    count(one.lost),
                    count(one.duplicates),
                    count(one.reordered)
                ));
            }
        }
    }

    /// Most publishers that are told one by one.
    const PUBLISHERS: usize = 10;

    fn idle(&mut self, facts: &IdleFacts) {
        let parts = [
            (facts.rss_per_connection, "resident"),
            (facts.anonymous_per_connection, "anonymous"),
        ];
        let parts: Vec<_> = parts
            .into_iter()
            .filter_map(|(size, what)| Some(format!("{} {what}", bytes(size?))))
            .collect();
        if parts.is_empty() {
            self.row(
                "Memory",
                "not known: the server is elsewhere, or of another user (--server-pid)",
            );
        } else {
            let text = self.painter.paint(GOOD, parts.join(", "));
            self.row("Memory", &format!("{text} for each connection"));
        }
        if let Some(size) = facts.kernel_per_connection {
            self.note(&format!("{} of the system's own, both ends", bytes(size)));
        }
        if let Some(cost) = facts.cpu_us_per_connection_and_s {
            self.note(&format!("{} of CPU for each in a second", time(cost)));
        }
    }

    fn churn(&mut self, facts: &ChurnFacts) {
        let rate = self.painter.paint(GOOD, count(facts.opened_per_s as u64));
        self.row("Opened", &format!("{}: {rate} per second", count(facts.opened)));
    }

    fn slow_readers(&mut self, facts: &SlowFacts) {
        let reads = match facts.read_rate {
            0 => "read nothing".to_owned(),
            rate => format!("read {} a second each", bytes(rate as f64)),
        };
        self.row(
            "Slow readers",
            &format!(
                "{} that {reads}: {} sent, {} read, {} ended by the server",
                count(facts.slow as u64),
                bytes(facts.sent as f64),
                bytes(facts.read as f64),
                count(facts.ended)
            ),
        );
        if let Some(size) = facts.rss_per_slow_connection {
            self.note(&format!("{} more memory of the server for each", bytes(size)));
        }
        if let Some(without) = &facts.without {
            self.latency_row("without", without);
        }
        if let Some(with) = &facts.with {
            self.latency_row("with", with);
        }
    }

    fn latencies(&mut self, results: &Results) {
        let Some(latency) = &results.latency else {
            return;
        };
        let names = ["min", "p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"];
        let mut head = String::new();
        for name in names {
            let _ = write!(head, "{name:>10}");
        }
        self.row("Latency", &self.painter.paint(FAINT, head));
        match &results.latency_from_sending {
            None => self.latency_row("", latency),
            Some(from_sending) => {
                self.latency_row("since due", latency);
                self.latency_row("since sent", from_sending);
            }
        }
    }

    fn latency_row(&mut self, name: &str, latency: &LatencyFacts) {
        let LatencyFacts {
            min_us,
            mean_us,
            p50_us,
            p90_us,
            p99_us,
            p999_us,
            p9999_us,
            max_us,
            ..
        } = *latency;
        let mut text = format!("{name:<12} ");
        for value in [min_us, p50_us, p90_us, p99_us, p999_us, p9999_us, max_us, mean_us] {
            let _ = write!(text, "{:>10}", time(value));
        }
        let _ = writeln!(self.text, "{text}");
    }

    fn server(&mut self, results: &Results) {
        if !results.server_gone.is_empty() {
            let pids: Vec<_> = results.server_gone.iter().map(u32::to_string).collect();
            let text = format!("process {} ended during the run", pids.join(", "));
            let text = self.painter.paint(BAD, text);
            self.row("Server", &text);
        }
        let Some(server) = &results.server else {
            return;
        };
        let mut parts = vec![format!("CPU {} %", three_digits(server.cpu_share * 100.0))];
        let unit = unit(results);
        if let Some(cost) = server.cpu_us_per_message {
            let (user, system) = (server.cpu_user_s, server.cpu_system_s);
            let share = user / (user + system).max(1e-9);
            parts.push(format!(
                "{} per {unit} ({} user, {} system)",
                self.painter.paint(GOOD, time(cost)),
                time(cost * share),
                time(cost * (1.0 - share))
            ));
        }
        self.row("Server", &parts.join(", "));
        let memory = &server.memory_after;
        let pids: Vec<_> = server.pids.iter().map(u32::to_string).collect();
        self.note(&format!(
            "process {}, RSS {}, PSS {}",
            pids.join(", "),
            bytes(memory.rss as f64),
            bytes(memory.pss as f64)
        ));
    }

    fn generator(&mut self, results: &Results) {
        let facts = &results.generator;
        let mut parts = vec![format!(
            "busiest thread {} %",
            three_digits(facts.busiest_thread * 100.0)
        )];
        if let (Some(cpu), Some(user)) = (facts.cpu_us_per_message, facts.user_us_per_message) {
            parts.push(format!(
                "{} per {} ({} user)",
                time(cpu),
                unit(results),
                time(user)
            ));
        }
        if let Some(lateness) = &facts.lateness {
            parts.push(format!(
                "sent late by p50 {}, p99 {}",
                time(lateness.p50_us),
                time(lateness.p99_us)
            ));
        }
        self.row("Generator", &parts.join(", "));
        if facts.is_bottleneck {
            let text = "it was busy all the time: the server may be capable of more (--threads)";
            let text = self.painter.paint(MIDDLING, text);
            self.row("", &text);
        }
    }

    fn errors(&mut self, results: &Results) {
        for (place, error) in results.errors.iter().enumerate() {
            let name = if place == 0 { "Errors" } else { "" };
            let text = format!("{} × {}: {}", count(error.count), error.kind.name(), error.detail);
            let text = self.painter.paint(BAD, text);
            self.row(name, &text);
        }
    }
}

/// What costs are told of.
fn unit(results: &Results) -> &'static str {
    match results.particulars {
        Some(Particulars::Churn(_)) => "connection",
        Some(Particulars::Broadcast(_)) => "delivery",
        _ => "message",
    }
}

/// `1 publisher`, `2 publishers`.
fn people(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {what}{ending}", count(number as u64))
}

/// A time in microseconds.
fn time(value: f64) -> String {
    micros((value * 1000.0) as u64)
}

fn seconds(value: f64) -> String {
    micros((value * 1e9) as u64)
}
