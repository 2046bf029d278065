//! The client in a pipe: lines in, lines out, and how it ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use crate::support::{Ended, Server, accept_websocket, complaint, connect, follow, sockeye};

#[test]
fn each_line_is_a_message_and_each_message_a_line() {
    let server = Server::start(&[]);
    let ended = connect(&server.url("ws"), &[], "one\ntwo\n\ngrüße\nno line feed");
    assert_eq!(
        ended,
        Ended {
            status: 0,
            stdout: "one\ntwo\n\ngrüße\nno line feed\n".into(),
            stderr: String::new()
        }
    );
}

#[test]
fn any_path_echoes() {
    let server = Server::start(&[]);
    for path in ["/", "/echo", "/some/where?else=1", "/.ws", "/healthz"] {
        let url = format!("ws://{}{path}", server.authority());
        assert_eq!(connect(&url, &["-n", "1"], "hello\n").stdout, "hello\n", "{path}");
    }
}

#[test]
fn binary_messages_are_hexadecimal_both_ways() {
    let server = Server::start(&[]);
    let ended = connect(&server.url("ws"), &["--binary"], "00ff 10\n\n");
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "00ff10\n\n"));

    let wrong = connect(&server.url("ws"), &["--binary"], "00\n0g\n");
    assert_eq!(
        (wrong.status, wrong.stderr.as_str()),
        (2, "sockeye: line 2: 'g' is not a hexadecimal digit\n")
    );
}

#[test]
fn raw_messages_are_bytes_both_ways() {
    let server = Server::start(&[]);
    let mut child = sockeye(&["connect", &server.url("ws"), "--binary=raw", "--count", "2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"\xff\x00\nab\n").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"\xff\x00ab");
}

#[test]
fn a_line_that_is_no_text_is_refused() {
    let server = Server::start(&[]);
    let ended = connect(&server.url("ws"), &[], b"fine\n\xff\xfe\n");
    assert_eq!(ended.status, 2);
    assert_eq!(
        ended.stderr,
        "sockeye: line 2: that is not UTF-8: --binary=raw sends bytes as they are\n"
    );
}

#[test]
fn many_lines_come_back_in_order() {
    let server = Server::start(&["--compression", "on"]);
    let lines: String = (0..20_000)
        .map(|number| format!("line {number} of many\n"))
        .collect();
    for flags in [&[][..], &["--compress"]] {
        let ended = connect(&server.url("ws"), flags, &lines);
        assert_eq!(ended.status, 0, "{}", ended.stderr);
        assert!(
            ended.stdout == lines,
            "{} bytes of {}",
            ended.stdout.len(),
            lines.len()
        );
    }
}

#[test]
fn count_closes_after_so_many_messages() {
    let server = Server::start(&[]);
    let ended = connect(&server.url("ws"), &["--count", "2", "--wait", "off"], "1\n2\n3\n");
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "1\n2\n"));
}

#[test]
fn the_greeting_is_the_first_message_when_it_is_on() {
    let server = Server::start(&["--greeting"]);
    let ended = connect(&server.url("ws"), &["-n", "2"], "hello\n");
    let (greeting, rest) = ended.stdout.split_once('\n').unwrap();
    let hostname = greeting.strip_prefix("Request served by ").unwrap();
    assert!(!hostname.is_empty());
    assert_eq!(rest, "hello\n");
}

#[test]
fn verbose_tells_what_was_negotiated() {
    let server = Server::start(&["--compression", "on", "--subprotocol", "b,a"]);
    let flags = ["-v", "-n", "1", "--compress", "-s", "a", "-s", "b"];
    let ended = connect(&server.url("ws"), &flags, "x\n");
    assert!(
        ended.stderr.contains("subprotocol b") && ended.stderr.contains("permessage-deflate"),
        "{ended:?}"
    );
    assert!(ended.stderr.ends_with("sockeye: closed\n"), "{ended:?}");
}

#[test]
fn without_a_list_the_first_offered_subprotocol_is_taken() {
    let server = Server::start(&[]);
    let ended = connect(&server.url("ws"), &["-v", "-n", "1", "-s", "x", "-s", "y"], "m\n");
    assert!(ended.stderr.contains("subprotocol x"), "{ended:?}");
}

