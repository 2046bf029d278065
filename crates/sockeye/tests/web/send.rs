//! `send(data)`: §3.4 of the checklist.

use std::time::Duration;

use bytes::Bytes;
use sockeye::web::{Blob, Data, MessageData, WebSocket};
use sockeye::{Client, QueueLimits};

use crate::page::{Page, listen};
use crate::peer::{BINARY, CLOSE, Server, TEXT};

#[tokio::test]
async fn send_while_connecting_is_an_invalid_state_error() {
    let (page, server) = (Page::new(), Server::listen().await);
    let ws = page.socket(&server.url(), ());
    let error = ws.send("too early").unwrap_err();
    assert_eq!(error.name(), "InvalidStateError");
    assert_eq!(ws.buffered_amount(), 0);
    let mut peer = server.accept().await;
    peer.open("").await;
    page.reach(&ws, WebSocket::OPEN).await;
    ws.send("now").unwrap();
    assert_eq!(peer.read_text().await, "now");
}

#[tokio::test]
async fn send_after_close_is_dropped_without_an_error() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    ws.send("before").unwrap();
    ws.close(1000, None).unwrap();
    ws.send("after").unwrap();
    assert_eq!(peer.read_text().await, "before");
    assert_eq!(peer.read_close().await, 1000_u16.to_be_bytes());
    peer.send_close(1000, "").await;
    assert!(peer.end().await);
    page.reach(&ws, WebSocket::CLOSED).await;
    ws.send("long after").unwrap();
}

#[tokio::test]
async fn strings_are_text_and_everything_else_is_binary() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let vector = vec![4, 5];
    let cases: [(Data, u8, &[u8]); 13] = [
        ("text é".into(), TEXT, "text é".as_bytes()),
        (String::from("text").into(), TEXT, b"text"),
        ((&String::from("text")).into(), TEXT, b"text"),
        (sockeye::Utf8Bytes::from("text").into(), TEXT, b"text"),
        (Blob::new(["a", "b"], "text/plain").into(), BINARY, b"ab"),
        ((&Blob::new(["ab"], "")).into(), BINARY, b"ab"),
        (vec![1, 2, 3].into(), BINARY, &[1, 2, 3]),
        ((&vector).into(), BINARY, &[4, 5]),
        ([6, 7].into(), BINARY, &[6, 7]),
        ((&[8]).into(), BINARY, &[8]),
        (Bytes::from_static(b"bytes").into(), BINARY, b"bytes"),
        (MessageData::Text("back".into()).into(), TEXT, b"back"),
        // As scripts write what is nothing.
        (MessageData::Null.into(), TEXT, b"null"),
    ];
    for (data, opcode, payload) in cases {
        ws.send(data).unwrap();
        assert_eq!(peer.read().await, (opcode, payload.to_vec()));
    }
}

#[tokio::test]
async fn lone_surrogates_become_replacement_characters() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    ws.send(Data::from_utf16(&[0x61, 0xd800, 0x62, 0xdc00, 0xd83d, 0xde00]))
        .unwrap();
    assert_eq!(peer.read_text().await, "a\u{fffd}b\u{fffd}😀");
}

#[tokio::test]
async fn a_view_sends_its_own_part() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let buffer = [0, 1, 2, 3, 4, 5, 6, 7];
    ws.send(&buffer[2..5]).unwrap();
    ws.send(Bytes::copy_from_slice(&buffer).slice(6..)).unwrap();
    assert_eq!(ws.buffered_amount(), 5);
    assert_eq!(peer.read().await, (BINARY, vec![2, 3, 4]));
    assert_eq!(peer.read().await, (BINARY, vec![6, 7]));
}

#[tokio::test]
async fn bytes_are_copied_at_the_call() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let mut buffer = [1, 2, 3];
    ws.send(buffer).unwrap();
    buffer.fill(0);
    ws.send(buffer.as_slice()).unwrap();
    assert_eq!(peer.read().await, (BINARY, vec![1, 2, 3]));
    assert_eq!(peer.read().await, (BINARY, vec![0, 0, 0]));
}

