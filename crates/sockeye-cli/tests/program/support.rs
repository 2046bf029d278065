//! Processes of the program, and what they say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// A command line of the program, with an environment that sets none of its options.
pub(crate) fn sockeye(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        // Nor may the machine's proxies come between.
        if text.starts_with("SOCKEYE_") || text.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().expect("the program exits by itself"),
            stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
        }
    }
}

/// Runs a command line to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    finish(&mut sockeye(arguments))
}

/// Runs `sockeye connect` with this standard input.
pub(crate) fn connect(url: &str, flags: &[&str], input: impl AsRef<[u8]>) -> Ended {
    pipe(sockeye(&["connect", url]).args(flags), input)
}

/// Runs a command line to its end, with this standard input.
pub(crate) fn pipe(command: &mut Command, input: impl AsRef<[u8]>) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.as_ref().to_owned();
    // The client may end before it has read everything.
    let writer = std::thread::spawn(move || stdin.write_all(&input).is_ok());
    let ended = child.wait_with_output().expect("it ends").into();
    writer.join().expect("it does not panic");
    ended
}

pub(crate) fn finish(command: &mut Command) -> Ended {
    command.output().expect("the program starts").into()
}

/// Asserts that a command fails with one line on standard error, and returns the line.
pub(crate) fn complaint(command: &mut Command, status: i32) -> String {
    let ended = finish(command);
    assert_eq!(ended.status, status, "{ended:?}");
    assert_eq!(ended.stdout, "");
    let line = ended.stderr.strip_suffix('\n').expect("the line ends");
    assert!(!line.contains('\n'), "one line: {line}");
    line.strip_prefix("sockeye: ")
        .expect("the program names itself")
        .to_owned()
}

/// Longest wait for something that should happen at once. A test that reaches it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running `sockeye serve`.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// The banner, as far as its last line.
    pub(crate) banner: String,
    log: Receiver<String>,
}

impl Server {
    /// Starts a server on a free port of 127.0.0.1 and waits for its banner.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut arguments = vec!["serve", "--host", "127.0.0.1", "--port", "0"];
        arguments.extend(flags);
        Self::spawn(&mut sockeye(&arguments))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = follow(child.stdout.take().expect("it is piped"));
        let log = follow(child.stderr.take().expect("it is piped"));
        let mut banner = String::new();
        while !banner.contains("Ctrl-C") {
            let Ok(line) = lines.recv_timeout(PATIENCE) else {
                let log: Vec<_> = log.try_iter().collect();
                panic!("no banner: {banner}{}", log.join("\n"));
            };
            banner.push_str(&line);
            banner.push('\n');
        }
        Self { child, banner, log }
    }

    /// The first address of the banner with this scheme, such as `http` or `ws`.
    pub(crate) fn url(&self, scheme: &str) -> String {
        let start = self
            .banner
            .find(&format!(" {scheme}://"))
            .expect("the banner has the address");
        self.banner[start..]
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Host and port.
    pub(crate) fn authority(&self) -> String {
        let scheme = if self.banner.contains(" https://") {
            "https"
        } else {
            "http"
        };
        let url = self.url(scheme);
        url.split('/').nth(2).expect("a URL has a host").to_owned()
    }

    /// One request on a connection of its own.
    pub(crate) fn request(&self, request: &str) -> Response {
        let mut stream = self.open(request);
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("the response is text");
        Response::parse(&text)
    }

    /// Sends a request and leaves the response in the stream.
    pub(crate) fn open(&self, request: &str) -> TcpStream {
        let authority = self.authority();
        let mut stream = TcpStream::connect(&authority).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
        let (line, rest) = request.split_once("\r\n").unwrap_or((request, ""));
        let (headers, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
        let headers = if headers.is_empty() {
            String::new()
        } else {
            format!("{headers}\r\n")
        };
        let connection = if headers.contains("Upgrade") {
            "Upgrade"
        } else {
            "close"
        };
        let text = format!(
            "{line} HTTP/1.1\r\nHost: {authority}\r\nConnection: {connection}\r\n{headers}\r\n{body}"
        );
        stream.write_all(text.as_bytes()).expect("the server reads");
        stream
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.request(&format!("GET {path}"))
    }

    /// Waits for a line of the log that contains `words`.
    pub(crate) fn logged(&self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while let Ok(line) = self
            .log
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            if line.contains(words) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line with {words:?} in the log: {}", seen.join("\n"));
    }

    /// Sends a signal by name, such as TERM.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh")
            .args(["-c", &command])
            .status()
            .expect("there is a shell");
        assert!(status.success());
    }

    /// Waits for the end and gives the exit status.
    pub(crate) fn wait(mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        // Standard error ends with the process.
        while !matches!(
            self.log
                .recv_timeout(deadline.saturating_duration_since(Instant::now())),
            Err(RecvTimeoutError::Disconnected)
        ) {
            assert!(Instant::now() < deadline, "the server does not end");
        }
        self.child
            .wait()
            .expect("it was started")
            .code()
            .expect("it exits by itself")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server's side of a WebSocket that the program opens, behind its handshake.
pub(crate) fn accept_websocket(listener: &TcpListener) -> TcpStream {
    accept_request(listener).0
}

/// The same, with the head of the request.
pub(crate) fn accept_request(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, head) = read_request(listener);
    let response = switching(&head);
    stream.write_all(response.as_bytes()).expect("the program reads");
    (stream, head)
}

/// A connection, and the head of the request on it.
pub(crate) fn read_request(listener: &TcpListener) -> (TcpStream, String) {
    let (stream, _) = listener.accept().expect("the program connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    let mut head = String::new();
    for line in BufReader::new(stream.try_clone().expect("it is open")).lines() {
        let line = line.expect("the request is text");
        if line.is_empty() {
            break;
        }
        head.push_str(&line);
        head.push_str("\r\n");
    }
    (stream, head)
}

/// Opcode and payload of the next short frame that the program sends; `None` when there is none.
pub(crate) fn read_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 6];
    stream.read_exact(&mut header).ok()?;
    assert_eq!(
        (header[0] & 0xf0, header[1] & 0x80),
        (0x80, 0x80),
        "whole and masked"
    );
    let length = usize::from(header[1] & 0x7f);
    assert!(length < 126, "short");
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).ok()?;
    for (byte, key) in payload.iter_mut().zip(header[2..].iter().cycle()) {
        *byte ^= key;
    }
    Some((header[0] & 0x0f, payload))
}

/// Waits for the program's Close frame, answers it, and ends the connection, which is the server's to do.
pub(crate) fn good_bye(mut stream: TcpStream) {
    while let Some((opcode, _)) = read_frame(&mut stream) {
        if opcode == 8 {
            let _ = stream.write_all(b"\x88\x02\x03\xe8");
            return;
        }
    }
}

/// The answer that a handshake asks for.
pub(crate) fn switching(head: &str) -> String {
    let key = header(head, "sec-websocket-key");
    let accept = sockeye_proto::handshake::accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// The value of a header field, empty when there is none.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> &'a str {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map_or("", |(_, value)| value)
}

/// The lines of a stream, as they come.
pub(crate) fn follow(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A response to plain HTTP.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Response {
    fn parse(text: &str) -> Self {
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no head: {text}"));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status line");
        Self {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// The value of a header, empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        header(&self.head, name)
    }
}
