//! The results, as a table for people and as JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::library::Library;
use super::plan::{Compression, Scenario, Taken};
use crate::comparison::report::{Facts, Spread, thousands, times};

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) taken: Taken,
    /// What a message took on its way to the server, frame header included.
    pub(super) wire_bytes_per_message: f64,
}

impl Sample {
    fn micros_per_message(&self) -> f64 {
        self.taken.cpu * 1e6 / self.taken.messages as f64
    }

    fn messages_per_second(&self) -> f64 {
        self.taken.messages as f64 / self.taken.elapsed
    }
}

/// One scenario with one library.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) scenario: Scenario,
    pub(super) library: Library,
    pub(super) samples: Vec<Sample>,
}

impl Row {
    pub(super) fn new(scenario: Scenario, library: Library) -> Self {
        Self {
            scenario,
            library,
            samples: Vec::new(),
        }
    }

    /// µs of the client's CPU per message.
    fn cost(&self) -> Spread {
        self.spread(Sample::micros_per_message)
    }

    fn throughput(&self) -> f64 {
        self.spread(Sample::messages_per_second).median
    }

    /// The part of the time that the client was on its core.
    fn busy(&self) -> f64 {
        self.spread(|sample| sample.taken.cpu / sample.taken.elapsed)
            .median
    }

    fn wire_bytes(&self) -> f64 {
        self.spread(|sample| sample.wire_bytes_per_message).median
    }

    /// The part of the client's time that the clock's ticks found outside of the kernel, over all samples.
    fn user_share(&self) -> f64 {
        let user: f64 = self.samples.iter().map(|sample| sample.taken.user).sum();
        let system: f64 = self.samples.iter().map(|sample| sample.taken.system).sum();
        user / (user + system).max(f64::MIN_POSITIVE)
    }

    fn spread(&self, value: impl Fn(&Sample) -> f64) -> Spread {
        Spread::of(self.samples.iter().map(value))
    }
}

/// Everything that was measured. Displayed as Markdown.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) facts: Facts,
    pub(super) connections: u16,
    pub(super) multi_thread: bool,
    pub(super) rows: Vec<Row>,
}

impl Report {
    /// How many times Sockeye's cost a row's cost is, if Sockeye ran the same scenario.
    fn ratio(&self, row: &Row) -> Option<f64> {
        let ours = self
            .rows
            .iter()
            .find(|other| other.library == Library::Sockeye && other.scenario == row.scenario)?;
        Some(row.cost().median / ours.cost().median)
    }

    fn runtime(&self) -> &'static str {
        if self.multi_thread {
            "multi-threaded"
        } else {
            "current-thread"
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "facts": self.facts.to_json(),
            "connections": self.connections,
            "runtime": self.runtime(),
            "rows": self.rows.iter().map(|row| json!({
                "scenario": row.scenario.to_string(),
                "library": row.library.title(),
                "messages_per_second": row.throughput(),
                "micros_per_message": row.cost().median,
                "user_share": row.user_share(),
                "wire_bytes_per_message": row.wire_bytes(),
                "ratio_to_sockeye": self.ratio(row),
                "samples": row.samples.iter().map(|sample| sample.taken).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.facts.fmt(f)?;
        let connections = match self.connections {
            1 => "one connection".to_owned(),
            many => format!("{many} connections"),
        };
        let runtime = self.runtime();
        writeln!(f, "Echo over {connections}, tokio's {runtime} runtime.\n")?;
        let compressed = |row: &&Row| row.scenario.compression != Compression::Off;
        table(f, self, self.rows.iter().filter(|row| !compressed(row)), false)?;
        table(f, self, self.rows.iter().filter(compressed), true)
    }
}

/// One table; with the bytes on the wire where messages were compressed.
fn table<'a>(
    f: &mut fmt::Formatter<'_>,
    report: &Report,
    rows: impl Iterator<Item = &'a Row>,
    wire: bool,
) -> fmt::Result {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let (wire_title, wire_rule) = if wire {
        (" bytes sent per message |", "---:|")
    } else {
        ("", "")
    };
    writeln!(
        f,
        "| echo | library | messages per second | µs CPU per message (min–max) | of that in user space | core in use |{wire_title} µs ÷ Sockeye's |"
    )?;
    writeln!(f, "|---|---|---:|---:|---:|---:|{wire_rule}---:|")?;
    for row in rows {
        let cost = row.cost();
        write!(
            f,
            "| {} | {} | {} | {:.2} ({:.2}–{:.2}) | {:.2} | {:.0} % |",
            row.scenario,
            row.library.title(),
            thousands(row.throughput()),
            cost.median,
            cost.min,
            cost.max,
            cost.median * row.user_share(),
            row.busy() * 100.0,
        )?;
        if wire {
            write!(f, " {} |", thousands(row.wire_bytes()))?;
        }
        writeln!(f, " {} |", times(report.ratio(row)))?;
    }
    writeln!(f)
}
