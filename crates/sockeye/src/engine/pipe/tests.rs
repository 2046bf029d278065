//! Both ends of a pipe, with a session that sends nothing by itself.

use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::*;
use crate::driver::{Outbox, OutputPool};

#[derive(Default)]
struct Count(AtomicUsize);

impl Bell for Count {
    fn ring(&self, session: Key) {
        assert_eq!(session, KEY);
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

const KEY: Key = Key::new(3, 5);

/// A pipe and a session that has an outbox and sends nothing by itself.
struct Rig {
    bell: Arc<Count>,
    end: PipeEnd,
    outbox: Outbox,
    pool: OutputPool,
}

fn rig() -> (Pipe, Rig) {
    let bell = Arc::<Count>::default();
    let (pipe, end) = pipe(bell.clone(), KEY);
    let rig = Rig {
        bell,
        end,
        outbox: Outbox::default(),
        pool: OutputPool::default(),
    };
    (pipe, rig)
}

impl Rig {
    fn rings(&self) -> usize {
        self.bell.0.load(Ordering::Relaxed)
    }

    fn take(&mut self) -> Orders {
        self.end.take(&mut self.outbox, &mut self.pool)
    }

    /// Sends everything, and gives it.
    fn send(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        while let Some(output) = self.outbox.get_mut()
            && !output.is_empty()
        {
            let mut slices = [IoSlice::new(&[]); 8];
            let before = sent.len();
            for slice in output.slices(&mut slices) {
                sent.extend_from_slice(slice);
            }
            output.advance(sent.len() - before);
        }
        self.outbox.settle(&mut self.pool);
        self.end.unsent(0);
        sent
    }
}

const fn orders(receive: bool, then: Then) -> Orders {
    Orders { receive, then }
}

#[tokio::test]
async fn what_was_received_is_read_and_then_the_end() {
    let (mut pipe, rig) = rig();
    let mut read = Vec::new();
    let reading = async {
        pipe.read_to_end(&mut read).await.unwrap();
    };
    let receiving = async {
        for part in ["one ", "two ", "three"] {
            assert!(rig.end.received(part.as_bytes()));
            tokio::task::yield_now().await;
        }
        rig.end.ended();
    };
    tokio::join!(reading, receiving);
    assert_eq!(read, b"one two three");
    assert_eq!(rig.rings(), 0, "nothing was to be done for the session");
}

#[tokio::test]
async fn a_reader_that_is_behind_stops_the_session_until_it_has_caught_up() {
    let (mut pipe, mut rig) = rig();
    assert!(rig.end.received(&vec![1; INBOUND - 1]));
    assert!(!rig.end.received(&[1]));
    assert_eq!(rig.take(), orders(false, Then::GoOn));
    // What the driver had received already is taken.
    assert!(!rig.end.received(&[1]));
    let mut half = vec![0; INBOUND / 2];
    pipe.read_exact(&mut half).await.unwrap();
    assert_eq!(rig.rings(), 0);
    pipe.read_exact(&mut half[..1]).await.unwrap();
    assert_eq!(rig.rings(), 1);
    assert_eq!(rig.take(), orders(true, Then::GoOn));
}

#[tokio::test]
async fn writes_are_collected_under_one_ring_and_sent_in_order() {
    let (mut pipe, mut rig) = rig();
    pipe.write_all(b"one ").await.unwrap();
    let parts = [IoSlice::new(b"two "), IoSlice::new(b""), IoSlice::new(b"three")];
    assert_eq!(pipe.write_vectored(&parts).await.unwrap(), 9);
    pipe.flush().await.unwrap();
    assert_eq!(rig.rings(), 1);
    assert_eq!(rig.take(), orders(true, Then::GoOn));
    let large = vec![7; REFERENCED];
    pipe.write_all(&large).await.unwrap();
    pipe.write_all(b"end").await.unwrap();
    assert_eq!(rig.rings(), 2);
    rig.take();
    let sent = rig.send();
    assert!(sent.starts_with(b"one two three\x07"));
    assert!(sent.ends_with(b"\x07end"));
    assert_eq!(sent.len(), 13 + REFERENCED + 3);
}

#[tokio::test]
async fn writes_wait_while_the_peer_takes_nothing() {
    let (mut pipe, mut rig) = rig();
    let writing = tokio::spawn(async move {
        pipe.write_all(&vec![1; OUTBOUND + 1]).await.unwrap();
        pipe
    });
    tokio::task::yield_now().await;
    assert!(!writing.is_finished());
    // Moving it to the outbox makes no room; sending it does, at half.
    rig.take();
    rig.end.unsent(OUTBOUND / 2 + 1);
    tokio::task::yield_now().await;
    assert!(!writing.is_finished());
    rig.end.unsent(OUTBOUND / 2);
    let _pipe = writing.await.unwrap();
}

#[tokio::test]
async fn no_write_is_larger_than_the_room() {
    let (mut pipe, mut rig) = rig();
    let large = vec![1; OUTBOUND];
    let parts = [IoSlice::new(&large), IoSlice::new(&large)];
    assert_eq!(pipe.write_vectored(&parts).await.unwrap(), OUTBOUND);
    rig.take();
    assert_eq!(rig.outbox.len(), OUTBOUND);
}

#[tokio::test]
async fn shutting_down_ends_one_direction_only() {
    let (mut pipe, mut rig) = rig();
    pipe.write_all(b"bye").await.unwrap();
    pipe.shutdown().await.unwrap();
    pipe.shutdown().await.unwrap();
    assert_eq!(rig.take(), orders(true, Then::Shutdown));
    assert_eq!(rig.send(), b"bye");
    assert_eq!(
        pipe.write(b"more").await.unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
    assert!(rig.end.received(b"still here"));
    let mut read = [0; 10];
    pipe.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"still here");
}

#[tokio::test]
async fn a_dropped_pipe_closes_after_what_it_wrote_and_hears_nothing_more() {
    let (mut pipe, mut rig) = rig();
    assert!(!rig.end.received(&vec![1; INBOUND]));
    pipe.write_all(b"bye").await.unwrap();
    drop(pipe);
    assert_eq!(rig.rings(), 1);
    assert_eq!(rig.take(), orders(false, Then::Close));
    assert_eq!(rig.send(), b"bye");
    assert!(rig.end.received(b"nobody reads this"));
}

#[tokio::test]
async fn a_lost_connection_fails_both_directions_wherever_they_wait() {
    let (pipe, rig) = rig();
    let (mut reader, mut writer) = tokio::io::split(pipe);
    assert!(rig.end.received(b"last"));
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        let error = reader.read_to_end(&mut read).await.unwrap_err();
        (read, error.kind())
    });
    let writing = tokio::spawn(async move { writer.write_all(&vec![1; OUTBOUND + 1]).await });
    tokio::task::yield_now().await;
    rig.end.failed(&io::ErrorKind::ConnectionReset.into());
    let reset = io::ErrorKind::ConnectionReset;
    assert_eq!(reading.await.unwrap(), (b"last".to_vec(), reset));
    assert_eq!(writing.await.unwrap().unwrap_err().kind(), reset);
}

