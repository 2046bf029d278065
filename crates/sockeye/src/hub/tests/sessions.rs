//! Subscribers that no worker sees to: WebSockets of async handlers.

use std::sync::Arc;
use std::time::Instant;

use sockeye_proto::{CloseCode, Config, Connection, Message};
use tokio::io::{AsyncReadExt, DuplexStream};

use super::support::World;
use crate::hub::{History, Hub, HubConfig, SubscribeError, TopicError};
use crate::metrics::SessionMetrics;
use crate::opening::Opening;
use crate::session::{Overflow, QueueLimits};
use crate::websocket::Agreement;
use crate::{MessageKind, WebSocket};

/// A WebSocket whose peer's system takes so many bytes before it reads.
fn open_with(hub: Option<&Arc<Hub>>, limits: QueueLimits, room: usize) -> (WebSocket, DuplexStream) {
    let (near, far) = tokio::io::duplex(room);
    let opening = Opening {
        connection: Connection::server(Arc::new(Config::server()), None, Instant::now()),
        agreement: Agreement {
            hub: hub.cloned(),
            ..Agreement::default()
        },
        limits,
        metrics: Arc::new(SessionMetrics::new()),
        leftover: Vec::new(),
    };
    let (websocket, driver) = opening.start(near);
    tokio::spawn(driver.stand_by());
    (websocket, far)
}

fn open(world: &World) -> (WebSocket, DuplexStream) {
    open_with(Some(&hub(world)), QueueLimits::default(), 1 << 20)
}

fn hub(world: &World) -> Arc<Hub> {
    world.workers[0].local.shared()
}

/// The next frame of a server: its first byte and its payload.
async fn frame(far: &mut DuplexStream) -> (u8, Vec<u8>) {
    let first = far.read_u8().await.unwrap();
    let len = match far.read_u8().await.unwrap() {
        126 => usize::from(far.read_u16().await.unwrap()),
        len => usize::from(len),
    };
    let mut payload = vec![0; len];
    far.read_exact(&mut payload).await.unwrap();
    (first, payload)
}

async fn text(far: &mut DuplexStream) -> String {
    String::from_utf8(frame(far).await.1).unwrap()
}

async fn texts(far: &mut DuplexStream, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(text(far).await);
    }
    texts
}

fn publish(world: &World, topic: &str, text: &str) {
    world.publisher.publish(topic, Message::Text(text)).unwrap();
}

#[tokio::test]
async fn sockets_of_workers_and_of_tasks_hear_each_other() {
    let mut world = World::new(2);
    let (one, mut far_one) = open(&world);
    let (two, mut far_two) = open(&world);
    let slots: Vec<_> = world
        .workers
        .iter_mut()
        .map(|worker| {
            let slot = worker.open();
            worker.subscribe(slot, "t");
            slot
        })
        .collect();
    assert!(one.subscribe("t").unwrap() && two.subscribe("t").unwrap());
    assert!(!two.subscribe("t").unwrap());
    assert_eq!(world.publisher.num_subscribers("t"), 4);

    one.publish("t", "from a task").unwrap();
    world.workers[0].publish_from(slots[0], "t", "from a worker");
    world.settle();
    publish(&world, "t", "from outside");
    world.settle();
    let all = ["from a task", "from a worker", "from outside"];
    assert_eq!(texts(&mut far_one, 2).await, all[1..]);
    assert_eq!(texts(&mut far_two, 3).await, all);
    assert_eq!(world.workers[0].heard(slots[0]), [all[0], all[2]]);
    assert_eq!(world.workers[1].heard(slots[1]), all);
}

#[tokio::test]
async fn a_message_is_kept_from_its_publisher_and_not_from_who_has_its_place_since() {
    let world = World::new(1);
    let (one, far_one) = open(&world);
    one.subscribe("t").unwrap();
    let (publisher, sender) = (one.shared(), one.sender());
    let place = publisher.lock().slot_in_hub();
    // It leaves while it publishes.
    drop(far_one);
    assert!(sender.closed().await.is_err());
    let (two, mut far) = open(&world);
    two.subscribe("t").unwrap();
    assert_eq!(two.shared().lock().slot_in_hub(), place);
    hub(&world)
        .publish_from_session(&publisher, "t", Message::Text("to the newcomer").into())
        .unwrap();
    assert_eq!(text(&mut far).await, "to the newcomer");
}

