//! What happens to an open WebSocket, and what follows from it.

use sockeye_proto::{CloseFrame, Compress, State};

use super::Sent;
use super::ending::io_error;
use super::mailbox::Order;
use super::open::Telling;
use super::owner::Connections;
use super::route::Entry;
use super::session::Lent;
use super::slot::{Phase, Slot};
use super::wire::{Line, Wire};
use crate::Error;
use crate::driver::{Driver, Key};
use crate::hub::Dropped;
use crate::message::AsMessage;
use crate::server::Place;

/// What happened to an open WebSocket.
pub(super) enum News<'n> {
    /// The peer was too far behind for this, which may have been published.
    Dropped(Dropped),
    Opened,
    Received(&'n mut [u8]),
    /// So many bytes were received where the message in progress is gathered.
    ReceivedInPlace(usize),
    Ended,
    Lost(Error),
    /// The clock has reached a deadline.
    Timeout,
    Order(Order),
    /// The system may take more.
    Writable,
    /// The peer has taken what waited, or most of it.
    CaughtUp,
}

impl<D: Driver> Connections<D> {
    /// Tells an open WebSocket what happened, and does what follows from it.
    #[inline]
    pub(super) fn news(&mut self, driver: &mut D, key: Key, news: News<'_>) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Slot {
            socket,
            tls,
            out,
            flags,
            phase: Phase::Open(open),
            ..
        } = slot
        else {
            return;
        };
        let (route, seat) = (open.seat.route, open.seat.number);
        let Some(route) = self.routes.get_mut(route) else {
            return;
        };
        let mut wire = Line { driver, socket, tls };
        let ahead = wire.in_flight();
        let mut telling = Telling {
            lent: Lent {
                key,
                open,
                out,
                flags,
                queues: &route.queues,
                common: &mut self.common,
                wire: &mut wire,
                ahead,
            },
            seats: &mut *route.seats,
            seat,
        };
        match news {
            News::Received(bytes) => telling.receive(bytes, &mut self.workspace),
            News::ReceivedInPlace(count) => telling.receive_in_place(count, &mut self.workspace),
            news => telling.hear(news),
        }
        if !telling.lent.common.changes.is_empty() {
            telling.subscriptions_changed();
        }
        let needs_care = telling.needs_care();
        if needs_care {
            telling.settle();
        }
        let ahead = telling.lent.ahead;
        if needs_care {
            self.tell_closed(key);
        }
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if slot.flags.is_full {
            // A callback that sent much may have filled the system: from now on the peer has its time.
            if slot.stalled.is_none() && slot.has_output() {
                self.stalled(key);
            }
        } else if slot.has_output() {
            match slot.send(driver, &mut self.common.pool) {
                Ok(()) if slot.has_output() => self.stalled(key),
                Ok(()) => self.given(driver, key),
                Err(error) => return self.lost(driver, key, io_error(error)),
            }
        } else if slot.stalled.is_none() && ahead > 0 {
            // A callback has sent so much that it was given to the driver already.
            self.given(driver, key);
        }
        if needs_care {
            self.follow_up(driver, key);
        }
    }

    /// Does something with an open WebSocket beside its handler.
    pub(super) fn with_open(
        &mut self,
        driver: &mut D,
        key: Key,
        act: impl FnOnce(&mut Lent<'_>, &Place, &Entry),
    ) {
        let Some(Slot {
            socket,
            tls,
            out,
            flags,
            place: Some(place),
            phase: Phase::Open(open),
            ..
        }) = self.slots.get_mut(key)
        else {
            return;
        };
        let Some(route) = self.routes.get_mut(open.seat.route) else {
            return;
        };
        let mut wire = Line { driver, socket, tls };
        let ahead = wire.in_flight();
        let mut lent = Lent {
            key,
            open,
            out,
            flags,
            queues: &route.queues,
            common: &mut self.common,
            ahead,
            wire: &mut wire,
        };
        act(&mut lent, place, route);
    }

    /// Tells the server of a WebSocket that has closed.
    #[inline(never)]
    fn tell_closed(&mut self, key: Key) {
        if let Some(closed) = self.common.closed.take()
            && let Some(Slot {
                place: Some(place), ..
            }) = self.slots.get_mut(key)
        {
            self.reception
                .closed(place, closed.code, &closed.info, closed.failure.as_ref());
        }
    }
}

impl Telling<'_> {
    /// Whether there is more to do than to send what waits.
    #[inline]
    fn needs_care(&self) -> bool {
        let flags = &*self.lent.flags;
        let connection = &self.lent.open.connection;
        flags.wants_care() || connection.has_output() || connection.state() != State::Open
    }

    /// All news but those of every day.
    #[inline(never)]
    fn hear(&mut self, news: News<'_>) {
        match news {
            News::Received(_) | News::ReceivedInPlace(_) | News::Writable => {}
            News::Opened => self.opened(),
            News::Ended => self.ended(),
            News::Lost(error) => self.lost(error),
            News::Timeout => self.timed_out(),
            News::Order(order) => self.order(order),
            News::Dropped(Dropped { message, topic, .. }) => {
                self.lent.flags.is_behind = true;
                self.dropped(message.message(), topic.as_deref());
            }
            News::CaughtUp => {
                self.lent.flags.is_behind = false;
                self.drained();
            }
        }
    }

    fn order(&mut self, order: Order) {
        let lent = &mut self.lent;
        match order {
            Order::Send(message, compress, waiting) => {
                // It waits elsewhere from here on.
                drop(waiting);
                let message = message.as_message();
                if lent.send(message, compress) == Sent::Dropped && !lent.flags.is_over {
                    self.dropped(message, None);
                }
            }
            Order::SendPrepared(prepared, waiting) => {
                drop(waiting);
                let sent = lent.send_prepared(&prepared, Compress::Auto);
                if sent == Sent::Dropped && !lent.flags.is_over {
                    self.dropped(prepared.message(), None);
                }
            }
            Order::Ping(payload, waiting) => {
                drop(waiting);
                if let Err(error) = lent.control(|connection, tail| connection.ping(&payload, tail)) {
                    tracing::debug!(%error, "a Ping could not be sent");
                }
            }
            Order::Close(frame) => {
                let frame = frame.as_ref();
                lent.close(frame.map(|(code, reason)| CloseFrame::truncated(*code, reason)));
            }
            Order::CloseAfterFlush(code, reason) => lent.hang_up(CloseFrame::truncated(code, &reason)),
            Order::Abort => lent.abort(),
            Order::Receive(identity) => match identity.take_receiving() {
                Some(true) => lent.resume(),
                Some(false) => {
                    if let Err(error) = lent.pause() {
                        self.lost(io_error(error));
                    }
                }
                None => {}
            },
            Order::Subscribe {
                topic,
                history,
                reply,
                waiting,
            } => {
                drop(waiting);
                // Who asked may not want to know.
                let _ = reply.send(lent.subscribe(&topic, history));
            }
            Order::Unsubscribe(topic, waiting) => {
                drop(waiting);
                lent.unsubscribe(&topic);
            }
            Order::Publish(post) => lent.publish_post(*post),
            Order::Topics(reply, waiting) => {
                drop(waiting);
                let _ = reply.send(lent.topics().cloned().collect());
            }
        }
    }
}
