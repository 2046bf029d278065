//! What a server counts of the WebSockets of its workers. A process has one recorder, so that these facts have a process
//! of their own.
#![cfg(unix)]

#[path = "server/peer.rs"]
#[allow(dead_code, reason = "the server's tests use the rest")]
mod peer;

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use peer::{Peer, TEXT, eventually, narrow, server, start};
use sockeye::server::{Accept, Decline, Handler, HandshakeLimits, Rejection, Route, Socket, UpgradeRequest};
use sockeye::{MessageRef, QueueLimits};

/// Echoes; pours more than any socket buffer takes to who asks for it; turns down who wants to be.
struct Busy;

impl Handler for Busy {
    type Data = ();

    fn upgrade(&self, request: &UpgradeRequest, (): &mut ()) -> Result<Accept, Decline> {
        match request.query_value("no") {
            Some(_) => Err(Rejection::forbidden("no").into()),
            None => Ok(Accept::new()),
        }
    }

    fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
        if message.as_bytes() == b"pour" {
            for _ in 0..64 {
                socket.send(MessageRef::Binary(&[0; 256 * 1024]));
            }
        } else {
            socket.send(message);
        }
    }
}

#[tokio::test]
async fn what_happens_on_workers_is_counted() {
    let recorder = PrometheusBuilder::new().install_recorder().unwrap();
    let stalled = QueueLimits {
        write_timeout: Duration::from_millis(300),
        send: 64 * 1024 * 1024,
        ..QueueLimits::default()
    };
    let builder = server()
        .handle("/", Busy)
        .route_with("/pour", Route::handler(Busy).queues(stalled))
        .workers(2)
        .handshake_limits(HandshakeLimits {
            timeout: Duration::from_secs(1),
            ..HandshakeLimits::default()
        });
    let (address, server) = start(builder).await;

    let mut peer = Peer::open(address, "/", &[]).await;
    peer.send_text("hello").await;
    peer.receive_text().await;
    peer.send(2, &[0; 100]).await;
    peer.receive().await;
    let open = recorder.render();
    peer.finish(3001).await;
    eventually(|| server.connections() == 0).await;

    let mut rude = Peer::open(address, "/", &[]).await;
    rude.send(TEXT, b"\xff").await;
    assert_eq!(rude.receive_close().await.0, 1007);
    drop(rude);
    Peer::ask(address, "/?no=1", &[]).await;
    Peer::ask(address, "/", &[("Origin", "http://evil.test")]).await;
    Peer::connect(address).await.until_end().await;
    let mut deaf = narrow(address).await;
    assert_eq!(deaf.request("/pour", &[]).await.status, 101);
    deaf.send_text("pour").await;
    eventually(|| server.connections() == 0).await;
    drop(deaf);
    server.shutdown();
    server.report().await;

    let contains = |text: &str, line: &str| {
        assert!(
            text.lines().any(|found| found == line),
            "{line}\nis not in\n{text}"
        );
    };
    contains(&open, "sockeye_connections_open 1");
    contains(&open, "sockeye_server_connections_open 1");
    let workers = open
        .lines()
        .find(|line| line.starts_with("sockeye_server_workers{"));
    assert!(workers.unwrap().ends_with(" 2"), "{workers:?}");
    let end = recorder.render();
    for line in [
        "sockeye_connections_open 0",
        "sockeye_server_connections_open 0",
        "sockeye_server_connections_total 6",
        "sockeye_server_handshakes_total{outcome=\"accepted\"} 3",
        "sockeye_server_handshakes_total{outcome=\"rejected\"} 1",
        "sockeye_server_handshakes_total{outcome=\"origin\"} 1",
        "sockeye_server_handshakes_total{outcome=\"timeout\"} 1",
        "sockeye_server_handshake_seconds_count 3",
        "sockeye_messages_total{direction=\"in\",kind=\"text\"} 2",
        "sockeye_messages_total{direction=\"in\",kind=\"binary\"} 1",
        "sockeye_message_bytes_total{direction=\"in\",kind=\"binary\"} 100",
        "sockeye_message_bytes_total{direction=\"out\",kind=\"text\"} 5",
        "sockeye_closes_total{code=\"3xxx\"} 1",
        "sockeye_closes_total{code=\"1007\"} 1",
        "sockeye_failures_total{cause=\"utf8\"} 1",
        "sockeye_failures_total{cause=\"write_stalled\"} 1",
    ] {
        contains(&end, line);
    }
}
