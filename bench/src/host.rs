//! What the operating system knows: cores, limits, the time and memory that processes took.

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::ClockId;
use nix::unistd::{Pid, SysconfVar, sysconf};

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
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
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
                processor.unwrap_or_else(unknown),
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
                output("rustc", &["--version"]).unwrap_or_else(unknown),
                output("g++", &["--version"]).unwrap_or_else(unknown)
            ),
        ),
        (
            "commit",
            output("git", &["describe", "--always", "--dirty", "--abbrev=12"]).unwrap_or_else(unknown),
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

/// The first line of what a program prints, if it runs.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.lines().next()?.to_owned())
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
