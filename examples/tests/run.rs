//! Runs each example as the program that it is, and talks to it.
//!
//! The examples must have been built: `cargo test --package sockeye-examples` does so.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sockeye::{Client, Error, Message, WebSocket};

/// How long anything in these tests may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running example, ended when dropped.
struct Example {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Example {
    /// Starts an example with these arguments.
    fn start(name: &str, arguments: &[&str]) -> Self {
        let program = folder()
            .join(name)
            .with_extension(std::env::consts::EXE_EXTENSION);
        let mut child = Command::new(&program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; build the examples first", program.display()));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    /// Starts a server on a free port; gives it and the URL it prints.
    fn serve(name: &str) -> (Self, String) {
        let mut example = Self::start(name, &["127.0.0.1:0"]);
        let mut line = String::new();
        example.stdout.read_line(&mut line).unwrap();
        let url = line.trim_end();
        assert!(url.contains("://127.0.0.1:"), "{name} printed {line:?}");
        let url = url.to_owned();
        (example, url)
    }

    /// Waits for the end of the program: its exit status, and what it printed since.
    fn end(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap().code(), text)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where cargo puts examples: beside the folder that this test runs from.
fn folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples")
}

async fn connect(url: &str) -> WebSocket {
    in_time(sockeye::connect(url)).await.unwrap()
}

async fn text(ws: &mut WebSocket) -> String {
    match in_time(ws.recv()).await.unwrap() {
        Some(Message::Text(text)) => text.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

fn get(url: &str) -> String {
    let (authority, path) = url.split_once("://").unwrap().1.split_once('/').unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[tokio::test]
async fn echo_server_sends_back_what_comes() {
    let (_server, url) = Example::serve("echo_server");
    let mut ws = connect(&url).await;
    for message in [
        Message::text("红鲑鱼"),
        Message::binary(vec![0, 255]),
        Message::text(""),
    ] {
        ws.send(&message).await.unwrap();
        assert_eq!(in_time(ws.recv()).await.unwrap(), Some(message));
    }
}

#[tokio::test]
async fn echo_client_prints_the_echo() {
    let (_server, url) = Example::serve("echo_server");
    let (status, printed) = Example::start("echo_client", &[&url]).end();
    assert_eq!(status, Some(0));
    assert!(printed.contains("Hello, sockeye!"), "{printed}");
}

#[tokio::test]
async fn browser_api_goes_through_all_events() {
    let (_server, url) = Example::serve("echo_server");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/browser_api.rs");
    let (status, printed) = Example::start("browser_api", &[&url, file]).end();
    assert_eq!(status, Some(0), "{printed}");
    let file = include_str!("../browser_api.rs").len();
    let sent = "hello server".len() + file + 320 * 200;
    let want = [
        "readyState 0".to_owned(),
        format!("open, bufferedAmount {sent}"),
        "message Text(\"hello server\")".to_owned(),
        format!("message Blob(Blob {{ size: {file}, type: \"\", .. }})"),
        "message Blob(Blob { size: 64000, type: \"\", .. })".to_owned(),
        "close 1000 \"done\"".to_owned(),
        "wasClean true".to_owned(),
        "readyState 3".to_owned(),
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), want);
}

#[tokio::test]
async fn browser_api_hears_of_a_server_that_is_not_there() {
    let (server, url) = Example::serve("echo_server");
    drop(server);
    let (status, printed) = Example::start(
        "browser_api",
        &[&url, concat!(env!("CARGO_MANIFEST_DIR"), "/lib.rs")],
    )
    .end();
    assert_eq!(status, Some(0), "{printed}");
    let want = [
        "readyState 0",
        "error",
        "failed",
        "close 1006 \"\"",
        "wasClean false",
        "readyState 3",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), want);
}

#[test]
fn browser_api_has_at_most_forty_lines() {
    let text = include_str!("../browser_api.rs");
    let code = text.lines().filter(|line| !line.starts_with("//!"));
    assert!(code.count() <= 40);
}

#[test]
fn reconnecting_places_its_orders_when_the_server_is_there() {
    let (server, url) = Example::serve("echo_server");
    let address = url
        .trim_start_matches("ws://")
        .trim_end_matches("/echo")
        .to_owned();
    drop(server);
    let mut client = Example::start("reconnecting", &[&url]);
    let mut line = String::new();
    client.stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with("no connection: "), "{line}");
    let _server = Example::start("echo_server", &[&address]);
    let (status, printed) = client.end();
    assert_eq!(status, Some(0), "{printed}");
    for number in 1..=3 {
        assert!(
            printed.contains(&format!("confirmed: Text(\"order {number}\")\n")),
            "{printed}"
        );
    }
}

#[test]
fn proto_by_hand_sends_three_messages_there_and_back() {
    let (status, printed) = Example::start("proto_by_hand", &[]).end();
    assert_eq!(status, Some(0), "{printed}");
    for message in ["Text(\"Hello\")", "Binary([1, 2, 3])", "Text(\"再见\")"] {
        for side in ["server", "client"] {
            assert!(printed.contains(&format!("{side}: {message}\n")), "{printed}");
        }
    }
}

#[tokio::test]
async fn axum_handlers_share_their_state() {
    let (_server, url) = Example::serve("axum");
    let (mut one, mut other) = (connect(&url).await, connect(&url).await);
    one.send("abc").await.unwrap();
    assert_eq!(text(&mut one).await, "1: 3 bytes");
    other.send("é").await.unwrap();
    assert_eq!(text(&mut other).await, "2: 2 bytes");
    let page = url.replace("ws://", "http://").replace("/count", "/");
    assert!(get(&page).ends_with("\r\n2 messages\n"));
}

#[tokio::test]
async fn chat_server_carries_lines_within_a_room() {
    let (_server, page) = Example::serve("chat_server");
    let url = |room: &str, name: &str| format!("{}rooms/{room}?name={name}", page.replace("http", "ws"));
    let mut ada = connect(&url("lobby", "Ada")).await;
    assert_eq!(text(&mut ada).await, "* Ada came in");
    let mut elsewhere = connect(&url("attic", "Eve")).await;
    assert_eq!(text(&mut elsewhere).await, "* Eve came in");

    let mut zoe = connect(&url("lobby", "Zo%C3%AB")).await;
    for member in [&mut ada, &mut zoe] {
        assert_eq!(text(member).await, "* Zoë came in");
    }
    zoe.send("<b>hello</b>").await.unwrap();
    for member in [&mut ada, &mut zoe] {
        assert_eq!(text(member).await, "Zoë: <b>hello</b>");
    }
    zoe.close(sockeye::CloseCode::NORMAL, "").await.unwrap();
    assert_eq!(text(&mut ada).await, "* Zoë left");

    elsewhere.send("alone").await.unwrap();
    assert_eq!(text(&mut elsewhere).await, "Eve: alone");
}

#[tokio::test]
async fn chat_server_refuses_a_bad_name_and_a_strange_page() {
    let (_server, page) = Example::serve("chat_server");
    let url = |name: &str| format!("{}rooms/lobby?name={name}", page.replace("http", "ws"));
    let refused = |error: Error| error.refusal().map(|refusal| refusal.status.as_u16());
    for name in ["", "*", "a%20b", "abcdefghijklmnopqrstu"] {
        let error = in_time(sockeye::connect(url(name))).await.unwrap_err();
        assert_eq!(refused(error), Some(403), "{name:?}");
    }
    let stranger = Client::builder().origin("https://elsewhere.test");
    let error = in_time(stranger.connect(url("Ada"))).await.unwrap_err();
    assert_eq!(refused(error), Some(403));
}

#[tokio::test]
async fn chat_server_serves_its_page() {
    let (_server, page) = Example::serve("chat_server");
    for (path, kind, part) in [
        ("", "text/html", "<h1>Chat</h1>"),
        ("chat.js", "text/javascript", "textContent"),
        ("chat.css", "text/css", "color-scheme"),
    ] {
        let response = get(&format!("{page}{path}"));
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {response}");
        assert!(
            response.contains(&format!("content-type: {kind}; charset=utf-8\r\n")),
            "{path}"
        );
        assert!(
            response.contains("content-security-policy: default-src 'none'; "),
            "{path}"
        );
        assert!(response.contains(part), "{path}");
    }
}

#[tokio::test]
async fn chat_server_takes_leave_of_everybody() {
    let (server, page) = Example::serve("chat_server");
    let mut ada = connect(&format!("{}rooms/lobby?name=Ada", page.replace("http", "ws"))).await;
    assert_eq!(text(&mut ada).await, "* Ada came in");
    kill_process(Pid::from_child(&server.child), Signal::INT).unwrap();
    while in_time(ada.recv()).await.unwrap().is_some() {}
    let info = ada.close_info().unwrap();
    assert_eq!((info.code, info.clean), (1001, true));
    assert_eq!(server.end().0, Some(0));
}
