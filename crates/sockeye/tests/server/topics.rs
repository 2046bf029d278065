//! Topics of a server.

use std::time::Instant;

use sockeye::hub::{History, HubConfig, PublishError, Publisher, Topic};
use sockeye::proto::Message;
use sockeye::server::{Acceptor, Handler, Server, Socket};
use sockeye::{HandlerResult, MessageRef, WebSocket};

use crate::peer::{Peer, TEXT, echo, eventually, frame, server, start};

/// Subscribes to what it is sent first, and publishes the rest there.
#[derive(Clone)]
struct Chat;

impl Handler for Chat {
    type Data = Option<String>;

    fn message(&self, socket: &mut Socket<'_, Self::Data>, message: MessageRef<'_>) {
        match socket.data().clone() {
            None => {
                let topic = String::from_utf8_lossy(message.as_bytes()).into_owned();
                socket.subscribe_with_history(&topic, 2).unwrap();
                *socket.data_mut() = Some(topic);
            }
            Some(topic) => socket.publish(&topic, message).unwrap(),
        }
    }
}

#[tokio::test]
async fn a_server_publishes_to_all_its_workers() {
    let mut hub = HubConfig::default();
    hub.history = vec![("kept".to_owned(), History::default())];
    let chat = Server::builder().handle("/", Chat).workers(2).hub(hub);
    let (address, server) = start(chat).await;
    let publisher = server.publisher().unwrap();
    for text in ["1", "2", "3"] {
        server.publish("kept", text).unwrap();
    }
    let mut peers = Vec::new();
    // So many that the system gives some to either worker.
    for _ in 0..16 {
        let mut peer = Peer::open(address, "/", &[]).await;
        peer.write(&frame(TEXT, b"kept")).await;
        peers.push(peer);
    }
    eventually(|| publisher.num_subscribers("kept") == 16).await;
    let topics: Vec<_> = publisher
        .topics()
        .map(|(name, count)| (name.to_string(), count))
        .collect();
    assert_eq!(topics, [("kept".to_owned(), 16)]);
    publisher.publish("kept", Message::Text("4")).unwrap();
    for peer in &mut peers {
        for text in ["2", "3", "4"] {
            assert_eq!(peer.receive().await, (TEXT, text.as_bytes().to_vec()));
        }
    }
    peers[0].write(&frame(TEXT, b"from a client")).await;
    for peer in &mut peers[1..] {
        assert_eq!(peer.receive().await, (TEXT, b"from a client".to_vec()));
    }
    drop(peers);
    eventually(|| publisher.num_subscribers("kept") == 0).await;
    assert_eq!(publisher.topics().len(), 0);
}

async fn room(mut websocket: WebSocket) -> HandlerResult {
    websocket.subscribe("t")?;
    while let Some(message) = websocket.recv().await? {
        websocket.publish("t", message)?;
    }
    Ok(())
}

#[tokio::test]
async fn async_handlers_have_topics_on_workers_and_without() {
    for workers in [0, 1, 2] {
        let (address, server) = start(server().route("/", room).workers(workers)).await;
        let mut one = Peer::open(address, "/", &[]).await;
        let mut other = Peer::open(address, "/", &[]).await;
        let publisher = server.publisher().unwrap();
        eventually(|| publisher.num_subscribers("t") == 2).await;
        one.send_text("hello").await;
        assert_eq!(other.receive_text().await, "hello");
        server.publish("t", "to all").unwrap();
        assert_eq!(one.receive_text().await, "to all");
        assert_eq!(other.receive_text().await, "to all");
        drop((one, other));
        eventually(|| publisher.topics().len() == 0).await;
    }
}

#[tokio::test]
async fn who_looks_on_is_told_of_subscribers_of_all_kinds() {
    let both = server().handle("/callbacks", Chat).route("/async", room);
    let (address, server) = start(both.workers(2)).await;
    let publisher = server.publisher().unwrap();
    let mut changes = publisher.changes();
    let mut peers = Vec::new();
    for (path, old) in [("/callbacks", 0), ("/async", 1), ("/callbacks", 2), ("/async", 3)] {
        let mut peer = Peer::open(address, path, &[]).await;
        if path == "/callbacks" {
            peer.write(&frame(TEXT, b"t")).await;
        }
        let change = changes.next().await.unwrap().unwrap();
        assert_eq!(
            (change.topic.as_str(), change.old, change.new),
            ("t", old, old + 1)
        );
        peers.push(peer);
    }
    // They leave in whatever way.
    let mut closing = peers.remove(1);
    closing.send_close(1000).await;
    for left in (0..4).rev() {
        let change = changes.next().await.unwrap().unwrap();
        assert_eq!((change.old, change.new), (left + 1, left));
        peers.pop();
    }
}

