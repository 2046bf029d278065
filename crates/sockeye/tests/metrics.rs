//! What a server counts. A process has one recorder, so that these facts have a process of their own.

#[path = "server/peer.rs"]
#[allow(dead_code, reason = "the server's tests use the rest")]
mod peer;

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use peer::{Peer, TEXT, echo, eventually, start};
use sockeye::server::{Accept, ConnectionLimits, HandshakeLimits, Rejection, Route, Server};
use sockeye::{HandlerResult, QueueLimits, WebSocket};

/// Sends more than any socket buffer takes.
async fn pour(ws: WebSocket) -> HandlerResult {
    loop {
        ws.send(vec![0; 64 * 1024]).await?;
    }
}

#[tokio::test]
async fn everything_worth_knowing_is_counted() {
    let recorder = PrometheusBuilder::new().install_recorder().unwrap();
    let rejecting = Route::new(echo).on_upgrade(|_| async { Err::<Accept, _>(Rejection::forbidden("no")) });
    let stalled = QueueLimits {
        write_timeout: Duration::from_millis(200),
        ..QueueLimits::default()
    };
    let builder = Server::builder()
        .route("/", echo)
        .route_with("/rejected", rejecting)
        .route_with("/pour", Route::new(pour).queues(stalled))
        .connection_limits(ConnectionLimits {
            max_connections: Some(3),
            ..ConnectionLimits::default()
        })
        .handshake_limits(HandshakeLimits {
            timeout: Duration::from_secs(2),
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
    Peer::ask(address, "/rejected", &[]).await;
    Peer::ask(address, "/nothing", &[]).await;
    Peer::ask(address, "/", &[("Origin", "http://evil.test")]).await;
    Peer::ask(address, "/", &[("Sec-WebSocket-Version", "8")]).await;
    Peer::connect(address).await.until_end().await;
    eventually(|| server.connections() == 0).await;

    let deaf = Peer::open(address, "/pour", &[]).await;
    eventually(|| server.connections() == 0).await;
    drop(deaf);

    let mut crowd = Vec::new();
    for _ in 0..3 {
        crowd.push(Peer::open(address, "/", &[]).await);
    }
    assert_eq!(Peer::connect(address).await.response().await.status, 503);
    drop(crowd);
    eventually(|| server.connections() == 0).await;

    // Reset, where the others ended in order.
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_zero_linger().unwrap();
    let mut reset = Peer::new(stream);
    assert_eq!(reset.request("/", &[]).await.status, 101);
    drop(reset);
    eventually(|| server.connections() == 0).await;

    let contains = |text: &str, line: &str| {
        assert!(
            text.lines().any(|found| found == line),
            "{line}\nis not in\n{text}"
        );
    };
    contains(&open, "sockeye_connections_open 1");
    contains(&open, "sockeye_server_connections_open 1");
    let end = recorder.render();
    for line in [
        "sockeye_connections_open 0",
        "sockeye_server_connections_open 0",
        "sockeye_server_connections_total 12",
        "sockeye_server_handshakes_total{outcome=\"accepted\"} 7",
        "sockeye_server_handshakes_total{outcome=\"rejected\"} 1",
        "sockeye_server_handshakes_total{outcome=\"not_found\"} 1",
        "sockeye_server_handshakes_total{outcome=\"origin\"} 1",
        "sockeye_server_handshakes_total{outcome=\"invalid\"} 1",
        "sockeye_server_handshakes_total{outcome=\"timeout\"} 1",
        "sockeye_server_handshake_seconds_count 7",
        "sockeye_server_refused_total{limit=\"max_connections\"} 1",
        "sockeye_messages_total{direction=\"in\",kind=\"text\"} 1",
        "sockeye_messages_total{direction=\"in\",kind=\"binary\"} 1",
        "sockeye_message_bytes_total{direction=\"in\",kind=\"binary\"} 100",
        "sockeye_message_bytes_total{direction=\"out\",kind=\"text\"} 5",
        "sockeye_closes_total{code=\"3xxx\"} 1",
        "sockeye_closes_total{code=\"1007\"} 1",
        "sockeye_failures_total{cause=\"utf8\"} 1",
        "sockeye_failures_total{cause=\"connection_lost\"} 4",
        "sockeye_failures_total{cause=\"write_stalled\"} 1",
        "sockeye_send_queue_bytes_count 1",
        "# TYPE sockeye_send_queue_bytes summary",
    ] {
        contains(&end, line);
    }
}
