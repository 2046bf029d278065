//! Peers that take less than they are sent.

use super::*;
use crate::Overflow;

fn queues() -> QueueLimits {
    QueueLimits {
        send: 10_000,
        high_water: 5_000,
        low_water: 1_000,
        ..QueueLimits::default()
    }
}

#[test]
fn water_marks_tell_when_to_hold_back_and_when_to_go_on() {
    let (mut stage, key, diary) = opened(with_queues(queues()));
    stage.line(key).room = 0;
    stage.receive(key, &text("pour 3000"));
    stage.receive(key, &text("pour 3000"));
    stage.receive(key, &text("pour 6000"));
    stage.receive(key, &text("pour 1"));
    assert_eq!(
        diary.read(),
        [
            "Sent 3004",
            "Buffered 6008",
            "Buffered 12012",
            // Over the limit: one message may go beyond it, the next one is not taken.
            "Dropped 12012"
        ]
    );
    stage.make_room(key, 11_000);
    assert!(diary.read().is_empty());
    stage.make_room(key, 100);
    assert_eq!(diary.read(), ["drain 912"]);
    stage.make_room(key, usize::MAX);
    let sent = stage.sent(key);
    let lens: Vec<_> = frames(&sent).iter().map(|(_, payload)| payload.len()).collect();
    assert_eq!(lens, [3000, 3000, 6000]);
    assert!(diary.read().is_empty());
}

#[test]
fn a_system_that_takes_little_at_once_gets_everything_in_order() {
    let payload: Vec<u8> = (0..200_000u32).map(|at| at as u8).collect();
    let mut expected = Vec::new();
    let (mut stage, key, _) = opened(Settings::default());
    stage.line(key).at_once = 7_001;
    stage.line(key).room = 10_000;
    for len in [20, 20_000, 1, 70_000, 300, 110_000] {
        stage.receive(key, &binary(&payload[..len]));
        expected.push((0x82, payload[..len].to_vec()));
    }
    for _ in 0..10 {
        stage.make_room(key, 33_333);
    }
    assert!(frames(&stage.sent(key)) == expected);
}

#[test]
fn a_large_message_is_not_kept_if_the_system_takes_it() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.receive(key, &text("pour 1000000"));
    assert_eq!(diary.read(), ["Sent 0"]);
    assert_eq!(frames(&stage.sent(key))[0].1.len(), 1_000_000);
}

#[test]
fn a_peer_that_takes_nothing_is_dropped_after_the_write_timeout() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.line(key).room = 2;
    stage.receive(key, &text("stuck"));
    stage.pass(millis(9_000));
    // Any byte starts the clock anew.
    stage.make_room(key, 1);
    stage.pass(millis(9_900));
    assert!(diary.read().is_empty());
    stage.pass(millis(300));
    let notes = diary.read();
    assert_eq!(notes[0], "close 1006 \"\" false: the peer took no data for 10s");
    assert_eq!(stage.line(key).end, Some(End::Reset));
    assert_eq!(stage.connections.slots.len(), 0);
}

#[test]
fn a_peer_that_takes_part_of_much_is_dropped_after_the_write_timeout_too() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.line(key).room = 100;
    // So much that it is given to the system before the callback returns.
    stage.receive(key, &text("pour 300000"));
    diary.read();
    stage.pass(millis(9_900));
    assert!(diary.read().is_empty());
    stage.pass(millis(300));
    let notes = diary.read();
    assert_eq!(notes[0], "close 1006 \"\" false: the peer took no data for 10s");
    assert_eq!(stage.line(key).end, Some(End::Reset));
}

#[test]
fn a_slow_peer_delays_no_other() {
    let (mut stage, slow, _) = opened(Settings::default());
    let other = stage.open();
    stage.line(slow).room = 0;
    stage.receive(slow, &text("pour 500000"));
    stage.receive(other, &text("quick"));
    assert_eq!(frames(&stage.sent(other)), [(0x81, b"quick!".to_vec())]);
}

#[test]
fn overflow_may_close_the_connection() {
    let (mut stage, key, diary) = opened(with_queues(QueueLimits {
        overflow: Overflow::Close,
        ..queues()
    }));
    stage.line(key).room = 0;
    stage.receive(key, &text("pour 12000"));
    stage.receive(key, &text("pour 1"));
    let notes = diary.read();
    assert_eq!(notes[..2], ["Buffered 12004", "Dropped 12030"]);
    assert_eq!(notes[2], "close 1008 \"too much waits for you\" false");
    stage.make_room(key, usize::MAX);
    let sent = frames(&stage.sent(key));
    assert_eq!(sent[0].1.len(), 12_000);
    assert_eq!(sent[1], (0x88, close_body(1008, "too much waits for you")));
}

fn dropping(overflow: Overflow) -> Settings {
    with_queues(QueueLimits { overflow, ..queues() })
}

