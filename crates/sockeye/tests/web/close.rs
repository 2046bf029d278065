//! `close(code, reason)`: §3.5 of the checklist.

use sockeye::web::WebSocket;

use crate::page::{Page, listen};
use crate::peer::{CLOSE, Server, TEXT};

fn body(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

#[tokio::test]
async fn a_code_other_than_1000_and_3000_to_4999_is_an_invalid_access_error() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    for code in [
        0, 1, 500, 999, 1001, 1002, 1005, 1006, 1011, 1015, 2000, 2999, 5000, 65_535,
    ] {
        let error = ws.close(code, None).unwrap_err();
        assert_eq!(error.name(), "InvalidAccessError", "{code}");
    }
    assert_eq!(ws.ready_state(), WebSocket::OPEN);
    ws.send("still open").unwrap();
    assert_eq!(peer.read_text().await, "still open");
}

#[tokio::test]
async fn codes_of_applications_arrive() {
    for code in [1000, 3000, 3999, 4000, 4999] {
        let page = Page::new();
        let (ws, peer) = page.open().await;
        ws.close(code, None).unwrap();
        assert_eq!(peer.answer_close().await, body(code, ""));
    }
}

#[tokio::test]
async fn a_reason_longer_than_123_bytes_is_a_syntax_error() {
    let page = Page::new();
    let (ws, peer) = page.open().await;
    for reason in ["x".repeat(124), "é".repeat(62), "😀".repeat(31)] {
        let error = ws.close(1000, reason.as_str()).unwrap_err();
        assert_eq!(error.name(), "SyntaxError", "{reason}");
    }
    assert_eq!(ws.ready_state(), WebSocket::OPEN);
    let longest = format!("{}x", "é".repeat(61));
    ws.close(1000, longest.as_str()).unwrap();
    assert_eq!(peer.answer_close().await, body(1000, &longest));
}

#[tokio::test]
async fn the_code_is_checked_before_the_reason_in_every_state() {
    let page = Page::new();
    let ws = page.socket("ws://127.0.0.1:9/", ());
    let long = "x".repeat(124);
    for state in [WebSocket::CONNECTING, WebSocket::CLOSED] {
        page.reach(&ws, state).await;
        assert_eq!(
            ws.close(1001, long.as_str()).unwrap_err().name(),
            "InvalidAccessError"
        );
        assert_eq!(ws.close(None, long.as_str()).unwrap_err().name(), "SyntaxError");
        assert_eq!(ws.ready_state(), state);
    }
}

#[tokio::test]
async fn a_reason_without_a_code_goes_with_1000() {
    let page = Page::new();
    let (ws, peer) = page.open().await;
    ws.close(None, "done").unwrap();
    assert_eq!(peer.answer_close().await, body(1000, "done"));
}

#[tokio::test]
async fn close_without_arguments_sends_an_empty_body() {
    let page = Page::new();
    let (ws, peer) = page.open().await;
    let log = listen(&ws);
    ws.close(None, None).unwrap();
    assert_eq!(peer.answer_close().await, b"");
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["close 1005 clean"]);
}

#[tokio::test]
async fn close_when_closing_or_closed_does_nothing() {
    let page = Page::new();
    let (ws, peer) = page.open().await;
    let log = listen(&ws);
    ws.close(3001, "first").unwrap();
    ws.close(3002, "second").unwrap();
    assert_eq!(peer.answer_close().await, body(3001, "first"));
    page.reach(&ws, WebSocket::CLOSED).await;
    ws.close(3003, "third").unwrap();
    page.event_loop.run_until_idle();
    assert_eq!(log.lines(), ["close 3001 clean first"]);
}

#[tokio::test]
async fn close_while_connecting_fails_now_and_tells_later() {
    let (page, server) = (Page::new(), Server::listen().await);
    let ws = page.socket(&server.url(), ());
    let log = listen(&ws);
    let mut peer = server.accept().await;
    ws.close(None, None).unwrap();
    assert_eq!(ws.ready_state(), WebSocket::CLOSING);
    assert!(log.lines().is_empty());
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["error", "close 1006 unclean"]);
    // The attempt is given up.
    assert!(peer.ended().await);
}

#[tokio::test]
async fn close_right_after_the_constructor_never_connects() {
    let (page, server) = (Page::new(), Server::listen().await);
    let ws = page.socket(&server.url(), ());
    let log = listen(&ws);
    ws.close(3000, "never mind").unwrap();
    ws.close(None, None).unwrap();
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["error", "close 1006 unclean"]);
}

#[tokio::test]
async fn close_between_the_handshake_and_its_task_fails_too() {
    let (page, server) = (Page::new(), Server::listen().await);
    let ws = page.socket(&server.url(), ());
    let log = listen(&ws);
    let mut peer = server.accept().await;
    peer.open("").await;
    peer.send(TEXT, "early").await;
    // The connection is established, but scripts have not learned it.
    while page.event_loop.pending() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ws.ready_state(), WebSocket::CONNECTING);
    ws.close(None, None).unwrap();
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["error", "close 1006 unclean"]);
    assert!(peer.ended().await);
}

#[tokio::test]
async fn close_waits_for_what_was_sent_before() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let large = "x".repeat(5_000_000);
    ws.send(large.as_str()).unwrap();
    ws.send("last words").unwrap();
    ws.close(1000, "bye").unwrap();
    assert_eq!(ws.ready_state(), WebSocket::CLOSING);
    assert_eq!(peer.read_text().await, large);
    assert_eq!(peer.read_text().await, "last words");
    assert_eq!(peer.read_close().await, body(1000, "bye"));
}

#[tokio::test]
async fn close_after_the_peer_has_begun_only_changes_the_state() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    let closing = log.clone();
    let socket = ws.clone();
    // Runs while the peer's Close waits for its task.
    ws.set_on_message(move |_| {
        socket.close(3001, "ours").unwrap();
        closing.add(format!("{:?}", socket.ready_state()));
    });
    peer.send(TEXT, "before").await;
    peer.send_close(4000, "theirs").await;
    // Our answer to the Close: the connection is past the message.
    assert_eq!(peer.read_close().await, body(4000, "theirs"));
    assert_eq!(ws.ready_state(), WebSocket::OPEN);
    page.until(|| log.lines().len() == 2).await;
    let ended = tokio::spawn(peer.end());
    page.reach(&ws, WebSocket::CLOSED).await;
    ended.await.unwrap();
    let want = ["message \"before\"", "Closing", "close 4000 clean theirs"];
    assert_eq!(log.lines(), want);
}

#[tokio::test]
async fn messages_that_arrive_after_close_are_not_heard() {
    let page = Page::new();
    let (ws, mut peer) = page.open().await;
    let log = listen(&ws);
    ws.close(None, None).unwrap();
    peer.send(TEXT, "too late").await;
    peer.read_close().await;
    peer.send(TEXT, "later still").await;
    peer.send(CLOSE, b"").await;
    peer.end().await;
    page.reach(&ws, WebSocket::CLOSED).await;
    assert_eq!(log.lines(), ["close 1005 clean"]);
}
