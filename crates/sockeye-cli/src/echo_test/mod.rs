//! `sockeye echo-test`: a short series of checks against any echo server, and a report.

mod latency;
mod messages;
mod options;
mod report;
mod series;
mod session;

use std::process::ExitCode;

use crate::error::Failure;
use crate::status;
pub(crate) use options::EchoTestOptions;
use report::Report;
use session::Session;

/// Runs the series, prints the report, and gives the exit status.
pub(crate) fn run(options: &EchoTestOptions) -> Result<ExitCode, Failure> {
    crate::run_async(async {
        let mut interrupts = crate::connect::interrupts();
        let mut report = Report::new(options);
        let session = Session::new(options)?;
        tokio::select! {
            result = series::run(session, options, &mut report) => result?,
            Some(()) = interrupts.recv() => {
                report.interrupt();
                return Ok(ExitCode::from(status::INTERRUPTED));
            }
        }
        report.finish()?;
        Ok(ExitCode::from(if report.failed() == 0 {
            0
        } else {
            status::UNEXPECTED
        }))
    })
}
