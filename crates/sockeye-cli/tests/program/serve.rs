//! The server: its banner, its endpoints, its ports.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use crate::support::{Server, complaint, sockeye};

#[test]
fn the_banner_gives_addresses_that_answer() {
    let server = Server::start(&[]);
    assert!(
        server.url("http").starts_with("http://127.0.0.1:"),
        "{}",
        server.banner
    );
    assert!(server.url("ws").ends_with("/echo"), "{}", server.banner);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn the_console_is_served_with_its_policy() {
    let server = Server::start(&[]);
    for path in ["/", "/.ws", "/any/folder/.ws"] {
        let page = server.get(path);
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, "text/html; charset=utf-8"),
            "{path}"
        );
        assert!(
            page.header("content-security-policy")
                .starts_with("default-src 'none'; script-src 'self'; ")
        );
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(page.body.contains("<!doctype html>") || page.body.contains("<!DOCTYPE html>"));
    }
    let script = server.get("/console/app.js");
    assert_eq!(
        (script.status, script.header("content-type")),
        (200, "text/javascript; charset=utf-8")
    );
    assert_eq!(server.get("/any/folder/console/app.js").body, script.body);

    let known = server.request(&format!(
        "GET /console/app.js\r\nIf-None-Match: {}",
        script.header("etag")
    ));
    assert_eq!((known.status, known.body.as_str()), (304, ""));
}

#[test]
fn health_readiness_and_metrics_answer() {
    let server = Server::start(&[]);
    assert_eq!(
        (
            server.get("/healthz").status,
            server.get("/healthz").body.as_str()
        ),
        (200, "ok\n")
    );
    assert_eq!(
        (server.get("/readyz").status, server.get("/readyz").body.as_str()),
        (200, "ready\n")
    );
    let metrics = server.get("/metrics");
    assert_eq!(
        (metrics.status, metrics.header("content-type")),
        (200, "text/plain; version=0.0.4")
    );
    assert!(metrics.body.contains("# TYPE sockeye_"), "{}", metrics.body);
}

#[test]
fn metrics_can_be_off() {
    let server = Server::start(&["--metrics", "off"]);
    assert_eq!(server.get("/metrics").status, 404);
    assert!(!server.banner.contains("/metrics"));
}

#[test]
fn any_other_url_is_dumped() {
    let server = Server::start(&[]);
    let dump =
        server.request("POST /some/path?x=1\r\nX-Zebra: 1\r\nAccept: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(
        (dump.status, dump.header("content-type")),
        (200, "text/plain; charset=utf-8")
    );
    let (accept, zebra) = (dump.body.find("accept: a\n"), dump.body.find("x-zebra: 1\n"));
    assert!(
        dump.body.contains("\nPOST /some/path?x=1 HTTP/1.1\n"),
        "{}",
        dump.body
    );
    assert!(accept.is_some() && accept < zebra, "{}", dump.body);
    assert!(dump.body.contains("\nhello\n") && dump.body.contains("/.ws ") && dump.body.contains("/.sse "));
    // A path of WebSocket is a path like any other without a handshake.
    assert_eq!(server.get("/echo").status, 200);
}

#[test]
fn server_sent_events_tell_server_request_and_time() {
    let server = Server::start(&[]);
    let stream = server.open("GET /.sse\r\nX-Mark: 7");
    let mut names = Vec::new();
    let mut mark = false;
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        mark |= line == "data: x-mark: 7";
        if let Some(name) = line.strip_prefix("event: ") {
            names.push(name.to_owned());
        }
        if names.len() == 4 {
            break;
        }
    }
    assert_eq!(names, ["server", "request", "time", "time"]);
    assert!(mark);
}

#[test]
fn a_taken_port_is_an_error_when_it_was_asked_for() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let expected = format!(
        "cannot listen on 127.0.0.1:{port}: the address is in use; stop the other program or choose another port"
    );
    let flags = sockeye(&["--host", "127.0.0.1", "--port", &port]);
    let mut environment = sockeye(&["--host", "127.0.0.1"]);
    environment.env("SOCKEYE_PORT", &port);
    for mut command in [flags, environment] {
        assert_eq!(complaint(&mut command, 1), expected);
    }
}

#[test]
fn the_next_free_port_is_taken_when_none_was_asked_for() {
    let first = Server::spawn(&mut sockeye(&["--host", "127.0.0.1"]));
    let second = Server::spawn(&mut sockeye(&["--host", "127.0.0.1"]));
    let port = |server: &Server| {
        server
            .authority()
            .split(':')
            .nth(1)
            .unwrap()
            .parse::<u16>()
            .unwrap()
    };
    assert!(port(&first) >= 3000 && port(&second) > port(&first));
    assert_eq!(second.get("/healthz").status, 200);
}

#[test]
fn a_reason_cannot_forge_a_line_of_the_log() {
    let server = Server::start(&[]);
    let mut stream = server.open(
        "GET /echo\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    );
    // 3001 "a\nFORGED\x1b", masked with zeros.
    stream
        .write_all(b"\x88\x8b\0\0\0\0\x0b\xb9a\nFORGED\x1b")
        .unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    let line = server.logged("websocket closed");
    assert!(line.contains(r#"reason="a\nFORGED\u{1b}""#), "{line}");
}

#[test]
fn a_client_that_sends_more_than_is_shown_gets_its_answer() {
    let server = Server::start(&[]);
    let body = "z".repeat(4 << 20);
    let answer = server.request(&format!("POST /\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .body
            .contains("only the first 65536 bytes of the body are shown")
    );
}

#[test]
fn balancers_may_begin_with_the_proxy_protocol() {
    let server = Server::start(&["--proxy-protocol", "127.0.0.1"]);
    let address = server.url("http").trim_start_matches("http://").to_owned();
    let ask = |first: &str| {
        let mut stream = std::net::TcpStream::connect(address.trim_end_matches('/')).unwrap();
        let request = format!("{first}GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask("PROXY TCP4 192.0.2.1 198.51.100.2 1 80\r\n").starts_with("HTTP/1.1 200 "));
    assert_eq!(ask(""), "");
}
