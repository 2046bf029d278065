//! Topics: who connects hears, who may speak is heard, and who comes late is told.

use sockeye::{CloseCode, Message, WebSocket};

use crate::support::{PATIENCE, Server, complaint, sockeye};

async fn join(server: &Server, path: &str) -> WebSocket {
    let url = format!("ws://{}{path}", server.authority());
    sockeye::connect(url).await.expect("the server accepts")
}

async fn next(socket: &mut WebSocket) -> String {
    let received = tokio::time::timeout(PATIENCE, socket.recv()).await;
    match received.expect("a message comes").expect("it is open") {
        Some(Message::Text(text)) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Waits until the server has counted this subscriber too: a topic of its own would be silent otherwise.
async fn echoed(socket: &mut WebSocket, text: &str) {
    socket.send(text).await.expect("it is open");
    assert_eq!(next(socket).await, text);
}

#[tokio::test]
async fn what_one_client_sends_every_client_of_the_topic_hears() {
    let server = Server::start(&["--topics", "publish"]);
    let mut a = join(&server, "/topics/fish/news").await;
    let mut b = join(&server, "/topics/fish/news").await;
    let mut other = join(&server, "/topics/fish").await;
    echoed(&mut a, "first").await;
    echoed(&mut other, "elsewhere").await;
    // It has heard "first" if it was subscribed by then; either way it is now.
    b.send("second").await.unwrap();
    while next(&mut b).await != "second" {}
    assert_eq!(next(&mut a).await, "second");
}

#[tokio::test]
async fn history_comes_first_and_once() {
    let server = Server::start(&["--topics", "publish", "--topic-history", "3"]);
    let mut a = join(&server, "/topics/t").await;
    for text in ["1", "2", "3", "4"] {
        echoed(&mut a, text).await;
    }
    let mut late = join(&server, "/topics/t?history=2").await;
    let mut later = join(&server, "/topics/t?history=1000").await;
    assert_eq!(next(&mut late).await, "3");
    assert_eq!(next(&mut later).await, "2");
    echoed(&mut a, "5").await;
    for expected in ["4", "5"] {
        assert_eq!(next(&mut late).await, expected);
    }
    for expected in ["3", "4", "5"] {
        assert_eq!(next(&mut later).await, expected);
    }
}

#[tokio::test]
async fn who_may_only_listen_is_closed_when_it_speaks() {
    let server = Server::start(&["--topics", "subscribe"]);
    let mut a = join(&server, "/topics/t").await;
    a.send("hello").await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, a.recv()).await.unwrap();
    assert!(matches!(ended, Ok(None)), "{ended:?}");
    let info = a.close_info().expect("it has ended");
    assert_eq!(info.code, CloseCode::POLICY_VIOLATION.get());
}

#[tokio::test]
async fn a_name_that_is_none_is_a_bad_request() {
    let server = Server::start(&["--topics", "subscribe"]);
    for path in [
        "/topics/a%0Ab",
        "/topics/a/%2B",
        "/topics/t?history=many",
        &format!("/topics/{}", "x".repeat(256)),
    ] {
        let url = format!("ws://{}{path}", server.authority());
        let error = sockeye::connect(url).await.expect_err(path);
        assert!(error.to_string().contains("400"), "{path}: {error}");
    }
}

#[tokio::test]
async fn without_topics_the_path_echoes() {
    let server = Server::start(&[]);
    let mut a = join(&server, "/topics/t").await;
    let mut b = join(&server, "/topics/t").await;
    echoed(&mut a, "mine").await;
    // It has not heard the other one before its own.
    echoed(&mut b, "mine too").await;
}

#[test]
fn an_api_needs_a_token_that_is_one() {
    let line = complaint(&mut sockeye(&["serve", "--api-listen", "127.0.0.1:0"]), 2);
    assert!(line.contains("api-token-file"), "{line}");
    let line = complaint(&mut sockeye(&["serve", "--api-token-file", "/nowhere/token"]), 1);
    assert!(line.contains("/nowhere/token"), "{line}");
}
