//! The client's side of the wire, prepared ahead so that it costs the load little: opening handshake and frames.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};
use sockeye_proto::{FrameHeader, Mask};

use crate::comparison::Kind;

/// Messages differ in turn, so that one that is lost, doubled or out of order is seen.
const CYCLE: usize = 4;

/// How long a server may take to accept, to answer a handshake, to echo.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The frames of one scenario, the client's masked and the server's not, one behind the other.
#[derive(Debug)]
pub(super) struct Traffic {
    /// The cycle of requests, and the start of the next: a whole window lies in one piece wherever it begins.
    pub(super) requests: Vec<u8>,
    pub(super) replies: Vec<u8>,
    pub(super) request_len: usize,
    pub(super) reply_len: usize,
}

impl Traffic {
    pub(super) fn new(kind: Kind, payload_len: usize, window: usize) -> Self {
        let (mut requests, mut replies) = (Vec::new(), Vec::new());
        for turn in 0..CYCLE + window {
            // The same frame each time round: a write may end in one turn and go on in the next.
            let place = turn % CYCLE;
            let payload = payload(kind, payload_len, place);
            frame(
                kind,
                Some([0x5A, 0xC3, 0x17, place as u8]),
                &payload,
                &mut requests,
            );
            if turn < CYCLE {
                frame(kind, None, &payload, &mut replies);
            }
        }
        Self {
            request_len: requests.len() / (CYCLE + window),
            reply_len: replies.len() / CYCLE,
            requests,
            replies,
        }
    }

    /// Where a stream of requests begins again.
    pub(super) fn cycle_len(&self) -> usize {
        self.request_len * CYCLE
    }
}

fn frame(kind: Kind, mask: Option<[u8; 4]>, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader {
        fin: true,
        rsv1: false,
        opcode: kind.opcode(),
        mask,
        payload_len: payload.len() as u64,
    };
    let (bytes, len) = header.encode();
    out.extend_from_slice(&bytes[..len]);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        Mask::new(key).apply(&mut out[start..]);
    }
}

fn payload(kind: Kind, len: usize, turn: usize) -> Vec<u8> {
    (0..len)
        .map(|i| match kind {
            Kind::Text => b'a' + ((i * 7 + turn) % 26) as u8,
            Kind::Binary => (i * 167 + i / 256 + turn * 31) as u8,
        })
        .collect()
}

/// Connects from the `n`th loopback address, which keeps clear of the limit of ports per address, and opens a
/// WebSocket.
pub(super) fn open(address: SocketAddr, n: usize) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let source = Ipv4Addr::new(127, 0, 0, 2 + (n % 50) as u8);
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.set_tcp_nodelay(true)?;
    // Connections are dropped with a reset: thousands in TIME_WAIT would stand in the way of the next run.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.connect_timeout(&address.into(), PATIENCE)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    shake_hands(&mut stream, address).context("opening handshake")?;
    Ok(stream)
}

fn shake_hands(stream: &mut TcpStream, address: SocketAddr) -> Result<()> {
    // Key and answer of RFC 6455 §1.3.
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        ensure!(response.len() < 4096, "the response is too long");
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "the connection ended");
        response.extend_from_slice(&buffer[..read]);
    }
    let response = String::from_utf8_lossy(&response);
    ensure!(
        response.starts_with("HTTP/1.1 101 ") && response.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "refused: {response}"
    );
    Ok(())
}
