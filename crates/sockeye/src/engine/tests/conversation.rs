//! What is received and sent while a WebSocket is open.

use super::*;
use crate::Delivery;

#[test]
fn answers_to_what_a_read_brought_leave_in_one_write() {
    let (mut stage, key, _) = opened(Settings::default());
    let sends = stage.line(key).sends;
    stage.receive(key, &[text("one"), binary(b"two"), text("three")].concat());
    let sent = stage.sent(key);
    let expected = [
        (0x81, b"one!".to_vec()),
        (0x82, b"two".to_vec()),
        (0x81, b"three!".to_vec()),
    ];
    assert_eq!(frames(&sent), expected);
    assert_eq!(stage.line(key).sends, sends + 1);
}

#[test]
fn frames_that_come_byte_by_byte_are_answered_once() {
    let (mut stage, key, diary) = opened(Settings::default());
    let mut sent = Vec::new();
    for byte in [text("slow"), frame(0x89, b"p")].concat() {
        stage.receive(key, &[byte]);
        sent.extend(stage.sent(key));
    }
    assert_eq!(frames(&sent), [(0x81, b"slow!".to_vec()), (0x8A, b"p".to_vec())]);
    assert_eq!(diary.read(), ["ping p"]);
}

#[test]
fn what_came_behind_the_request_is_received() {
    let (mut stage, diary) = stage(Settings::default());
    let key = stage.accept();
    stage.receive(key, &[REQUEST, &text("early")].concat());
    let sent = stage.sent(key);
    let head = sent.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(frames(&sent[head..]), [(0x81, b"early!".to_vec())]);
    assert_eq!(diary.read(), ["open Open"]);
}

#[test]
fn pings_are_answered_and_pongs_told() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.receive(
        key,
        &[frame(0x89, b"a"), frame(0x8A, b"b"), text("ping c")].concat(),
    );
    assert_eq!(diary.read(), ["ping a", "pong b"]);
    let sent = stage.sent(key);
    assert_eq!(frames(&sent), [(0x8A, b"a".to_vec()), (0x89, b"c".to_vec())]);
}

#[test]
fn fragments_are_put_together_unless_the_route_wants_pieces() {
    let pieces = [frame(0x01, "né".as_bytes()), frame(0x00, b""), frame(0x80, b"e")].concat();
    let (mut stage, key, _) = opened(Settings::default());
    stage.receive(key, &pieces);
    let sent = stage.sent(key);
    assert_eq!(frames(&sent), [(0x81, "née!".as_bytes().to_vec())]);

    let (mut stage, key, diary) = opened(with_config(Config {
        delivery: Delivery::Chunks,
        ..Config::server()
    }));
    stage.receive(key, &pieces);
    let notes = diary.read();
    assert_eq!(notes.first().unwrap(), "Text true n\\xc3\\xa9 false");
    assert_eq!(notes.last().unwrap(), "Text false e true");

    let (mut stage, key, diary) = opened(with_config(Config {
        delivery: Delivery::Frames,
        ..Config::server()
    }));
    stage.receive(key, &pieces);
    stage.receive(key, &binary(b"x"));
    assert_eq!(
        diary.read(),
        [
            "Text true n\\xc3\\xa9 false",
            "Text false  false",
            "Text false e true",
            "Binary true x true"
        ]
    );
}

#[test]
fn a_message_is_sent_in_fragments() {
    let (mut stage, key, _) = opened(Settings::default());
    stage.receive(key, &text("pieces a b c"));
    let sent = stage.sent(key);
    assert_eq!(
        frames(&sent),
        [
            (0x01, b"a".to_vec()),
            (0x00, b"b".to_vec()),
            (0x80, b"c".to_vec())
        ]
    );
}

#[test]
fn what_comes_during_a_pause_is_kept_and_read_after_it() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.receive(key, &[text("one"), text("pause"), text("two")].concat());
    let sent = stage.sent(key);
    assert_eq!(frames(&sent), [(0x81, b"one!".to_vec())]);
    assert!(!stage.line(key).receives);
    // Half a minute of silence is not held against the peer.
    stage.pass(Duration::from_secs(60));
    // What the driver had already comes all the same.
    stage.receive(key, &[text("three"), text("pause"), text("four")].concat());
    // Signs of life that ask for no answer.
    assert_eq!(frames(&stage.sent(key)), [(0x8A, vec![]), (0x8A, vec![])]);
    stage.resume(key);
    let sent = stage.sent(key);
    assert_eq!(
        frames(&sent),
        [(0x81, b"two!".to_vec()), (0x81, b"three!".to_vec())]
    );
    assert!(!stage.line(key).receives);
    stage.resume(key);
    assert_eq!(frames(&stage.sent(key)), [(0x81, b"four!".to_vec())]);
    assert!(stage.line(key).receives);
    assert!(diary.read().is_empty());
}

#[test]
fn a_request_that_the_handler_turns_down_is_answered_and_forgotten() {
    let (mut stage, diary) = stage(Settings::default());
    let key = stage.accept();
    let request = String::from_utf8(REQUEST.to_vec()).unwrap();
    let request = request.replace("Host: x", "Host: x\r\nX-Refuse: 1");
    stage.receive(key, request.as_bytes());
    assert!(stage.sent(key).starts_with(b"HTTP/1.1 403 "));
    assert_eq!(diary.read(), ["dropped after 0"]);
    stage.end(key);
    assert_eq!(stage.line(key).end, Some(End::ShutDown));
}
