//! Crowds: who all come, or go, or say nothing, at once.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, SockAddr, SockRef, Type};
use sockeye::server::{CloseEvent, ConnectionLimits, Handler, HandshakeLimits, Socket};
use sockeye::{Config, MessageRef};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::limits::from;
use super::part::start_part;
use super::{Does, echo};
use crate::peer::{Peer, eventually, handshake, run, server, start};

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
    /// Answers each message with both numbers.
    fn teller(&self) -> impl Handler + use<> {
        let Self(numbers) = self.clone();
        Does(move |socket: &mut Socket<'_, ()>, _: MessageRef<'_>| {
            let [came, gone] = [&numbers.0, &numbers.1].map(|number| number.load(Ordering::Relaxed));
            socket.send(format!("{came} {gone}").as_str());
        })
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

/// Marks a process that is a part of this test, and no test: `server`, `clients` or `control`.
const ROLE: &str = "SOCKEYE_TEST_PART_OF_A_CROWD";

/// A process of servers or clients. There are as many of each as are needed: a process may not open files for both ends
/// of a crowd, nor for one end of a large crowd.
struct Part {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Part {
    fn new(role: &str) -> Self {
        let test = "workers::crowd::a_crowd_that_leaves_at_once_does_not_keep_others_out";
        let mut process = start_part(test, ROLE, role);
        Self {
            orders: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    /// Waits until the last order was obeyed; gives what there is to say of it.
    fn done(&mut self) -> String {
        loop {
            let mut line = String::new();
            let length = self.answers.read_line(&mut line).unwrap();
            assert!(length > 0, "a part of the crowd is lost");
            if let Some((_, said)) = line.trim_end().split_once("done:") {
                return said.to_owned();
            }
        }
    }

    fn end(mut self) {
        drop(self.orders);
        assert!(self.process.wait().unwrap().success());
    }
}

/// How many connections a process may have, beside some files for other things.
fn most_of_a_process() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )
    .unwrap();
    // The system divides connections among servers, and not quite evenly.
    limit
        .maximum
        .map_or(usize::MAX, |files| usize::try_from(files).unwrap() / 5 * 4)
}

/// A socket on this address; others of this user may have one too, and the system spreads what comes among those that listen.
fn shared(address: SocketAddr) -> socket2::Socket {
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

/// The life of a process that serves: at the crowd's address, which it is told, and at one of its own, which it tells.
async fn be_a_server() {
    let mut address = String::new();
    std::io::stdin().read_line(&mut address).unwrap();
    let socket = shared(address.trim().parse().unwrap());
    socket.listen(4096).unwrap();
    let turnstile = Turnstile::default();
    // The clients of the crowd answer nothing.
    let silent = Config {
        keepalive: None,
        ..Config::server()
    };
    most_of_a_process();
    let builder = server()
        .bind("127.0.0.1:0")
        .bind(std::net::TcpListener::from(socket))
        .handle("/crowd", turnstile.clone())
        .handle("/count", turnstile.teller())
        .handle("/", echo())
        .workers(1)
        .limits(silent)
        .connection_limits(roomy())
        .handshake_limits(patient(Duration::from_secs(600)));
    let server = builder.listen().await.unwrap();
    println!("done:{}", server.tcp_address().unwrap());
    let _handle = run(server);
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
}

/// The life of a process that lets in who comes to the address that it tells, and has no other connections: it shows how long
/// that takes on this machine while a crowd leaves a server.
fn be_the_control() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    println!("done:{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 256];
            while let Ok(count @ 1..) = stream.read(&mut bytes) {
                stream.write_all(&bytes[..count]).unwrap();
            }
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// The life of a process of clients.
fn be_clients() {
    most_of_a_process();
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
            ["close"] => {
                for mut stream in streams.drain(..) {
                    // Masked with zeros; 1000.
                    stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).unwrap();
                }
            }
            // The system ends all its connections.
            ["exit"] => std::process::exit(0),
            _ => panic!("{order}"),
        }
        println!("done:");
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

/// How long those waited who came to be let in and to have one message answered.
#[derive(Default)]
struct Waits(Vec<Duration>);

impl Waits {
    async fn knock(&mut self, address: SocketAddr) {
        let knocked = Instant::now();
        let mut peer = Peer::open(address, "/", &[]).await;
        peer.send_text("let me in").await;
        assert_eq!(peer.receive_text().await, "let me in");
        self.0.push(knocked.elapsed());
    }

    /// The same where nobody leaves.
    async fn knock_at_control(&mut self, address: SocketAddr) {
        let knocked = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        for said in ["let me in", "well?"] {
            let mut heard = vec![0; said.len()];
            stream.write_all(said.as_bytes()).await.unwrap();
            stream.read_exact(&mut heard).await.unwrap();
        }
        self.0.push(knocked.elapsed());
    }

    fn longest(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    async fn of_200(address: SocketAddr) -> Self {
        let mut waits = Self::default();
        for _ in 0..200 {
            waits.knock(address).await;
        }
        waits
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut waits = self.0.clone();
        waits.sort_unstable();
        match waits[..] {
            [] => f.write_str("nobody"),
            [.., slowest] => write!(
                f,
                "{}, half of them within {:?}, all within {slowest:?}",
                waits.len(),
                waits[waits.len() / 2]
            ),
        }
    }
}

/// With 1,500 clients; or with as many as `SOCKEYE_CROWD` says, in as many processes as the limit on open files demands:
/// `SOCKEYE_CROWD=30000 cargo test --release -p sockeye --all-features --test server crowd -- --nocapture`
#[tokio::test]
async fn a_crowd_that_leaves_at_once_does_not_keep_others_out() {
    match std::env::var(ROLE).as_deref() {
        Ok("server") => return be_a_server().await,
        Ok("control") => return be_the_control(),
        Ok(_) => return be_clients(),
        Err(_) => {}
    }
    let wished = std::env::var("SOCKEYE_CROWD").ok();
    let count: usize = wished.as_deref().map_or(1500, |count| count.parse().unwrap());
    let processes = count.div_ceil(most_of_a_process());
    // It keeps the port and does not listen.
    let keeper = shared("127.0.0.1:0".parse().unwrap());
    let address = keeper.local_addr().unwrap().as_socket().unwrap();
    let (mut servers, mut residents) = (Vec::new(), Vec::new());
    for _ in 0..processes {
        let mut server = Part::new("server");
        server.tell(&address.to_string());
        residents.push(Peer::open(server.done().parse().unwrap(), "/count", &[]).await);
        servers.push(server);
    }
    let mut control = Part::new("control");
    let elsewhere = control.done().parse().unwrap();
    let mut crowd: Vec<_> = (0..processes).map(|_| Part::new("clients")).collect();
    println!("{processes} processes of servers, as many of clients");
    for (round, way) in ["reset", "end", "close", "exit"].into_iter().enumerate() {
        let came = count * (round + 1);
        let began = Instant::now();
        for (number, clients) in crowd.iter_mut().enumerate() {
            let share = count * (number + 1) / processes - count * number / processes;
            clients.tell(&format!("open {address} 127.0.{number}.{}:0 {share}", round + 1));
        }
        for clients in &mut crowd {
            clients.done();
        }
        println!("{count} came in {:?}", began.elapsed());
        assert_eq!(counted(&mut residents).await, (came, count * round));
        println!("  let in before: {}", Waits::of_200(address).await);
        for clients in &mut crowd {
            clients.tell(way);
        }
        let (mut meanwhile, mut others) = (Waits::default(), Waits::default());
        let began = Instant::now();
        loop {
            meanwhile.knock(address).await;
            others.knock_at_control(elsewhere).await;
            // Those who stay are served too.
            if counted(&mut residents).await.1 == came {
                break;
            }
        }
        let leave = began.elapsed();
        println!("{count} by {way}: all told in {leave:?}");
        println!("  let in meanwhile: {meanwhile}");
        println!("  and where nobody leaves: {others}");
        println!("  let in after: {}", Waits::of_200(address).await);
        // If they came behind all who leave, they would wait for most of that time. A busy machine delays others, too.
        let most = (leave / 4).max(others.longest() * 4);
        assert!(
            meanwhile.longest() <= most || wished.is_none(),
            "who comes waits for those who leave"
        );
        // A small crowd may be gone before anybody comes.
        assert!(
            meanwhile.0.len() > 1 || wished.is_none(),
            "nobody was let in while {count} left"
        );
        assert_eq!(
            counted(&mut residents).await,
            (came, came),
            "each was told of once"
        );
        if way != "exit" {
            for clients in &mut crowd {
                clients.done();
            }
        }
    }
    for part in crowd.into_iter().chain(servers).chain([control]) {
        part.end();
    }
}

/// How many came and have gone, by what all servers say.
async fn counted(residents: &mut [Peer]) -> (usize, usize) {
    let (mut came, mut gone) = (0, 0);
    for resident in residents {
        resident.send_text("how many?").await;
        let numbers = resident.receive_text().await;
        let (here, there) = numbers.split_once(' ').unwrap();
        came += here.parse::<usize>().unwrap();
        gone += there.parse::<usize>().unwrap();
    }
    (came, gone)
}
