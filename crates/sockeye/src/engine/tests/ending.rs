//! The end of a WebSocket: which code the peer gets, and what the handler is told.

use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Waker};

use tokio::io::AsyncWrite as _;

use super::super::bell::WorkerBell;
use super::super::mailbox::{Mailbox, Order};
use super::super::pipe::pipe;
use super::super::piped::Piped;
use super::super::slot::Phase;
use super::*;
use crate::server::Drain;

/// What is received on an open WebSocket, the Close frame that answers it, and what the handler is told.
struct Case {
    received: Vec<u8>,
    answer: Option<(u16, &'static str)>,
    told: &'static str,
}

fn case(received: Vec<u8>, answer: Option<(u16, &'static str)>, told: &'static str) -> Case {
    Case {
        received,
        answer,
        told,
    }
}

#[test]
fn every_failure_has_its_code() {
    let too_long = frame(0x89, &[0; 126]);
    let no_mask = vec![0x81, 0x01, b'x'];
    let cases = [
        case(close(1000, "bye"), Some((1000, "bye")), "close 1000 \"bye\" true"),
        case(close(4321, ""), Some((4321, "")), "close 4321 \"\" true"),
        case(no_mask, Some((1002, "")), "close 1002"),
        case(too_long, Some((1002, "")), "close 1002"),
        case(frame(0x83, b""), Some((1002, "")), "close 1002"),
        case(frame(0x80, b""), Some((1002, "")), "close 1002"),
        case(frame(0xC1, b""), Some((1002, "")), "close 1002"),
        case(close(1005, ""), Some((1002, "")), "close 1002"),
        case(frame(0x81, b"\xff"), Some((1007, "")), "close 1007"),
        case(
            frame(0x82, &[0; 2000])[..100].to_vec(),
            Some((1009, "")),
            "close 1009",
        ),
        case(text("panic"), Some((1011, "")), "close 1011"),
        case(text("leave now"), Some((4001, "now")), "close 4001 \"now\" false"),
    ];
    for Case {
        received,
        answer,
        told,
    } in cases
    {
        let (mut stage, key, diary) = opened(with_config(Config {
            max_message_size: 1000,
            ..Config::server()
        }));
        // What came before is answered before, what comes after is not heard.
        stage.receive(key, &[text("before"), received, text("after")].concat());
        let sent = frames(&stage.sent(key));
        assert_eq!(sent[0], (0x81, b"before!".to_vec()), "{told}");
        let (first, body) = &sent[1];
        assert_eq!(*first, 0x88, "{told}");
        let (code, reason) = answer.unwrap();
        assert_eq!(body[..2], code.to_be_bytes(), "{told}");
        assert!(body[2..].starts_with(reason.as_bytes()), "{told}");
        assert_eq!(sent.len(), 2, "{told}");
        let notes = diary.read();
        let closes: Vec<_> = notes.iter().filter(|note| note.starts_with("close")).collect();
        assert_eq!(closes.len(), 1, "{notes:?}");
        assert!(closes[0].starts_with(told), "{notes:?}");
        assert!(notes.last().unwrap().starts_with("dropped after"), "{notes:?}");
        stage.end(key);
        assert!(matches!(stage.line(key).end, Some(End::Closed | End::ShutDown)));
        assert_eq!(stage.connections.slots.len(), 0, "{told}");
        assert!(diary.read().is_empty());
    }
}

#[test]
fn a_close_without_a_code_is_told_as_1005() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.receive(key, &frame(0x88, b""));
    assert_eq!(frames(&stage.sent(key)), [(0x88, Vec::new())]);
    assert_eq!(diary.read(), ["close 1005 \"\" true", "dropped after 0"]);
    // Both Close frames went: a server ends the connection at once (RFC 6455 §7.1.1).
    assert_eq!(stage.line(key).end, Some(End::Closed));
}

#[test]
fn our_close_waits_for_the_peers() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.receive(key, &text("close bye"));
    assert_eq!(frames(&stage.sent(key)), [(0x88, close_body(4000, "bye"))]);
    // What was on the way is heard, and cannot be answered any more.
    stage.receive(key, &binary(b"late"));
    assert_eq!(diary.read(), ["Dropped"]);
    assert!(stage.sent(key).is_empty());
    stage.receive(key, &close(4000, "bye too"));
    assert_eq!(diary.read(), ["close 4000 \"bye too\" true", "dropped after 2"]);
    assert_eq!(stage.line(key).end, Some(End::Closed));
    assert!(stage.sent(key).is_empty());
}

