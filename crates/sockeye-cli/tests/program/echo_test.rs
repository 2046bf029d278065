//! `sockeye echo-test` against servers that are good, limited, and wrong.

use std::io::Write;
use std::net::TcpListener;

use serde_json::Value;

use crate::support::{Server, accept_websocket, complaint, good_bye, run, sockeye};

#[test]
fn an_echo_server_passes() {
    let server = Server::start(&["--max-message-size", "1MiB"]);
    let ended = run(&[
        "echo-test",
        &server.url("ws"),
        "--count",
        "20",
        "--max-size",
        "256KiB",
    ]);
    assert_eq!(ended.status, 0, "{}", ended.stdout);
    for words in [
        "✓ opening handshake",
        "101 Switching Protocols in ",
        "times: connect ",
        " ms, handshake ",
        "✓ text, Unicode",
        "✓ binary, every byte",
        "✓ text in 4 fragments, one of them empty",
        "✓ a ping between fragments",
        "✓ 256 KiB",
        "✓ 20 messages of 20 bytes",
        "✓ 20 pings",
        "p99 ",
        "✓ close with 1000",
        " 0 failed, 0 unsupported\n",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains('\u{1b}'), "no colours in a pipe");
    assert_eq!(ended.stderr, "");
}

#[test]
fn limits_compression_and_a_greeting_are_told() {
    let flags = ["--greeting", "--compression", "on", "--subprotocol", "a"];
    let server = Server::start(&[&flags[..], &["--max-message-size", "64KiB"]].concat());
    let flags = ["-n", "5", "--compress", "-s", "a", "--max-size", "1MiB"];
    let ended = run(&[&["echo-test", &server.url("ws")], &flags[..]].concat());
    assert_eq!(ended.status, 0, "{}", ended.stdout);
    for words in [
        "greeting: Request served by ",
        "✓ compression",
        "✓ subprotocol",
        "✓ text that compresses well",
        "✓ 64 KiB",
        "– 256 KiB",
        "the server closed with 1009",
        "not tried: 256 KiB were too many",
        " 0 failed, 2 unsupported\n",
    ] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }

    let plain = Server::start(&["--subprotocol", "a"]);
    let flags = ["-n", "5", "--compress", "-s", "b", "--max-size", "1KiB"];
    let ended = run(&[&["echo-test", &plain.url("ws")], &flags[..]].concat());
    assert_eq!(ended.status, 0, "{}", ended.stdout);
    assert!(ended.stdout.contains("✓ 5 pings"), "{}", ended.stdout);
    for words in ["– subprotocol", "– compression", " 0 failed, 2 unsupported\n"] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
}

#[test]
fn pings_are_no_flood() {
    // The server closes when more come in a second.
    let server = Server::start(&["--max-control-rate", "150"]);
    let ended = run(&["echo-test", &server.url("ws"), "-n", "500", "--max-size", "1KiB"]);
    assert_eq!(ended.status, 0, "{}", ended.stdout);
    assert!(
        ended.stdout.contains("✓ 500 messages") && ended.stdout.contains("✓ 100 pings"),
        "{}",
        ended.stdout
    );
}

#[test]
fn the_report_is_json_when_asked_for() {
    let server = Server::start(&["--tls-self-signed"]);
    let url = server.url("wss");
    let ended = run(&[
        "echo-test",
        &url,
        "-k",
        "--json",
        "-n",
        "10",
        "--max-size",
        "4KiB",
    ]);
    assert_eq!(ended.status, 0, "{}", ended.stdout);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["url"], url);
    assert_eq!(report["handshake"]["tls"]["version"], "TLSv1.3");
    let fingerprint = report["handshake"]["tls"]["fingerprint"].as_str().unwrap();
    assert!(server.banner.contains(fingerprint), "{fingerprint}");
    assert_eq!(report["messages"]["count"], 10);
    assert!(report["pings"]["p99_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(
        (&report["failed"], &report["unsupported"]),
        (&0.into(), &0.into())
    );
    let passed = report["passed"].as_u64().unwrap();
    let checks = report["checks"].as_array().unwrap();
    assert_eq!(passed, checks.len() as u64);
    assert_eq!(checks[0]["group"], "Handshake");
    assert_eq!(checks[0]["outcome"], "passed");
}

#[test]
fn without_a_connection_one_line_says_why() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = run(&["echo-test", &format!("ws://{free}/"), "--json"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    assert!(
        ended.stderr.starts_with("sockeye: cannot connect to "),
        "{ended:?}"
    );
    let line = complaint(&mut sockeye(&["echo-test", "ws://localhost", "-n", "0"]), 2);
    assert!(line.starts_with("--count: "), "{line}");
}

/// A server that answers every connection with these frames, and listens until it ends.
fn scripted(frames: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut stream = accept_websocket(&listener);
        stream.write_all(&frames).unwrap();
        good_bye(stream);
    });
    url
}

#[test]
fn a_server_that_does_not_echo_fails() {
    let ended = run(&["echo-test", &scripted(vec![]), "--patience", "100ms"]);
    assert_eq!(ended.status, 6, "{}", ended.stdout);
    assert!(ended.stdout.contains("✗ echo"), "{}", ended.stdout);
    assert!(ended.stdout.contains("no answer in 100ms"), "{}", ended.stdout);
    assert!(
        ended.stdout.ends_with("1 passed, 1 failed, 0 unsupported\n"),
        "{}",
        ended.stdout
    );

    let chatter = b"\x81\x01x".repeat(100);
    let ended = run(&["echo-test", &scripted(chatter)]);
    assert!(
        ended.stdout.contains("this is no echo server"),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_server_cannot_write_into_the_report_what_it_likes() {
    let ended = run(&["echo-test", &scripted(b"\x88\x08\x0b\xb9\x1b[31m\x07".to_vec())]);
    assert_eq!(ended.status, 6);
    assert!(
        ended
            .stdout
            .contains("the server closed with 3001: \\u{1b}[31m\\u{7}"),
        "{}",
        ended.stdout
    );
}
