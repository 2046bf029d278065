//! Workers with real sockets.

#[cfg(feature = "tls")]
mod tls;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::door::Reception;
use super::route::AnyHandler;
use super::worker::{Worker, Workplace};
use super::{Handler, Socket};
use crate::MessageRef;
use crate::driver::Readiness;
use crate::metrics::SessionMetrics;
use crate::server::Drain;
use crate::upgrade::Settings;

struct Echo;

impl Handler for Echo {
    type Data = ();

    fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
        socket.send(message);
    }
}

fn start(handler: impl Handler, settings: Settings) -> (Worker, std::net::SocketAddr) {
    open(handler, settings, |_| {})
}

fn open(
    handler: impl Handler,
    settings: Settings,
    change: impl FnOnce(&mut Reception),
) -> (Worker, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let handler: Arc<dyn AnyHandler> = Arc::new(handler);
    let mut reception = Reception {
        routes: vec![("/".to_owned(), handler)],
        settings,
        timeout: Duration::from_secs(10),
        tls_timeout: Duration::from_secs(5),
        #[cfg(feature = "tls")]
        tls: None,
    };
    change(&mut reception);
    let workplace = Workplace {
        listeners: vec![listener.into()],
        reception,
        metrics: Arc::new(SessionMetrics::new()),
    };
    let worker = Worker::start("worker".to_owned(), workplace, Readiness::new).unwrap();
    (worker, address)
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn connect(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = reach(address);
    upgrade(&mut stream);
    stream
}

fn reach(address: std::net::SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream
}

fn upgrade(stream: &mut (impl Read + Write)) {
    stream.write_all(REQUEST).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
}

#[test]
fn a_worker_echoes_and_stops() {
    let (worker, address) = start(Echo, Settings::default());
    let mut stream = connect(address);
    // "Hello", masked with zeros.
    stream.write_all(b"\x81\x85\0\0\0\0Hello").unwrap();
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\x81\x05Hello");
    worker.stop(Arc::new(Drain::default()));
    let mut rest = Vec::new();
    let mut close = [0; 4];
    stream.read_exact(&mut close).unwrap();
    assert_eq!(close[0], 0x88);
    assert_eq!(u16::from_be_bytes([close[2], close[3]]), 1001);
    stream.write_all(b"\x88\x82\0\0\0\0\x03\xe9").unwrap();
    stream.read_to_end(&mut rest).unwrap();
    worker.join().unwrap();
}
