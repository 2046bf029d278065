//! WebSocketStream: opening, reading and writing, §3.7 of the checklist. How it ends is in `stream_end`.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use futures_util::{SinkExt, StreamExt};
use sockeye::Message;
use sockeye::web::{
    AbortController, AbortSignal, DomException, StreamError, WebSocketError, WebSocketOpenInfo,
    WebSocketStream, WebSocketStreamOptions,
};

use crate::page::Page;
use crate::peer::{BINARY, CLOSE, Peer, Server, TEXT, in_time};

pub(crate) fn stream(url: &str, options: WebSocketStreamOptions) -> WebSocketStream {
    WebSocketStream::new_in(&Page::new().environment, url, options).unwrap()
}

/// A WebSocketStream that has opened, and the peer it is open to.
pub(crate) async fn open() -> (WebSocketStream, WebSocketOpenInfo, Peer) {
    let server = Server::listen().await;
    let wss = stream(&server.url(), WebSocketStreamOptions::default());
    let mut peer = server.accept().await;
    peer.open("").await;
    let info = in_time(wss.opened()).await.unwrap();
    (wss, info, peer)
}

fn signal(signal: AbortSignal) -> WebSocketStreamOptions {
    WebSocketStreamOptions {
        signal: Some(signal),
        ..WebSocketStreamOptions::default()
    }
}

