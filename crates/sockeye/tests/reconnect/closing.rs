//! The end of a client, in each of its states.

use std::time::Duration;

use sockeye::reconnect::{Event, Fate, Reconnecting, SendError};
use sockeye::{CloseCode, WebSocket};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::network::{event, kill, network, text, waiting};

/// Waits until no task is left.
async fn no_tasks() {
    let started = Instant::now();
    while Handle::current().metrics().num_alive_tasks() > 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "a task goes on");
        // Nothing tells of the end of a task that is nobody's; the clock is paused, so that this lets the others run.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn closing_an_open_connection_delivers_what_is_queued() {
    let (network, mut server) = network();
    let mut client = network.client().start().unwrap();
    let mut ws = server.open().await;
    client.opened().await.unwrap();
    let receipt = client.send("order").await.unwrap();
    let peer = tokio::spawn(async move {
        assert_eq!(text(&mut ws).await, "order");
        assert_eq!(ws.recv().await.unwrap(), None);
        ws.close_info().unwrap()
    });
    let code = CloseCode::new(4000).unwrap();
    let info = client.close(code, "bye").await.unwrap().unwrap();
    assert_eq!((info.code, info.clean), (4000, true));
    assert_eq!(receipt.await, Fate::Sent { connection: 1 });
    assert_eq!(peer.await.unwrap().reason, "bye");
    assert_eq!(client.recv().await.unwrap(), None);
    no_tasks().await;
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_connection() {
    for state in ["connecting", "in a hook", "waiting"] {
        let (network, mut server) = network();
        let never = |ws: WebSocket, _| async move {
            std::future::pending::<()>().await;
            Ok(ws)
        };
        let mut client = network.client().on_open(never).start().unwrap();
        let mut events = client.events();
        let receipt = client.send("order").await.unwrap();
        let (mut io, mut ws) = (None, None);
        match state {
            "connecting" => io = Some(server.accept().await),
            "in a hook" => ws = Some(server.open().await),
            _ => {
                server.refuse(500).await;
                waiting(&mut events).await;
            }
        }
        let now = Instant::now();
        assert_eq!(
            client.close(CloseCode::NORMAL, "").await.unwrap(),
            None,
            "{state}"
        );
        assert_eq!(now.elapsed(), Duration::ZERO, "{state}");
        assert_eq!(receipt.await, Fate::Unsent, "{state}");
        event(&mut events, |event| {
            matches!(event, Event::Closed { info: None }).then_some(())
        })
        .await;
        assert!(events.recv().await.is_none(), "{state}");
        if let Some(mut ws) = ws {
            assert_eq!(ws.recv().await.unwrap(), None);
        }
        drop(io);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_handles_ends_everything_in_each_state() {
    for state in ["connecting", "open", "waiting"] {
        let (network, mut server) = network();
        let client = network.client().start().unwrap();
        let mut events = client.events();
        let sender = client.sender();
        let receipt = client.send("order").await.unwrap();
        let (mut io, mut ws) = (None, None);
        match state {
            "connecting" => io = Some(server.accept().await),
            "open" => ws = Some(server.open().await),
            _ => {
                server.refuse(500).await;
                waiting(&mut events).await;
            }
        }
        // One handle is enough to go on.
        drop(client);
        tokio::task::yield_now().await;
        assert!(Handle::current().metrics().num_alive_tasks() > 0, "{state}");
        drop(sender);
        if let Some(mut ws) = ws {
            assert_eq!(text(&mut ws).await, "order");
            assert_eq!(ws.recv().await.unwrap(), None);
            assert_eq!(ws.close_info().unwrap().code, 1000);
            assert_eq!(receipt.await, Fate::Sent { connection: 1 });
        } else {
            assert_eq!(receipt.await, Fate::Unsent, "{state}");
        }
        drop(io);
        no_tasks().await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_close() {
    let (network, _server) = network();
    let mut client = network.client().start().unwrap();
    let sender = client.sender();
    assert!(
        client
            .close(CloseCode::NORMAL, &"x".repeat(124))
            .await
            .unwrap_err()
            .is_config()
    );
    sender.send("before").await.unwrap();
    client.close(CloseCode::NORMAL, "").await.unwrap();
    assert_eq!(
        sender.send("order").await.unwrap_err(),
        SendError::Ended("order".into())
    );
    assert_eq!(
        sender.try_send("order").unwrap_err(),
        SendError::Ended("order".into())
    );
    assert_eq!(
        sender.send_now("order").unwrap_err(),
        SendError::Ended("order".into())
    );
    assert!(sender.opened().await.unwrap_err().is_closed());
    sender.flush().await;
}

#[tokio::test(start_paused = true)]
async fn a_send_that_waits_for_room_hears_of_the_end() {
    let (network, _server) = network();
    let capacity = sockeye::reconnect::Capacity {
        messages: 1,
        ..Default::default()
    };
    let mut client = network.client().capacity(capacity).start().unwrap();
    client.send("1").await.unwrap();
    let sender = client.sender();
    let waits = tokio::spawn(async move { sender.send("2").await });
    tokio::task::yield_now().await;
    client.close(CloseCode::NORMAL, "").await.unwrap();
    assert!(matches!(waits.await.unwrap(), Err(SendError::Ended(_))));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_while_it_closes_is_not_come_back_to() {
    let (network, mut server) = network();
    let mut client = network.client().start().unwrap();
    let ws = server.open().await;
    client.opened().await.unwrap();
    let receipt = client.send("order").await.unwrap();
    let closing = tokio::spawn(async move { client.close(CloseCode::NORMAL, "").await });
    // The peer has read the Close frame, and owes the answer until its application has taken the message.
    while ws.close_info().is_none() {
        tokio::task::yield_now().await;
    }
    kill(ws).await;
    assert!(closing.await.unwrap().unwrap_err().is_connection_lost());
    assert_eq!(receipt.await, Fate::Sent { connection: 1 });
    no_tasks().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_with_messages_to_send_before_the_close_is_told() {
    let (network, mut server) = network();
    let mut client = network.client().start().unwrap();
    let ws = server.open().await;
    client.opened().await.unwrap();
    // More than the peer takes while its application takes nothing.
    let mut receipts = Vec::new();
    for _ in 0..4 {
        receipts.push(client.send(vec![0; 50_000]).await.unwrap());
    }
    let closing = tokio::spawn(async move { client.close(CloseCode::NORMAL, "").await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    kill(ws).await;
    assert!(closing.await.unwrap().unwrap_err().is_connection_lost());
    let connection = 1;
    for (receipt, sent) in receipts.into_iter().zip([true, true, false, false]) {
        let unknown = Fate::Unknown { connection };
        assert_eq!(
            receipt.await,
            if sent { Fate::Sent { connection } } else { unknown }
        );
    }
    no_tasks().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_the_close_is_left() {
    let (network, mut server) = network();
    let mut client = network.client().start().unwrap();
    let _ws = server.open().await;
    client.opened().await.unwrap();
    network.mute();
    let now = Instant::now();
    assert!(
        client
            .close(CloseCode::NORMAL, "")
            .await
            .unwrap_err()
            .is_timeout()
    );
    assert_eq!(now.elapsed(), sockeye::Config::client().close_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_not_read_cannot_hold_up_the_close() {
    let (network, mut server) = network();
    let (sender, receiver) = network.client().start().unwrap().split();
    let ws = server.open().await;
    sender.opened().await.unwrap();
    for _ in 0..2 {
        ws.send(vec![0; 100_000]).await.unwrap();
    }
    let now = Instant::now();
    sender.start_close(CloseCode::NORMAL, "").unwrap();
    assert!(sender.closed().await.is_err());
    assert!(now.elapsed() <= Duration::from_secs(30), "{:?}", now.elapsed());
    drop(receiver);
}

#[tokio::test]
#[should_panic(expected = "runtime")]
async fn a_client_needs_a_runtime() {
    std::thread::spawn(|| Reconnecting::builder("ws://localhost/").start())
        .join()
        .map_err(|panic| {
            panic!(
                "{}",
                panic.downcast_ref::<&str>().copied().unwrap_or("no runtime")
            )
        })
        .unwrap()
        .unwrap();
}
