//! What is written: the table, files, and what is wrong with options.

use std::fs;

use super::bench;
use crate::support::{Server, complaint, run, sockeye};

#[test]
fn a_pipe_gets_the_table_and_nothing_else() {
    let server = Server::start(&[]);
    let words = [
        "bench",
        "echo",
        &server.url("ws"),
        "-c",
        "5",
        "-d",
        "200ms",
        "--warmup",
        "0s",
    ];
    let ended = run(&words);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    for words in [
        "echo  ",
        "Connections  5 opened in ",
        "per second\n",
        "p99.9",
        "Generator ",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains('\u{1b}'), "no colours in a pipe");
    let quiet = run(&[&words[..], &["--quiet"]].concat());
    assert_eq!(
        (quiet.status, quiet.stdout, quiet.stderr),
        (0, String::new(), String::new())
    );
}

#[test]
fn results_go_to_files() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (json, plot, log, percentiles) = (file("a.json"), file("a.svg"), file("a.hlog"), file("a.hgrm"));
    let (url, pid) = (server.url("ws"), std::process::id().to_string());
    let flags = ["-c", "5", "-d", "500ms", "--warmup", "0s", "--server-pid", &pid];
    for histogram in [&log, &percentiles] {
        let outputs = ["--json", &json, "--plot", &plot, "--histogram", histogram];
        let ended = run(&[&["bench", "echo", &url], &flags[..], &outputs].concat());
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
        assert!(ended.stdout.contains("per second"), "{}", ended.stdout);
    }
    let results: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(
        (&results["version"], &results["scenario"]),
        (&1.into(), &"echo".into())
    );
    assert!(!results["intervals"].as_array().unwrap().is_empty());
    if cfg!(target_os = "linux") {
        assert_eq!(results["server"]["pids"][0], std::process::id());
    }
    let svg = fs::read_to_string(&plot).unwrap();
    for words in [
        "<svg",
        "Latency by percentile",
        "Messages received per second",
        "Latency over time",
        "</svg>",
    ] {
        assert!(svg.contains(words), "{words}");
    }
    assert!(fs::read_to_string(&log).unwrap().contains("#[BaseTime: "));
    assert!(
        fs::read_to_string(&percentiles)
            .unwrap()
            .contains("Percentile TotalCount")
    );
}

#[test]
fn a_tls_server_is_reached_by_its_certificate_or_without_one() {
    let server = Server::start(&["--tls-self-signed", "--compression", "on"]);
    let url = server.url("wss");
    for flags in [
        &["-k", "-c", "5", "--size", "100KiB", "-w", "4"][..],
        &[
            "-k",
            "-c",
            "5",
            "--resume",
            "--compress",
            "--payload",
            "json",
            "--size",
            "4KiB",
        ],
        &[
            "--insecure",
            "-c",
            "5",
            "--rate",
            "500",
            "-w",
            "100",
            "--server-name",
            "example.org",
        ],
    ] {
        let (ended, results) = bench("echo", &url, flags);
        assert_eq!(ended.status, 0, "{flags:?}: {results:#}");
        assert_eq!(results["load"]["tls"], true);
    }
    let line = complaint(&mut sockeye(&["bench", "echo", &url, "-c", "2"]), 1);
    assert!(
        line.contains("--ca names one to trust, --insecure accepts any): invalid peer certificate: "),
        "{line}"
    );
    let plain = Server::start(&[]);
    let wrong = plain.url("ws").replacen("ws", "wss", 1);
    let line = complaint(&mut sockeye(&["bench", "echo", &wrong, "-c", "2"]), 1);
    assert!(line.contains("is not TLS; it may be one for ws://"), "{line}");
    let line = complaint(&mut sockeye(&["bench", "echo", &url, "--ca", "/nowhere.pem"]), 2);
    assert!(line.contains("/nowhere.pem"), "{line}");
}

#[test]
fn requests_have_what_was_asked_for() {
    let server = Server::start(&["--subprotocol", "b", "--origin", "https://example.org"]);
    let flags = [
        "-c",
        "2",
        "-H",
        "X-Test: 1",
        "-s",
        "a,b",
        "-o",
        "https://example.org",
    ];
    let (ended, results) = bench("echo", &server.url("ws"), &flags);
    assert_eq!(ended.status, 0, "{results:#}");
    assert_eq!(results["connections"]["subprotocol"], "b");
    let flags = ["-c", "2", "-o", "https://example.com"];
    let url = server.url("ws");
    let words = [&["bench", "echo", &url], &flags[..]].concat();
    let line = complaint(&mut sockeye(&words), 1);
    assert!(line.contains("403 Forbidden"), "{line}");
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket").display().to_string();
    let _server = Server::start(&["--unix", &path]);
    let (ended, results) = bench("echo", "ws://localhost/echo", &["-c", "3", "--unix", &path]);
    assert_eq!(ended.status, 0, "{results:#}");
}

#[test]
fn what_cannot_be_done_is_explained_before_it_begins() {
    let url = "ws://127.0.0.1:1/";
    let table: &[(&[&str], &str)] = &[
        (
            &["--rate", "many"],
            "--rate: \"many\" is not a rate: write how many a second, as in 500, 20k or 1.5M",
        ),
        (
            &["-c", "0"],
            "--connections: \"0\" is not a count: write a whole number from 1",
        ),
        (
            &["--driver", "epoll"],
            "--driver: there is no driver `epoll`; the drivers are auto, uring and readiness",
        ),
        (
            &["--source", "::1"],
            "--source ::1 cannot reach 127.0.0.1: it is of the other IP version",
        ),
        (
            &["--json", "/nowhere/a.json"],
            "cannot write /nowhere/a.json: No such file or directory",
        ),
    ];
    for (flags, line) in table {
        let words = [&["bench", "echo", url], *flags].concat();
        let status = if line.starts_with("cannot write") { 1 } else { 2 };
        assert_eq!(complaint(&mut sockeye(&words), status), *line);
    }
    let line = complaint(&mut sockeye(&["bench", "echo", url, "-c", "90000000"]), 2);
    assert!(
        line.contains("90000000 connections need 90000064 open files"),
        "{line}"
    );
    let line = complaint(&mut sockeye(&["bench"]), 2);
    assert_eq!(line, "a command is missing; --help lists the commands");
}