#[test]
fn the_oldest_of_what_a_handler_sends_is_dropped_where_that_is_the_policy() {
    let (mut stage, key, diary) = opened(dropping(Overflow::DropOldest));
    stage.line(key).room = 0;
    for order in ["pour 3000", "pour 2900", "pour 2000"] {
        stage.receive(key, &text(order));
    }
    // Of 10,000 bytes half are for messages that can be dropped, each counted with 160 of its own.
    assert_eq!(
        diary.read(),
        ["Sent 3004", "Buffered 6064", "Buffered 5164", "dropped 2900"]
    );
    stage.make_room(key, usize::MAX);
    let sent = frames(&stage.sent(key));
    let lens: Vec<_> = sent.iter().map(|(_, payload)| payload.len()).collect();
    assert_eq!(lens, [3000, 2000]);
    assert_eq!(diary.read(), ["drain 0"]);
}

#[test]
fn what_a_handler_sends_has_no_topic_and_is_not_replaced() {
    let (mut stage, key, diary) = opened(dropping(Overflow::KeepLatest));
    stage.line(key).room = 0;
    for len in 1000..1004 {
        stage.receive(key, &text(&format!("pour {len}")));
    }
    stage.make_room(key, usize::MAX);
    let sent = frames(&stage.sent(key));
    let lens: Vec<_> = sent.iter().map(|(_, payload)| payload.len()).collect();
    assert_eq!(lens, [1000, 1001, 1002, 1003]);
    assert_eq!(diary.read().last().unwrap(), "drain 0");
}

#[test]
fn what_may_still_be_dropped_is_sent_before_a_close() {
    for order in ["close bye", "leave bye"] {
        let (mut stage, key, _) = opened(dropping(Overflow::DropOldest));
        stage.line(key).room = 0;
        for order in ["pour 3000", "pour 2000", order] {
            stage.receive(key, &text(order));
        }
        stage.make_room(key, usize::MAX);
        let sent = frames(&stage.sent(key));
        let lens: Vec<_> = sent.iter().map(|(_, payload)| payload.len()).collect();
        assert_eq!(lens, [3000, 2000, 5], "{order}");
        assert_eq!(sent[2].0, 0x88);
    }
}

#[test]
fn a_handle_is_told_by_the_handler_that_its_message_was_dropped() {
    let (mut stage, key, diary) = opened(with_queues(queues()));
    stage.line(key).room = 0;
    stage.receive(key, &text("pour 12000"));
    assert_eq!(diary.read(), ["Buffered 12004"]);
    stage.handle(key).send("four").unwrap();
    stage.turn();
    assert_eq!(diary.read(), ["dropped 4"]);
}

#[test]
fn pings_of_a_peer_that_reads_nothing_do_not_pile_up() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.line(key).room = 0;
    for at in 0..500u32 {
        stage.receive(key, &frame(0x89, &at.to_be_bytes()));
    }
    assert_eq!(diary.read().len(), 500);
    stage.make_room(key, usize::MAX);
    let pongs = frames(&stage.sent(key));
    // The first was under way when the system took no more; after that the newest Ping is answered.
    assert_eq!(pongs.len(), 2);
    assert_eq!(pongs[1], (0x8A, 499u32.to_be_bytes().to_vec()));
}

#[test]
fn close_after_flush_lets_everything_out_first() {
    let (mut stage, key, diary) = opened(Settings::default());
    stage.line(key).room = 10;
    stage.receive(key, &[text("pour 50000"), text("leave")].concat());
    let notes = diary.read();
    assert_eq!(notes[1..3], ["then Dropped", "close 4001 \"\" false"]);
    assert_eq!(stage.line(key).end, None);
    stage.make_room(key, usize::MAX);
    let sent = frames(&stage.sent(key));
    assert_eq!((sent[0].1.len(), sent.len()), (50_000, 2));
    assert_eq!(sent[1], (0x88, close_body(4001, "")));
    stage.end(key);
    assert_eq!(stage.line(key).end, Some(End::ShutDown));
}

#[test]
fn a_peer_that_takes_nothing_of_a_large_message_is_dropped_though_nothing_else_happens() {
    let queues = QueueLimits {
        write_timeout: millis(2000),
        ..QueueLimits::default()
    };
    // Some of it is given to the driver before the callback returns.
    for room in [0, 10, 90_000] {
        let (mut stage, key, diary) = opened(with_queues(queues.clone()));
        stage.line(key).room = room;
        stage.receive(key, &binary(&[7; 100_000]));
        stage.pass(millis(1500));
        assert_eq!(stage.line(key).end, None, "{room}");
        stage.pass(millis(1000));
        assert_eq!(stage.line(key).end, Some(End::Reset), "{room}");
        assert!(
            diary.read().iter().any(|note| note.starts_with("close 1006")),
            "{room}"
        );
    }
}
