//! Recordings: what is written, and what playing them does.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ended, Server, accept_websocket, complaint, connect, good_bye, run, sockeye};

/// A folder, and the recording of a short talk with an echo server in it.
fn recorded(server: &Server) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("talk.jsonl").to_str().unwrap().to_owned();
    let flags = ["--record", &file, "-n", "2", "-H", "Cookie: id=hunter2"];
    assert_eq!(connect(&server.url("ws"), &flags, "one\ntwo\n").status, 0);
    (folder, file)
}

fn lines(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Writes a recording whose entries are these, a time, a side and the rest of a line each.
fn write(folder: &Path, entries: &[(u64, &str, &str)]) -> String {
    let mut text = r#"{"sockeye-recording":1,"url":"ws://localhost:1/","started":"2026-01-01T00:00:00Z","handshake":{"target":"/","request":[],"status":101,"response":[],"subprotocol":null,"extensions":"","peer":null,"tls":null}}"#.to_owned();
    text.push('\n');
    for (at, from, rest) in entries {
        text.push_str(&format!("{{\"at_us\":{at},\"from\":\"{from}\",{rest}}}\n"));
    }
    let file = folder.join("written.jsonl");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_recording_has_a_head_and_a_line_for_everything() {
    let server = Server::start(&[]);
    let (_folder, file) = recorded(&server);
    let lines = lines(&file);
    let head = &lines[0];
    assert_eq!(head["sockeye-recording"], 1);
    assert_eq!(head["url"], server.url("ws"));
    assert_eq!(head["handshake"]["status"], 101);
    let mut events: Vec<_> = lines[1..]
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            (text("from"), text("kind"), text("text"))
        })
        .collect();
    // Both directions run at once; each has its order.
    events.sort_by_key(|(from, ..)| from.clone());
    let event = |from: &str, kind: &str, text: &str| (from.to_owned(), kind.to_owned(), text.to_owned());
    assert_eq!(
        events,
        [
            event("client", "text", "one"),
            event("client", "text", "two"),
            event("client", "close", ""),
            event("server", "text", "one"),
            event("server", "text", "two"),
            event("server", "close", ""),
        ]
    );
    let times: Vec<_> = lines[1..]
        .iter()
        .map(|line| line["at_us"].as_u64().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_recording_has_no_secrets_of_the_handshake_and_is_its_owners() {
    let server = Server::start(&[]);
    let (_folder, file) = recorded(&server);
    assert!(!std::fs::read_to_string(&file).unwrap().contains("hunter2"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_recording_is_not_overwritten() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a");
    std::fs::write(&file, "precious").unwrap();
    let line = complaint(
        &mut sockeye(&["connect", "ws://localhost:1", "--record", file.to_str().unwrap()]),
        2,
    );
    assert!(
        line.ends_with("exists, and is not overwritten: name another file for --record"),
        "{line}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[cfg(unix)]
#[test]
fn what_was_recorded_before_a_kill_is_whole() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    let server = Server::start(&[]);
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a").to_str().unwrap().to_owned();
    let mut child = sockeye(&["connect", &server.url("ws"), "--wait", "off", "--record", &file])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(b"hello\n").unwrap();
    let mut echo = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut echo)
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = lines(&file);
    assert_eq!(lines.len(), 3);
    assert_eq!(
        (&lines[1]["text"], &lines[2]["text"]),
        (&"hello".into(), &"hello".into())
    );
}

#[test]
fn a_recording_is_played_again() {
    let server = Server::start(&[]);
    let (_folder, file) = recorded(&server);
    let ended = run(&["replay", &file]);
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "one\ntwo\n"));
    // Somewhere else, and compared.
    let other = Server::start(&[]);
    let ended = run(&["replay", &file, &other.url("ws"), "--check", "--speed", "max"]);
    assert_eq!(
        ended,
        Ended {
            status: 0,
            stdout: String::new(),
            stderr: "sockeye: sent 2, and received 3 as recorded\n".into()
        }
    );
    let quiet = run(&["replay", &file, &other.url("ws"), "--check", "--quiet"]);
    assert_eq!((quiet.status, quiet.stderr.as_str()), (0, ""));
}

#[test]
fn the_time_of_a_recording_is_kept_or_scaled() {
    let server = Server::start(&[]);
    let folder = TempDir::new().unwrap();
    let file = write(
        folder.path(),
        &[
            (1_000, "client", r#""kind":"text","text":"a""#),
            (600_000, "client", r#""kind":"text","text":"b""#),
            (600_001, "client", r#""kind":"close","code":1000,"reason":"""#),
        ],
    );
    let url = server.url("ws");
    let time = |speed: &str| {
        let started = Instant::now();
        let ended = run(&["replay", &file, &url, "--speed", speed]);
        assert_eq!((ended.status, ended.stdout.as_str()), (0, "a\nb\n"), "{ended:?}");
        started.elapsed()
    };
    assert!(time("1") >= Duration::from_millis(600));
    assert!(time("0.5") >= Duration::from_millis(1200));
    // Played as it was recorded, this one would take a day.
    let slow = write(
        folder.path(),
        &[(86_400_000_000, "client", r#""kind":"text","text":"late""#)],
    );
    let ended = run(&["replay", &slow, &url, "--speed", "max", "--wait", "100ms"]);
    assert_eq!(ended.status, 0, "{ended:?}");
}

#[test]
fn a_difference_is_told_with_its_line() {
    let server = Server::start(&[]);
    let folder = TempDir::new().unwrap();
    let file = write(
        folder.path(),
        &[
            (0, "client", r#""kind":"text","text":"at 12:00""#),
            (1, "server", r#""kind":"text","text":"at 11:00""#),
            (2, "client", r#""kind":"ping","base64":"cA==""#),
            (3, "server", r#""kind":"pong","rtt_us":5"#),
            (4, "client", r#""kind":"binary","base64":"AP8=""#),
            (5, "server", r#""kind":"binary","base64":"AP8=""#),
            (6, "client", r#""kind":"close","code":3001,"reason":"done""#),
            (7, "server", r#""kind":"close","code":3001,"reason":"done""#),
        ],
    );
    let url = server.url("ws");
    let ended = run(&["replay", &file, &url, "--check", "--speed", "max"]);
    assert_eq!(ended.status, 6);
    assert_eq!(
        ended.stderr,
        "sockeye: line 3: \"at 11:00\" was recorded, \"at 12:00\" came\n\
         sockeye: 1 of 3 compared differ\n"
    );
    let flags = ["--check", "--speed", "max", "--ignore", "[0-9]+:[0-9]+"];
    let ended = run(&[&["replay", &file, &url], &flags[..]].concat());
    assert_eq!(ended.status, 0, "{ended:?}");
}

#[test]
fn a_message_that_does_not_come_is_told() {
    let server = Server::start(&[]);
    let folder = TempDir::new().unwrap();
    let file = write(folder.path(), &[(0, "server", r#""kind":"text","text":"hello""#)]);
    let ended = run(&[
        "replay",
        &file,
        &server.url("ws"),
        "--check",
        "--patience",
        "50ms",
    ]);
    assert_eq!(ended.status, 6);
    assert!(
        ended
            .stderr
            .starts_with("sockeye: line 2: \"hello\" was recorded, nothing in 50ms came\n"),
        "{ended:?}"
    );
}

/// A server that accepts one connection, sends these frames, and waits for its end.
fn scripted(frames: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut stream = accept_websocket(&listener);
        stream.write_all(frames).unwrap();
        good_bye(stream);
    });
    address
}

#[test]
fn a_message_too_many_is_told() {
    let folder = TempDir::new().unwrap();
    let entries = [
        (0, "server", r#""kind":"text","text":"a""#),
        (1, "client", r#""kind":"close","code":1000,"reason":"""#),
    ];
    let file = write(folder.path(), &entries);
    // The answer to the close comes with them: nothing is left to wait for.
    let url = format!("ws://{}/", scripted(b"\x81\x01a\x81\x01b\x88\x02\x03\xe8"));
    let ended = run(&["replay", &file, &url, "--check"]);
    assert_eq!(ended.status, 6);
    assert!(
        ended
            .stderr
            .contains("after the end: \"b\" came, and nothing was recorded"),
        "{ended:?}"
    );
}

#[test]
fn a_connection_that_ends_too_early_is_a_failure() {
    let folder = TempDir::new().unwrap();
    let file = write(
        folder.path(),
        &[(3_600_000_000, "client", r#""kind":"text","text":"never""#)],
    );
    let url = format!("ws://{}/", scripted(b"\x88\x02\x03\xe8"));
    let ended = run(&["replay", &file, &url]);
    assert_eq!(ended.status, 1);
    assert_eq!(
        ended.stderr,
        "sockeye: the server closed with 1000, before the end of the recording\n"
    );
}

#[test]
fn a_recording_may_have_several_connections() {
    let server = Server::start(&[]);
    let folder = TempDir::new().unwrap();
    let open = r#""kind":"open","handshake":{"target":"/","request":[],"status":101,"response":[],"subprotocol":null,"extensions":"","peer":null,"tls":null}"#;
    let entries = [
        (0, "client", r#""kind":"text","text":"a""#),
        (1, "server", r#""kind":"text","text":"a""#),
        (2, "client", r#""kind":"close","code":1000,"reason":"""#),
        (3, "server", r#""kind":"close","code":1000,"reason":"""#),
        // Sent while there is no connection, it is for the next.
        (4, "client", r#""kind":"text","text":"b""#),
        (5, "server", open),
        (6, "server", r#""kind":"text","text":"b""#),
    ];
    let file = write(folder.path(), &entries);
    let ended = run(&["replay", &file, &server.url("ws"), "--check"]);
    assert_eq!(ended.stderr, "sockeye: sent 2, and received 3 as recorded\n");
    let ended = run(&["replay", &file, &server.url("ws"), "--wait", "200ms"]);
    assert!(ended.stdout.ends_with("b\n"), "{ended:?}");
}

#[test]
fn what_is_no_recording_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a");
    std::fs::write(&file, "hello\n").unwrap();
    let file = file.to_str().unwrap();
    let line = complaint(&mut sockeye(&["replay", file]), 2);
    assert_eq!(
        line,
        format!("{file}, line 1: that is no recording of sockeye connect --record")
    );
    let line = complaint(&mut sockeye(&["replay", file, "--speed", "fast"]), 2);
    assert_eq!(
        line,
        "--speed: \"fast\" is not a speed: write a factor such as 1, 0.5 or 10, or max"
    );
}