#[test]
fn a_peer_that_never_answers_our_close_is_dropped() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.receive(key, &text("close"));
    stage.pass(millis(9_900));
    assert!(diary.read().is_empty());
    stage.pass(millis(300));
    let notes = diary.read();
    assert!(notes[0].starts_with("close 1006 \"\" false"), "{notes:?}");
    assert_eq!(stage.connections.slots.len(), 0);
    assert_eq!(stage.line(key).end, Some(End::Reset));
}

#[test]
fn after_a_failure_the_connection_lingers_until_the_peer_has_read() {
    let (mut stage, key, _) = opened(Settings::default());
    stage.receive(key, &frame(0x83, b""));
    assert_eq!(stage.line(key).end, None);
    // It may go on sending for a while; nobody listens.
    stage.receive(key, &text("still there"));
    assert_eq!(frames(&stage.sent(key)).len(), 1);
    stage.end(key);
    assert_eq!(stage.line(key).end, Some(End::ShutDown));

    let (mut stage, key, _) = opened(Settings::default());
    stage.receive(key, &frame(0x83, b""));
    stage.pass(millis(10_200));
    assert_eq!(stage.line(key).end, Some(End::Reset));
}

#[test]
fn an_abort_sends_nothing() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.receive(key, &[text("abort"), text("after")].concat());
    let notes = diary.read();
    assert_eq!(notes[0], "then Dropped");
    assert!(notes[1].starts_with("close 1006 \"\" false: "), "{notes:?}");
    assert!(stage.sent(key).is_empty());
    assert_eq!(stage.line(key).end, Some(End::Reset));
}

#[test]
fn a_lost_connection_is_1006() {
    for lose in [
        (|stage, key| stage.end(key)) as fn(&mut Stage, _),
        |stage, key| stage.fail(key, ErrorKind::ConnectionReset),
        |stage, key| {
            stage.line(key).fails = Some(ErrorKind::ConnectionReset);
            stage.receive(key, &text("x"));
        },
        |stage, key| {
            stage.line(key).fails = Some(ErrorKind::BrokenPipe);
            stage.receive(key, &text("pour 100000"));
        },
        |stage, key| {
            stage.line(key).fails = Some(ErrorKind::ConnectionReset);
            stage.handle(key).ping("x").unwrap();
            stage.turn();
        },
    ] {
        let (mut stage, key, diary) = opened(Settings::default());
        lose(&mut stage, key);
        let notes = diary.read();
        let closes: Vec<_> = notes.iter().filter(|note| note.starts_with("close")).collect();
        assert_eq!(closes.len(), 1, "{notes:?}");
        assert!(closes[0].starts_with("close 1006 \"\" false: "), "{notes:?}");
        assert_eq!(stage.connections.slots.len(), 0);
        assert!(stage.line(key).end.is_some());
    }
}

#[test]
fn a_connection_may_be_lost_in_each_phase() {
    for receive in [
        None,
        Some(REQUEST[..20].to_vec()),
        Some(REQUEST.to_vec()),
        Some([REQUEST, &text("close")].concat()),
        Some([REQUEST, &frame(0x83, b"")].concat()),
        Some([REQUEST, &text("pause"), &text("unread")].concat()),
    ] {
        for lost in [false, true] {
            let (mut stage, diary) = stage(Settings::default());
            let key = stage.accept();
            if let Some(bytes) = &receive {
                stage.receive(key, bytes);
            }
            if lost {
                stage.fail(key, ErrorKind::ConnectionReset);
            } else {
                stage.end(key);
                // Where there is something unread, the end is told behind it.
                if stage.connections.slots.len() > 0 {
                    stage.resume(key);
                }
            }
            assert_eq!(stage.connections.slots.len(), 0);
            assert!(stage.line(key).end.is_some());
            let notes = diary.read();
            let count = |word| notes.iter().filter(|note| note.starts_with(word)).count();
            assert_eq!(count("open"), count("close"), "{notes:?}");
            assert_eq!(count("open"), count("dropped"), "{notes:?}");
        }
    }
}

