//! The benchmark of servers, a package of its own in `bench/`.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::setup::{self, Tool};
use crate::{checkout, process, program};

/// Time for a full run with all servers, and to build them.
const TIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Builds the program, installs what its servers need, and runs it.
pub(crate) fn run(arguments: &[OsString]) -> Result<()> {
    let package = checkout::root().join("bench");
    let program = program::build_in(&package, "bench")?;
    let only_asks = ["--help", "-h", "--list"];
    let mut command = Command::new(program);
    if !arguments
        .iter()
        .any(|argument| only_asks.iter().any(|asks| argument == asks))
    {
        setup::ensure(&[Tool::CxxCompiler, Tool::CxxLibraries, Tool::Node])?;
        command.env("PATH", setup::node()?.search_path()?);
    }
    // As cargo would say it to a program that it runs: where the sources are.
    command.env("CARGO_MANIFEST_DIR", package).args(arguments);
    process::run(&mut command, TIME)
}
