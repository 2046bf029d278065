//! Twenty servers in a row die at random points of handshake, message and close, each with all its sockets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use sockeye::reconnect::{Backoff, Capacity, Promise, Reconnecting, Sender, Target};
use sockeye::{CloseCode, HandlerResult, Server, WebSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use crate::story::{Read, Seed, Story, generator, message, read_and_answer, take_answers};

const DEATHS: usize = 20;

/// Nobody listens here.
const NOWHERE: &str = "ws://127.0.0.1:1/";

/// How many messages may be without a fate, so that a life is not longer than it has to be.
const IN_FLIGHT: usize = 8;

/// How a server dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    /// It has read so much of the request.
    Request(usize),
    /// It has sent so much of the response.
    Response(usize),
    /// It has read so many messages.
    Messages(u64),
    /// It has read so many messages, and sent its Close frame.
    Close(u64),
}

impl Death {
    fn draw(life: usize, random: &mut SmallRng) -> Self {
        match life % 4 {
            0 => Self::Request(random.random_range(0..150)),
            1 => Self::Response(random.random_range(0..RESPONSE.len())),
            2 => Self::Messages(random.random_range(0..30)),
            _ => Self::Close(random.random_range(0..30)),
        }
    }
}

/// The beginning of a good answer.
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";

/// Where clients find the server of the day.
type Address = watch::Sender<String>;

/// Lets one client in, and dies in the handshake.
async fn die_in_handshake(address: &Address, read: usize, written: Option<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    address.send_replace(format!("ws://{}/", listener.local_addr().unwrap()));
    let (mut stream, _) = listener.accept().await.unwrap();
    address.send_replace(NOWHERE.to_owned());
    match written {
        None => drop(stream.read_exact(&mut vec![0; read]).await),
        Some(written) => {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(&RESPONSE[..written]).await.unwrap();
        }
    }
}

/// A server in a runtime of its own, which can be taken from under it.
struct Life {
    runtime: Runtime,
    /// Says that it is time to die.
    time: mpsc::UnboundedReceiver<()>,
}

impl Life {
    /// `death` is how many messages it reads, and whether it then closes.
    async fn begin(life: usize, death: Option<(u64, bool)>, address: &Address, read: &Read) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (due, time) = mpsc::unbounded_channel();
        let read = read.clone();
        let handler = move |mut ws: WebSocket| {
            let (read, due) = (read.clone(), due.clone());
            async move {
                for count in 0.. {
                    if let Some((messages, close)) = death
                        && messages == count
                    {
                        if close {
                            ws.sender().start_close(CloseCode::SERVICE_RESTART, "")?;
                        }
                        let _ = due.send(());
                    }
                    if !read_and_answer(&mut ws, life, &read).await {
                        break;
                    }
                }
                HandlerResult::Ok(())
            }
        };
        let server = Server::builder().route("/", handler).bind("127.0.0.1:0");
        let listening = runtime.spawn(async move {
            let server = server.listen().await.unwrap();
            let url = format!("ws://{}/", server.tcp_address().unwrap());
            tokio::spawn(server.serve());
            url
        });
        address.send_replace(listening.await.unwrap());
        Self { runtime, time }
    }

    /// Ends it with everything it has.
    async fn end(self) {
        tokio::task::spawn_blocking(move || drop(self.runtime))
            .await
            .unwrap();
    }
}

/// Sends until `done`, and ten more; then closes. Gives the fates, and the number of the last connection.
async fn send(
    sender: Sender,
    done: Arc<AtomicBool>,
    mut random: SmallRng,
) -> (Vec<(u64, sockeye::reconnect::Fate)>, u64) {
    let mut fates = Vec::new();
    let mut receipts = VecDeque::new();
    let mut more = 10;
    while more > 0 {
        if done.load(Ordering::Relaxed) {
            more -= 1;
        }
        receipts.push_back(sender.send_with(|id| message(id, &mut random)).await.unwrap());
        while receipts.len() > IN_FLIGHT
            && let Some(receipt) = receipts.pop_front()
        {
            fates.push((receipt.id(), receipt.await));
        }
    }
    for receipt in receipts {
        fates.push((receipt.id(), receipt.await));
    }
    let last = sender.opened().await.unwrap();
    sender.start_close(CloseCode::NORMAL, "").unwrap();
    assert!(sender.closed().await.unwrap().unwrap().clean);
    (fates, last)
}

async fn live(seed: u64, promise: Promise) {
    let _seed = Seed(seed);
    let mut random = generator(seed);
    let read = Read::default();
    let (address, current) = watch::channel(NOWHERE.to_owned());
    let refresh = move |target: Target| {
        let url = current.borrow().clone();
        async move { Ok(target.with_url(url)) }
    };
    let client = Reconnecting::builder(NOWHERE)
        .refresh(refresh)
        .backoff(Backoff {
            first: Duration::from_millis(5),
            max: Duration::from_millis(20),
            ..Backoff::default()
        })
        .promise(promise)
        .capacity(Capacity {
            messages: 16,
            ..Capacity::default()
        })
        .start()
        .unwrap();
    let (sender, receiver) = client.split();
    let done = Arc::new(AtomicBool::new(false));
    let answers = tokio::spawn(take_answers(receiver, sender.clone()));
    let sending = tokio::spawn(send(sender, done.clone(), generator(seed + 1)));

    for life in 0..DEATHS {
        let (messages, close) = match Death::draw(life, &mut random) {
            Death::Request(read) => {
                die_in_handshake(&address, read, None).await;
                continue;
            }
            Death::Response(written) => {
                die_in_handshake(&address, 0, Some(written)).await;
                continue;
            }
            Death::Messages(messages) => (messages, false),
            Death::Close(messages) => (messages, true),
        };
        let mut server = Life::begin(life, Some((messages, close)), &address, &read).await;
        server.time.recv().await.unwrap();
        address.send_replace(NOWHERE.to_owned());
        server.end().await;
    }
    let server = Life::begin(DEATHS, None, &address, &read).await;
    done.store(true, Ordering::Relaxed);
    let (fates, last) = sending.await.unwrap();
    let (answers, acknowledged) = answers.await.unwrap();
    server.end().await;
    if promise == Promise::AtMostOnce {
        assert!(answers.is_sorted_by(|one, other| one < other), "{answers:?}");
    }
    Story::new(promise, fates, &read, &acknowledged).check(last);
}

#[tokio::test]
async fn at_most_once_holds_over_sockets() {
    for seed in 0..3 {
        live(seed, Promise::AtMostOnce).await;
    }
}

#[tokio::test]
async fn at_least_once_holds_over_sockets() {
    for seed in 10..13 {
        live(seed, Promise::AtLeastOnce).await;
    }
}
