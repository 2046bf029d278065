//! Results, in each form that they can be had in.

mod histogram;
mod particulars;
mod plot;
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
pub(super) use particulars::{Particulars, churn, deliveries, memory, slow_readers};
pub(super) use results::{Facts, MessageLoad, Results};

/// Makes the files that results are to be written to.
pub(super) fn prepare(options: &CommonOptions) -> Result<(), Failure> {
    let json = options.json.as_deref().filter(|path| !is_standard_output(path));
    let files = [json, options.histogram.as_deref(), options.plot.as_deref()];
    files.into_iter().flatten().try_for_each(|path| save(path, b""))
}

fn is_standard_output(path: &Path) -> bool {
    path == Path::new("-")
}

/// Writes what was asked for, and gives the exit status.
pub(super) fn tell<S>(
    options: &CommonOptions,
    findings: &Findings<S>,
    results: Results,
) -> Result<ExitCode, Failure> {
    if let Some(path) = &options.histogram {
        save(path, &histogram::of(path, findings)?)?;
    }
    if let Some(path) = &options.plot {
        save(path, plot::draw(findings, &results)?.as_bytes())?;
    }
    match &options.json {
        None => table(options, &results)?,
        Some(path) => {
            let json = serde_json::to_string_pretty(&results)
                .map_err(|error| Failure::new(format!("cannot write the results: {error}")))?
                + "\n";
            if is_standard_output(path) {
                print(&json)?;
            } else {
                save(path, json.as_bytes())?;
                table(options, &results)?;
            }
        }
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
