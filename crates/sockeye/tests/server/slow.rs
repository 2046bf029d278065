//! Clients that take little or nothing of what they are sent, at each stage of a connection.

use std::time::Duration;

use sockeye::server::Drain;
use sockeye::{Config, HandlerResult, QueueLimits, WebSocket};

use crate::peer::{Peer, echo, eventually, handshake, narrow, server, soon, start};

/// Sends more than any buffer takes.
async fn pour(ws: WebSocket) -> HandlerResult {
    loop {
        ws.send(vec![0; 64 * 1024]).await?;
        assert!(ws.buffered_amount() <= 1024 * 1024 + 64 * 1024 + 10);
    }
}

async fn asks_well(bystander: &mut Peer) {
    bystander.send_text("well?").await;
    assert_eq!(bystander.receive_text().await, "well?");
}

#[tokio::test]
async fn a_closed_window_is_not_waited_for() {
    let queues = QueueLimits {
        write_timeout: Duration::from_millis(300),
        ..QueueLimits::default()
    };
    let builder = server().route("/pour", pour).route("/", echo).queues(queues);
    let (address, server) = start(builder).await;
    let mut bystander = Peer::open(address, "/", &[]).await;

    // It does not even read the response to its handshake.
    let mut never = narrow(address).await;
    never.write(handshake("/pour", &[]).as_bytes()).await;
    // It reads, and then does not any more.
    let mut tired = narrow(address).await;
    assert_eq!(tired.request("/pour", &[]).await.status, 101);
    for _ in 0..3 {
        assert_eq!(tired.receive().await.1.len(), 64 * 1024);
    }
    // It sends and sends, and does not read the echoes: the server stops reading it, and then drops it.
    let mut deaf = narrow(address).await;
    assert_eq!(deaf.request("/", &[]).await.status, 101);
    let message = crate::peer::frame(2, &[7; 60_000]);
    for _ in 0..200 {
        deaf.try_write(&message).await;
    }
    asks_well(&mut bystander).await;
    eventually(|| server.connections() == 1).await;
    asks_well(&mut bystander).await;
    drop((never, tired, deaf));
}

#[tokio::test]
async fn a_closed_window_does_not_hold_up_a_close() {
    async fn full(ws: WebSocket) -> HandlerResult {
        // Until it would have to wait.
        while ws.sender().try_send(vec![0; 64 * 1024])? {}
        Ok(())
    }
    let limits = Config {
        close_timeout: Duration::from_millis(300),
        ..Config::server()
    };
    let builder = server().route("/full", full).route("/", echo).limits(limits);
    let (address, server) = start(builder).await;
    let mut bystander = Peer::open(address, "/", &[]).await;
    let mut deaf = narrow(address).await;
    deaf.write(handshake("/full", &[]).as_bytes()).await;
    eventually(|| server.websockets() == 2).await;
    eventually(|| server.connections() == 1).await;
    asks_well(&mut bystander).await;
    drop(deaf);
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline_whoever_does_not_read() {
    let drain = Drain {
        spread: Duration::ZERO,
        // Long enough for the polite one on a busy machine.
        deadline: Duration::from_secs(2),
        ..Drain::default()
    };
    let builder = server().route("/pour", pour).route("/", echo).drain(drain);
    let (address, server) = start(builder).await;
    let mut polite = Peer::open(address, "/", &[]).await;
    let mut deaf = narrow(address).await;
    deaf.write(handshake("/pour", &[]).as_bytes()).await;
    eventually(|| server.websockets() == 2).await;
    server.shutdown();
    assert_eq!(polite.receive_close().await.0, 1001);
    // It answers, and keeps TCP open.
    polite.send_close(1001).await;
    let report = soon(server.report()).await;
    assert_eq!((report.connections, report.closed, report.forced), (2, 1, 1));
    drop((polite, deaf));
}
