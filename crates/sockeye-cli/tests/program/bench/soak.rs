//! Churn, slow readers and publishing side by side: nothing is lost, and nothing stays behind.
//!
//! For two seconds, or for as long as `SOCKEYE_SOAK` says:
//! `SOCKEYE_SOAK=30m cargo test --release -p sockeye-cli --test program soak -- --nocapture`

use std::fs;
use std::time::Instant;

use serde_json::Value;

use super::host::{Fault, Host, Relay};
use super::{bench, number};
use crate::support::{PATIENCE, Server};

#[test]
fn a_soak_loses_nothing_and_leaves_nothing_behind() {
    let duration = std::env::var("SOCKEYE_SOAK").unwrap_or_else(|_| "2s".to_owned());
    let server = Server::start(&[]);
    let echo = server.url("ws");

    let pid = server.pid();
    let fresh = settled(pid, usize::MAX);
    // What the server keeps of its first connections, such as buffers of its threads, it keeps for good.
    soak(&echo, "1s");
    let base = (settled(pid, fresh), resident(pid));
    soak(&echo, &duration);
    let files = settled(pid, base.0);
    let memory = resident(pid);
    println!(
        "open files {} -> {files}, resident KiB {} -> {memory}",
        base.0, base.1
    );
    assert!(files <= base.0, "{files} open files, {} before", base.0);
    // An allocator gives back what it likes; what leaks with each of thousands of connections is more than this.
    assert!(
        memory <= base.1 + 16 * 1024,
        "{memory} KiB resident, {} before",
        base.1
    );
}

/// All three at the same time; each must end well.
fn soak(echo: &str, duration: &str) {
    // It begins when all of its 22 members are there, so each round has one of its own.
    let relay = Relay::new(Fault::None, 22);
    let host = Host::start(move |ws| relay.clone().serve(ws));
    let room = &host.url();
    let time = ["--duration", duration];
    std::thread::scope(|scope| {
        let run = |scenario: &'static str, url, flags: &'static [&str]| {
            scope.spawn(move || bench(scenario, url, &[flags, &time[..]].concat()))
        };
        let churn = run("churn", echo, &["-c", "10", "--rate", "100"]);
        let slow = run(
            "slow-reader",
            echo,
            &["-c", "5", "--slow", "3", "--read-rate", "100KiB"],
        );
        let publishing = run(
            "broadcast",
            room,
            &["-p", "2", "-S", "20", "--rate", "100", "--patience", "20s"],
        );
        for work in [churn, slow, publishing] {
            let (ended, results) = work.join().expect("it tells its results");
            assert_eq!(ended.status, 0, "{results:#}");
            check(&results);
        }
    });
}

fn check(results: &Value) {
    if results["scenario"] == "broadcast" {
        let facts = &results["broadcast"];
        assert!(number(facts, "/published") > 0.0, "{results:#}");
        assert_eq!(facts["delivered"], facts["expected"], "{results:#}");
        assert_eq!(facts["duplicates"], 0);
    }
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
