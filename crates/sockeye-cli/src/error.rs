//! Failures as a person at a terminal reads them: one line, and an exit status.

use std::fmt;
use std::process::ExitCode;

/// Why the program stops, and with which status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    message: String,
    status: u8,
}

impl Failure {
    /// What was asked for could not be done: a port is taken, a peer does not answer.
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Self::with_status(message, 1)
    }

    /// What was asked for makes no sense: a wrong flag, a bad configuration key.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::with_status(message, 2)
    }

    pub(crate) fn with_status(message: impl fmt::Display, status: u8) -> Self {
        // One line, whatever a source put into its text.
        let message = message
            .to_string()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        Self {
            message: without_numbers(&message),
            status,
        }
    }

    /// Writes the line to standard error and gives the status to exit with.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("sockeye: {self}");
        ExitCode::from(self.status)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The text without the numbers that the standard library adds to what the system says.
pub(crate) fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str(part.split_once(')').map_or(part, |(_, rest)| rest));
    }
    clean
}

/// An error and what caused it, each thing said once.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        assert_eq!(Failure::new("first\n  second").to_string(), "first second");
    }

    #[test]
    fn a_system_error_is_told_without_its_number() {
        let error = std::io::Error::from_raw_os_error(2);
        let failure = Failure::new(format!("cannot read it: {error}; sorry"));
        assert_eq!(
            failure.to_string(),
            "cannot read it: No such file or directory; sorry"
        );
    }
}
