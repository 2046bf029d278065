//! How the client gets to a server: credentials, cookies, redirections, proxies, sockets, certificates.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use tempfile::TempDir;

use crate::support::{
    Server, accept_request, complaint, connect, good_bye, header, read_request, run, sockeye, switching,
};

/// A server that accepts one WebSocket, closes it, and gives the head of its request.
fn one_request() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, head) = accept_request(&listener);
        stream.write_all(b"\x88\x02\x03\xe8").unwrap();
        good_bye(stream);
        head
    });
    (url, server)
}

/// The head of the request that the client sends with these flags.
fn request(flags: &[&str]) -> String {
    let (url, server) = one_request();
    let ended = connect(&url, flags, "");
    assert_eq!(ended.status, 0, "{ended:?}");
    server.join().unwrap()
}

#[test]
fn credentials_are_sent() {
    // What RFC 7617 §2 has.
    let head = request(&["--auth", "Aladdin:open sesame"]);
    assert_eq!(
        header(&head, "authorization"),
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    );
    assert_eq!(
        header(&request(&["--bearer", "abc"]), "authorization"),
        "Bearer abc"
    );
}

#[test]
fn secrets_are_read_from_files() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "Aladdin:open sesame\n").unwrap();
    let argument = format!("@{}", file.display());
    let head = request(&["-u", &argument]);
    assert_eq!(
        header(&head, "authorization"),
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    );
    std::fs::write(&file, "x.y\n").unwrap();
    let head = request(&["--bearer", &argument]);
    assert_eq!(header(&head, "authorization"), "Bearer x.y");
    let line = complaint(
        &mut sockeye(&["connect", "ws://a", "-u", "a:b", "--bearer", "c"]),
        2,
    );
    assert!(line.contains("exclude each other"), "{line}");
}

#[test]
fn cookies_are_kept_in_a_file_and_sent_back() {
    let folder = TempDir::new().unwrap();
    let jar = folder.path().join("jar");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, head) = read_request(&listener);
        let cookie = "Set-Cookie: id=42; Max-Age=1000\r\n\r\n";
        let answer = switching(&head).replacen("\r\n\r\n", &format!("\r\n{cookie}"), 1);
        stream.write_all(answer.as_bytes()).unwrap();
        stream.write_all(b"\x88\x02\x03\xe8").unwrap();
        good_bye(stream);
        let (mut stream, head) = accept_request(&listener);
        stream.write_all(b"\x88\x02\x03\xe8").unwrap();
        good_bye(stream);
        head
    });
    let flags = ["--cookie-jar", jar.to_str().unwrap()];
    assert_eq!(connect(&url, &flags, "").status, 0);
    let kept = std::fs::read_to_string(&jar).unwrap();
    assert!(kept.contains("\tid\t42"), "{kept}");
    assert_eq!(connect(&url, &flags, "").status, 0);
    assert_eq!(header(&server.join().unwrap(), "cookie"), "id=42");
}

/// A server that redirects everything there.
fn redirecting(target: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        loop {
            let (mut stream, _) = read_request(&listener);
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn redirections_are_followed_when_asked_for() {
    let server = Server::start(&[]);
    let url = redirecting(server.url("ws"));
    let ended = connect(&url, &["-L", "-1", "-m", "x"], "");
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "x\n"), "{ended:?}");
    let ended = connect(&url, &[], "");
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("HTTP 302"), "{ended:?}");

    let twice = redirecting(url);
    let ended = connect(&twice, &["--location", "--max-redirects", "1"], "");
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.stderr.contains("redirect"), "{ended:?}");
}

