//! One connection at a time in the opening handshake with a server (RFC 6455 §4.1).

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sockeye::Client;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, mpsc};
use tokio::task::JoinSet;

use super::peer::{accepted, read_request};

/// A server that hands out connections as they come.
async fn listen() -> (SocketAddr, mpsc::UnboundedReceiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connections, accepted) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            if connections.send(io).is_err() {
                return;
            }
        }
    });
    (address, accepted)
}

async fn answer(io: &mut TcpStream) {
    let request = read_request(io).await;
    io.write_all(accepted(&request, "").as_bytes()).await.unwrap();
}

/// Lets things happen that are about to, if they are.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn connections_to_one_server_are_opened_one_after_the_other() {
    const COUNT: usize = 20;
    let (address, mut connections) = listen().await;
    let (pending, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let noted = Arc::clone(&most);
    tokio::spawn(async move {
        while let Some(mut io) = connections.recv().await {
            let (pending, most) = (Arc::clone(&pending), Arc::clone(&noted));
            tokio::spawn(async move {
                most.fetch_max(pending.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let request = read_request(&mut io).await;
                // Others that come too early come now.
                settle().await;
                pending.fetch_sub(1, Ordering::SeqCst);
                io.write_all(accepted(&request, "").as_bytes()).await.unwrap();
                // Keeps the connection until the client has it.
                let _ = tokio::io::copy(&mut io, &mut tokio::io::sink()).await;
            });
        }
    });
    let mut attempts = JoinSet::new();
    for number in 0..COUNT {
        // Different clients, and different names of one host.
        let host = format!("name-{}.test", number % 3);
        let client = Client::builder().resolve(&host, [address]).build().unwrap();
        attempts.spawn(async move { client.connect(format!("ws://{host}/")).await.map(drop) });
    }
    for opened in attempts.join_all().await {
        opened.unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn connections_are_opened_together_when_the_rule_is_off() {
    const COUNT: usize = 5;
    let (address, mut connections) = listen().await;
    let barrier = Arc::new(Barrier::new(COUNT));
    tokio::spawn(async move {
        while let Some(mut io) = connections.recv().await {
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                // Nobody is answered until all have come.
                barrier.wait().await;
                answer(&mut io).await;
            });
        }
    });
    let client = Client::builder().one_pending_per_host(false).build().unwrap();
    let mut attempts = JoinSet::new();
    for _ in 0..COUNT {
        let client = client.clone();
        attempts.spawn(async move { client.connect(format!("ws://{address}/")).await.map(drop) });
    }
    for opened in attempts.join_all().await {
        opened.unwrap();
    }
}

#[tokio::test]
async fn another_server_is_not_waited_for() {
    let (silent, mut silent_connections) = listen().await;
    let (other, mut other_connections) = listen().await;
    let first = tokio::spawn(sockeye::connect(format!("ws://{silent}/")));
    let _io = silent_connections.recv().await.unwrap();
    let (opened, ()) = tokio::join!(sockeye::connect(format!("ws://{other}/")), async {
        answer(&mut other_connections.recv().await.unwrap()).await;
    });
    opened.unwrap();
    first.abort();
}

#[tokio::test]
async fn a_refusal_lets_the_next_one_connect() {
    let (address, mut connections) = listen().await;
    let url = format!("ws://{address}/");
    let [first, second] = [(); 2].map(|()| tokio::spawn(sockeye::connect(url.clone())));
    let mut io = connections.recv().await.unwrap();
    settle().await;
    assert!(connections.try_recv().is_err());
    read_request(&mut io).await;
    io.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    let mut io = connections.recv().await.unwrap();
    answer(&mut io).await;
    let ended = [first.await.unwrap(), second.await.unwrap()];
    assert_eq!(ended.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(
        ended
            .iter()
            .flat_map(|result| result.as_ref().err())
            .all(|e| e.is_handshake())
    );
}

#[tokio::test]
async fn a_redirection_to_the_same_server_does_not_wait_for_itself() {
    let (address, mut connections) = listen().await;
    let client = Client::builder().redirects(1).build().unwrap();
    let attempt = tokio::spawn(async move { client.connect(format!("ws://{address}/old")).await });
    let mut io = connections.recv().await.unwrap();
    read_request(&mut io).await;
    io.write_all(b"HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    answer(&mut connections.recv().await.unwrap()).await;
    attempt.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_attempt_that_is_dropped_closes_its_connection_and_lets_the_next_one_connect() {
    let (address, mut connections) = listen().await;
    let url = format!("ws://{address}/");
    let first = tokio::spawn(sockeye::connect(url.clone()));
    let mut io = connections.recv().await.unwrap();
    read_request(&mut io).await;
    let second = tokio::spawn(sockeye::connect(url));
    first.abort();
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut io, &mut rest)
        .await
        .unwrap();
    assert!(rest.is_empty());
    answer(&mut connections.recv().await.unwrap()).await;
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_attempt_that_is_held_and_not_polled_stops_nobody() {
    let (address, mut connections) = listen().await;
    let url = format!("ws://{address}/");
    let mut first = pin!(sockeye::connect(&url));
    let mut io = tokio::select! {
        biased;
        _ = &mut first => unreachable!("nobody has answered"),
        io = connections.recv() => io.unwrap(),
    };
    // From here on nobody polls the first.
    let second = tokio::spawn(sockeye::connect(url.clone()));
    answer(&mut io).await;
    answer(&mut connections.recv().await.unwrap()).await;
    second.await.unwrap().unwrap();
    first.await.unwrap();
}
