//! A client of few words: it writes what it is told, byte by byte if need be, and shows what comes back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use sockeye::driver::DriverKind;
use sockeye::server::{BoundServer, Server, ServerBuilder, ServerHandle};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nothing that these tests wait for takes longer, unless it does not come at all.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A server to be, which runs where `SOCKEYE_TEST_DRIVER` says: on the test's own runtime (`runtime`, and without the
/// variable), or on workers, whose driver it names (`readiness`; `uring`, where the system has it).
pub(crate) fn server() -> ServerBuilder {
    let builder = Server::builder();
    match std::env::var("SOCKEYE_TEST_DRIVER").as_deref() {
        Err(_) | Ok("" | "runtime") => builder,
        Ok(driver) => {
            let driver: DriverKind = driver.parse().unwrap();
            let driver = driver.resolve().unwrap_or(DriverKind::Readiness);
            builder.workers(2).driver(driver)
        }
    }
}

/// Runs a server in the background.
pub(crate) async fn start(builder: ServerBuilder) -> (SocketAddr, ServerHandle) {
    let server = builder.bind("127.0.0.1:0").listen().await.unwrap();
    let address = server.tcp_address().unwrap();
    (address, run(server))
}

pub(crate) fn run(server: BoundServer) -> ServerHandle {
    let handle = server.handle();
    tokio::spawn(server.serve());
    handle
}

/// Waits for what must come.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it never came")
}

/// Waits until a condition that another task brings about holds.
pub(crate) async fn eventually(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub(crate) struct Peer<S = TcpStream> {
    stream: S,
    received: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).await.unwrap())
    }

    /// Connects and opens a WebSocket, with these headers beside the necessary ones.
    pub(crate) async fn open(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut peer = Self::connect(address).await;
        let response = peer.request(path, headers).await;
        assert_eq!(response.status, 101, "{response:?}");
        peer
    }

    /// Connects, asks for a WebSocket, and shows the answer.
    pub(crate) async fn ask(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Response {
        Self::connect(address).await.request(path, headers).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            received: Vec::new(),
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Writes as much as the server takes before it closes.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) {
        let _ = soon(self.stream.write_all(bytes)).await;
    }

    /// Ends this direction and goes on reading.
    pub(crate) async fn end_sending(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Sends a handshake request and reads the answer.
    pub(crate) async fn request(&mut self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.write(handshake(path, headers).as_bytes()).await;
        self.response().await
    }

    /// Reads a response with its body.
    pub(crate) async fn response(&mut self) -> Response {
        let end = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(
                self.read_some().await > 0,
                "closed within the response head: {:?}",
                self.received
            );
        };
        let head: Vec<u8> = self.received.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.parse().unwrap());
        while self.received.len() < length {
            assert!(self.read_some().await > 0, "closed within the response body");
        }
        let body = String::from_utf8(self.received.drain(..length).collect()).unwrap();
        Response {
            status,
            headers,
            body,
        }
    }

    /// Sends a whole message or control frame.
    pub(crate) async fn send(&mut self, opcode: u8, payload: &[u8]) {
        self.write(&frame(opcode, payload)).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.send(TEXT, text.as_bytes()).await;
    }

    /// Receives the next frame, which must not be a fragment.
    pub(crate) async fn receive(&mut self) -> (u8, Vec<u8>) {
        self.fill(2).await;
        let opcode = self.received[0] & 0x0f;
        assert_eq!(self.received[0] & 0x80, 0x80, "a fragment");
        assert_eq!(self.received[1] & 0x80, 0, "a masked frame from a server");
        let (start, length) = match self.received[1] & 0x7f {
            126 => {
                self.fill(4).await;
                (
                    4,
                    usize::from(u16::from_be_bytes([self.received[2], self.received[3]])),
                )
            }
            127 => {
                self.fill(10).await;
                (
                    10,
                    u64::from_be_bytes(self.received[2..10].try_into().unwrap()) as usize,
                )
            }
            short => (2, usize::from(short)),
        };
        self.fill(start + length).await;
        let payload = self.received[start..start + length].to_vec();
        self.received.drain(..start + length);
        (opcode, payload)
    }

    pub(crate) async fn receive_text(&mut self) -> String {
        let (opcode, payload) = self.receive().await;
        assert_eq!(opcode, TEXT, "{payload:?}");
        String::from_utf8(payload).unwrap()
    }

    /// Receives a Close frame: its code, 1005 for none, and reason. Other frames before it are passed over.
    pub(crate) async fn receive_close(&mut self) -> (u16, String) {
        loop {
            let (opcode, payload) = self.receive().await;
            if opcode == CLOSE {
                let Some((code, reason)) = payload.split_first_chunk() else {
                    return (1005, String::new());
                };
                return (
                    u16::from_be_bytes(*code),
                    String::from_utf8(reason.to_vec()).unwrap(),
                );
            }
        }
    }

    /// Answers a Close with the same code.
    pub(crate) async fn send_close(&mut self, code: u16) {
        self.send(CLOSE, &code.to_be_bytes()).await;
    }

    /// Reads until the server ends the connection, and shows what came.
    pub(crate) async fn until_end(&mut self) -> Vec<u8> {
        while self.read_some().await > 0 {}
        std::mem::take(&mut self.received)
    }

    /// Answers a Close as a well-behaved client does: waits for the server to end TCP, then ends it too.
    pub(crate) async fn finish(mut self, code: u16) {
        self.send_close(code).await;
        self.until_end().await;
    }

    async fn fill(&mut self, length: usize) {
        while self.received.len() < length {
            assert!(
                self.read_some().await > 0,
                "closed within a frame: {:?}",
                self.received
            );
        }
    }

    /// A reset counts as an end.
    async fn read_some(&mut self) -> usize {
        soon(self.stream.read_buf(&mut self.received)).await.unwrap_or(0)
    }
}

/// A client whose window is small and closes as soon as it does not read.
pub(crate) async fn narrow(address: SocketAddr) -> Peer {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    Peer::new(socket.connect(address).await.unwrap())
}

/// A handshake request.
pub(crate) fn handshake(path: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!(
        "GET {path} HTTP/1.1\r\nHost: example.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text
}

/// A whole frame, masked with a key that is not all zeros.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(KEY);
    bytes.extend(
        payload
            .iter()
            .zip(KEY.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    bytes
}

/// A handler that sends everything back.
pub(crate) async fn echo(mut ws: sockeye::WebSocket) -> sockeye::HandlerResult {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}
