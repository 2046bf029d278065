//! Workers with real sockets, on each driver.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};

use tokio::sync::mpsc;

use super::super::mailbox::{Letter, Mailbox};
use super::super::worker::{Floor, Worker, Workplace};
use super::super::{Handler, Sent, Socket, SocketHandle};
use super::*;
use crate::driver::{Driver, Readiness};
use crate::hub::{Hub, HubConfig, Local};
use crate::metrics::SessionMetrics;
use crate::server::{Drain, Reception, ServerBuilder, ServerHandle};
use crate::{CloseCode, MessageRef};

/// Makes each of these a test for each driver.
macro_rules! on_each_driver {
    ($($test:ident),* $(,)?) => {
        mod readiness {
            $(#[test]
            fn $test() {
                super::$test(crate::driver::Readiness::new);
            })*
        }

        #[cfg(target_os = "linux")]
        mod uring {
            $(#[test]
            fn $test() {
                if crate::driver::DriverKind::Uring.resolve().is_ok() {
                    super::$test(crate::driver::Uring::new);
                }
            })*
        }
    };
}
pub(super) use on_each_driver;

on_each_driver!(
    messages_are_echoed,
    a_stop_says_why_and_waits_for_the_answers,
    a_stop_waits_no_longer_than_its_deadline,
    handles_send_from_any_thread_in_order,
    tasks_run_on_the_worker_beside_its_sockets,
    a_flood_that_nobody_reads_ends_in_a_reset,
    a_letter_that_comes_before_a_worker_rests_keeps_it_awake,
);

pub(super) struct Echo;

impl Handler for Echo {
    type Data = ();

    fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
        socket.send(message);
    }
}

/// A worker, and the server that it belongs to.
pub(super) struct Running {
    worker: Worker,
    server: ServerHandle,
    ended: mpsc::UnboundedReceiver<()>,
}

impl Running {
    /// Asks it to close all WebSockets.
    pub(super) fn stop(&self, drain: Arc<Drain>) {
        let (done, mut is_done) = mpsc::unbounded_channel();
        self.worker.post(Letter::StopListening(None, done));
        assert!(is_done.blocking_recv().is_none());
        self.worker.post(Letter::Drain(drain));
    }

    /// Waits until it has no connection any more, then ends it.
    pub(super) fn join(mut self) -> io::Result<()> {
        while self.server.connections() > 0 {
            std::thread::yield_now();
        }
        self.worker.stop();
        assert!(self.ended.blocking_recv().is_none());
        Ok(())
    }
}

pub(super) fn start<D: Driver + 'static>(
    make: fn() -> io::Result<D>,
    handler: impl Handler,
    settings: Settings,
) -> (Running, SocketAddr) {
    open(make, server(handler, settings)).unwrap()
}

fn workplace(builder: ServerBuilder, end: mpsc::UnboundedSender<()>) -> Workplace {
    Workplace {
        reception: Reception::of(builder),
        metrics: Arc::new(SessionMetrics::new()),
        hub: Local::new(Hub::new(HubConfig::default(), 1).unwrap(), 0),
        processor: None,
        end,
    }
}

pub(super) fn open<D: Driver + 'static>(
    make: fn() -> io::Result<D>,
    builder: ServerBuilder,
) -> io::Result<(Running, SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let server = builder.server_handle();
    let (end, ended) = mpsc::unbounded_channel();
    let workplace = workplace(builder, end);
    let worker = Worker::start("worker".to_owned(), workplace, make)?;
    worker.post(Letter::Listen(listener.into(), Arc::new(address.into())));
    Ok((
        Running {
            worker,
            server,
            ended,
        },
        address,
    ))
}

