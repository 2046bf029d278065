//! The other end: a server made of the protocol crate alone, and one whose bytes are written by hand.

use std::sync::Arc;
use std::time::Instant;

use sockeye::proto::deflate::{Compressor, Decompressor, Deflate, Pool};
use sockeye::proto::handshake::server::{RequestReader, Upgrade};
use sockeye::proto::handshake::{HeadLimits, accept_key};
use sockeye::proto::{Compress, Connection, Event, Role, Shutdown, Workspace};
use sockeye::{Client, Config, Result, WebSocket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};

/// The URL of handshakes in memory.
pub(crate) const URL: &str = "ws://example.org/chat?room=1";

/// Both ends of a pipe in memory.
pub(crate) fn pipe() -> (DuplexStream, DuplexStream) {
    duplex(64 * 1024)
}

/// Reads the head of a request, and nothing behind it.
pub(crate) async fn read_request(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut received = Vec::new();
    while !received.ends_with(b"\r\n\r\n") {
        received.push(io.read_u8().await.unwrap());
    }
    String::from_utf8(received).unwrap()
}

/// The value of a field of a request.
pub(crate) fn field<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = request.lines().filter_map(|line| line.split_once(": "));
    lines
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// A correct 101, with further lines.
pub(crate) fn accepted(request: &str, further: &str) -> String {
    let key = field(request, "Sec-WebSocket-Key").unwrap();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{further}\r\n",
        accept_key(key.as_bytes())
    )
}

/// Lets `client` shake hands with a server that answers with what `answer` makes of the request, then ends.
pub(crate) async fn handshake(
    client: &Client,
    answer: impl FnOnce(&str) -> String + Send + 'static,
) -> Result<WebSocket> {
    let (near, mut far) = pipe();
    tokio::spawn(async move {
        let request = read_request(&mut far).await;
        far.write_all(answer(&request).as_bytes()).await.unwrap();
        far.shutdown().await.unwrap();
        // Reads on, so that a client in mid-sentence sees the end of the stream and no reset.
        let _ = tokio::io::copy(&mut far, &mut tokio::io::sink()).await;
    });
    client.handshake(near, URL).await
}

/// What a server agrees to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) subprotocols: Vec<&'static str>,
    pub(crate) deflate: Option<Deflate>,
    /// Sent when the connection opens, in one write with the response.
    pub(crate) greeting: Option<&'static str>,
}

/// Answers one handshake, then sends every message back, until the connection has closed.
pub(crate) async fn echo(mut io: impl AsyncRead + AsyncWrite + Unpin, terms: Terms) {
    let request = read_request(&mut io).await;
    let head = RequestReader::new(HeadLimits::default())
        .read(request.as_bytes())
        .unwrap()
        .unwrap();
    let upgrade = Upgrade::from_request(&head.request).unwrap();
    let mut acceptance = upgrade.accept().prefer(&terms.subprotocols);
    if let Some(options) = &terms.deflate {
        acceptance = acceptance.deflate(options);
    }
    let codec = acceptance.negotiated().deflate.map(|parameters| {
        let pool = Arc::new(Pool::default());
        (
            Compressor::new(Role::Server, parameters, &terms.deflate.unwrap(), pool.clone()),
            Decompressor::new(Role::Server, parameters, pool),
        )
    });
    let mut out = Vec::new();
    acceptance.write(&mut out);
    let config = Config {
        max_message_size: 1 << 30,
        ..Config::server()
    };
    let mut connection = Connection::server(Arc::new(config), codec, Instant::now());
    if let Some(greeting) = terms.greeting {
        connection
            .send(sockeye::proto::Message::Text(greeting), &mut out)
            .unwrap();
    }
    serve(io, connection, out).await;
}

async fn serve(mut io: impl AsyncRead + AsyncWrite + Unpin, mut connection: Connection, mut out: Vec<u8>) {
    let mut workspace = Workspace::new();
    let mut input = vec![0; 16 * 1024];
    loop {
        connection.poll_output(&mut out);
        io.write_all(&out).await.unwrap();
        out.clear();
        if connection.shutdown() != Shutdown::NotYet {
            io.shutdown().await.unwrap();
        }
        let length = io.read(&mut input).await.unwrap_or(0);
        if length == 0 {
            return;
        }
        let mut at = 0;
        while at < length {
            let received = connection
                .receive(&mut input[at..length], &mut workspace, Instant::now())
                .unwrap();
            at += received.consumed;
            if let Some(Event::Message(message)) = received.event {
                connection.send_with(message, Compress::Auto, &mut out).unwrap();
            }
        }
    }
}
