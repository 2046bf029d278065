//! The workers of a server.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sockeye_proto::{CloseCode, Prepared};
use tokio::sync::mpsc;

use super::mailbox::{Letter, Listed};
use super::worker::{Worker, Workplace};
use crate::driver::{DriverKind, Readiness};
use crate::hub::{Hub, Local};
use crate::metrics::SessionMetrics;
use crate::server::{Address, Drain, Reached, Reception};

/// The workers that a server is to have.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) workers: usize,
    pub(crate) driver: DriverKind,
    /// Each is bound to a processor.
    pub(crate) pin: bool,
    pub(crate) reception: Reception,
    pub(crate) metrics: Arc<SessionMetrics>,
    pub(crate) hub: Arc<Hub>,
}

/// The workers of a server. They end when they are [told](Self::stop), or when this is dropped.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
    driver: DriverKind,
    /// Who gets the next connection.
    next: AtomicUsize,
    /// Tells of the end of each.
    ended: Mutex<Option<mpsc::UnboundedReceiver<()>>>,
}

impl Workers {
    /// Starts them: all or none.
    pub(crate) fn start(plan: Plan) -> io::Result<Self> {
        let driver = plan.driver.resolve()?;
        let processors = if plan.pin { processors()? } else { Vec::new() };
        let (end, ended) = mpsc::unbounded_channel();
        let mut workers = Vec::with_capacity(plan.workers);
        for number in 0..plan.workers {
            let workplace = Workplace {
                reception: plan.reception.clone(),
                metrics: Arc::clone(&plan.metrics),
                processor: processors.get(number % processors.len().max(1)).copied(),
                hub: Local::new(Arc::clone(&plan.hub), number),
                end: end.clone(),
            };
            let name = format!("sockeye-{number}");
            let worker = match driver {
                #[cfg(target_os = "linux")]
                DriverKind::Uring => Worker::start(name, workplace, crate::driver::Uring::new),
                _ => Worker::start(name, workplace, Readiness::new),
            };
            match worker {
                Ok(worker) => workers.push(worker),
                Err(error) => {
                    workers.iter().for_each(Worker::stop);
                    return Err(error);
                }
            }
        }
        Ok(Self {
            workers,
            driver,
            next: AtomicUsize::new(0),
            ended: Mutex::new(Some(ended)),
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.workers.len()
    }

    /// The driver that was chosen.
    pub(crate) fn driver(&self) -> DriverKind {
        self.driver
    }

    /// Hands a connection that was accepted at `local` to the next worker.
    pub(crate) fn hand(&self, socket: OwnedFd, local: &Arc<Address>) {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.workers.len();
        self.workers[next].post(Letter::Accepted(socket, Arc::clone(local)));
    }

    /// Has each worker accept on one of these sockets.
    pub(crate) fn listen(&self, address: &Arc<Address>, sockets: Vec<OwnedFd>) {
        for (worker, socket) in self.workers.iter().zip(sockets) {
            worker.post(Letter::Listen(socket, Arc::clone(address)));
        }
    }

    /// Closes the listening sockets of an address, or all, and waits until they are closed.
    pub(crate) async fn stop_listening(&self, address: Option<&Address>) {
        let (done, mut all_done) = mpsc::unbounded_channel();
        for worker in &self.workers {
            worker.post(Letter::StopListening(address.cloned(), done.clone()));
        }
        drop(done);
        // Each drops its end when it is done, or when it is gone.
        while all_done.recv().await.is_some() {}
    }

    /// Closes the WebSockets over the spread of the drain.
    pub(crate) fn drain(&self, drain: &Arc<Drain>) {
        self.workers
            .iter()
            .for_each(|worker| worker.post(Letter::Drain(Arc::clone(drain))));
    }

    /// Closes all WebSockets that are open. Each worker tells how many that were, until all have.
    pub(crate) fn close_all(&self, code: CloseCode, reason: &str) -> mpsc::UnboundedReceiver<Reached> {
        let (tell, told) = mpsc::unbounded_channel();
        for worker in &self.workers {
            worker.post(Letter::CloseAll(code, reason.into(), tell.clone()));
        }
        told
    }

    /// Sends a message to all WebSockets that are open. Each worker tells how many that were, until all have.
    pub(crate) fn broadcast(&self, message: &Prepared) -> mpsc::UnboundedReceiver<Reached> {
        let (tell, told) = mpsc::unbounded_channel();
        for worker in &self.workers {
            worker.post(Letter::Broadcast(message.clone(), tell.clone()));
        }
        told
    }

    /// The WebSockets that are open.
    pub(crate) async fn list(&self) -> Vec<Listed> {
        let (found, mut all_found) = mpsc::unbounded_channel();
        for worker in &self.workers {
            worker.post(Letter::List(found.clone()));
        }
        drop(found);
        let mut list = Vec::new();
        while let Some(some) = all_found.recv().await {
            list.extend(some);
        }
        list.sort_unstable_by_key(|listed: &Listed| listed.id);
        list
    }

    /// Has them drop what they have, and end.
    pub(crate) fn stop(&self) {
        self.workers.iter().for_each(Worker::stop);
    }

    /// Waits until all have ended. Only the first call does.
    pub(crate) async fn ended(&self) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut ended) = ended {
            while ended.recv().await.is_some() {}
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The processors that this process may use.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn processors() -> io::Result<Vec<usize>> {
    let allowed = rustix::thread::sched_getaffinity(None)?;
    Ok((0..rustix::thread::CpuSet::MAX_CPU)
        .filter(|cpu| allowed.is_set(*cpu))
        .collect())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn processors() -> io::Result<Vec<usize>> {
    Err(io::ErrorKind::Unsupported.into())
}
