//! Memory, files and tasks return to where they were. They belong to the process, so that this fact has a process of
//! its own.
#![cfg(target_os = "linux")]

#[path = "server/peer.rs"]
#[allow(dead_code, reason = "the server's tests use the rest")]
mod peer;

use std::sync::{Arc, Mutex};

use peak_alloc::PeakAlloc;
use peer::{Peer, TEXT, echo, eventually, frame, handshake, start};
use sockeye::proto::deflate::Deflate;
use sockeye::server::{Server, ServerHandle};
use sockeye::{Config, Sender, WebSocket};
use tokio::runtime::Handle;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What a process can leak.
#[derive(Debug)]
struct Held {
    /// Bytes allocated and not given back; the resident size would measure the system's allocator.
    memory: usize,
    files: usize,
    tasks: usize,
}

impl Held {
    fn now() -> Self {
        Self {
            memory: ALLOCATOR.current_usage(),
            files: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            tasks: Handle::current().metrics().num_alive_tasks(),
        }
    }

    /// Memory is allowed some noise: buffers that connections share may grow once more.
    fn assert_no_more_than(&self, before: &Self, what: &str) {
        const NOISE: usize = 16 * 1024;
        assert_eq!((self.files, self.tasks), (before.files, before.tasks), "{what}");
        assert!(
            self.memory <= before.memory + NOISE,
            "{what}: {before:?}, then {self:?}"
        );
    }
}

/// Handles to everybody who is connected.
type Hub = Arc<Mutex<Vec<Sender>>>;

async fn join(hub: Hub, mut ws: WebSocket) -> sockeye::HandlerResult {
    hub.lock().unwrap().push(ws.sender());
    while ws.recv().await?.is_some() {}
    Ok(())
}

/// Clients that come, talk, and go in every way there is.
async fn come_and_go(address: std::net::SocketAddr, server: &ServerHandle) {
    const CROWD: usize = 120;
    let offer = [("Sec-WebSocket-Extensions", "permessage-deflate")];
    let mut crowd = Vec::new();
    for number in 0..CROWD {
        let mut peer = Peer::open(address, "/", &offer[..number % 2]).await;
        peer.send(2, &vec![7; 100 + number * 500]).await;
        peer.receive().await;
        crowd.push(peer);
    }
    eventually(|| server.websockets() == CROWD).await;
    for (number, mut peer) in crowd.into_iter().enumerate() {
        match number % 6 {
            0 => peer.finish(1000).await,
            1 => drop(peer),
            2 => peer.write(&frame(TEXT, b"half a frame")[..8]).await,
            3 => peer.try_write(&frame(3, b"no such opcode")).await,
            4 => peer.send(TEXT, b"an answer that nobody reads").await,
            _ => {
                peer.send_close(1000).await;
                peer.receive_close().await;
            }
        }
    }
    for _ in 0..20 {
        Peer::ask(address, "/nowhere", &[]).await;
        let mut half = Peer::connect(address).await;
        half.write(&handshake("/", &[]).as_bytes()[..60]).await;
    }
    eventually(|| server.connections() == 0).await;
}

/// Sends every client of the hub more than socket buffers hold, and lets them read it.
async fn burst(address: std::net::SocketAddr, server: &ServerHandle, hub: &Hub) {
    const CROWD: usize = 64;
    const MESSAGES: usize = 60;
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(Peer::open(address, "/hub", &[]).await);
    }
    eventually(|| hub.lock().unwrap().len() == CROWD).await;
    for _ in 0..MESSAGES {
        for sender in hub.lock().unwrap().iter() {
            assert!(sender.try_send([1; 10_000]).unwrap());
        }
    }
    for mut peer in crowd {
        for _ in 0..MESSAGES {
            assert_eq!(peer.receive().await.1.len(), 10_000);
        }
        peer.finish(1000).await;
    }
    eventually(|| server.websockets() == 0).await;
    hub.lock().unwrap().clear();
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn memory_files_and_tasks_return_to_where_they_were() {
    let hub = Hub::default();
    let in_hub = hub.clone();
    let limits = Config {
        max_message_size: 1 << 40,
        ..Config::server()
    };
    let builder = Server::builder()
        .route("/", echo)
        .route("/hub", move |ws: WebSocket| join(in_hub.clone(), ws))
        .route_with("/vast", sockeye::server::Route::new(echo).limits(limits))
        .compression(Deflate::default());
    let (address, server) = start(builder).await;
    // The first rounds fill pools and shared buffers.
    for _ in 0..3 {
        come_and_go(address, &server).await;
        burst(address, &server, &hub).await;
    }
    let base = Held::now();

    for _ in 0..12 {
        come_and_go(address, &server).await;
    }
    eventually(|| Held::now().tasks == base.tasks).await;
    Held::now().assert_no_more_than(&base, "after clients came and went");

    for _ in 0..4 {
        burst(address, &server, &hub).await;
    }
    eventually(|| Held::now().tasks == base.tasks).await;
    Held::now().assert_no_more_than(&base, "after bursts");

    // Each announces a terabyte, and sends a little of it.
    let mut liars = Vec::new();
    for _ in 0..100 {
        let mut liar = Peer::open(address, "/vast", &[]).await;
        liar.write(&[&[0x82, 0xFF][..], &(1_u64 << 40).to_be_bytes(), &[0; 1004]].concat())
            .await;
        liars.push(liar);
    }
    eventually(|| server.websockets() == 100).await;
    let mut bystander = Peer::open(address, "/", &[]).await;
    bystander.send_text("well?").await;
    assert_eq!(bystander.receive_text().await, "well?");
    let memory = Held::now().memory;
    assert!(
        memory < base.memory + 100 * 32 * 1024,
        "{memory} bytes after {base:?}"
    );
    drop((liars, bystander));
    eventually(|| server.connections() == 0).await;
    eventually(|| Held::now().tasks == base.tasks).await;
    Held::now().assert_no_more_than(&base, "after lies");
}
