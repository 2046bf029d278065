//! Topics of a server with two workers.

use sockeye::MessageRef;
use sockeye::hub::{History, HubConfig, PublishError};
use sockeye::proto::Message;
use sockeye::server::{Handler, Server, Socket};

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

#[tokio::test]
async fn a_server_without_workers_has_no_topics() {
    let (_, handle) = start(server().route("/", echo).workers(0)).await;
    assert!(handle.publisher().unwrap_err().is_config());
    assert_eq!(handle.publish("t", "x"), Err(PublishError::NoServer));
}
