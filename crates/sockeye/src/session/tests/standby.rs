//! Who runs a driver that stands by: the task that receives, the one that answers, or the standby.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::wakeups::{assert_rests, give_up, soon, spawn_counted};
use super::*;

const PING: [u8; 2] = [0x89, 0];
const HELLO: [u8; 3] = [0x82, 1, 7];
const CLOSE_1000: [u8; 4] = [0x88, 2, 0x03, 0xE8];

/// A client whose standby counts how often it is polled.
fn counted(io: DuplexStream) -> (WebSocket, Arc<AtomicUsize>) {
    let (ws, driver) = client(Config::client()).start(io);
    (ws, spawn_counted(driver.stand_by()))
}

/// A transport that counts its writes.
struct Writes {
    io: DuplexStream,
    count: Arc<AtomicUsize>,
}

impl AsyncRead for Writes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Writes {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.count.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn messages_and_their_answers_take_no_other_task() {
    let (a, mut b) = duplex(4096);
    let (mut ws, polls) = counted(a);
    assert_rests(&polls, "idle").await;
    tokio::spawn(async move {
        while let Some(message) = ws.recv().await.unwrap() {
            ws.send(message).await.unwrap();
        }
    });
    // Now it waits.
    tokio::task::yield_now().await;
    let before = polls.load(Ordering::Relaxed);
    for _ in 0..10 {
        b.write_all(&HELLO).await.unwrap();
        b.read_exact(&mut [0; 7]).await.unwrap();
    }
    assert_eq!(polls.load(Ordering::Relaxed), before);
}

#[tokio::test(start_paused = true)]
async fn pings_that_nobody_waits_for_take_no_other_task() {
    let (a, mut b) = duplex(4096);
    let (mut ws, polls) = counted(a);
    assert!(ws.ping(&[0; 126]).await.is_err());
    ws.sender().start_ping(b"1").await.unwrap();
    soon(b.read_exact(&mut [0; 7])).await.unwrap();
    assert_rests(&polls, "idle").await;
    tokio::spawn(async move { while ws.recv().await.unwrap().is_some() {} });
    // Now it waits.
    tokio::task::yield_now().await;
    let before = polls.load(Ordering::Relaxed);
    for _ in 0..10 {
        b.write_all(&HELLO).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(polls.load(Ordering::Relaxed), before);
}

#[tokio::test(start_paused = true)]
async fn an_answer_leaves_at_once_and_the_rest_of_a_burst_together() {
    let (io, mut b) = duplex(4096);
    let count = Arc::new(AtomicUsize::new(0));
    let writes = Writes {
        io,
        count: count.clone(),
    };
    let (mut ws, driver) = client(Config::client()).start(writes);
    tokio::spawn(driver.stand_by());
    b.write_all(&HELLO).await.unwrap();
    soon(ws.recv()).await.unwrap();
    ws.send("answer").await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 1);
    for i in 0..10 {
        ws.send(format!("{i}")).await.unwrap();
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
    soon(ws.flush()).await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn answers_to_messages_that_arrived_together_leave_together() {
    let (io, mut b) = duplex(4096);
    let count = Arc::new(AtomicUsize::new(0));
    let writes = Writes {
        io,
        count: count.clone(),
    };
    let (mut ws, driver) = client(Config::client()).start(writes);
    // Nobody runs it: what is sent is sent by this task.
    let _standby = driver.stand_by();
    b.write_all(&HELLO.repeat(10)).await.unwrap();
    for _ in 0..10 {
        let message = soon(ws.recv()).await.unwrap().unwrap();
        ws.send(message).await.unwrap();
    }
    soon(b.read_exact(&mut [0; 70])).await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_while_nobody_receives() {
    let (a, mut b) = duplex(4096);
    let (mut ws, polls) = counted(a);
    let mut pong = [0; 6];
    b.write_all(&PING).await.unwrap();
    soon(b.read_exact(&mut pong)).await.unwrap();
    // After somebody asked and gave up.
    give_up(ws.recv()).await;
    b.write_all(&PING).await.unwrap();
    soon(b.read_exact(&mut pong)).await.unwrap();
    // After a message was taken, and answered.
    b.write_all(&HELLO).await.unwrap();
    soon(ws.recv()).await.unwrap();
    ws.send("answer").await.unwrap();
    soon(b.read_exact(&mut [0; 12])).await.unwrap();
    b.write_all(&PING).await.unwrap();
    soon(b.read_exact(&mut pong)).await.unwrap();
    assert_rests(&polls, "after all that").await;
}

#[tokio::test(start_paused = true)]
async fn what_happens_just_before_a_receiver_gives_up_is_not_lost() {
    let (a, mut b) = duplex(4096);
    let (mut ws, _) = counted(a);
    {
        let mut recv = pin!(ws.recv());
        assert!(recv.as_mut().now_or_never().is_none());
        // This wakes the one who receives, who does not look any more.
        b.write_all(&PING).await.unwrap();
    }
    soon(b.read_exact(&mut [0; 6])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn others_get_on_while_a_receiver_is_not_polled() {
    let (a, mut b) = duplex(64);
    let (ws, _) = counted(a);
    let (sender, mut receiver) = ws.split();
    let mut recv = pin!(receiver.recv());
    assert!(recv.as_mut().now_or_never().is_none());
    // More than the transport takes at once.
    sender.send([7; 200]).await.unwrap();
    let peer = tokio::spawn(async move {
        b.read_exact(&mut [0; 208]).await.unwrap();
        b.read_exact(&mut [0; 8]).await.unwrap();
        b.write_all(&CLOSE_1000).await.unwrap();
    });
    soon(sender.flush()).await.unwrap();
    sender.start_close(CloseCode::NORMAL, "").unwrap();
    soon(sender.closed()).await.unwrap();
    peer.await.unwrap();
    assert_eq!(soon(recv).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_flood_does_not_keep_a_receiver_from_its_messages() {
    let (a, mut b) = duplex(1 << 20);
    let (mut ws, _) = counted(a);
    b.write_all(&HELLO.repeat(100_000)).await.unwrap();
    for _ in 0..100_000 {
        assert_eq!(soon(ws.recv()).await.unwrap(), Some(Message::from(vec![7])));
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_whoever_runs_the_driver() {
    let (a, b) = duplex(4096);
    let (mut ws, driver) = client(Config::client()).start(a);
    let standby = tokio::spawn(driver.stand_by());
    let recv = tokio::spawn(async move { ws.recv().await });
    tokio::task::yield_now().await;
    drop(b);
    assert!(soon(recv).await.unwrap().unwrap_err().is_connection_lost());
    soon(standby).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_is_stopped_takes_the_connection_with_it() {
    let (a, mut b) = duplex(4096);
    let (mut ws, driver) = client(Config::client()).start(a);
    let standby = tokio::spawn(driver.stand_by());
    let recv = tokio::spawn(async move { ws.recv().await });
    tokio::task::yield_now().await;
    standby.abort();
    assert!(soon(recv).await.unwrap().is_err());
    assert_eq!(soon(b.read(&mut [0; 1])).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_never_ran_takes_the_connection_with_it() {
    let (a, mut b) = duplex(4096);
    let (mut ws, driver) = client(Config::client()).start(a);
    drop(driver.stand_by());
    assert!(soon(ws.recv()).await.is_err());
    assert_eq!(soon(b.read(&mut [0; 1])).await.unwrap(), 0);
}

#[tokio::test]
async fn messages_can_be_received_outside_of_the_runtime() {
    let (a, mut b) = duplex(4096);
    let keepalive = Keepalive {
        interval: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
    };
    let config = Config {
        keepalive: Some(keepalive),
        ..Config::client()
    };
    let (mut ws, driver) = client(config).start(a);
    // Nobody runs it: what is received is received by the other thread.
    let _standby = driver.stand_by();
    b.write_all(&HELLO).await.unwrap();
    let received = std::thread::spawn(move || ws.recv().now_or_never());
    let message = received.join().unwrap().expect("it is there");
    assert_eq!(message.unwrap(), Some(Message::from(vec![7])));
}

/// Everything at once, on several threads: a wake-up that is lost would stop it.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_wake_up_is_lost_between_threads() {
    const MESSAGES: usize = 20_000;
    let (a, b) = duplex(1024);
    let _echo = spawn_echo(server(Config::server()), a);
    let (sender, mut receiver) = spawn(client(Config::client()), b).split();
    for task in 0..2 {
        let sender = sender.clone();
        tokio::spawn(async move {
            for i in 0..MESSAGES / 2 {
                sender.send(format!("{task} {i}")).await.unwrap();
                if i % 100 == 0 {
                    sender.flush().await.unwrap();
                }
            }
        });
    }
    let all = async {
        let mut received = 0;
        while received < MESSAGES {
            // Every other time it is given up at once.
            let message = match receiver.recv().now_or_never() {
                Some(message) => message,
                None => receiver.recv().await,
            };
            message.unwrap().unwrap();
            received += 1;
            if received % 64 == 0 {
                sender.try_send("").unwrap();
                receiver.recv().await.unwrap().unwrap();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("somebody was not woken");
}
