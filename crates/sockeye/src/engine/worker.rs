//! A worker: a thread with a driver, the connections that were accepted on it, and a runtime for tasks beside them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Handle, LocalOptions};

use super::common::Common;
use super::door::Reception;
use super::mailbox::{Letter, Mailbox};
use super::owner::Connections;
use crate::driver::Driver;
use crate::hub::{Local, Outlet};
use crate::metrics::SessionMetrics;
use crate::server::Drain;

/// How many turns with events are taken before tasks of the worker have theirs.
const TURNS: usize = 8;

/// What a worker begins with.
#[derive(Debug)]
pub(crate) struct Workplace {
    /// The listening sockets that it accepts on.
    pub(crate) listeners: Vec<OwnedFd>,
    /// Who is let in.
    pub(crate) reception: Reception,
    pub(crate) metrics: Arc<SessionMetrics>,
    /// Its part of the hub.
    pub(crate) hub: Local,
}

/// A worker that runs.
#[derive(Debug)]
pub(crate) struct Worker {
    mailbox: Arc<Mailbox>,
    thread: JoinHandle<io::Result<()>>,
}

impl Worker {
    /// Starts a worker with the driver that `make` makes on its thread.
    pub(crate) fn start<D: Driver>(
        name: String,
        workplace: Workplace,
        make: impl FnOnce() -> io::Result<D> + Send + 'static,
    ) -> io::Result<Self> {
        let mailbox = Mailbox::new();
        workplace.hub.attach(Arc::clone(&mailbox) as Arc<dyn Outlet>);
        let thread = std::thread::Builder::new().name(name).spawn({
            let mailbox = Arc::clone(&mailbox);
            move || {
                let result = Floor::open(workplace, Arc::clone(&mailbox), make).and_then(run);
                mailbox.close();
                result
            }
        })?;
        Ok(Self { mailbox, thread })
    }

    /// Asks it to close all WebSockets and to end.
    pub(crate) fn stop(&self, drain: Arc<Drain>) {
        self.mailbox.post(Letter::Stop(drain));
    }

    /// Waits for its end.
    pub(crate) fn join(self) -> io::Result<()> {
        self.thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("a worker panicked")))
    }
}

/// What a worker's thread works with.
struct Floor<D: Driver> {
    driver: D,
    connections: Connections<D>,
    mailbox: Arc<Mailbox>,
    letters: VecDeque<Letter>,
    /// When what is left is dropped, once the worker was asked to stop.
    deadline: Option<Instant>,
}

fn run<D: Driver>(mut floor: Floor<D>) -> io::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(floor.work())
}

/// The driver's descriptor, which stays the driver's.
struct Descriptor(RawFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl<D: Driver> Floor<D> {
    fn open(
        workplace: Workplace,
        mailbox: Arc<Mailbox>,
        make: impl FnOnce() -> io::Result<D>,
    ) -> io::Result<Self> {
        let mut driver = make()?;
        mailbox.attach(driver.waker());
        let common = Common::new(Arc::clone(&mailbox), workplace.metrics, workplace.hub);
        let mut connections = Connections::new(common, workplace.reception);
        for listener in workplace.listeners {
            connections.listen(&mut driver, listener)?;
        }
        Ok(Self {
            driver,
            connections,
            mailbox,
            letters: VecDeque::new(),
            deadline: None,
        })
    }

    /// Takes turns until the worker was asked to stop and all is closed.
    async fn work(&mut self) -> io::Result<()> {
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe; the descriptor is the driver's, which outlives this"
        )]
        let descriptor = AsyncFd::with_interest(Descriptor(self.driver.as_raw_fd()), Interest::READABLE)?;
        let tasks = Handle::current().metrics();
        while !self.is_done() {
            if tasks.num_alive_tasks() == 0 {
                // Nobody else needs this thread: the driver may keep it for as long as it waits.
                let wait = self.wait();
                self.turn(wait)?;
                continue;
            }
            let mut is_busy = true;
            for _ in 0..TURNS {
                is_busy = self.turn(Some(Duration::ZERO))? > 0;
                if !is_busy {
                    break;
                }
            }
            if is_busy {
                tokio::task::yield_now().await;
            } else {
                self.rest(&descriptor).await?;
            }
        }
        self.connections.drop_all(&mut self.driver);
        Ok(())
    }

    /// Lets the tasks run until the driver has something to do.
    async fn rest(&mut self, descriptor: &AsyncFd<Descriptor>) -> io::Result<()> {
        let readable = async {
            // The turn that comes drains it, or leaves it readable.
            descriptor.readable().await.map(|mut ready| ready.clear_ready())
        };
        match self.wait() {
            None => readable.await,
            Some(wait) => tokio::time::timeout(wait, readable).await.unwrap_or(Ok(())),
        }
    }

    /// One turn of the driver, and what follows from it. Gives how many events there were.
    fn turn(&mut self, wait: Option<Duration>) -> io::Result<usize> {
        self.connections.turn_begins();
        let count = self.driver.turn(wait, &mut self.connections)?;
        self.connections.common.hub.begin_mail();
        self.mailbox.take(&mut self.letters);
        while let Some(letter) = self.letters.pop_front() {
            self.read(letter);
        }
        self.connections.common.hub.end_mail();
        self.connections.turn_ends(&mut self.driver);
        Ok(count)
    }

    fn read(&mut self, letter: Letter) {
        match letter {
            Letter::Published(post) => {
                self.connections.common.hub.receive(&post);
                self.connections.give_out_if_much(&mut self.driver);
            }
            Letter::Socket(key, order) => self.connections.order(&mut self.driver, key, order),
            Letter::Stop(drain) => {
                self.connections.stop_listening(&mut self.driver);
                self.connections
                    .close_all(&mut self.driver, drain.code, &drain.reason);
                self.deadline = Instant::now().checked_add(drain.deadline);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| self.connections.len() == 0 || deadline <= Instant::now())
    }

    fn wait(&self) -> Option<Duration> {
        let until_end = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        [self.connections.wait(), until_end].into_iter().flatten().min()
    }
}
