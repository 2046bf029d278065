//! Servers that answer wrongly, late, or not at all.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use serde_json::Value;
use sockeye::Message;

use super::host::{self, Host};
use super::{bench, number};
use crate::support::{PATIENCE, complaint, read_request, run, sockeye};

#[test]
fn wrong_answers_are_counted() {
    let host = Host::start(|ws| {
        host::echo(ws, |number, message| match number {
            1 => Message::text("something else"),
            _ => message,
        })
    });
    let flags = ["-c", "3", "-w", "2"];
    let (ended, results) = bench("echo", &host.url(), &flags);
    assert_eq!(
        (ended.status, number(&results, "/messages/wrong")),
        (6, 3.0),
        "{results:#}"
    );
    let (ended, results) = bench("echo", &host.url(), &[&flags[..], &["--no-check"]].concat());
    assert_eq!(
        (ended.status, number(&results, "/messages/wrong")),
        (0, 0.0),
        "{results:#}"
    );
    let ended = run(&[
        "bench",
        "echo",
        &host.url(),
        "-c",
        "3",
        "-d",
        "200ms",
        "--warmup",
        "0s",
    ]);
    assert!(
        ended.stdout.contains(" 3 not what was expected\n"),
        "{}",
        ended.stdout
    );
}

#[test]
fn missing_answers_are_counted() {
    // Of ten messages on the way it answers nine.
    let host = Host::start(|mut ws| async move {
        for _ in 0..9 {
            let Some(message) = ws.recv().await? else {
                return Ok(());
            };
            ws.send(message).await?;
        }
        while ws.recv().await?.is_some() {}
        Ok(())
    });
    let flags = ["-c", "2", "-w", "1", "--warmup", "0s", "--patience", "100ms"];
    let (ended, results) = bench("echo", &host.url(), &flags);
    assert_eq!(ended.status, 6);
    assert_eq!(number(&results, "/messages/received"), 18.0, "{results:#}");
    assert_eq!(number(&results, "/messages/unanswered"), 2.0);
}

#[test]
fn connections_that_the_server_ends_are_told_with_the_reason() {
    let host = Host::start(host::dismiss);
    let (ended, results) = bench("echo", &host.url(), &["-c", "4"]);
    assert_eq!((ended.status, number(&results, "/connections/lost")), (6, 4.0));
    let error = &results["errors"][0];
    assert_eq!(
        (&error["kind"], &error["detail"]),
        (&"closed".into(), &"with 1008: enough".into())
    );
    assert_eq!(error["count"], 4);
}

#[test]
fn a_refusal_is_told_with_its_status_and_body() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        for _ in 0..3 {
            let (mut stream, _) = read_request(&listener);
            let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 13\r\n\r\nmembers only\n";
            stream.write_all(refusal.as_bytes()).unwrap();
        }
    });
    let line = complaint(&mut sockeye(&["bench", "echo", &url, "--connections", "3"]), 1);
    assert_eq!(
        line,
        "no connection could be opened: 403 Forbidden: members only (3 times)"
    );
    server.join().unwrap();
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let flags = ["-c", "2", "--connect-timeout", "100ms"];
    let line = complaint(&mut sockeye(&[&["bench", "echo", &url], &flags[..]].concat()), 1);
    assert_eq!(
        line,
        "no connection could be opened: not open after 100ms (2 times)"
    );
}

#[test]
fn what_a_stall_delays_is_not_omitted() {
    // Of 1,000 messages in a second, 300 at least are due more than 300 ms before the server goes on. Only 10 of them were
    // on the way when it stopped, and those are all that a clock that starts with sending can see.
    let host = Host::start(|ws| host::stall(ws, Duration::from_millis(600)));
    let flags = [
        "-c",
        "1",
        "--rate",
        "1k",
        "-w",
        "10",
        "--warmup",
        "0s",
        "--duration",
        "1s",
        "--patience",
        "20s",
    ];
    let (ended, results) = bench("echo", &host.url(), &flags);
    assert_eq!(ended.status, 0, "{results:#}");
    assert_eq!(number(&results, "/messages/sent"), 1000.0);
    assert!(number(&results, "/latency/p75_us") >= 300_000.0, "{results:#}");
    assert!(
        number(&results, "/latency_from_sending/p75_us") < 300_000.0,
        "{results:#}"
    );
    assert!(number(&results, "/generator/lateness/p75_us") > 0.0);
}

#[test]
fn an_interrupt_ends_with_what_was_measured() {
    let (tell, came) = mpsc::channel();
    let host = Host::start(move |ws| {
        let tell = tell.clone();
        host::echo(ws, move |number, message| {
            if number == 10 {
                // Nobody listens after the first one.
                let _ = tell.send(());
            }
            message
        })
    });
    let child = sockeye(&[
        "bench",
        "echo",
        &host.url(),
        "-c",
        "2",
        "-d",
        "1h",
        "--warmup",
        "0s",
        "--json",
        "-",
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    came.recv_timeout(PATIENCE).expect("messages come");
    let interrupt = format!("kill -INT {}", child.id());
    let status = Command::new("sh").args(["-c", &interrupt]).status();
    assert!(status.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(results["interrupted"], true);
    assert!(number(&results, "/messages/received") > 0.0, "{results:#}");
    // What was on the way is still taken.
    for count in ["/messages/wrong", "/messages/unanswered"] {
        assert_eq!(number(&results, count), 0.0, "{results:#}");
    }
}

#[test]
fn a_process_that_ends_meanwhile_is_told_instead_of_its_cost() {
    let process = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let pid = process.id();
    let process = Arc::new(Mutex::new(Some(process)));
    let host = Host::start(move |ws| {
        let process = Arc::clone(&process);
        host::echo(ws, move |_, message| {
            if let Some(mut process) = process.lock().unwrap().take() {
                // Nobody asks how it ended, so its number stays.
                process.kill().unwrap();
            }
            message
        })
    });
    let pid_flag = pid.to_string();
    let flags = ["-c", "1", "--server-pid", &pid_flag];
    let (ended, results) = bench("echo", &host.url(), &flags);
    assert_eq!(ended.status, 0, "{results:#}");
    assert_eq!(results["server"], Value::Null);
    assert_eq!(results["server_gone"], serde_json::json!([pid]));
    // It is refused from now on.
    let line = complaint(
        &mut sockeye(&["bench", "echo", &host.url(), "--server-pid", &pid_flag]),
        2,
    );
    assert_eq!(line, format!("--server-pid: there is no process {pid}"));
}
