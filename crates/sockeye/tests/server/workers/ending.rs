//! How WebSockets of workers end: with their server, by a panic of a callback, behind what was sent.

use std::time::Duration;

use sockeye::proto::Chunk;
use sockeye::server::{
    Accept, CloseEvent, Decline, Drain, Handler, ServerHandle, Socket, Unsent, UpgradeRequest,
};
use sockeye::{CloseCode, Config, Delivery, MessageRef, QueueLimits};
use tokio::net::TcpStream;

use super::{Does, echo, failing, teller};
use crate::peer::{CLOSE, PING, PONG, Peer, TEXT, eventually, frame, narrow, server, soon, start};

#[tokio::test]
async fn a_shutdown_closes_with_1001_and_then_cuts() {
    let drain = Drain {
        spread: Duration::from_millis(100),
        deadline: Duration::from_millis(600),
        ..Drain::default()
    };
    let (handler, mut told) = teller();
    let (address, server) = start(server().handle("/", handler).drain(drain)).await;
    let mut polite = Peer::open(address, "/", &[]).await;
    let mut deaf = Peer::open(address, "/", &[]).await;
    let mut silent = Peer::connect(address).await;
    let mut half = Peer::connect(address).await;
    half.write(b"GET / HTTP/1.1\r\nHost: a\r\n").await;
    eventually(|| server.connections() == 4).await;
    server.shutdown();
    assert!(!server.is_ready());
    // Who has not said a word is not waited for.
    silent.until_end().await;
    for peer in [&mut polite, &mut deaf] {
        assert_eq!(
            peer.receive_close().await,
            (1001, "server is shutting down".to_owned())
        );
    }
    polite.finish(1001).await;
    TcpStream::connect(address).await.unwrap_err();
    let report = soon(server.report()).await;
    assert!(report.elapsed >= Duration::from_millis(600), "{report:?}");
    assert_eq!((report.connections, report.closed, report.forced), (4, 2, 2));
    deaf.until_end().await;
    half.until_end().await;
    assert_eq!((server.connections(), server.websockets()), (0, 0));
    let mut all = told.rest();
    all.sort();
    assert_eq!(
        all,
        ["close 1001 \"\" true", "close 1006 \"\" false", "open", "open"]
    );
}

#[tokio::test]
async fn what_was_sent_before_a_shutdown_is_delivered_before_its_close() {
    let sends = Does(|socket: &mut Socket<'_, ()>, _: MessageRef<'_>| {
        for _ in 0..10 {
            socket.send(MessageRef::Binary(&[7; 10_000]));
        }
    });
    let (address, server) = start(server().handle("/", sends)).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    peer.send_text("go").await;
    assert_eq!(peer.receive().await.1.len(), 10_000);
    server.shutdown_with(Drain {
        spread: Duration::ZERO,
        code: CloseCode::SERVICE_RESTART,
        ..Drain::default()
    });
    for _ in 0..9 {
        assert_eq!(peer.receive().await.1.len(), 10_000);
    }
    assert_eq!(peer.receive_close().await.0, 1012);
    peer.finish(1012).await;
    let report = soon(server.report()).await;
    assert_eq!((report.closed, report.forced), (1, 0));
}

#[tokio::test]
async fn dropping_a_server_drops_the_websockets_of_its_workers() {
    let server = server()
        .handle("/", echo())
        .bind("127.0.0.1:0")
        .listen()
        .await
        .unwrap();
    let (address, handle): (_, ServerHandle) = (server.tcp_address().unwrap(), server.handle());
    let serving = tokio::spawn(server.serve());
    let mut peer = Peer::open(address, "/", &[]).await;
    let mut silent = Peer::connect(address).await;
    serving.abort();
    peer.until_end().await;
    silent.until_end().await;
    eventually(|| handle.connections() == 0).await;
    eventually(|| std::net::TcpStream::connect(address).is_err()).await;
}

/// Panics in the callback that its path names.
struct Panicking;

fn panics(which: &str, here: &str) {
    assert!(which != here, "on purpose in {here}");
}

impl Handler for Panicking {
    type Data = String;

    fn upgrade(&self, request: &UpgradeRequest, data: &mut String) -> Result<Accept, Decline> {
        *data = request.path().trim_start_matches('/').to_owned();
        panics(data, "upgrade");
        let config = Config {
            delivery: if data == "fragment" {
                Delivery::Chunks
            } else {
                Delivery::default()
            },
            ..Config::server()
        };
        let queues = QueueLimits {
            send: 20_000,
            high_water: 10_000,
            low_water: 0,
            ..QueueLimits::default()
        };
        Ok(Accept::new().limits(config).queues(queues))
    }

    fn open(&self, socket: &mut Socket<'_, String>) {
        panics(socket.data(), "open");
    }

