//! The hooks before an attempt and on a fresh connection.

use std::time::Duration;

use sockeye::WebSocket;
use sockeye::reconnect::{Cause, Event, Fate, HookError, Target, Why};

use crate::network::{event, kill, network, text, waiting};

#[tokio::test(start_paused = true)]
async fn refresh_runs_before_each_attempt_and_starts_from_the_same_target() {
    let (network, mut server) = network();
    let mut tokens = 0;
    let refresh = move |target: Target| {
        tokens += 1;
        let url = format!("{}{}", target.url(), target.attempt());
        let token = format!("Bearer {tokens}");
        async move { Ok(target.with_url(url).header("Authorization", token)) }
    };
    let _client = network.client().refresh(refresh).start().unwrap();
    for token in 1..=3 {
        let request = server.refuse(500).await;
        assert!(
            request.starts_with(&format!("GET /{token} HTTP/1.1\r\n")),
            "{request}"
        );
        assert_eq!(request.matches("Authorization").count(), 1, "{request}");
        assert!(
            request.contains(&format!("Authorization: Bearer {token}\r\n")),
            "{request}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_is_a_failed_attempt() {
    let (network, mut server) = network();
    let refresh = |target: Target| async move {
        match target.attempt() {
            1 => Err("no token yet".into()),
            _ => Ok(target),
        }
    };
    let client = network.client().refresh(refresh).start().unwrap();
    let mut events = client.events();
    let failed = event(&mut events, |event| match event {
        Event::Failed {
            attempt: 1,
            cause: Cause::Refresh(error),
        } => Some(error.to_string()),
        _ => None,
    });
    assert_eq!(failed.await, "no token yet");
    assert_eq!(waiting(&mut events).await, Duration::from_millis(2500));
    let _ws = server.open().await;
    assert_eq!(client.opened().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_hook_can_give_up() {
    let refresh = |_| async { Err(HookError::give_up("banned")) };
    let on_open = |_, _| async { Err(HookError::give_up("banned")) };
    for on_refresh in [true, false] {
        let (network, mut server) = network();
        let builder = network.client().give_up_when(|_| false);
        let builder = match on_refresh {
            true => builder.refresh(refresh),
            false => builder.on_open(on_open),
        };
        let mut client = builder.start().unwrap();
        let receipt = client.send("order").await.unwrap();
        if !on_refresh {
            // The socket is closed properly, and nothing was sent on it.
            assert_eq!(server.open().await.recv().await.unwrap(), None);
        }
        let gave_up = client.recv().await.unwrap_err();
        assert_eq!(gave_up.why, Why::Final);
        assert!(gave_up.to_string().contains("banned"), "{gave_up}");
        assert_eq!(receipt.await, Fate::Unsent);
    }
}

#[tokio::test(start_paused = true)]
async fn on_open_speaks_on_each_connection_before_the_queue() {
    let (network, mut server) = network();
    let on_open = |ws: WebSocket, connection| async move {
        ws.send(format!("subscribe {connection}")).await?;
        Ok(ws)
    };
    let client = network.client().on_open(on_open).start().unwrap();
    for connection in 1..=3 {
        client.send(format!("order {connection}")).await.unwrap();
        let mut ws = server.open().await;
        assert_eq!(text(&mut ws).await, format!("subscribe {connection}"));
        assert_eq!(text(&mut ws).await, format!("order {connection}"));
        client.flush().await;
        kill(ws).await;
    }
}

#[tokio::test(start_paused = true)]
async fn on_open_has_the_first_look_at_what_arrives() {
    let (network, mut server) = network();
    let log_in = |mut ws: WebSocket, _| async move {
        let answer = ws.recv().await?;
        match answer.as_ref().and_then(|answer| answer.as_text()) {
            Some("welcome") => Ok(ws),
            _ => Err(format!("{answer:?}").into()),
        }
    };
    let mut client = network.client().on_open(log_in).start().unwrap();
    let mut events = client.events();
    let first = server.open().await;
    first.send("go away").await.unwrap();
    let refused = event(&mut events, |event| match event {
        Event::Failed {
            attempt,
            cause: Cause::OnOpen(_),
        } => Some(*attempt),
        Event::Open { .. } => panic!("not open before the hook is done"),
        _ => None,
    });
    assert_eq!(refused.await, 1);
    let second = server.open().await;
    second.send("welcome").await.unwrap();
    second.send("news").await.unwrap();
    assert_eq!(client.recv().await.unwrap(), Some("news".into()));
    assert_eq!(client.received_from(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_connection_in_a_hook_keeps_its_kind() {
    let (network, mut server) = network();
    let on_open = |mut ws: WebSocket, _| async move {
        ws.recv().await?;
        Ok(ws)
    };
    let client = network.client().on_open(on_open).start().unwrap();
    let mut events = client.events();
    kill(server.open().await).await;
    let lost = event(&mut events, |event| match event {
        Event::Failed { cause, .. } => Some(cause.error().unwrap().is_connection_lost()),
        _ => None,
    });
    assert!(lost.await);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_given_up_for_another() {
    let (network, mut server) = network();
    let limit = Duration::from_secs(7);
    let on_open = |ws: WebSocket, _| async move {
        std::future::pending::<()>().await;
        Ok(ws)
    };
    let client = network
        .client()
        .attempt_timeout(limit)
        .on_open(on_open)
        .start()
        .unwrap();
    let mut events = client.events();
    let _ws = server.open().await;
    let cause = event(&mut events, |event| match event {
        Event::Failed { cause, .. } => Some(cause.clone()),
        _ => None,
    });
    assert!(matches!(cause.await, Cause::TimedOut(after) if after == limit));
    server.accept().await;
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_ends_the_client() {
    let (network, _server) = network();
    let refresh = |_: Target| async { panic!("a mistake of the application") };
    let mut client = network.client().refresh(refresh).start().unwrap();
    let receipt = client.send("order").await.unwrap();
    let gave_up = client.recv().await.unwrap_err();
    assert!(matches!(gave_up.cause, Cause::Stopped));
    assert_eq!(client.recv().await.unwrap(), None);
    assert_eq!(receipt.await, Fate::Unsent);
}
