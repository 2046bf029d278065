//! Conversations over in-memory pipes, with tokio's clock stopped: what is in the pipe is known to the byte, and nobody
//! waits for real time.

use std::sync::Arc;
use std::time::Duration;

use sockeye_proto::{Config, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use super::attempt::Core;
use super::conversation::Conversation;
use super::*;
use crate::QueueLimits;
use crate::metrics::SessionMetrics;
use crate::opening::Opening;
use crate::websocket::{Agreement, WebSocket};

const PIPE: usize = 1024;

/// How long to wait for what must not happen; the clock jumps when nothing else is left to do.
const NEVER: Duration = Duration::from_secs(5);

/// A connection that has just opened, and the server's end of its pipe.
fn connect() -> (WebSocket, DuplexStream) {
    let config = Config {
        keepalive: None,
        ..Config::client()
    };
    let now = tokio::time::Instant::now().into_std();
    let opening = Opening {
        connection: Connection::client(Arc::new(config), Box::new(|| [1, 2, 3, 4]), None, now),
        agreement: Agreement::default(),
        limits: QueueLimits::default(),
        metrics: Arc::new(SessionMetrics::new()),
        leftover: Vec::new(),
    };
    let (io, peer) = duplex(PIPE);
    let (ws, driver) = opening.start(io);
    tokio::spawn(driver.stand_by());
    (ws, peer)
}

fn converse() -> (Arc<Conversation>, WebSocketOpenInfo, DuplexStream) {
    let (ws, peer) = connect();
    let (conversation, info) = Conversation::new(ws);
    (conversation, info, peer)
}

/// A message of 1000 bytes as the server sends it.
fn kilobyte(number: usize) -> Vec<u8> {
    let mut frame = vec![0x82, 126, 3, 232];
    frame.resize(4 + 1000, number as u8);
    frame
}

/// Sends messages until they are not taken any more; gives how many were, and what is left of the last one.
async fn fill(peer: &mut DuplexStream) -> (usize, Vec<u8>) {
    for number in 0.. {
        let frame = kilobyte(number);
        let mut written = 0;
        while written < frame.len() {
            match timeout(NEVER, peer.write(&frame[written..])).await {
                Ok(bytes) => written += bytes.unwrap(),
                Err(_) => return (number, frame[written..].to_vec()),
            }
        }
    }
    unreachable!("somebody takes everything")
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_opens_when_it_was_given_up_is_dropped_without_a_word() {
    let core = Core::new("ws://localhost/".parse().unwrap());
    core.fail(StreamError::invalid_state("given up"));
    let (ws, mut peer) = connect();
    core.established(ws);
    let mut sent = Vec::new();
    peer.read_to_end(&mut sent).await.unwrap();
    assert_eq!(sent, b"");
    assert_eq!(core.opened().await.err().unwrap().message(), "given up");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_while_the_queue_is_full() {
    let (_conversation, mut info, mut peer) = converse();
    let (sent, rest) = fill(&mut peer).await;
    // The queue, and behind it one read and the pipe.
    let limits = QueueLimits::default();
    assert!((32..=200).contains(&sent), "{sent} for {limits:?}");
    // Reading makes room, and nothing is missing.
    let more = tokio::spawn(async move {
        peer.write_all(&rest).await.unwrap();
        peer.write_all(&kilobyte(sent + 1)).await.unwrap();
        peer
    });
    for number in 0..sent + 2 {
        let message = info.readable.read().await.unwrap().unwrap();
        assert_eq!(message.as_bytes(), vec![number as u8; 1000]);
    }
    more.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn close_with_a_full_queue_reads_on_and_keeps_what_arrived() {
    let (conversation, mut info, mut peer) = converse();
    let (sent, rest) = fill(&mut peer).await;
    conversation.close(None);
    let server = tokio::spawn(async move {
        peer.write_all(&rest).await.unwrap();
        for number in 0..100 {
            peer.write_all(&kilobyte(number)).await.unwrap();
        }
        let mut close = [0; 6];
        peer.read_exact(&mut close).await.unwrap();
        peer.write_all(&[0x88, 0]).await.unwrap();
        close
    });
    let closed = conversation.ended().await.clone().unwrap();
    assert_eq!(closed.close_code, Some(1005));
    assert_eq!(server.await.unwrap()[..2], [0x88, 0x80]);
    let mut kept = 0;
    while let Some(message) = info.readable.read().await.unwrap() {
        assert_eq!(message.as_bytes(), vec![kept as u8; 1000]);
        kept += 1;
    }
    assert!((1..=sent).contains(&kept), "{kept} of {sent}");
}

#[tokio::test(start_paused = true)]
async fn a_write_is_done_when_the_network_has_the_message() {
    let (_conversation, mut info, mut peer) = converse();
    // Two bytes of header, and the mask.
    timeout(NEVER, info.writable.write(&[7; 100][..]))
        .await
        .unwrap()
        .unwrap();
    let large = vec![7; 3 * PIPE];
    assert!(timeout(NEVER, info.writable.write(&large[..])).await.is_err());
    // It was queued before the time was up, and is sent.
    let mut all = vec![0; 2 + 4 + 100 + 4 + 4 + large.len()];
    peer.read_exact(&mut all).await.unwrap();
    timeout(NEVER, info.writable.write("")).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_without_room_in_the_queue_waits_and_leaves_nothing_if_it_is_dropped() {
    let (_conversation, mut info, mut peer) = converse();
    // The pipe takes the beginning, and the queue is full all the same.
    let length = QueueLimits::default().send + 2 * PIPE;
    let large = vec![7; length];
    assert!(timeout(NEVER, info.writable.write(&large[..])).await.is_err());
    assert!(timeout(NEVER / 5, info.writable.write("given up")).await.is_err());
    let mut all = vec![0; 2 + 8 + 4 + length];
    peer.read_exact(&mut all).await.unwrap();
    timeout(NEVER, info.writable.write("next"))
        .await
        .unwrap()
        .unwrap();
    let mut next = [0; 2 + 4 + 4];
    peer.read_exact(&mut next).await.unwrap();
    assert_eq!(next[..2], [0x81, 0x84]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_fails_the_connection() {
    let (conversation, mut info, peer) = converse();
    let error = info.writable.write(&vec![7; 3 * PIPE][..]).await.unwrap_err();
    let outcome = conversation.ended().await.clone().unwrap_err();
    assert!(error.as_websocket_error().unwrap().is(&outcome));
    assert!(outcome.failure().unwrap().is_timeout());
    assert_eq!(outcome.close_code(), Some(1006));
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_a_close_fails_the_connection() {
    let (conversation, mut info, peer) = converse();
    let error = info.writable.close().await.unwrap_err();
    let outcome = conversation.ended().await.clone().unwrap_err();
    assert!(error.as_websocket_error().unwrap().is(&outcome));
    assert_eq!(outcome.close_code(), Some(1006));
    drop(peer);
}
