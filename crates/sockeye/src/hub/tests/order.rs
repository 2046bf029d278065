//! Who gets what, and in which order.

use sockeye_proto::deflate::Deflate;

use super::support::World;
use crate::hub::batch::LARGE;

#[test]
fn every_subscriber_gets_what_is_published_and_nobody_else() {
    let mut worker = World::one();
    let (a, b, other) = (worker.open(), worker.open(), worker.open());
    worker.subscribe(a, "t");
    worker.subscribe(b, "t");
    worker.subscribe(other, "u");
    worker.publish("t", "hello");
    worker.publish("nobody", "hello");
    worker.turn();
    assert_eq!(worker.heard(a), ["hello"]);
    assert_eq!(worker.heard(b), ["hello"]);
    assert_eq!(worker.heard(other), [""; 0]);
}

#[test]
fn a_sender_may_be_left_out() {
    let mut worker = World::one();
    let slots: Vec<_> = (0..3).map(|_| worker.open()).collect();
    for slot in &slots {
        worker.subscribe(*slot, "t");
    }
    for round in 0..3 {
        for slot in &slots {
            worker.publish_from(*slot, "t", &format!("{round} of {slot}"));
        }
    }
    worker.turn();
    for slot in &slots {
        let expected: Vec<_> = (0..3)
            .flat_map(|round| slots.iter().map(move |from| (round, *from)))
            .filter(|(_, from)| from != slot)
            .map(|(round, from)| format!("{round} of {from}"))
            .collect();
        assert_eq!(worker.heard(*slot), expected);
    }
}

#[test]
fn what_a_turn_publishes_leaves_in_one_write_per_socket() {
    let mut worker = World::one();
    let slots: Vec<_> = (0..5).map(|_| worker.open()).collect();
    for slot in &slots {
        worker.subscribe(*slot, "t");
        worker.subscribe(*slot, "u");
    }
    for number in 0..100 {
        worker.publish(["t", "u"][number % 2], "text");
    }
    worker.turn();
    for slot in slots {
        assert_eq!(worker.socket(slot).writes, 1);
        assert_eq!(worker.heard(slot).len(), 100);
    }
}

#[test]
fn topics_of_one_subscriber_keep_their_order() {
    let mut worker = World::one();
    let (both, one) = (worker.open(), worker.open());
    worker.subscribe(both, "t");
    worker.subscribe(both, "u");
    worker.subscribe(one, "t");
    for (topic, text) in [("t", "1"), ("t", "2"), ("u", "3"), ("t", "4"), ("u", "5")] {
        worker.publish(topic, text);
    }
    worker.turn();
    assert_eq!(worker.heard(both), ["1", "2", "3", "4", "5"]);
    assert_eq!(worker.heard(one), ["1", "2", "4"]);
}

#[test]
fn order_is_kept_for_who_adds_a_topic_while_messages_wait() {
    let mut worker = World::one();
    let (a, b) = (worker.open(), worker.open());
    worker.subscribe(a, "t");
    worker.subscribe(a, "other");
    worker.subscribe(b, "u");
    worker.publish("t", "1");
    worker.publish("u", "2");
    worker.subscribe(b, "t");
    worker.publish("t", "3");
    worker.turn();
    assert_eq!(worker.heard(a), ["1", "3"]);
    assert_eq!(worker.heard(b), ["2", "3"]);
}

#[test]
fn a_message_published_before_an_unsubscribe_is_delivered() {
    let mut worker = World::one();
    let (a, b) = (worker.open(), worker.open());
    worker.subscribe(a, "t");
    worker.subscribe(b, "t");
    worker.publish("t", "before");
    worker.unsubscribe(a, "t");
    worker.publish("t", "after");
    worker.turn();
    assert_eq!(worker.heard(a), ["before"]);
    assert_eq!(worker.heard(b), ["before", "after"]);
}

#[test]
fn a_message_published_before_a_subscribe_is_not_delivered() {
    let mut worker = World::one();
    let (a, b) = (worker.open(), worker.open());
    worker.subscribe(a, "t");
    worker.publish("t", "before");
    worker.subscribe(b, "t");
    worker.publish("t", "between");
    worker.unsubscribe(b, "t");
    worker.publish("t", "without");
    worker.subscribe(b, "t");
    worker.publish("t", "after");
    worker.turn();
    assert_eq!(worker.heard(a), ["before", "between", "without", "after"]);
    assert_eq!(worker.heard(b), ["between", "after"]);
}

