//! Subscribing: counts, limits, patterns.

use super::support::World;
use crate::hub::{HubConfig, Missed, PublishError, SubscribeError, TopicError};

#[test]
fn every_change_of_a_topic_tells_both_counts() {
    let mut worker = World::one();
    let (a, b) = (worker.open(), worker.open());
    let counts = |change: Option<crate::hub::Change>| change.map(|change| (change.old, change.new));
    assert_eq!(counts(worker.subscribe(a, "t")), Some((0, 1)));
    assert_eq!(counts(worker.subscribe(a, "t")), None);
    assert_eq!(counts(worker.subscribe(b, "t")), Some((1, 2)));
    worker.subscribe(b, "u");
    assert_eq!(worker.local.num_subscribers("t"), 2);
    assert_eq!(counts(worker.unsubscribe(a, "t")), Some((2, 1)));
    assert_eq!(counts(worker.unsubscribe(a, "t")), None);
    assert_eq!(counts(worker.unsubscribe(a, "nobody")), None);
    let mut topics: Vec<_> = worker.local.topics_of(b).map(|topic| topic.to_string()).collect();
    topics.sort();
    assert_eq!(topics, ["t", "u"]);
    let changes = worker.close(b);
    assert_eq!(changes.len(), 2);
    assert!(changes.iter().all(|change| (change.old, change.new) == (1, 0)));
    assert_eq!(worker.local.num_subscribers("t"), 0);
}

#[test]
fn a_socket_has_at_most_the_configured_number_of_topics() {
    let mut worker = World::one();
    let a = worker.open();
    for number in 0..128 {
        worker.subscribe(a, &format!("topic {number}"));
    }
    assert_eq!(
        worker.subscribe_with(a, "one more", 0),
        Err(SubscribeError::Limit(128))
    );
    assert_eq!(worker.subscribe_with(a, "topic 5", 0), Ok(None));
    worker.unsubscribe(a, "topic 5");
    assert!(worker.subscribe_with(a, "one more", 0).is_ok());
    assert!(worker.local.is_subscribed(a, "one more") && !worker.local.is_subscribed(a, "topic 5"));
}

#[test]
fn names_are_checked_where_they_come_in() {
    let mut world = World::new(1);
    let worker = &mut world.workers[0];
    let a = worker.open();
    let wildcard = TopicError::Wildcard;
    assert_eq!(worker.subscribe_with(a, "t/+", 0), Err(wildcard.into()));
    assert_eq!(worker.subscribe_with(a, "", 0), Err(TopicError::Empty.into()));
    assert_eq!(worker.try_publish(None, "t/#", ""), Err(wildcard.into()));
    assert_eq!(
        worker.try_publish(None, "\n", ""),
        Err(TopicError::ControlCharacter.into())
    );
    let message = || sockeye_proto::Message::Text("x");
    assert_eq!(
        world.publisher.publish("#", message()),
        Err(PublishError::Topic(wildcard))
    );
}

fn with_wildcards() -> World {
    World::with(
        1,
        HubConfig {
            wildcards: true,
            ..HubConfig::default()
        },
    )
}

#[test]
fn patterns_get_what_matches_once() {
    let mut world = with_wildcards();
    let worker = &mut world.workers[0];
    let slots: Vec<_> = (0..4).map(|_| worker.open()).collect();
    for (slot, filters) in slots
        .iter()
        .zip([&["a/b", "a/+", "#"][..], &["a/#", "+/b"], &["a/b"], &["+"]])
    {
        for filter in filters {
            worker.subscribe(*slot, filter);
        }
    }
    for (topic, text) in [("a/b", "1"), ("a", "2"), ("a/b", "3"), ("c/b", "4"), ("a/c", "5")] {
        worker.publish(topic, text);
    }
    worker.publish_from(slots[0], "a/b", "6");
    worker.turn();
    assert_eq!(worker.heard(slots[0]), ["1", "2", "3", "4", "5"]);
    assert_eq!(worker.heard(slots[1]), ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(worker.heard(slots[2]), ["1", "3", "6"]);
    assert_eq!(worker.heard(slots[3]), ["2"]);
    assert_eq!(
        worker.try_publish(None, "a/+", "x"),
        Err(TopicError::Wildcard.into())
    );
}

#[test]
fn order_is_kept_when_patterns_come_and_go() {
    let mut world = with_wildcards();
    let worker = &mut world.workers[0];
    let (exact, wild) = (worker.open(), worker.open());
    worker.subscribe(exact, "t");
    worker.publish("t", "1");
    worker.subscribe(wild, "#");
    worker.publish("t", "2");
    worker.publish("t", "3");
    worker.unsubscribe(wild, "#");
    worker.publish("t", "4");
    worker.turn();
    assert_eq!(worker.heard(exact), ["1", "2", "3", "4"]);
    assert_eq!(worker.heard(wild), ["2", "3"]);
    worker.publish("t", "5");
    worker.turn();
    assert_eq!(worker.heard(exact), ["5"]);
    assert_eq!(worker.heard(wild), [""; 0]);
}

#[tokio::test]
async fn who_looks_on_too_late_is_told_how_much_was_missed() {
    let mut world = World::new(1);
    let mut changes = world.publisher.changes();
    let worker = &mut world.workers[0];
    let a = worker.open();
    for _ in 0..600 {
        worker.subscribe(a, "t");
        worker.unsubscribe(a, "t");
    }
    assert_eq!(changes.next().await, Err(Missed(1200 - 1024)));
    let mut counts = Vec::new();
    for _ in 0..1024 {
        let change = changes.next().await.unwrap().unwrap();
        counts.push((change.old, change.new));
    }
    assert_eq!(counts, [(0, 1), (1, 0)].repeat(512));
    drop(world);
    assert_eq!(changes.next().await, Ok(None));
}
