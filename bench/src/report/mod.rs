//! What was measured, for people and for programs.

mod markdown;
mod plot;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::measure::Row;

/// A run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// What a reader must know to place the numbers.
    pub(crate) facts: Vec<(String, String)>,
    /// The library that the others are compared with.
    pub(crate) reference: &'static str,
    pub(crate) scenarios: Vec<Measured>,
}

/// A scenario that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) scenario: String,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// Writes what there is so far, and draws the last scenario: a run that is interrupted leaves what it had measured.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(folder.join("report.md"), self.to_string())?;
        if let Some(measured) = self.scenarios.last() {
            plot::draw(measured, self.reference, folder)?;
        }
        fs::write(folder.join("report.json"), serde_json::to_string_pretty(self)?)?;
        Ok(())
    }
}

/// The middle one of some numbers.
fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let (half, odd) = (numbers.len() / 2, numbers.len() % 2 == 1);
    if odd {
        numbers.get(half).copied()
    } else {
        Some((numbers.get(half.checked_sub(1)?)? + numbers.get(half)?) / 2.0)
    }
}

/// How a row's CPU time per message compares with the reference's: the median of the ratios of each round, since two runs
/// of one round had the same neighbours on the machine.
fn ratio(row: &Row, reference: &Row) -> Option<f64> {
    let ratios = row.loads.iter().filter_map(|sample| {
        let beside = reference.loads.iter().find(|other| other.round == sample.round)?;
        Some(sample.cpu_per_message() / beside.cpu_per_message())
    });
    median(ratios.collect())
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
