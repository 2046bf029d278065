//! Peers that are behind, and handlers that hold theirs back.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use std::time::Duration;

use sockeye::server::{Handler, Sent, Socket};
use sockeye::{Config, HandlerResult, Keepalive, MessageRef, QueueLimits, WebSocket};

use super::{Does, echo, got};
use crate::peer::{PING, PONG, Peer, TEXT, eventually, narrow, server, start};

const MESSAGE: usize = 16 * 1024;

const QUEUES: QueueLimits = QueueLimits {
    receive: 64 * 1024,
    send: 512 * 1024,
    overflow: sockeye::Overflow::DropNewest,
    high_water: 128 * 1024,
    low_water: 32 * 1024,
    write_timeout: Duration::from_secs(600),
};

/// What a [`Pump`] tells.
#[derive(Debug, PartialEq, Eq)]
enum Note {
    /// So many messages were taken, so many bytes wait.
    Stopped(usize, usize),
    /// So many bytes wait.
    Drained(usize),
}

/// Sends numbered messages for as long as it is told that the peer is not behind (`hold back`), or until one is dropped
/// (`go on`).
struct Pump(Mutex<Sender<Note>>);

impl Handler for Pump {
    /// The number of the next message.
    type Data = usize;

    fn message(&self, socket: &mut Socket<'_, usize>, message: MessageRef<'_>) {
        let holds_back = match message.as_bytes() {
            b"hold back" => true,
            b"go on" => false,
            _ => {
                socket.send(message);
                return;
            }
        };
        let stops_at = if holds_back { Sent::Buffered } else { Sent::Dropped };
        loop {
            let mut payload = vec![0; MESSAGE];
            payload[..8].copy_from_slice(&(*socket.data() as u64).to_be_bytes());
            let sent = socket.send(MessageRef::Binary(&payload));
            *socket.data_mut() += usize::from(sent != Sent::Dropped);
            if sent == stops_at {
                break;
            }
        }
        let note = Note::Stopped(*socket.data(), socket.buffered_amount());
        self.0.lock().unwrap().send(note).unwrap();
    }

    fn drain(&self, socket: &mut Socket<'_, usize>) {
        let note = Note::Drained(socket.buffered_amount());
        self.0.lock().unwrap().send(note).unwrap();
    }
}

fn pump() -> (Pump, Receiver<Note>) {
    let (tell, told) = channel();
    (Pump(Mutex::new(tell)), told)
}

