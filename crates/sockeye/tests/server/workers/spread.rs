//! How connections come to the workers.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use sockeye::MessageRef;
use sockeye::server::{Address, Balance, Bind, Socket};

use super::{Does, echo, whereabouts};
use crate::peer::{Peer, eventually, run, server, start};

async fn worker_of(peer: &mut Peer) -> String {
    peer.send_text("where?").await;
    peer.receive_text().await
}

#[tokio::test]
async fn round_robin_gives_each_worker_as_many() {
    let builder = server()
        .handle("/", whereabouts())
        .workers(3)
        .balance(Balance::RoundRobin);
    let (address, server) = start(builder).await;
    let mut peers = Vec::new();
    for _ in 0..12 {
        peers.push(Peer::open(address, "/", &[]).await);
    }
    let mut count = HashMap::<_, usize>::new();
    for peer in &mut peers {
        *count.entry(worker_of(peer).await).or_default() += 1;
    }
    let workers: HashSet<_> = count.keys().map(String::as_str).collect();
    assert_eq!(workers, HashSet::from(["sockeye-0", "sockeye-1", "sockeye-2"]));
    assert!(count.values().all(|&count| count == 4), "{count:?}");
    drop(peers);
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn every_worker_serves_every_listener() {
    for balance in [Balance::Kernel, Balance::RoundRobin] {
        let server = server()
            .handle("/", whereabouts())
            .workers(2)
            .balance(balance)
            .bind("127.0.0.1:0")
            .bind("127.0.0.1:0")
            .bind("[::1]:0")
            .listen()
            .await
            .unwrap();
        let addresses: Vec<SocketAddr> = server
            .addresses()
            .into_iter()
            .map(|address| match address {
                Address::Tcp(address) => address,
                other => panic!("{other}"),
            })
            .collect();
        let handle = run(server);
        assert_eq!(addresses.len(), 3);
        for address in addresses {
            let mut workers = HashSet::new();
            let mut peers = Vec::new();
            // The system spreads by a hash of the client's port: 64 connections on one worker would be a wonder.
            while workers.len() < 2 {
                assert!(peers.len() < 64, "{address} has {workers:?} only");
                let mut peer = Peer::open(address, "/", &[]).await;
                workers.insert(worker_of(&mut peer).await);
                peers.push(peer);
            }
        }
        handle.shutdown();
        let report = handle.report().await;
        assert_eq!(report.forced, 0);
    }
}

#[tokio::test]
async fn a_connection_stays_on_its_worker() {
    let (address, _server) = start(server().handle("/", whereabouts()).workers(3)).await;
    let mut peers = Vec::new();
    for _ in 0..6 {
        peers.push(Peer::open(address, "/", &[]).await);
    }
    let mut first = Vec::new();
    for peer in &mut peers {
        first.push(worker_of(peer).await);
    }
    for _ in 0..5 {
        for (peer, worker) in peers.iter_mut().zip(&first) {
            assert_eq!(worker_of(peer).await, *worker);
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn pinned_workers_each_stay_on_one_processor() {
    // What `Cpus_allowed_list` says of the worker's thread.
    let allowed = Does(|socket: &mut Socket<'_, ()>, _: MessageRef<'_>| {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list:"));
        socket.send(line.unwrap().split_whitespace().last().unwrap());
    });
    let workers = std::thread::available_parallelism().unwrap().get().min(4);
    let builder = server()
        .handle("/", allowed)
        .workers(workers)
        .pin(true)
        .balance(Balance::RoundRobin);
    let (address, _server) = start(builder).await;
    let mut processors = HashSet::new();
    for _ in 0..workers {
        let mut peer = Peer::open(address, "/", &[]).await;
        let processor: usize = worker_of(&mut peer).await.parse().expect("one processor");
        processors.insert(processor);
    }
    assert_eq!(processors.len(), workers);
    // The threads of the application stay free.
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list:"));
    let own = line.unwrap().split_whitespace().last().unwrap();
    assert!(workers == 1 || own.parse::<usize>().is_err(), "{own}");
}

#[tokio::test]
async fn workers_serve_unix_sockets_and_listeners_that_were_open_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sockeye.sock");
    let open = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = open.local_addr().unwrap();
    for workers in [1, 2] {
        let server = server()
            .handle("/", echo())
            .workers(workers)
            .bind(Bind::unix(&path))
            .bind(open.try_clone().unwrap())
            .listen()
            .await
            .unwrap();
        let handle = run(server);
        let mut local = Peer::new(tokio::net::UnixStream::connect(&path).await.unwrap());
        assert_eq!(local.request("/", &[]).await.status, 101);
        local.send_text("local").await;
        assert_eq!(local.receive_text().await, "local");
        let list = handle.sockets().await;
        assert_eq!(list[0].peer_address(), Some(&Address::Unix(None)));
        let mut remote = Peer::open(address, "/", &[]).await;
        remote.send_text("remote").await;
        assert_eq!(remote.receive_text().await, "remote");
        drop((local, remote));
        eventually(|| handle.connections() == 0).await;
        handle.shutdown();
        handle.report().await;
        assert!(!path.exists());
    }
}

#[tokio::test]
async fn listeners_come_and_go_while_workers_run() {
    let (first, server) = start(server().handle("/", echo())).await;
    let added = server.listen("127.0.0.1:0").await.unwrap();
    let Address::Tcp(second) = added[0] else {
        panic!("{added:?}")
    };
    let mut peers = Vec::new();
    for address in [first, second, first, second] {
        peers.push(Peer::open(address, "/", &[]).await);
    }
    assert!(server.stop_listening(&Address::Tcp(first)).await);
    std::net::TcpStream::connect(first).unwrap_err();
    peers.push(Peer::open(second, "/", &[]).await);
    for peer in &mut peers {
        peer.send_text("all stay").await;
        assert_eq!(peer.receive_text().await, "all stay");
    }
    assert!(!server.stop_listening(&Address::Tcp(first)).await);
}
