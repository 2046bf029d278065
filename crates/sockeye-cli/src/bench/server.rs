//! What the server takes of this machine, if it is on this machine: CPU time and memory.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::cpu::CpuTime;
use super::plan::{Address, Plan};

/// The server's processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Processes {
    pids: Vec<u32>,
}

/// Memory of processes, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Memory {
    /// Resident: what is in memory, shared pages included.
    pub(super) rss: u64,
    /// Proportional: shared pages divided among those that share them. 0 if the system does not tell.
    pub(super) pss: u64,
    /// What belongs to no file: what the processes have allocated, whoever else runs the same program.
    pub(super) anonymous: u64,
}

impl Processes {
    /// Those that were named, or those that listen where the plan connects to.
    pub(super) fn find(named: &[u32], plan: &Plan) -> Self {
        if !named.is_empty() {
            return Self { pids: named.to_vec() };
        }
        let inodes = match &plan.address {
            address if !address.is_local() => BTreeSet::new(),
            Address::Tcp(address) => ["/proc/net/tcp", "/proc/net/tcp6"]
                .iter()
                .filter_map(|table| std::fs::read_to_string(table).ok())
                .flat_map(|table| listening(&table, address.port()))
                .collect(),
            Address::Unix(path) => {
                let table = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
                listening_at(&table, path).into_iter().collect()
            }
        };
        Self {
            pids: owners(&inodes),
        }
    }

    pub(super) fn pids(&self) -> &[u32] {
        &self.pids
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pids.is_empty()
    }

    /// Those that have ended.
    pub(super) fn gone(&self) -> Vec<u32> {
        self.pids.iter().copied().filter(|pid| is_gone(*pid)).collect()
    }

    /// The CPU time of all of them so far.
    pub(super) fn cpu(&self) -> CpuTime {
        self.pids
            .iter()
            .filter_map(|pid| cpu(*pid))
            .fold(CpuTime::default(), CpuTime::plus)
    }

    /// The memory of all of them now.
    pub(super) fn memory(&self) -> Memory {
        let parts = self.pids.iter().map(|pid| memory(*pid));
        parts.fold(Memory::default(), |sum, part| Memory {
            rss: sum.rss + part.rss,
            pss: sum.pss + part.pss,
            anonymous: sum.anonymous + part.anonymous,
        })
    }
}

/// Inodes of the sockets that listen on this port, in the format of `/proc/net/tcp`.
fn listening(table: &str, port: u16) -> Vec<u64> {
    let port = format!("{port:04X}");
    let rows = table.lines().skip(1).filter_map(|row| {
        let fields: Vec<_> = row.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        // 0A is LISTEN.
        let listens = *state == "0A" && local.ends_with(&format!(":{port}"));
        listens.then(|| inode.parse().ok()).flatten()
    });
    rows.collect()
}

/// Inodes of the sockets at this path, in the format of `/proc/net/unix`.
fn listening_at(table: &str, path: &Path) -> Vec<u64> {
    let rows = table.lines().skip(1).filter_map(|row| {
        let fields: Vec<_> = row.split_whitespace().collect();
        let (flags, inode, bound) = (fields.get(3)?, fields.get(6)?, fields.get(7)?);
        // The flag of a socket that accepts.
        let listens = *flags == "00010000" && Path::new(bound) == path;
        listens.then(|| inode.parse().ok()).flatten()
    });
    rows.collect()
}

/// The processes that have one of these sockets open. Those of other users cannot be seen.
fn owners(inodes: &BTreeSet<u64>) -> Vec<u32> {
    if inodes.is_empty() {
        return Vec::new();
    }
    let links: BTreeSet<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    let mut pids: Vec<u32> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| has_open(*pid, &links))
        .collect();
    pids.sort_unstable();
    pids
}

fn has_open(pid: u32, links: &BTreeSet<String>) -> bool {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .any(|link| link.to_str().is_some_and(|link| links.contains(link)))
}