#[test]
fn a_panic_harms_no_other_connection() {
    let (mut stage, key, _) = opened(Settings::default());
    let other = stage.open();
    stage.receive(key, &text("panic"));
    stage.receive(other, &text("well"));
    assert_eq!(frames(&stage.sent(other)), [(0x81, b"well!".to_vec())]);
}

#[test]
fn the_end_of_a_connection_leaves_its_slot_to_the_next() {
    let (mut stage, key, _) = opened(Settings::default());
    stage.end(key);
    let next = stage.open();
    assert_eq!(next.index(), key.index());
    // News of the one that is gone do not reach the other.
    stage.receive(key, &text("old"));
    stage.order(key, Order::Abort);
    stage.receive(next, &text("new"));
    assert_eq!(frames(&stage.sent(next)), [(0x81, b"new!".to_vec())]);
}

#[test]
fn a_stop_closes_open_connections_and_drops_the_others() {
    let (mut stage, key, diary) = opened(Settings::default());
    let at_the_door = stage.accept();
    let drain = Drain {
        reason: "over".to_owned(),
        ..Drain::default()
    };
    stage.connections.drain(&mut stage.driver, drain.into());
    stage.turn();
    assert_eq!(frames(&stage.sent(key)), [(0x88, close_body(1001, "over"))]);
    assert_eq!(stage.line(at_the_door).end, Some(End::Closed));
    stage.receive(key, &close(1001, ""));
    assert_eq!(diary.read()[0], "close 1001 \"\" true");
    assert_eq!(stage.connections.slots.len(), 0);
}

#[test]
fn a_peer_that_has_ended_its_direction_still_gets_what_waits_for_it() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.line(key).room = 3;
    stage.receive(key, &[text("last words"), close(1000, "")].concat());
    stage.end(key);
    assert_eq!(diary.read().last().unwrap(), "dropped after 1");
    assert_eq!(stage.line(key).end, None);
    stage.make_room(key, usize::MAX);
    let sent = frames(&stage.sent(key));
    assert_eq!(sent[0], (0x81, b"last words!".to_vec()));
    assert_eq!(sent[1], (0x88, close_body(1000, "")));
    // Nobody is waited for any more.
    assert_eq!(stage.line(key).end, Some(End::Closed));
    assert_eq!(stage.connections.slots.len(), 0);
}

#[test]
fn a_peer_that_has_ended_its_direction_and_takes_nothing_is_dropped_in_the_end() {
    let (mut stage, key, _) = opened(Settings::default());
    stage.line(key).room = 3;
    stage.receive(key, &[text("last words"), close(1000, "")].concat());
    stage.end(key);
    stage.pass(Config::server().close_timeout + millis(500));
    assert_eq!(stage.line(key).end, Some(End::Reset));
    assert_eq!(stage.connections.slots.len(), 0);
}

#[test]
fn data_of_a_websocket_to_be_is_dropped_though_the_last_words_of_its_task_are_still_to_leave() {
    let (mut stage, key, diary) = opened(Settings::default());
    // As if a task were still to say what becomes of the request.
    let slot = stage.connections.slots.get_mut(key).unwrap();
    let Phase::Open(open) = std::mem::replace(&mut slot.phase, Phase::gone()) else {
        panic!("it was just opened")
    };
    let (mut task, end) = pipe(Arc::new(WorkerBell(Mailbox::new())), key);
    let mut piped = Piped::new(end);
    piped.seat = Some(open.seat);
    slot.phase = Phase::Piped(Box::new(piped));
    stage.line(key).room = 0;
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut task).poll_write(&mut context, b"no").is_ready());
    drop(task);
    stage.connections.rung(&mut stage.driver, key);
    assert_eq!(stage.line(key).end, None);
    assert_eq!(diary.read(), ["dropped after 0"]);
    stage.make_room(key, usize::MAX);
    assert_eq!(stage.sent(key), b"no");
    assert_eq!(stage.line(key).end, Some(End::Closed));
}
