//! When the client goes on, and when not.

use std::time::Duration;

use sockeye::CloseCode;
use sockeye::reconnect::{Cause, Event, Fate, Why};
use tokio::time::Instant;

use crate::network::{event, kill, network, waiting};

#[tokio::test(start_paused = true)]
async fn a_final_refusal_is_told_and_what_waits_is_unsent() {
    let (network, mut server) = network();
    let mut client = network.client().start().unwrap();
    let mut events = client.events();
    let receipt = client.send("order").await.unwrap();
    server.refuse(403).await;
    let gave_up = client.recv().await.unwrap_err();
    assert_eq!(gave_up.why, Why::Final);
    assert_eq!(gave_up.cause.refusal().unwrap().status, 403);
    assert_eq!(receipt.await, Fate::Unsent);
    assert_eq!(client.recv().await.unwrap(), None);
    assert_eq!(client.opened().await.unwrap_err().refusal().unwrap().status, 403);
    event(&mut events, |event| {
        matches!(event, Event::GaveUp(_)).then_some(())
    })
    .await;
    assert!(events.recv().await.is_none());
    assert!(
        client
            .close(CloseCode::NORMAL, "")
            .await
            .unwrap_err()
            .refusal()
            .is_some()
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_nothing_more_to_say_ends_the_client() {
    let (network, mut server) = network();
    let mut client = network.client().start().unwrap();
    let mut ws = server.open().await;
    ws.send("last").await.unwrap();
    ws.close(CloseCode::NORMAL, "done").await.unwrap();
    assert_eq!(client.recv().await.unwrap(), Some("last".into()));
    let gave_up = client.recv().await.unwrap_err();
    assert_eq!(gave_up.to_string(), "gave up: the peer closed with 1000: done");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_restarts_is_come_back_to() {
    let (network, mut server) = network();
    let client = network.client().start().unwrap();
    for connection in 1..=3 {
        let mut ws = server.open().await;
        assert_eq!(client.opened().await.unwrap(), connection);
        ws.close(CloseCode::SERVICE_RESTART, "").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn rules_of_the_application_replace_the_others() {
    let (network, mut server) = network();
    let rule = |cause: &Cause| matches!(cause, Cause::Closed(info) if info.code == 4001);
    let mut client = network.client().give_up_when(rule).start().unwrap();
    server.refuse(403).await;
    let mut ws = server.open().await;
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    let mut ws = server.open().await;
    ws.close(CloseCode::new(4001).unwrap(), "").await.unwrap();
    assert_eq!(client.recv().await.unwrap_err().why, Why::Final);
}

#[tokio::test(start_paused = true)]
async fn attempts_in_a_row_are_limited() {
    let (network, mut server) = network();
    let mut client = network.client().max_attempts(3).start().unwrap();
    for _ in 0..3 {
        server.refuse(500).await;
    }
    assert_eq!(client.recv().await.unwrap_err().why, Why::Attempts(3));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lasts_forgives_the_attempts_before() {
    let (network, mut server) = network();
    let mut client = network.client().max_attempts(2).start().unwrap();
    for _ in 0..3 {
        server.refuse(500).await;
        let ws = server.open().await;
        client.opened().await.unwrap();
        tokio::time::sleep(Duration::from_secs(11)).await;
        kill(ws).await;
    }
    // One that does not is as bad as none.
    for _ in 0..2 {
        let ws = server.open().await;
        client.opened().await.unwrap();
        kill(ws).await;
    }
    assert_eq!(client.recv().await.unwrap_err().why, Why::Attempts(2));
}

#[tokio::test(start_paused = true)]
async fn the_last_attempt_is_made_when_the_time_is_over() {
    let (network, server) = network();
    drop(server);
    let limit = Duration::from_secs(12);
    let started = Instant::now();
    let mut client = network.client().max_elapsed(limit).start().unwrap();
    let mut events = client.events();
    // 2.5 s, 5 s, and what is left of 10 s.
    for wait in [2500, 5000, 4500] {
        assert_eq!(waiting(&mut events).await, Duration::from_millis(wait));
    }
    assert_eq!(client.recv().await.unwrap_err().why, Why::Elapsed(limit));
    assert_eq!(started.elapsed(), limit);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ran_out_is_refreshed_once() {
    let (network, mut server) = network();
    let mut client = network
        .client()
        .refresh(|target| async { Ok(target) })
        .start()
        .unwrap();
    for _ in 0..2 {
        server.refuse(401).await;
        kill(server.open().await).await;
    }
    server.refuse(401).await;
    server.refuse(401).await;
    let gave_up = client.recv().await.unwrap_err();
    assert_eq!(gave_up.cause.refusal().unwrap().status, 401);

    let mut client = network.client().start().unwrap();
    server.refuse(401).await;
    assert_eq!(client.recv().await.unwrap_err().why, Why::Final);
}

#[tokio::test(start_paused = true)]
async fn a_server_may_ask_for_time() {
    let (network, mut server) = network();
    let client = network.client().start().unwrap();
    let mut events = client.events();
    for (asked, wait) in [("7", 7 + 2), ("100000", 300 + 5)] {
        server
            .answer(&format!(
                "HTTP/1.1 503 Busy\r\nRetry-After: {asked}\r\nContent-Length: 0\r\n\r\n"
            ))
            .await;
        assert_eq!(waiting(&mut events).await.as_secs(), wait);
    }
}

#[tokio::test(start_paused = true)]
async fn a_url_that_cannot_be_used_ends_the_client() {
    let mut client = sockeye::reconnect::Reconnecting::builder("ftp://example.org/")
        .start()
        .unwrap();
    let error = sockeye::Error::from(client.recv().await.unwrap_err());
    assert!(error.is_config(), "{error}");
}
