//! What Sockeye's server sets out to cost, and whether a run says that it does.

use std::fmt;

use crate::measure::Row;
use crate::peer::Peer;
use crate::report::{Measured, Report, median, ratio, ratios};

/// A scenario, and at most how many times the reference's cost each driver's may be: CPU time per message, or resident
/// memory per connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) scenario: &'static str,
    uring: f64,
    readiness: f64,
}

/// One message at a time is almost all the kernel's work, and there epoll has a call more to make than io_uring.
pub(crate) const GOALS: [Goal; 16] = [
    Goal {
        readiness: 1.02,
        ..goal("echo-20B-binary-w1-c100", 0.92)
    },
    goal("echo-20B-binary-w16-c100", 0.80),
    goal("echo-64KB-binary-w1-c100", 0.85),
    goal("echo-1MB-binary-w1-c10", 0.85),
    goal("echo-1KB-chinese-w16-c100", 0.60),
    goal("echo-64KB-chinese-w1-c100", 0.60),
    goal("echo-1KB-json-w16-c100-shared", 0.60),
    goal("echo-1KB-json-w16-c100-dedicated", 0.60),
    goal("echo-20B-binary-w1-c100-tls", 0.95),
    goal("echo-16KB-binary-w1-c100-tls", 0.95),
    goal("publish-125B-ascii-t1-p1-m1000", 0.80),
    goal("publish-125B-ascii-t1-p200-m200", 0.80),
    goal("publish-1KB-json-t1-p1-m1000-shared", 0.10),
    goal("publish-1KB-json-t1-p200-m200-shared", 0.10),
    goal("idle-10000", 1.00),
    goal("idle-5000-tls", 0.50),
];

/// What is compared with the best of the Rust libraries: Sockeye is to be ahead.
const RIVAL_GOAL: f64 = 0.99;

const fn goal(scenario: &'static str, both: f64) -> Goal {
    Goal {
        scenario,
        uring: both,
        readiness: both,
    }
}

/// What a run says about a goal and a driver.
#[derive(Clone, Debug)]
struct Verdict<'a> {
    scenario: &'a str,
    driver: &'static str,
    wanted: f64,
    /// How many times the reference's cost, and the least and the greatest of the rounds.
    measured: Option<Spread>,
    /// How many times as many bytes as the reference sent, where messages are compressed.
    bytes: Option<f64>,
    /// The Rust library that costs least beside this driver, and how many times its cost this driver has.
    rival: Option<(&'a str, f64)>,
}

#[derive(Clone, Copy, Debug)]
struct Spread {
    median: f64,
    least: f64,
    greatest: f64,
}

/// The table of all goals that a run has scenarios of; empty if it has none.
pub(crate) fn table(report: &Report) -> String {
    let verdicts: Vec<Verdict<'_>> = report
        .scenarios
        .iter()
        .flat_map(|measured| verdicts(measured, &report.reference))
        .collect();
    if verdicts.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "| scenario | driver | wanted ÷ {0} | measured (rounds: min–max) | | bytes ÷ {0} | best Rust library | ÷ it | |\n\
         |---|---|---:|---:|---|---:|---|---:|---|\n",
        report.reference
    );
    for verdict in verdicts {
        text += &verdict.to_string();
        text.push('\n');
    }
    text
}

fn verdicts<'a>(measured: &'a Measured, reference: &str) -> Vec<Verdict<'a>> {
    let Some(goal) = GOALS.iter().find(|goal| goal.scenario == measured.scenario) else {
        return Vec::new();
    };
    let beside = measured.row(reference);
    let drivers = [
        (Peer::SockeyeUring, "`uring`", goal.uring),
        (Peer::SockeyeReadiness, "`readiness`", goal.readiness),
    ];
    drivers
        .into_iter()
        .filter_map(|(peer, driver, wanted)| {
            let row = measured.row(peer.title())?;
            let bytes_each = |row: &Row| row.middle(|sample| sample.bytes_each);
            let bytes = beside.and_then(|beside| Some(bytes_each(row)? / bytes_each(beside)?));
            Some(Verdict {
                scenario: &measured.scenario,
                driver,
                wanted,
                measured: beside.and_then(|beside| Spread::of(&ratios(row, beside))),
                bytes: bytes.filter(|_| measured.is_compressed()),
                rival: rival(row, &measured.rows),
            })
        })
        .collect()
}

