//! The client in scripts: messages from the command line, what ends it, and how messages are written.

use std::io::Write;
use std::net::TcpListener;

use tempfile::TempDir;

use crate::support::{Server, accept_websocket, complaint, connect, good_bye, read_frame, run, sockeye};

#[test]
fn messages_of_the_command_line_come_before_files_and_input() {
    let server = Server::start(&[]);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "three\nlines\nhere\n").unwrap();
    let flags = [
        "-f",
        file.to_str().unwrap(),
        "-m",
        "one",
        "--message",
        "two",
        "-n",
        "4",
    ];
    let ended = connect(&server.url("ws"), &flags, "last\n");
    assert_eq!(ended.stdout, "one\ntwo\nthree\nlines\nhere\n\nlast\n");
}

#[test]
fn a_file_that_is_no_text_is_a_binary_message() {
    let server = Server::start(&[]);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"\xff\x00").unwrap();
    let ended = connect(&server.url("ws"), &["-1", "--file", file.to_str().unwrap()], "");
    assert_eq!(ended.stdout, "ff00\n");

    let missing = connect(&server.url("ws"), &["--file", "/no/such/file"], "");
    assert_eq!(missing.status, 2);
    assert_eq!(
        missing.stderr,
        "sockeye: --file: cannot read /no/such/file: No such file or directory\n"
    );
}

#[test]
fn once_waits_for_the_reply_however_long_it_takes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut stream = accept_websocket(&listener);
        // Longer than the second after which a pipe without --once gives up.
        std::thread::park_timeout(std::time::Duration::from_millis(1500));
        stream.write_all(b"\x81\x04slow\x81\x04more").unwrap();
        good_bye(stream);
    });
    let ended = run(&["connect", &url, "--once", "-m", "hello"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "slow\n"));
    server.join().unwrap();
}

#[test]
fn an_expected_message_ends_it_well() {
    let server = Server::start(&[]);
    let flags = ["-e", "^re+ady$", "--timeout", "30s"];
    let ended = connect(&server.url("ws"), &flags, "not\nreeady\n");
    assert_eq!(
        (ended.status, ended.stdout.as_str(), ended.stderr.as_str()),
        (0, "not\nreeady\n", "")
    );
}

#[test]
fn without_the_expected_message_it_is_a_failure() {
    let server = Server::start(&[]);
    let ended = connect(&server.url("ws"), &["--expect", "yes", "--wait", "50ms"], "no\n");
    assert_eq!((ended.status, ended.stdout.as_str()), (6, "no\n"));
    assert_eq!(ended.stderr, "sockeye: no message matched \"yes\": closed\n");

    let ended = connect(
        &server.url("ws"),
        &["--expect", "yes", "--timeout", "300ms"],
        "no\n",
    );
    assert_eq!(ended.status, 124);
    assert_eq!(
        ended.stderr,
        "sockeye: no message matched \"yes\": the time was up\n"
    );

    let ended = connect(&server.url("ws"), &["--expect", "yes", "--count", "1"], "no\n");
    assert_eq!(ended.status, 6);
}

#[test]
fn the_time_in_all_has_an_end() {
    let server = Server::start(&[]);
    let ended = run(&[
        "connect",
        &server.url("ws"),
        "--wait",
        "off",
        "--timeout",
        "100ms",
    ]);
    assert_eq!(
        (ended.status, ended.stderr.as_str()),
        (124, "sockeye: the time was up\n")
    );

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", silent.local_addr().unwrap());
    assert_eq!(run(&["connect", &url, "--timeout", "100ms"]).status, 124);
}

#[test]
fn a_bad_expression_is_explained() {
    let line = complaint(&mut sockeye(&["connect", "ws://localhost", "--expect", "(a"]), 2);
    assert_eq!(line, "--expect: \"(a\" is no regular expression: unclosed group");
}