    fn message(&self, socket: &mut Socket<'_, String>, message: MessageRef<'_>) {
        match socket.data().as_str() {
            "message" => panics("message", "message"),
            "subscription" => drop(socket.subscribe("topic")),
            "dropped" | "drain" => {
                let handle = socket.handle();
                socket.spawn(async move {
                    // What is too much for the mailbox does not matter: the next is more.
                    while handle.send(vec![0; 60_000]) != Err(Unsent::Gone) {
                        tokio::task::yield_now().await;
                    }
                });
            }
            "spawn" => drop(socket.spawn(failing())),
            _ => {}
        }
        socket.send(message);
    }

    fn fragment(&self, socket: &mut Socket<'_, String>, _: Chunk<'_>) {
        panics(socket.data(), "fragment");
    }

    fn ping(&self, socket: &mut Socket<'_, String>, _: &[u8]) {
        panics(socket.data(), "ping");
    }

    fn pong(&self, socket: &mut Socket<'_, String>, _: &[u8]) {
        panics(socket.data(), "pong");
    }

    fn drain(&self, socket: &mut Socket<'_, String>) {
        panics(socket.data(), "drain");
    }

    fn dropped(&self, socket: &mut Socket<'_, String>, _: MessageRef<'_>, _: Option<&str>) {
        panics(socket.data(), "dropped");
    }

    fn subscription(&self, socket: &mut Socket<'_, String>, _: &str, _: usize, _: usize) {
        panics(socket.data(), "subscription");
    }

    fn close(&self, socket: &mut Socket<'_, String>, _: CloseEvent<'_>) {
        panics(socket.data(), "close");
    }
}

#[tokio::test]
async fn a_panic_in_any_callback_ends_its_connection_with_1011_and_no_other() {
    // One worker, so that the bystander is on the thread that panics.
    let builder = server().handle("/{which}", Panicking).workers(1);
    let (address, server) = start(builder).await;
    let mut bystander = Peer::open(address, "/none", &[]).await;
    assert_eq!(Peer::ask(address, "/upgrade", &[]).await.status, 500);
    for (which, opcode) in [
        ("open", None),
        ("message", Some(TEXT)),
        ("fragment", Some(TEXT)),
        ("ping", Some(PING)),
        ("pong", Some(PONG)),
        ("subscription", Some(TEXT)),
        ("drain", Some(TEXT)),
        ("dropped", Some(TEXT)),
    ] {
        // It reads more slowly than is sent, if that is much.
        let mut peer = narrow(address).await;
        assert_eq!(peer.request(&format!("/{which}"), &[]).await.status, 101);
        if let Some(opcode) = opcode {
            peer.send(opcode, b"go").await;
        }
        let (code, reason) = peer.receive_close().await;
        assert_eq!((code, reason.as_str()), (1011, "the handler panicked"), "{which}");
        peer.finish(1011).await;
        bystander.send_text("unharmed").await;
        assert_eq!(bystander.receive_text().await, "unharmed", "{which}");
    }
    // Here the close is the peer's, and is answered.
    let mut peer = Peer::open(address, "/close", &[]).await;
    peer.send(CLOSE, &1000_u16.to_be_bytes()).await;
    assert_eq!(peer.receive_close().await.0, 1000);
    peer.until_end().await;
    // A task is nobody's callback: its WebSocket stays.
    let mut peer = Peer::open(address, "/spawn", &[]).await;
    peer.send_text("still").await;
    assert_eq!(peer.receive_text().await, "still");
    drop(peer);
    eventually(|| server.connections() == 1).await;
    assert_eq!(server.sockets().await.len(), 1);
}

#[tokio::test]
async fn close_after_flush_delivers_all_that_was_sent_to_a_slow_reader() {
    const MESSAGES: usize = 30;

    let full = Does(|socket: &mut Socket<'_, ()>, _: MessageRef<'_>| {
        for number in 0..MESSAGES {
            socket.send(MessageRef::Binary(&vec![number as u8; 30_000]));
        }
        let code = CloseCode::new(4003).unwrap();
        socket.close_after_flush(code, "that was all").unwrap();
    });
    let (address, server) = start(server().handle("/", full)).await;
    let mut peer = narrow(address).await;
    assert_eq!(peer.request("/", &[]).await.status, 101);
    peer.send_text("go").await;
    // What the peer says now is not heard any more, and does no harm.
    peer.write(&frame(TEXT, b"late")).await;
    for number in 0..MESSAGES {
        let (_, payload) = peer.receive().await;
        assert!(payload.len() == 30_000 && payload.iter().all(|&byte| byte == number as u8));
    }
    assert_eq!(peer.receive_close().await, (4003, "that was all".to_owned()));
    assert_eq!(peer.until_end().await, b"");
    drop(peer);
    eventually(|| server.connections() == 0).await;
}