/// With `SOCKEYE_FAN_OUT`, so many subscribers; and what a publish costs whoever does it is printed.
#[tokio::test]
async fn what_is_published_to_many_async_subscribers_reaches_each_once() {
    const ROUNDS: usize = 20;
    const PAYLOAD: &str = "a message of some twenty words, as they are published to many who have come to hear of it, here and now";
    let count = std::env::var("SOCKEYE_FAN_OUT").map_or(300, |count| count.parse().unwrap());
    let publisher = Publisher::new(HubConfig::default()).unwrap();
    let acceptor = Acceptor::new().topics(&publisher);
    let mut peers = Vec::new();
    for _ in 0..count {
        let (peer, stream) = tokio::io::duplex(4096);
        let mut ws = acceptor.resume(stream, []).unwrap();
        ws.subscribe("t").unwrap();
        tokio::spawn(async move { ws.recv().await });
        peers.push(Peer::new(peer));
    }
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        publisher.publish("t", Message::Text(PAYLOAD)).unwrap();
        times.push(begun.elapsed());
        for peer in &mut peers {
            assert_eq!(peer.receive().await, (TEXT, PAYLOAD.as_bytes().to_vec()));
        }
    }
    times.sort();
    println!(
        "to publish to {count} took {:?}, the median of {ROUNDS}",
        times[ROUNDS / 2]
    );
}

#[tokio::test]
async fn callbacks_and_async_handlers_share_topics() {
    let builder = server()
        .handle("/callbacks", Chat)
        .route("/task", room)
        .workers(2);
    let (address, server) = start(builder).await;
    let mut callbacks = Peer::open(address, "/callbacks", &[]).await;
    callbacks.send_text("t").await;
    let mut task = Peer::open(address, "/task", &[]).await;
    let publisher = server.publisher().unwrap();
    eventually(|| publisher.num_subscribers("t") == 2).await;
    for number in 0..10 {
        let text = format!("from callbacks {number}");
        callbacks.send_text(&text).await;
        assert_eq!(task.receive_text().await, text);
        let text = format!("from the task {number}");
        task.send_text(&text).await;
        assert_eq!(callbacks.receive_text().await, text);
    }
}

#[tokio::test]
async fn handles_subscribe_and_publish_from_any_task() {
    let (address, server) = start(server().handle("/", Chat).workers(2)).await;
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(Peer::open(address, "/", &[]).await);
    }
    eventually(|| server.websockets() == 4).await;
    let sockets = server.sockets().await;
    for socket in &sockets {
        assert_eq!(socket.handle().subscribe("t").await, Ok(true));
    }
    let publisher = server.publisher().unwrap();
    assert_eq!(publisher.num_subscribers("t"), 4);
    let first = sockets[0].handle();
    for number in 0..20 {
        first.publish("t", number.to_string()).unwrap();
    }
    first.send("its own").unwrap();
    assert_eq!(peers[0].receive_text().await, "its own");
    for peer in &mut peers[1..] {
        for number in 0..20 {
            assert_eq!(peer.receive_text().await, number.to_string());
        }
    }
    let topics = first.topics().await.unwrap();
    assert_eq!(topics, [Topic::new("t").unwrap()]);
    first.unsubscribe("t").unwrap();
    assert!(first.topics().await.unwrap().is_empty());
    assert_eq!(publisher.num_subscribers("t"), 3);
}

#[tokio::test]
async fn a_server_that_has_ended_has_no_topics() {
    let (_, handle) = start(server().route("/", echo)).await;
    let publisher = handle.publisher().unwrap();
    handle.shutdown();
    handle.report().await;
    eventually(|| handle.publisher().is_err()).await;
    assert!(handle.publisher().unwrap_err().is_config());
    assert_eq!(handle.publish("t", "x"), Err(PublishError::NoServer));
    // There is nobody to hear it.
    publisher.publish("t", Message::Text("x")).unwrap();
}
