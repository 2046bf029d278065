//! Crowds: who all come, or go, or say nothing, at once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, SockRef, Type};
use sockeye::server::{CloseEvent, ConnectionLimits, Handler, HandshakeLimits, Socket};
use sockeye::{Config, MessageRef};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::echo;
use super::limits::from;
use crate::peer::{Peer, eventually, handshake, server, start};

fn roomy() -> ConnectionLimits {
    ConnectionLimits {
        max_connections: Some(1_000_000),
        ..ConnectionLimits::default()
    }
}

fn patient(timeout: Duration) -> HandshakeLimits {
    HandshakeLimits {
        timeout,
        ..HandshakeLimits::default()
    }
}

#[tokio::test]
async fn a_thousand_handshakes_byte_by_byte_all_succeed() {
    let builder = server()
        .handle("/", echo())
        .handshake_limits(patient(Duration::from_secs(600)));
    let (address, server) = start(builder).await;
    let mut streams = Vec::new();
    for _ in 0..1000 {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        streams.push(stream);
    }
    for byte in handshake("/", &[]).bytes() {
        for stream in &mut streams {
            stream.write_all(&[byte]).await.unwrap();
        }
    }
    let mut peers: Vec<_> = streams.into_iter().map(Peer::new).collect();
    for peer in &mut peers {
        assert_eq!(peer.response().await.status, 101);
        peer.send_text("here").await;
        assert_eq!(peer.receive_text().await, "here");
    }
    assert_eq!(server.websockets(), 1000);
    drop(peers);
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn who_drips_bytes_for_ever_is_dropped_while_others_are_served() {
    let builder = server()
        .handle("/", echo())
        .handshake_limits(patient(Duration::from_millis(700)));
    let (address, server) = start(builder).await;
    let mut dripping = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nX-Drip: ").await.unwrap();
        dripping.push(stream);
    }
    eventually(|| server.connections() == 200).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut served = 0;
    while !dripping.is_empty() {
        ticks.tick().await;
        let mut peer = Peer::open(address, "/", &[]).await;
        peer.send_text("well?").await;
        assert_eq!(peer.receive_text().await, "well?");
        served += 1;
        // A write that fails, or an end that can be read, says that the server has had enough.
        dripping.retain_mut(|stream| {
            let is_over = matches!(stream.try_read(&mut [0; 64]), Ok(0))
                || matches!(stream.try_write(b"x"), Err(error) if error.kind() != std::io::ErrorKind::WouldBlock);
            !is_over
        });
        assert!(served < 1000, "{} drip on", dripping.len());
    }
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn a_flood_that_never_speaks_holds_its_places_for_a_handshake_only() {
    let limits = ConnectionLimits {
        max_connections: Some(100),
        max_per_address: Some(50),
        ..ConnectionLimits::default()
    };
    let builder = server()
        .handle("/", echo())
        .connection_limits(limits)
        .handshake_limits(patient(Duration::from_secs(2)));
    let (address, server) = start(builder).await;
    let mut flood = Vec::new();
    for _ in 0..50 {
        flood.push(Peer::connect(address).await);
    }
    eventually(|| server.connections() == 50).await;
    // Its address has no place left, others have.
    assert_eq!(Peer::connect(address).await.response().await.status, 503);
    let mut other = from([127, 0, 0, 2], address).await;
    assert_eq!(other.request("/", &[]).await.status, 101);
    // A second address fills the rest.
    for _ in 0..49 {
        flood.push(from([127, 0, 0, 3], address).await);
    }
    eventually(|| server.connections() == 100).await;
    assert_eq!(from([127, 0, 0, 2], address).await.response().await.status, 503);
    for mut silent in flood {
        assert_eq!(silent.until_end().await, b"");
    }
    eventually(|| server.connections() == 1).await;
    other.send_text("still here").await;
    assert_eq!(other.receive_text().await, "still here");
    Peer::open(address, "/", &[]).await;
}

/// Counts who has come and who has gone.
#[derive(Clone, Default)]
struct Turnstile(Arc<(AtomicUsize, AtomicUsize)>);

impl Turnstile {
    fn came(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }

    fn gone(&self) -> usize {
        self.0.1.load(Ordering::Relaxed)
    }
}

impl Handler for Turnstile {
    type Data = ();

    fn open(&self, _: &mut Socket<'_, ()>) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }

    fn message(&self, _: &mut Socket<'_, ()>, _: MessageRef<'_>) {}

    fn close(&self, _: &mut Socket<'_, ()>, _: CloseEvent<'_>) {
        self.0.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// Marks the process that is a crowd of clients, and no test.
const ROLE: &str = "SOCKEYE_TEST_CROWD_OF_CLIENTS";

/// Clients in a process of their own, since a process may not open files for both ends of so many connections.
struct Crowd {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Crowd {
    fn new() -> Self {
        let test = "workers::crowd::a_crowd_that_leaves_at_once_does_not_keep_others_out";
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads", "1"])
            .env(ROLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            orders: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    /// Waits until the last order was obeyed.
    fn done(&mut self) {
        let mut line = String::new();
        while !line.ends_with("done\n") {
            line.clear();
            assert!(
                self.answers.read_line(&mut line).unwrap() > 0,
                "the crowd is lost"
            );
        }
    }

    fn end(mut self) {
        drop(self.orders);
        assert!(self.process.wait().unwrap().success());
    }
}

/// The life of that process.
fn be_a_crowd() {
    let mut streams: Vec<std::net::TcpStream> = Vec::new();
    for order in std::io::stdin().lines() {
        let order = order.unwrap();
        let words: Vec<_> = order.split(' ').collect();
        match words[..] {
            ["open", address, source, count] => {
                let address: SocketAddr = address.parse().unwrap();
                let source: SocketAddr = source.parse().unwrap();
                streams.extend((0..count.parse().unwrap()).map(|_| open(address, source)));
            }
            ["reset"] => {
                for stream in &streams {
                    SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
                }
                streams.clear();
            }
            ["end"] => streams.clear(),
            _ => panic!("{order}"),
        }
        println!("done");
    }
}

fn open(address: SocketAddr, source: SocketAddr) -> std::net::TcpStream {
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::from(source)).unwrap();
    socket.connect(&SockAddr::from(address)).unwrap();
    let mut stream = std::net::TcpStream::from(socket);
    stream.write_all(handshake("/crowd", &[]).as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 256];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "turned away: {:?}", String::from_utf8_lossy(&head));
        head.extend_from_slice(&bytes[..count]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

/// With 1,500 clients; or with as many as `SOCKEYE_CROWD` says, up to the limit on open files of a process:
/// `SOCKEYE_CROWD=15000 cargo test --release -p sockeye --all-features --test server crowd -- --nocapture`
#[tokio::test]
async fn a_crowd_that_leaves_at_once_does_not_keep_others_out() {
    if std::env::var_os(ROLE).is_some() {
        return be_a_crowd();
    }
    let wished = std::env::var("SOCKEYE_CROWD").ok();
    let count: usize = wished.as_deref().map_or(1500, |count| count.parse().unwrap());
    let turnstile = Turnstile::default();
    // The clients of the crowd answer nothing.
    let silent = Config {
        keepalive: None,
        ..Config::server()
    };
    let builder = server()
        .handle("/crowd", turnstile.clone())
        .handle("/", echo())
        .workers(2)
        .limits(silent)
        .connection_limits(roomy())
        .handshake_limits(patient(Duration::from_secs(600)));
    let (address, server) = start(builder).await;
    let mut resident = Peer::open(address, "/", &[]).await;
    let mut crowd = Crowd::new();
    let ways = ["reset", "end", "reset", "end"];
    for (round, way) in ways.into_iter().enumerate() {
        let came = count * (round + 1);
        let began = Instant::now();
        crowd.tell(&format!("open {address} 127.0.0.{}:0 {count}", round + 1));
        crowd.done();
        println!("{count} came in {:?}", began.elapsed());
        assert_eq!((turnstile.came(), turnstile.gone()), (came, count * round));
        crowd.tell(way);
        let (began, mut served, mut slowest) = (Instant::now(), 0, Duration::ZERO);
        while turnstile.gone() < came {
            let knocked = Instant::now();
            let mut peer = Peer::open(address, "/", &[]).await;
            peer.send_text("let me in").await;
            assert_eq!(peer.receive_text().await, "let me in");
            served += usize::from(turnstile.gone() < came);
            slowest = slowest.max(knocked.elapsed());
            resident.send_text("and me?").await;
            assert_eq!(resident.receive_text().await, "and me?");
        }
        crowd.done();
        println!(
            "{count} by {way}: all told in {:?}, {served} served meanwhile, the slowest in {slowest:?}",
            began.elapsed()
        );
        // A small crowd may be gone before anybody comes.
        assert!(
            served > 0 || wished.is_none(),
            "nobody was served while {count} left"
        );
        assert_eq!(turnstile.gone(), came, "each was told of once");
        eventually(|| server.connections() == 1).await;
    }
    crowd.end();
}
