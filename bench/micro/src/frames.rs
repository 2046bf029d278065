//! A stream of masked frames cut into messages, by each library's own reader, out of memory.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;
use futures_util::{FutureExt, StreamExt};
use sockeye_proto::{Config, Connection, Event, Workspace};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::codec::Decoder;

/// Reads so many messages; gives how many bytes their payloads had.
pub type Reader = Box<dyn FnMut(usize) -> usize>;

const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// How much is read at once by those that leave it to their caller, in bytes: as much as Sockeye's drivers do.
const READ: usize = 256 * 1024;

const LARGEST: usize = 16 * 1024 * 1024;

/// The readers, by library, each of a stream of messages of `len` bytes that has no end.
pub fn readers(len: usize) -> Vec<(&'static str, Reader)> {
    vec![
        ("sockeye", sockeye(Memory::new(len))),
        ("fastwebsockets", fastwebsockets(Memory::new(len))),
        ("tungstenite", tungstenite(Memory::new(len))),
        ("tokio-websockets", tokio_websockets(Memory::new(len))),
        ("yawc", yawc(Memory::new(len))),
        ("sockudo-ws", sockudo(Memory::new(len))),
    ]
}

fn sockeye(mut memory: Memory) -> Reader {
    let mut connection = Connection::server(Arc::new(Config::server()), None, Instant::now());
    let mut workspace = Workspace::new();
    let mut buffer = vec![0; READ];
    let (mut at, mut end) = (0, 0);
    let now = Instant::now();
    Box::new(move |messages| {
        let (mut count, mut bytes) = (0, 0);
        while count < messages {
            let received = if at == end
                && let Some(room) = connection.room(&mut workspace)
            {
                let len = memory.copy(room);
                connection.receive_in_room(len, &mut workspace, now)
            } else {
                if at == end {
                    (at, end) = (0, memory.copy(&mut buffer));
                }
                let received = connection.receive(&mut buffer[at..end], &mut workspace, now);
                at += received.as_ref().map_or(0, |received| received.consumed);
                received
            };
            if let Some(Event::Message(message)) = received.expect("frames without a fault").event {
                count += 1;
                bytes += message.as_bytes().len();
            }
        }
        bytes
    })
}

fn fastwebsockets(memory: Memory) -> Reader {
    let mut ws = fastwebsockets::WebSocket::after_handshake(memory, fastwebsockets::Role::Server);
    ws.set_max_message_size(LARGEST);
    let mut ws = fastwebsockets::FragmentCollector::new(ws);
    Box::new(move |messages| {
        let read = |_| {
            let frame = ws.read_frame().now_or_never().expect("memory does not wait");
            frame.expect("frames without a fault").payload.len()
        };
        (0..messages).map(read).sum()
    })
}

fn tungstenite(memory: Memory) -> Reader {
    let mut ws = tungstenite::WebSocket::from_raw_socket(memory, tungstenite::protocol::Role::Server, None);
    Box::new(move |messages| {
        let read = |_| ws.read().expect("frames without a fault").len();
        (0..messages).map(read).sum()
    })
}

fn tokio_websockets(memory: Memory) -> Reader {
    let mut ws = tokio_websockets::ServerBuilder::new()
        .limits(tokio_websockets::Limits::unlimited())
        .serve(memory);
    Box::new(move |messages| {
        let read = |_| {
            let message = ws.next().now_or_never().expect("memory does not wait");
            let message = message.expect("a stream without an end");
            message.expect("frames without a fault").into_payload().len()
        };
        (0..messages).map(read).sum()
    })
}

fn yawc(mut memory: Memory) -> Reader {
    let mut decoder = yawc::codec::Decoder::new(yawc::Role::Server, LARGEST);
    let mut buffer = BytesMut::new();
    Box::new(move |messages| {
        let (mut count, mut bytes) = (0, 0);
        while count < messages {
            match decoder.decode(&mut buffer).expect("frames without a fault") {
                Some(frame) => {
                    count += 1;
                    bytes += frame.payload().len();
                }
                None => memory.append(&mut buffer),
            }
        }
        bytes
    })
}

fn sockudo(mut memory: Memory) -> Reader {
    let mut parser = sockudo_ws::frame::FrameParser::new(LARGEST, true);
    let mut buffer = BytesMut::new();
    Box::new(move |messages| {
        let (mut count, mut bytes) = (0, 0);
        while count < messages {
            match parser.parse(&mut buffer).expect("frames without a fault") {
                Some(frame) => {
                    count += 1;
                    bytes += frame.payload.len();
                }
                None => memory.append(&mut buffer),
            }
        }
        bytes
    })
}

/// A client that sends the same message for ever.
struct Memory {
    /// Whole frames, more than are read at once.
    frames: Vec<u8>,
    at: usize,
}

impl Memory {
    fn new(len: usize) -> Self {
        let mut frame = vec![0x82];
        match len {
            0..=125 => frame.push(0x80 | len as u8),
            126..=0xFFFF => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(len as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&KEY);
        frame.extend((0..len).map(|n| n as u8 ^ KEY[n % 4]));
        Self {
            frames: frame.repeat(READ.div_ceil(frame.len())),
            at: 0,
        }
    }

    /// What a read of a socket that has enough would do.
    fn copy(&mut self, buffer: &mut [u8]) -> usize {
        let len = buffer.len().min(self.frames.len() - self.at);
        buffer[..len].copy_from_slice(&self.frames[self.at..self.at + len]);
        self.at = (self.at + len) % self.frames.len();
        len
    }

    fn append(&mut self, buffer: &mut BytesMut) {
        let len = READ.min(self.frames.len() - self.at);
        buffer.extend_from_slice(&self.frames[self.at..self.at + len]);
        self.at = (self.at + len) % self.frames.len();
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.copy(buffer))
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = buffer.remaining().min(self.frames.len() - self.at);
        buffer.put_slice(&self.frames[self.at..self.at + len]);
        self.at = (self.at + len) % self.frames.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reads_every_message_however_reads_cut_them() {
        for len in [20, 1024, 64 * 1024] {
            for (library, mut read) in readers(len) {
                assert_eq!(read(100), 100 * len, "{library}");
                assert_eq!(read(7), 7 * len, "{library}");
            }
        }
    }
}
