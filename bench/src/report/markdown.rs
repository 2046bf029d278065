//! The report as a document.

use std::fmt;

use super::{Measured, Report, median, ratio};
use crate::measure::{LoadSample, Row};
use crate::peer::Peer;
use crate::proof;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Servers, measured\n")?;
        for (name, value) in &self.facts {
            writeln!(f, "- {name}: {value}")?;
        }
        writeln!(f)?;
        let goals = proof::table(self);
        if !goals.is_empty() {
            writeln!(f, "## Goals\n\n{goals}")?;
        }
        for measured in &self.scenarios {
            measured.write(&self.reference, f)?;
            writeln!(f, "![{0}]({0}.svg)\n", measured.scenario)?;
        }
        Ok(())
    }
}

impl Measured {
    /// The part of the report about one scenario.
    pub(crate) fn write(&self, reference: &str, f: &mut impl fmt::Write) -> fmt::Result {
        writeln!(f, "## {}\n", self.scenario)?;
        if self.rows.iter().any(|row| row.idle.is_some()) {
            self.write_idle(reference, f)?;
        } else {
            self.write_loads(reference, f)?;
        }
        writeln!(f)?;
        for row in &self.rows {
            if let Some(failure) = &row.failure {
                writeln!(f, "{} failed: {failure}\n", row.peer)?;
            }
        }
        Ok(())
    }

    fn write_loads(&self, reference: &str, f: &mut impl fmt::Write) -> fmt::Result {
        let beside = self.row(reference);
        writeln!(
            f,
            "| server | µs CPU per message (min–max) | ÷ {reference} | {SOCKEYE} | in user space | messages/s \
             | server's, load's core in use | p50 µs | p99 µs | p99.9 µs | resident | bytes each |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
        )?;
        for row in &self.rows {
            let middle = |value| row.middle(value).unwrap_or(f64::NAN);
            let Some((least, greatest)) = row.extremes() else {
                continue;
            };
            let ratio = beside.and_then(|beside| ratio(row, beside));
            writeln!(
                f,
                "| {} | {} ({}–{}) | {} | {} | {} | {} | {:.0}, {:.0} % | {} | {} | {} | {:.1} MiB | {} |",
                row.peer,
                short(middle(LoadSample::cpu_per_message)),
                short(least),
                short(greatest),
                times(ratio),
                self.sockeye_beside(row),
                short(middle(|sample| sample.cpu_per_message() * sample.user_share)),
                thousands(middle(|sample| sample.count as f64 / sample.seconds)),
                middle(|sample| sample.server_cpu / sample.seconds * 100.0),
                middle(|sample| sample.load_cpu / sample.seconds * 100.0),
                short(middle(|sample| sample.latency.p50)),
                short(middle(|sample| sample.latency.p99)),
                short(middle(|sample| sample.latency.p999)),
                middle(|sample| sample.resident as f64) / (1024.0 * 1024.0),
                thousands(middle(|sample| sample.bytes_each)),
            )?;
        }
        Ok(())
    }

    pub(super) fn write_idle(&self, reference: &str, f: &mut impl fmt::Write) -> fmt::Result {
        let beside = self.row(reference);
        writeln!(
            f,
            "| server | resident bytes per connection | ÷ {reference} | {SOCKEYE} | of that heap \
             | kernel objects, both ends | kernel buffers, both ends | server without connections |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|"
        )?;
        for row in &self.rows {
            let Some(idle) = row.idle else { continue };
            let ratio = beside.and_then(|beside| ratio(row, beside));
            writeln!(
                f,
                "| {} | {} | {} | {} | {} | {} | {} | {:.1} MiB |",
                row.peer,
                thousands(idle.resident),
                times(ratio),
                self.sockeye_beside(row),
                thousands(idle.anonymous),
                thousands(idle.kernel_slab),
                thousands(idle.kernel_buffers),
                idle.base as f64 / (1024.0 * 1024.0),
            )?;
        }
        Ok(())
    }
}

/// The column that says how many times each server's cost Sockeye's callbacks have.
const SOCKEYE: &str = "Sockeye ÷ it: `uring`, `readiness`";

impl Measured {
    fn sockeye_beside(&self, row: &Row) -> String {
        let beside = [Peer::SockeyeUring, Peer::SockeyeReadiness]
            .map(|peer| times(self.row(peer.title()).and_then(|ours| ratio(ours, row))));
        beside.join(", ")
    }
}

/// How many times one cost is another, if both were measured.
fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}×"))
}

impl Row {
    /// The median of something over all rounds.
    pub(crate) fn middle(&self, value: fn(&LoadSample) -> f64) -> Option<f64> {
        median(self.loads.iter().map(value).collect())
    }

    /// The least and the greatest CPU time per message.
    fn extremes(&self) -> Option<(f64, f64)> {
        let times = || self.loads.iter().map(LoadSample::cpu_per_message);
        Some((times().reduce(f64::min)?, times().reduce(f64::max)?))
    }
}

/// A number with three digits that count.
pub(crate) fn short(number: f64) -> String {
    match number {
        n if n >= 100.0 => thousands(n),
        n if n >= 10.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}

/// A number without a fraction, its thousands apart.
pub(super) fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0.0 && digits != "0" {
        text.insert(0, '−');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_their_thousands_apart() {
        assert_eq!(short(0.66), "0.66");
        assert_eq!(short(13.62), "13.6");
        assert_eq!(short(152_361.4), "152,361");
        assert_eq!(thousands(-1234.0), "−1,234");
        assert_eq!(thousands(-0.2), "0");
    }
}
