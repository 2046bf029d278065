//! How a WebSocketStream ends: closing, clean and unclean, §3.7 of the checklist.

use sockeye::web::{
    DomException, StreamError, WebSocketCloseInfo, WebSocketError, WebSocketOpenInfo, WebSocketStream,
    WebSocketStreamOptions,
};

use crate::page::Page;
use crate::peer::{BINARY, CLOSE, Server, TEXT, in_time};
use crate::stream::{is_done, open, websocket_error};

/// A Close frame's body.
fn body(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

#[tokio::test]
async fn close_sends_its_code_and_reason_and_closed_gives_the_peers() {
    let reason = |reason: &str| WebSocketCloseInfo {
        close_code: None,
        reason: reason.into(),
    };
    let cases = [
        (
            WebSocketCloseInfo::from((3456, "pizza")),
            body(3456, "pizza"),
            (3456, "pizza"),
        ),
        (3333.into(), body(3333, ""), (3333, "")),
        (().into(), vec![], (1005, "")),
        (reason(""), vec![], (1005, "")),
        (reason("non-empty"), body(1000, "non-empty"), (1000, "non-empty")),
    ];
    for (info, want, (code, reason)) in cases {
        let (wss, _info, peer) = open().await;
        wss.close(info).unwrap();
        assert_eq!(peer.answer_close().await, want);
        let closed = in_time(wss.closed()).await.unwrap();
        assert_eq!((closed.close_code, &*closed.reason), (Some(code), reason));
    }
}

#[tokio::test]
async fn a_code_or_a_reason_that_no_script_may_send_is_an_error_and_closes_nothing() {
    let (wss, _info, mut peer) = open().await;
    for code in [0, 999, 1001, 1005, 1006, 2999, 5000] {
        assert_eq!(wss.close(code).unwrap_err().name(), "InvalidAccessError");
    }
    let long = "x".repeat(124);
    assert_eq!(wss.close((1000, &*long)).unwrap_err().name(), "SyntaxError");
    // The code is checked first.
    assert_eq!(wss.close((999, &*long)).unwrap_err().name(), "InvalidAccessError");
    wss.close((1000, "fine")).unwrap();
    assert_eq!(peer.read_close().await, body(1000, "fine"));
}

#[tokio::test]
async fn close_goes_behind_what_was_written_and_counts_once() {
    let (wss, mut info, mut peer) = open().await;
    assert!(!is_done(&mut Box::pin(info.writable.write(vec![0; 1 << 20]))).await);
    wss.close(4000).unwrap();
    wss.close(4001).unwrap();
    assert_eq!(peer.read().await.1.len(), 1 << 20);
    assert_eq!(peer.answer_close().await, body(4000, ""));
    wss.close(4002).unwrap();
    assert_eq!(in_time(wss.closed()).await.unwrap().close_code, Some(4000));
}

#[tokio::test]
async fn what_arrived_before_close_can_be_read_and_what_arrives_later_not() {
    let (wss, mut info, mut peer) = open().await;
    // In one segment: when the first is read the second has arrived.
    peer.write(b"\x81\x01a\x81\x01b").await;
    assert_eq!(in_time(info.readable.read()).await.unwrap(), Some("a".into()));
    wss.close(()).unwrap();
    assert_eq!(peer.read_close().await, b"");
    peer.send(TEXT, "after").await;
    peer.send(CLOSE, b"").await;
    peer.end().await;
    in_time(wss.closed()).await.unwrap();
    assert_eq!(info.readable.read().await.unwrap(), Some("b".into()));
    assert_eq!(info.readable.read().await.unwrap(), None);
}

#[tokio::test]
async fn a_read_that_waits_hears_of_close() {
    let (wss, mut info, peer) = open().await;
    let reading = tokio::spawn(async move { info.readable.read().await });
    // Lets it begin to wait.
    tokio::task::yield_now().await;
    wss.close(()).unwrap();
    assert_eq!(peer.answer_close().await, b"");
    assert_eq!(in_time(reading).await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn closing_the_writable_waits_for_the_end_of_the_closing_handshake() {
    let (wss, mut info, mut peer) = open().await;
    let mut close = Box::pin(info.writable.close());
    assert!(!is_done(&mut close).await);
    assert_eq!(peer.read_close().await, b"");
    // The client has sent its Close frame; the server has not answered yet.
    for _ in 0..100 {
        assert!(!is_done(&mut close).await);
        tokio::task::yield_now().await;
    }
    peer.send(CLOSE, b"").await;
    peer.end().await;
    in_time(close).await.unwrap();
    assert_eq!(in_time(wss.closed()).await.unwrap().close_code, Some(1005));
    assert_eq!(in_time(info.readable.read()).await.unwrap(), None);
    assert_eq!(
        info.writable.write("more").await.unwrap_err().name(),
        "InvalidStateError"
    );
}

#[tokio::test]
async fn closing_the_writable_fails_if_the_connection_does() {
    let (wss, mut info, mut peer) = open().await;
    let mut close = Box::pin(info.writable.close());
    assert!(!is_done(&mut close).await);
    peer.read_close().await;
    peer.end().await;
    let error = websocket_error(in_time(close).await.unwrap_err());
    assert!(error.is(&websocket_error(in_time(wss.closed()).await.unwrap_err())));
}

#[tokio::test]
async fn closing_a_writable_that_is_closed_is_an_invalid_state_error() {
    let (wss, mut info, peer) = open().await;
    wss.close(()).unwrap();
    peer.answer_close().await;
    in_time(wss.closed()).await.unwrap();
    assert_eq!(
        info.writable.close().await.unwrap_err().name(),
        "InvalidStateError"
    );
}

/// Reasons, and the Close frames that they send.
async fn reasons() -> Vec<(Option<StreamError>, Vec<u8>)> {
    // An error with a code that came from a connection, and may not be sent.
    let (wss, _info, peer) = open().await;
    peer.end().await;
    let lost = in_time(wss.closed()).await.unwrap_err();
    let error = |info: WebSocketCloseInfo| WebSocketError::new("", info).unwrap().into();
    vec![
        (None, vec![]),
        (error((3333, "").into()), body(3333, "")),
        (error((3456, "set").into()), body(3456, "set")),
        (
            error(WebSocketCloseInfo {
                close_code: None,
                reason: "alone".into(),
            }),
            body(1000, "alone"),
        ),
        (error(().into()), vec![]),
        (DomException::new("yes", "DataCloneError").into(), vec![]),
        (Some(lost), vec![]),
    ]
}

#[tokio::test]
async fn canceling_the_readable_sends_the_code_and_reason_of_a_websocket_error_and_no_other() {
    for (reason, want) in reasons().await {
        let (wss, mut info, mut peer) = open().await;
        peer.send(TEXT, "unread").await;
        info.readable.cancel(reason.clone());
        assert_eq!(in_time(info.readable.read()).await.unwrap(), None);
        assert_eq!(peer.answer_close().await, want, "{reason:?}");
        in_time(wss.closed()).await.unwrap();
    }
}

#[tokio::test]
async fn aborting_the_writable_sends_the_code_and_reason_of_a_websocket_error_and_no_other() {
    for (reason, want) in reasons().await {
        let (wss, mut info, peer) = open().await;
        info.writable.abort(reason.clone());
        let name = reason.as_ref().map_or("AbortError", StreamError::name).to_owned();
        // From now on it fails with the reason.
        assert_eq!(info.writable.write("a").await.unwrap_err().name(), name);
        assert_eq!(info.writable.close().await.unwrap_err().name(), name);
        assert_eq!(peer.answer_close().await, want, "{reason:?}");
        in_time(wss.closed()).await.unwrap();
        assert_eq!(in_time(info.readable.read()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn after_a_clean_close_the_readable_ends_and_the_writable_is_in_an_invalid_state() {
    for (code, reason) in [(1000, ""), (4000, "robot"), (4000, "ロボット")] {
        let (wss, mut info, mut peer) = open().await;
        peer.send_close(code, reason).await;
        assert_eq!(peer.read_close().await[..2], code.to_be_bytes());
        peer.end().await;
        let closed = in_time(wss.closed()).await.unwrap();
        assert_eq!((closed.close_code, &*closed.reason), (Some(code), reason));
        assert_eq!(info.readable.read().await.unwrap(), None);
        let error = info.writable.write("a").await.unwrap_err();
        assert_eq!(error.name(), "InvalidStateError");
        // Aborting what has ended changes nothing.
        info.writable.abort(None);
        assert_eq!(
            info.writable.write("a").await.unwrap_err().name(),
            "InvalidStateError"
        );
    }
}

#[tokio::test]
async fn a_close_frame_without_a_body_is_1005() {
    let (wss, _info, mut peer) = open().await;
    peer.send(CLOSE, b"").await;
    peer.read_close().await;
    peer.end().await;
    let closed = in_time(wss.closed()).await.unwrap();
    assert_eq!((closed.close_code, &*closed.reason), (Some(1005), ""));
}

#[tokio::test]
async fn after_an_unclean_close_all_three_have_the_same_error() {
    let (wss, mut info, mut peer) = open().await;
    peer.send(TEXT, "read before").await;
    peer.end().await;
    let closed = websocket_error(in_time(wss.closed()).await.unwrap_err());
    assert_eq!(closed.name(), "WebSocketError");
    assert_eq!((closed.close_code(), closed.reason()), (Some(1006), ""));
    assert!(closed.failure().unwrap().is_connection_lost());
    // Nothing that arrived is lost.
    assert_eq!(info.readable.read().await.unwrap(), Some("read before".into()));
    for error in [
        info.readable.read().await.unwrap_err(),
        info.writable.write("a").await.unwrap_err(),
        info.writable.close().await.unwrap_err(),
        wss.closed().await.unwrap_err(),
    ] {
        assert!(websocket_error(error).is(&closed));
    }
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_told_why_and_the_stream_fails_with_1006() {
    let (wss, mut info, mut peer) = open().await;
    peer.write(b"\x83\x00").await;
    assert_eq!(peer.read_close().await[..2], 1002_u16.to_be_bytes());
    // The answer is not processed.
    peer.send_close(1002, "sorry").await;
    peer.end().await;
    let closed = websocket_error(in_time(wss.closed()).await.unwrap_err());
    assert_eq!((closed.close_code(), closed.reason()), (Some(1006), ""));
    assert!(closed.failure().unwrap().is_protocol());
    assert!(websocket_error(info.readable.read().await.unwrap_err()).is(&closed));
}

#[tokio::test]
async fn a_close_with_data_unsent_is_unclean_and_has_the_peers_code() {
    let (wss, info, mut peer) = open().await;
    let WebSocketOpenInfo { mut writable, .. } = info;
    let mut write = Box::pin(writable.write(vec![0; 16 * 1024 * 1024]));
    assert!(!is_done(&mut write).await);
    peer.send_close(4567, "had enough").await;
    // The server takes the rest of the message to get at the answer to its Close, and ends as it should.
    let server = tokio::spawn(async move {
        assert_eq!(peer.read().await.1.len(), 16 * 1024 * 1024);
        assert_eq!(peer.read_close().await[..2], 4567_u16.to_be_bytes());
        peer.end().await;
    });
    let closed = websocket_error(in_time(wss.closed()).await.unwrap_err());
    assert_eq!((closed.close_code(), closed.reason()), (Some(4567), "had enough"));
    assert!(websocket_error(in_time(write).await.unwrap_err()).is(&closed));
    assert!(websocket_error(writable.write("word").await.unwrap_err()).is(&closed));
    server.await.unwrap();
}

#[tokio::test]
async fn a_connection_lost_with_data_unsent_after_the_peers_close_has_the_peers_code() {
    let (wss, mut info, mut peer) = open().await;
    let mut write = Box::pin(info.writable.write(vec![0; 16 * 1024 * 1024]));
    assert!(!is_done(&mut write).await);
    peer.send_close(4567, "").await;
    peer.end().await;
    let closed = websocket_error(in_time(wss.closed()).await.unwrap_err());
    assert_eq!(closed.close_code(), Some(4567));
    assert!(websocket_error(in_time(write).await.unwrap_err()).is(&closed));
}

#[tokio::test]
async fn an_answer_to_what_came_before_the_peers_close_is_sent_and_clean() {
    let (wss, mut info, mut peer) = open().await;
    // In one segment, so that the Close is there when the message is read.
    peer.write(b"\x81\x04last\x88\x02\x03\xe8").await;
    let message = in_time(info.readable.read()).await.unwrap().unwrap();
    in_time(info.writable.write(message)).await.unwrap();
    let reading = tokio::spawn(async move { info.readable.read().await });
    assert_eq!(peer.read_text().await, "last");
    assert_eq!(peer.read_close().await, body(1000, ""));
    peer.end().await;
    assert_eq!(in_time(reading).await.unwrap().unwrap(), None);
    assert_eq!(in_time(wss.closed()).await.unwrap().close_code, Some(1000));
}

#[tokio::test]
async fn the_peers_code_wins_over_that_of_the_stream() {
    let (wss, _info, mut peer) = open().await;
    wss.close((4111, "local")).unwrap();
    assert_eq!(peer.read_close().await, body(4111, "local"));
    peer.send_close(4222, "remote").await;
    peer.end().await;
    let closed = in_time(wss.closed()).await.unwrap();
    assert_eq!((closed.close_code, &*closed.reason), (Some(4222), "remote"));
}

#[tokio::test]
async fn a_close_that_is_not_answered_is_1006() {
    let (wss, mut info, mut peer) = open().await;
    wss.close((4111, "local")).unwrap();
    assert_eq!(peer.read_close().await, body(4111, "local"));
    peer.end().await;
    let closed = websocket_error(in_time(wss.closed()).await.unwrap_err());
    assert_eq!((closed.close_code(), closed.reason()), (Some(1006), ""));
    assert!(websocket_error(info.readable.read().await.unwrap_err()).is(&closed));
}

#[tokio::test]
async fn a_write_while_closing_is_an_invalid_state_error_and_is_not_sent() {
    let (wss, mut info, mut peer) = open().await;
    wss.close(()).unwrap();
    let error = info.writable.write(&[0_u8; 3][..]).await.unwrap_err();
    assert_eq!(error.name(), "InvalidStateError");
    let (opcode, _) = peer.read().await;
    assert_ne!(opcode, BINARY);
    peer.send(CLOSE, b"").await;
    assert!(peer.end().await);
    // What was refused is nothing that was not sent.
    in_time(wss.closed()).await.unwrap();
}

#[tokio::test]
async fn a_page_that_goes_away_ends_its_streams_as_well() {
    let (page, server) = (Page::new(), Server::listen().await);
    let make = || {
        WebSocketStream::new_in(&page.environment, server.url(), WebSocketStreamOptions::default()).unwrap()
    };
    let open = make();
    let mut peer = server.accept().await;
    peer.open("").await;
    in_time(open.opened()).await.unwrap();
    let connecting = make();
    let mut waiting = server.accept().await;
    page.environment.unload();
    assert!(waiting.ended().await);
    in_time(connecting.opened()).await.unwrap_err();
    assert_eq!(peer.read_close().await, body(1001, ""));
}
