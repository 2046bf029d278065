//! Reading that the application stops.

use super::*;

/// A server that is paused, and the bare transport of its peer.
async fn paused() -> (WebSocket, DuplexStream) {
    let (a, mut b) = duplex(1024);
    let mut ws = spawn(server(Config::server()), a);
    b.write_all(&[0x82, 0x81, 0, 0, 0, 0, 1]).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from(vec![1])));
    ws.pause();
    assert!(ws.is_paused());
    (ws, b)
}

const HELLO: [u8; 7] = [0x82, 0x81, 0, 0, 0, 0, 7];

#[tokio::test(start_paused = true)]
async fn a_paused_connection_takes_nothing_from_its_transport_and_goes_on_when_resumed() {
    let (mut ws, mut peer) = paused().await;
    // No more than the pipe holds gets out of hand.
    let sending = tokio::spawn(async move {
        for _ in 0..1000 {
            peer.write_all(&HELLO).await.unwrap();
        }
        peer
    });
    assert!(
        tokio::time::timeout(Duration::from_secs(3600), ws.recv())
            .await
            .is_err()
    );
    assert!(!sending.is_finished());
    ws.resume();
    assert!(!ws.is_paused());
    for _ in 0..1000 {
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from(vec![7])));
    }
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn messages_that_came_before_a_pause_can_be_taken_in_it() {
    let (a, mut b) = duplex(1024);
    let mut ws = spawn(server(Config::server()), a);
    b.write_all(&[HELLO, HELLO].concat()).await.unwrap();
    assert!(ws.recv().await.unwrap().is_some());
    ws.pause();
    assert!(ws.recv().await.unwrap().is_some());
    assert!(
        tokio::time::timeout(Duration::from_secs(1), ws.recv())
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn the_peer_is_not_blamed_for_its_silence_in_a_pause() {
    let (a, mut b) = duplex(1024);
    let config = Config {
        idle_timeout: Some(Duration::from_secs(60)),
        ..Config::server()
    };
    let ws = spawn(server(config), a);
    ws.pause();
    let mut sign = [0; 2];
    for _ in 0..100 {
        // What asks for no answer still finds out whether there is somebody.
        b.read_exact(&mut sign).await.unwrap();
        assert_eq!(sign, [0x8A, 0]);
    }
    assert!(ws.close_info().is_none());
    ws.resume();
    // The clocks start anew: a Ping after 25 s.
    let resumed = tokio::time::Instant::now();
    let mut ping = [0; 2];
    b.read_exact(&mut ping).await.unwrap();
    assert_eq!(ping, [0x89, 8]);
    assert_eq!(resumed.elapsed().as_secs(), 25);
}

#[tokio::test(start_paused = true)]
async fn sending_goes_on_in_a_pause() {
    let (ws, mut peer) = paused().await;
    ws.send("on").await.unwrap();
    let mut frame = [0; 4];
    peer.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame, *b"\x81\x02on");
}

#[tokio::test(start_paused = true)]
async fn closing_ends_a_pause() {
    let (mut ws, mut peer) = paused().await;
    let started = tokio::time::Instant::now();
    let peer = tokio::spawn(async move {
        let mut close = [0; 4];
        peer.read_exact(&mut close).await.unwrap();
        assert_eq!(close, [0x88, 2, 0x03, 0xE8]);
        peer.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8])
            .await
            .unwrap();
        peer
    });
    let info = ws.close(CloseCode::NORMAL, "").await.unwrap();
    assert!(info.clean);
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert!(!ws.is_paused());
    peer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_paused_connection_can_be_aborted() {
    let (ws, mut peer) = paused().await;
    ws.sender().abort();
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_receiver_ends_a_pause() {
    let (ws, mut peer) = paused().await;
    let (sender, receiver) = ws.split();
    drop(receiver);
    peer.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE9])
        .await
        .unwrap();
    assert_eq!(sender.closed().await.unwrap().code, 1001);
}

#[tokio::test(start_paused = true)]
async fn a_paused_connection_still_has_a_lifetime() {
    let (a, mut b) = duplex(1024);
    let config = Config {
        max_lifetime: Some(Duration::from_secs(100)),
        keepalive: None,
        ..Config::server()
    };
    let ws = spawn(server(config), a);
    ws.pause();
    let mut close = [0; 4];
    b.read_exact(&mut close).await.unwrap();
    assert_eq!((close[0], &close[2..]), (0x88, &1001u16.to_be_bytes()[..]));
    b.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE9]).await.unwrap();
    let started = tokio::time::Instant::now();
    assert!(ws.sender().closed().await.unwrap_err().is_timeout());
    assert_eq!(started.elapsed(), Duration::ZERO, "the answer was not read");
}

#[tokio::test(start_paused = true)]
async fn a_full_inbox_and_a_pause_are_two_reasons_not_to_read() {
    let (a, mut b) = duplex(1024);
    let opening = Opening {
        limits: QueueLimits {
            receive: 500,
            ..QueueLimits::default()
        },
        ..server(Config::server())
    };
    let mut ws = spawn(opening, a);
    let sending = tokio::spawn(async move {
        for _ in 0..1000 {
            b.write_all(&HELLO).await.unwrap();
        }
        b
    });
    // The inbox is full now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    ws.pause();
    let mut taken = 0;
    while let Ok(message) = tokio::time::timeout(Duration::from_secs(1), ws.recv()).await {
        assert!(message.unwrap().is_some());
        taken += 1;
    }
    assert!(taken < 100, "{taken}");
    ws.resume();
    for _ in taken..1000 {
        assert!(ws.recv().await.unwrap().is_some());
    }
    sending.await.unwrap();
}
