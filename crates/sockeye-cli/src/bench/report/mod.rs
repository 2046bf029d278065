//! Results, in each form that they can be had in.

mod results;
mod table;
pub(super) mod words;

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use super::conduct::Findings;
use super::options::CommonOptions;
use crate::error::Failure;
use crate::status;
pub(super) use results::{Facts, MessageLoad, Results};

/// Writes what was asked for, and gives the exit status.
pub(super) fn tell<S>(
    options: &CommonOptions,
    findings: &Findings<S>,
    results: &Results,
) -> Result<ExitCode, Failure> {
    let json = match &options.json {
        Some(_) => Some(
            serde_json::to_string_pretty(results)
                .map_err(|error| Failure::new(format!("cannot write the results: {error}")))?
                + "\n",
        ),
        None => None,
    };
    match (options.json.as_deref(), json) {
        (Some(path), Some(json)) if path == Path::new("-") => print(&json)?,
        (Some(path), Some(json)) => {
            save(path, json.as_bytes())?;
            table(options, results)?;
        }
        _ => table(options, results)?,
    }
    if findings.totals.opened == 0 && !findings.interrupted {
        let why = findings.troubles.sorted();
        let why = why.first().map_or_else(String::new, |(trouble, count)| {
            format!(": {} ({count} times)", trouble.detail)
        });
        return Err(Failure::new(format!("no connection could be opened{why}")));
    }
    Ok(ExitCode::from(if findings.interrupted {
        status::INTERRUPTED
    } else if results.is_good() {
        0
    } else {
        status::UNEXPECTED
    }))
}

fn table(options: &CommonOptions, results: &Results) -> Result<(), Failure> {
    if options.quiet || results.connections.opened == 0 {
        return Ok(());
    }
    print(&table::table(
        results,
        crate::style::Painter::of(&std::io::stdout()),
    ))
}

/// A reader that has seen enough, such as `head`, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

fn save(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))
}