/// Whether there is no process of this number, or one that has ended and whose parent has not asked how.
pub(super) fn is_gone(pid: u32) -> bool {
    use nix::errno::Errno;
    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    // No signal is sent; 0 and numbers below would be groups of processes.
    match i32::try_from(pid) {
        Ok(number @ 1..) => kill(Pid::from_raw(number), None) == Err(Errno::ESRCH) || is_zombie(pid),
        _ => true,
    }
}

fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|text| fields(&text)?.next()?.chars().next())
        .is_some_and(|state| matches!(state, 'Z' | 'X'))
}

/// What comes behind the name of the program, in the format of `/proc/PID/stat`.
fn fields(text: &str) -> Option<impl Iterator<Item = &str>> {
    // The name may have anything in it.
    text.rsplit_once(')').map(|(_, fields)| fields.split_whitespace())
}

/// The whole to the nanosecond; its parts in the ratio of the ticks that the system counts.
#[cfg(target_os = "linux")]
fn cpu(pid: u32) -> Option<CpuTime> {
    use std::time::Duration;

    use nix::time::{clock_getcpuclockid, clock_gettime};
    use nix::unistd::Pid;

    let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into().ok()?)).ok()?;
    let whole = Duration::from(clock_gettime(clock).ok()?);
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let (user, system) = ticks(&text).unwrap_or_default();
    let share = user as f64 / (user + system).max(1) as f64;
    let user = whole.mul_f64(share);
    Some(CpuTime {
        whole,
        user,
        system: whole - user,
    })
}

#[cfg(not(target_os = "linux"))]
fn cpu(_: u32) -> Option<CpuTime> {
    None
}

/// Ticks of user and system time, in the format of `/proc/PID/stat`.
fn ticks(text: &str) -> Option<(u64, u64)> {
    let mut fields = fields(text)?.skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn memory(pid: u32) -> Memory {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let maps = read("smaps_rollup");
    Memory {
        rss: kibibytes(&read("status"), "VmRSS:").unwrap_or_default(),
        pss: kibibytes(&maps, "Pss:").unwrap_or_default(),
        anonymous: kibibytes(&maps, "Anonymous:").unwrap_or_default(),
    }
}

/// Memory of the system's own objects, sockets among them, in bytes.
pub(super) fn kernel_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kibibytes(&text, "Slab:").unwrap_or_default()
}

/// The value of a line such as `VmRSS:  1234 kB`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_listens_is_found_by_the_port() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let inodes: BTreeSet<_> = listening(&table, port).into_iter().collect();
        assert_eq!(inodes.len(), 1);
        assert_eq!(owners(&inodes), [std::process::id()]);
    }

    #[test]
    fn who_listens_is_found_by_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let table = std::fs::read_to_string("/proc/net/unix").unwrap();
        let inodes: BTreeSet<_> = listening_at(&table, &path).into_iter().collect();
        assert_eq!(owners(&inodes), [std::process::id()]);
    }

    #[test]
    fn a_process_has_cpu_time_and_memory() {
        let own = Processes {
            pids: vec![std::process::id()],
        };
        let memory = own.memory();
        assert!(
            memory.rss > 100_000 && memory.pss > 0 && memory.anonymous > 0,
            "{memory:?}"
        );
        let before = own.cpu();
        while own.cpu().since(before).whole.is_zero() {
            std::hint::spin_loop();
        }
        let none = Processes { pids: vec![u32::MAX] };
        assert_eq!(
            (none.memory(), none.cpu()),
            (Memory::default(), CpuTime::default())
        );
        assert_eq!((own.gone(), none.gone()), (vec![], vec![u32::MAX]));
    }

    #[test]
    fn the_name_of_a_program_cannot_hide_its_ticks() {
        let text = "7 (a) 1 (b)) S 1 2 3 4 5 6 7 8 9 10 123 45 0 0";
        assert_eq!(ticks(text), Some((123, 45)));
    }
}
