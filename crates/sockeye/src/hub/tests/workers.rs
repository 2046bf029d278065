//! More workers than one, and publishers on other threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sockeye_proto::{Compress, Message};

use super::support::World;
use crate::hub::{HubConfig, PublishError};

#[test]
fn every_worker_hears_what_is_published_on_any_or_outside() {
    let mut world = World::new(3);
    let slots: Vec<_> = world
        .workers
        .iter_mut()
        .map(|worker| {
            let slot = worker.open();
            worker.subscribe(slot, "t");
            slot
        })
        .collect();
    world.workers[0].publish_from(slots[0], "t", "from the first");
    world.workers[2].publish("t", "from the third");
    world.settle();
    world
        .publisher
        .publish("t", Message::Text("from outside"))
        .unwrap();
    world.settle();
    let heard: Vec<_> = (0..3)
        .map(|number| {
            let mut heard = world.workers[number].heard(slots[number]);
            heard.sort();
            heard
        })
        .collect();
    let all = ["from outside", "from the first", "from the third"];
    assert_eq!(heard, [vec![all[0], all[2]], all.to_vec(), all.to_vec()]);
}

#[test]
fn what_a_handle_publishes_reaches_every_worker_in_order_and_not_its_own_socket() {
    let config = HubConfig {
        history: vec![("kept".to_owned(), crate::hub::History::default())],
        ..HubConfig::default()
    };
    let mut world = World::with(2, config);
    let own = world.workers[0].open();
    let slots = [world.workers[0].open(), world.workers[1].open()];
    for topic in ["t", "kept"] {
        world.workers[0].subscribe(own, topic);
        for (worker, slot) in world.workers.iter_mut().zip(slots) {
            worker.subscribe(slot, topic);
        }
        let mut expected = Vec::new();
        for number in 0..100 {
            let text = format!("{topic} {number}");
            let hub = world.workers[0].local.shared();
            let post = hub.post_to(topic, Message::Text(&text).into(), Compress::Auto);
            // Handed over by any thread, in this order.
            world.workers[0].local.publish_post(own, post.unwrap());
            expected.push(text);
        }
        world.settle();
        assert!(world.workers[0].heard(own).is_empty());
        for (worker, slot) in world.workers.iter_mut().zip(slots) {
            assert_eq!(worker.heard(slot), expected);
        }
    }
    assert_eq!(world.publisher.history("kept", 1)[0].as_bytes(), b"kept 99");
}

#[test]
fn a_message_of_a_handle_needs_room_when_it_is_handed_over() {
    let config = HubConfig {
        max_in_transit: 1000,
        ..HubConfig::default()
    };
    let mut worker = World::with(1, config).workers.remove(0);
    let slot = worker.open();
    let hub = worker.local.shared();
    let post = |text: &str| hub.post_to("t", Message::Text(text).into(), Compress::Auto);
    let first = post("first").unwrap();
    let waiting: Vec<_> = std::iter::from_fn(|| post("x").ok()).collect();
    assert_eq!(waiting.len(), 2);
    assert!(matches!(post("x"), Err(PublishError::Full)));
    worker.local.publish_post(slot, first);
    assert!(post("x").is_ok());
}

#[test]
fn counts_and_lists_are_of_all_workers() {
    let mut world = World::new(2);
    for worker in &mut world.workers {
        let slot = worker.open();
        worker.subscribe(slot, "t");
    }
    let slot = world.workers[1].open();
    let change = world.workers[1].subscribe(slot, "t").unwrap();
    assert_eq!((change.old, change.new), (2, 3));
    world.workers[1].subscribe(slot, "u");
    assert_eq!(world.publisher.num_subscribers("t"), 3);
    let mut topics: Vec<_> = world
        .publisher
        .topics()
        .map(|(topic, count)| (topic.to_string(), count))
        .collect();
    topics.sort();
    assert_eq!(topics, [("t".to_owned(), 3), ("u".to_owned(), 1)]);
    world.workers[1].close(slot);
    assert_eq!(world.publisher.num_subscribers("t"), 2);
    assert_eq!(world.publisher.topics().len(), 1);
}

#[test]
fn patterns_on_another_worker_are_matched_there() {
    let config = HubConfig {
        wildcards: true,
        ..HubConfig::default()
    };
    let mut world = World::with(2, config);
    let slot = world.workers[1].open();
    world.workers[1].subscribe(slot, "a/+");
    world.workers[0].publish("a/b", "1");
    world.publisher.publish("a/c", Message::Text("2")).unwrap();
    world.workers[0].publish("b", "3");
    world.settle();
    let mut heard = world.workers[1].heard(slot);
    heard.sort();
    assert_eq!(heard, ["1", "2"]);
}

