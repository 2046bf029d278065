//! What a sequence of steps came to: a table with a line per step, and a closing count.

use std::fmt;
use std::time::{Duration, Instant};

/// How much of a failure's reason stands in the table; all of it was printed when the step ended.
const WHY_WIDTH: usize = 90;

/// How a step ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Passed,
    Failed(String),
    /// Not run, and why.
    Skipped(String),
}

/// The steps run so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    step: &'static str,
    outcome: Outcome,
    time: Duration,
}

impl Report {
    /// Runs a step and notes how it ended and how long it took; returns whether it may be followed by others
    /// when the first failure is to stop everything.
    pub(crate) fn step(&mut self, step: &'static str, run: impl FnOnce() -> anyhow::Result<Outcome>) -> bool {
        eprintln!("\n== {step}");
        let started = Instant::now();
        let outcome = run().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        match &outcome {
            Outcome::Passed => {}
            Outcome::Failed(why) => eprintln!("{step} failed: {why}"),
            Outcome::Skipped(why) => eprintln!("!! {step} skipped: {why}"),
        }
        let passed = !matches!(outcome, Outcome::Failed(_));
        self.lines.push(Line {
            step,
            outcome,
            time: started.elapsed(),
        });
        passed
    }

    /// Whether no step failed.
    pub(crate) fn passed(&self) -> bool {
        self.count(|outcome| matches!(outcome, Outcome::Failed(_))) == 0
    }

    fn count(&self, what: impl Fn(&Outcome) -> bool) -> usize {
        self.lines.iter().filter(|line| what(&line.outcome)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Line { step, outcome, time } in &self.lines {
            let (word, why) = match outcome {
                Outcome::Passed => ("passed", ""),
                Outcome::Failed(why) => ("FAILED", why.as_str()),
                Outcome::Skipped(why) => ("skipped", why.as_str()),
            };
            let time = format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60);
            let why: String = why
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(WHY_WIDTH)
                .collect();
            writeln!(f, "{}", format!("{step:13} {word:8} {time:>6}  {why}").trim_end())?;
        }
        let total: Duration = self.lines.iter().map(|line| line.time).sum();
        writeln!(
            f,
            "{:22} {:>6}\n",
            "all",
            format!("{}:{:02}", total.as_secs() / 60, total.as_secs() % 60)
        )?;
        let passed = self.count(|outcome| matches!(outcome, Outcome::Passed));
        let failed = self.count(|outcome| matches!(outcome, Outcome::Failed(_)));
        let skipped = self.count(|outcome| matches!(outcome, Outcome::Skipped(_)));
        write!(f, "{passed} passed, {failed} failed")?;
        if skipped > 0 {
            write!(f, ", {skipped} skipped")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_ends_with_the_counts() {
        let mut report = Report::default();
        assert!(report.step("one", || Ok(Outcome::Passed)));
        assert!(report.step("two", || Ok(Outcome::Skipped("no compiler".to_owned()))));
        assert!(report.passed());
        assert!(!report.step("three", || anyhow::bail!("first line\nsecond line")));
        assert!(!report.passed());
        let text = report.to_string();
        assert!(text.ends_with("\n1 passed, 1 failed, 1 skipped"), "{text}");
        assert!(
            text.contains("three         FAILED     0:00  first line\n"),
            "{text}"
        );
    }
}
