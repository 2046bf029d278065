//! Subscribers that are too slow.

use super::support::{Worker, World};
use crate::hub::batch::LARGE;
use crate::hub::{History, HubConfig, Pressure};
use crate::session::Overflow;

/// A worker with a socket whose peer takes nothing any more, and one that takes everything, both subscribed to `topics`.
fn slow_and_fast(policy: Overflow, max: usize, topics: &[&str]) -> (Worker, u32, u32) {
    let mut worker = World::one();
    let (slow, fast) = (worker.open(), worker.open());
    for slot in [slow, fast] {
        for topic in topics {
            worker.subscribe(slot, topic);
        }
    }
    let socket = worker.socket(slow);
    socket.limits = Pressure { max, policy };
    socket.window = 0;
    (worker, slow, fast)
}

fn text(number: usize) -> String {
    format!("{number:0100}")
}

fn numbers(texts: &[String]) -> Vec<usize> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn the_newest_is_dropped_and_told() {
    let (mut worker, slow, fast) = slow_and_fast(Overflow::DropNewest, 1020, &["t"]);
    for number in 0..30 {
        worker.publish("t", &text(number));
        if number % 3 == 2 {
            worker.turn();
        }
    }
    let dropped = worker.dropped();
    assert!(
        dropped
            .iter()
            .all(|(slot, topic, _)| *slot == slow && topic == "t")
    );
    let dropped: Vec<_> = dropped.into_iter().map(|(.., text)| text).collect();
    // Ten frames of 102 bytes.
    assert_eq!(numbers(&dropped), (10..30).collect::<Vec<_>>());
    assert_eq!(worker.socket(slow).waiting(), 1020);
    assert_eq!(numbers(&worker.heard(fast)), (0..30).collect::<Vec<_>>());
    worker.unblock(slow, usize::MAX);
    assert_eq!(numbers(&worker.heard(slow)), (0..10).collect::<Vec<_>>());
    worker.publish("t", "30");
    worker.turn();
    assert_eq!(numbers(&worker.heard(slow)), [30]);
    assert!(worker.dropped().is_empty());
}

#[test]
fn the_socket_is_closed_where_that_is_the_policy() {
    let (mut worker, slow, fast) = slow_and_fast(Overflow::Close, 1000, &["t"]);
    for number in 0..30 {
        worker.publish("t", &text(number));
    }
    worker.turn();
    assert!(worker.socket(slow).is_overflowed && !worker.socket(fast).is_overflowed);
    assert!(worker.socket(slow).waiting() <= 1000);
}

#[test]
fn the_oldest_are_dropped_and_the_newest_delivered() {
    let (mut worker, slow, fast) = slow_and_fast(Overflow::DropOldest, 4000, &["t"]);
    for number in 0..100 {
        worker.publish("t", &text(number));
        worker.turn();
        assert!(worker.socket(slow).waiting() + worker.local.backlog(slow) <= 4000);
    }
    let dropped: Vec<_> = worker.dropped().into_iter().map(|(.., text)| text).collect();
    worker.unblock(slow, usize::MAX);
    let heard = numbers(&worker.heard(slow));
    assert!(heard.len() > 5 && heard.ends_with(&[97, 98, 99]), "{heard:?}");
    let mut all = [heard, numbers(&dropped)].concat();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>(), "each is delivered or told of");
    assert_eq!(numbers(&worker.heard(fast)), (0..100).collect::<Vec<_>>());
    assert_eq!(worker.local.backlog(slow), 0);
    worker.publish("t", "100");
    worker.turn();
    assert_eq!(numbers(&worker.heard(slow)), [100]);
}

#[test]
fn the_latest_of_each_topic_is_kept_and_delivered_on_drain() {
    let (mut worker, slow, fast) = slow_and_fast(Overflow::KeepLatest, 10_000, &["a", "b", "c"]);
    worker.publish("a", "0");
    worker.turn();
    for number in 1..=100 {
        worker.publish(["a", "b"][number % 2], &text(number));
        worker.turn();
    }
    worker.publish("c", "101");
    worker.turn();
    assert!(worker.local.backlog(slow) < 1000);
    let dropped = worker.dropped();
    assert_eq!(dropped.len(), 98);
    worker.unblock(slow, usize::MAX);
    assert_eq!(numbers(&worker.heard(slow)), [0, 99, 100, 101]);
    assert_eq!(worker.heard(fast).len(), 102);
}

