//! Pings of the application and their round trips.

use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::*;

/// A server's handle and the bare transport of its peer.
fn raw() -> (WebSocket, DuplexStream) {
    let (a, b) = duplex(4096);
    let config = Config {
        keepalive: None,
        ..Config::server()
    };
    (spawn(server(config), a), b)
}

fn remembered(ws: &WebSocket) -> usize {
    ws.shared().lock().pings.as_ref().map_or(0, |pings| pings.len())
}

async fn read_ping(io: &mut DuplexStream) -> Vec<u8> {
    let mut header = [0; 2];
    io.read_exact(&mut header).await.unwrap();
    assert_eq!(header[0], 0x89, "not a Ping");
    let mut payload = vec![0; header[1].into()];
    io.read_exact(&mut payload).await.unwrap();
    payload
}

async fn write_pong(io: &mut DuplexStream, payload: &[u8]) {
    let frame = [&[0x8A, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat();
    io.write_all(&frame).await.unwrap();
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("nothing came")
}

#[tokio::test(start_paused = true)]
async fn a_ping_gives_the_time_until_its_pong() {
    let (ws, mut peer) = raw();
    let ping = tokio::spawn(async move { ws.ping(b"1").await });
    assert_eq!(read_ping(&mut peer).await, b"1");
    tokio::time::advance(Duration::from_millis(250)).await;
    write_pong(&mut peer, b"1").await;
    let time = soon(ping).await.unwrap().unwrap();
    assert!((250..=260).contains(&time.as_millis()), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_a_ping_starts_when_the_transport_has_it() {
    let (ws, mut peer) = raw();
    // More than the pipe holds.
    ws.send(vec![7; 20_000]).await.unwrap();
    let ping = tokio::spawn(async move { ws.ping(b"1").await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut message = vec![0; 20_004];
    peer.read_exact(&mut message).await.unwrap();
    assert_eq!(read_ping(&mut peer).await, b"1");
    tokio::time::advance(Duration::from_millis(250)).await;
    write_pong(&mut peer, b"1").await;
    let time = soon(ping).await.unwrap().unwrap();
    assert!((250..=260).contains(&time.as_millis()), "{time:?}");
}

/// A transport that takes its time to write, and whose peer has answered by then.
struct Slow {
    io: DuplexStream,
    peer: DuplexStream,
}

impl Slow {
    const WRITE: Duration = Duration::from_millis(5);
}

impl AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Slow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let until = Instant::now() + Self::WRITE;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        let pong = [0x8A, 0x80, 0, 0, 0, 0];
        let written = Pin::new(&mut self.peer).poll_write(cx, &pong);
        written.map_ok(|_| buf.len())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn the_time_of_a_ping_includes_the_writing() {
    let (io, peer) = duplex(64);
    let (ws, driver) = server(Config::server()).start(Slow { io, peer });
    tokio::spawn(driver.stand_by());
    assert!(soon(ws.ping(b"")).await.unwrap() >= Slow::WRITE);
}

#[tokio::test(start_paused = true)]
async fn a_pong_answers_its_ping_and_all_before_it() {
    let (ws, mut peer) = raw();
    let sender = ws.sender();
    let pings: Vec<_> = (0..3u8)
        .map(|i| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.ping(&[i]).await })
        })
        .collect();
    for _ in 0..3 {
        read_ping(&mut peer).await;
    }
    write_pong(&mut peer, &[1]).await;
    let [first, second, third] = <[_; 3]>::try_from(pings).unwrap();
    soon(first).await.unwrap().unwrap();
    soon(second).await.unwrap().unwrap();
    let third = tokio::time::timeout(Duration::from_secs(1), third).await;
    assert!(third.is_err(), "an earlier Pong answered a later Ping");
}

#[tokio::test(start_paused = true)]
async fn a_pong_nobody_asked_for_answers_nothing() {
    let (ws, mut peer) = raw();
    let ping = ws.ping(b"mine");
    write_pong(&mut peer, b"other").await;
    let waited = tokio::time::timeout(Duration::from_secs(1), ping).await;
    assert!(waited.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_pong_of_a_keepalive_ping_answers_pings_before_it() {
    let (a, mut peer) = duplex(4096);
    let ws = spawn(server(Config::server()), a);
    let ping = tokio::spawn(async move { ws.ping(b"mine").await });
    assert_eq!(read_ping(&mut peer).await, b"mine");
    // After 25 s of silence.
    let keepalive = read_ping(&mut peer).await;
    assert_eq!(keepalive, 1u64.to_be_bytes());
    write_pong(&mut peer, &keepalive).await;
    let time = soon(ping).await.unwrap().unwrap();
    assert_eq!(time.as_secs(), 25);
}

#[tokio::test(start_paused = true)]
async fn the_same_ping_is_not_sent_again_before_it_was_answered() {
    let (ws, mut peer) = raw();
    let sender = ws.sender();
    let first = tokio::spawn(async move { sender.ping(b"").await });
    read_ping(&mut peer).await;
    let second = tokio::spawn(async move { ws.ping(b"").await });
    assert!(
        tokio::time::timeout(Duration::from_secs(1), read_ping(&mut peer))
            .await
            .is_err()
    );
    write_pong(&mut peer, b"").await;
    soon(first).await.unwrap().unwrap();
    soon(read_ping(&mut peer)).await;
    assert!(!second.is_finished());
    write_pong(&mut peer, b"").await;
    soon(second).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_was_given_up_can_be_sent_again() {
    let (ws, mut peer) = raw();
    for _ in 0..100 {
        let given_up = tokio::time::timeout(Duration::from_secs(1), ws.ping(b"")).await;
        assert!(given_up.is_err());
        read_ping(&mut peer).await;
    }
    assert_eq!(remembered(&ws), 16, "what is remembered grows");
    let ping = tokio::spawn(async move { ws.ping(b"").await });
    read_ping(&mut peer).await;
    write_pong(&mut peer, b"").await;
    soon(ping).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn sixteen_pings_are_waited_for_and_the_next_one_waits_its_turn() {
    let (ws, mut peer) = raw();
    let pings: Vec<_> = (0..17u8)
        .map(|i| {
            let sender = ws.sender();
            tokio::spawn(async move { sender.ping(&[i]).await })
        })
        .collect();
    for i in 0..16 {
        assert_eq!(soon(read_ping(&mut peer)).await, [i]);
    }
    assert!(
        tokio::time::timeout(Duration::from_secs(1), read_ping(&mut peer))
            .await
            .is_err()
    );
    write_pong(&mut peer, &[15]).await;
    assert_eq!(soon(read_ping(&mut peer)).await, [16]);
    write_pong(&mut peer, &[16]).await;
    for ping in pings {
        soon(ping).await.unwrap().unwrap();
    }
    assert_eq!(remembered(&ws), 0);
}

#[tokio::test(start_paused = true)]
async fn pings_that_nobody_waits_for_are_answered_and_forgotten() {
    let (ws, mut peer) = raw();
    for i in 0..40u8 {
        ws.sender().start_ping(&[i]).await.unwrap();
        read_ping(&mut peer).await;
    }
    assert_eq!(remembered(&ws), 16);
    let ping = tokio::spawn(async move { ws.ping(b"x").await.map(|_| ws) });
    read_ping(&mut peer).await;
    write_pong(&mut peer, b"x").await;
    let ws = soon(ping).await.unwrap().unwrap();
    assert_eq!(remembered(&ws), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_or_closes_fails_its_pings() {
    for closes in [false, true] {
        let (ws, mut peer) = raw();
        let ping = tokio::spawn(async move { ws.ping(b"1").await });
        read_ping(&mut peer).await;
        if closes {
            peer.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
        } else {
            drop(peer);
        }
        let error = soon(ping).await.unwrap().unwrap_err();
        assert!(error.is_closed(), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_in_its_drivers_task_hears_the_pong() {
    let (a, mut peer) = duplex(4096);
    let (ws, driver) = server(Config::server()).start(a);
    tokio::spawn(Joined::new(
        driver,
        Box::pin(async move {
            let time = ws.ping(b"1").await?;
            ws.send(format!("{} s", time.as_secs())).await?;
            Ok(())
        }),
    ));
    read_ping(&mut peer).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    write_pong(&mut peer, b"1").await;
    let mut answer = [0; 5];
    soon(peer.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, *b"\x81\x033 s");
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_is_too_long_is_refused_and_not_remembered() {
    let (ws, _peer) = raw();
    assert!(ws.ping(&[0; 126]).await.is_err());
    assert!(ws.shared().lock().pings.is_none());
}