#[test]
fn json_is_checked_before_it_leaves_and_is_one_line_when_it_comes() {
    let server = Server::start(&[]);
    let ended = connect(&server.url("ws"), &["--json"], "{ \"b\" : 1,\"a\":[ ] }\n\n12\n");
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "{\"b\":1,\"a\":[]}\n12\n")
    );

    let ended = connect(&server.url("ws"), &["--json=pretty"], "{\"a\":[1.0]}\n");
    assert_eq!(ended.stdout, "{\n  \"a\": [\n    1.0\n  ]\n}\n");

    let ended = connect(&server.url("ws"), &["--json=off"], "{ }\nno json\n");
    assert_eq!(ended.stdout, "{ }\nno json\n");

    let ended = connect(&server.url("ws"), &["--json"], "{}\n{'a':1}\n");
    assert_eq!(ended.status, 2);
    assert_eq!(
        ended.stderr,
        "sockeye: line 2: that is not JSON: key must be a string at line 1 column 2\n"
    );
    let ended = connect(&server.url("ws"), &["--json", "-m", "{"], "");
    assert!(
        ended.stderr.starts_with("sockeye: --message: that is not JSON: "),
        "{ended:?}"
    );
}

#[test]
fn bytes_are_written_as_asked_for() {
    let server = Server::start(&[]);
    let table: &[(&[&str], &str, &str)] = &[
        (&["-b"], "00ff", "00ff\n"),
        (&["--binary=base64"], "AP8=", "AP8=\n"),
        (&["--binary=base64", "--binary-output", "hex"], "AP8=", "00ff\n"),
        (&["--binary", "--binary-output", "base64"], "00ff", "AP8=\n"),
        (&["--binary=raw"], "ab", "ab"),
        (&["--binary", "--binary-output", "raw"], "6162", "ab"),
    ];
    for (flags, input, output) in table {
        let ended = connect(&server.url("ws"), &[flags, &["-1"][..]].concat(), input);
        assert_eq!((ended.status, ended.stdout.as_str()), (0, *output), "{flags:?}");
    }
}

#[test]
fn messages_can_end_with_nul_both_ways() {
    let server = Server::start(&[]);
    for flag in ["-0", "--null"] {
        let ended = connect(&server.url("ws"), &[flag, "-n", "2"], "two\nlines\0one\0");
        assert_eq!(ended.stdout, "two\nlines\0one\0");
    }
}

#[test]
fn the_time_is_written_before_each_message() {
    let server = Server::start(&[]);
    let url = server.url("ws");
    let ended = sockeye(&["connect", &url, "-1", "-m", "x", "--timestamps"])
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let line = String::from_utf8(ended.stdout).unwrap();
    let (time, rest) = line.split_once(' ').unwrap();
    assert!(
        time.starts_with("20") && time.ends_with("+00:00") && time.len() == 29,
        "{line}"
    );
    assert_eq!(rest, "x\n");
}

#[test]
fn verbose_shows_the_handshake_without_its_secrets() {
    let server = Server::start(&[]);
    let flags = [
        "--verbose",
        "-1",
        "-m",
        "x",
        "-H",
        "Cookie: id=hunter2",
        "-H",
        "X-A: b",
        "-u",
        "me:hunter2",
    ];
    let ended = connect(&server.url("ws"), &flags, "");
    for words in [
        "with 127.0.0.1:",
        "> GET /echo HTTP/1.1",
        "> x-a: b",
        "> cookie: (not shown)",
        "> authorization: (not shown)",
        "< HTTP/1.1 101 Switching Protocols",
        "connected: no subprotocol, no extensions",
    ] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "x\n");
}

#[cfg(unix)]
#[test]
fn ctrl_c_closes_with_1001() {
    use crate::support::follow;
    use std::process::{Command, Stdio};

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let mut child = sockeye(&["connect", &url, "--wait", "off", "-v"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let errors = follow(child.stderr.take().unwrap());
    let mut stream = accept_websocket(&listener);
    while !errors.recv().unwrap().starts_with("connected") {}
    let interrupt = format!("kill -INT {}", child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &interrupt])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(read_frame(&mut stream), Some((8, b"\x03\xe9".to_vec())));
    // A server that does not answer: the second one ends it at once.
    assert!(
        Command::new("sh")
            .args(["-c", &interrupt])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