pub(super) fn reach(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(super) fn upgrade(stream: &mut (impl Read + Write)) {
    stream.write_all(REQUEST).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
}

pub(super) fn connect(address: SocketAddr) -> TcpStream {
    let mut stream = reach(address);
    upgrade(&mut stream);
    stream
}

/// The next frame that the server sends.
fn next(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let len = match head[1] {
        126 => {
            let mut len = [0; 2];
            stream.read_exact(&mut len).unwrap();
            u16::from_be_bytes(len).into()
        }
        127 => {
            let mut len = [0; 8];
            stream.read_exact(&mut len).unwrap();
            u64::from_be_bytes(len) as usize
        }
        len => len.into(),
    };
    let mut payload = vec![0; len];
    stream.read_exact(&mut payload).unwrap();
    (head[0], payload)
}

/// Closes from the client's side, and stops the worker.
pub(super) fn finish(mut stream: TcpStream, worker: Running) {
    stream.write_all(&close(1000, "")).unwrap();
    let (first, body) = next(&mut stream);
    assert_eq!((first, body), (0x88, close_body(1000, "")));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    worker.stop(Arc::new(Drain::default()));
    worker.join().unwrap();
}

fn messages_are_echoed<D: Driver + 'static>(make: fn() -> io::Result<D>) {
    let (worker, address) = start(make, Echo, Settings::default());
    let mut streams: Vec<_> = (0..10).map(|_| connect(address)).collect();
    for len in [0, 1, 20, 125, 126, 1000, 65_535, 65_536, 300_000, 1_000_000] {
        let payload: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        for stream in &mut streams {
            stream.write_all(&binary(&payload)).unwrap();
        }
        for stream in &mut streams {
            assert!(next(stream) == (0x82, payload.clone()));
        }
    }
    let last = streams.pop().unwrap();
    drop(streams);
    finish(last, worker);
}

fn a_stop_says_why_and_waits_for_the_answers<D: Driver + 'static>(make: fn() -> io::Result<D>) {
    let (worker, address) = start(make, Echo, Settings::default());
    let mut stream = connect(address);
    worker.stop(Arc::new(Drain {
        code: CloseCode::SERVICE_RESTART,
        reason: "back soon".into(),
        ..Drain::default()
    }));
    assert_eq!(next(&mut stream), (0x88, close_body(1012, "back soon")));
    assert!(TcpStream::connect(address).is_err());
    stream.write_all(&close(1012, "")).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    worker.join().unwrap();
}

fn a_stop_waits_no_longer_than_its_deadline<D: Driver + 'static>(make: fn() -> io::Result<D>) {
    let (worker, address) = start(make, Echo, Settings::default());
    let mut stream = connect(address);
    worker.stop(Arc::new(Drain {
        spread: Duration::ZERO,
        deadline: millis(200),
        ..Drain::default()
    }));
    worker.join().unwrap();
    assert_eq!(next(&mut stream).0, 0x88);
    // The worker has dropped the connection.
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
}

/// Gives its handle away, and tells of its end.
struct Giver(Sender<SocketHandle>, Sender<u16>);

impl Handler for Giver {
    type Data = ();

    fn open(&self, socket: &mut Socket<'_, ()>) {
        self.0.send(socket.handle()).unwrap();
    }

    fn message(&self, _: &mut Socket<'_, ()>, _: MessageRef<'_>) {}

    fn close(&self, _: &mut Socket<'_, ()>, end: super::super::CloseEvent<'_>) {
        self.1.send(end.code).unwrap();
    }
}

fn handles_send_from_any_thread_in_order<D: Driver + 'static>(make: fn() -> io::Result<D>) {
    let (handles, given) = channel();
    let (codes, closed) = channel();
    let (worker, address) = start(make, Giver(handles, codes), Settings::default());
    let mut stream = connect(address);
    let handle = given.recv().unwrap();
    let sender = std::thread::spawn({
        let handle = handle.clone();
        move || {
            for at in 0..1000 {
                handle.send(at.to_string()).unwrap();
            }
        }
    });
    for at in 0..1000 {
        assert_eq!(next(&mut stream), (0x81, at.to_string().into_bytes()));
    }
    sender.join().unwrap();
    handle.close(CloseCode::NORMAL, "done").unwrap();
    assert_eq!(next(&mut stream), (0x88, close_body(1000, "done")));
    stream.write_all(&close(1000, "")).unwrap();
    assert_eq!(closed.recv().unwrap(), 1000);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert!(handle.is_gone());
    assert!(handle.send("too late").is_err());
    worker.stop(Arc::new(Drain::default()));
    worker.join().unwrap();
    assert!(handle.send("later still").is_err());
}

