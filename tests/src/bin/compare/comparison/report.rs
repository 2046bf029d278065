//! The results, as a table for people and as JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::figures::{Facts, Spread, thousands, times};
use super::library::Library;
use super::plan::{Compression, Scenario, Taken};

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
        self.tables(f, "without compression", |scenario| {
            scenario.compression == Compression::Off
        })?;
        self.tables(f, "with permessage-deflate", |scenario| {
            scenario.compression != Compression::Off
        })
    }
}

impl Report {
    /// One table for each thing that was measured: a line for each scenario, a column for each library.
    fn tables(
        &self,
        f: &mut fmt::Formatter<'_>,
        which: &str,
        belongs: impl Fn(&Scenario) -> bool,
    ) -> fmt::Result {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| belongs(&row.scenario)).collect();
        let Some(first) = rows.first() else {
            return Ok(());
        };
        let title = format!("µs CPU per message, {which} (× Sockeye's; less than that in bold)");
        table(f, &title, &rows, |row| {
            let cell = format!("{:.2} ({})", row.cost().median, times(self.ratio(row)));
            match self.ratio(row) {
                Some(ratio) if ratio < 0.995 => format!("**{cell}**"),
                _ => cell,
            }
        })?;
        let title = format!("The least and the greatest of these, {which}");
        table(f, &title, &rows, |row| {
            format!("{:.2}–{:.2}", row.cost().min, row.cost().max)
        })?;
        let title = format!("Messages per second, {which} (core in use)");
        table(f, &title, &rows, |row| {
            format!("{} ({:.0} %)", thousands(row.throughput()), row.busy() * 100.0)
        })?;
        if first.scenario.compression == Compression::Off {
            return Ok(());
        }
        table(f, "Bytes sent per message", &rows, |row| {
            thousands(row.wire_bytes())
        })
    }
}

fn table(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: &[&Row],
    cell: impl Fn(&Row) -> String,
) -> fmt::Result {
    let mut libraries: Vec<Library> = Vec::new();
    let mut scenarios: Vec<Scenario> = Vec::new();
    for row in rows {
        if !libraries.contains(&row.library) {
            libraries.push(row.library);
        }
        if !scenarios.contains(&row.scenario) {
            scenarios.push(row.scenario);
        }
    }
    writeln!(f, "{title}:\n")?;
    write!(f, "| echo |")?;
    for library in &libraries {
        write!(f, " {} |", library.title())?;
    }
    writeln!(f, "\n|---|{}", "---:|".repeat(libraries.len()))?;
    for scenario in scenarios {
        write!(f, "| {scenario} |")?;
        for library in &libraries {
            let row = rows
                .iter()
                .find(|row| row.scenario == scenario && row.library == *library);
            write!(f, " {} |", row.map_or_else(|| "–".to_owned(), |row| cell(row)))?;
        }
        writeln!(f)?;
    }
    writeln!(f)
}
