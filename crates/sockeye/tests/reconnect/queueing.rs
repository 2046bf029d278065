//! The queue in front of the connections.

use std::time::Duration;

use futures_util::FutureExt;
use sockeye::reconnect::{Capacity, Fate, Promise, Reconnecting, SendError, WhenFull};
use sockeye::{Client, CloseCode, Config, Delivery, WebSocket};
use tokio::time::timeout;

use crate::network::{kill, network, text};

const TWO: Capacity = Capacity {
    messages: 2,
    bytes: 10,
};

#[tokio::test(start_paused = true)]
async fn messages_wait_for_the_first_connection_in_order() {
    let (network, mut server) = network();
    let client = network.client().start().unwrap();
    for number in 1..=100 {
        let receipt = client.send(number.to_string()).await.unwrap();
        assert_eq!(receipt.id(), number);
    }
    assert_eq!(client.sender().queued(), (100, 9 + 90 * 2 + 3));
    let mut ws = server.open().await;
    for number in 1..=100 {
        assert_eq!(text(&mut ws).await, number.to_string());
    }
    client.flush().await;
    assert_eq!(client.sender().queued(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn both_kinds_of_messages_are_queued() {
    let (network, mut server) = network();
    let client = network.client().start().unwrap();
    client.send("text").await.unwrap();
    client.send(vec![0, 255]).await.unwrap();
    client.send("").await.unwrap();
    let mut ws = server.open().await;
    for message in [sockeye::Message::from("text"), vec![0, 255].into(), "".into()] {
        assert_eq!(ws.recv().await.unwrap(), Some(message));
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_senders_wait_in_their_order() {
    let (network, mut server) = network();
    let client = network.client().capacity(TWO).start().unwrap();
    client.send("1").await.unwrap();
    client.send("2").await.unwrap();
    let senders: Vec<_> = (3..=6)
        .map(|number| {
            let sender = client.sender();
            tokio::spawn(async move { sender.send(number.to_string()).await.unwrap().id() })
        })
        .collect();
    tokio::task::yield_now().await;
    assert!(matches!(client.sender().try_send("0"), Err(SendError::Full(_))));
    let mut ws = server.open().await;
    for number in 1..=6 {
        assert_eq!(text(&mut ws).await, number.to_string());
    }
    for (sender, number) in senders.into_iter().zip(3..) {
        assert_eq!(sender.await.unwrap(), number);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_not_full_because_somebody_else_is_sending() {
    const MESSAGES: usize = 10_000;
    let (network, _server) = network();
    let capacity = Capacity {
        messages: 2 * MESSAGES,
        ..Capacity::default()
    };
    let client = network.client().capacity(capacity).start().unwrap();
    let sender = client.sender();
    let other = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            sender.send("").await.unwrap();
        }
    });
    for _ in 0..MESSAGES {
        client.sender().try_send("").unwrap();
    }
    other.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_dropped_has_queued_nothing() {
    let (network, mut server) = network();
    let client = network.client().capacity(TWO).start().unwrap();
    client.send("1").await.unwrap();
    client.send("2").await.unwrap();
    assert!(client.send("never").now_or_never().is_none());
    let mut ws = server.open().await;
    assert_eq!(text(&mut ws).await, "1");
    assert_eq!(text(&mut ws).await, "2");
    let receipt = client.send("3").await.unwrap();
    assert_eq!(receipt.id(), 3);
    assert_eq!(text(&mut ws).await, "3");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_can_reject() {
    let (network, _server) = network();
    let client = network
        .client()
        .capacity(TWO)
        .when_full(WhenFull::Reject)
        .start()
        .unwrap();
    client.send("12345678").await.unwrap();
    assert_eq!(
        client.send("123").await.unwrap_err(),
        SendError::Full("123".into())
    );
    client.send("12").await.unwrap();
    assert_eq!(client.send("").await.unwrap_err(), SendError::Full("".into()));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_can_drop_the_oldest() {
    let (network, mut server) = network();
    let client = network
        .client()
        .capacity(TWO)
        .when_full(WhenFull::DropOldest)
        .start()
        .unwrap();
    let mut receipts = Vec::new();
    for number in 1..=5 {
        receipts.push(client.send(number.to_string()).await.unwrap());
    }
    let mut ws = server.open().await;
    assert_eq!(text(&mut ws).await, "4");
    assert_eq!(text(&mut ws).await, "5");
    for (receipt, number) in receipts.into_iter().zip(1..) {
        let want = if number < 4 {
            Fate::Dropped
        } else {
            Fate::Sent { connection: 1 }
        };
        assert_eq!(receipt.await, want, "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_never_fit_is_told_at_once() {
    let (network, _server) = network();
    for when_full in [WhenFull::Wait, WhenFull::Reject, WhenFull::DropOldest] {
        let client = network
            .client()
            .capacity(TWO)
            .when_full(when_full)
            .start()
            .unwrap();
        assert!(matches!(
            client.send("12345678901").await,
            Err(SendError::TooLarge(_))
        ));
        client.send("1234567890").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_can_carry_its_number() {
    let (network, mut server) = network();
    let client = network.client().start().unwrap();
    let sender = client.sender();
    for _ in 0..3 {
        sender.send_with(|id| format!("number {id}")).await.unwrap();
    }
    let mut ws = server.open().await;
    for id in 1..=3 {
        assert_eq!(text(&mut ws).await, format!("number {id}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_for_now_goes_to_no_later_connection() {
    let (network, mut server) = network();
    let client = network.client().start().unwrap();
    let sender = client.sender();
    assert_eq!(
        sender.send_now("early").unwrap_err(),
        SendError::NotOpen("early".into())
    );
    let mut ws = server.open().await;
    sender.opened().await.unwrap();
    let receipt = sender.send_now("now").unwrap();
    assert_eq!(text(&mut ws).await, "now");
    assert_eq!(receipt.await, Fate::Sent { connection: 1 });
    // The connection ends before the client's task had its turn.
    kill(ws).await;
    while sender.connection().is_some() {
        tokio::task::yield_now().await;
    }
    assert!(sender.send_now("late").is_err());
    sender.send("whenever").await.unwrap();
    assert_eq!(text(&mut server.open().await).await, "whenever");
}

#[tokio::test(start_paused = true)]
async fn what_a_closing_connection_does_not_take_goes_to_the_next() {
    for promise in [Promise::AtMostOnce, Promise::AtLeastOnce] {
        let (network, mut server) = network();
        let client = network.client().promise(promise).start().unwrap();
        let ws = server.open().await;
        client.opened().await.unwrap();
        // The client has read the Close frame. It owes the answer until its application has taken the message.
        ws.send("news").await.unwrap();
        ws.sender().start_close(CloseCode::SERVICE_RESTART, "").unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut receipt = client.send("order").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(client.sender().connection(), Some(1));
        assert_eq!(receipt.try_fate(), None);
        assert_eq!(text(&mut server.open().await).await, "order");
        if promise == Promise::AtMostOnce {
            assert_eq!(receipt.await, Fate::Sent { connection: 2 });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_connection_to_have_room_goes_to_the_next_if_it_is_lost() {
    let (network, mut server) = network();
    let fill = |ws: WebSocket, connection| async move {
        let second = Duration::from_secs(1);
        while connection == 1 && timeout(second, ws.send(vec![0; 60_000])).await.is_ok() {}
        Ok(ws)
    };
    let client = network.client().on_open(fill).start().unwrap();
    let ws = server.open().await;
    client.opened().await.unwrap();
    let receipt = client.send("order").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    kill(ws).await;
    assert_eq!(text(&mut server.open().await).await, "order");
    assert_eq!(receipt.await, Fate::Sent { connection: 2 });
}

#[tokio::test(start_paused = true)]
async fn unacknowledged_messages_are_sent_again_in_order() {
    let (network, mut server) = network();
    let client = network.client().promise(Promise::AtLeastOnce).start().unwrap();
    let mut receipts = Vec::new();
    for number in 1..=4 {
        receipts.push(client.send(number.to_string()).await.unwrap());
    }
    let mut ws = server.open().await;
    for number in 1..=4 {
        assert_eq!(text(&mut ws).await, number.to_string());
    }
    while !client.acknowledge(2) {
        tokio::task::yield_now().await;
    }
    assert!(!client.acknowledge(2));
    kill(ws).await;
    let mut ws = server.open().await;
    for number in [1, 3, 4] {
        assert_eq!(text(&mut ws).await, number.to_string());
    }
    while client.sender().acknowledge_through(4) == 0 {
        tokio::task::yield_now().await;
    }
    client.flush().await;
    for receipt in receipts {
        assert_eq!(receipt.await, Fate::Acknowledged);
    }
    assert_eq!(client.sender().queued(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_takes_room() {
    let (network, mut server) = network();
    let client = network
        .client()
        .promise(Promise::AtLeastOnce)
        .when_full(WhenFull::Reject)
        .capacity(TWO)
        .start()
        .unwrap();
    client.send("1").await.unwrap();
    client.send("2").await.unwrap();
    let mut ws = server.open().await;
    assert_eq!(text(&mut ws).await, "1");
    assert_eq!(text(&mut ws).await, "2");
    assert!(matches!(client.send("3").await, Err(SendError::Full(_))));
    while !client.acknowledge(1) {
        tokio::task::yield_now().await;
    }
    client.send("3").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn settings_that_contradict_each_other_are_found_at_the_start() {
    let new = || Reconnecting::builder("ws://localhost/");
    let chunks = Client::builder()
        .limits(Config {
            delivery: Delivery::Chunks,
            ..Config::client()
        })
        .build()
        .unwrap();
    for (builder, want) in [
        (
            new().capacity(Capacity {
                messages: 0,
                bytes: 1,
            }),
            "at least one message",
        ),
        (
            new()
                .promise(Promise::AtLeastOnce)
                .when_full(WhenFull::DropOldest),
            "cannot be dropped",
        ),
        (new().client(chunks), "whole messages"),
        (
            new().backoff(sockeye::reconnect::Backoff {
                factor: 0.0,
                ..Default::default()
            }),
            "factor",
        ),
    ] {
        let error = builder.start().unwrap_err();
        assert!(error.is_config());
        assert!(error.to_string().contains(want), "{error}");
    }
}
