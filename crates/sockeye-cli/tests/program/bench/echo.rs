//! Servers that echo.

use std::net::TcpListener;

use super::{bench, number};
use crate::support::{Server, complaint, sockeye};

#[test]
fn every_message_of_an_echo_server_comes_back() {
    let server = Server::start(&["--compression", "on", "--max-message-size", "4MiB"]);
    let table: &[&[&str]] = &[
        &["-c", "20"],
        &["-c", "20", "-w", "16", "--threads", "2", "--binary"],
        &["-c", "5", "--size", "1MiB", "-w", "3", "--binary"],
        &["-c", "10", "--compress", "--payload", "json", "--size", "4KiB"],
        &[
            "-c",
            "4",
            "--compress",
            "--context-takeover",
            "--payload",
            "json",
            "--size",
            "400",
        ],
        &["-c", "4", "--payload", "chinese", "--size", "100"],
        &["-c", "4", "--payload", "emoji", "--size", "70000"],
        &["-c", "10", "--rate", "1000", "-w", "100", "--driver", "readiness"],
        &["-c", "10", "--ramp", "100ms", "--connecting", "2"],
        &["-c", "10", "--source", "127.0.0.2-127.0.0.4"],
    ];
    for flags in table {
        let (ended, results) = bench("echo", &server.url("ws"), flags);
        assert_eq!(
            (ended.status, ended.stderr.as_str()),
            (0, ""),
            "{flags:?}: {results}"
        );
        let connections = number(&results, "/load/connections");
        assert_eq!(number(&results, "/connections/opened"), connections, "{flags:?}");
        for nothing in [
            "/connections/failed",
            "/connections/lost",
            "/messages/wrong",
            "/messages/unanswered",
        ] {
            assert_eq!(number(&results, nothing), 0.0, "{flags:?}: {nothing}");
        }
        assert!(number(&results, "/latency/count") > 0.0, "{flags:?}: {results}");
        assert_eq!(number(&results, "/opening/count"), connections);
        let sizes = number(&results, "/messages/payload_received") / number(&results, "/messages/received");
        assert_eq!(sizes, number(&results, "/load/size"), "{flags:?}");
        assert_eq!(
            results["connections"]["compression"],
            flags.contains(&"--compress")
        );
    }
}

#[test]
fn without_a_connection_one_line_says_why() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let line = complaint(
        &mut sockeye(&["bench", "echo", &format!("ws://{free}/"), "-c", "3"]),
        1,
    );
    assert_eq!(
        line,
        "no connection could be opened: Connection refused (3 times)"
    );
}
