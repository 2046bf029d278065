//! The listening sockets of a worker.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::owner::Connections;
use crate::driver::{Driver, Key};
use crate::server::Address;

/// A listening socket of a worker.
#[derive(Debug)]
pub(super) struct Entrance<D: Driver> {
    pub(super) listener: D::Listener,
    address: Arc<Address>,
    /// When to accept again after the system was short of something.
    retry_at: Option<Instant>,
    /// How long to wait the next time.
    wait: Duration,
}

impl<D: Driver> Entrance<D> {
    const FIRST_WAIT: Duration = Duration::from_millis(5);
    const LONGEST_WAIT: Duration = Duration::from_secs(1);
}

impl<D: Driver> Connections<D> {
    /// Accepts on this socket.
    pub(super) fn listen(
        &mut self,
        driver: &mut D,
        socket: OwnedFd,
        address: Arc<Address>,
    ) -> io::Result<()> {
        let vacant = self.entrances.iter().position(Option::is_none);
        let index = vacant.unwrap_or_else(|| {
            self.entrances.push(None);
            self.entrances.len() - 1
        });
        self.generation = self.generation.wrapping_add(1);
        let listener = driver.listen(socket, Key::new(index as u32, self.generation))?;
        self.entrances[index] = Some(Entrance {
            listener,
            address,
            retry_at: None,
            wait: Entrance::<D>::FIRST_WAIT,
        });
        Ok(())
    }

    /// Closes the listening sockets of an address, or all.
    pub(super) fn stop_listening(&mut self, driver: &mut D, address: Option<&Address>) {
        for entrance in &mut self.entrances {
            let is_meant =
                |entrance: &mut Entrance<D>| address.is_none_or(|address| *entrance.address == *address);
            if let Some(entrance) = entrance.take_if(is_meant) {
                driver.stop_listening(entrance.listener);
            }
        }
    }

    /// A connection was accepted.
    pub(super) fn came_in(&mut self, driver: &mut D, key: Key, socket: OwnedFd) {
        let Some(Some(entrance)) = self.entrances.get_mut(key.index()) else {
            return;
        };
        entrance.wait = Entrance::<D>::FIRST_WAIT;
        let address = Arc::clone(&entrance.address);
        self.let_in(driver, socket, &address);
    }

    /// Accepting failed because the system is short of something, mostly file descriptors. It is tried again after a
    /// while, a little longer each time: asking again at once would only burn the processor.
    pub(super) fn came_short(&mut self, key: Key, error: &io::Error) {
        let Some(Some(entrance)) = self.entrances.get_mut(key.index()) else {
            return;
        };
        let wait = entrance.wait;
        tracing::error!(%error, ?wait, "cannot accept connections; trying again");
        entrance.retry_at = Some(self.common.now + wait);
        entrance.wait = (wait * 2).min(Entrance::<D>::LONGEST_WAIT);
    }

    /// Accepts again where it is time to; gives whether it is anywhere.
    pub(super) fn retry(&mut self, driver: &mut D) -> bool {
        let now = self.common.now;
        let mut is_time = false;
        for entrance in self.entrances.iter_mut().flatten() {
            if entrance.retry_at.take_if(|at| *at <= now).is_none() {
                continue;
            }
            is_time = true;
            if let Err(error) = driver.set_accepting(&mut entrance.listener, true) {
                tracing::error!(%error, "cannot accept connections");
                entrance.retry_at = Some(now + Entrance::<D>::LONGEST_WAIT);
            }
        }
        is_time
    }

    /// When to [retry](Self::retry).
    pub(super) fn retry_at(&self) -> Option<Instant> {
        let at = |entrance: &Entrance<D>| entrance.retry_at;
        self.entrances.iter().flatten().filter_map(at).min()
    }
}