#[test]
fn workers_without_subscribers_are_left_alone() {
    let mut world = World::new(2);
    let slot = world.workers[0].open();
    world.workers[0].subscribe(slot, "t");
    world.workers[0].publish("t", "x");
    assert!(world.workers[0].local.is_pending());
    world.workers[0].turn();
    assert!(!world.workers[0].local.is_pending());
    world.workers[1].publish("nobody", "x");
    assert!(!world.workers[1].local.is_pending());
}

#[test]
fn too_much_on_its_way_is_refused_whole_and_room_comes_back() {
    let config = HubConfig {
        max_in_transit: 10 * (100 + 256),
        ..HubConfig::default()
    };
    let mut world = World::with(2, config);
    let slots: Vec<_> = (0..2)
        .map(|number| {
            let slot = world.workers[number].open();
            world.workers[number].subscribe(slot, "t");
            slot
        })
        .collect();
    let text = "x".repeat(100);
    for _ in 0..5 {
        world.publisher.publish("t", Message::Text(&text)).unwrap();
        world.workers[0].publish("t", &text);
    }
    assert_eq!(
        world.publisher.publish("t", Message::Text(&text)),
        Err(PublishError::Full)
    );
    assert_eq!(
        world.workers[0].try_publish(None, "t", &text),
        Err(PublishError::Full)
    );
    world.settle();
    for (worker, slot) in world.workers.iter_mut().zip(slots) {
        assert_eq!(worker.heard(slot).len(), 10);
    }
    // A message larger than all the room goes alone.
    world
        .publisher
        .publish("t", Message::Text(&"x".repeat(10_000)))
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_can_wait_waits_for_room() {
    let config = HubConfig {
        max_in_transit: 500,
        ..HubConfig::default()
    };
    let mut world = World::with(1, config);
    let slot = world.workers[0].open();
    world.workers[0].subscribe(slot, "t");
    let publisher = world.publisher.clone();
    let publish = |text: &'static str| publisher.publish_when_ready("t", Message::Text(text));
    publish("1").await.unwrap();
    let mut second = Box::pin(publish("2"));
    let waited = tokio::time::timeout(Duration::from_secs(1), &mut second).await;
    assert!(waited.is_err());
    world.settle();
    second.await.unwrap();
    world.settle();
    assert_eq!(world.workers[0].heard(slot), ["1", "2"]);
}

#[test]
fn order_is_kept_per_publisher_across_threads() {
    const MESSAGES: usize = 2000;
    let mut world = World::new(3);
    let mut slots = Vec::new();
    for worker in &mut world.workers {
        let slot = worker.open();
        worker.subscribe(slot, "t");
        slots.push(slot);
    }
    let publisher = world.publisher.clone();
    let is_over = Arc::new(AtomicBool::new(false));
    let heard: Vec<Vec<String>> = std::thread::scope(|scope| {
        let workers: Vec<_> = world
            .workers
            .iter_mut()
            .zip(&slots)
            .enumerate()
            .map(|(number, (worker, slot))| {
                let is_over = Arc::clone(&is_over);
                scope.spawn(move || {
                    let mut heard = Vec::new();
                    let mut sent = 0;
                    loop {
                        let was_over = is_over.load(Ordering::Acquire);
                        for _ in 0..7 {
                            if sent < MESSAGES {
                                worker.publish("t", &format!("{number} {sent}"));
                                sent += 1;
                            }
                        }
                        worker.turn();
                        heard.extend(worker.heard(*slot));
                        if heard.len() >= 5 * MESSAGES || was_over {
                            return heard;
                        }
                    }
                })
            })
            .collect();
        for name in ["x", "y"] {
            let publisher = publisher.clone();
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    let text = format!("{name} {number}");
                    while publisher.publish("t", Message::Text(&text)) == Err(PublishError::Full) {
                        std::thread::yield_now();
                    }
                }
            });
        }
        let heard = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        is_over.store(true, Ordering::Release);
        heard
    });
    for heard in heard {
        assert_eq!(heard.len(), 5 * MESSAGES);
        for name in ["0", "1", "2", "x", "y"] {
            let numbers: Vec<usize> = heard
                .iter()
                .filter_map(|text| text.strip_prefix(name)?.trim_start().parse().ok())
                .collect();
            assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>(), "publisher {name}");
        }
    }
}
