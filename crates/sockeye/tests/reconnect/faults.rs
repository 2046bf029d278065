//! Twenty servers in a row die at random points of handshake, message and close, under a clock that repeats.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use sockeye::CloseCode;
use sockeye::reconnect::{Backoff, Promise};
use tokio::time::{Instant, sleep};

use crate::network::{Fault, Listener, network, upgrade};
use crate::story::{Read, Seed, Story, generator, message, read_and_answer, take_answers};

const DEATHS: usize = 20;

/// How a server dies.
#[derive(Clone, Debug)]
struct Death {
    /// What happens to the connection.
    fault: Fault,
    /// It begins to close after this many messages, if it lives for as long.
    close: Option<Closing>,
}

#[derive(Clone, Copy, Debug)]
struct Closing {
    after: u64,
    /// It does not wait for the answer.
    abruptly: bool,
}

impl Death {
    /// The request has about 170 bytes, the response about 200.
    fn draw(life: usize, random: &mut SmallRng) -> Self {
        let mut fault = Fault::default();
        let mut close = None;
        let time = Duration::from_millis(random.random_range(1..80));
        match life % 7 {
            // In the handshake.
            0 => fault.after_written = Some(random.random_range(0..200)),
            1 => fault.after_read = Some(random.random_range(0..220)),
            // In a message, or between two.
            2 => fault.after_written = Some(random.random_range(200..12_000)),
            3 => fault.after_read = Some(random.random_range(200..300)),
            4 => {
                fault.after_written = Some(random.random_range(0..12_000));
                fault.swallow = Some(time);
            }
            // In the close.
            _ => {
                let after = random.random_range(0..8);
                close = Some(Closing {
                    after,
                    abruptly: random.random::<bool>(),
                });
                if random.random::<bool>() {
                    fault.after_read = Some(random.random_range(200..240));
                }
            }
        }
        Self { fault, close }
    }
}

/// Accepts, reads and answers, and dies as it must; gives how many connections there were.
async fn serve(mut listener: Listener, deaths: Arc<Mutex<Vec<Death>>>, lives: Arc<AtomicUsize>, read: Read) {
    for life in 0.. {
        let io = listener.accept().await;
        lives.store(life, Ordering::Relaxed);
        let closing = deaths.lock().unwrap().get(life).and_then(|death| death.close);
        let read = read.clone();
        tokio::spawn(async move {
            let Some(mut ws) = upgrade(io).await else { return };
            for count in 0.. {
                if let Some(closing) = closing
                    && closing.after == count
                {
                    ws.sender().start_close(CloseCode::SERVICE_RESTART, "").unwrap();
                    if closing.abruptly {
                        let _ = ws.sender().flush().await;
                        ws.sender().abort();
                    }
                }
                if !read_and_answer(&mut ws, life, &read).await {
                    return;
                }
            }
        });
    }
}

/// Lives through it all; gives what happened, line by line.
async fn live(seed: u64, promise: Promise) -> Vec<String> {
    let _seed = Seed(seed);
    let started = Instant::now();
    let mut random = generator(seed);
    let mut jitter = generator(seed ^ u64::MAX);

    let deaths: Vec<_> = (0..DEATHS).map(|life| Death::draw(life, &mut random)).collect();
    let (network, listener) = network();
    let mut faults: Vec<_> = deaths.iter().rev().map(|death| death.fault.clone()).collect();
    network.faults(move || faults.pop().unwrap_or_default());
    let (lives, read) = (Arc::new(AtomicUsize::new(0)), Read::default());
    let servers = tokio::spawn(serve(
        listener,
        Arc::new(Mutex::new(deaths)),
        lives.clone(),
        read.clone(),
    ));

    let backoff = Backoff {
        first: Duration::from_millis(50),
        max: Duration::from_secs(1),
        // What the last server had in its buffers it reads before the next is there.
        min: Duration::from_millis(1),
        reset_after: Duration::from_millis(100),
        ..Backoff::default()
    };
    let client = network
        .client()
        .backoff(backoff)
        .random(move || jitter.random::<f64>())
        .promise(promise)
        .start()
        .unwrap();
    let mut events = client.events();
    let steps = tokio::spawn(async move {
        let mut steps = Vec::new();
        while let Some(event) = events.recv().await {
            steps.push(format!("{:?} {event:?}", started.elapsed()));
        }
        steps
    });
    let (sender, receiver) = client.split();
    let answers = tokio::spawn(take_answers(receiver, sender.clone()));

    let mut receipts = Vec::new();
    let mut send = async |random: &mut SmallRng| {
        let text = |id| message(id, random);
        receipts.push(sender.send_with(text).await.unwrap());
    };
    while lives.load(Ordering::Relaxed) < DEATHS {
        send(&mut random).await;
        sleep(Duration::from_millis(random.random_range(0..20))).await;
    }
    for _ in 0..10 {
        send(&mut random).await;
    }
    sender.flush().await;
    let last = sender.opened().await.unwrap();
    sender.start_close(CloseCode::NORMAL, "").unwrap();
    assert!(sender.closed().await.unwrap().unwrap().clean);

    let (answers, acknowledged) = answers.await.unwrap();
    let mut fates = Vec::new();
    for receipt in receipts {
        fates.push((receipt.id(), receipt.await));
    }
    servers.abort();
    let story = Story::new(promise, fates, &read, &acknowledged);
    story.check(last);
    if promise == Promise::AtMostOnce {
        assert!(answers.is_sorted_by(|one, other| one < other), "{answers:?}");
    }
    let mut steps = steps.await.unwrap();
    steps.push(format!("{:?}", story.fates));
    steps.push(format!("{:?}", story.read));
    steps
}

#[tokio::test(start_paused = true)]
async fn at_most_once_holds_while_servers_die() {
    for seed in 0..12 {
        live(seed, Promise::AtMostOnce).await;
    }
}

#[tokio::test(start_paused = true)]
async fn at_least_once_holds_while_servers_die() {
    for seed in 100..112 {
        live(seed, Promise::AtLeastOnce).await;
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for promise in [Promise::AtMostOnce, Promise::AtLeastOnce] {
        let tell = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap()
                .block_on(live(7, promise))
        };
        let story = tell();
        assert!(story.len() > 3 * DEATHS, "{story:#?}");
        assert_eq!(story, tell());
    }
}
