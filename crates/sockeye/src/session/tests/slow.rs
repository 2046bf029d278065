//! Peers that take little of what they are sent.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_reader_of_one_byte_a_second_is_kept_and_costs_no_more_than_the_queue() {
    let (a, mut b) = duplex(1);
    let ws = spawn(server(Config::server()), a);
    let sender = ws.sender();
    let limit = QueueLimits::default().send;
    let pouring = tokio::spawn(async move { while sender.send(vec![0; 1000]).await.is_ok() {} });
    for _ in 0..3600 {
        b.read_u8().await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(ws.buffered_amount() <= limit + 1004);
    }
    assert!(ws.buffered_amount() > limit - 10_000);
    assert!(ws.close_info().is_none());
    // When it takes nothing any more, its time is up.
    let started = tokio::time::Instant::now();
    assert!(ws.sender().closed().await.unwrap_err().is_timeout());
    assert!(started.elapsed() <= QueueLimits::default().write_timeout);
    pouring.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_an_application_pours_out_is_read_by_a_peer_that_pours_too() {
    // Neither side waits for the other to read first.
    let (a, b) = duplex(1000);
    let (server, client) = (
        spawn(server(Config::server()), a),
        spawn(client(Config::client()), b),
    );
    let pour = |ws: WebSocket| async move {
        let (sender, mut receiver) = ws.split();
        let sending = tokio::spawn(async move {
            for _ in 0..100 {
                sender.send(vec![1; 50_000]).await.unwrap();
            }
            sender
        });
        for _ in 0..100 {
            assert_eq!(receiver.recv().await.unwrap().unwrap().len(), 50_000);
        }
        sending.await.unwrap();
    };
    tokio::join!(pour(server), pour(client));
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_what_was_sent_before_it_and_no_longer() {
    let (a, mut b) = duplex(1000);
    let ws = spawn(server(Config::server()), a);
    let sender = ws.sender();
    let pouring = tokio::spawn(async move {
        for _ in 0..50_000 {
            sender.send(vec![0; 1000]).await.unwrap();
        }
    });
    let reading = tokio::spawn(async move {
        let mut buffer = [0; 1000];
        while b.read(&mut buffer).await.unwrap() > 0 {}
    });
    while ws.buffered_amount() < 500_000 {
        tokio::task::yield_now().await;
    }
    ws.flush().await.unwrap();
    // Others go on: the queue has not been empty since.
    assert!(!pouring.is_finished());
    pouring.await.unwrap();
    ws.flush().await.unwrap();
    assert_eq!(ws.buffered_amount(), 0);
    drop(ws);
    reading.abort();
}

#[tokio::test(start_paused = true)]
async fn a_flush_fails_when_something_of_it_is_lost() {
    let (a, b) = duplex(1000);
    let ws = spawn(server(Config::server()), a);
    ws.send(vec![0; 100_000]).await.unwrap();
    let sender = ws.sender();
    let flushing = tokio::spawn(async move { sender.flush().await });
    tokio::task::yield_now().await;
    drop(b);
    assert!(flushing.await.unwrap().unwrap_err().is_closed());
    assert!(ws.flush().await.unwrap_err().is_closed());
}
