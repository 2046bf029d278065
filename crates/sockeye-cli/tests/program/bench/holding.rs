//! Connections that rest, that come and go, and that read slowly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::host::{self, Host};
use super::{bench, number};

#[test]
fn idle_connections_are_held_and_their_memory_is_told() {
    let open = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&open);
    let host = Host::start(move |ws| {
        count.fetch_add(1, Ordering::Relaxed);
        host::echo(ws, |_, message| message)
    });
    let (ended, results) = bench("idle", &host.url(), &["-c", "50", "--touch"]);
    assert_eq!(ended.status, 0, "{results:#}");
    assert_eq!(number(&results, "/connections/opened"), 50.0);
    assert_eq!(open.load(Ordering::Relaxed), 50);
    if cfg!(target_os = "linux") {
        assert_eq!(number(&results, "/server/pids/0"), f64::from(std::process::id()));
        for memory in [
            "/idle/rss_per_connection",
            "/idle/anonymous_per_connection",
            "/idle/kernel_per_connection",
        ] {
            number(&results, memory);
        }
        assert!(number(&results, "/server/memory_after/rss") > 0.0);
    }
    // Without an echo, the touch has no answer.
    let silent = Host::start(|mut ws| async move {
        while ws.recv().await?.is_some() {}
        Ok(())
    });
    let (ended, results) = bench(
        "idle",
        &silent.url(),
        &["-c", "3", "--touch", "--patience", "100ms"],
    );
    assert_eq!((ended.status, number(&results, "/messages/unanswered")), (6, 3.0));
    let (ended, _) = bench("idle", &silent.url(), &["-c", "3"]);
    assert_eq!(ended.status, 0);
}

#[test]
fn connections_come_and_go() {
    let table: &[&[&str]] = &[
        &["-c", "5"],
        &["-c", "5", "--rate", "100"],
        &["-c", "5", "--reset", "-t", "2"],
    ];
    for flags in table {
        let came = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&came);
        let host = Host::start(move |ws| {
            count.fetch_add(1, Ordering::Relaxed);
            host::echo(ws, |_, message| message)
        });
        let (ended, results) = bench("churn", &host.url(), flags);
        assert_eq!(ended.status, 0, "{flags:?}: {results:#}");
        assert!(number(&results, "/churn/opened") > 0.0, "{flags:?}");
        let opened = number(&results, "/connections/opened");
        let came = came.load(Ordering::Relaxed) as f64;
        if flags.contains(&"--reset") {
            // It may have been too late for its handler.
            assert!(came > 0.0);
        } else {
            // Five may have been under way at the end.
            assert!((opened..=opened + 5.0).contains(&came), "{came} {opened}");
        }
        if flags.contains(&"--rate") {
            assert_eq!(number(&results, "/churn/rate"), 100.0);
        }
    }
}

#[test]
fn slow_readers_are_told_beside_the_others() {
    let host = Host::start(|ws| host::echo(ws, |_, message| message));
    let flags = [
        "-c",
        "3",
        "--slow",
        "2",
        "--slow-size",
        "32KiB",
        "--duration",
        "600ms",
    ];
    let (ended, results) = bench("slow-reader", &host.url(), &flags);
    assert_eq!(ended.status, 0, "{results:#}");
    let facts = &results["slow_reader"];
    assert_eq!((number(facts, "/read"), number(facts, "/ended")), (0.0, 0.0));
    assert!(number(facts, "/sent") > 0.0);
    for latency in ["/without/count", "/with/count"] {
        assert!(number(facts, latency) > 0.0, "{facts}");
    }
    let (ended, results) = bench(
        "slow-reader",
        &host.url(),
        &[&flags[..], &["--read-rate", "1MiB"]].concat(),
    );
    assert_eq!(ended.status, 0, "{results:#}");
    assert!(number(&results, "/slow_reader/read") > 0.0, "{results:#}");
}