async fn reads(peer: &mut Peer, from: usize, to: usize) {
    for number in from..to {
        let (_, payload) = peer.receive().await;
        assert_eq!(payload[..8], (number as u64).to_be_bytes());
        assert_eq!(payload.len(), MESSAGE);
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_of_at_the_high_water_mark_and_again_when_it_has_caught_up() {
    let (handler, told) = pump();
    let (address, _server) = start(server().handle("/", handler).queues(QUEUES)).await;
    let mut peer = narrow(address).await;
    assert_eq!(peer.request("/", &[]).await.status, 101);
    let mut seen = 0;
    // It can be behind more than once.
    for _ in 0..2 {
        peer.send_text("hold back").await;
        let Note::Stopped(count, waiting) = got(&told) else {
            panic!("nothing was sent yet")
        };
        assert!(
            (QUEUES.high_water..QUEUES.high_water + 2 * MESSAGE).contains(&waiting),
            "{waiting}"
        );
        reads(&mut peer, seen, count).await;
        seen = count;
        let Note::Drained(waiting) = got(&told) else {
            panic!("nobody asked for more")
        };
        assert!(waiting <= QUEUES.low_water, "{waiting}");
    }
    peer.send_text("and now?").await;
    assert_eq!(peer.receive_text().await, "and now?");
    told.try_recv().expect_err("it was told once each time");
}

#[tokio::test]
async fn what_is_too_much_is_dropped_and_what_was_taken_is_not() {
    let (handler, told) = pump();
    let builder = server()
        .handle("/", handler)
        .handle("/echo", echo())
        .queues(QUEUES);
    let (address, _server) = start(builder.workers(1)).await;
    let mut bystander = Peer::open(address, "/echo", &[]).await;
    let mut peer = narrow(address).await;
    assert_eq!(peer.request("/", &[]).await.status, 101);
    peer.send_text("go on").await;
    let Note::Stopped(count, waiting) = got(&told) else {
        panic!("it has sent all the time")
    };
    assert!(
        (QUEUES.send..QUEUES.send + 2 * MESSAGE).contains(&waiting),
        "{waiting}"
    );
    // Others on the same worker do not notice.
    bystander.send_text("well?").await;
    assert_eq!(bystander.receive_text().await, "well?");
    reads(&mut peer, 0, count).await;
    assert!(matches!(got(&told), Note::Drained(waiting) if waiting <= QUEUES.low_water));
    peer.send_text("all").await;
    assert_eq!(peer.receive_text().await, "all");
}

/// Pauses after each message, and goes on when a task says so.
struct OneByOne(Mutex<Sender<(String, tokio::sync::oneshot::Sender<()>)>>);

impl Handler for OneByOne {
    type Data = ();

    fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
        socket.pause().unwrap();
        assert!(socket.is_paused());
        let (go, gone) = tokio::sync::oneshot::channel();
        let text = String::from_utf8_lossy(message.as_bytes()).into_owned();
        self.0.lock().unwrap().send((text, go)).unwrap();
        let handle = socket.handle();
        socket.spawn(async move {
            let _ = gone.await;
            let _ = handle.resume();
        });
        if matches!(message, MessageRef::Text(_)) {
            socket.send(message);
        }
    }
}

#[tokio::test]
async fn a_handler_that_pauses_hears_nothing_until_it_resumes() {
    let (tell, told) = channel();
    let (address, server) = start(server().handle("/", OneByOne(Mutex::new(tell)))).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    // All in one segment: the second must not be heard though it was read already.
    let bytes: Vec<u8> = ["one", "two", "three"]
        .iter()
        .flat_map(|text| crate::peer::frame(crate::peer::TEXT, text.as_bytes()))
        .collect();
    peer.write(&bytes).await;
    for text in ["one", "two", "three"] {
        let (heard, go) = got(&told);
        assert_eq!(heard, text);
        assert_eq!(peer.receive_text().await, text);
        told.try_recv().expect_err("it is paused");
        go.send(()).unwrap();
    }
    peer.finish(1000).await;
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn a_peer_that_goes_while_it_is_not_read_from_is_missed() {
    let pause = |socket: &mut Socket<'_, ()>, _: MessageRef<'_>| {
        socket.pause().unwrap();
        socket.send("from here on nothing is read");
    };
    let limits = Config {
        keepalive: Some(Keepalive {
            interval: Duration::from_millis(20),
            timeout: Duration::from_secs(600),
        }),
        ..Config::server()
    };
    let builder = server()
        .handle("/", Does(pause))
        .route("/async", |mut ws: WebSocket| async move {
            ws.recv().await?;
            ws.pause();
            ws.send("from here on nothing is read").await?;
            ws.sender().closed().await?;
            HandlerResult::Ok(())
        })
        .limits(limits);
    let (address, server) = start(builder).await;
    for path in ["/", "/async"] {
        let mut peer = Peer::open(address, path, &[]).await;
        peer.send_text("pause").await;
        // A Ping may have come before the message was read.
        let mut frame = peer.receive().await;
        while frame.0 == PING {
            frame = peer.receive().await;
        }
        assert_eq!(frame, (TEXT, b"from here on nothing is read".to_vec()));
        // A sign of life, for which no answer comes.
        assert_eq!(peer.receive().await, (PONG, Vec::new()), "{path}");
        assert_eq!(server.connections(), 1);
        drop(peer);
        eventually(|| server.connections() == 0).await;
    }
}

// The flood is a task that goes on while the test waits for the handler.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_floods_a_paused_websocket_is_held_back() {
    // Messages of 900 kB: more than the buffers of both sides take.
    const FLOOD: usize = 30;

    let (tell, told) = channel();
    let (address, server) = start(server().handle("/", OneByOne(Mutex::new(tell)))).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    peer.send_text("pause").await;
    let (_, go) = got(&told);
    assert_eq!(peer.receive_text().await, "pause");
    let flood = tokio::spawn(async move {
        peer.write(&crate::peer::frame(2, &vec![1; 900_000]).repeat(FLOOD))
            .await;
        peer
    });
    let mut other = Peer::open(address, "/", &[]).await;
    for number in 0..20 {
        other.send_text(&number.to_string()).await;
        let (heard, go) = got(&told);
        assert_eq!(
            (heard, other.receive_text().await),
            (number.to_string(), number.to_string())
        );
        go.send(()).unwrap();
    }
    assert!(!flood.is_finished());
    drop(go);
    // Now that it is heard, each message is one more pause.
    for _ in 0..FLOOD {
        got(&told).1.send(()).unwrap();
        tokio::task::yield_now().await;
    }
    let _peer = flood.await.unwrap();
    drop((other, server));
}
