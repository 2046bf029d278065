//! Subscribing and publishing from callbacks.

use sockeye_proto::Compress;

use super::super::{CloseEvent, Handler, Socket};
use super::fake::Stage;
use super::obedient::Diary;
use super::*;
use crate::driver::Key;
use crate::hub::SubscribeError;
use crate::session::Overflow;
use crate::{CloseCode, MessageRef};

/// Messages are orders: a word, a topic and a text.
#[derive(Clone, Default)]
struct Crier {
    diary: Diary,
}

impl Handler for Crier {
    type Data = ();

    fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
        let order = String::from_utf8_lossy(message.as_bytes()).into_owned();
        let words: Vec<_> = order.splitn(3, ' ').collect();
        let topic = words.get(1).copied().unwrap_or_default();
        let text = words.get(2).copied().unwrap_or_default();
        match words[0] {
            "join" => {
                if let Err(error) = socket.subscribe(topic) {
                    self.diary.note(error.to_string());
                }
            }
            "part" => assert!(socket.unsubscribe(topic)),
            "tell" => socket.publish(topic, text).unwrap(),
            "shout" => socket.publish_to_all(topic, text, Compress::Auto).unwrap(),
            "pour" => socket.publish(topic, vec![7; text.parse().unwrap()]).unwrap(),
            "bye" => {
                socket.publish_to_all(topic, "going", Compress::Auto).unwrap();
                socket.close(CloseCode::NORMAL, "").unwrap();
                socket.publish_to_all(topic, "gone", Compress::Auto).unwrap();
            }
            "panic" => {
                socket.subscribe(topic).unwrap();
                panic!("on purpose");
            }
            _ => {
                socket.send(text);
            }
        }
        let mut topics: Vec<_> = socket.topics().map(|topic| topic.to_string()).collect();
        topics.sort();
        for topic in &topics {
            assert!(socket.is_subscribed(topic) && socket.num_subscribers(topic) > 0);
        }
    }

    fn dropped(&self, _: &mut Socket<'_, ()>, message: MessageRef<'_>, topic: Option<&str>) {
        let topic = topic.unwrap_or_default();
        self.diary
            .note(format!("dropped {} {topic}", message.as_bytes().len()));
    }

    fn drain(&self, socket: &mut Socket<'_, ()>) {
        // Published while the worker sends: it is given out in the same turn, or the next.
        socket.publish("drained", "somebody has caught up").unwrap();
    }

    fn subscription(&self, socket: &mut Socket<'_, ()>, topic: &str, new: usize, old: usize) {
        self.diary.note(format!("{topic}: {old} -> {new}"));
        if topic == "greeted" && new > old {
            socket.publish_to_all(topic, "welcome", Compress::Auto).unwrap();
        }
    }

    fn close(&self, _: &mut Socket<'_, ()>, end: CloseEvent<'_>) {
        self.diary.note(format!("close {}", end.code));
    }
}

fn stage_of(settings: Settings) -> (Stage, Diary) {
    let handler = Crier::default();
    let diary = handler.diary.clone();
    (Stage::new(handler, settings), diary)
}

impl Stage {
    fn tell(&mut self, key: Key, order: &str) {
        self.receive(key, &text(order));
    }

    /// The messages that were sent since the last look, by their text or length.
    fn heard(&mut self, key: Key) -> Vec<String> {
        let sent = self.sent(key);
        frames(&sent)
            .into_iter()
            .map(|(first, payload)| match first {
                0x81 => String::from_utf8(payload).unwrap(),
                0x82 => format!("{} bytes", payload.len()),
                _ => format!("{first:x}"),
            })
            .collect()
    }
}

