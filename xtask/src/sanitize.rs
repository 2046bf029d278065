//! The library's tests under tools that see what a test does not: memory that is used when it may not be.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::checkout;
use crate::process::{run, succeeds};
use crate::program::{cargo, host};

/// Time to build the library with all it needs, and to run its tests several times slower than usual.
const TIME: Duration = Duration::from_secs(40 * 60);

/// Where the library has `unsafe` code, and what passes between threads.
const TESTS: [&str; 4] = ["driver::", "engine::", "hub::", "message::"];

/// What Miri can run of it: that which asks nothing of the system that Miri does not know.
const TESTS_OF_MIRI: [&str; 2] = ["engine::tests::mailbox", "message::"];

/// Which tools.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// What to run the tests under; repeat it, or separate several with commas
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Self::default().with)]
    with: Vec<Instrument>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            with: vec![Instrument::Address],
        }
    }
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Instrument {
    /// AddressSanitizer with its leak check, by the toolchain at hand
    Address,
    /// Miri, by a nightly toolchain that has it: what asks nothing of the system
    Miri,
}

/// Runs the library's tests under each of them.
///
/// # Errors
///
/// A test failed, or a tool objected to something.
pub(crate) fn test(options: &Options) -> Result<()> {
    for instrument in &options.with {
        match instrument {
            Instrument::Address => address(),
            Instrument::Miri => miri(),
        }
        .with_context(|| format!("{instrument:?}"))?;
    }
    Ok(())
}

fn address() -> Result<()> {
    let mut command = cargo();
    command
        .arg("test")
        // A sanitizer is an option that stable compilers have, and keep to themselves.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", "-Zsanitizer=address");
    run(with_tests(&mut command, &host()?, &TESTS), TIME)
}

fn miri() -> Result<()> {
    ensure!(
        succeeds(nightly().args(["miri", "--version"])),
        "there is no nightly toolchain with Miri: `rustup component add miri --toolchain nightly`"
    );
    let mut command = nightly();
    command
        .args(["miri", "test"])
        // The tests look at the clock and read files.
        .env("MIRIFLAGS", "-Zmiri-disable-isolation");
    run(with_tests(&mut command, &host()?, &TESTS_OF_MIRI), TIME)
}

/// Cargo of the nightly toolchain, whichever one runs this.
fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command
        .args(["run", "nightly", "cargo"])
        .current_dir(checkout::root())
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("RUSTDOC");
    command
}

/// These of the library's tests. What is compiled by others' compilers, TLS, is left out: no tool sees into it.
fn with_tests<'c>(command: &'c mut Command, host: &str, tests: &[&str]) -> &'c mut Command {
    command
        .args([
            "--package",
            "sockeye",
            "--no-default-features",
            "--features",
            "server",
            "--lib",
        ])
        // Naming the host as target keeps the flags away from build scripts and macros.
        .args(["--target", host, "--"])
        .args(tests)
}
