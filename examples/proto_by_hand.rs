//! The protocol without a runtime: two threads, two blocking sockets, and `sockeye-proto` between them.
//!
//! ```text
//! cargo run --package sockeye-examples --example proto_by_hand
//! ```
//!
//! A server thread sends back what it gets; the client sends three messages and closes. Everything that the
//! `sockeye` crate does on tokio is here in its simplest form: the opening handshake, reading, writing, deadlines,
//! the end. Any other transport or event loop is driven the same way.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown as Half, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sockeye_proto::handshake::client::{Request, ResponseReader};
use sockeye_proto::handshake::server::{Rejection, RequestReader, Upgrade};
use sockeye_proto::handshake::{HeadLimits, client::Target};
use sockeye_proto::{
    CloseCode, CloseFrame, Config, Connection, Event, Message, SendError, Shutdown, Workspace,
};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("ws://{}/echo", listener.local_addr()?);
    let server = thread::spawn(move || serve(listener.accept()?.0));
    talk(&url)?;
    server.join().map_err(|_| "the server panicked")?
}

/// The server's side of one connection: every message goes back.
fn serve(mut stream: TcpStream) -> Result<()> {
    let mut received = Vec::new();
    let mut reader = RequestReader::new(HeadLimits::default());
    let head = loop {
        read_more(&mut stream, &mut received)?;
        if let Some(head) = reader.read(&received)? {
            break head;
        }
    };
    let mut out = Vec::new();
    let upgrade = match Upgrade::from_request(&head.request) {
        Ok(upgrade) => upgrade,
        Err(refusal) => {
            Rejection::from(refusal).write(&mut out);
            return Ok(stream.write_all(&out)?);
        }
    };
    upgrade.accept().write(&mut out);

    let connection = Connection::server(Arc::new(Config::server()), None, Instant::now());
    let leftover = received.split_off(head.len);
    Peer::new(stream, connection, out).run(leftover, |connection, message, out| {
        println!("server: {message:?}");
        connection.send(message, out)
    })
}

/// The client's side: three messages, each after the answer to the one before, then the end.
fn talk(url: &str) -> Result<()> {
    let request = Request::new(Target::parse(url)?, rand::random())?;
    let mut stream = TcpStream::connect((request.target().host(), request.target().port()))?;
    let mut out = Vec::new();
    request.write(&mut out);
    stream.write_all(&out)?;
    out.clear();

    let mut received = Vec::new();
    let mut reader = ResponseReader::new(HeadLimits::default());
    let head = loop {
        read_more(&mut stream, &mut received)?;
        if let Some(head) = reader.read(&received)? {
            break head;
        }
    };
    request.verify(&head.response)?;

    // RFC 6455 §5.3: masking keys must not be guessed.
    let keys = Box::new(rand::random::<[u8; 4]>);
    let mut connection = Connection::client(Arc::new(Config::client()), keys, None, Instant::now());
    let mut messages = [
        Message::Text("Hello"),
        Message::Binary(&[1, 2, 3]),
        Message::Text("再见"),
    ]
    .into_iter();
    if let Some(first) = messages.next() {
        connection.send(first, &mut out)?;
    }
    let leftover = received.split_off(head.len);
    Peer::new(stream, connection, out).run(leftover, |connection, answer, out| {
        println!("client: {answer:?}");
        match messages.next() {
            Some(message) => connection.send(message, out)?,
            None => connection.close(
                CloseFrame::new(CloseCode::NORMAL, "done").ok(),
                Instant::now(),
                out,
            ),
        }
        Ok(())
    })
}

/// Reads what is there and appends it.
fn read_more(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<()> {
    let mut input = [0; 1024];
    match stream.read(&mut input)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        length => {
            received.extend_from_slice(&input[..length]);
            Ok(())
        }
    }
}

/// One end of an open connection: the protocol's state, the transport, and the buffers of both.
struct Peer {
    stream: TcpStream,
    connection: Connection,
    workspace: Workspace,
    out: Vec<u8>,
}

impl Peer {
    fn new(stream: TcpStream, connection: Connection, out: Vec<u8>) -> Self {
        Self {
            stream,
            connection,
            workspace: Workspace::new(),
            out,
        }
    }

    /// Moves bytes until the connection has ended. `input` is what came behind the opening handshake.
    fn run(
        mut self,
        mut input: Vec<u8>,
        mut on_message: impl FnMut(&mut Connection, Message<'_>, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<()> {
        let mut failure = None;
        loop {
            // Input: each call uses up some bytes, and lends what it found.
            let mut used = 0;
            while used < input.len() {
                match self
                    .connection
                    .receive(&mut input[used..], &mut self.workspace, Instant::now())
                {
                    Ok(received) => {
                        used += received.consumed;
                        if let Some(Event::Message(message)) = received.event {
                            on_message(&mut self.connection, message, &mut self.out)?;
                        }
                    }
                    // The peer broke the rules, and is told so below.
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }

            // Output: what was sent above, and what the protocol itself owes, such as Pongs.
            self.connection.poll_output(&mut self.out);
            self.stream.write_all(&self.out)?;
            self.out.clear();
            self.connection.handle_flushed(Instant::now());
            match self.connection.shutdown() {
                Shutdown::NotYet | Shutdown::AwaitPeer => {}
                Shutdown::Linger => self.stream.shutdown(Half::Write)?,
                Shutdown::AfterFlush | Shutdown::Now => break,
            }

            // Wait for more, at most until the next deadline.
            input.resize(16 * 1024, 0);
            self.stream.set_read_timeout(self.until_deadline())?;
            match self.stream.read(&mut input) {
                Ok(0) => {
                    self.connection.handle_eof()?;
                    break;
                }
                Ok(length) => input.truncate(length),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    input.clear();
                    if let Err(timeout) = self.connection.handle_timeout(Instant::now()) {
                        failure = Some(timeout);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The time until the connection wants to be looked at again; `None` for no limit.
    fn until_deadline(&self) -> Option<Duration> {
        let deadline = self.connection.poll_timeout()?;
        // A socket takes a zero for no limit.
        Some(
            deadline
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1)),
        )
    }
}
