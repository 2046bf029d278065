//! History: live after replay, without gap or duplicate.

use proptest::prelude::*;

use super::support::World;
use crate::hub::{History, HubConfig};

fn world(workers: usize) -> World {
    World::with(
        workers,
        HubConfig {
            history: vec![("t".to_owned(), History::new(1000, 1 << 20))],
            ..HubConfig::default()
        },
    )
}

#[test]
fn a_subscriber_is_sent_the_last_messages_first() {
    let mut world = world(1);
    let worker = &mut world.workers[0];
    for number in 0..5 {
        worker.publish("t", &number.to_string());
    }
    worker.publish("not kept", "x");
    let (all, some, none) = (worker.open(), worker.open(), worker.open());
    worker.subscribe_with(all, "t", 100).unwrap();
    worker.subscribe_with(some, "t", 2).unwrap();
    worker.subscribe_with(none, "t", 0).unwrap();
    worker.subscribe_with(none, "not kept", 5).unwrap();
    worker.publish("t", "5");
    worker.turn();
    assert_eq!(worker.heard(all), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(worker.heard(some), ["3", "4", "5"]);
    assert_eq!(worker.heard(none), ["5"]);
    assert_eq!(world.publisher.history("t", 2).len(), 2);
}

#[derive(Clone, Debug)]
enum Step {
    Publish(usize),
    PublishFromOutside,
    Subscribe(usize),
    TakeMail(usize),
    Turn(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize).prop_map(Step::Publish),
        3 => Just(Step::PublishFromOutside),
        2 => (0..3_usize).prop_map(Step::Subscribe),
        1 => (0..3_usize).prop_map(Step::TakeMail),
        2 => (0..3_usize).prop_map(Step::Turn),
    ]
}

proptest! {
    #[test]
    fn whoever_subscribes_at_any_moment_hears_each_message_once(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut world = world(3);
        let (mut count, mut slots) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Publish(worker) => {
                    world.workers[worker].publish("t", &count.to_string());
                    count += 1;
                }
                Step::PublishFromOutside => {
                    let text = count.to_string();
                    world.publisher.publish("t", sockeye_proto::Message::Text(&text)).unwrap();
                    count += 1;
                }
                Step::Subscribe(at) => {
                    let worker = &mut world.workers[at];
                    let slot = worker.open();
                    worker.subscribe_with(slot, "t", usize::MAX).unwrap();
                    slots.push((at, slot));
                }
                Step::TakeMail(worker) => world.workers[worker].take_mail(),
                Step::Turn(worker) => world.workers[worker].turn(),
            }
        }
        world.settle();
        for (worker, slot) in slots {
            let mut heard: Vec<usize> =
                world.workers[worker].heard(slot).iter().map(|text| text.parse().unwrap()).collect();
            heard.sort_unstable();
            prop_assert_eq!(heard, (0..count).collect::<Vec<_>>());
        }
    }
}
