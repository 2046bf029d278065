//! When a WebSocket that nobody holds is let go: the last box of §3.6 of the checklist.

use sockeye::web::{Event, MessageEvent, WebSocket};

use crate::page::{Log, Page};
use crate::peer::{CLOSE, Peer, Server, TEXT, in_time};

/// A log, and what adds the type of each event to it.
fn log() -> (Log, impl Fn(&Event) + Send + Sync + Clone + 'static) {
    let log = Log::default();
    let seen = log.clone();
    (log, move |event: &Event| seen.add(event.type_()))
}

#[tokio::test]
async fn collected_while_open_closes_without_a_code() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    ws.add_event_listener("open", |_: &Event| {});
    let other = ws.clone();
    drop(ws);
    // The last handle counts.
    other.send("sent before").unwrap();
    drop(other);
    assert_eq!(peer.read_text().await, "sent before");
    assert_eq!(peer.answer_close().await, b"");
}

#[tokio::test]
async fn open_with_a_listener_for_message_error_or_close_lives_on() {
    for type_ in ["message", "error", "close"] {
        let page = Page::new();
        let (ws, mut peer) = page.open().await;
        let (log, add) = log();
        ws.add_event_listener(type_, add);
        drop(ws);
        peer.send(TEXT, "a").await;
        peer.write(b"\x83\x00").await;
        assert_eq!(peer.read_close().await[..2], 1002_u16.to_be_bytes());
        peer.end().await;
        assert_eq!(page.next(&log).await, type_);
        assert_eq!(log.lines().len(), 1);
    }
}

#[tokio::test]
async fn an_attribute_keeps_alive_as_well() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    ws.set_on_message(|event| {
        // Takes its WebSocket from the event, and lets the connection go by giving up the attribute.
        let ws = event.target().unwrap();
        ws.send(event.data()).unwrap();
        ws.set_event_handler("message", None);
    });
    drop(ws);
    peer.send(TEXT, "there and back").await;
    page.event_loop.turn().await;
    assert_eq!(peer.read_text().await, "there and back");
    assert_eq!(peer.answer_close().await, b"");
}

#[tokio::test]
async fn connecting_with_any_listener_lives_on() {
    for type_ in ["open", "message", "error", "close"] {
        let (page, server) = (Page::new(), Server::listen().await);
        let ws = page.socket(&server.url(), ());
        ws.add_event_listener(type_, |_: &Event| {});
        drop(ws);
        let mut peer = server.accept().await;
        peer.open("").await;
        in_time(page.event_loop.turn()).await;
        if type_ == "open" {
            // Open now, and no event to come that would be heard.
            assert_eq!(peer.answer_close().await, b"");
        } else {
            peer.send(CLOSE, b"").await;
            assert_eq!(peer.read_close().await, b"");
        }
    }
}

#[tokio::test]
async fn connecting_without_listeners_is_given_up() {
    let (page, server) = (Page::new(), Server::listen().await);
    let ws = page.socket(&server.url(), ());
    let mut peer = server.accept().await;
    drop(ws);
    assert!(peer.ended().await);
}

#[tokio::test]
async fn closing_with_a_listener_for_error_or_close_lives_on() {
    for type_ in ["error", "close"] {
        let page = Page::new();
        let (ws, mut peer) = page.open().await;
        let (log, add) = log();
        ws.add_event_listener(type_, add);
        ws.close(3000, None).unwrap();
        drop(ws);
        assert_eq!(peer.read_close().await, 3000_u16.to_be_bytes());
        peer.end().await;
        assert_eq!(page.next(&log).await, type_);
    }
}

#[tokio::test]
async fn a_closing_handshake_goes_on_without_listeners() {
    let page = Page::new();
    let (ws, peer) = page.open().await;
    ws.close(3000, "bye").unwrap();
    drop(ws);
    assert_eq!(peer.answer_close().await[..2], 3000_u16.to_be_bytes());
}

#[tokio::test]
async fn what_was_sent_before_is_delivered_before_the_close() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let large = "x".repeat(5_000_000);
    ws.send(large.as_str()).unwrap();
    drop(ws);
    assert_eq!(peer.read_text().await, large);
    assert_eq!(peer.read_close().await, b"");
}

#[tokio::test]
async fn a_page_that_goes_away_fails_or_closes_with_1001() {
    let (page, server) = (Page::new(), Server::listen().await);
    let connecting = page.socket(&server.url(), ());
    let mut waiting = server.accept().await;
    let (open, mut peer) = page.open().await;
    let (closing, mut other) = page.open().await;
    closing.close(3000, None).unwrap();
    page.environment.unload();
    for ws in [&connecting, &open, &closing] {
        assert_eq!(ws.ready_state(), WebSocket::CLOSING);
    }
    assert!(waiting.ended().await);
    assert_eq!(peer.read_close().await, 1001_u16.to_be_bytes());
    assert_eq!(other.read_close().await, 3000_u16.to_be_bytes());
}

/// Says when it is dropped.
struct Witness(Log);

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.add("dropped");
    }
}

#[tokio::test]
async fn listeners_that_hold_their_own_websocket_are_let_go_after_close() {
    let page = Page::new();
    let (ws, peer) = page.open().await;
    let log = Log::default();
    let (own, witness) = (ws.clone(), Witness(log.clone()));
    ws.add_event_listener("message", move |_: &MessageEvent| {
        let _ = (&own, &witness);
    });
    let weak = ws.clone();
    ws.set_on_close(move |_| assert_eq!(weak.ready_state(), WebSocket::CLOSED));
    drop(ws);
    close(peer).await;
    assert_eq!(page.next(&log).await, "dropped");
}

async fn close(mut peer: Peer) {
    peer.send(CLOSE, b"").await;
    peer.end().await;
}
