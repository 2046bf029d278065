//! How connections of the driver send, connect and close: by flights.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::Shutdown;

use super::super::{Key, Owner};
use super::driver::{Marks, Phase, Socket, Uring};
#[cfg(not(test))]
use super::flight::ALL;
use super::flight::{Closing, Number};
use super::token::Token;

impl Uring {
    /// Takes a flight to the air that is on the ground.
    pub(super) fn launch(&mut self, flight: Key, descriptor: RawFd) {
        #[cfg(test)]
        let limit = self.system.faults.launch(flight);
        #[cfg(not(test))]
        let limit = ALL;
        self.ring.launch(flight, descriptor, limit);
    }

    /// The flight of a socket, if it has one; whoever asks waits for its end.
    pub(super) fn awaited(&self, socket: &Socket) -> Option<Number> {
        let flight = socket.flight?;
        if self.ring.is_silent(flight) {
            self.hurries.set(true);
        }
        Some(flight)
    }

    /// Whether nothing more can be sent for now; whoever asks is told when it can.
    pub(super) fn is_sending(&self, socket: &Socket) -> bool {
        self.awaited(socket).is_some()
    }

    /// Ends the flights that were sent whole without a completion; gives how often the owner was told.
    pub(super) fn land_silent(&mut self, owner: &mut impl Owner<Self>) -> usize {
        let mut count = 0;
        let tells = self.hurries.get();
        self.hurries.set(tells && self.ring.has_silent());
        let mut sent = std::mem::take(&mut self.sent);
        for flight in sent.drain(..) {
            let Some(key) = self.ring.flights().get_mut(flight).map(|sent| sent.socket) else {
                continue;
            };
            if let Some(socket) = owner.socket(key) {
                self.landed(socket, flight);
                if tells {
                    owner.writable(self, key);
                    count += 1;
                }
            } else {
                self.end(flight);
            }
        }
        sent.shrink_to(Self::KEPT);
        self.sent = sent;
        count
    }

    /// Everything was sent.
    fn landed(&mut self, socket: &mut Socket, flight: Key) {
        socket.flight = None;
        self.end(flight);
        if socket.marks.set(Marks::SHUTS_DOWN, false) {
            shutdown(&socket.descriptor);
        }
    }

    pub(super) fn land(&mut self, flight: Key, outcome: Result<usize, Errno>, owner: &mut impl Owner<Self>) {
        let Some(landed) = self.ring.flights().get_mut(flight) else {
            return;
        };
        let key = landed.socket;
        #[cfg(test)]
        let outcome = self.system.faults.land(flight).map_or(outcome, Err);
        if landed.closing.is_some() {
            return self.land_closing(flight, outcome);
        }
        let connects = landed.connects();
        let Some(socket) = owner.socket(key) else {
            return self.end(flight);
        };
        if connects {
            socket.flight = None;
            self.end(flight);
            return match outcome {
                Ok(_) => {
                    socket.phase = Phase::Connected;
                    self.arm(socket);
                    owner.connected(self, key, Ok(()));
                }
                Err(error) => {
                    socket.phase = Phase::Lost;
                    owner.connected(self, key, Err(error.into()));
                }
            };
        }
        // There was no room at all.
        let outcome = if outcome == Err(Errno::AGAIN) {
            Ok(0)
        } else {
            outcome
        };
        match outcome {
            Ok(count) => {
                let (_, left) = self.ring.flights().advance(flight, count);
                if left > 0 {
                    self.launch(flight, socket.descriptor.as_raw_fd());
                } else {
                    self.landed(socket, flight);
                }
                owner.writable(self, key);
            }
            Err(Errno::INTR | Errno::NOMEM) => self.launch(flight, socket.descriptor.as_raw_fd()),
            Err(error) => {
                socket.flight = None;
                self.end(flight);
                if socket.phase != Phase::Lost {
                    socket.phase = Phase::Lost;
                    owner.failed(self, key, error.into());
                }
            }
        }
    }

    /// Goes on with sending for a socket that its owner has closed, as long as the system takes it without waiting.
    fn land_closing(&mut self, flight: Key, outcome: Result<usize, Errno>) {
        if let Ok(count) = outcome {
            let (offered, left) = self.ring.flights().advance(flight, count);
            if left > 0
                && count == offered
                && let Some(closing) = self.ring.flights().closing(flight)
                && !closing.is_reset
            {
                let descriptor = closing.descriptor.as_raw_fd();
                self.launch(flight, descriptor);
                return self.ring.cancel(Token::Flight(flight));
            }
        }
        self.end(flight);
    }

    fn end(&mut self, flight: Key) {
        let Some(ended) = self.ring.flights().end(flight) else {
            return;
        };
        self.spent.extend(ended.output);
        if let Some(closing) = ended.closing {
            self.ring.close(closing.descriptor);
        }
    }

    pub(super) fn give_up(&mut self, socket: Socket, is_reset: bool) {
        let Socket {
            descriptor,
            key,
            flight,
            marks,
            ..
        } = socket;
        if marks.has(Marks::ARMED) {
            self.ring.cancel(Token::Receive(key));
        }
        // A silent flight has ended by the time that what comes behind it in the queue begins.
        let Some(flight) = flight.filter(|&flight| !self.ring.is_silent(flight)) else {
            return self.ring.close(descriptor);
        };
        let flight = self.ring.flights().key_of(flight);
        self.ring
            .flights()
            .close(flight, Closing { descriptor, is_reset });
        // It is tried once, behind what was begun before; what cannot be sent without waiting is not sent.
        self.ring.cancel(Token::Flight(flight));
    }
}

/// Ends the sending direction.
pub(super) fn shutdown(socket: &OwnedFd) {
    // It fails when the connection is lost, of which another event tells.
    let _ = rustix::net::shutdown(socket, Shutdown::Write);
}