/// A proxy that asks for this password, and the requests it has had.
fn proxy(credentials: &'static str) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{credentials}@{}", listener.local_addr().unwrap());
    let (sender, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        loop {
            let (mut client, head) = read_request(&listener);
            let target = head.split(' ').nth(1).unwrap().to_owned();
            if sender.send(head).is_err() {
                return;
            }
            let mut server = TcpStream::connect(target).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut client, &mut server);
                let _ = server.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    (url, requests)
}

#[test]
fn a_proxy_is_gone_through() {
    let server = Server::start(&[]);
    let (proxy, requests) = proxy("me:secret");
    let url = server.url("ws");
    let ended = connect(&url, &["--proxy", &proxy, "-1", "-m", "x"], "");
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "x\n"), "{ended:?}");
    let head = requests.recv().unwrap();
    assert!(head.starts_with("CONNECT "), "{head}");
    assert_eq!(header(&head, "proxy-authorization"), "Basic bWU6c2VjcmV0");

    // The environment names one too, unless it is told not to.
    let with_environment = |flags: &[&str]| {
        let status = sockeye(&["connect", &url, "-1", "-m", "x"])
            .args(flags)
            .env("ws_proxy", &proxy)
            .output()
            .unwrap()
            .status;
        assert!(status.success());
        requests.try_iter().count()
    };
    assert_eq!(with_environment(&[]), 1);
    assert_eq!(with_environment(&["--proxy", "off"]), 0);
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = format!("socks5h://{free}");
    let line = complaint(&mut sockeye(&["connect", "ws://localhost:1", "-x", &proxy]), 1);
    assert!(line.contains("proxy"), "{line}");
    let line = complaint(&mut sockeye(&["connect", "ws://localhost:1", "-x", "ftp://a"]), 2);
    assert!(line.starts_with("--proxy: "), "{line}");
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_used() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("socket").to_str().unwrap().to_owned();
    let _server = Server::start(&["--unix", &path]);
    let ended = run(&["connect", "ws://localhost/echo", "--unix", &path, "-1", "-m", "x"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "x\n"), "{ended:?}");
}

#[test]
fn a_client_certificate_is_shown() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(&path, text).unwrap();
        path
    };
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let ca = write("ca.pem", authority.pem());
    let chain = write("chain.pem", certificate.pem());
    let private = write("key.pem", key.serialize_pem());
    let both = write("both.pem", certificate.pem() + &key.serialize_pem());

    let flags = [
        "--tls-cert",
        &chain,
        "--tls-key",
        &private,
        "--tls-client-ca",
        &ca,
    ];
    let server = Server::start(&flags);
    let url = server.url("wss");
    for identity in [&["--cert", &chain, "--key", &private][..], &["--cert", &both]] {
        let ended = connect(&url, &[&["--ca", &ca, "-1", "-m", "x"], identity].concat(), "");
        assert_eq!((ended.status, ended.stdout.as_str()), (0, "x\n"), "{ended:?}");
    }
    // TLS 1.3 tells the client after its own handshake is done.
    assert_ne!(connect(&url, &["--ca", &ca, "--wait", "off"], "").status, 0);
    let line = complaint(&mut sockeye(&["connect", &url, "--key", &private]), 2);
    assert!(line.contains("--cert"), "{line}");
}

#[test]
fn a_server_that_answers_no_ping_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = accept_request(&listener);
        let mut seen = Vec::new();
        let _ = stream.read_to_end(&mut seen);
        seen
    });
    let flags = [
        "--wait",
        "off",
        "--ping-interval",
        "50ms",
        "--ping-timeout",
        "100ms",
    ];
    let ended = connect(&url, &flags, "");
    assert_ne!(ended.status, 0, "{ended:?}");
    assert!(!ended.stderr.is_empty(), "{ended:?}");
    let seen = server.join().unwrap();
    assert_eq!(seen[0], 0x89, "a ping came first");
}

