//! A server whose every byte is written by the test.

use std::time::Duration;

use sockeye::proto::handshake::accept_key;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long anything in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// Opcodes (RFC 6455 §5.2).
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

pub(crate) struct Server {
    listener: TcpListener,
}

impl Server {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    pub(crate) fn authority(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.authority())
    }

    /// Takes the next connection and reads the head of its request.
    pub(crate) async fn accept(&self) -> Peer {
        let (mut io, _) = in_time(self.listener.accept()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(in_time(io.read_u8()).await.unwrap());
        }
        Peer {
            io,
            request: String::from_utf8(head).unwrap(),
        }
    }

    /// Whether a connection comes before `time` is over.
    pub(crate) async fn has_next(&self, time: impl Future<Output = ()>) -> bool {
        tokio::select! {
            _ = self.listener.accept() => true,
            () = time => false,
        }
    }
}

/// A connection at the server's end.
pub(crate) struct Peer {
    io: TcpStream,
    pub(crate) request: String,
}

impl Peer {
    /// The value of a field of the request.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.request.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// A correct 101, with further lines.
    pub(crate) fn acceptance(&self, further: &str) -> String {
        let key = self.field("Sec-WebSocket-Key").unwrap();
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n{further}\r\n",
            accept_key(key.as_bytes())
        )
    }

    /// Accepts the handshake, with further lines in the response.
    pub(crate) async fn open(&mut self, further: &str) {
        let response = self.acceptance(further);
        self.write(response.as_bytes()).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        in_time(self.io.write_all(bytes)).await.unwrap();
    }

    /// Sends a frame with FIN.
    pub(crate) async fn send(&mut self, opcode: u8, payload: impl AsRef<[u8]>) {
        let payload = payload.as_ref();
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            length @ ..126 => frame.push(length as u8),
            length @ ..0x1_0000 => {
                frame.push(126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(payload);
        self.write(&frame).await;
    }

    /// Sends a Close frame.
    pub(crate) async fn send_close(&mut self, code: u16, reason: &str) {
        let mut body = code.to_be_bytes().to_vec();
        body.extend(reason.as_bytes());
        self.send(CLOSE, body).await;
    }

    /// Reads the next frame: its opcode and its payload without the mask.
    pub(crate) async fn read(&mut self) -> (u8, Vec<u8>) {
        in_time(self.read_frame()).await.expect("a frame")
    }

    async fn read_frame(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let first = self.io.read_u8().await?;
        assert_eq!(first & 0xf0, 0x80, "FIN and no reserved bits");
        let second = self.io.read_u8().await?;
        assert_eq!(second & 0x80, 0x80, "masked");
        let length = match second & 0x7f {
            126 => usize::from(self.io.read_u16().await?),
            127 => usize::try_from(self.io.read_u64().await?).unwrap(),
            length => usize::from(length),
        };
        let mut key = [0; 4];
        self.io.read_exact(&mut key).await?;
        let mut payload = vec![0; length];
        self.io.read_exact(&mut payload).await?;
        for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
            *byte ^= key;
        }
        Ok((first & 0x0f, payload))
    }

    /// Reads the next frame, which is text.
    pub(crate) async fn read_text(&mut self) -> String {
        let (opcode, payload) = self.read().await;
        assert_eq!(opcode, TEXT);
        String::from_utf8(payload).unwrap()
    }

    /// Reads a Close frame: its body.
    pub(crate) async fn read_close(&mut self) -> Vec<u8> {
        let (opcode, payload) = self.read().await;
        assert_eq!(opcode, CLOSE, "{payload:?}");
        payload
    }

    /// Waits for the end of what the client sends; gives whether nothing came before it.
    pub(crate) async fn ended(&mut self) -> bool {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = in_time(self.io.read_to_end(&mut rest)).await;
        rest.is_empty()
    }

    /// Ends the stream towards the client, and reads what it still sends; gives whether that was nothing.
    pub(crate) async fn end(mut self) -> bool {
        let _ = self.io.shutdown().await;
        self.ended().await
    }

    /// Drops the connection at once, with what was not read.
    pub(crate) fn abort(self) {
        self.io.set_zero_linger().unwrap();
    }

    /// Answers the client's Close with the same, and ends.
    pub(crate) async fn answer_close(mut self) -> Vec<u8> {
        let body = self.read_close().await;
        self.send(CLOSE, &body).await;
        self.end().await;
        body
    }
}