#[tokio::test]
async fn what_is_sent_and_published_keeps_its_order() {
    let world = World::new(1);
    let (websocket, mut far) = open(&world);
    websocket.subscribe("t").unwrap();
    websocket.send("1").await.unwrap();
    publish(&world, "t", "2");
    websocket.send("3").await.unwrap();
    publish(&world, "t", "4");
    // Published before, so delivered.
    assert!(websocket.unsubscribe("t") && !websocket.unsubscribe("t"));
    publish(&world, "t", "not to it");
    websocket.send("5").await.unwrap();
    assert_eq!(texts(&mut far, 5).await, ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn patterns_bring_a_message_once() {
    let config = HubConfig {
        wildcards: true,
        ..HubConfig::default()
    };
    let mut world = World::with(1, config);
    let (websocket, mut far) = open(&world);
    for topic in ["prices/eu", "prices/+", "prices/#", "other"] {
        websocket.subscribe(topic).unwrap();
    }
    let mut topics = websocket.topics();
    topics.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    let names: Vec<_> = topics.iter().map(|topic| topic.as_str()).collect();
    assert_eq!(names, ["other", "prices/#", "prices/+", "prices/eu"]);
    for text in ["1", "2"] {
        world.workers[0].publish("prices/eu", text);
        world.settle();
    }
    for pattern in ["prices/+", "prices/eu"] {
        websocket.unsubscribe(pattern);
    }
    publish(&world, "prices/eu", "3");
    websocket.unsubscribe("prices/#");
    publish(&world, "prices/eu", "nobody");
    publish(&world, "other", "4");
    assert_eq!(texts(&mut far, 4).await, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_subscription_that_cannot_be_is_an_error() {
    let config = HubConfig {
        max_subscriptions: 2,
        ..HubConfig::default()
    };
    let world = World::with(1, config);
    let (mut websocket, mut far) = open(&world);
    let refused = websocket.subscribe("a/+");
    assert_eq!(refused, Err(SubscribeError::Topic(TopicError::Wildcard)));
    websocket.subscribe("1").unwrap();
    websocket.subscribe("2").unwrap();
    assert_eq!(websocket.subscribe("3"), Err(SubscribeError::Limit(2)));
    assert!(!websocket.subscribe("1").unwrap());
    let sender = websocket.sender();
    sender.start_close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(sender.subscribe("4"), Err(SubscribeError::Closed));
    assert_eq!(frame(&mut far).await.0, 0x88);
    drop(far);
    let _ = websocket.close(CloseCode::NORMAL, "").await;
    assert_eq!(world.publisher.topics().len(), 0);

    let (stranger, _far) = open_with(None, QueueLimits::default(), 64);
    assert_eq!(stranger.subscribe("t"), Err(SubscribeError::NoServer));
    assert!(stranger.topics().is_empty() && !stranger.unsubscribe("t"));
}

#[tokio::test]
async fn a_session_that_ends_leaves_its_topics_and_its_place_to_the_next() {
    let world = World::new(1);
    for _ in 0..3 {
        let (websocket, mut far) = open(&world);
        websocket.subscribe("t").unwrap();
        websocket.subscribe("u").unwrap();
        publish(&world, "t", "hello");
        assert_eq!(text(&mut far).await, "hello");
        let sender = websocket.sender();
        drop(far);
        assert!(sender.closed().await.is_err());
        assert_eq!(world.publisher.topics().len(), 0);
        publish(&world, "t", "into the void");
    }
}

#[tokio::test]
async fn history_comes_first_and_nothing_twice() {
    let config = HubConfig {
        history: vec![("t".to_owned(), History::default())],
        ..HubConfig::default()
    };
    let mut world = World::with(1, config);
    for number in 0..5 {
        world.workers[0].publish("t", &number.to_string());
    }
    let (websocket, mut far) = open(&world);
    websocket.subscribe_with_history("t", 3).unwrap();
    // The turn in which they were published is over after that.
    world.settle();
    world.workers[0].publish("t", "5");
    world.settle();
    assert_eq!(texts(&mut far, 4).await, ["2", "3", "4", "5"]);
}

fn limits(send: usize, overflow: Overflow) -> QueueLimits {
    QueueLimits {
        send,
        overflow,
        ..QueueLimits::default()
    }
}

fn long(number: usize) -> String {
    format!("{number:0100}")
}

fn numbers(texts: &[String]) -> Vec<usize> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn the_newest_is_dropped_and_counted() {
    let world = World::new(1);
    let limits = limits(1020, Overflow::DropNewest);
    let (websocket, mut far) = open_with(Some(&hub(&world)), limits, 16);
    websocket.subscribe("t").unwrap();
    for number in 0..30 {
        publish(&world, "t", &long(number));
    }
    // Ten frames of 102 bytes.
    assert_eq!(websocket.missed(), 20);
    assert_eq!(numbers(&texts(&mut far, 10).await), (0..10).collect::<Vec<_>>());
    publish(&world, "t", &long(30));
    assert_eq!(numbers(&texts(&mut far, 1).await), [30]);
    assert_eq!(websocket.missed(), 20);
}

#[tokio::test]
async fn the_oldest_is_dropped_where_that_is_the_policy() {
    let world = World::new(1);
    let limits = limits(4000, Overflow::DropOldest);
    let (websocket, mut far) = open_with(Some(&hub(&world)), limits, 16);
    websocket.subscribe("t").unwrap();
    for number in 0..100 {
        publish(&world, "t", &long(number));
        tokio::task::yield_now().await;
    }
    let missed = websocket.missed() as usize;
    let heard = numbers(&texts(&mut far, 100 - missed).await);
    assert!(
        missed > 50 && heard.starts_with(&[0]) && heard.ends_with(&[97, 98, 99]),
        "{heard:?}"
    );
    assert!(heard.windows(2).all(|pair| pair[0] < pair[1]));
}

#[tokio::test]
async fn of_each_topic_the_latest_is_kept_where_that_is_the_policy() {
    let world = World::new(1);
    let limits = limits(4000, Overflow::KeepLatest);
    let (websocket, mut far) = open_with(Some(&hub(&world)), limits, 16);
    for topic in ["x", "y"] {
        websocket.subscribe(topic).unwrap();
    }
    publish(&world, "x", &long(1000));
    // Until the transport takes no more.
    tokio::task::yield_now().await;
    for number in 0..50 {
        publish(&world, "x", &long(number));
        publish(&world, "y", &long(number));
    }
    assert_eq!(websocket.missed(), 98);
    assert_eq!(numbers(&texts(&mut far, 3).await), [1000, 49, 49]);
}

#[tokio::test]
async fn a_session_is_closed_where_that_is_the_policy() {
    let world = World::new(1);
    let (mut websocket, mut far) = open_with(Some(&hub(&world)), limits(1020, Overflow::Close), 16);
    websocket.subscribe("t").unwrap();
    for number in 0..30 {
        publish(&world, "t", &long(number));
    }
    assert_eq!(numbers(&texts(&mut far, 10).await), (0..10).collect::<Vec<_>>());
    let (first, body) = frame(&mut far).await;
    assert_eq!((first, &body[..2]), (0x88, &1008u16.to_be_bytes()[..]));
    assert!(websocket.recv().await.is_err());
    assert_eq!(websocket.missed(), 1);
    assert!(websocket.sender().closed().await.is_err());
    assert_eq!(world.publisher.num_subscribers("t"), 0);
}

#[tokio::test]
async fn what_is_published_waits_for_the_end_of_a_message_in_fragments() {
    let world = World::new(1);
    let (websocket, mut far) = open(&world);
    websocket.subscribe("t").unwrap();
    let sender = websocket.sender();
    sender.send_fragment("in ", false).await.unwrap();
    publish(&world, "t", "published");
    sender.send_fragment("pieces", true).await.unwrap();
    assert_eq!(frame(&mut far).await, (0x01, b"in ".to_vec()));
    assert_eq!(frame(&mut far).await, (0x80, b"pieces".to_vec()));
    assert_eq!(frame(&mut far).await, (0x81, b"published".to_vec()));
    let mut writer = sender.message_writer(MessageKind::Text).await.unwrap();
    publish(&world, "t", "before its first piece");
    tokio::io::AsyncWriteExt::write_all(&mut writer, b"x")
        .await
        .unwrap();
    tokio::io::AsyncWriteExt::shutdown(&mut writer).await.unwrap();
    assert_eq!(text(&mut far).await, "before its first piece");
}

#[tokio::test]
async fn what_waits_is_sent_before_a_close() {
    let world = World::new(1);
    let limits = limits(4000, Overflow::DropOldest);
    let (mut websocket, mut far) = open_with(Some(&hub(&world)), limits, 16);
    websocket.subscribe("t").unwrap();
    for number in 0..5 {
        publish(&world, "t", &long(number));
        tokio::task::yield_now().await;
    }
    let closing = tokio::spawn(async move { websocket.close(CloseCode::NORMAL, "").await });
    assert_eq!(numbers(&texts(&mut far, 5).await), [0, 1, 2, 3, 4]);
    assert_eq!(frame(&mut far).await.0, 0x88);
    drop(far);
    assert!(closing.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishers_subscribers_and_ends_do_not_wait_for_each_other() {
    let config = HubConfig {
        history: vec![("kept".to_owned(), History::default())],
        ..HubConfig::default()
    };
    let world = World::with(1, config);
    let publishers: Vec<_> = (0..2)
        .map(|_| {
            let publisher = world.publisher.clone();
            std::thread::spawn(move || {
                for number in 0..2000 {
                    let topic = ["t", "kept"][number % 2];
                    publisher.publish(topic, Message::Text("x")).unwrap();
                }
            })
        })
        .collect();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let hub = hub(&world);
        tasks.push(tokio::spawn(async move {
            for _ in 0..100 {
                let (websocket, mut far) = open_with(Some(&hub), QueueLimits::default(), 64);
                websocket.subscribe("t").unwrap();
                websocket.subscribe_with_history("kept", 5).unwrap();
                websocket.publish("t", "mine").unwrap();
                let _ = far.read_u8().await;
                websocket.unsubscribe("t");
                let sender = websocket.sender();
                drop(far);
                let _ = sender.closed().await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
    assert_eq!(world.publisher.topics().len(), 0);
}
