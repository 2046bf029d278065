//! Attributes and states: §3.3 of the checklist.

use sockeye::web::{BinaryType, Blob, Event, MessageEvent, ReadyState, WebSocket};

use crate::page::{Log, Page, listen};
use crate::peer::{BINARY, CLOSE, Server, in_time};

#[tokio::test]
async fn the_states_are_numbered_as_in_the_standard() {
    let states = [
        WebSocket::CONNECTING,
        WebSocket::OPEN,
        WebSocket::CLOSING,
        WebSocket::CLOSED,
    ];
    assert_eq!(states.map(|state| state as u16), [0, 1, 2, 3]);
}

#[tokio::test]
async fn ready_state_only_moves_forward() {
    let (page, server) = (Page::new(), Server::listen().await);
    let ws = page.socket(&server.url(), ());
    let mut seen = vec![ws.ready_state()];
    let mut peer = server.accept().await;
    peer.open("").await;
    page.reach(&ws, WebSocket::OPEN).await;
    seen.push(ws.ready_state());
    peer.send_close(1000, "").await;
    page.reach(&ws, WebSocket::CLOSING).await;
    seen.push(ws.ready_state());
    ws.close(None, None).unwrap();
    assert_eq!(ws.ready_state(), WebSocket::CLOSING);
    peer.read_close().await;
    peer.end().await;
    page.reach(&ws, WebSocket::CLOSED).await;
    seen.push(ws.ready_state());
    ws.close(None, None).unwrap();
    assert_eq!(ws.ready_state(), WebSocket::CLOSED);
    assert_eq!(
        seen,
        [
            ReadyState::Connecting,
            ReadyState::Open,
            ReadyState::Closing,
            ReadyState::Closed
        ]
    );
}

#[tokio::test]
async fn extensions_and_protocol_are_empty_until_established() {
    let server = Server::listen().await;
    let page = Page::with(|page| page.compression(sockeye::proto::deflate::Deflate::default()));
    let ws = page.socket(&server.url(), ["a", "b"]);
    assert_eq!((ws.protocol().as_str(), ws.extensions().as_str()), ("", ""));
    let log = listen(&ws);
    let seen = log.clone();
    ws.set_on_open(move |event| {
        let ws = event.target().unwrap();
        seen.add(format!("{} {}", ws.protocol(), ws.extensions()));
    });
    let mut peer = server.accept().await;
    let extension = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    peer.open(&format!(
        "Sec-WebSocket-Protocol: b\r\nSec-WebSocket-Extensions: {extension}\r\n"
    ))
    .await;
    page.reach(&ws, WebSocket::OPEN).await;
    assert_eq!(log.lines(), ["open".to_owned(), format!("b {extension}")]);
    peer.end().await;
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(
        (ws.protocol().as_str(), ws.extensions().as_str()),
        ("b", extension)
    );
}

#[tokio::test]
async fn binary_type_starts_as_blob_and_takes_known_values_only() {
    let page = Page::new();
    let ws = page.socket("ws://127.0.0.1:9/", ());
    assert_eq!(ws.binary_type(), BinaryType::Blob);
    ws.set_binary_type(BinaryType::ArrayBuffer);
    assert_eq!(ws.binary_type().as_str(), "arraybuffer");
    for (name, want) in [
        ("blob", Some(BinaryType::Blob)),
        ("arraybuffer", Some(BinaryType::ArrayBuffer)),
        ("notBlobOrArrayBuffer", None),
        ("Blob", None),
        ("", None),
    ] {
        assert_eq!(BinaryType::from_name(name), want, "{name}");
    }
}

#[tokio::test]
async fn binary_type_counts_at_the_time_of_dispatch() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    for _ in 0..3 {
        peer.send(BINARY, b"abc").await;
    }
    // Changed by a listener while the next message waits in the queue already.
    ws.add_event_listener("message", |event: &MessageEvent| {
        let ws = event.target().unwrap();
        ws.set_binary_type(match ws.binary_type() {
            BinaryType::Blob => BinaryType::ArrayBuffer,
            BinaryType::ArrayBuffer => BinaryType::Blob,
        });
    });
    page.until(|| log.lines().len() == 3).await;
    let (blob, bytes) = ("message blob b\"abc\"", "message bytes b\"abc\"");
    assert_eq!(log.lines(), [blob, bytes, blob]);
}

