//! Who is woken when, and that nobody spins: the driver, its handler, and handles in other places.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{mpsc, oneshot};

use super::*;

/// Polls of a future that settle everything which needs no time and no peer.
const ENOUGH: usize = 200;

/// A future that counts how often it is polled.
pub(super) struct Counted<F> {
    future: Pin<Box<F>>,
    polls: Arc<AtomicUsize>,
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.future.as_mut().poll(cx)
    }
}

/// Runs a future in a task of its own.
pub(super) fn spawn_counted(future: impl Future<Output = ()> + Send + 'static) -> Arc<AtomicUsize> {
    let polls = Arc::new(AtomicUsize::new(0));
    tokio::spawn(Counted {
        future: Box::pin(future),
        polls: polls.clone(),
    });
    polls
}

/// Lets the other tasks do all they can, and then shows that this one does nothing any more.
pub(super) async fn assert_rests(polls: &AtomicUsize, what: &str) {
    for _ in 0..ENOUGH {
        tokio::task::yield_now().await;
    }
    let before = polls.load(Ordering::Relaxed);
    assert!(before > 0, "{what}: never polled");
    for _ in 0..ENOUGH {
        tokio::task::yield_now().await;
    }
    assert_eq!(polls.load(Ordering::Relaxed), before, "{what}: spins");
}

/// What must come without the clock moving far.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(1), future)
        .await
        .expect("nobody was woken")
}