/// The Rust library that `row` is least ahead of.
fn rival<'a>(row: &Row, rows: &'a [Row]) -> Option<(&'a str, f64)> {
    rows.iter()
        .filter(|other| Peer::titled(&other.peer).is_some_and(Peer::is_rust_rival))
        .filter_map(|other| Some((other.peer.as_str(), ratio(row, other)?)))
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
}

impl Spread {
    fn of(ratios: &[f64]) -> Option<Self> {
        Some(Self {
            median: median(ratios.to_vec())?,
            least: ratios.iter().copied().reduce(f64::min)?,
            greatest: ratios.iter().copied().reduce(f64::max)?,
        })
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {} | {} | {:.2}× | ",
            self.scenario, self.driver, self.wanted
        )?;
        match self.measured {
            None => f.write_str("– | not measured")?,
            Some(Spread {
                median,
                least,
                greatest,
            }) => {
                write!(f, "{median:.2}×")?;
                if least < greatest {
                    write!(f, " ({least:.2}–{greatest:.2})")?;
                }
                write!(f, " | {}", outcome(median, self.wanted))?;
            }
        }
        match self.bytes {
            None => f.write_str(" | ")?,
            Some(bytes) => write!(f, " | {bytes:.2}×")?,
        }
        match self.rival {
            None => f.write_str(" | – | – | |"),
            Some((name, ratio)) => {
                write!(f, " | {name} | {ratio:.2}× | {} |", outcome(ratio, RIVAL_GOAL))
            }
        }
    }
}

/// What stands in the table is what is compared: both with two digits.
fn outcome(measured: f64, wanted: f64) -> &'static str {
    let hundredths = |number: f64| (number * 100.0).round();
    if hundredths(measured) <= hundredths(wanted) {
        "holds"
    } else {
        "**misses**"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::IdleSample;
    use crate::report::samples;

    /// A run in which each server took so many microseconds in each round.
    fn run(scenario: &str, rows: &[(&str, &[f64])]) -> Report {
        Report {
            facts: Vec::new(),
            reference: "µWebSockets".to_owned(),
            scenarios: vec![Measured {
                scenario: scenario.to_owned(),
                rows: rows.iter().map(|(peer, micros)| samples(peer, micros)).collect(),
            }],
        }
    }

    #[test]
    fn every_goal_is_a_scenario_and_none_stands_twice() {
        for (n, goal) in GOALS.iter().enumerate() {
            let scenario = goal.scenario.parse::<crate::scenario::Scenario>().unwrap();
            assert_eq!(scenario.to_string(), goal.scenario);
            assert!(GOALS[..n].iter().all(|other| other.scenario != goal.scenario));
        }
    }

    #[test]
    fn a_row_is_judged_by_the_median_of_its_rounds_and_by_the_hardest_rust_library() {
        let report = run(
            "echo-20B-binary-w16-c100",
            &[
                ("µWebSockets", &[10.0, 10.0, 20.0]),
                ("Sockeye (uring)", &[8.0, 7.0, 19.0]),
                ("yawc", &[16.0, 14.0, 38.0]),
                ("fastwebsockets", &[7.0, 6.0, 18.0]),
                // Not written in Rust: no rival, however good.
                ("Bun", &[1.0, 1.0, 1.0]),
            ],
        );
        let table = table(&report);
        let row = table.lines().last().unwrap();
        assert_eq!(
            row,
            "| echo-20B-binary-w16-c100 | `uring` | 0.80× | 0.80× (0.70–0.95) | holds |  | fastwebsockets | 1.14× \
             | **misses** |"
        );
    }

    #[test]
    fn memory_is_judged_by_resident_bytes() {
        let mut report = run(
            "idle-10000",
            &[("µWebSockets", &[]), ("Sockeye (readiness)", &[])],
        );
        for (row, resident) in report.scenarios[0].rows.iter_mut().zip([250.0, 300.0]) {
            row.idle = Some(IdleSample {
                resident,
                ..IdleSample::default()
            });
        }
        let table = table(&report);
        assert!(
            table.ends_with("| idle-10000 | `readiness` | 1.00× | 1.20× | **misses** |  | – | – | |\n"),
            "{table}"
        );
    }

    #[test]
    fn a_run_without_goals_has_no_table() {
        assert_eq!(
            table(&run("echo-17B-binary-w1-c1", &[("µWebSockets", &[1.0])])),
            ""
        );
    }
}
