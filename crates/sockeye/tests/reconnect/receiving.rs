//! What comes from one connection after the other.

use std::time::Duration;

use futures_util::StreamExt;
use sockeye::reconnect::{Event, Reconnecting, Why};
use sockeye::{Client, CloseCode, Config, Delivery};
use tokio::time::timeout;

use crate::network::{Network, event, kill, network, waiting};

#[tokio::test(start_paused = true)]
async fn what_a_lost_connection_left_is_received_before_the_next() {
    let (network, mut server) = network();
    let mut client = network.client().start().unwrap();
    let mut events = client.events();
    for connection in 1..=3 {
        let ws = server.open().await;
        for number in 1..=2 {
            ws.send(format!("{connection}.{number}")).await.unwrap();
        }
        // The last one reaches the client: it closes properly.
        let mut ws = ws;
        ws.close(CloseCode::GOING_AWAY, "").await.unwrap();
        waiting(&mut events).await;
    }
    for connection in 1..=3 {
        for number in 1..=2 {
            let message = client.recv().await.unwrap().unwrap();
            assert_eq!(message.as_text(), Some(format!("{connection}.{number}").as_str()));
            assert_eq!(client.received_from(), connection);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_recv_that_waits_goes_on_with_the_next_connection() {
    let (network, mut server) = network();
    let mut client = network.client().start().unwrap();
    let received = tokio::spawn(async move { client.recv().await.unwrap() });
    kill(server.open().await).await;
    kill(server.open().await).await;
    let ws = server.open().await;
    ws.send("at last").await.unwrap();
    assert_eq!(received.await.unwrap(), Some("at last".into()));
}

#[tokio::test(start_paused = true)]
async fn an_application_that_takes_nothing_holds_the_next_attempt_back() {
    let (network, mut server) = network();
    let mut client = network.client().start().unwrap();
    let mut events = client.events();
    for _ in 0..2 {
        let mut ws = server.open().await;
        ws.send(vec![0; 40_000]).await.unwrap();
        ws.close(CloseCode::GOING_AWAY, "").await.unwrap();
        waiting(&mut events).await;
    }
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, server.accept()).await.is_err());
    client.recv().await.unwrap().unwrap();
    let _ws = server.open().await;
    assert_eq!(client.opened().await.unwrap(), 3);
    client.recv().await.unwrap().unwrap();
    assert_eq!(client.received_from(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_receiver_holds_nothing_back() {
    let (network, mut server) = network();
    let (sender, receiver) = network.client().start().unwrap().split();
    drop(receiver);
    for connection in 1..=3 {
        let mut ws = server.open().await;
        assert_eq!(sender.opened().await.unwrap(), connection);
        ws.send(vec![0; 100_000]).await.unwrap();
        ws.close(CloseCode::GOING_AWAY, "").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_client_is_a_stream_that_ends_with_it() {
    let (network, mut server) = network();
    let client = network.client().start().unwrap();
    let mut ws = server.open().await;
    ws.send("1").await.unwrap();
    ws.send("2").await.unwrap();
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    let items: Vec<_> = client.collect().await;
    assert_eq!(items.len(), 3);
    assert_eq!(*items[1].as_ref().unwrap(), "2".into());
    assert_eq!(items[2].as_ref().unwrap_err().why, Why::Final);
}

/// A client whose connections deliver chunks, which the builder would refuse.
fn of_chunks(network: &Network) -> Reconnecting {
    let chunks = Client::builder()
        .limits(Config {
            delivery: Delivery::Chunks,
            ..Config::client()
        })
        .build()
        .unwrap();
    network
        .client()
        .refresh(move |target| {
            let chunks = chunks.clone();
            async move { Ok(target.with_client(chunks)) }
        })
        .start()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_no_use_may_end_before_anybody_receives_from_it() {
    let (network, mut server) = network();
    let client = of_chunks(&network);
    let mut events = client.events();
    let ws = server.open().await;
    client.opened().await.unwrap();
    kill(ws).await;
    waiting(&mut events).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_delivers_chunks_is_of_no_use() {
    let (network, mut server) = network();
    let mut client = of_chunks(&network);
    let mut events = client.events();
    let ws = server.open().await;
    ws.send("message").await.unwrap();
    assert_eq!(client.recv().await.unwrap_err().why, Why::Final);
    event(&mut events, |event| {
        matches!(event, Event::GaveUp(_)).then_some(())
    })
    .await;
}