const HELLO: [u8; 7] = [0x82, 0x81, 0, 0, 0, 0, 7];
const CLOSE_1000: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8];
/// A text frame with a reserved bit.
const FAULT: [u8; 6] = [0xA1, 0x80, 0, 0, 0, 0];

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_the_end_as_well_rests() {
    let (a, mut b) = duplex(4096);
    let (mut ws, driver) = server(Config::server()).start(a);
    let sender = ws.sender();
    let polls = spawn_counted(Joined::new(
        driver,
        Box::pin(async move {
            loop {
                tokio::select! {
                    message = ws.recv() => match message? {
                        Some(message) => ws.send(message).await?,
                        None => return Ok(()),
                    },
                    _ = sender.closed() => {}
                }
            }
        }),
    ));
    assert_rests(&polls, "idle").await;
    b.write_all(&HELLO).await.unwrap();
    let mut answer = [0; 3];
    b.read_exact(&mut answer).await.unwrap();
    assert_rests(&polls, "after a message").await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_rests_after_the_last_words() {
    for (last, what) in [(&CLOSE_1000[..], "close"), (&FAULT, "fault")] {
        let (a, mut b) = duplex(4096);
        let (mut ws, driver) = server(Config::server()).start(a);
        let sender = ws.sender();
        let polls = spawn_counted(Joined::new(
            driver,
            Box::pin(async move {
                while let Some(message) = ws.recv().await? {
                    ws.send(message).await?;
                }
                sender.closed().await?;
                Ok(())
            }),
        ));
        b.write_all(&[&HELLO, last].concat()).await.unwrap();
        let mut answer = [0; 5];
        b.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[..4], [0x82, 1, 7, 0x88], "{what}");
        // The peer keeps its end open.
        assert_rests(&polls, what).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_rests_that_gets_messages_after_our_close() {
    let (a, mut b) = duplex(4096);
    let (mut ws, driver) = server(Config::server()).start(a);
    let sender = ws.sender();
    let polls = spawn_counted(Joined::new(
        driver,
        Box::pin(async move {
            while ws.recv().await?.is_some() {}
            Ok(())
        }),
    ));
    sender.start_close(CloseCode::GOING_AWAY, "").unwrap();
    let mut close = [0; 4];
    b.read_exact(&mut close).await.unwrap();
    b.write_all(&HELLO).await.unwrap();
    assert_rests(&polls, "closing").await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_rests_that_waits_for_the_end() {
    let (a, _b) = duplex(4096);
    let (mut ws, driver) = server(Config::server()).start(a);
    let polls = spawn_counted(Joined::new(
        driver,
        Box::pin(async move { Ok(SinkExt::close(&mut ws).await?) }),
    ));
    assert_rests(&polls, "closing").await;
}

#[tokio::test(start_paused = true)]
async fn a_driver_rests_whose_application_is_behind_when_the_connection_ends() {
    let (a, mut b) = duplex(64 * 1024);
    let opening = Opening {
        limits: QueueLimits {
            receive: 50,
            ..QueueLimits::default()
        },
        ..server(Config::server())
    };
    let (mut ws, driver) = opening.start(a);
    let polls = spawn_counted(driver.stand_by());
    // One message fills the queue.
    b.write_all(&HELLO).await.unwrap();
    assert_rests(&polls, "behind").await;
    // The peer answers no Ping, and sends on when the connection has failed for that.
    tokio::time::advance(Duration::from_secs(25)).await;
    assert_rests(&polls, "after the ping").await;
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_rests(&polls, "after the failure").await;
    b.write_all(&HELLO.repeat(100)).await.unwrap();
    assert_rests(&polls, "after more that nobody takes").await;
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from(vec![7])));
}

#[tokio::test(start_paused = true)]
async fn the_smallest_receive_queue_passes_every_message() {
    let (a, b) = duplex(64);
    let opening = Opening {
        limits: QueueLimits {
            receive: 1,
            send: 1,
            ..QueueLimits::default()
        },
        ..server(Config::server())
    };
    let _task = spawn_echo(opening, a);
    let mut client = spawn(client(Config::client()), b);
    for i in 0..50 {
        client.send(format!("{i}")).await.unwrap();
    }
    for i in 0..50 {
        let echo = soon(client.recv()).await.unwrap();
        assert_eq!(echo, Some(Message::from(format!("{i}"))));
    }
}

/// Both futures in one task with one waker, in this order, as `join!` may poll them.
async fn in_one_task(first: impl Future<Output = ()>, second: impl Future<Output = ()>) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut first_done, mut second_done) = (false, false);
    poll_fn(|cx| {
        first_done = first_done || first.as_mut().poll(cx).is_ready();
        second_done = second_done || second.as_mut().poll(cx).is_ready();
        if first_done && second_done {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_neighbour_in_the_same_task_can_send() {
    let (a, b) = duplex(4096);
    let (ws, driver) = server(Config::server()).start(a);
    let (sender, receiver) = ws.split();
    let joined = Joined::new(
        driver,
        Box::pin(async move {
            let _receiver = receiver;
            std::future::pending().await
        }),
    );
    let (go, gone) = oneshot::channel();
    tokio::spawn(in_one_task(joined, async move {
        gone.await.unwrap();
        sender.send("from next door").await.unwrap();
        std::future::pending().await
    }));
    let mut client = spawn(client(Config::client()), b);
    tokio::task::yield_now().await;
    go.send(()).unwrap();
    assert_eq!(
        soon(client.recv()).await.unwrap(),
        Some(Message::from("from next door"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_neighbour_in_the_same_task_can_receive() {
    let (a, b) = duplex(4096);
    let (ws, driver) = server(Config::server()).start(a);
    let (_sender, mut receiver) = ws.split();
    let joined = Joined::new(driver, Box::pin(std::future::pending()));
    let (tell, told) = oneshot::channel();
    tokio::spawn(in_one_task(
        async move { tell.send(receiver.recv().await.unwrap()).unwrap() },
        joined,
    ));
    let client = spawn(client(Config::client()), b);
    client.send("to next door").await.unwrap();
    assert_eq!(soon(told).await.unwrap(), Some(Message::from("to next door")));
}

/// Polls once what must not be done yet, and gives it up.
pub(super) async fn give_up<T>(future: impl Future<Output = T>) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn handles_work_from_wherever_a_handler_takes_them() {
    let (a, b) = duplex(64);
    let (ws, driver) = server(Config::server()).start(a);
    let (sender, mut receiver) = ws.split();
    let (ready, mut waits) = mpsc::unbounded_channel();
    tokio::spawn(Joined::new(
        driver,
        Box::pin(async move {
            // Asked for by the handler and given up, then by a set with wakers of its own.
            give_up(receiver.recv()).await;
            ready.send(())?;
            let mut set: FuturesUnordered<_> = [async {
                let message = receiver.recv().await.unwrap().unwrap();
                sender.send(message).await.unwrap();
            }]
            .into_iter()
            .collect();
            set.next().await;
            drop(set);
            // Given up, then asked for by another task, and answered by yet another.
            give_up(receiver.recv()).await;
            ready.send(())?;
            tokio::spawn(async move {
                while let Some(message) = receiver.recv().await.unwrap() {
                    let sender = sender.clone();
                    tokio::spawn(async move { sender.send(message).await });
                }
            });
            Ok(())
        }),
    ));
    let mut client = spawn(client(Config::client()), b);
    for text in ["to a set", "to a task", "to the same task"] {
        // The task says nothing the second time.
        let _ = soon(waits.recv()).await;
        client.send(text).await.unwrap();
        assert_eq!(soon(client.recv()).await.unwrap(), Some(Message::from(text)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_woken_for_messages_and_nothing_else() {
    let (a, mut b) = duplex(4096);
    let mut ws = spawn(server(Config::server()), a);
    let (tell, told) = oneshot::channel();
    let polls = spawn_counted(async move {
        tell.send(ws.next().await.unwrap().unwrap()).unwrap();
        std::future::pending().await
    });
    let frame = [&[0x82, 0xFE, 0x03, 0xE8, 0, 0, 0, 0][..], &[7; 1000]].concat();
    for piece in frame.chunks(10) {
        // Each piece is a read of its own.
        b.write_all(piece).await.unwrap();
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(soon(told).await.unwrap(), Message::from(vec![7; 1000]));
    assert_eq!(polls.load(Ordering::Relaxed), 2);
}
