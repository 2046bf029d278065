//! Connections that are opened and reset at once.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use mio::{Events, Poll, Token};

use super::link::{Opening, PATIENCE, Target, Transport};
use super::{Load, Tally};

/// So many opening handshakes at a time, one after the other.
#[derive(Debug)]
pub(crate) struct Handshakes {
    poll: Poll,
    events: Events,
    target: Target,
    slots: Vec<Slot>,
    /// How many were begun, which decides the source address.
    begun: usize,
}

#[derive(Debug)]
struct Slot {
    transport: Transport,
    opening: Opening,
    since: Instant,
}

impl Handshakes {
    /// Begins the first ones.
    pub(crate) fn open(target: &Target, concurrent: usize) -> Result<Self> {
        let mut this = Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            target: target.clone(),
            slots: Vec::with_capacity(concurrent),
            begun: 0,
        };
        for n in 0..concurrent {
            let slot = this.begin(n)?;
            this.slots.push(slot);
        }
        Ok(this)
    }

    fn begin(&mut self, n: usize) -> Result<Slot> {
        let mut transport = Transport::start(&self.target, self.begun)?;
        transport.register(self.poll.registry(), Token(n))?;
        self.begun += 1;
        Ok(Slot {
            transport,
            opening: Opening::new(&self.target, contract::ECHO),
            since: Instant::now(),
        })
    }
}

impl Load for Handshakes {
    fn run_until(&mut self, end: Instant, tally: &mut Tally) -> Result<()> {
        while Instant::now() < end {
            self.poll.poll(&mut self.events, Some(PATIENCE))?;
            ensure!(!self.events.is_empty(), "no handshake goes on for {PATIENCE:?}");
            let mut done = Vec::new();
            for event in &self.events {
                let n = event.token().0;
                let slot = &mut self.slots[n];
                let open = slot
                    .opening
                    .turn(&mut slot.transport, self.target.compression)
                    .context("opening handshake")?;
                // A socket that closed is still in this turn's events once at most, and then it is another one's turn.
                if open && !done.contains(&n) {
                    tally.add(slot.since.elapsed());
                    done.push(n);
                }
            }
            for n in done {
                self.slots[n] = self.begin(n)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.slots.clear();
        Ok(())
    }
}
