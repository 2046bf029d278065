//! The server that all clients talk to: it sends each frame back as it came, only unmasked.
//!
//! A compressed frame goes back compressed, which is valid as long as both directions keep context alike: it costs
//! the reflector no more than any other, and the client inflates what it deflated itself.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use sockeye_proto::handshake::accept_key;
use sockeye_proto::{FrameHeader, Mask, Opcode};

/// How much each connection may hold that is not a whole frame, and is read at once, in bytes.
const INPUT: usize = 512 * 1024;

/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_secs(10);

const LISTENER: Token = Token(usize::MAX);

/// The server, as long as one client runs.
#[derive(Debug)]
pub(super) struct Reflector {
    poll: Poll,
    listener: TcpListener,
    port: u16,
    connections: Vec<Connection>,
}

/// What came, and went back.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Reflected {
    pub(super) messages: u64,
    /// Of their frames.
    pub(super) bytes: u64,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    opened: bool,
    ended: bool,
    input: Vec<u8>,
    /// Where in it there is something.
    filled: Range<usize>,
    output: Vec<u8>,
    written: usize,
    reflected: Reflected,
}

impl Reflector {
    pub(super) fn bind() -> Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            port: listener.local_addr()?.port(),
            listener,
            connections: Vec::new(),
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Reflects until so many connections have come and ended.
    pub(super) fn run(
        &mut self,
        connections: usize,
        mut is_client_running: impl FnMut() -> Result<bool>,
    ) -> Result<Reflected> {
        let mut events = Events::with_capacity(1024);
        let mut open = connections;
        while open > 0 {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                ensure!(is_client_running()?, "the client ended");
                bail!("the client sent nothing for {PATIENCE:?}");
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept()?;
                    continue;
                }
                let connection = &mut self.connections[event.token().0];
                connection.turn()?;
                if connection.ended {
                    open -= 1;
                }
            }
        }
        let mut sum = Reflected::default();
        for connection in self.connections.drain(..) {
            sum.messages += connection.reflected.messages;
            sum.bytes += connection.reflected.bytes;
        }
        Ok(sum)
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accept"),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.connections.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, token, interest)?;
            self.connections.push(Connection {
                stream,
                opened: false,
                ended: false,
                input: vec![0; INPUT],
                filled: 0..0,
                output: Vec::new(),
                written: 0,
                reflected: Reflected::default(),
            });
        }
    }
}

impl Connection {
    /// Reads what is there, answers it, writes what can be written.
    fn turn(&mut self) -> Result<()> {
        while !self.ended {
            if self.filled.start > 0 {
                self.input.copy_within(self.filled.clone(), 0);
                self.filled = 0..self.filled.len();
            }
            let room = &mut self.input[self.filled.end..];
            let space = room.len();
            ensure!(space > 0, "a frame is too long");
            let read = match self.stream.read(room) {
                Ok(0) => 0,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // How a client ends its connection is its own affair; what it measured it prints after that.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
                Err(error) => return Err(error).context("read"),
            };
            self.ended = read == 0;
            self.filled.end += read;
            if self.opened {
                self.reflect()?;
            } else {
                self.shake_hands()?;
            }
            self.write()?;
            // epoll(7): a short read means that there is nothing more to read.
            if read < space {
                break;
            }
        }
        self.write()
    }

    fn reflect(&mut self) -> Result<()> {
        while let Some((header, header_len)) = FrameHeader::parse(&self.input[self.filled.clone()])? {
            let payload_len = usize::try_from(header.payload_len)?;
            let frame_len = header_len + payload_len;
            if frame_len > self.filled.len() {
                break;
            }
            let payload = &mut self.input[self.filled.start..][header_len..frame_len];
            let mask = header.mask.context("a frame is not masked")?;
            Mask::new(mask).apply(payload);
            let (opcode, counts) = match header.opcode {
                Opcode::Ping => (Opcode::Pong, false),
                Opcode::Pong => (Opcode::Pong, false),
                opcode => (opcode, !opcode.is_control() && header.fin),
            };
            let answer = FrameHeader {
                opcode,
                mask: None,
                ..header
            };
            let (bytes, len) = answer.encode();
            self.output.extend_from_slice(&bytes[..len]);
            self.output.extend_from_slice(payload);
            self.filled.start += frame_len;
            self.reflected.messages += u64::from(counts);
            self.reflected.bytes += frame_len as u64;
        }
        Ok(())
    }

    fn shake_hands(&mut self) -> Result<()> {
        let request = &self.input[self.filled.clone()];
        let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return Ok(());
        };
        let head = str::from_utf8(&request[..end]).context("a request that is not text")?;
        self.output.extend_from_slice(response(head)?.as_bytes());
        self.filled.start += end + 4;
        self.opened = true;
        self.reflect()
    }

    fn write(&mut self) -> Result<()> {
        while self.written < self.output.len() && !self.ended {
            match self.stream.write(&self.output[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                    break;
                }
                Err(error) => return Err(error).context("write"),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }
}

/// The answer to an opening handshake. Where compression is offered it is accepted, with context in both directions or
/// in none: what comes back was compressed by the client.
fn response(request: &str) -> Result<String> {
    let field = |name: &str| {
        request.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let key = field("Sec-WebSocket-Key").context("no key in the request")?;
    let extension = match field("Sec-WebSocket-Extensions") {
        Some(offer) if offer.contains("no_context_takeover") => {
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; \
             client_no_context_takeover\r\n"
        }
        Some(_) => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        None => "",
    };
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{extension}\r\n",
        accept_key(key.as_bytes())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_kept_in_both_directions_or_in_none() {
        let cases = [
            ("", ""),
            (
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
                "permessage-deflate",
            ),
            (
                "sec-websocket-extensions: permessage-deflate; client_no_context_takeover\r\n",
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            ),
        ];
        for (offer, answer) in cases {
            let request = format!("GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}");
            let response = response(&request).expect("a good request");
            assert!(response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
            let extensions = response
                .lines()
                .find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
            assert_eq!(extensions.unwrap_or_default(), answer);
        }
    }
}
