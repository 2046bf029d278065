//! Stopping, draining, reloading.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::Receiver;

use tempfile::TempDir;

use crate::support::{Server, complaint, follow, sockeye};

/// A client that has received its first echo and stays.
struct Client {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Client {
    fn connect(url: &str, flags: &[&str]) -> Self {
        let mut child = sockeye(&["connect", url, "--wait", "off", "-v"])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = follow(child.stdout.take().unwrap());
        let errors = follow(child.stderr.take().unwrap());
        let mut client = Self { child, lines, errors };
        assert_eq!(client.echo("hello"), "hello");
        client
    }

    fn echo(&mut self, line: &str) -> String {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
        self.lines.recv().expect("the echo comes back")
    }

    /// Waits for the end: the exit status, and what was said on standard error.
    fn end(mut self) -> (i32, String) {
        let status = self.child.wait().unwrap().code().unwrap();
        (status, self.errors.iter().collect::<Vec<_>>().join("\n"))
    }
}

#[test]
fn sigterm_and_ctrl_c_close_connections_with_1001_and_exit_0() {
    for signal in ["TERM", "INT"] {
        let server = Server::start(&[]);
        let client = Client::connect(&server.url("ws"), &[]);
        server.signal(signal);
        let (status, errors) = client.end();
        assert_eq!(status, 0);
        assert!(errors.contains("closed with 1001"), "{errors}");
        assert_eq!(server.wait(), 0);
    }
}

#[test]
fn readiness_fails_while_the_server_still_accepts() {
    let server = Server::start(&["--drain-delay", "1h"]);
    server.signal("TERM");
    server.logged("draining");
    assert_eq!(
        (server.get("/readyz").status, server.get("/healthz").status),
        (503, 200)
    );
    let _still_welcome = Client::connect(&server.url("ws"), &[]);

    server.signal("INT");
    server.logged("stopping at once");
    assert_eq!(server.wait(), 1);
}

#[test]
fn events_end_when_the_server_drains() {
    let server = Server::start(&[]);
    let mut events = BufReader::new(server.open("GET /.sse"));
    let mut line = String::new();
    while !line.starts_with("event: time") {
        line.clear();
        events.read_line(&mut line).unwrap();
    }
    server.signal("TERM");
    assert_eq!(server.wait(), 0);
}

fn write_certificate(folder: &Path, name: &str) -> String {
    let pair = rcgen::generate_simple_self_signed([name.to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.join("chain.pem"), pair.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    let authority = folder.join(format!("{name}.pem"));
    std::fs::write(&authority, pair.cert.pem()).unwrap();
    authority.to_str().unwrap().to_owned()
}

/// Whether a client that trusts `authority` can connect.
fn trusts(server: &Server, authority: &str) -> bool {
    let mut child = sockeye(&["connect", &server.url("wss"), "--ca", authority, "--count", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The client may be gone already.
    let _ = child.stdin.take().unwrap().write_all(b"x\n");
    child.wait().unwrap().success()
}

#[test]
fn sighup_reads_certificates_again_and_spares_connections() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let old = write_certificate(folder.path(), "old.test");
    let server = Server::start(&["--tls-cert", &path("chain.pem"), "--tls-key", &path("key.pem")]);
    let mut client = Client::connect(&server.url("wss"), &["--ca", &old]);

    let new = write_certificate(folder.path(), "new.test");
    assert!(trusts(&server, &old) && !trusts(&server, &new));
    server.signal("HUP");
    server.logged("reloaded");
    assert!(trusts(&server, &new) && !trusts(&server, &old));
    assert_eq!(client.echo("still here"), "still here");

    std::fs::write(path("key.pem"), "nonsense").unwrap();
    server.signal("HUP");
    let line = server.logged("nothing was changed");
    assert!(line.contains("key.pem"), "{line}");
    assert!(trusts(&server, &new));
}

#[test]
fn sighup_reads_the_configuration_again() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("sockeye.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("max-message-size = 5\n");
    let server = Server::start(&["--config", file.to_str().unwrap()]);
    let too_long = |server: &Server| {
        let mut child = sockeye(&["connect", &server.url("ws"), "--count", "1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"123456\n").unwrap();
        child.wait().unwrap().code() == Some(109)
    };
    assert!(too_long(&server));

    write("max-message-size = 6\n");
    server.signal("HUP");
    server.logged("reloaded");
    assert!(!too_long(&server));

    write("max-message-size = 5\nprot = 80\n");
    server.signal("HUP");
    let line = server.logged("nothing was changed");
    assert!(
        line.contains("sockeye.toml:2: unknown key") && line.contains("did you mean port?"),
        "{line}"
    );
    assert!(!too_long(&server));

    write("max-message-size = 6\nmetrics = \"off\"\n");
    server.signal("HUP");
    let line = server.logged("takes effect after a restart");
    assert!(line.contains("metrics"), "{line}");
    assert_eq!(server.get("/metrics").status, 200);
}

#[test]
fn a_self_signed_certificate_is_for_trying_wss() {
    let server = Server::start(&["--tls-self-signed"]);
    assert!(server.banner.contains("https://127.0.0.1:"), "{}", server.banner);
    let fingerprint = server
        .banner
        .split("SHA-256 ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    assert_eq!(fingerprint.split(':').count(), 32);
    let mut client = Client::connect(&server.url("wss"), &["--insecure"]);
    assert_eq!(client.echo("again"), "again");

    let line = complaint(&mut sockeye(&["connect", &server.url("wss")]), 1);
    assert!(line.contains("certificate"), "{line}");
}

#[test]
fn a_bad_certificate_is_one_line() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    write_certificate(folder.path(), "a.test");
    std::fs::copy(path("key.pem"), path("other.pem")).unwrap();
    write_certificate(folder.path(), "b.test");
    std::fs::write(path("empty.pem"), "").unwrap();
    let table = [
        ("missing.pem", "key.pem", "cannot read"),
        ("chain.pem", "missing.pem", "cannot read"),
        ("empty.pem", "key.pem", "no certificate in"),
        ("chain.pem", "empty.pem", "no private key in"),
        ("chain.pem", "other.pem", "does not belong to the certificate in"),
    ];
    for (chain, key, words) in table {
        let line = complaint(
            &mut sockeye(&["--port", "0", "--tls-cert", &path(chain), "--tls-key", &path(key)]),
            1,
        );
        assert!(line.starts_with("TLS: ") && line.contains(words), "{line}");
    }
}

#[test]
fn a_unix_socket_can_be_listened_on() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("socket");
    let server = Server::spawn(&mut sockeye(&["--port", "off", "--unix", path.to_str().unwrap()]));
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut status = String::new();
    BufReader::new(stream).read_line(&mut status).unwrap();
    assert_eq!(status, "HTTP/1.1 200 OK\r\n");

    let second = complaint(
        &mut sockeye(&["--port", "off", "--unix", path.to_str().unwrap()]),
        1,
    );
    assert!(second.contains("socket") && second.contains("in use"), "{second}");
    server.signal("TERM");
    assert_eq!(server.wait(), 0);
    assert!(!path.exists());
}

#[test]
fn the_log_can_be_json() {
    let server = Server::start(&["--log-format", "json", "--log-level", "info"]);
    server.signal("HUP");
    let line = server.logged("reloaded");
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["level"], "INFO");
}
