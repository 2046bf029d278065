//! Sessions over in-memory pipes, with tokio's clock stopped: no test waits for real time.

use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::{CloseCode, Config, Connection, Delivery, Keepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::message::Message;
use crate::opening::Opening;
use crate::websocket::{Agreement, WebSocket};

mod ending;
mod framing;
mod pausing;
mod pinging;
mod slow;
mod standby;
mod streaming;
mod wakeups;

fn opening(connection: Connection) -> Opening {
    Opening {
        connection,
        agreement: Agreement::default(),
        limits: QueueLimits::default(),
        metrics: Arc::new(SessionMetrics::new()),
        leftover: Vec::new(),
    }
}

fn server(config: Config) -> Opening {
    opening(Connection::server(Arc::new(config), None, now()))
}

fn client(config: Config) -> Opening {
    opening(Connection::client(
        Arc::new(config),
        Box::new(|| [1, 2, 3, 4]),
        None,
        now(),
    ))
}

/// Runs a session in a task of its own.
fn spawn(opening: Opening, io: DuplexStream) -> WebSocket {
    let (ws, driver) = opening.start(io);
    tokio::spawn(driver.stand_by());
    ws
}

fn pair() -> (WebSocket, WebSocket) {
    let (a, b) = duplex(64 * 1024);
    (
        spawn(server(Config::server()), a),
        spawn(client(Config::client()), b),
    )
}

/// An echo handler joined with its driver.
fn spawn_echo(opening: Opening, io: DuplexStream) -> tokio::task::JoinHandle<()> {
    let (mut ws, driver) = opening.start(io);
    tokio::spawn(Joined::new(
        driver,
        Box::pin(async move {
            while let Some(message) = ws.recv().await? {
                ws.send(message).await?;
            }
            Ok(())
        }),
    ))
}

#[tokio::test(start_paused = true)]
async fn messages_arrive_whole_and_in_order_both_ways() {
    let (mut server, mut client) = pair();
    for i in 0..100 {
        client.send(format!("to server {i}")).await.unwrap();
        server.send(vec![i as u8; i]).await.unwrap();
    }
    for i in 0..100 {
        assert_eq!(
            server.recv().await.unwrap(),
            Some(Message::from(format!("to server {i}")))
        );
        assert_eq!(
            client.recv().await.unwrap(),
            Some(Message::from(vec![i as u8; i]))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn messages_larger_than_any_buffer_arrive_whole() {
    let config = Config {
        max_message_size: 1 << 21,
        ..Config::server()
    };
    let (a, b) = duplex(64 * 1024);
    let mut server = spawn(server(config), a);
    let client = spawn(client(Config::client()), b);
    let text: String = (0..100_000).map(|i| format!("{i} 鮭 ")).collect();
    let sending = tokio::spawn({
        let text = text.clone();
        async move {
            for _ in 0..3 {
                client.send(text.as_str()).await.unwrap();
                client.send("small").await.unwrap();
                client.send(text.as_bytes()).await.unwrap();
            }
            client
        }
    });
    for _ in 0..3 {
        assert_eq!(server.recv().await.unwrap(), Some(Message::from(text.as_str())));
        assert_eq!(server.recv().await.unwrap(), Some(Message::from("small")));
        assert_eq!(server.recv().await.unwrap(), Some(Message::from(text.as_bytes())));
    }
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn close_waits_for_the_answer_and_reports_it() {
    let (mut server, mut client) = pair();
    client.send("last words").await.unwrap();
    let closing = tokio::spawn(async move { client.close(CloseCode::new(3001).unwrap(), "done").await });
    assert_eq!(server.recv().await.unwrap(), Some(Message::from("last words")));
    assert_eq!(server.recv().await.unwrap(), None);
    let seen = server.close_info().unwrap();
    assert_eq!(
        (seen.code, seen.reason.as_str(), seen.clean),
        (3001, "done", true)
    );
    let answered = closing.await.unwrap().unwrap();
    assert_eq!((answered.code, answered.clean), (3001, true));
    assert!(server.send("too late").await.unwrap_err().is_closed());
}

#[tokio::test(start_paused = true)]
async fn dropping_all_handles_delivers_what_was_sent_and_closes_with_1000() {
    let (server, mut client) = pair();
    let (sender, receiver) = server.split();
    let clone = sender.clone();
    drop((sender, receiver));
    clone.send("still open").await.unwrap();
    assert_eq!(client.recv().await.unwrap(), Some(Message::from("still open")));
    clone.send("and the last").await.unwrap();
    drop(clone);
    assert_eq!(client.recv().await.unwrap(), Some(Message::from("and the last")));
    assert_eq!(client.recv().await.unwrap(), None);
    assert_eq!(client.close_info().unwrap().code, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_an_error_once_and_then_the_end() {
    let (a, b) = duplex(1024);
    let mut ws = spawn(server(Config::server()), a);
    drop(b);
    assert!(ws.recv().await.unwrap_err().is_connection_lost());
    assert_eq!(ws.recv().await.unwrap(), None);
    assert_eq!(ws.close_info().unwrap().code, 1006);
}

#[tokio::test(start_paused = true)]
async fn abort_drops_the_transport_without_a_close_frame() {
    let (a, mut b) = duplex(1024);
    let ws = spawn(server(Config::server()), a);
    ws.sender().abort();
    let mut rest = Vec::new();
    b.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_joined_handler_answers_and_ends_with_1000_when_it_returns() {
    let (a, b) = duplex(1024);
    let (ws, driver) = server(Config::server()).start(a);
    let task = tokio::spawn(Joined::new(
        driver,
        Box::pin(async move {
            ws.send("welcome").await?;
            Ok(())
        }),
    ));
    let mut client = spawn(client(Config::client()), b);
    assert_eq!(client.recv().await.unwrap(), Some(Message::from("welcome")));
    assert_eq!(client.recv().await.unwrap(), None);
    assert_eq!(client.close_info().unwrap().code, 1000);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_or_panics_closes_its_connection_with_1011() {
    for panics in [false, true] {
        let (a, b) = duplex(1024);
        let (ws, driver) = server(Config::server()).start(a);
        let task = tokio::spawn(Joined::new(
            driver,
            Box::pin(async move {
                let _ws = ws;
                if panics {
                    std::panic::resume_unwind(Box::new("on purpose"));
                }
                Err("on purpose".into())
            }),
        ));
        let mut client = spawn(client(Config::client()), b);
        assert_eq!(client.recv().await.unwrap(), None);
        assert_eq!(client.close_info().unwrap().code, 1011, "panics: {panics}");
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_behind_stops_the_reading_and_loses_nothing() {
    let (a, b) = duplex(1024);
    let small = QueueLimits {
        receive: 1000,
        ..QueueLimits::default()
    };
    let mut server = spawn(
        Opening {
            limits: small,
            ..server(Config::server())
        },
        a,
    );
    let client = spawn(client(Config::client()), b);
    let sending = tokio::spawn(async move {
        for i in 0..1000u32 {
            client.send(i.to_be_bytes().repeat(100)).await.unwrap();
        }
        client
    });
    // Long after all keepalive deadlines nothing has been lost: the silence was ours.
    tokio::time::advance(Duration::from_secs(3600)).await;
    for i in 0..1000u32 {
        let message = server.recv().await.unwrap().unwrap();
        assert_eq!(message.as_bytes(), i.to_be_bytes().repeat(100));
    }
    assert!(sending.await.unwrap().close_info().is_none());
}

#[tokio::test(start_paused = true)]
async fn send_waits_for_a_peer_that_is_behind_and_drops_it_when_it_takes_nothing() {
    let (a, b) = duplex(1024);
    let ws = spawn(server(Config::server()), a);
    let started = tokio::time::Instant::now();
    let error = loop {
        if let Err(error) = ws.send(vec![0; 100_000]).await {
            break error;
        }
        assert!(ws.buffered_amount() < 1024 * 1024 + 200_000);
    };
    assert!(error.is_closed(), "{error}");
    assert_eq!(started.elapsed().as_secs(), 10);
    assert!(ws.sender().closed().await.unwrap_err().is_timeout());
    drop(b);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_send_sends_nothing() {
    let (a, b) = duplex(1024);
    let ws = spawn(server(Config::server()), a);
    while ws.sender().try_send(vec![7; 100_000]).unwrap() {}
    let before = ws.buffered_amount();
    let late = tokio::time::timeout(Duration::from_secs(1), ws.send("never")).await;
    assert!(late.is_err());
    assert!(ws.buffered_amount() <= before);
    drop(b);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_recv_loses_no_message() {
    let (mut server, client) = pair();
    for i in 0..50 {
        let nothing = tokio::time::timeout(Duration::from_millis(1), server.recv()).await;
        assert!(nothing.is_err());
        client.send(format!("{i}")).await.unwrap();
        assert_eq!(server.recv().await.unwrap(), Some(Message::from(format!("{i}"))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_pings_is_dropped() {
    let (a, mut b) = duplex(1024);
    let keepalive = Keepalive {
        interval: Duration::from_secs(25),
        timeout: Duration::from_secs(10),
    };
    let mut ws = spawn(
        server(Config {
            keepalive: Some(keepalive),
            ..Config::server()
        }),
        a,
    );
    let started = tokio::time::Instant::now();
    let error = ws.recv().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    // Ping after 25 s, no Pong for 10 s.
    assert_eq!(started.elapsed().as_secs(), 25 + 10);
    assert_eq!(ws.recv().await.unwrap(), None);
    // The Close frame gets the close timeout.
    assert!(ws.sender().closed().await.unwrap_err().is_timeout());
    assert_eq!(started.elapsed().as_secs(), 25 + 10 + 10);
    let mut seen = Vec::new();
    b.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen[..2], [0x89, 8]);
    assert_eq!(seen[10], 0x88);
    assert_eq!(seen[12..14], 1011u16.to_be_bytes());
}

#[tokio::test(start_paused = true)]
async fn an_answered_ping_keeps_the_connection_open() {
    let (mut server, mut client) = pair();
    let idle = tokio::spawn(async move { client.recv().await });
    assert!(
        tokio::time::timeout(Duration::from_secs(3600), server.recv())
            .await
            .is_err()
    );
    server.send("hello").await.unwrap();
    assert_eq!(idle.await.unwrap().unwrap(), Some(Message::from("hello")));
}

#[tokio::test(start_paused = true)]
async fn chunks_of_a_huge_message_pass_through_constant_memory() {
    let (a, b) = duplex(16 * 1024);
    let config = Config {
        delivery: Delivery::Chunks,
        max_message_size: u64::MAX,
        max_fragments: u32::MAX,
        ..Config::server()
    };
    let mut server = spawn(server(config), a);
    let client = spawn(client(Config::client()), b);
    let (pieces, size) = (500, 20_000);
    let sending = tokio::spawn(async move {
        let sender = client.sender();
        for i in 0..pieces {
            sender
                .send_fragment(vec![i as u8; size], i + 1 == pieces)
                .await
                .unwrap();
        }
        client
    });
    let mut received = 0;
    loop {
        let chunk = server.recv_chunk().await.unwrap().unwrap();
        assert_eq!(chunk.starts_message, received == 0);
        received += chunk.payload.len();
        if chunk.ends_message {
            break;
        }
    }
    assert_eq!(received, pieces * size);
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_protocol_error_is_answered_with_its_close_code() {
    let (a, mut b) = duplex(1024);
    let mut ws = spawn(server(Config::server()), a);
    // An unmasked text frame.
    b.write_all(b"\x81\x02hi").await.unwrap();
    assert!(ws.recv().await.unwrap_err().is_protocol());
    let mut header = [0; 4];
    b.read_exact(&mut header).await.unwrap();
    assert_eq!(
        (header[0], u16::from_be_bytes([header[2], header[3]])),
        (0x88, 1002)
    );
}

#[tokio::test(start_paused = true)]
async fn each_of_ten_pings_in_one_read_is_answered() {
    let (a, mut b) = duplex(4096);
    let _ws = spawn(server(Config::server()), a);
    let mut pings = Vec::new();
    for i in 0..10u8 {
        pings.extend_from_slice(&[0x89, 0x81, 0, 0, 0, 0, i]);
    }
    b.write_all(&pings).await.unwrap();
    for i in 0..10u8 {
        let mut pong = [0; 3];
        b.read_exact(&mut pong).await.unwrap();
        assert_eq!(pong, [0x8A, 1, i]);
    }
}

#[tokio::test(start_paused = true)]
async fn many_messages_in_one_read_are_answered_in_one_write() {
    let (a, mut b) = duplex(64 * 1024);
    let _task = spawn_echo(server(Config::server()), a);
    let frames: Vec<u8> = (0..100u8).flat_map(|i| [0x82, 0x81, 0, 0, 0, 0, i]).collect();
    b.write_all(&frames).await.unwrap();
    let mut answer = vec![0; 64 * 1024];
    let read = b.read(&mut answer).await.unwrap();
    let expected: Vec<u8> = (0..100u8).flat_map(|i| [0x82, 1, i]).collect();
    assert_eq!(answer[..read], expected);
}

#[tokio::test(start_paused = true)]
async fn what_came_before_the_peers_close_or_fault_is_answered_first() {
    let close = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8];
    let fault = [0xA1, 0x80, 0, 0, 0, 0];
    for (last, code) in [(&close[..], 1000u16), (&fault[..], 1002)] {
        let (a, mut b) = duplex(4096);
        let _task = spawn_echo(server(Config::server()), a);
        b.write_all(&[&[0x82, 0x81, 0, 0, 0, 0, 7], last].concat())
            .await
            .unwrap();
        let mut answer = [0; 7];
        b.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[..4], [0x82, 1, 7, 0x88]);
        assert_eq!(answer[5..], code.to_be_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_waits_a_second_for_an_application_that_does_not_answer() {
    let (a, mut b) = duplex(4096);
    let _ws = spawn(server(Config::server()), a);
    let started = tokio::time::Instant::now();
    b.write_all(&[0x82, 0x81, 0, 0, 0, 0, 7, 0x88, 0x80, 0, 0, 0, 0])
        .await
        .unwrap();
    let mut answer = [0; 2];
    b.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, [0x88, 0]);
    assert_eq!(started.elapsed(), LAST_WORDS);
}