#[tokio::test]
async fn buffered_amount_counts_application_bytes() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    assert_eq!(ws.buffered_amount(), 0);
    let mut want = 0;
    // UTF-8, a blob, bytes, a view; no frame headers.
    ws.send("红鲑鱼").unwrap();
    want += 9;
    assert_eq!(ws.buffered_amount(), want);
    ws.send(Blob::new(["ab", "c"], "")).unwrap();
    want += 3;
    assert_eq!(ws.buffered_amount(), want);
    ws.send(vec![0; 70_000]).unwrap();
    want += 70_000;
    assert_eq!(ws.buffered_amount(), want);
    ws.send(&[1, 2, 3, 4][1..3]).unwrap();
    want += 2;
    ws.send("").unwrap();
    assert_eq!(ws.buffered_amount(), want);
    for _ in 0..5 {
        peer.read().await;
    }
    // What the network took is subtracted by a task.
    page.until(|| ws.buffered_amount() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buffered_amount_is_constant_within_a_task() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let (arrived, arrivals) = std::sync::mpsc::channel();
    let arrivals = std::sync::Mutex::new(arrivals);
    let log = Log::default();
    let seen = log.clone();
    ws.set_on_message(move |event| {
        let ws = event.target().unwrap();
        for _ in 0..10 {
            ws.send("abc").unwrap();
            // The network has had it for long, and still nothing changes.
            arrivals.lock().unwrap().recv().unwrap();
        }
        seen.add(ws.buffered_amount().to_string());
    });
    let peer = tokio::spawn(async move {
        peer.send(BINARY, b"").await;
        for _ in 0..10 {
            arrived.send(peer.read_text().await).unwrap();
        }
        peer
    });
    assert_eq!(page.next(&log).await, "30");
    page.until(|| ws.buffered_amount() == 0).await;
    peer.await.unwrap();
}

#[tokio::test]
async fn buffered_amount_stays_as_long_as_no_task_runs() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    ws.send("0123456789").unwrap();
    assert_eq!(peer.read_text().await, "0123456789");
    let task_came = async {
        while page.event_loop.pending() == 0 {
            tokio::task::yield_now().await;
        }
    };
    in_time(task_came).await;
    assert_eq!(ws.buffered_amount(), 10);
    page.event_loop.run_until_idle();
    assert_eq!(ws.buffered_amount(), 0);
}

#[tokio::test]
async fn sends_after_closing_add_to_buffered_amount_which_is_never_reset() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    ws.close(None, None).unwrap();
    ws.send("abc").unwrap();
    assert_eq!(ws.buffered_amount(), 3);
    assert_eq!(peer.read_close().await, b"");
    peer.send(CLOSE, b"").await;
    peer.end().await;
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(ws.buffered_amount(), 3);
    ws.send(vec![0; 7]).unwrap();
    ws.send(Blob::new(["ab"], "")).unwrap();
    page.event_loop.run_until_idle();
    assert_eq!(ws.buffered_amount(), 12);
}

#[tokio::test]
async fn what_the_network_did_not_take_stays_in_buffered_amount() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let sent = Log::default();
    let seen = sent.clone();
    ws.set_on_close(move |event: &sockeye::web::CloseEvent| seen.add(event.code().to_string()));
    // Larger than what sockets hold for a peer that does not read.
    ws.send(vec![0; 64 << 20]).unwrap();
    peer.send_close(4000, "").await;
    peer.abort();
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(sent.lines().len(), 1);
    assert_eq!(ws.buffered_amount(), 64 << 20);
}

#[tokio::test]
async fn events_see_the_state_they_tell_of() {
    let (page, server) = (Page::new(), Server::listen().await);
    let ws = page.socket(&server.url(), ());
    let log = Log::default();
    for type_ in ["open", "message", "error", "close"] {
        let log = log.clone();
        ws.add_event_listener(type_, move |event: &Event| {
            log.add(format!("{type_} {:?}", event.target().unwrap().ready_state()));
        });
    }
    let mut peer = server.accept().await;
    peer.open("").await;
    peer.send(BINARY, b"").await;
    page.until(|| log.lines().len() == 2).await;
    peer.end().await;
    page.reach(&ws, WebSocket::CLOSED).await;
    let want = ["open Open", "message Open", "error Closed", "close Closed"];
    assert_eq!(log.lines(), want);
}