#[test]
fn what_a_handler_sends_stands_where_it_was_sent() {
    let mut worker = World::one();
    let (a, b) = (worker.open(), worker.open());
    worker.subscribe(a, "t");
    worker.subscribe(b, "t");
    worker.publish("t", "1");
    worker.send(a, "2");
    worker.send(a, "3");
    worker.publish("t", "4");
    worker.turn();
    assert_eq!(worker.heard(a), ["1", "2", "3", "4"]);
    assert_eq!(worker.heard(b), ["1", "4"]);
    assert_eq!(worker.socket(a).writes, 1);
}

#[test]
fn a_topic_that_vanishes_and_comes_back_within_a_turn_is_a_new_one() {
    let mut worker = World::one();
    let (a, b) = (worker.open(), worker.open());
    worker.subscribe(a, "t");
    worker.publish("t", "for a");
    worker.close(a);
    worker.subscribe(b, "u");
    worker.publish("u", "for b");
    worker.subscribe(b, "t");
    worker.publish("t", "for b too");
    worker.turn();
    assert_eq!(worker.heard(b), ["for b", "for b too"]);
}

#[test]
fn a_socket_in_the_place_of_another_gets_none_of_its_messages() {
    let mut worker = World::one();
    let (a, other) = (worker.open(), worker.open());
    worker.subscribe(a, "t");
    worker.subscribe(other, "t");
    worker.publish("t", "for the first");
    worker.close(a);
    let b = worker.open();
    assert_eq!(a, b);
    worker.turn();
    assert_eq!(worker.heard(b), [""; 0]);
    worker.publish("t", "for the first again");
    worker.subscribe(b, "t");
    worker.publish("t", "for the second");
    worker.turn();
    assert_eq!(worker.heard(b), ["for the second"]);
}

#[test]
fn large_messages_stand_between_small_ones() {
    let mut worker = World::one();
    let (a, b) = (worker.open(), worker.open());
    worker.subscribe(a, "t");
    worker.subscribe(b, "t");
    let large = "x".repeat(LARGE);
    for text in ["1", &large, "2", "3", &large] {
        worker.publish_from(b, "t", text);
    }
    worker.turn();
    assert_eq!(worker.heard(a), ["1", &large, "2", "3", &large]);
    assert_eq!(worker.heard(b), [""; 0]);
}

#[test]
fn compressed_and_plain_subscribers_get_the_same_messages() {
    let mut worker = World::one();
    let (no_takeover, _) = Deflate::default().accept(&Deflate::default().offer()).unwrap();
    let takeover = sockeye_proto::deflate::Parameters {
        server_no_context_takeover: false,
        ..no_takeover
    };
    let eager = Deflate {
        threshold: 10,
        ..Deflate::default()
    };
    let slots = [
        worker.open(),
        worker.open_with(Some((&eager, no_takeover))),
        worker.open_with(Some((&eager, takeover))),
        worker.open_with(Some((&eager, takeover))),
        worker.open_with(Some((&Deflate::default(), takeover))),
    ];
    for slot in slots {
        worker.subscribe(slot, "t");
    }
    let text = "a text that is long enough to be compressed, and compressed, and compressed".repeat(8);
    let large = text.repeat(200);
    for round in 0..3 {
        for (number, text) in [&text[..], "short", &large, &text[5..]].into_iter().enumerate() {
            worker.publish("t", text);
            if number == round {
                worker.send(slots[2], &text[text.len() / 2..]);
            }
        }
        worker.turn();
        for slot in slots {
            let mut expected = vec![&text[..], "short", &large, &text[5..]];
            if slot == slots[2] {
                let sent = expected[round];
                expected.insert(round + 1, &sent[sent.len() / 2..]);
            }
            let bytes = worker.socket(slot).wire.len();
            assert_eq!(bytes < text.len() * 20, slot != slots[0], "{bytes} bytes");
            assert_eq!(worker.heard(slot), expected, "slot {slot}");
        }
    }
}

#[test]
fn nothing_is_sent_within_a_fragmented_message() {
    let mut worker = World::one();
    let a = worker.open();
    worker.subscribe(a, "t");
    worker.publish("t", "1");
    worker.send_fragment(a, "2", false);
    worker.publish("t", "3");
    worker.turn();
    assert_eq!(worker.heard(a), ["1"]);
    worker.publish("t", "4");
    worker.turn();
    assert!(worker.local.is_pending());
    worker.send_fragment(a, "b", true);
    worker.turn();
    assert_eq!(worker.heard(a), ["1", "2b", "3", "4"][1..]);
    assert!(!worker.local.is_pending());
    worker.publish("t", "5");
    worker.turn();
    assert_eq!(worker.heard(a), ["5"]);
}
