//! A server whose process may not open any more files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sockeye::server::{ConnectionLimits, HandshakeLimits};

use super::echo;
use super::part::start_part;
use crate::peer::{TEXT, frame, handshake, server, start};

/// Marks the process that is the server, and no test.
const ROLE: &str = "SOCKEYE_TEST_SERVER_WITH_FEW_FILES";
/// How many connections it can have.
const FILES: usize = 24;

/// Serves until its input ends.
async fn serve() {
    let limits = ConnectionLimits {
        max_connections: Some(1000),
        ..ConnectionLimits::default()
    };
    let patient = HandshakeLimits {
        timeout: Duration::from_secs(600),
        ..HandshakeLimits::default()
    };
    let builder = server()
        .handle("/", echo())
        .workers(2)
        .connection_limits(limits)
        .handshake_limits(patient);
    let (address, _server) = start(builder).await;
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() - 1;
    let highest = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: Some((open + FILES) as u64),
        maximum: highest,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    println!("listening {address}");
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
}

/// A client that waits for nothing but what it asks for.
struct Client(TcpStream);

impl Client {
    fn new(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(handshake("/", &[]).as_bytes()).unwrap();
        Self(stream)
    }

    /// Whether it was answered already.
    fn is_answered(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let is_answered = self.0.peek(&mut [0]).is_ok();
        self.0.set_nonblocking(false).unwrap();
        is_answered
    }

    fn await_answer(&mut self) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101 "),
            "{}",
            String::from_utf8_lossy(&head)
        );
    }

    fn asks_well(&mut self) {
        self.0.write_all(&frame(TEXT, b"well?")).unwrap();
        let mut answer = [0; 7];
        self.0.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"\x81\x05well?");
    }
}

#[tokio::test]
async fn a_server_out_of_files_serves_those_it_has_and_accepts_later() {
    if std::env::var_os(ROLE).is_some() {
        return serve().await;
    }
    let test = "workers::scarcity::a_server_out_of_files_serves_those_it_has_and_accepts_later";
    let mut process = start_part(test, ROLE, "server");
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let address: SocketAddr = lines
        .find_map(|line| Some(line.unwrap().split_once("listening ")?.1.parse().unwrap()))
        .unwrap();

    let mut bystander = Client::new(address);
    bystander.await_answer();
    let mut clients: Vec<_> = (0..3 * FILES).map(|_| Client::new(address)).collect();
    let mut served = 0;
    while !clients.is_empty() {
        for _ in 0..20 {
            bystander.asks_well();
        }
        // There are always some who wait in the system's queue, until the last have room.
        let (mut answered, waiting): (Vec<_>, Vec<_>) = clients.into_iter().partition(Client::is_answered);
        assert!(
            answered.len() <= FILES,
            "{} have no more than {FILES} files",
            answered.len()
        );
        for client in &mut answered {
            client.await_answer();
            client.asks_well();
        }
        served += answered.len();
        // They leave, and make room.
        drop(answered);
        clients = waiting;
    }
    assert_eq!(served, 3 * FILES);
    drop(process.stdin.take());
    assert!(process.wait().unwrap().success());
}
