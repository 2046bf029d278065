//! Any sequence of steps, against lists that are kept the simple way.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::support::World;
use crate::hub::HubConfig;

#[derive(Clone, Debug)]
enum Step {
    Subscribe(usize, usize),
    Unsubscribe(usize, usize),
    Publish(usize, usize),
    PublishFrom(usize, usize),
    Send(usize),
    Replace(usize),
    Turn,
}

const SOCKETS: usize = 4;
const TOPICS: [&str; 5] = ["a", "b", "a/b", "a/+", "#"];

fn step() -> impl Strategy<Value = Step> {
    let socket = 0..SOCKETS;
    prop_oneof![
        5 => (socket.clone(), 0..TOPICS.len()).prop_map(|(socket, topic)| Step::Subscribe(socket, topic)),
        3 => (socket.clone(), 0..TOPICS.len()).prop_map(|(socket, topic)| Step::Unsubscribe(socket, topic)),
        6 => (0..3_usize, prop_oneof![9 => 0..40_usize, 1 => Just(20_000)])
            .prop_map(|(topic, len)| Step::Publish(topic, len)),
        4 => (socket.clone(), 0..3_usize).prop_map(|(socket, topic)| Step::PublishFrom(socket, topic)),
        2 => socket.clone().prop_map(Step::Send),
        1 => socket.prop_map(Step::Replace),
        2 => Just(Step::Turn),
    ]
}

fn matches(filter: &str, topic: &str) -> bool {
    match filter {
        "#" => true,
        "a/+" => topic == "a/b",
        name => name == topic,
    }
}

fn run(steps: Vec<Step>, topics: &[&str]) -> Result<(), TestCaseError> {
    let config = HubConfig {
        wildcards: true,
        ..HubConfig::default()
    };
    let mut world = World::with(1, config);
    let worker = &mut world.workers[0];
    let mut slots: Vec<u32> = (0..SOCKETS).map(|_| worker.open()).collect();
    let mut subscribed: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    let mut expected: [Vec<String>; SOCKETS] = Default::default();
    for (number, step) in steps.into_iter().enumerate() {
        let mut tell = |from: Option<usize>, topic: &str, text: &str| {
            for (socket, expected) in expected.iter_mut().enumerate() {
                let topics = subscribed.get(&socket).into_iter().flatten();
                if from != Some(socket) && topics.into_iter().any(|filter| matches(filter, topic)) {
                    expected.push(text.to_owned());
                }
            }
        };
        match step {
            Step::Subscribe(socket, topic) => {
                let topic = topics[topic % topics.len()];
                let is_new = subscribed.entry(socket).or_default().insert(topic);
                prop_assert_eq!(worker.subscribe(slots[socket], topic).is_some(), is_new);
            }
            Step::Unsubscribe(socket, topic) => {
                let topic = topics[topic % topics.len()];
                let was = subscribed.entry(socket).or_default().remove(topic);
                prop_assert_eq!(worker.unsubscribe(slots[socket], topic).is_some(), was);
            }
            Step::Publish(topic, len) => {
                let text = format!("{number} {}", "x".repeat(len));
                worker.publish(TOPICS[topic], &text);
                tell(None, TOPICS[topic], &text);
            }
            Step::PublishFrom(socket, topic) => {
                worker.publish_from(slots[socket], TOPICS[topic], &number.to_string());
                tell(Some(socket), TOPICS[topic], &number.to_string());
            }
            Step::Send(socket) => {
                worker.send(slots[socket], &number.to_string());
                expected[socket].push(number.to_string());
            }
            Step::Replace(socket) => {
                worker.close(slots[socket]);
                slots[socket] = worker.open();
                subscribed.remove(&socket);
                expected[socket].clear();
            }
            Step::Turn => worker.turn(),
        }
        if worker.local.is_urgent() {
            worker.turn();
        }
    }
    worker.turn();
    for (slot, expected) in slots.iter().zip(&expected) {
        prop_assert_eq!(&worker.heard(*slot), expected);
    }
    prop_assert!(worker.dropped().is_empty());
    Ok(())
}

proptest! {
    #[test]
    fn exact_topics_agree_with_plain_lists(steps in proptest::collection::vec(step(), 1..120)) {
        run(steps, &TOPICS[..3])?;
    }

    #[test]
    fn patterns_agree_with_plain_lists(steps in proptest::collection::vec(step(), 1..120)) {
        run(steps, &TOPICS)?;
    }
}
