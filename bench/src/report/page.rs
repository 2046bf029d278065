//! The tables of a run in a page of the documentation, between two marks.

use std::fmt::{self, Write};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::markdown::{short, thousands};
use super::{Measured, Report, ratio};
use crate::measure::{LoadSample, Row};
use crate::proof;

/// Scenarios that stand in one table.
struct Group {
    title: &'static str,
    /// What the table's cells are.
    unit: &'static str,
    belongs: fn(&str) -> bool,
    cell: fn(&Row, Option<&Row>) -> Option<String>,
}

/// A scenario belongs to the first group that takes it.
const GROUPS: [Group; 9] = [
    Group {
        title: "Latency at half of the load",
        unit: "p50 / p99 / p99.9 in µs at half of the rate that each server can take",
        belongs: |name| name.contains("-half"),
        cell: latency,
    },
    Group {
        title: "Echo, compressed",
        unit: COST,
        belongs: |name| name.starts_with("echo") && is_compressed(name),
        cell: cost_and_bytes,
    },
    Group {
        title: "Echo over TLS",
        unit: COST,
        belongs: |name| name.starts_with("echo") && name.ends_with("-tls"),
        cell: cost,
    },
    Group {
        title: "Echo of binary messages",
        unit: COST,
        belongs: |name| name.starts_with("echo") && name.contains("-binary-") && name.contains("-c100"),
        cell: cost,
    },
    Group {
        title: "Echo of binary messages, few and many connections",
        unit: COST,
        belongs: |name| name.starts_with("echo") && name.contains("-binary-"),
        cell: cost,
    },
    Group {
        title: "Echo of text",
        unit: COST,
        belongs: |name| name.starts_with("echo"),
        cell: cost,
    },
    Group {
        title: "Publishing, compressed",
        unit: COST,
        belongs: |name| name.starts_with("publish") && is_compressed(name),
        cell: cost_and_bytes,
    },
    Group {
        title: "Publishing",
        unit: COST,
        belongs: |name| name.starts_with("publish"),
        cell: cost,
    },
    Group {
        title: "Opening handshakes",
        unit: "µs of CPU time per handshake, (÷ the first server's), handshakes per second",
        belongs: |name| name.starts_with("handshakes"),
        cell: |row, beside| {
            let rate = row.middle(|sample| sample.count as f64 / sample.seconds)?;
            Some(format!("{}, {}/s", cost(row, beside)?, thousands(rate)))
        },
    },
];

const COST: &str = "µs of CPU time per message (÷ the first server's)";

fn is_compressed(name: &str) -> bool {
    name.contains("-shared") || name.contains("-dedicated")
}

fn cost(row: &Row, beside: Option<&Row>) -> Option<String> {
    let micros = short(row.middle(LoadSample::cpu_per_message)?);
    Some(match beside.and_then(|beside| ratio(row, beside)) {
        Some(ratio) => format!("{micros} ({ratio:.2}×)"),
        None => micros,
    })
}

fn cost_and_bytes(row: &Row, beside: Option<&Row>) -> Option<String> {
    let bytes = row.middle(|sample| sample.bytes_each)?;
    Some(format!("{}, {} B", cost(row, beside)?, thousands(bytes)))
}

fn latency(row: &Row, _: Option<&Row>) -> Option<String> {
    Some(format!(
        "{} / {} / {}",
        short(row.middle(|sample| sample.latency.p50)?),
        short(row.middle(|sample| sample.latency.p99)?),
        short(row.middle(|sample| sample.latency.p999)?),
    ))
}

impl Report {
    /// Puts the facts, the goals and a table of each group between the marks `<!-- NAME: begin -->` and
    /// `<!-- NAME: end -->` of a page.
    pub(crate) fn write_page(&self, page: &Path, name: &str) -> Result<()> {
        let mut section = String::new();
        self.section(&mut section)?;
        put(page, name, &section)
    }

    fn section(&self, f: &mut String) -> fmt::Result {
        for (name, value) in &self.facts {
            writeln!(f, "- {name}: {value}")?;
        }
        let goals = proof::table(self);
        if !goals.is_empty() {
            writeln!(f, "\n### Goals\n\n{}", goals.trim_end())?;
        }
        let mut rest: Vec<&Measured> = self.scenarios.iter().collect();
        for group in &GROUPS {
            let (of_group, others) = rest
                .into_iter()
                .partition(|measured| (group.belongs)(&measured.scenario));
            rest = others;
            self.table(group, of_group, f)?;
        }
        // What is left is idle.
        for measured in rest {
            writeln!(f, "\n### {}\n", measured.scenario)?;
            measured.write_idle(&self.reference, f)?;
        }
        for measured in &self.scenarios {
            for row in &measured.rows {
                if let Some(failure) = &row.failure {
                    writeln!(f, "\n{} failed in {}: {failure}", row.peer, measured.scenario)?;
                }
            }
        }
        Ok(())
    }

