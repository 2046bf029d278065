//! Churn, resets, slow readers, echoes and publishing side by side, on both drivers, plain and over TLS: nothing is lost or
//! doubled, and nothing stays behind.
//!
//! For two seconds on two servers, or for as long and as often as `SOCKEYE_SOAK` says on four; between rounds the servers
//! are looked at:
//! `SOCKEYE_SOAK=6x5m cargo test --release -p sockeye-cli --test program soak -- --nocapture`

use std::fs;
use std::time::Instant;

use serde_json::Value;

use super::{bench, number};
use crate::support::{PATIENCE, Server};

/// What is done to each server at the same time: scenario, path, flags. The rates leave two cores room for all of it.
const WORK: [(&str, &str, &[&str]); 5] = [
    ("churn", "/echo", &["-c", "10", "--rate", "50"]),
    ("churn", "/echo", &["-c", "5", "--rate", "20", "--reset"]),
    (
        "slow-reader",
        "/echo",
        &["-c", "1", "--slow", "3", "--read-rate", "100KiB"],
    ),
    (
        "echo",
        "/echo",
        &[
            "-c",
            "10",
            "--rate",
            "200",
            "-w",
            "1000",
            "--size",
            "2KiB",
            "--payload",
            "json",
            "--compress",
        ],
    ),
    (
        // Subscribers have to be known to the workers of all publishers before the first message.
        "broadcast",
        "/topics/{topic}",
        &[
            "-p", "4", "-S", "20", "--topics", "2", "--rate", "50", "--settle", "500ms",
        ],
    ),
];

#[test]
fn a_soak_loses_nothing_and_leaves_nothing_behind() {
    let (rounds, duration, places) = plan();
    let mut servers: Vec<_> = places
        .iter()
        .map(|(driver, tls)| Soaked::start(driver, *tls))
        .collect();
    // What a server keeps of its first connections, such as buffers of its threads, it keeps for good.
    soak(&servers, "2s");
    for server in &mut servers {
        server.files = settled(server.server.pid(), server.files);
        server.memory = resident(server.server.pid());
    }
    for round in 1..=rounds {
        soak(&servers, &duration);
        for server in &servers {
            server.is_as_before(round);
        }
    }
}

/// The drivers of the servers, and whether they are reached over TLS. The first and the last are enough to see each.
const PLACES: [(&str, bool); 4] = [
    ("readiness", true),
    ("readiness", false),
    ("auto", true),
    ("auto", false),
];

/// How many rounds, how long each is, and on which servers: `30m` is one, `6x5m` are six.
fn plan() -> (u32, String, Vec<(&'static str, bool)>) {
    match std::env::var("SOCKEYE_SOAK") {
        Err(_) => (1, "2s".to_owned(), vec![PLACES[0], PLACES[3]]),
        Ok(wish) => match wish.split_once('x') {
            Some((rounds, duration)) => {
                let rounds = rounds.parse().expect("a number of rounds");
                (rounds, duration.to_owned(), PLACES.to_vec())
            }
            None => (1, wish, PLACES.to_vec()),
        },
    }
}

/// A server, and what it had before.
struct Soaked {
    name: String,
    server: Server,
    url: String,
    files: usize,
    memory: u64,
}

impl Soaked {
    fn start(driver: &str, tls: bool) -> Self {
        let mut flags = vec!["--driver", driver, "--compression", "on", "--topics", "publish"];
        // A busy machine is slow, and that is not what is looked at.
        flags.extend(["--handshake-timeout", "1m", "--tls-timeout", "1m"]);
        if tls {
            flags.push("--tls-self-signed");
        }
        let server = Server::start(&flags);
        let scheme = if tls { "wss" } else { "ws" };
        Self {
            name: format!("{driver} {scheme}"),
            url: format!("{scheme}://{}", server.authority()),
            files: settled(server.pid(), usize::MAX),
            memory: 0,
            server,
        }
    }

    fn is_as_before(&self, round: u32) {
        let Self {
            name, files, memory, ..
        } = self;
        let (now_files, now_memory) = (settled(self.server.pid(), *files), resident(self.server.pid()));
        println!(
            "round {round}, {name}: open files {files} -> {now_files}, resident KiB {memory} -> {now_memory}"
        );
        assert!(
            now_files <= *files,
            "{name}: {now_files} open files, {files} before"
        );
        // An allocator gives back what it likes; what leaks with each of thousands of connections is more than this.
        assert!(
            now_memory <= memory + 16 * 1024,
            "{name}: {now_memory} KiB resident, {memory} before"
        );
    }
}

/// All work on all servers at the same time; each must end well.
fn soak(servers: &[Soaked], duration: &str) {
    let patience = ["--patience", "1m", "--connect-timeout", "1m"];
    let common = [&["--duration", duration, "--insecure"][..], &patience].concat();
    std::thread::scope(|scope| {
        let mut all = Vec::new();
        for server in servers {
            for (scenario, path, flags) in WORK {
                let url = format!("{}{path}", server.url);
                let flags = [flags, &common].concat();
                let work = scope.spawn(move || bench(scenario, &url, &flags));
                all.push((&server.name, scenario, work));
            }
        }
        for (name, scenario, work) in all {
            let (ended, results) = work.join().expect("it tells its results");
            assert_eq!(
                ended.status, 0,
                "{name}, {scenario}: {} {results:#}",
                ended.stderr
            );
            println!("{name}, {scenario}: {}", checked(&results));
        }
    });
}

/// What came of it, in a line; all of it as it should be.
fn checked(results: &Value) -> String {
    for nothing in [
        "/connections/failed",
        "/connections/lost",
        "/messages/wrong",
        "/messages/unanswered",
        "/messages/unsent",
    ] {
        assert_eq!(number(results, nothing), 0.0, "{nothing}: {results:#}");
    }
    let opened = number(results, "/connections/opened");
    let facts = &results["broadcast"];
    if facts.is_null() {
        assert!(opened > 0.0, "{results:#}");
        let [sent, received] =
            ["/messages/sent", "/messages/received"].map(|pointer| number(results, pointer));
        return format!("{opened} connections, {sent} messages sent, {received} received while it counted");
    }
    assert!(number(facts, "/published") > 0.0, "{results:#}");
    assert_eq!(facts["delivered"], facts["expected"], "{results:#}");
    for fault in ["lost", "duplicates", "reordered"] {
        assert_eq!(facts[fault], 0, "{results:#}");
    }
    format!(
        "{} published, {} delivered",
        facts["published"], facts["delivered"]
    )
}

/// How many files a process has open, once they are not more than `most`, or patience is at its end.
fn settled(pid: u32, most: usize) -> usize {
    let begun = Instant::now();
    loop {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count();
        if files <= most || begun.elapsed() > PATIENCE {
            return files;
        }
        std::thread::yield_now();
    }
}

/// In KiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    number.expect("the system tells")
}
