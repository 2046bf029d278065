//! The report: a line for each check as it is done, or all of it as JSON at the end.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::latency::Latency;
use super::options::EchoTestOptions;
use crate::client::Handshake;
use crate::error::Failure;
use crate::payload;
use crate::style::{BAD, FAINT, GOOD, MIDDLING, Painter, STRONG};

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Outcome {
    outcome: Verdict,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Passed,
    Failed,
    /// The server does not do this, and does not have to.
    Unsupported,
}

impl Outcome {
    pub(super) fn passed(detail: impl Into<String>) -> Self {
        Self::new(Verdict::Passed, detail)
    }

    pub(super) fn failed(detail: impl Into<String>) -> Self {
        Self::new(Verdict::Failed, detail)
    }

    pub(super) fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(Verdict::Unsupported, detail)
    }

    fn new(outcome: Verdict, detail: impl Into<String>) -> Self {
        Self {
            outcome,
            detail: detail.into(),
        }
    }
}

/// Everything that is told; its fields are those of the JSON report.
#[derive(Debug, Serialize)]
struct Findings {
    url: String,
    started: String,
    handshake: Option<Handshake>,
    /// What came before the first echo.
    greeting: Vec<String>,
    checks: Vec<Check>,
    messages: Option<Latency>,
    pings: Option<Latency>,
    passed: usize,
    failed: usize,
    unsupported: usize,
}

#[derive(Debug, Serialize)]
struct Check {
    group: &'static str,
    name: String,
    #[serde(flatten)]
    outcome: Outcome,
}

/// Tells what is found.
#[derive(Debug)]
pub(super) struct Report {
    findings: Findings,
    json: bool,
    quiet: bool,
    painter: Painter,
    group: &'static str,
    bar: ProgressBar,
}

impl Report {
    pub(super) fn new(options: &EchoTestOptions) -> Self {
        let report = Self {
            findings: Findings {
                url: options.url.clone(),
                started: jiff::Timestamp::now().to_string(),
                handshake: None,
                greeting: Vec::new(),
                checks: Vec::new(),
                messages: None,
                pings: None,
                passed: 0,
                failed: 0,
                unsupported: 0,
            },
            json: options.json,
            quiet: options.client.quiet || !std::io::stderr().is_terminal(),
            painter: Painter::of(&std::io::stdout()),
            group: "",
            bar: ProgressBar::hidden(),
        };
        report.line(&report.painter.paint(STRONG, payload::one_line(&options.url)));
        report
    }

    pub(super) fn group(&mut self, name: &'static str) {
        self.group = name;
        self.line("");
        self.line(&self.painter.paint(STRONG, name));
    }

    /// Tells what came of a check.
    pub(super) fn check(&mut self, name: &str, outcome: Outcome) {
        self.end_progress();
        let (style, mark, count) = match outcome.outcome {
            Verdict::Passed => (GOOD, "✓", &mut self.findings.passed),
            Verdict::Failed => (BAD, "✗", &mut self.findings.failed),
            Verdict::Unsupported => (MIDDLING, "–", &mut self.findings.unsupported),
        };
        *count += 1;
        self.line(&format!(
            "  {} {name:<40} {}",
            self.painter.paint(style, mark),
            self.painter.paint(FAINT, &outcome.detail)
        ));
        self.findings.checks.push(Check {
            group: self.group,
            name: name.to_owned(),
            outcome,
        });
    }

    pub(super) fn handshake(&mut self, handshake: Handshake) {
        let server = handshake
            .response
            .iter()
            .find(|(name, _)| name == "server")
            .map(|(_, value)| payload::one_line(value));
        let facts = [
            ("peer", handshake.peer.clone()),
            ("times", Some(handshake.times()).filter(|times| !times.is_empty())),
            ("TLS", handshake.tls.as_ref().map(|tls| tls.summary())),
            ("server", server),
            ("agreed on", Some(handshake.summary())),
        ];
        for (name, value) in facts {
            if let Some(value) = value {
                self.fact(name, &value);
            }
        }
        self.findings.handshake = Some(handshake);
    }

    /// Tells of a message that came before the first echo, in one line.
    pub(super) fn greeting(&mut self, text: String) {
        self.fact("greeting", &text);
        self.findings.greeting.push(text);
    }

    pub(super) fn messages(&mut self, latency: Latency, size: usize) {
        let name = format!("{} messages of {size} bytes", latency.count);
        self.check(&name, Outcome::passed(latency.summary()));
        self.findings.messages = Some(latency);
    }

    pub(super) fn pings(&mut self, latency: Latency) {
        let name = format!("{} pings", latency.count);
        self.check(&name, Outcome::passed(latency.summary()));
        self.findings.pings = Some(latency);
    }

    /// Shows on a terminal how far something has come.
    pub(super) fn progress(&mut self, what: &'static str, steps: u32) {
        self.end_progress();
        if self.quiet {
            return;
        }
        let style = ProgressStyle::with_template("    {bar:30} {pos}/{len} {msg}");
        self.bar = ProgressBar::new(u64::from(steps)).with_message(what);
        if let Ok(style) = style {
            self.bar.set_style(style);
        }
    }

    fn end_progress(&mut self) {
        std::mem::replace(&mut self.bar, ProgressBar::hidden()).finish_and_clear();
    }

    pub(super) fn step(&self) {
        self.bar.inc(1);
    }

    pub(super) fn failed(&self) -> usize {
        self.findings.failed
    }

    /// The last word.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.end_progress();
        if self.json {
            let text = serde_json::to_string_pretty(&self.findings)
                .map_err(|error| Failure::new(format!("cannot write the report: {error}")))?;
            return write(&text);
        }
        let Findings {
            passed,
            failed,
            unsupported,
            ..
        } = self.findings;
        let style = if failed == 0 { GOOD } else { BAD };
        let text = format!("{passed} passed, {failed} failed, {unsupported} unsupported");
        write(&format!("\n{}", self.painter.paint(style, text)))
    }

    /// Ctrl-C.
    pub(super) fn interrupt(&mut self) {
        self.end_progress();
        self.line("");
        self.line(&self.painter.paint(MIDDLING, "interrupted"));
    }

    fn fact(&self, name: &str, value: &str) {
        self.line(&format!("    {name}: {}", self.painter.paint(FAINT, value)));
    }

    fn line(&self, text: &str) {
        if !self.json {
            self.bar.suspend(|| {
                // A reader that has seen enough still gets an exit status.
                let _ = write(text);
            });
        }
    }
}

/// A reader that has seen enough, such as `head`, is no failure.
fn write(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
