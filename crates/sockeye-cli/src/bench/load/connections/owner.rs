//! What the driver tells of the connections.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use sockeye::driver::{Driver, Key, Owner};

use super::client::Stage;
use super::{Connections, socket};
use crate::bench::scenario::Scenario;
use crate::bench::trouble::{Kind, Trouble};

impl<D: Driver, S: Scenario> Owner<D> for Connections<D, S> {
    fn socket(&mut self, key: Key) -> Option<&mut D::Socket> {
        self.client(key).map(|client| &mut client.socket)
    }

    fn keys(&mut self) -> Vec<Key> {
        let clients = self.slots.iter().filter_map(|slot| slot.client.as_ref());
        clients.map(|client| client.key).collect()
    }

    fn listener(&mut self, _: Key) -> Option<&mut D::Listener> {
        None
    }

    fn accepted(&mut self, _: &mut D, _: Key, socket: OwnedFd) {
        drop(socket);
    }

    fn accept_failed(&mut self, _: &mut D, _: Key, _: io::Error) {}

    fn connected(&mut self, driver: &mut D, key: Key, result: io::Result<()>) {
        if let Err(error) = result {
            return self.end(driver, key.index(), Some(socket::trouble(&error)));
        }
        let Some(slot) = self.slots.get_mut(key.index()) else {
            return;
        };
        if let Some(client) = &mut slot.client
            && let Stage::Opening(opening) = &client.stage
        {
            // TLS keeps it until its own handshake is done.
            opening.write(&mut self.common.owed);
        }
        let at = self.common.clock.now();
        self.flush(driver, key.index(), at);
    }

    fn received(&mut self, driver: &mut D, key: Key, bytes: &mut [u8]) {
        let now = Instant::now();
        let at = self.common.clock.at(now);
        if self.common.times.counts(at) {
            self.common.tally.counted.wire_received += bytes.len() as u64;
        }
        let place = key.index();
        let result = self.take(place, bytes, now);
        // The answer to a Close frame, or what tells the server of its fault, leaves first.
        self.flush(driver, place, at);
        if let Err(trouble) = result {
            self.end(driver, place, Some(trouble));
        }
    }

    fn ended(&mut self, driver: &mut D, key: Key) {
        let Some(client) = self.client(key) else {
            return;
        };
        let trouble = match &client.stage {
            // It was the server's turn to end it.
            Stage::Open(connection) if connection.is_close_complete() => {
                return self.end(driver, key.index(), None);
            }
            Stage::Opening(_) => Trouble::new(
                Kind::Handshake,
                "the server ended the connection without an answer",
            ),
            Stage::Refused(refusal) => refusal.trouble(),
            Stage::Open(_) => Trouble::new(Kind::Lost, "ended without a Close frame"),
        };
        self.end(driver, key.index(), Some(trouble));
    }

    fn failed(&mut self, driver: &mut D, key: Key, error: io::Error) {
        let Some(client) = self.client(key) else {
            return;
        };
        let trouble = match &client.stage {
            Stage::Opening(_) => socket::trouble(&error),
            Stage::Refused(refusal) => refusal.trouble(),
            Stage::Open(_) => Trouble::of_system(Kind::Lost, &error),
        };
        self.end(driver, key.index(), Some(trouble));
    }

    fn writable(&mut self, driver: &mut D, key: Key) {
        let at = self.common.clock.now();
        self.flush(driver, key.index(), at);
    }
}
