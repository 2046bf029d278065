//! The cores that the two sides run on, and what a reader must know of the machine.

use std::fs;
use std::process::{Child, Command};

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::figures::Facts;

/// The cores that the two sides run on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cores {
    /// For the library under test, alone.
    pub(super) measured: usize,
    /// For what it talks to.
    pub(super) other: usize,
}

impl Cores {
    /// The first two cores of the machine that we may use.
    pub(super) fn choose() -> Result<Self> {
        // Whoever started us may have pinned us: ask init, whose cores are those of the machine or the container.
        let allowed = sched_getaffinity(Pid::from_raw(1)).or_else(|_| sched_getaffinity(Pid::this()))?;
        let mut cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
        match (cores.next(), cores.next()) {
            (Some(measured), Some(other)) => Ok(Self { measured, other }),
            _ => anyhow::bail!("two cores are needed, one for the library and one for what it talks to"),
        }
    }
}

/// Keeps this process, and the threads it will start, on one core.
pub(super) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::this(), &set).with_context(|| format!("cannot run on core {core}"))
}

/// Starts a program on the core of what is measured: a child inherits its parent's pinning.
pub(super) fn spawn_measured(command: &mut Command, cores: &Cores) -> Result<Child> {
    pin(cores.measured)?;
    let child = command.spawn();
    pin(cores.other)?;
    Ok(child?)
}

/// Has the kernel end this process when its parent ends.
pub(super) fn end_with_parent() -> Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("cannot tie this process to its parent")
}

/// What a reader must know to place the numbers: `packages` are those whose versions matter.
pub(super) fn facts(cores: &Cores, packages: &[&str]) -> Facts {
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
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
                processor.unwrap_or_else(unknown),
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
            output("rustc", &["--version"]).unwrap_or_else(unknown),
        ),
        (
            "commit",
            output("git", &["describe", "--always", "--dirty", "--abbrev=12"]).unwrap_or_else(unknown),
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

/// The first line of what a program prints, if it runs.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.lines().next()?.to_owned())
}

/// The version of a package that this program was built with.
fn locked_version(name: &str) -> Option<&'static str> {
    let lock = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}