#[test]
fn callbacks_publish_to_each_other() {
    let (mut stage, diary) = stage_of(Settings::default());
    let keys: Vec<_> = (0..3).map(|_| stage.open()).collect();
    for key in &keys {
        stage.tell(*key, "join t");
    }
    assert_eq!(diary.read(), ["t: 0 -> 1", "t: 1 -> 2", "t: 2 -> 3"]);
    stage.tell(keys[0], "tell t hello");
    stage.tell(keys[1], "shout t hi");
    assert_eq!(stage.heard(keys[0]), ["hi"]);
    assert_eq!(stage.heard(keys[1]), ["hello", "hi"]);
    assert_eq!(stage.heard(keys[2]), ["hello", "hi"]);
    stage.tell(keys[2], "part t");
    stage.tell(keys[0], "tell t again");
    assert_eq!(stage.heard(keys[2]), [""; 0]);
    assert_eq!(diary.read(), ["t: 3 -> 2"]);
}

#[test]
fn a_turn_leaves_in_one_send_for_each_socket() {
    let (mut stage, _) = stage_of(Settings::default());
    let keys: Vec<_> = (0..3).map(|_| stage.open()).collect();
    for key in &keys {
        stage.tell(*key, "join t");
    }
    let before = stage.line(keys[2]).sends;
    // Four messages in one read.
    let orders = ["shout t 1", "shout t 2", "say - 3", "shout t 4"];
    stage.receive(keys[0], &orders.map(text).concat());
    assert_eq!(stage.heard(keys[0]), ["1", "2", "3", "4"]);
    assert_eq!(stage.heard(keys[2]), ["1", "2", "4"]);
    assert_eq!(stage.line(keys[2]).sends, before + 1);
}

#[test]
fn what_was_published_before_a_close_is_sent_before_it() {
    let (mut stage, diary) = stage_of(Settings::default());
    let (a, b) = (stage.open(), stage.open());
    stage.tell(a, "join t");
    stage.tell(b, "join t");
    diary.read();
    stage.tell(a, "bye t");
    assert_eq!(stage.heard(a), ["going", "88"]);
    assert_eq!(stage.heard(b), ["going", "gone"]);
    stage.receive(a, &close(1000, ""));
    assert_eq!(diary.read(), ["t: 2 -> 1", "close 1000"]);
    stage.tell(b, "shout t alone");
    assert_eq!(stage.heard(b), ["alone"]);
}

#[test]
fn a_lost_or_panicked_socket_leaves_its_topics() {
    let (mut stage, diary) = stage_of(Settings::default());
    let (a, b, c) = (stage.open(), stage.open(), stage.open());
    for key in [a, b] {
        stage.tell(key, "join t");
    }
    stage.tell(c, "panic t");
    diary.read();
    stage.fail(a, std::io::ErrorKind::ConnectionReset);
    stage.end(b);
    assert_eq!(
        diary.read(),
        ["t: 2 -> 1", "close 1006", "t: 1 -> 0", "close 1006"]
    );
    let d = stage.open();
    stage.tell(d, "shout t hello");
    assert_eq!(stage.heard(d), [""; 0]);
}

#[test]
fn the_news_of_a_subscription_may_publish() {
    let (mut stage, diary) = stage_of(Settings::default());
    let (a, b) = (stage.open(), stage.open());
    stage.tell(a, "join greeted");
    stage.tell(b, "join greeted");
    assert_eq!(diary.read(), ["greeted: 0 -> 1", "greeted: 1 -> 2"]);
    assert_eq!(stage.heard(a), ["welcome", "welcome"]);
    assert_eq!(stage.heard(b), ["welcome"]);
}

#[test]
fn a_name_that_is_none_and_one_topic_too_many_are_refused() {
    let (mut stage, diary) = stage_of(Settings::default());
    let a = stage.open();
    stage.tell(a, "join a/+");
    for number in 0..128 {
        stage.tell(a, &format!("join {number}"));
    }
    let notes = diary.read();
    assert_eq!(notes.len(), 129);
    assert_eq!(
        notes[0],
        SubscribeError::Topic(crate::hub::TopicError::Wildcard).to_string()
    );
    stage.tell(a, "join one-more");
    assert_eq!(diary.read(), [SubscribeError::Limit(128).to_string()]);
}

