//! The way in: what happens on a connection until its first request is answered or handed on.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use sockeye_proto::handshake::server::RequestReader;

use super::bell::WorkerBell;
use super::desk::Desk;
use super::news::News;
use super::owner::{Connections, LINGER};
use super::pipe::pipe;
use super::piped::Piped;
use super::session::{Extra, Open};
use super::slot::{Phase, Slot};
use super::tls::Tls;
use crate::BoxError;
use crate::driver::{Driver, Key, Owner};
use crate::server::{Address, Admitted, Decision, Guest, Place, Reception};
#[cfg(feature = "tls")]
use crate::tls::TlsInfo;

/// A connection whose first request is not there yet.
#[derive(Debug)]
pub(crate) struct Door {
    guest: Guest,
    /// The part of a header of the PROXY protocol that came, until it is whole.
    pub(super) introduction: Option<Vec<u8>>,
    reader: RequestReader,
    /// The part of the head that came.
    head: Vec<u8>,
    /// When the request is to be there.
    deadline: Instant,
    /// When TLS is to be open, until it is.
    tls_deadline: Option<Instant>,
}

impl Door {
    fn new(guest: Guest, reception: &Reception, now: Instant) -> Box<Self> {
        Box::new(Self {
            introduction: reception.expects_introduction(&guest).then(Vec::new),
            guest,
            reader: RequestReader::new(reception.head_limits()),
            head: Vec::new(),
            deadline: now + reception.timeout(),
            tls_deadline: reception.tls_timeout().map(|timeout| now + timeout),
        })
    }

    pub(super) fn deadline(&self) -> Instant {
        let tls = self.tls_deadline.unwrap_or(self.deadline);
        tls.min(self.deadline)
    }

    /// The TLS handshake is done.
    #[cfg(feature = "tls")]
    pub(super) fn secured(&mut self, info: TlsInfo) {
        self.guest.secured(info);
        self.tls_deadline = None;
    }

    /// Whether nothing has come yet.
    pub(super) fn is_idle(&self) -> bool {
        self.head.is_empty()
    }
}