    /// A line for each server, a column for each scenario.
    fn table(&self, group: &Group, scenarios: Vec<&Measured>, f: &mut String) -> fmt::Result {
        let mut peers: Vec<&str> = Vec::new();
        for row in scenarios.iter().flat_map(|measured| &measured.rows) {
            if !peers.contains(&row.peer.as_str()) {
                peers.push(&row.peer);
            }
        }
        if peers.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = scenarios
            .iter()
            .map(|measured| measured.scenario.as_str())
            .collect();
        writeln!(f, "\n### {}\n\nIn {}.\n", group.title, group.unit)?;
        writeln!(f, "| server | {} |", names.join(" | "))?;
        writeln!(f, "|---|{}", "---:|".repeat(names.len()))?;
        for peer in peers {
            write!(f, "| {peer} |")?;
            for measured in &scenarios {
                let cell = measured
                    .row(peer)
                    .and_then(|row| (group.cell)(row, measured.row(&self.reference)));
                write!(f, " {} |", cell.as_deref().unwrap_or("–"))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Puts a section between the marks of its name.
pub(crate) fn put(page: &Path, name: &str, section: &str) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("no {}", page.display()))?;
    let text = replaced(&text, name, section).with_context(|| format!("{}", page.display()))?;
    fs::write(page, text)?;
    Ok(())
}

/// The page with another text between the marks.
fn replaced(page: &str, name: &str, section: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->"), format!("<!-- {name}: end -->"));
    let (before, rest) = page
        .split_once(&begin)
        .with_context(|| format!("there is no {begin}"))?;
    let (old, after) = rest
        .split_once(&end)
        .with_context(|| format!("there is no {end} behind {begin}"))?;
    ensure!(!old.contains(&begin), "{begin} stands twice");
    Ok(format!("{before}{begin}\n{section}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use crate::scenario::{Shape, standard};

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n";
        let new = replaced(page, "x", "new").unwrap();
        assert_eq!(new, "a\n<!-- x: begin -->\nnew\n<!-- x: end -->\nb\n");
        assert_eq!(replaced(&new, "x", "new").unwrap(), new);
        assert!(replaced(page, "y", "new").is_err());
        assert!(replaced("<!-- x: begin -->", "x", "new").is_err());
    }

    #[test]
    fn every_standard_scenario_has_a_group_but_the_idle_ones() {
        for scenario in standard(false) {
            let name = scenario.to_string();
            assert_eq!(
                GROUPS.iter().any(|group| (group.belongs)(&name)),
                !matches!(scenario.shape, Shape::Idle { .. }),
                "{name}"
            );
        }
    }

    #[test]
    fn a_group_has_a_line_for_each_server_and_a_dash_where_one_cannot() {
        let report = Report {
            facts: vec![("kernel".to_owned(), "6.18".to_owned())],
            reference: "µWebSockets".to_owned(),
            scenarios: vec![
                Measured {
                    scenario: "handshakes-c50".to_owned(),
                    rows: Vec::new(),
                },
                Measured {
                    scenario: "echo-20B-ascii-w1-c100".to_owned(),
                    rows: vec![samples("µWebSockets", &[4.0]), samples("yawc", &[5.0])],
                },
                Measured {
                    scenario: "echo-1KB-emoji-w1-c100".to_owned(),
                    rows: vec![samples("µWebSockets", &[8.0])],
                },
            ],
        };
        let mut section = String::new();
        report.section(&mut section).unwrap();
        assert_eq!(
            section,
            "- kernel: 6.18\n\n### Echo of text\n\nIn µs of CPU time per message (÷ the first server's).\n\n\
             | server | echo-20B-ascii-w1-c100 | echo-1KB-emoji-w1-c100 |\n|---|---:|---:|\n\
             | µWebSockets | 4.00 (1.00×) | 8.00 (1.00×) |\n| yawc | 5.00 (1.25×) | – |\n"
        );
    }
}
