//! What handles and tasks do with a WebSocket: from any thread, and when it is gone.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use sockeye::server::{CloseEvent, Gone, Handler, Socket, SocketHandle, Unsent};
use sockeye::{CloseCode, MessageRef};

use super::{Does, failing, got};
use crate::peer::{PING, Peer, eventually, server, start};

/// Gives away the handle of each WebSocket that opens, and tells what is closed.
struct Open {
    handles: Mutex<Sender<SocketHandle>>,
    closes: Mutex<Sender<u16>>,
}

impl Handler for Open {
    type Data = ();

    fn open(&self, socket: &mut Socket<'_, ()>) {
        self.handles.lock().unwrap().send(socket.handle()).unwrap();
    }

    fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
        socket.send(message);
    }

    fn close(&self, _: &mut Socket<'_, ()>, end: CloseEvent<'_>) {
        let _ = self.closes.lock().unwrap().send(end.code);
    }
}

fn open() -> (Open, Receiver<SocketHandle>, Receiver<u16>) {
    let ((handles, given), (closes, told)) = (channel(), channel());
    let handler = Open {
        handles: Mutex::new(handles),
        closes: Mutex::new(closes),
    };
    (handler, given, told)
}

#[tokio::test]
async fn what_several_threads_send_arrives_in_the_order_of_each() {
    const EACH: usize = 500;

    let (handler, handles, _closes) = open();
    let (address, _server) = start(server().handle("/", handler)).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    let handle = got(&handles);
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let handle = handle.clone();
            std::thread::spawn(move || {
                for number in 0..EACH {
                    handle.send(format!("{thread} {number}")).unwrap();
                }
            })
        })
        .collect();
    let mut next = [0; 4];
    for _ in 0..4 * EACH {
        let text = peer.receive_text().await;
        let (thread, number) = text.split_once(' ').unwrap();
        let thread: usize = thread.parse().unwrap();
        assert_eq!(number.parse(), Ok(next[thread]));
        next[thread] += 1;
    }
    assert_eq!(next, [EACH; 4]);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[tokio::test]
async fn a_handle_to_a_websocket_that_is_gone_does_nothing_on_any_thread() {
    let (handler, handles, closes) = open();
    let (address, server) = start(server().handle("/", handler)).await;
    let peer = Peer::open(address, "/", &[]).await;
    let handle = got(&handles);
    assert!(!handle.is_gone());
    peer.finish(1000).await;
    assert_eq!(got(&closes), 1000);
    eventually(|| handle.is_gone() && server.connections() == 0).await;
    // Its slot has another one now, which must not hear of it.
    let mut other = Peer::open(address, "/", &[]).await;
    std::thread::spawn(move || {
        assert_eq!(handle.send("into the void"), Err(Unsent::Gone));
        assert_eq!(handle.ping("?"), Err(Unsent::Gone));
        assert_eq!((handle.pause(), handle.resume()), (Err(Gone), Err(Gone)));
        handle.close(CloseCode::NORMAL, "").unwrap();
        handle.abort();
    })
    .join()
    .unwrap();
    other.send_text("still here").await;
    assert_eq!(other.receive_text().await, "still here");
}

#[tokio::test]
async fn orders_for_a_slot_that_was_given_to_another_do_not_reach_it() {
    let (handler, handles, closes) = open();
    let (address, server) = start(server().handle("/", handler).workers(1)).await;
    for _ in 0..20 {
        let peer = Peer::open(address, "/", &[]).await;
        let handle = got(&handles);
        let flood = std::thread::spawn(move || while handle.send("x") != Err(Unsent::Gone) {});
        drop(peer);
        got(&closes);
        flood.join().unwrap();
        eventually(|| server.connections() == 0).await;
        let mut next = Peer::open(address, "/", &[]).await;
        got(&handles);
        next.send_text("mine").await;
        assert_eq!(next.receive_text().await, "mine");
        next.finish(1000).await;
        assert_eq!(got(&closes), 1000);
    }
}

#[tokio::test]
async fn a_handle_pauses_resumes_pings_and_closes_behind_what_was_sent() {
    let (handler, handles, closes) = open();
    let (address, _server) = start(server().handle("/", handler)).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    let handle = got(&handles);
    handle.pause().unwrap();
    handle.ping("paused").unwrap();
    assert_eq!(peer.receive().await, (PING, b"paused".to_vec()));
    // From here on the worker reads nothing.
    peer.send_text("held back").await;
    handle.send("meanwhile").unwrap();
    assert_eq!(peer.receive_text().await, "meanwhile");
    handle.resume().unwrap();
    assert_eq!(peer.receive_text().await, "held back");
    handle.send("last").unwrap();
    handle
        .close_after_flush(CloseCode::new(4002).unwrap(), "done")
        .unwrap();
    assert_eq!(peer.receive_text().await, "last");
    assert_eq!(peer.receive_close().await, (4002, "done".to_owned()));
    assert_eq!(got(&closes), 4002);
    assert_eq!(peer.until_end().await, b"");
}

#[tokio::test]
async fn a_handle_drops_a_connection_without_a_word() {
    let (handler, handles, closes) = open();
    let (address, server) = start(server().handle("/", handler)).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    got(&handles).abort();
    assert_eq!(peer.until_end().await, b"");
    assert_eq!(got(&closes), 1006);
    eventually(|| server.connections() == 0).await;
}

#[tokio::test]
async fn tasks_run_on_the_worker_and_outlive_their_websocket() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let handler = Does(move |socket: &mut Socket<'_, ()>, message: MessageRef<'_>| {
        let (handle, worker) = (socket.handle(), std::thread::current().id());
        let text = String::from_utf8_lossy(message.as_bytes()).into_owned();
        // It need not be `Send`.
        let text = std::rc::Rc::new(text);
        let tell = tell.lock().unwrap().clone();
        socket.spawn(async move {
            tokio::task::yield_now().await;
            assert_eq!(std::thread::current().id(), worker);
            if *text == "wait" {
                while !handle.is_gone() {
                    tokio::task::yield_now().await;
                }
            }
            let _ = tell.send(handle.send(text.as_str()).is_ok());
        });
    });
    let (address, server) = start(server().handle("/", handler)).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    peer.send_text("from a task").await;
    assert_eq!(peer.receive_text().await, "from a task");
    assert!(got(&told));
    peer.send_text("wait").await;
    peer.finish(1000).await;
    eventually(|| server.connections() == 0).await;
    assert!(!got(&told));
}

#[tokio::test]
async fn a_task_that_panics_harms_nobody() {
    let handler = Does(|socket: &mut Socket<'_, ()>, message: MessageRef<'_>| {
        socket.spawn(failing());
        socket.send(message);
    });
    let (address, _server) = start(server().handle("/", handler)).await;
    let mut peer = Peer::open(address, "/", &[]).await;
    for text in ["one", "two"] {
        peer.send_text(text).await;
        assert_eq!(peer.receive_text().await, text);
    }
}
