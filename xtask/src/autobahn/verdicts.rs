//! Reads the suite's verdicts and decides whether a run passed.
//!
//! The suite's own exit status says nothing, and a case can be OK in its `behavior` although the connection was
//! closed wrongly: both fields of every case count, and so does the number of cases.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::checkout;

/// The cases for which the suite has no verdict: it only shows what happened.
const WITHOUT_VERDICT: [&str; 3] = ["7.1.6", "7.13.1", "7.13.2"];

/// One case's entry in the suite's `index.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    behavior: String,
    behavior_close: String,
    #[serde(default)]
    reportfile: String,
}

/// What came out of a run.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    counts: BTreeMap<String, usize>,
    cases: usize,
    objections: Vec<String>,
}

impl Verdicts {
    /// Reads the `index.json` in `folder` and judges it; `expected` are the cases that must be there.
    pub(super) fn read(folder: &Path, expected: &[String]) -> Result<Self> {
        let text = checkout::read(&folder.join("index.json"))?;
        Self::judge(&text, expected)
    }

    fn judge(index: &str, expected: &[String]) -> Result<Self> {
        let mut agents: BTreeMap<String, BTreeMap<String, Entry>> =
            serde_json::from_str(index).context("index.json is not what the suite writes")?;
        // One side under test, whatever the suite calls it.
        let (_, entries) = agents
            .pop_first()
            .context("the suite reached nobody; its log is beside index.json")?;
        let mut verdicts = Self {
            cases: entries.len(),
            ..Self::default()
        };
        for case in expected {
            match entries.get(case) {
                Some(entry) => verdicts.take(case, entry),
                None => verdicts
                    .objections
                    .push(format!("{case}: missing, the suite did not run it")),
            }
        }
        for case in entries.keys().filter(|case| !expected.contains(case)) {
            verdicts.objections.push(format!("{case}: was not asked for"));
        }
        Ok(verdicts)
    }

    fn take(&mut self, case: &str, entry: &Entry) {
        *self.counts.entry(entry.behavior.clone()).or_default() += 1;
        let is_good = |verdict: &str| match verdict {
            "OK" => true,
            "INFORMATIONAL" => WITHOUT_VERDICT.contains(&case),
            _ => false,
        };
        if !is_good(&entry.behavior) || !is_good(&entry.behavior_close) {
            let Entry {
                behavior,
                behavior_close,
                reportfile,
            } = entry;
            let report = reportfile.replace(".json", ".html");
            self.objections
                .push(format!("{case}: {behavior}, close {behavior_close} ({report})"));
        }
    }

    /// One line for each case that keeps the run from passing.
    pub(super) fn objections(&self) -> &[String] {
        &self.objections
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cases:", self.cases)?;
        let shown = ["OK", "NON-STRICT", "INFORMATIONAL", "FAILED", "UNIMPLEMENTED"];
        for verdict in shown {
            write!(
                f,
                " {} {verdict},",
                self.counts.get(verdict).copied().unwrap_or_default()
            )?;
        }
        for (verdict, count) in self
            .counts
            .iter()
            .filter(|(verdict, _)| !shown.contains(&verdict.as_str()))
        {
            write!(f, " {count} {verdict},")?;
        }
        write!(f, " {} objections", self.objections.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(case: &str, behavior: &str, close: &str) -> String {
        format!(
            r#""{case}": {{"behavior": "{behavior}", "behaviorClose": "{close}", "duration": 2,
                 "remoteCloseCode": null, "reportfile": "a_case_{}.json"}}"#,
            case.replace('.', "_")
        )
    }

    fn judge(entries: &[String], expected: &[&str]) -> Verdicts {
        let index = format!(r#"{{"a": {{{}}}}}"#, entries.join(","));
        let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        Verdicts::judge(&index, &expected).unwrap()
    }

    #[test]
    fn run_whose_cases_are_all_ok_passes() {
        let verdicts = judge(
            &[entry("1.1.1", "OK", "OK"), entry("2.1", "OK", "OK")],
            &["1.1.1", "2.1"],
        );
        assert!(verdicts.objections().is_empty());
        assert!(
            verdicts.to_string().starts_with("2 cases: 2 OK, 0 NON-STRICT"),
            "{verdicts}"
        );
    }

    #[test]
    fn every_other_verdict_is_an_objection() {
        for (behavior, close) in [
            ("NON-STRICT", "OK"),
            ("FAILED", "OK"),
            ("UNIMPLEMENTED", "OK"),
            ("INFORMATIONAL", "OK"),
            ("OK", "UNCLEAN"),
            ("OK", "WRONG CODE"),
            ("OK", "FAILED BY CLIENT"),
            ("OK", "INFORMATIONAL"),
        ] {
            let verdicts = judge(&[entry("1.1.1", behavior, close)], &["1.1.1"]);
            let expected = format!("1.1.1: {behavior}, close {close} (a_case_1_1_1.html)");
            assert_eq!(verdicts.objections(), [expected]);
        }
    }

    #[test]
    fn informational_is_accepted_where_the_suite_has_no_verdict() {
        for case in WITHOUT_VERDICT {
            let verdicts = judge(&[entry(case, "INFORMATIONAL", "INFORMATIONAL")], &[case]);
            assert!(verdicts.objections().is_empty());
        }
    }

    #[test]
    fn missing_case_is_named() {
        let verdicts = judge(&[entry("1.1.1", "OK", "OK")], &["1.1.1", "9.1.6"]);
        assert_eq!(
            verdicts.objections(),
            ["9.1.6: missing, the suite did not run it"]
        );
    }

    #[test]
    fn case_that_was_not_asked_for_is_named() {
        let verdicts = judge(
            &[entry("1.1.1", "OK", "OK"), entry("12.1.10", "OK", "OK")],
            &["1.1.1"],
        );
        assert_eq!(verdicts.objections(), ["12.1.10: was not asked for"]);
    }

    #[test]
    fn index_without_any_case_is_an_error() {
        assert!(Verdicts::judge("{}", &[]).is_err());
    }
}