impl<D: Driver> Connections<D> {
    /// Takes over a connection that was accepted, if the server lets it in.
    pub(super) fn let_in(&mut self, driver: &mut D, socket: OwnedFd, local: &Address) {
        let Some(key) = self.slots.next_key() else {
            tracing::error!("a worker has more connections than it can number");
            return;
        };
        let now = self.common.now;
        let (place, guest) = match self.reception.admit(socket.as_fd(), local, now) {
            Ok(admitted) => admitted,
            Err(last_words) => {
                // Whatever does not fit is lost.
                let _ = rustix::net::send(&socket, last_words, rustix::net::SendFlags::NOSIGNAL);
                return;
            }
        };
        let socket = match driver.add(socket, key) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(%error, "an accepted connection could not be taken over");
                return self.reception.leave(place);
            }
        };
        let tls = match self.tls() {
            Ok(tls) => tls,
            Err(error) => {
                tracing::error!(%error, "TLS cannot begin");
                driver.close(socket);
                return self.reception.leave(place);
            }
        };
        let door = Door::new(guest, &self.reception, now);
        self.wheel.arm(key.index(), door.deadline());
        self.slots
            .insert(key, Slot::new(socket, tls, Some(place), Phase::Door(door)));
    }

    /// Goes on with a connection that begins with a header of the PROXY protocol.
    pub(super) fn introduced(&mut self, driver: &mut D, key: Key, bytes: &[u8]) {
        let Some(Slot {
            place: Some(place),
            phase: Phase::Door(door),
            out,
            ..
        }) = self.slots.get_mut(key)
        else {
            return;
        };
        let Some(mut received) = door.introduction.take() else {
            return;
        };
        received.extend_from_slice(bytes);
        match self.reception.introduce(place, &mut door.guest, &received) {
            Ok(None) => door.introduction = Some(received),
            Ok(Some(consumed)) if consumed < received.len() => {
                self.received(driver, key, &mut received[consumed..]);
            }
            Ok(Some(_)) => {}
            Err(b"") => self.remove(driver, key, false),
            Err(last_words) => {
                let output = out.open(&mut self.common.pool);
                output.tail().extend_from_slice(last_words);
                self.turn_away(driver, key);
            }
        }
    }

    /// Lets the last words to a connection at the door leave. The peer is to end it then; it has no more time for that than
    /// it would have had for its handshake.
    pub(super) fn turn_away(&mut self, driver: &mut D, key: Key) {
        let latest = self.common.now + LINGER;
        let deadline = match self.slots.get_mut(key).map(|slot| &slot.phase) {
            Some(Phase::Door(door)) => door.deadline().min(latest),
            _ => latest,
        };
        self.end(driver, key, true, deadline);
    }

    /// The TLS of a new connection.
    fn tls(&self) -> Result<Tls, BoxError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = self.reception.tls() {
            return Ok(Tls::new(&tls.config())?);
        }
        Ok(Tls::none())
    }

    /// The TLS handshake of a connection at the door failed.
    #[cfg(feature = "tls")]
    pub(super) fn insecure(&mut self, key: Key) {
        if let Some(slot) = self.slots.get_mut(key)
            && let Phase::Door(door) = &slot.phase
            && door.tls_deadline.is_some()
        {
            self.reception.insecure(&door.guest);
        }
    }

    /// Goes on with a connection at the door.
    pub(super) fn at_the_door(&mut self, driver: &mut D, key: Key, bytes: &mut [u8]) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Slot {
            place: Some(place),
            phase: Phase::Door(door),
            ..
        } = slot
        else {
            return;
        };
        // Nearly always the whole head comes at once, and need not be kept.
        let is_gathered = !door.head.is_empty();
        if is_gathered {
            door.head.extend_from_slice(bytes);
        }
        let received: &[u8] = if is_gathered { &door.head } else { bytes };
        let (decision, consumed) = match door.reader.read(received) {
            Ok(None) => {
                if !is_gathered {
                    door.head.extend_from_slice(bytes);
                }
                return;
            }
            Ok(Some(head)) => {
                let decision = self
                    .reception
                    .decide(place, &door.guest, head.request, &mut self.routes);
                (decision, head.len)
            }
            // What is wrong with it, the task can tell.
            Err(_) => (Decision::Task(0), 0),
        };
        match decision {
            Decision::Task(passed) => {
                let head = if is_gathered {
                    std::mem::take(&mut door.head)
                } else {
                    bytes.to_vec()
                };
                self.hand_on(driver, key, &head, passed);
            }
            Decision::Turn(answer) => {
                let output = slot.out.open(&mut self.common.pool);
                output.tail().extend_from_slice(&answer);
                self.turn_away(driver, key);
            }
            Decision::Open(admitted) => {
                let mut leftover = if is_gathered {
                    door.head.split_off(consumed)
                } else {
                    Vec::new()
                };
                let leftover = if is_gathered {
                    &mut leftover[..]
                } else {
                    &mut bytes[consumed..]
                };
                self.open(driver, key, *admitted, leftover);
            }
        }
    }

    /// Has a task see to a connection.
    fn hand_on(&mut self, driver: &mut D, key: Key, head: &[u8], passed: usize) {
        self.wheel.disarm(key.index());
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Some(place) = slot.place.take() else {
            return;
        };
        // The place of a phase is never empty: nothing looks at this one.
        let door = std::mem::replace(&mut slot.phase, Phase::gone());
        let Phase::Door(door) = door else {
            return;
        };
        let piped = self.serve(key, place, door.guest, passed);
        if let Some(slot) = self.slots.get_mut(key) {
            slot.phase = piped;
        }
        self.piped_received(driver, key, head);
    }

    /// Starts the task of a connection.
    fn serve(&self, key: Key, place: Place, guest: Guest, passed: usize) -> Phase {
        let bell = Arc::new(WorkerBell(Arc::clone(&self.common.mailbox)));
        let (pipe, end) = pipe(bell, key);
        let desk = Desk::new(Arc::clone(&self.common.mailbox), key);
        self.reception.serve(place, guest, pipe, desk, passed);
        Phase::Piped(Box::new(Piped::new(end)))
    }

    /// Opens a WebSocket that was agreed on.
    pub(super) fn open(&mut self, driver: &mut D, key: Key, admitted: Admitted, leftover: &mut [u8]) {
        let now = self.common.now;
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Admitted {
            accepted,
            seat,
            peer,
            response,
            ..
        } = admitted;
        let of_route = self.routes.get_mut(seat.route).map(|route| &route.queues);
        let share = slot.place.as_ref().map_or(0.0, Place::share);
        let connection = accepted.settings.connection(accepted.deflate, share, now);
        let queues = Some(accepted.settings.queues).filter(|own| Some(own) != of_route);
        let extra = Extra {
            subprotocol: accepted.agreement.subprotocol.and_then(|name| name.parse().ok()),
            peer,
            queues,
            ..Extra::default()
        };
        if !response.is_empty() {
            let output = slot.out.open(&mut self.common.pool);
            output.tail().extend_from_slice(&response);
        }
        slot.phase = Phase::Open(Open::new(connection, seat, extra));
        self.common.metrics.opened();
        self.news(driver, key, News::Opened);
        if !leftover.is_empty() {
            self.news(driver, key, News::Received(leftover));
        }
        self.rearm(key);
    }

    /// The first request did not come in time.
    pub(super) fn overdue(&mut self, driver: &mut D, key: Key) {
        if let Some(slot) = self.slots.get_mut(key)
            && let Phase::Door(door) = &slot.phase
        {
            self.reception.overdue(&door.guest);
            self.remove(driver, key, false);
        }
    }
}