/// Polls a future once; gives whether it is done.
pub(crate) async fn is_done<F: Future>(future: &mut Pin<Box<F>>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

pub(crate) fn websocket_error(error: StreamError) -> WebSocketError {
    error.as_websocket_error().expect("a WebSocketError").clone()
}

#[tokio::test]
async fn a_stream_has_the_url_and_protocol_rules_of_a_websocket() {
    let cases: [(&str, &[&str]); 6] = [
        ("invalid:", &[]),
        ("/relative", &[]),
        ("ws://localhost/#", &[]),
        ("ftp://localhost/", &[]),
        ("ws://localhost/", &["a", "A"]),
        ("ws://localhost/", &[""]),
    ];
    for (url, protocols) in cases {
        let options = WebSocketStreamOptions {
            protocols: protocols.iter().map(|name| name.to_string()).collect(),
            // The arguments are checked before the signal is looked at.
            signal: Some(AbortSignal::abort(None)),
        };
        let error = WebSocketStream::new(url, options).unwrap_err();
        assert_eq!(error.name(), "SyntaxError", "{url} {protocols:?}");
    }
    let wss = WebSocketStream::new("http://LOCALHOST:80/a b", signal(AbortSignal::abort(None))).unwrap();
    assert_eq!(wss.url(), "ws://localhost/a%20b");
    let page = Page::with(|page| page.base_url("https://example.org/game/"));
    let wss = WebSocketStream::new_in(&page.environment, "live", signal(AbortSignal::abort(None))).unwrap();
    assert_eq!(wss.url(), "wss://example.org/game/live");
}

#[test]
fn a_stream_needs_a_runtime_to_connect_on() {
    let error = WebSocketStream::new("ws://localhost/", WebSocketStreamOptions::default()).unwrap_err();
    assert_eq!(error.name(), "NotSupportedError");
}

#[tokio::test]
async fn opened_gives_extensions_protocol_and_both_streams() {
    let server = Server::listen().await;
    let options = WebSocketStreamOptions {
        protocols: vec!["alpha".to_owned(), "beta".to_owned()],
        ..WebSocketStreamOptions::default()
    };
    let wss = WebSocketStream::new(server.url(), options).unwrap();
    let mut peer = server.accept().await;
    assert_eq!(peer.field("Sec-WebSocket-Protocol"), Some("alpha, beta"));
    peer.open("Sec-WebSocket-Protocol: beta\r\nSec-WebSocket-Extensions: permessage-deflate\r\n")
        .await;
    let mut info = in_time(wss.opened()).await.unwrap();
    assert_eq!(
        (&*info.protocol, &*info.extensions),
        ("beta", "permessage-deflate")
    );
    peer.send(TEXT, "a").await;
    assert_eq!(in_time(info.readable.read()).await.unwrap(), Some("a".into()));
    in_time(info.writable.write("b")).await.unwrap();
}

#[tokio::test]
async fn without_protocol_and_extensions_both_are_empty() {
    let (_wss, info, peer) = open().await;
    assert_eq!(peer.field("Sec-WebSocket-Protocol"), None);
    assert_eq!((&*info.protocol, &*info.extensions), ("", ""));
}

#[tokio::test]
async fn the_streams_are_given_to_the_first_who_asks() {
    let (wss, _info, _peer) = open().await;
    let error = in_time(wss.opened()).await.unwrap_err();
    assert_eq!(error.name(), "InvalidStateError");
}

#[tokio::test]
async fn a_failure_rejects_opened_and_closed_with_the_same_error() {
    let server = Server::listen().await;
    let wss = stream(&server.url(), WebSocketStreamOptions::default());
    let mut peer = server.accept().await;
    peer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        .await;
    let opened = websocket_error(in_time(wss.opened()).await.unwrap_err());
    let closed = websocket_error(in_time(wss.closed()).await.unwrap_err());
    assert!(opened.is(&closed));
    assert_eq!((opened.close_code(), opened.reason()), (Some(1006), ""));
    assert_eq!(opened.failure().unwrap().refusal().unwrap().status, 404);
}

#[tokio::test]
async fn scripts_cannot_tell_the_causes_of_failures_apart() {
    let server = Server::listen().await;
    let refused = stream(&server.url(), WebSocketStreamOptions::default());
    server
        .accept()
        .await
        .write(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        .await;
    let blocked = stream("ws://127.0.0.1:25/", WebSocketStreamOptions::default());
    let closed = stream(&server.url(), WebSocketStreamOptions::default());
    closed.close(()).unwrap();
    let mut texts = Vec::new();
    for wss in [refused, blocked, closed] {
        let error = websocket_error(in_time(wss.opened()).await.unwrap_err());
        assert!(error.failure().is_some());
        texts.push(error.to_string());
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
}

#[tokio::test]
async fn close_during_the_handshake_rejects_both_and_stops_it() {
    let server = Server::listen().await;
    let wss = stream(&server.url(), WebSocketStreamOptions::default());
    let mut peer = server.accept().await;
    wss.close((3000, "never mind")).unwrap();
    let opened = websocket_error(in_time(wss.opened()).await.unwrap_err());
    let closed = websocket_error(in_time(wss.closed()).await.unwrap_err());
    assert!(opened.is(&closed));
    assert_eq!(closed.close_code(), Some(1006));
    assert!(peer.ended().await);
}

#[tokio::test]
async fn a_signal_given_before_construction_prevents_the_connection() {
    let server = Server::listen().await;
    let url = server.url();
    let wss = stream(&format!("{url}first"), signal(AbortSignal::abort(None)));
    for error in [wss.opened().await.unwrap_err(), wss.closed().await.unwrap_err()] {
        assert_eq!(error.name(), "AbortError");
    }
    let _second = stream(&format!("{url}second"), WebSocketStreamOptions::default());
    assert!(server.accept().await.request.starts_with("GET /second "));
}

#[tokio::test]
async fn a_signal_given_during_the_handshake_rejects_both_with_its_reason_and_stops_it() {
    let server = Server::listen().await;
    let controller = AbortController::new();
    let wss = stream(&server.url(), signal(controller.signal()));
    let mut peer = server.accept().await;
    controller.abort(DomException::new("enough", "QuotaExceededError"));
    for error in [
        in_time(wss.opened()).await.unwrap_err(),
        in_time(wss.closed()).await.unwrap_err(),
    ] {
        assert_eq!((error.name(), error.message()), ("QuotaExceededError", "enough"));
    }
    assert!(peer.ended().await);
}

#[tokio::test]
async fn a_signal_given_after_opening_does_nothing() {
    let server = Server::listen().await;
    let controller = AbortController::new();
    let wss = stream(&server.url(), signal(controller.signal()));
    let mut peer = server.accept().await;
    peer.open("").await;
    let mut info = in_time(wss.opened()).await.unwrap();
    controller.abort(None);
    in_time(info.writable.write("connected")).await.unwrap();
    assert_eq!(peer.read_text().await, "connected");
    peer.send(TEXT, "still").await;
    assert_eq!(in_time(info.readable.read()).await.unwrap(), Some("still".into()));
}

#[tokio::test]
async fn each_message_is_one_chunk_text_or_bytes() {
    let (_wss, mut info, mut peer) = open().await;
    peer.send(TEXT, "\u{feff}鮭").await;
    peer.send(TEXT, "").await;
    peer.send(BINARY, [0; 16]).await;
    // Two frames, one message.
    peer.write(b"\x01\x01a\x80\x01b").await;
    for want in [
        Message::from("\u{feff}鮭"),
        Message::from(""),
        Message::from(vec![0; 16]),
        Message::from("ab"),
    ] {
        assert_eq!(in_time(info.readable.read()).await.unwrap(), Some(want));
    }
}

#[tokio::test]
async fn text_and_bytes_are_written_as_such() {
    let (_wss, mut info, mut peer) = open().await;
    in_time(info.writable.write("鮭")).await.unwrap();
    in_time(info.writable.write(String::new())).await.unwrap();
    let pixels = [1, 2, 3, 4];
    in_time(info.writable.write(&pixels[1..3])).await.unwrap();
    in_time(info.writable.write(Message::from("b"))).await.unwrap();
    assert_eq!(peer.read_text().await, "鮭");
    assert_eq!(peer.read_text().await, "");
    assert_eq!(peer.read().await, (BINARY, vec![2, 3]));
    assert_eq!(peer.read_text().await, "b");
}

#[tokio::test]
async fn the_readable_is_a_stream_and_the_writable_a_sink() {
    let (wss, info, mut peer) = open().await;
    let echo = tokio::spawn(info.readable.forward(info.writable));
    for text in ["a", "b"] {
        peer.send(TEXT, text).await;
        assert_eq!(peer.read_text().await, text);
    }
    peer.send_close(1000, "").await;
    peer.read_close().await;
    peer.end().await;
    assert_eq!(in_time(wss.closed()).await.unwrap().close_code, Some(1000));
    // It tries to close what is closed.
    let error = in_time(echo).await.unwrap().unwrap_err();
    assert_eq!(error.name(), "InvalidStateError");
}

#[tokio::test]
async fn the_sink_flushes_and_closes_as_the_writable_does() {
    let (_wss, mut info, mut peer) = open().await;
    let sink = &mut info.writable;
    in_time(sink.feed("a".into())).await.unwrap();
    in_time(SinkExt::flush(sink)).await.unwrap();
    assert_eq!(peer.read_text().await, "a");
    let answer = tokio::spawn(peer.answer_close());
    in_time(SinkExt::close(sink)).await.unwrap();
    assert_eq!(answer.await.unwrap(), b"");
    let error = in_time(sink.send("b".into())).await.unwrap_err();
    assert_eq!(error.name(), "InvalidStateError");
}

#[tokio::test]
async fn the_stream_says_once_how_it_failed_and_read_each_time() {
    let (_wss, mut info, peer) = open().await;
    peer.end().await;
    let error = websocket_error(in_time(info.readable.read()).await.unwrap_err());
    let streamed = in_time(info.readable.next()).await.unwrap().unwrap_err();
    assert!(error.is(&websocket_error(streamed)));
    assert!(in_time(info.readable.next()).await.is_none());
    assert!(error.is(&websocket_error(info.readable.read().await.unwrap_err())));
}

#[tokio::test]
async fn an_8_mib_write_waits_for_a_server_that_does_not_read() {
    let (_wss, mut info, mut peer) = open().await;
    let mut write = Box::pin(info.writable.write(vec![7; 8 * 1024 * 1024]));
    // No number of turns is enough, as long as the server reads nothing.
    for _ in 0..1000 {
        assert!(!is_done(&mut write).await);
        tokio::task::yield_now().await;
    }
    let (written, (opcode, payload)) = tokio::join!(in_time(write), peer.read());
    written.unwrap();
    assert_eq!((opcode, payload.len()), (BINARY, 8 * 1024 * 1024));
}

#[tokio::test]
async fn a_message_that_was_queued_is_sent_though_nobody_waits_for_it() {
    let (_wss, mut info, mut peer) = open().await;
    assert!(!is_done(&mut Box::pin(info.writable.write("a"))).await);
    // A future that was never polled has written nothing.
    drop(info.writable.write("b"));
    in_time(info.writable.write("c")).await.unwrap();
    assert_eq!(peer.read_text().await, "a");
    assert_eq!(peer.read_text().await, "c");
}

#[test]
fn a_websocket_error_has_the_defaults_of_the_proposal() {
    let error = WebSocketError::new("", ()).unwrap();
    assert_eq!(
        (
            error.name(),
            error.code(),
            error.message(),
            error.close_code(),
            error.reason()
        ),
        ("WebSocketError", 0, "", None, "")
    );
    let error = WebSocketError::new("message", (3456, "reason")).unwrap();
    assert_eq!(
        (error.message(), error.close_code(), error.reason()),
        ("message", Some(3456), "reason")
    );
    assert!(error.failure().is_none());
    assert_eq!(DomException::from(error).name(), "WebSocketError");
}

#[test]
fn a_websocket_error_is_checked_as_close_is() {
    let code = |close_code, reason: &str| {
        let info = sockeye::web::WebSocketCloseInfo {
            close_code,
            reason: reason.into(),
        };
        WebSocketError::new("", info)
            .map(|error| error.close_code())
            .map_err(|error| error.name().to_owned())
    };
    assert_eq!(code(Some(3333), ""), Ok(Some(3333)));
    assert_eq!(code(None, "alone"), Ok(Some(1000)));
    for invalid in [0, 999, 1001, 1005, 2999, 5000] {
        assert_eq!(code(Some(invalid), ""), Err("InvalidAccessError".to_owned()));
    }
    assert_eq!(code(Some(1000), &"x".repeat(123)), Ok(Some(1000)));
    assert_eq!(code(Some(1000), &"x".repeat(124)), Err("SyntaxError".to_owned()));
    // 32 characters of four bytes.
    assert_eq!(code(None, &"🔌".repeat(32)), Err("SyntaxError".to_owned()));
}

#[tokio::test]
async fn a_handle_dropped_while_connecting_gives_the_attempt_up() {
    let server = Server::listen().await;
    let wss = stream(&server.url(), WebSocketStreamOptions::default());
    let mut peer = server.accept().await;
    let other = wss.clone();
    drop(wss);
    peer.open("").await;
    // The last handle counts.
    drop(in_time(other.opened()).await.unwrap());
    drop(other);
    assert_eq!(peer.read_close().await, b"");

    let wss = stream(&server.url(), WebSocketStreamOptions::default());
    let mut peer = server.accept().await;
    drop(wss);
    assert!(peer.ended().await);
}

#[tokio::test]
async fn a_handle_dropped_later_leaves_the_streams_open() {
    let (wss, mut info, mut peer) = open().await;
    drop(wss);
    peer.send(TEXT, "a").await;
    assert_eq!(in_time(info.readable.read()).await.unwrap(), Some("a".into()));
    in_time(info.writable.write("b")).await.unwrap();
    assert_eq!(peer.read_text().await, "b");
}

#[tokio::test]
async fn a_readable_that_is_dropped_throws_away_what_arrives() {
    let (wss, info, mut peer) = open().await;
    let WebSocketOpenInfo {
        readable,
        mut writable,
        ..
    } = info;
    drop(readable);
    for _ in 0..20 {
        peer.send(BINARY, vec![0; 16 * 1024]).await;
    }
    in_time(writable.write("goes on")).await.unwrap();
    assert_eq!(peer.read_text().await, "goes on");
    // Behind all of that, the Close frame is seen.
    peer.send_close(1000, "").await;
    peer.read_close().await;
    peer.end().await;
    assert_eq!(in_time(wss.closed()).await.unwrap().close_code, Some(1000));
}

#[tokio::test]
async fn a_writable_that_is_dropped_leaves_the_readable_open() {
    let (_wss, info, mut peer) = open().await;
    let WebSocketOpenInfo {
        mut readable,
        mut writable,
        ..
    } = info;
    in_time(writable.write("last")).await.unwrap();
    drop(writable);
    peer.send(TEXT, "a").await;
    assert_eq!(in_time(readable.read()).await.unwrap(), Some("a".into()));
    assert_eq!(peer.read_text().await, "last");
    readable.cancel(None);
    assert_eq!(peer.answer_close().await, b"");
}

#[tokio::test]
async fn streams_that_are_dropped_leave_the_closing_to_the_handle() {
    let (wss, info, peer) = open().await;
    drop(info);
    wss.close((4001, "by the handle")).unwrap();
    assert_eq!(peer.answer_close().await[2..], *b"by the handle");
    assert_eq!(in_time(wss.closed()).await.unwrap().reason, "by the handle");
}

#[tokio::test]
async fn everything_dropped_sends_what_was_written_and_closes_without_a_code() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let large = vec![7; 2 * 1024 * 1024];
    for taken in [true, false] {
        let server = Server::listen().await;
        let wss = stream(&server.url(), WebSocketStreamOptions::default());
        let mut peer = server.accept().await;
        peer.open("").await;
        // Unread, and more than is held for a reader.
        for _ in 0..8 {
            peer.send(BINARY, vec![0; 16 * 1024]).await;
        }
        if taken {
            let mut info = in_time(wss.opened()).await.unwrap();
            drop(wss);
            assert!(!is_done(&mut Box::pin(info.writable.write(&large[..]))).await);
            drop(info);
            assert_eq!(peer.read().await, (BINARY, large.clone()));
        } else {
            // Nobody asked for the streams: they go with the last handle.
            let mut closed = Box::pin(wss.closed());
            while !format!("{wss:?}").contains("Session") {
                assert!(!is_done(&mut closed).await);
                tokio::task::yield_now().await;
            }
            drop(closed);
            drop(wss);
        }
        assert_eq!(peer.answer_close().await, b"");
        in_time(async {
            while tasks() > before {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_peer_that_ends_is_not_kept_waiting_by_what_nobody_reads() {
    let (wss, info, mut peer) = open().await;
    peer.send(CLOSE, b"").await;
    assert_eq!(peer.read_close().await, b"");
    peer.end().await;
    assert_eq!(in_time(wss.closed()).await.unwrap().close_code, Some(1005));
    drop(info);
}
