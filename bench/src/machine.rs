//! The machine: its cores, and what it says of itself. `compare`, among the tests, has this file too.

use std::fs;
use std::process::{Child, Command};

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The cores that the two sides run on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    /// For the library under test, alone.
    pub(crate) measured: usize,
    /// For what it talks to.
    pub(crate) other: usize,
}

impl Cores {
    /// The first two cores of the machine that we may use.
    pub(crate) fn choose() -> Result<Self> {
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
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::this(), &set).with_context(|| format!("cannot run on core {core}"))
}

/// Starts a program on the core of what is measured: a child inherits its parent's pinning.
pub(crate) fn spawn_measured(command: &mut Command, cores: &Cores) -> Result<Child> {
    pin(cores.measured)?;
    let child = command.spawn();
    pin(cores.other)?;
    Ok(child?)
}

/// The name of the processor.
pub(crate) fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The first line of what a program prints, if it runs.
pub(crate) fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.lines().next()?.to_owned())
}
