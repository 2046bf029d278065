//! The time between connections.

use std::time::Duration;

use sockeye::reconnect::{Backoff, Cause, Event, Jitter};
use tokio::time::Instant;

use crate::network::{event, kill, network, waiting};

#[tokio::test(start_paused = true)]
async fn waits_grow_until_a_connection_lasts() {
    let (network, mut server) = network();
    let client = network.client().start().unwrap();
    let mut events = client.events();
    for wait in [2500, 5000, 10_000, 20_000, 30_000, 30_000] {
        server.refuse(502).await;
        assert_eq!(waiting(&mut events).await, Duration::from_millis(wait));
    }
    // A connection that does not last changes nothing.
    kill(server.open().await).await;
    assert_eq!(waiting(&mut events).await, Duration::from_secs(30));
    let ws = server.open().await;
    client.opened().await.unwrap();
    tokio::time::sleep(Backoff::default().reset_after).await;
    kill(ws).await;
    assert_eq!(waiting(&mut events).await, Duration::from_millis(2500));
}

#[tokio::test(start_paused = true)]
async fn the_next_attempt_comes_after_the_wait_and_not_before() {
    let (network, mut server) = network();
    let backoff = Backoff {
        jitter: Jitter::None,
        ..Backoff::default()
    };
    let client = network.client().backoff(backoff).start().unwrap();
    server.refuse(500).await;
    let refused = Instant::now();
    let _ws = server.open().await;
    assert_eq!(refused.elapsed(), Duration::from_secs(5));
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_server_may_ask_for_the_longest_wait_there_is() {
    let (network, mut server) = network();
    let backoff = Backoff {
        max_retry_after: Duration::MAX,
        ..Backoff::default()
    };
    let client = network.client().backoff(backoff).start().unwrap();
    let mut events = client.events();
    server
        .answer("HTTP/1.1 503 No\r\nRetry-After: 18446744073709551615\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(waiting(&mut events).await, Duration::MAX);
    client.reconnect_now();
    server.refuse(502).await;
    assert_eq!(waiting(&mut events).await, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn each_step_is_an_event() {
    let (network, mut server) = network();
    let mut client = network.client().start().unwrap();
    let mut events = client.events();
    server.refuse(500).await;
    kill(server.open().await).await;
    let _ws = server.open().await;
    client.opened().await.unwrap();
    client
        .sender()
        .start_close(sockeye::CloseCode::NORMAL, "")
        .unwrap();
    assert_eq!(client.recv().await.unwrap(), None);
    let mut steps = Vec::new();
    while let Some(event) = events.recv().await {
        steps.push(match event {
            Event::Connecting { attempt } => format!("connecting {attempt}"),
            Event::Failed { attempt, cause } => {
                format!("failed {attempt} with {}", cause.refusal().unwrap().status)
            }
            Event::Open { connection, attempt } => format!("open {connection} by {attempt}"),
            Event::Lost {
                connection,
                cause,
                unknown,
                queued,
            } => {
                format!("lost {connection}: {cause}, {unknown} + {queued}")
            }
            Event::Waiting { delay } => format!("waiting {delay:?}"),
            Event::Closed { info } => format!("closed with {}", info.unwrap().code),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(
        steps,
        [
            "connecting 1",
            "failed 1 with 500 Internal Server Error",
            "waiting 2.5s",
            "connecting 2",
            "open 1 by 2",
            "lost 1: connection lost without a closing handshake, 0 + 0",
            "waiting 5s",
            "connecting 3",
            "open 2 by 3",
            "closed with 1000",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_wait_can_be_cut_short() {
    let (network, mut server) = network();
    let client = network.client().start().unwrap();
    let mut events = client.events();
    // Not kept for the wait to come.
    client.reconnect_now();
    server.refuse(500).await;
    waiting(&mut events).await;
    let now = Instant::now();
    client.reconnect_now();
    server.refuse(500).await;
    assert_eq!(now.elapsed(), Duration::ZERO);
    assert_eq!(waiting(&mut events).await, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn another_network_ends_the_wait_and_forgets_the_failures() {
    let (network, mut server) = network();
    let client = network.client().start().unwrap();
    let mut events = client.events();
    server.refuse(500).await;
    server.refuse(500).await;
    waiting(&mut events).await;
    waiting(&mut events).await;
    let now = Instant::now();
    client.network_changed();
    server.refuse(500).await;
    assert_eq!(now.elapsed(), Duration::ZERO);
    assert_eq!(waiting(&mut events).await, Duration::from_millis(2500));
}

#[tokio::test(start_paused = true)]
async fn another_network_starts_the_attempt_anew() {
    let (network, mut server) = network();
    let client = network.client().start().unwrap();
    let stuck = server.accept().await;
    let now = Instant::now();
    client.network_changed();
    let _ws = server.open().await;
    assert_eq!(client.opened().await.unwrap(), 1);
    assert_eq!(now.elapsed(), Duration::ZERO);
    drop(stuck);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_answers_the_probe_stays() {
    let (network, mut server) = network();
    let client = network
        .client()
        .probe_timeout(Duration::from_secs(3))
        .start()
        .unwrap();
    let _ws = server.open().await;
    client.opened().await.unwrap();
    client.network_changed();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(client.sender().connection(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_is_dropped() {
    let (network, mut server) = network();
    let client = network
        .client()
        .probe_timeout(Duration::from_secs(3))
        .start()
        .unwrap();
    let mut events = client.events();
    let _ws = server.open().await;
    client.opened().await.unwrap();
    network.mute();
    let now = Instant::now();
    client.network_changed();
    let lost = event(&mut events, |event| match event {
        Event::Lost { cause, .. } => Some(cause.clone()),
        _ => None,
    });
    assert!(matches!(lost.await, Cause::Lost(_)));
    assert_eq!(now.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_probe_gives_no_verdict_while_nothing_is_read() {
    let (network, mut server) = network();
    let mut client = network
        .client()
        .probe_timeout(Duration::from_secs(3))
        .start()
        .unwrap();
    let mut events = client.events();
    let ws = server.open().await;
    client.opened().await.unwrap();
    // More than a client holds for an application that takes nothing.
    let sender = ws.sender();
    let sending = tokio::spawn(async move {
        for _ in 0..10 {
            sender.send(vec![0; 200_000]).await.unwrap();
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    client.network_changed();
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(client.sender().connection(), Some(1));
    assert!(!sending.is_finished());
    // A peer that does not answer is found out once the rest was taken.
    network.mute();
    client.network_changed();
    for _ in 0..10 {
        client.recv().await.unwrap().unwrap();
    }
    let now = Instant::now();
    event(&mut events, |event| {
        matches!(event, Event::Lost { .. }).then_some(())
    })
    .await;
    assert!(now.elapsed() <= Duration::from_secs(6), "{:?}", now.elapsed());
}