#[test]
fn what_waits_is_sent_as_far_as_there_is_room() {
    let (mut worker, slow, _) = slow_and_fast(Overflow::DropOldest, 2000, &["t"]);
    for number in 0..8 {
        worker.publish("t", &text(number));
        worker.turn();
    }
    let mut heard = Vec::new();
    for _ in 0..60 {
        worker.unblock(slow, 50);
        heard.extend(numbers(&worker.heard(slow)));
        assert!(worker.socket(slow).waiting() <= 1000 + 102);
    }
    let dropped: Vec<_> = worker.dropped().into_iter().map(|(.., text)| text).collect();
    assert_eq!(heard.len() + dropped.len(), 8);
    assert!(heard.is_sorted() && heard.ends_with(&[7]));
}

#[test]
fn one_message_may_go_beyond_the_limit_if_nothing_waits() {
    for policy in [
        Overflow::Close,
        Overflow::DropNewest,
        Overflow::DropOldest,
        Overflow::KeepLatest,
    ] {
        let (mut worker, slow, _) = slow_and_fast(policy, 1000, &["t"]);
        let large = "x".repeat(LARGE * 2);
        worker.publish("t", &large);
        worker.turn();
        assert!(worker.dropped().is_empty());
        worker.unblock(slow, usize::MAX);
        assert_eq!(worker.heard(slow), [large], "{policy:?}");
    }
}

#[test]
fn a_socket_that_is_not_behind_takes_more_in_one_turn_than_may_wait() {
    let mut worker = World::one();
    let a = worker.open();
    worker.subscribe(a, "t");
    worker.socket(a).limits = Pressure {
        max: 1000,
        policy: Overflow::DropNewest,
    };
    for number in 0..5000 {
        worker.publish("t", &text(number));
    }
    worker.turn();
    assert!(worker.dropped().is_empty());
    assert_eq!(numbers(&worker.heard(a)), (0..5000).collect::<Vec<_>>());
}

#[test]
fn memory_of_a_slow_subscriber_stays_within_its_limit() {
    for policy in [Overflow::DropNewest, Overflow::DropOldest, Overflow::KeepLatest] {
        let max = 100_000;
        let (mut worker, slow, fast) = slow_and_fast(policy, max, &["t", "u"]);
        for number in 0..2000 {
            worker.publish(["t", "u"][number % 2], &"x".repeat(number * 7 % 3000));
            if number % 10 == 0 {
                worker.turn();
                let waiting = worker.socket(slow).waiting() + worker.local.backlog(slow);
                assert!(waiting <= max, "{policy:?}: {waiting}");
                while worker.local.next_dropped().is_some() {}
            }
        }
        worker.turn();
        assert_eq!(worker.heard(fast).len(), 2000);
        // What the peer of the other one did not take is gone with it.
        worker.close(slow);
        assert_eq!(worker.local.backlog(slow), 0);
    }
}

#[test]
fn what_is_replayed_has_the_same_limits() {
    for policy in [
        Overflow::DropNewest,
        Overflow::Close,
        Overflow::DropOldest,
        Overflow::KeepLatest,
    ] {
        let config = HubConfig {
            history: vec![("t".to_owned(), History::new(1000, 1 << 20))],
            ..HubConfig::default()
        };
        let mut worker = World::with(1, config).workers.remove(0);
        for number in 0..30 {
            worker.publish("t", &text(number));
        }
        worker.turn();
        let slow = worker.open();
        let socket = worker.socket(slow);
        socket.limits = Pressure { max: 1020, policy };
        socket.window = 0;
        for _ in 0..5 {
            worker.subscribe_with(slow, "t", 100).unwrap();
            worker.unsubscribe(slow, "t").unwrap();
            let waits = worker.socket(slow).waiting() + worker.local.backlog(slow);
            assert!(waits <= 1020, "{policy:?}: {waits}");
            worker.turn();
        }
        assert!(!worker.dropped().is_empty(), "{policy:?}: who asked is told");
        assert_eq!(worker.socket(slow).is_overflowed, policy == Overflow::Close);
    }
}
