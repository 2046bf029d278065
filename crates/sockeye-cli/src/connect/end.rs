//! How a conversation ends, and what is said about it.

use std::process::ExitCode;

use sockeye::CloseInfo;

use super::goal::Goal;
use crate::error::{Failure, chain};
use crate::{payload, status};

/// How a conversation ended.
#[derive(Debug)]
pub(super) enum End {
    /// The server closed.
    Closed(CloseInfo),
    /// The connection failed: it broke off, or somebody broke the rules.
    Failed(sockeye::Error),
    /// We closed because there was no more to do.
    ByUs,
    /// We closed because of Ctrl-C.
    Interrupted,
    /// We closed because `--timeout` ran out.
    TimedOut,
    /// Nobody reads our output any more.
    ReaderGone,
    /// There is no connection, and no further attempt is made.
    NotConnected(Failure),
    /// What happens can no longer be recorded.
    NotRecorded(Failure),
}

/// Says how it ended, where that is news, and gives the status for it.
pub(super) fn report(end: &End, goal: &Goal, verbose: bool) -> ExitCode {
    let (text, status) = describe(end);
    let (text, status) = match goal.missed() {
        Some(expected) if !matches!(end, End::Interrupted | End::NotRecorded(_)) => {
            let status = if matches!(end, End::TimedOut) {
                status
            } else {
                status::UNEXPECTED
            };
            (format!("no message matched {expected:?}: {text}"), status)
        }
        _ => (text, status),
    };
    if verbose || !matches!(status, 0 | status::INTERRUPTED) {
        eprintln!("sockeye: {text}");
    }
    ExitCode::from(status)
}

fn describe(end: &End) -> (String, u8) {
    match end {
        End::Closed(info) => (closed(info), status::of_code(Some(info.code))),
        End::Failed(error) => {
            let code = error.close_code().map_or(1006, |code| code.get());
            (chain(error), status::of_code(Some(code)))
        }
        End::ByUs => ("closed".to_owned(), 0),
        End::Interrupted => ("interrupted".to_owned(), status::INTERRUPTED),
        End::TimedOut => ("the time was up".to_owned(), status::TIMED_OUT),
        End::ReaderGone => ("nobody reads standard output any more".to_owned(), 0),
        End::NotConnected(failure) | End::NotRecorded(failure) => (failure.to_string(), 1),
    }
}

/// What the server said when it closed.
pub(crate) fn closed(info: &CloseInfo) -> String {
    let reason = match info.reason.as_str() {
        "" => String::new(),
        reason => format!(": {}", payload::one_line(reason)),
    };
    format!("the server closed with {}{reason}", info.code)
}