/// Answers from a task, a moment after it was told to.
#[derive(Default)]
struct Later {
    told: Arc<tokio::sync::Notify>,
}

impl Handler for Later {
    type Data = ();

    fn message(&self, socket: &mut Socket<'_, ()>, message: MessageRef<'_>) {
        match message {
            MessageRef::Text("now") => {
                assert_eq!(socket.send("now"), Sent::Sent);
                return;
            }
            MessageRef::Text("go on") => return self.told.notify_one(),
            _ => {}
        }
        let told = Arc::clone(&self.told);
        let handle = socket.handle();
        let text = std::rc::Rc::new(format!("{message:?}"));
        socket.spawn(async move {
            told.notified().await;
            // What is tested: the timers of tokio go on a worker, too.
            tokio::time::sleep(millis(1)).await;
            let _ = handle.send(text.as_str());
        });
    }
}

fn tasks_run_on_the_worker_beside_its_sockets<D: Driver + 'static>(make: fn() -> io::Result<D>) {
    let (worker, address) = start(make, Later::default(), Settings::default());
    let mut stream = connect(address);
    for _ in 0..10 {
        stream.write_all(&text("a while")).unwrap();
        // While the task waits, messages are answered.
        for _ in 0..3 {
            stream.write_all(&text("now")).unwrap();
            assert_eq!(next(&mut stream), (0x81, b"now".to_vec()));
        }
        stream.write_all(&text("go on")).unwrap();
        assert_eq!(next(&mut stream), (0x81, b"Text(\"a while\")".to_vec()));
    }
    finish(stream, worker);
}

fn a_flood_that_nobody_reads_ends_in_a_reset<D: Driver + 'static>(make: fn() -> io::Result<D>) {
    let (handles, given) = channel();
    let (codes, closed) = channel();
    let queues = QueueLimits {
        write_timeout: millis(200),
        ..QueueLimits::default()
    };
    let (worker, address) = start(make, Giver(handles, codes), with_queues(queues));
    let stream = connect(address);
    let handle = given.recv().unwrap();
    let payload = vec![0; 100_000];
    // More and more, since the system's own buffers take some megabytes before anything waits here.
    let code = loop {
        match closed.recv_timeout(millis(5)) {
            Ok(code) => break code,
            Err(RecvTimeoutError::Timeout) => {
                // It may have gone just now.
                let _ = handle.send(payload.clone());
            }
            Err(RecvTimeoutError::Disconnected) => panic!("the handler was not told"),
        }
    };
    assert_eq!(code, 1006);
    drop(stream);
    worker.stop(Arc::new(Drain::default()));
    worker.join().unwrap();
}

fn a_letter_that_comes_before_a_worker_rests_keeps_it_awake<D: Driver>(make: fn() -> io::Result<D>) {
    let (end, _) = mpsc::unbounded_channel();
    let mailbox = Mailbox::new();
    let workplace = workplace(server(Echo, Settings::default()), end);
    let (mut floor, runtime) = Floor::open(workplace, Arc::clone(&mailbox), make).unwrap();
    let _inside = runtime.enter();
    while floor.turn(Some(Duration::ZERO)).unwrap() {}

    mailbox.post(Letter::Stop);
    // What the worker does between its last turn and its rest. It must not rest, or find a wake-up there.
    let stays_awake = floor.submits().unwrap();
    let rests = !stays_awake && {
        let descriptor = floor.driver.as_raw_fd();
        let mut poll = mio::Poll::new().unwrap();
        let interest = mio::Interest::READABLE;
        poll.registry()
            .register(&mut mio::unix::SourceFd(&descriptor), mio::Token(0), interest)
            .unwrap();
        let mut events = mio::Events::with_capacity(1);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.is_empty()
    };
    assert!(!rests, "the worker would rest with a letter to read");
    floor.turn(Some(Duration::ZERO)).unwrap();
    assert!(floor.is_done);
}

#[test]
fn a_driver_that_cannot_be_made_is_an_error() {
    let make = || Err::<Readiness, _>(io::Error::other("no driver today"));
    let Err(error) = open(make, server(Echo, Settings::default())) else {
        panic!("there is a worker")
    };
    assert_eq!(error.to_string(), "no driver today");
}
