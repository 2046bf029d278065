//! One connection of the load: its transport, what is to be written, and the frames that are read.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use contract::Compression;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use socket2::{Domain, Socket, Type};

use super::wire::{self, Head, Header};

/// How long a server may take to accept, to answer a handshake, to echo.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How many loopback addresses connections come from, which keeps clear of the limit of ports per address.
const SOURCES: usize = 50;

/// Where a server is and how it is talked to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Trusts the server's certificate; `None` for plain TCP.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) compression: Compression,
}

/// Bytes to and from a server.
#[derive(Debug)]
pub(super) struct Transport {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Transport {
    /// A socket that begins to connect; `n` chooses its source address.
    pub(super) fn start(target: &Target, n: usize) -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let source = Ipv4Addr::new(127, 0, 0, 2 + (n % SOURCES) as u8);
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.set_tcp_nodelay(true)?;
        // Connections are dropped with a reset: thousands in TIME_WAIT would stand in the way of the next run.
        socket.set_linger(Some(Duration::ZERO))?;
        socket.set_nonblocking(true)?;
        match socket.connect(&target.address.into()) {
            Err(error) if error.raw_os_error() != Some(nix::errno::Errno::EINPROGRESS as i32) => {
                return Err(error).context("connect");
            }
            _ => {}
        }
        let tls = match &target.tls {
            None => None,
            Some(config) => {
                let name = ServerName::from(target.address.ip());
                Some(Box::new(ClientConnection::new(Arc::clone(config), name)?))
            }
        };
        Ok(Self {
            stream: TcpStream::from_std(socket.into()),
            tls,
        })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        Ok(registry.register(&mut self.stream, token, interest)?)
    }

    /// Reads what is there; `None` when nothing is.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        let read = match &mut self.tls {
            None => self.stream.read(buffer),
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).read(buffer),
        };
        match read {
            Ok(0) => bail!("the server ended the connection"),
            Ok(read) => Ok(Some(read)),
            Err(error) if is_not_yet(&error) => Ok(None),
            Err(error) => Err(error).context("read"),
        }
    }

    /// Whether a read that did not fill the buffer means that there is nothing more to read.
    ///
    /// epoll(7) says so of sockets; with TLS the next record may be waiting.
    pub(super) fn short_read_is_all(&self) -> bool {
        self.tls.is_none()
    }

    /// Writes what can be written of `bytes`; gives how much that was.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = match &mut self.tls {
            None => self.stream.write(bytes),
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).write(bytes),
        };
        match written {
            Err(error) if is_not_yet(&error) => Ok(0),
            other => other.context("write"),
        }
    }

    /// Hands on what TLS has encrypted and not written yet.
    pub(super) fn flush(&mut self) -> Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(&mut self.stream) {
                Err(error) if is_not_yet(&error) => break,
                other => other.context("write")?,
            };
        }
        Ok(())
    }
}

fn is_not_yet(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

/// An opening handshake on its way.
#[derive(Debug)]
pub(super) struct Opening {
    request: Vec<u8>,
    written: usize,
    answer: Vec<u8>,
}

impl Opening {
    pub(super) fn new(target: &Target, path: &str) -> Self {
        Self {
            request: wire::request(target.address, path, target.compression).into_bytes(),
            written: 0,
            answer: Vec::new(),
        }
    }

    /// Goes on as far as the transport lets it; whether the connection is open.
    pub(super) fn turn(&mut self, transport: &mut Transport, compression: Compression) -> Result<bool> {
        while self.written < self.request.len() {
            match transport.write(&self.request[self.written..])? {
                0 => break,
                written => self.written += written,
            }
        }
        transport.flush()?;
        // With TLS a read also carries the handshake on.
        let mut buffer = [0; 1024];
        while let Some(read) = transport.read(&mut buffer)? {
            self.answer.extend_from_slice(&buffer[..read]);
            if let Some(end) = wire::answered(&self.answer, compression)? {
                ensure!(end == self.answer.len(), "the server spoke first");
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Who is told of what a connection received.
pub(super) trait Sink {
    /// A piece of a message's payload, which began at `at` in the message; `last` ends it.
    fn payload(&mut self, header: &Header, at: usize, piece: &[u8], last: bool) -> Result<()>;
}

/// Cuts the stream of a connection into frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: Head,
    current: Option<Header>,
    at: usize,
}

impl Frames {
    pub(super) fn take(&mut self, mut bytes: &[u8], sink: &mut impl Sink) -> Result<()> {
        while !bytes.is_empty() {
            let header = match self.current {
                Some(header) => header,
                None => match self.head.take(&mut bytes)? {
                    Some(header) => header,
                    None => return Ok(()),
                },
            };
            let (now, later) = bytes.split_at((header.len - self.at).min(bytes.len()));
            let (at, end) = (self.at, self.at + now.len());
            let last = end == header.len;
            bytes = later;
            (self.current, self.at) = if last { (None, 0) } else { (Some(header), end) };
            match header.opcode {
                8 => bail!(
                    "the server closed: {}",
                    now.get(2..).unwrap_or_default().escape_ascii()
                ),
                // A Ping may fall into a measurement; nobody is so patient as to end the connection for it.
                _ if header.is_control() => {}
                _ => {
                    ensure!(header.fin, "the server cut a message into frames");
                    sink.payload(&header, at, now, last)?;
                }
            }
        }
        Ok(())
    }
}
