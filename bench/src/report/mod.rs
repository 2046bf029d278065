//! What was measured, for people and for programs.

mod markdown;
pub(crate) mod page;
mod plot;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

#[cfg(test)]
use crate::measure::LoadSample;
use crate::measure::Row;
pub(crate) use markdown::short;

/// A run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// What a reader must know to place the numbers.
    pub(crate) facts: Vec<(String, String)>,
    /// The library that the others are compared with.
    pub(crate) reference: String,
    pub(crate) scenarios: Vec<Measured>,
}

/// A scenario that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) scenario: String,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// What an earlier run has written into `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("report.json");
        let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is no report of this version", path.display()))
    }

    /// Goes on with what an earlier run measured, if there was one and all that a reader must know is the same.
    pub(crate) fn resume(&mut self, folder: &Path) -> Result<()> {
        if !folder.join("report.json").exists() {
            return Ok(());
        }
        let earlier = Self::read(folder)?;
        ensure!(
            earlier.facts == self.facts && earlier.reference == self.reference,
            "the run in {} was another one: other options, another machine, another commit",
            folder.display()
        );
        self.scenarios = earlier.scenarios;
        Ok(())
    }

    pub(crate) fn has(&self, scenario: &str) -> bool {
        self.scenarios
            .iter()
            .any(|measured| measured.scenario == scenario)
    }

    /// Writes what there is so far, and draws the last scenario: a run that is interrupted leaves what it had measured.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(folder.join("report.md"), self.to_string())?;
        if let Some(measured) = self.scenarios.last() {
            plot::draw(measured, &self.reference, folder)?;
        }
        fs::write(folder.join("report.json"), serde_json::to_string_pretty(self)?)?;
        Ok(())
    }
}

impl Measured {
    pub(crate) fn row(&self, peer: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.peer == peer)
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.scenario.contains("-shared") || self.scenario.contains("-dedicated")
    }
}

/// The middle one of some numbers.
pub(crate) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let (half, odd) = (numbers.len() / 2, numbers.len() % 2 == 1);
    if odd {
        numbers.get(half).copied()
    } else {
        Some((numbers.get(half.checked_sub(1)?)? + numbers.get(half)?) / 2.0)
    }
}

/// How a row's cost compares with another's: the median of [`ratios`].
pub(crate) fn ratio(row: &Row, other: &Row) -> Option<f64> {
    median(ratios(row, other))
}

/// How many times another row's cost a row has: the CPU time per message of each round, since two runs of one round had
/// the same neighbours on the machine, or the resident memory of an idle connection.
pub(crate) fn ratios(row: &Row, other: &Row) -> Vec<f64> {
    if let (Some(idle), Some(beside)) = (row.idle, other.idle) {
        return vec![idle.resident / beside.resident];
    }
    let rounds = row.loads.iter().filter_map(|sample| {
        let beside = other.loads.iter().find(|other| other.round == sample.round)?;
        Some(sample.cpu_per_message() / beside.cpu_per_message())
    });
    rounds.collect()
}

/// A row whose rounds took so many microseconds of CPU time per message.
#[cfg(test)]
pub(crate) fn samples(peer: &str, micros: &[f64]) -> Row {
    let loads = micros.iter().enumerate().map(|(round, micros)| LoadSample {
        round,
        count: 1_000_000,
        server_cpu: *micros,
        ..LoadSample::default()
    });
    Row {
        peer: peer.to_owned(),
        loads: loads.collect(),
        idle: None,
        failure: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }
}
