//! What a reader must know of the machine, and what ties a process to its parent.

use std::fs;

use anyhow::{Context, Result};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use super::figures::Facts;
use super::machine::{self, Cores};

/// Has the kernel end this process when its parent ends.
pub(super) fn end_with_parent() -> Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("cannot tie this process to its parent")
}

/// What a reader must know to place the numbers: `packages` are those whose versions matter.
pub(super) fn facts(cores: &Cores, packages: &[&str]) -> Facts {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let unknown = || "unknown".to_owned();
    let mut command = vec!["cargo run --release -p sockeye-tests --bin compare".to_owned()];
    command.extend(std::env::args().skip(1).map(|argument| {
        if argument.contains(' ') {
            format!("'{argument}'")
        } else {
            argument
        }
    }));
    if command.len() > 1 {
        command.insert(1, "--".to_owned());
    }
    Facts(vec![
        ("command", format!("`{}`", command.join(" "))),
        (
            "processor",
            format!(
                "{}, client on core {}, echo on core {}",
                machine::processor().unwrap_or_else(unknown),
                cores.measured,
                cores.other
            ),
        ),
        (
            "kernel",
            kernel.map_or_else(unknown, |text| text.trim().to_owned()),
        ),
        (
            "compiler",
            machine::first_line("rustc", &["--version"]).unwrap_or_else(unknown),
        ),
        (
            "commit",
            machine::first_line("git", &["describe", "--always", "--dirty", "--abbrev=12"])
                .unwrap_or_else(unknown),
        ),
        (
            "versions",
            packages
                .iter()
                .map(|name| format!("{name} {}", locked_version(name).unwrap_or("unknown")))
                .collect::<Vec<_>>()
                .join(", "),
        ),
    ])
}

/// The version of a package that this program was built with.
fn locked_version(name: &str) -> Option<&'static str> {
    let lock = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}