#[test]
fn a_slow_subscriber_misses_messages_and_is_told_and_no_other_is() {
    let queues = QueueLimits {
        send: 10_000,
        ..QueueLimits::default()
    };
    let (mut stage, diary) = stage_of(with_queues(queues));
    let (a, slow, fast) = (stage.open(), stage.open(), stage.open());
    for key in [slow, fast] {
        stage.tell(key, "join t");
    }
    diary.read();
    stage.line(slow).room = 0;
    for _ in 0..20 {
        stage.tell(a, "pour t 1000");
    }
    assert_eq!(stage.heard(fast), ["1000 bytes"; 20]);
    assert_eq!(diary.read(), ["dropped 1000 t"; 11]);
    stage.make_room(slow, usize::MAX);
    assert_eq!(stage.heard(slow), ["1000 bytes"; 9]);
}

#[test]
fn a_slow_subscriber_is_closed_where_that_is_the_policy() {
    let queues = QueueLimits {
        send: 10_000,
        overflow: Overflow::Close,
        ..QueueLimits::default()
    };
    let (mut stage, diary) = stage_of(with_queues(queues));
    let (a, slow) = (stage.open(), stage.open());
    stage.tell(slow, "join t");
    diary.read();
    stage.line(slow).room = 0;
    for _ in 0..20 {
        stage.tell(a, "pour t 1000");
    }
    let notes = diary.read();
    assert!(notes.contains(&"close 1008".to_owned()), "{notes:?}");
    assert!(notes.contains(&"t: 1 -> 0".to_owned()), "{notes:?}");
    stage.make_room(slow, usize::MAX);
    assert_eq!(stage.heard(slow).pop().unwrap(), "88");
}

#[test]
fn the_latest_of_each_topic_reaches_a_slow_subscriber_when_it_has_caught_up() {
    let queues = QueueLimits {
        send: 10_000,
        overflow: Overflow::KeepLatest,
        ..QueueLimits::default()
    };
    let (mut stage, diary) = stage_of(with_queues(queues));
    let (a, slow) = (stage.open(), stage.open());
    for topic in ["x", "y"] {
        stage.tell(slow, &format!("join {topic}"));
    }
    diary.read();
    stage.line(slow).room = 0;
    stage.tell(a, "tell x first");
    for number in 0..50 {
        stage.tell(a, &format!("tell x {number}"));
        stage.tell(a, &format!("tell y {number}"));
    }
    assert_eq!(diary.read().len(), 98);
    stage.make_room(slow, usize::MAX);
    assert_eq!(stage.heard(slow), ["first", "49", "49"]);
}

#[test]
fn what_waits_keeps_its_order_whether_published_or_sent() {
    for overflow in [Overflow::DropOldest, Overflow::KeepLatest] {
        let (mut stage, _) = stage_of(with_queues(QueueLimits {
            overflow,
            ..QueueLimits::default()
        }));
        let (a, slow) = (stage.open(), stage.open());
        stage.tell(slow, "join x");
        stage.tell(slow, "join y");
        stage.line(slow).room = 0;
        stage.tell(a, "tell x 1");
        stage.tell(slow, "say - 2");
        stage.tell(a, "tell y 3");
        stage.tell(slow, "say - 4");
        stage.tell(a, "tell x 5");
        stage.make_room(slow, usize::MAX);
        assert_eq!(stage.heard(slow), ["1", "2", "3", "4", "5"], "{overflow:?}");
    }
}

#[test]
fn much_is_given_out_before_the_turn_is_over() {
    let (mut stage, _) = stage_of(Settings::default());
    let (a, b) = (stage.open(), stage.open());
    stage.tell(b, "join t");
    let mut orders: Vec<u8> = std::iter::repeat_n(text("pour t 60000"), 20).flatten().collect();
    let Stage {
        driver, connections, ..
    } = &mut stage;
    use crate::driver::Owner;
    connections.received(driver, a, &mut orders);
    assert!(!connections.common.hub.is_urgent());
    stage.turn();
    assert_eq!(stage.heard(b), ["60000 bytes"; 20]);
}
