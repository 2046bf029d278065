//! How connections end, and that nothing is kept when they have.

use super::*;
use std::task::Poll;

#[tokio::test(start_paused = true)]
async fn a_server_ends_the_transport_once_both_close_frames_were_exchanged() {
    for ours_first in [false, true] {
        let (a, mut b) = duplex(4096);
        let (mut ws, driver) = server(Config::server()).start(a);
        let sender = ws.sender();
        let task = tokio::spawn(Joined::new(
            driver,
            Box::pin(async move {
                while ws.recv().await?.is_some() {}
                Ok(())
            }),
        ));
        let started = tokio::time::Instant::now();
        if ours_first {
            sender.start_close(CloseCode::NORMAL, "").unwrap();
        }
        b.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]).await.unwrap();
        let mut rest = Vec::new();
        b.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, [0x88, 2, 0x03, 0xE8]);
        // The peer keeps its end open, and nobody waits for it.
        task.await.unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert!(sender.closed().await.unwrap().clean);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_fault_what_the_peer_still_sends_is_read_until_the_close_timeout() {
    let (a, mut b) = duplex(64);
    let ws = spawn(server(Config::server()), a);
    let started = tokio::time::Instant::now();
    b.write_all(&[0xA1, 0x80, 0, 0, 0, 0]).await.unwrap();
    // A peer that writes on, since it has not read our Close yet: were this not read, TCP would reset.
    b.write_all(&[7; 10_000]).await.unwrap();
    let mut close = [0; 4];
    b.read_exact(&mut close).await.unwrap();
    assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1002));
    assert!(ws.sender().closed().await.unwrap_err().is_protocol());
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_transport_is_dropped_at_the_end_though_the_handler_goes_on() {
    let (a, mut b) = duplex(4096);
    let (ws, driver) = server(Config::server()).start(a);
    let sender = ws.sender();
    tokio::spawn(Joined::new(
        driver,
        Box::pin(async move {
            let _ws = ws;
            std::future::pending().await
        }),
    ));
    sender.abort();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(1), b.read_to_end(&mut rest)).await;
    assert_eq!((end.expect("still open").unwrap(), rest), (0, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_given_up_goes_on() {
    let (mut server, mut client) = pair();
    {
        let mut close = std::pin::pin!(client.close(CloseCode::NORMAL, "enough"));
        std::future::poll_fn(|cx| {
            assert!(close.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    assert_eq!(server.recv().await.unwrap(), None);
    assert!(client.sender().closed().await.unwrap().clean);
}

#[tokio::test(start_paused = true)]
async fn closing_or_flushing_what_has_ended_does_nothing() {
    let (a, _b) = duplex(4096);
    let mut ws = spawn(server(Config::server()), a);
    ws.sender().abort();
    assert!(ws.recv().await.is_err());
    ws.sender().start_close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(ws.buffered_amount(), 0);
    ws.flush().await.unwrap();
    assert_eq!(ws.close_info().unwrap().code, 1006);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_end_leaves_nothing_behind_when_it_is_given_up() {
    let (a, _b) = duplex(4096);
    let ws = spawn(server(Config::server()), a);
    for _ in 0..100 {
        let sender = ws.sender();
        let waiting = tokio::spawn(async move { sender.closed().await });
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
    }
    assert!(ws.shared().lock().writers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_handle_is_told_of_a_failure_and_the_receiver_once() {
    let (a, b) = duplex(4096);
    let mut ws = spawn(server(Config::server()), a);
    drop(b);
    let sender = ws.sender();
    assert!(sender.closed().await.unwrap_err().is_connection_lost());
    assert!(ws.recv().await.unwrap_err().is_connection_lost());
    assert_eq!(ws.recv().await.unwrap(), None);
    assert!(sender.closed().await.unwrap_err().is_connection_lost());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_before_the_peer_has_ended_the_transport() {
    let (a, mut b) = duplex(4096);
    let (mut ws, driver) = server(Config::server()).start(a);
    let (tell, told) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(Joined::new(
        driver,
        Box::pin(async move {
            assert_eq!(ws.recv().await?, Some(Message::from(vec![7])));
            ws.send("answer").await?;
            let failure = ws.recv().await;
            assert_eq!(ws.recv().await?, None);
            let _ = tell.send(failure);
            Ok(())
        }),
    ));
    let started = tokio::time::Instant::now();
    b.write_all(&[0x82, 0x81, 0, 0, 0, 0, 7, 0xA1, 0x80, 0, 0, 0, 0])
        .await
        .unwrap();
    assert!(told.await.unwrap().unwrap_err().is_protocol());
    let mut answer = [0; 8 + 4];
    b.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer[..8], *b"\x81\x06answer");
    assert_eq!(
        (answer[8], u16::from_be_bytes([answer[10], answer[11]])),
        (0x88, 1002)
    );
    assert_eq!(started.elapsed(), Duration::ZERO);
    drop(b);
    task.await.unwrap();
}
