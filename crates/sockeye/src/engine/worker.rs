//! A worker: a thread with a driver, the connections that were accepted on it, and a runtime for tasks beside them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Handle, LocalOptions, LocalRuntime};
use tokio::sync::mpsc;

use super::bell;
use super::common::Common;
use super::mailbox::{Letter, Mailbox};
use super::owner::Connections;
use crate::driver::{Driver, DriverKind, Key};
use crate::hub::{Local, Outlet};
use crate::metrics::SessionMetrics;
use crate::server::Reception;

/// How many turns with events are taken before tasks of the worker have theirs.
const TURNS: usize = 8;

/// What a worker begins with.
#[derive(Debug)]
pub(crate) struct Workplace {
    /// Who is let in.
    pub(crate) reception: Reception,
    pub(crate) metrics: Arc<SessionMetrics>,
    /// Its part of the hub.
    pub(crate) hub: Local,
    /// The processor that it is bound to.
    pub(crate) processor: Option<usize>,
    /// Dropped when it has ended.
    pub(crate) end: mpsc::UnboundedSender<()>,
}

/// A worker that runs.
#[derive(Debug)]
pub(crate) struct Worker {
    mailbox: Arc<Mailbox>,
}

impl Worker {
    /// Starts a worker with the driver that `make` makes on its thread. Gives what stops that.
    pub(crate) fn start<D: Driver>(
        name: String,
        workplace: Workplace,
        make: impl FnOnce() -> io::Result<D> + Send + 'static,
    ) -> io::Result<Self> {
        let mailbox = Mailbox::new();
        workplace.hub.attach(Arc::clone(&mailbox) as Arc<dyn Outlet>);
        let (started, has_started) = std::sync::mpsc::sync_channel(1);
        std::thread::Builder::new().name(name).spawn({
            let mailbox = Arc::clone(&mailbox);
            move || {
                let end = workplace.end.clone();
                match Floor::open(workplace, Arc::clone(&mailbox), make) {
                    Ok((floor, runtime)) => {
                        let _ = started.send(Ok(()));
                        floor.run(&runtime);
                    }
                    // Whoever started it waits for this.
                    Err(error) => drop(started.send(Err(error))),
                }
                mailbox.close();
                drop(end);
            }
        })?;
        let gone = |_| Err(io::Error::other("a worker panicked as it began"));
        has_started.recv().unwrap_or_else(gone)?;
        Ok(Self { mailbox })
    }

    /// Asks it for something.
    pub(crate) fn post(&self, letter: Letter) {
        self.mailbox.post(letter);
    }

    /// Has it drop what it has, and end.
    pub(crate) fn stop(&self) {
        self.mailbox.post(Letter::Stop);
    }
}

/// What a worker's thread works with.
pub(super) struct Floor<D: Driver> {
    pub(super) driver: D,
    connections: Connections<D>,
    mailbox: Arc<Mailbox>,
    letters: VecDeque<Letter>,
    /// The connections that tasks have done something with.
    rung: Vec<Key>,
    /// The worker was told to end.
    pub(super) is_done: bool,
}

