//! Bytes between connections, their scenario and the driver.

use std::time::Instant;

use sockeye::driver::Driver;
use sockeye_proto::handshake::Negotiated;

use super::client::Stage;
use super::{Connections, tls};
use crate::bench::clock::Moment;
use crate::bench::load::report::Agreed;
use crate::bench::scenario::{Leave, Out, Scenario};
use crate::bench::tally::record;
use crate::bench::trouble::{Kind, Trouble};

impl<D: Driver, S: Scenario> Connections<D, S> {
    /// Does for a connection what its scenario wants now, and sends what waits.
    pub(super) fn flush(&mut self, driver: &mut D, place: usize, at: Moment) {
        self.send(driver, place, at);
        let slot = &mut self.slots[place];
        let Some(client) = &mut slot.client else {
            return;
        };
        let reads = self.scenario.reads(&slot.peer);
        if reads != client.reads {
            client.reads = reads;
            if let Err(error) = driver.set_receiving(&mut client.socket, reads) {
                let trouble = Trouble::of_system(Kind::Lost, &error);
                return self.end(driver, place, Some(trouble));
            }
        }
        match self.scenario.leave(&slot.peer).filter(|_| client.is_open()) {
            None => {}
            Some(Leave::Reset) => self.end_by(driver, place, None, D::reset),
            Some(Leave::Close) => {
                self.dials.limit(client.key, at);
                client.close(self.common.clock.instant(at), &mut self.common.owed);
                self.send(driver, place, at);
            }
        }
    }

    /// Lets the scenario add what is to be sent, and sends what waits.
    fn send(&mut self, driver: &mut D, place: usize, at: Moment) {
        let slot = &mut self.slots[place];
        let Some(client) = &mut slot.client else {
            return;
        };
        loop {
            let common = &mut self.common;
            let in_flight = driver.in_flight(&client.socket);
            let is_open = client.is_open();
            // Gives whether something may have been left out for want of room.
            let mut fill = |out: &mut Out<'_>| {
                if is_open {
                    self.scenario.fill(&mut slot.peer, out, at, &mut common.tally);
                }
                is_open && !out.has_room()
            };
            let is_full;
            let added = match &mut client.encryption {
                None => {
                    let output = client.outbox.open(&mut common.outputs);
                    output.tail().append(&mut common.owed);
                    let mut out = Out::plain(output, in_flight);
                    is_full = fill(&mut out);
                    out.added
                }
                Some(encryption) => {
                    common.clear.append(&mut common.owed);
                    is_full = fill(&mut Out::clear(
                        &mut common.clear,
                        client.outbox.len() + in_flight,
                    ));
                    if !common.clear.is_empty() || encryption.wants_write() {
                        let output = client.outbox.open(&mut common.outputs);
                        let before = output.len();
                        encryption.encrypt(&common.clear, output);
                        common.clear.clear();
                        output.len() - before
                    } else {
                        0
                    }
                }
            };
            if common.times.counts(at) {
                common.tally.counted.wire_sent += added as u64;
            }
            if let Err(error) = driver.send(&mut client.socket, &mut client.outbox, &mut common.outputs) {
                let trouble = Trouble::of_system(Kind::Lost, &error);
                return self.end(driver, place, Some(trouble));
            }
            let everything_left = client.outbox.is_empty() && driver.in_flight(&client.socket) == 0;
            // What was left out for want of room has room now, and nobody else will say so.
            if !(is_full && added > 0 && everything_left) {
                return;
            }
        }
    }

    /// Takes what came from the socket.
    ///
    /// # Errors
    /// Why the connection ends.
    pub(super) fn take(&mut self, place: usize, bytes: &mut [u8], now: Instant) -> Result<(), Trouble> {
        match &self.slots[place].client {
            Some(client) if client.encryption.is_some() => self.decrypt(place, bytes, now),
            _ => self.take_clear(place, bytes, now),
        }
    }

    fn decrypt(&mut self, place: usize, mut bytes: &[u8], now: Instant) -> Result<(), Trouble> {
        let mut clear = Vec::new();
        while !bytes.is_empty()
            && let Some(client) = &mut self.slots[place].client
            && let Some(encryption) = &mut client.encryption
        {
            clear.clear();
            let taken = encryption
                .decrypt(bytes, &mut clear)
                .map_err(|error| tls::trouble(&error))?;
            if taken == 0 {
                break;
            }
            bytes = &bytes[taken..];
            if !clear.is_empty() {
                self.take_clear(place, &mut clear, now)?;
            }
        }
        Ok(())
    }

    fn take_clear(&mut self, place: usize, bytes: &mut [u8], now: Instant) -> Result<(), Trouble> {
        let Some(client) = &mut self.slots[place].client else {
            return Ok(());
        };
        if matches!(client.stage, Stage::Open(_)) {
            return self.receive(place, bytes, now);
        }
        let Some((agreed, mut behind)) = client.respond(bytes, &self.common, now)? else {
            return Ok(());
        };
        self.opened(place, agreed, now)?;
        self.receive(place, &mut behind, now)
    }

    fn opened(&mut self, place: usize, agreed: Negotiated, now: Instant) -> Result<(), Trouble> {
        let Self { slots, common, .. } = self;
        let slot = &mut slots[place];
        self.dials.done();
        common.tally.total.opened += 1;
        if let Some(client) = &slot.client {
            let at = common.clock.at(now);
            record(&mut common.tally.opening, client.begun, at);
            if S::CHURNS {
                common.tally.churned(client.begun, at, common.times);
            }
        }
        self.scenario
            .opened(&mut slot.peer, place, agreed.deflate)
            .map_err(|failure| Trouble::new(Kind::Protocol, failure.to_string()))?;
        common.agreed.get_or_insert_with(|| Agreed {
            subprotocol: agreed.subprotocol.map(|name| name.as_str().to_owned()),
            compression: agreed.deflate.is_some(),
        });
        Ok(())
    }

    fn receive(&mut self, place: usize, bytes: &mut [u8], now: Instant) -> Result<(), Trouble> {
        let Self { slots, common, .. } = self;
        let slot = &mut slots[place];
        let Some(client) = &mut slot.client else {
            return Ok(());
        };
        let at = common.clock.at(now);
        client.receive(bytes, &mut common.workspace, now, &mut common.owed, |message| {
            self.scenario
                .message(&mut slot.peer, message, at, &mut common.tally);
        })
    }
}
