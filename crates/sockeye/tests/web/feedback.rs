//! What the connection tells scripts by tasks: the first half of §3.6 of the checklist.

use std::time::Duration;

use sockeye::web::{Event, MessageEvent, WebSocket};
use sockeye::{Client, Config};

use crate::page::{Log, Page, listen};
use crate::peer::{CLOSE, PING, PONG, Server, TEXT};

#[tokio::test]
async fn established_queues_open_a_plain_event() {
    let (page, server) = (Page::new(), Server::listen().await);
    let ws = page.socket(&server.url(), ());
    let log = Log::default();
    let seen = log.clone();
    ws.set_on_open(move |event| seen.add(format!("{event} {}", event.type_())));
    let mut peer = server.accept().await;
    peer.open("").await;
    while page.event_loop.pending() == 0 {
        tokio::task::yield_now().await;
    }
    // Nothing changes before the task runs.
    assert_eq!(ws.ready_state(), WebSocket::CONNECTING);
    page.event_loop.run_one();
    assert_eq!(ws.ready_state(), WebSocket::OPEN);
    assert_eq!(log.lines(), ["[object Event] open"]);
}

#[tokio::test]
async fn listeners_added_after_the_handshake_hear_open() {
    let (page, server) = (Page::new(), Server::listen().await);
    let ws = page.socket(&server.url(), ());
    server.accept().await.open("").await;
    while page.event_loop.pending() == 0 {
        tokio::task::yield_now().await;
    }
    let log = listen(&ws);
    page.event_loop.run_one();
    assert_eq!(log.lines(), ["open"]);
}

#[tokio::test]
async fn messages_arrive_in_order_and_each_in_a_task_of_its_own() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    for text in ["a", "", "\u{feff}b"] {
        peer.send(TEXT, text).await;
    }
    while page.event_loop.pending() < 3 {
        tokio::task::yield_now().await;
    }
    for count in 1..=3 {
        assert!(page.event_loop.run_one());
        assert_eq!(log.lines().len(), count);
    }
    // A byte order mark is kept.
    assert_eq!(
        log.lines(),
        ["message \"a\"", "message \"\"", "message \"\\u{feff}b\""]
    );
}

#[tokio::test]
async fn the_origin_of_a_message_is_that_of_the_websockets_url() {
    let page = Page::with(|page| page.base_url("https://example.org/"));
    let server = Server::listen().await;
    let url = server.url().replace("ws://", "http://user:pass@");
    let ws = page.socket(&format!("{url}path?query"), ());
    let log = Log::default();
    let seen = log.clone();
    ws.set_on_message(move |event| {
        seen.add(format!("{event} {} {:?}", event.origin(), event.last_event_id()));
    });
    let mut peer = server.accept().await;
    peer.open("").await;
    peer.send(TEXT, "a").await;
    let want = format!("[object MessageEvent] ws://{} \"\"", server.authority());
    assert_eq!(page.next(&log).await, want);
}

#[tokio::test]
async fn a_message_is_dropped_when_the_websocket_is_not_open() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    ws.add_event_listener("message", |event: &MessageEvent| {
        event.target().unwrap().close(None, None).unwrap();
    });
    peer.send(TEXT, "first").await;
    peer.send(TEXT, "second").await;
    let body = tokio::spawn(peer.answer_close());
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(body.await.unwrap(), b"");
    assert_eq!(log.lines(), ["message \"first\"", "close 1005 clean"]);
}

#[tokio::test]
async fn the_peers_close_changes_the_state_before_the_connection_ends() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    peer.send(TEXT, "last").await;
    peer.send_close(3001, "done").await;
    page.reach(&ws, WebSocket::CLOSING).await;
    assert_eq!(log.lines(), ["message \"last\""]);
    assert_eq!(peer.read_close().await[..2], 3001_u16.to_be_bytes());
    peer.end().await;
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["message \"last\"", "close 3001 clean done"]);
}

#[tokio::test]
async fn a_close_without_a_code_is_told_as_1005() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    peer.send(CLOSE, b"").await;
    peer.read_close().await;
    peer.end().await;
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["close 1005 clean"]);
    assert!(ws.failure().is_none());
}

#[tokio::test]
async fn an_end_without_a_close_frame_is_told_as_1006_after_an_error() {
    let page = Page::new();
    let (ws, peer) = page.open().await;
    let log = listen(&ws);
    peer.end().await;
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["error", "close 1006 unclean"]);
    assert!(ws.failure().unwrap().is_connection_lost());
}

#[tokio::test]
async fn an_end_without_an_answer_to_our_close_is_told_as_1006() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    ws.close(1000, "bye").unwrap();
    peer.read_close().await;
    peer.end().await;
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["error", "close 1006 unclean"]);
}

#[tokio::test]
async fn a_peer_that_does_not_finish_closing_in_time_is_left_without_an_error() {
    let client = Client::builder().limits(Config {
        close_timeout: Duration::from_millis(50),
        ..Config::client()
    });
    let client = client.build().unwrap();
    // One that does not answer, and one that does not end the transport.
    for (answers, want) in [(false, "close 1006 unclean"), (true, "close 3000 clean")] {
        let page = Page::with(|page| page.client(client.clone()));
        let (ws, mut peer) = page.open().await;
        let log = listen(&ws);
        ws.close(3000, None).unwrap();
        peer.read_close().await;
        if answers {
            peer.send_close(3000, "").await;
        }
        page.reach(&ws, WebSocket::CLOSED).await;
        assert_eq!(log.lines(), [want]);
    }
}