/// The driver's descriptor, which stays the driver's.
struct Descriptor(RawFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl<D: Driver> Floor<D> {
    pub(super) fn open(
        workplace: Workplace,
        mailbox: Arc<Mailbox>,
        make: impl FnOnce() -> io::Result<D>,
    ) -> io::Result<(Self, LocalRuntime)> {
        if let Some(processor) = workplace.processor {
            pin(processor)?;
        }
        let driver = make()?;
        mailbox.attach(driver.waker());
        bell::attach(&mailbox);
        let common = Common::new(Arc::clone(&mailbox), workplace.metrics, workplace.hub);
        let connections = Connections::new(common, workplace.reception);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default())?;
        let floor = Self {
            driver,
            connections,
            mailbox,
            letters: VecDeque::new(),
            rung: Vec::new(),
            is_done: false,
        };
        Ok((floor, runtime))
    }

    /// Works until told to end, then drops everything.
    fn run(mut self, runtime: &LocalRuntime) {
        if let Err(error) = runtime.block_on(self.work()) {
            tracing::error!(%error, "a worker has failed");
        }
        // Connections may belong to tasks, and what they drop to the runtime.
        let _inside = runtime.enter();
        self.connections.stop_listening(&mut self.driver, None);
        self.connections.drop_all(&mut self.driver);
    }

    /// Takes turns until the worker was told to end.
    async fn work(&mut self) -> io::Result<()> {
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe; the descriptor is the driver's, which outlives this"
        )]
        let descriptor = AsyncFd::with_interest(Descriptor(self.driver.as_raw_fd()), Interest::READABLE)?;
        let tasks = Handle::current().metrics();
        while !self.is_done {
            if tasks.num_alive_tasks() == 0 {
                // Nobody else needs this thread: the driver may keep it for as long as it waits.
                let wait = if bell::is_rung() {
                    Some(Duration::ZERO)
                } else {
                    self.connections.wait()
                };
                self.turn(wait)?;
                continue;
            }
            let mut is_busy = true;
            for _ in 0..TURNS {
                is_busy = self.turn(Some(Duration::ZERO))?;
                if !is_busy {
                    break;
                }
            }
            if is_busy || self.submits()? {
                tokio::task::yield_now().await;
            } else {
                self.rest(&descriptor).await?;
            }
        }
        Ok(())
    }

    /// Has the driver hand over what the end of the last turn left to send: on io_uring that is done as a turn begins, and
    /// there may be none for long. Gives whether anything happened meanwhile.
    pub(super) fn submits(&mut self) -> io::Result<bool> {
        if self.driver.kind() != DriverKind::Uring {
            return Ok(false);
        }
        self.connections.turn_begins();
        let happened = self.driver.turn(Some(Duration::ZERO), &mut self.connections)? > 0;
        // That turn may have used up the wake-up of a letter, which nobody would be woken for again.
        Ok(happened || self.mailbox.has_letters())
    }

    /// Lets the tasks run until the driver has something to do.
    async fn rest(&mut self, descriptor: &AsyncFd<Descriptor>) -> io::Result<()> {
        let readable = async {
            // The turn that comes drains it, or leaves it readable.
            descriptor.readable().await.map(|mut ready| ready.clear_ready())
        };
        let stirred = async {
            tokio::select! {
                readable = readable => readable,
                () = poll_fn(bell::poll_rung) => Ok(()),
            }
        };
        match self.connections.wait() {
            None => stirred.await,
            Some(wait) => tokio::time::timeout(wait, stirred).await.unwrap_or(Ok(())),
        }
    }

    /// One turn of the driver, and what follows from it. Gives whether the driver may have more to do: it had events, or it
    /// was told something of which its descriptor does not know.
    pub(super) fn turn(&mut self, wait: Option<Duration>) -> io::Result<bool> {
        self.connections.turn_begins();
        let mut is_busy = self.driver.turn(wait, &mut self.connections)? > 0;
        self.connections.common.hub.begin_mail();
        self.mailbox.take(&mut self.letters);
        while let Some(letter) = self.letters.pop_front() {
            is_busy = true;
            self.read(letter);
        }
        self.connections.common.hub.end_mail();
        bell::take(&mut self.rung);
        for key in self.rung.drain(..) {
            is_busy = true;
            self.connections.rung(&mut self.driver, key);
        }
        is_busy |= self.connections.turn_ends(&mut self.driver);
        Ok(is_busy)
    }

    fn read(&mut self, letter: Letter) {
        let Self {
            connections, driver, ..
        } = self;
        match letter {
            Letter::Published(post) => {
                connections.common.hub.receive(&post);
                connections.give_out_if_much(driver);
            }
            Letter::Socket(key, order) => connections.order(driver, key, order),
            Letter::Rung(key) => connections.rung(driver, key),
            Letter::Ask(key, question) => connections.ask(key, *question),
            Letter::Accepted(socket, address) => connections.let_in(driver, socket, &address),
            Letter::Listen(socket, address) => {
                if let Err(error) = connections.listen(driver, socket, address) {
                    tracing::error!(%error, "a worker cannot listen");
                }
            }
            Letter::StopListening(address, done) => {
                connections.stop_listening(driver, address.as_ref());
                drop(done);
            }
            Letter::CloseAll(code, reason, told) => {
                let reached = connections.close_all(driver, code, &reason);
                // Whoever asked may not want to know.
                let _ = told.send(reached);
            }
            Letter::Broadcast(message, told) => drop(told.send(connections.broadcast(driver, &message))),
            Letter::List(found) => drop(found.send(connections.list(driver))),
            Letter::Drain(drain) => connections.drain(driver, drain),
            Letter::Stop => self.is_done = true,
        }
    }
}

/// Binds this thread to a processor.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn pin(processor: usize) -> io::Result<()> {
    let mut only = rustix::thread::CpuSet::new();
    only.set(processor);
    Ok(rustix::thread::sched_setaffinity(None, &only)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn pin(_: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