#[tokio::test]
async fn order_is_kept_across_a_blob_that_is_read_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    // Large enough to take several reads.
    let content: Vec<u8> = (0..1_000_000).map(|i| (i % 251) as u8).collect();
    tokio::fs::write(&path, &content).await.unwrap();
    let file = Blob::from_file(&path).await.unwrap();
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    ws.send("first").unwrap();
    ws.send(&file).unwrap();
    ws.send("third").unwrap();
    ws.send(Blob::new(
        [
            sockeye::web::BlobPart::from("<"),
            file.slice(10..20, "").into(),
            ">".into(),
        ],
        "",
    ))
    .unwrap();
    ws.send(vec![5]).unwrap();
    ws.close(None, None).unwrap();
    assert_eq!(ws.buffered_amount(), 5 + 1_000_000 + 5 + 12 + 1);
    assert_eq!(peer.read_text().await, "first");
    assert_eq!(peer.read().await, (BINARY, content));
    assert_eq!(peer.read_text().await, "third");
    let (_, framed) = peer.read().await;
    assert_eq!(
        framed,
        [&b"<"[..], &[10, 11, 12, 13, 14, 15, 16, 17, 18, 19], b">"].concat()
    );
    assert_eq!(peer.read().await, (BINARY, vec![5]));
    assert_eq!(peer.read_close().await, b"");
}

#[tokio::test]
async fn a_blob_that_cannot_be_read_fails_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    tokio::fs::write(&path, "content").await.unwrap();
    let file = Blob::from_file(&path).await.unwrap();
    tokio::fs::remove_file(&path).await.unwrap();
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    ws.send("before").unwrap();
    ws.send(file).unwrap();
    ws.send("after").unwrap();
    assert_eq!(peer.read_text().await, "before");
    // The peer is told (RFC 6455 §7.1.7), and what it still sends is not processed.
    assert_eq!(peer.read_close().await, 1011_u16.to_be_bytes());
    peer.send(TEXT, "ignored").await;
    peer.send(CLOSE, 1011_u16.to_be_bytes()).await;
    peer.end().await;
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["error", "close 1006 unclean"]);
    assert!(ws.failure().is_some());
    assert_eq!(ws.buffered_amount(), 6 + 7 + 5 - 6);
}

#[tokio::test]
async fn empty_messages_are_messages() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    ws.send("").unwrap();
    ws.send([]).unwrap();
    ws.send(Blob::new([""; 0], "")).unwrap();
    assert_eq!(ws.buffered_amount(), 0);
    assert_eq!(peer.read().await, (TEXT, vec![]));
    assert_eq!(peer.read().await, (BINARY, vec![]));
    assert_eq!(peer.read().await, (BINARY, vec![]));
}

#[tokio::test]
async fn a_full_buffer_closes_with_error_then_close() {
    let page = Page::with(|page| page.max_buffered(1000));
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    ws.send(vec![0; 1000]).unwrap();
    ws.send("x").unwrap();
    assert_eq!(ws.buffered_amount(), 1001);
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["error", "close 1006 unclean"]);
    let failure = ws.failure().unwrap();
    assert!(failure.to_string().contains("1000 bytes"), "{failure}");
    peer.ended().await;
}

#[tokio::test]
async fn the_buffer_has_room_again_once_the_network_took_something() {
    let page = Page::with(|page| page.max_buffered(1000));
    let (ws, mut peer) = page.open().await;
    for _ in 0..5 {
        ws.send(vec![0; 1000]).unwrap();
        assert_eq!(peer.read().await.1.len(), 1000);
        page.until(|| ws.buffered_amount() == 0).await;
    }
    assert_eq!(ws.ready_state(), WebSocket::OPEN);
}

#[tokio::test]
async fn a_peer_that_takes_nothing_fails_the_connection() {
    let client = Client::builder().queues(QueueLimits {
        write_timeout: Duration::from_millis(50),
        ..QueueLimits::default()
    });
    let client = client.build().unwrap();
    let page = Page::with(|page| page.client(client));
    let (ws, _peer) = page.open().await;
    let log = listen(&ws);
    // More than sockets hold.
    ws.send(vec![0; 64 << 20]).unwrap();
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["error", "close 1006 unclean"]);
    assert!(ws.failure().unwrap().is_timeout());
}