#[tokio::test]
async fn the_peers_code_wins_over_ours() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    ws.close(3000, "ours").unwrap();
    peer.read_close().await;
    peer.send_close(4999, "theirs").await;
    peer.end().await;
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["close 4999 clean theirs"]);
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_told_why_and_scripts_are_not() {
    for (bytes, code) in [
        (&b"\xc1\x01a"[..], 1002_u16),
        (b"\x83\x00", 1002),
        (b"\x81\x01\xff", 1007),
        (b"\x81\x81\x00\x00\x00\x00a", 1002),
        (b"\x88\x01\x03", 1002),
    ] {
        let page = Page::new();
        let (ws, mut peer) = page.open().await;
        let log = listen(&ws);
        peer.write(bytes).await;
        assert_eq!(peer.read_close().await[..2], code.to_be_bytes());
        page.reach(&ws, WebSocket::CLOSING).await;
        // The answer is not processed.
        peer.send_close(code, "sorry").await;
        peer.end().await;
        page.reach(&ws, WebSocket::CLOSED).await;
        assert_eq!(log.lines(), ["error", "close 1006 unclean"], "{bytes:?}");
        assert!(ws.failure().unwrap().is_protocol());
    }
}

#[tokio::test]
async fn each_of_error_and_close_comes_once_and_nothing_after() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    peer.write(b"\x83\x00").await;
    peer.send(TEXT, "more").await;
    ws.send("into the void").unwrap();
    ws.close(None, None).unwrap();
    peer.end().await;
    page.reach(&ws, WebSocket::CLOSED).await;
    ws.close(None, None).unwrap();
    page.event_loop.run_until_idle();
    assert_eq!(log.lines(), ["error", "close 1006 unclean"]);
}

#[tokio::test]
async fn error_and_close_come_in_one_task() {
    let page = Page::new();
    let (ws, peer) = page.open().await;
    let log = listen(&ws);
    let queued = log.clone();
    let event_loop = page.event_loop.clone();
    ws.set_on_error(move |_| {
        let queued = queued.clone();
        event_loop.queue(move || queued.add("a task of the page"));
    });
    peer.end().await;
    page.until(|| log.lines().len() == 3).await;
    assert_eq!(log.lines(), ["error", "close 1006 unclean", "a task of the page"]);
}

#[tokio::test]
async fn pings_are_answered_and_not_heard() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    peer.send(PING, b"there?").await;
    assert_eq!(peer.read().await, (PONG, b"there?".to_vec()));
    peer.send(PONG, b"unasked").await;
    peer.send(TEXT, "a").await;
    page.next(&log).await;
    assert_eq!(log.lines(), ["message \"a\""]);
}

#[tokio::test]
async fn events_of_a_websocket_do_not_bubble_and_cannot_be_canceled() {
    let (page, server) = (Page::new(), Server::listen().await);
    let ws = page.socket(&server.url(), ());
    let log = Log::default();
    for type_ in ["open", "message", "error", "close"] {
        let log = log.clone();
        ws.add_event_listener(type_, move |event: &Event| {
            event.prevent_default();
            assert!(!event.bubbles() && !event.cancelable() && !event.composed());
            assert!(!event.default_prevented());
            assert!(event.is_trusted());
            log.add(event.to_string());
        });
    }
    let mut peer = server.accept().await;
    peer.open("").await;
    peer.send(TEXT, "a").await;
    page.until(|| log.lines().len() == 2).await;
    peer.end().await;
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(
        log.lines(),
        [
            "[object Event]",
            "[object MessageEvent]",
            "[object Event]",
            "[object CloseEvent]"
        ]
    );
}

#[tokio::test]
async fn a_page_that_does_not_listen_holds_the_server_back() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    let chunk = vec![b'x'; 16 * 1024];
    let count = 64;
    for _ in 0..count {
        peer.send(TEXT, &chunk).await;
    }
    // All of it lies in the buffers of the network, and nobody runs the loop.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let waiting = page.event_loop.pending();
    assert!((1..=6).contains(&waiting), "{waiting}");
    // Once it runs, everything arrives.
    page.until(|| log.lines().len() == count).await;
}

#[tokio::test]
async fn what_came_before_the_peers_close_or_fault_can_be_answered() {
    for (end, code) in [(&b"\x88\x02\x0f\xa0"[..], 4000_u16), (b"\x83\x00", 1002)] {
        let page = Page::new();
        let (ws, mut peer) = page.open().await;
        ws.set_on_message(|event| event.target().unwrap().send(event.data()).unwrap());
        // In one piece, so that the end is known before the first listener is called.
        peer.write(&[b"\x81\x01a\x81\x01b", end].concat()).await;
        let answers = tokio::spawn(async move {
            let answers = (peer.read_text().await, peer.read_text().await);
            assert_eq!(peer.read_close().await[..2], code.to_be_bytes());
            peer.end().await;
            answers
        });
        page.reach(&ws, WebSocket::CLOSED).await;
        assert_eq!(answers.await.unwrap(), ("a".to_owned(), "b".to_owned()));
    }
}