#[test]
fn headers_and_origin_reach_the_server() {
    let server = Server::start(&["--origin", "https://page.test"]);
    let url = server.url("ws");
    assert_eq!(
        connect(&url, &["-n", "1", "--origin", "https://page.test"], "x\n").status,
        0
    );
    assert_eq!(
        connect(&url, &["-n", "1", "-H", "Origin: https://page.test"], "x\n").status,
        0
    );
    let refused = connect(&url, &["--origin", "https://other.test"], "");
    assert_eq!(refused.status, 1);
    assert!(
        refused.stderr.contains("HTTP 403") && refused.stderr.contains("https://other.test"),
        "{refused:?}"
    );
}

#[test]
fn pages_of_this_server_and_of_no_other_may_connect_by_default() {
    let server = Server::start(&[]);
    let own = format!("http://{}", server.authority());
    assert_eq!(
        connect(&server.url("ws"), &["-n", "1", "--origin", &own], "x\n").status,
        0
    );
    for other in [
        "http://127.0.0.1:1",
        "https://127.0.0.1",
        "null",
        "http://page.test",
    ] {
        assert_eq!(
            connect(&server.url("ws"), &["--origin", other], "").status,
            1,
            "{other}"
        );
    }
    let open = Server::start(&["--origin", "any"]);
    assert_eq!(
        connect(
            &open.url("ws"),
            &["-n", "1", "--origin", "http://page.test"],
            "x\n"
        )
        .status,
        0
    );
}

#[test]
fn a_message_over_the_limit_closes_with_1009() {
    let server = Server::start(&["--max-message-size", "10"]);
    let ended = connect(&server.url("ws"), &["--wait", "off"], "12345678901\n");
    assert_eq!((ended.status, ended.stdout.as_str()), (109, ""));
    assert!(
        ended.stderr.starts_with("sockeye: the server closed with 1009"),
        "{ended:?}"
    );

    let server = Server::start(&[]);
    let ended = connect(
        &server.url("ws"),
        &["--wait", "off", "--max-message-size", "3"],
        "long\n",
    );
    assert_eq!(ended.status, 109, "{ended:?}");
}

/// A server that accepts one handshake and then sends `frames` and nothing else.
fn scripted(frames: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut stream = accept_websocket(&listener);
        stream.write_all(frames).unwrap();
        if !frames.is_empty() {
            // The client answers the close frame; it waits for the server to end the connection.
            let _ = stream.read(&mut [0; 64]);
        }
    });
    address
}

#[test]
fn the_close_code_is_the_exit_status() {
    let table: &[(&[u8], i32, &str)] = &[
        (b"\x88\x02\x03\xe8", 0, ""),
        (b"\x88\x02\x03\xe9", 0, ""),
        (b"\x88\x00", 0, ""),
        (b"\x88\x02\x03\xea", 102, "the server closed with 1002"),
        (b"\x88\x02\x03\xf3", 111, "the server closed with 1011"),
        (b"\x88\x05\x0b\xb9bye", 3, "the server closed with 3001: bye"),
        (b"\x88\x02\x0f\xa0", 4, "the server closed with 4000"),
        (b"", 106, ""),
    ];
    for (frames, status, words) in table {
        let url = format!("ws://{}/", scripted(frames));
        let ended = connect(&url, &["--wait", "off"], "");
        assert_eq!(ended.status, *status, "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
        assert_eq!(ended.stderr.is_empty(), *status == 0, "{ended:?}");
    }
}

#[test]
fn without_a_connection_one_line_says_why() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let table = [
        (format!("ws://{free}/"), 1, "cannot connect to "),
        (
            "http//nowhere".to_owned(),
            2,
            "cannot connect to `http//nowhere`: ",
        ),
        ("mailto:x".to_owned(), 2, "cannot connect to `mailto:x`: "),
        ("ws://".to_owned(), 2, "cannot connect to `ws://`: "),
    ];
    for (url, status, words) in table {
        let line = complaint(&mut sockeye(&["connect", &url]), status);
        assert!(line.starts_with(words), "{line}");
    }
}

#[test]
fn a_silent_server_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let line = complaint(&mut sockeye(&["connect", &url, "--connect-timeout", "100ms"]), 1);
    assert!(line.contains("100ms"), "{line}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let server = Server::start(&[]);
    let mut child = sockeye(&["connect", &server.url("ws"), "--wait", "off"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let errors = follow(child.stderr.take().unwrap());
    // Gone before the first message arrives.
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hello\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(errors.iter().next(), None);
}
