//! What the operating system knows: limits, the time and memory that processes took.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::ClockId;
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::machine::{self, Cores};

/// Allows this process as many open files as it may allow itself; gives how many that are.
pub(crate) fn raise_file_limit() -> Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// The time a process has spent on a core.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// All of it, as the scheduler counts it: exact.
    pub(crate) cpu: Duration,
    /// How the ticks of the clock found it: a sample, good for a proportion.
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
}

impl Times {
    pub(crate) fn of(pid: Pid) -> Result<Self> {
        let clock = ClockId::pid_cpu_clock_id(pid).context("no clock of the server's CPU time")?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // proc_pid_stat(5): the name of the program, in parentheses, may hold anything.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        let ticks = |field: usize| -> Result<u64> {
            // Fields are numbered from 1, and the third is the first behind the name.
            let text = fields.get(field - 3).context("/proc/<pid>/stat is short")?;
            Ok(text.parse()?)
        };
        Ok(Self {
            cpu: clock.now()?.into(),
            user_ticks: ticks(14)?,
            system_ticks: ticks(15)?,
        })
    }
}

/// The memory that a process has, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident in all.
    pub(crate) resident: u64,
    /// Heap, stacks and the like: what no file is behind.
    pub(crate) anonymous: u64,
}

impl Memory {
    pub(crate) fn of(pid: Pid) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let field = |name: &str| kib_field(&text, name).with_context(|| format!("no {name} in smaps_rollup"));
        Ok(Self {
            resident: field("Rss:")?,
            anonymous: field("Anonymous:")?,
        })
    }
}

/// The memory that the kernel has for the whole machine, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KernelMemory {
    /// Data in the buffers of TCP sockets.
    pub(crate) tcp_buffers: u64,
    /// Its own objects, sockets among them.
    pub(crate) slab: u64,
}

impl KernelMemory {
    pub(crate) fn now() -> Result<Self> {
        let sockets = fs::read_to_string("/proc/net/sockstat")?;
        let pages: u64 = sockets
            .lines()
            .find(|line| line.starts_with("TCP:"))
            .and_then(|line| line.split(" mem ").nth(1))
            .and_then(|rest| rest.split_whitespace().next())
            .context("no memory of TCP in /proc/net/sockstat")?
            .parse()?;
        let page = sysconf(SysconfVar::PAGE_SIZE)?.context("no page size")?;
        let slab = kib_field(&fs::read_to_string("/proc/meminfo")?, "Slab:").context("no Slab in meminfo")?;
        Ok(Self {
            tcp_buffers: pages * page as u64,
            slab,
        })
    }
}

/// The value of a line such as `Rss:   123 kB`, in bytes.
fn kib_field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// What a reader must know of the machine and of this program.
pub(crate) fn facts(cores: &Cores) -> Vec<(String, String)> {
    let setting = |path| Some(fs::read_to_string(path).ok()?.trim().to_owned());
    let kernel = setting("/proc/sys/kernel/osrelease");
    // With `bbr` TCP spaces out what a large message is sent in, and neither end is busy all of the time.
    let congestion = setting("/proc/sys/net/ipv4/tcp_congestion_control");
    let unknown = || "unknown".to_owned();
    let command = command(std::env::args().skip(1));
    let facts = [
        ("command", format!("`{command}`")),
        (
            "processor",
            format!(
                "{}, server on core {}, load on core {}",
                machine::processor().unwrap_or_else(unknown),
                cores.measured,
                cores.other
            ),
        ),
        (
            "kernel",
            format!(
                "{}, TCP's congestion control {}",
                kernel.unwrap_or_else(unknown),
                congestion.unwrap_or_else(unknown)
            ),
        ),
        (
            "compilers",
            format!(
                "{}; {}; all for the processor they run on",
                machine::first_line("rustc", &["--version"]).unwrap_or_else(unknown),
                machine::first_line("g++", &["--version"]).unwrap_or_else(unknown)
            ),
        ),
        (
            "commit",
            machine::first_line("git", &["describe", "--always", "--dirty", "--abbrev=12"])
                .unwrap_or_else(unknown),
        ),
    ];
    facts
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// How the same could be measured elsewhere. A run that was interrupted and goes on is the same run, and where somebody's
/// folders are says nothing of it.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut command = "cargo xtask bench".to_owned();
    let mut arguments = arguments.filter(|argument| argument != "--resume");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--out" => drop(arguments.next()),
            "--uws-sources" => {
                arguments.next();
                command.push_str(" --uws-sources FOLDER");
            }
            _ => {
                command.push(' ');
                command.push_str(&argument);
            }
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_told_without_folders() {
        let words = "--preset proof --uws-sources /srv/uws --out /tmp/run --resume --rounds 9";
        assert_eq!(
            command(words.split(' ').map(str::to_owned)),
            "cargo xtask bench --preset proof --uws-sources FOLDER --rounds 9"
        );
    }
}