#[tokio::test]
async fn a_session_that_is_gone_fails_what_the_task_does() {
    for has_ended in [false, true] {
        let (mut pipe, rig) = rig();
        if has_ended {
            rig.end.ended();
        }
        pipe.write_all(&vec![1; OUTBOUND]).await.unwrap();
        let writing = poll_fn(|cx| {
            let polled = Pin::new(&mut pipe).poll_write(cx, b"more");
            if polled.is_pending() {
                // The session goes while the task waits.
                cx.waker().wake_by_ref();
                return Poll::Ready(None);
            }
            polled.map(Some)
        });
        assert!(writing.await.is_none(), "there is no room");
        drop(rig);
        pipe.write(b"more").await.unwrap_err();
        let mut byte = [0];
        assert_eq!(pipe.read(&mut byte).await.is_ok(), has_ended);
    }
}

#[tokio::test]
async fn a_pipe_at_rest_keeps_little_memory() {
    let (mut pipe, mut rig) = rig();
    assert!(rig.end.received(&vec![1; INBOUND / 2]));
    pipe.read_exact(&mut vec![0; INBOUND / 2]).await.unwrap();
    pipe.write_all(&vec![1; REFERENCED - 1]).await.unwrap();
    rig.take();
    let state = pipe.0.lock();
    assert!(state.inbound.capacity() <= KEPT && state.outbound.capacity() <= KEPT);
}

/// One thread writes and reads, the other is the engine: nothing is lost, and neither sleeps for ever.
#[test]
fn wakes_from_another_thread_are_not_lost() {
    const LEN: usize = 2_000_000;

    struct Unpark(std::thread::Thread);

    impl Bell for Unpark {
        fn ring(&self, _: Key) {
            self.0.unpark();
        }
    }

    let (pipe, end) = pipe(Arc::new(Unpark(std::thread::current())), KEY);
    let task = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move {
            let (mut reader, mut writer) = tokio::io::split(pipe);
            let write = async {
                for at in 0..LEN / 1000 {
                    writer.write_all(&[at as u8; 1000]).await.unwrap();
                }
            };
            let read = async {
                let mut bytes = vec![0; LEN];
                reader.read_exact(&mut bytes).await.unwrap();
                bytes
            };
            tokio::join!(read, write).0
        })
    });
    let (mut outbox, mut pool) = (Outbox::default(), OutputPool::default());
    let mut echoed = Vec::new();
    // An echo with a limited appetite: each turn sends a part and receives it again.
    loop {
        let orders = end.take(&mut outbox, &mut pool);
        if orders.then == Then::Close {
            break;
        }
        let mut part = Vec::new();
        if orders.receive
            && let Some(output) = outbox.get_mut()
        {
            let mut slices = [IoSlice::new(&[]); 4];
            for slice in output.slices(&mut slices) {
                part.extend_from_slice(slice);
            }
            part.truncate(7_777);
            output.advance(part.len());
        }
        end.unsent(outbox.len());
        if part.is_empty() {
            std::thread::park();
        } else {
            let _ = end.received(&part);
            echoed.extend_from_slice(&part);
        }
    }
    assert_eq!(task.join().unwrap(), echoed);
    assert_eq!(echoed.len(), LEN);
}

#[tokio::test]
async fn a_cut_off_is_an_error_to_read_and_no_obstacle_to_write() {
    let (mut task, mut rig) = rig();
    assert!(rig.end.received(b"all there is"));
    rig.end.cut_off();
    let mut read = Vec::new();
    let error = task.read_to_end(&mut read).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(read, b"all there is");
    task.write_all(b"answer").await.unwrap();
    rig.take();
    assert_eq!(rig.send(), b"answer");
    drop(rig.end);
    assert!(task.write_all(b"too late").await.is_err());
}
