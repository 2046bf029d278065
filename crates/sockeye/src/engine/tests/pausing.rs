//! Pauses: what came before the peer knew of them is kept, comes in order, and comes before the end.

use allocation_counter::measure;

use super::super::mailbox::Order;
use super::*;
use crate::driver::{Key, Owner};

/// Several things that a driver tells in one turn.
fn receive_in_one_turn(stage: &mut Stage, key: Key, parts: &[&[u8]], ends: bool) {
    let Stage {
        driver, connections, ..
    } = stage;
    for part in parts {
        connections.received(driver, key, &mut part.to_vec());
    }
    if ends {
        connections.ended(driver, key);
    }
    stage.turn();
}

fn texts(stage: &mut Stage, key: Key) -> Vec<String> {
    let sent = frames(&stage.sent(key));
    let texts = sent.into_iter().filter(|(first, _)| *first == 0x81);
    texts
        .map(|(_, payload)| String::from_utf8(payload).unwrap())
        .collect()
}

#[test]
fn a_message_and_a_close_that_came_with_the_end_are_told_after_the_pause() {
    let (mut stage, key, diary) = opened(Settings::default());
    let first = [text("one"), text("pause"), text("two")].concat();
    receive_in_one_turn(&mut stage, key, &[&first, &close(1000, "bye")], true);
    assert_eq!(texts(&mut stage, key), ["one!"]);
    assert!(diary.read().is_empty());
    assert_eq!(stage.line(key).end, None);
    stage.resume(key);
    let expected = [(0x81, b"two!".to_vec()), (0x88, close_body(1000, "bye"))];
    assert_eq!(frames(&stage.sent(key)), expected);
    assert_eq!(diary.read(), ["close 1000 \"bye\" true", "dropped after 3"]);
    // Nobody is waited for: the peer has ended its direction.
    assert_eq!(stage.line(key).end, Some(End::Closed));
    assert_eq!(stage.connections.slots.len(), 0);
}

#[test]
fn an_end_without_a_close_is_told_behind_the_last_message_whatever_pauses_there_are() {
    let (mut stage, key, diary) = opened(Settings::default());
    let bytes = [
        text("pause"),
        text("one"),
        text("pause"),
        text("two"),
        text("nap x"),
        text("three"),
    ]
    .concat();
    receive_in_one_turn(&mut stage, key, &[&bytes], true);
    stage.resume(key);
    assert_eq!(texts(&mut stage, key), ["one!"]);
    assert!(diary.read().is_empty());
    stage.resume(key);
    stage.turn();
    assert_eq!(texts(&mut stage, key), ["two!", "three!"]);
    let notes = diary.read();
    assert!(notes[0].starts_with("close 1006 \"\" false: "), "{notes:?}");
    assert_eq!(notes[1..], ["dropped after 6"]);
    assert_eq!(stage.connections.slots.len(), 0);
}

#[test]
fn an_end_that_comes_before_the_kept_is_read_is_told_behind_it() {
    let (mut stage, key, diary) = opened(Settings::default());
    let first = [text("nap x"), text("one")].concat();
    receive_in_one_turn(&mut stage, key, &[&first], true);
    assert_eq!(texts(&mut stage, key), ["one!"]);
    assert!(diary.read()[0].starts_with("close 1006 \"\" false: "));
    assert_eq!(stage.connections.slots.len(), 0);
}

#[test]
fn who_closes_during_a_pause_waits_for_no_peer_that_has_left() {
    let close_after_flush = || Order::CloseAfterFlush(crate::CloseCode::NORMAL, "".into());
    for (order, code) in [(close_after_flush(), 1000), (Order::Abort, 1006)] {
        let (mut stage, key, diary) = opened(Settings::default());
        let bytes = [text("pause"), text("unread")].concat();
        receive_in_one_turn(&mut stage, key, &[&bytes], true);
        stage.order(key, order);
        let notes = diary.read();
        assert!(notes[0].starts_with(&format!("close {code} ")), "{notes:?}");
        assert!(stage.line(key).end.is_some());
        assert_eq!(stage.connections.slots.len(), 0);
    }
}

#[test]
fn what_comes_in_the_turn_of_a_resumption_is_read_behind_what_was_kept() {
    let (mut stage, key, diary) = opened(Settings::default());
    let first = [text("nap x"), text("one"), text("two")].concat();
    receive_in_one_turn(&mut stage, key, &[&first, &text("three"), &text("four")], false);
    assert_eq!(texts(&mut stage, key), ["one!", "two!", "three!", "four!"]);
    assert!(stage.line(key).receives);
    assert!(diary.read().is_empty());
}

#[test]
fn a_pause_at_each_message_copies_the_rest_once() {
    const MESSAGES: usize = 2000;
    let (mut stage, key, _) = opened(Settings::default());
    let bytes = text("pause").repeat(MESSAGES);
    let kept = bytes.len();
    let cost = measure(|| {
        stage.receive(key, &bytes);
        for _ in 1..MESSAGES {
            assert!(!stage.line(key).receives);
            stage.resume(key);
        }
    });
    // The test's own copy, what is kept of it, and some small change; not half of it for each message.
    assert!(cost.bytes_total < 4 * kept as u64, "{cost:?}");
    stage.resume(key);
    assert!(stage.line(key).receives);
}