#[test]
fn a_key_can_be_pinned() {
    let server = Server::start(&["--tls-self-signed"]);
    let url = server.url("wss");
    let report = run(&["echo-test", &url, "-k", "--json", "-n", "1", "--max-size", "1"]);
    let report: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    let pin = report["handshake"]["tls"]["pin"].as_str().unwrap();
    assert!(pin.starts_with("sha256/"), "{pin}");
    // The pin comes on top: the certificate is still not one that anybody vouches for.
    let line = complaint(&mut sockeye(&["connect", &url, "--pin", pin]), 1);
    assert!(
        line.ends_with("; --ca names one to trust, --insecure accepts any"),
        "{line}"
    );
    let line = complaint(&mut sockeye(&["connect", &url, "--ca", "/nowhere.pem"]), 2);
    assert_eq!(line, "TLS: cannot read /nowhere.pem: No such file or directory");
    let line = complaint(&mut sockeye(&["connect", &url, "--count", "0"]), 2);
    assert!(line.starts_with("--count: \"0\" is not a count"), "{line}");
    let line = complaint(&mut sockeye(&["connect", &url, "--pin", pin, "-k"]), 2);
    assert!(line.contains("exclude each other"), "{line}");

    let folder = TempDir::new().unwrap();
    let (flags, ca) = certified(&folder, "localhost");
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let server = Server::start(&flags);
    let url = server.url("wss").replace("127.0.0.1", "localhost");
    let line = complaint(&mut sockeye(&["connect", &url, "--ca", &ca, "--pin", pin]), 1);
    assert!(line.contains("pin"), "{line}");
    let verbose = connect(&url, &["--ca", &ca, "-v", "-1", "-m", "x"], "");
    let pin = verbose
        .stderr
        .split("key sha256/")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap();
    let ended = connect(&url, &["--ca", &ca, "--pin", pin, "-1", "-m", "x"], "");
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "x\n"), "{ended:?}");
}

/// The flags of a server that has a certificate for this name, and the authority that vouches for it.
fn certified(folder: &TempDir, name: &str) -> (Vec<String>, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let write = |file: &str, text: String| {
        let path = folder.path().join(file).to_str().unwrap().to_owned();
        std::fs::write(&path, text).unwrap();
        path
    };
    let chain = write("chain.pem", certificate.pem());
    let private = write("key.pem", key.serialize_pem());
    let flags = ["--tls-cert", &chain, "--tls-key", &private].map(str::to_owned);
    (flags.to_vec(), chain)
}

#[test]
fn a_certificate_can_be_for_another_name() {
    let folder = TempDir::new().unwrap();
    let (flags, ca) = certified(&folder, "echo.test");
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let server = Server::start(&flags);
    let url = server.url("wss");
    let ended = connect(
        &url,
        &["--ca", &ca, "--server-name", "echo.test", "-1", "-m", "x"],
        "",
    );
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "x\n"), "{ended:?}");
    assert_eq!(connect(&url, &["--ca", &ca], "").status, 1);
}

/// A server whose first connection breaks off behind a message, and whose second one closes behind another.
fn breaking() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = accept_request(&listener);
        stream.write_all(b"\x81\x03one").unwrap();
        drop(stream);
        let (mut stream, _) = accept_request(&listener);
        stream.write_all(b"\x81\x03two\x88\x02\x03\xe8").unwrap();
        good_bye(stream);
    });
    url
}

#[test]
fn a_lost_connection_is_made_again() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a").to_str().unwrap().to_owned();
    let flags = ["--reconnect", "--wait", "off", "--record", &file];
    let ended = connect(&breaking(), &flags, "");
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "one\ntwo\n"),
        "{ended:?}"
    );
    for words in ["connection lost", "the next attempt is in ", "connected again"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let kinds: Vec<_> = [
        "\"text\":\"one\"",
        "\"kind\":\"lost\"",
        "\"kind\":\"open\"",
        "\"text\":\"two\"",
    ]
    .iter()
    .map(|words| text.find(words).unwrap_or_else(|| panic!("{words}: {text}")))
    .collect();
    assert!(kinds.is_sorted(), "{text}");

    let quiet = connect(&breaking(), &["--reconnect", "--wait", "off", "--quiet"], "");
    assert_eq!((quiet.status, quiet.stderr.as_str()), (0, ""));
}

#[test]
fn attempts_have_an_end_when_they_are_counted() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{free}/");
    let ended = connect(&url, &["--reconnect=2"], "");
    assert_eq!(ended.status, 1, "{ended:?}");
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert!(lines[0].starts_with("sockeye: attempt 1: "), "{ended:?}");
    assert!(
        lines
            .last()
            .unwrap()
            .starts_with("sockeye: gave up after 2 attempts"),
        "{ended:?}"
    );
}
