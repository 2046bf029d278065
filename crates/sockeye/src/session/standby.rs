//! A driver that the application's own task runs while it waits for a message, with a task of its own standing by.
//!
//! A message then takes no hop from one task to another: it is read by the task that asked for it, and the answer is
//! written by the `send` that follows. Whatever else there is to do, the standby does.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use sockeye_proto::{Compress, Delivery};
use tokio::io::{AsyncRead, AsyncWrite};

use super::stream::Driver;
use super::{Incoming, Shared, Waits, register};
use crate::error::Error;

/// A driver that nobody runs at the moment.
pub(super) struct Parked {
    driver: Box<dyn Drive>,
    /// The session's own waker, which the transport and the timer are given whoever runs the driver.
    waker: Waker,
}

impl Parked {
    fn poll_drive(&mut self) -> Poll<()> {
        self.driver.poll_drive(&mut Context::from_waker(&self.waker))
    }
}

/// A driver of any transport.
trait Drive: Send {
    /// Does what there is to do; `Ready` when the connection has ended.
    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Drive for Driver<IO> {
    fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_turns(cx, |_| {})
    }
}

/// Something happened to the transport, or a deadline passed.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.rouse();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rouse();
    }
}

impl Shared {
    /// Keeps a driver for whoever has to run it.
    fn park(&self, parked: Parked) {
        *self.parked.lock().unwrap_or_else(PoisonError::into_inner) = Some(parked);
    }

    fn unpark(&self) -> Option<Parked> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Runs the driver on this thread. If another thread runs it, that one does what there is to do.
    fn drive(&self) {
        while let Some(mut parked) = self.unpark() {
            if parked.poll_drive().is_ready() || !self.put_back(parked) {
                return;
            }
        }
    }

    /// Keeps the driver after it has run; gives whether it has to run again.
    fn put_back(&self, parked: Parked) -> bool {
        self.park(parked);
        // Whoever came while the driver was out has left it to us.
        let (has_standby, go_on) = {
            let session = self.lock();
            let go_on = session.is_unattended() || session.has_missed_turn();
            (session.has_standby, go_on)
        };
        if !has_standby {
            drop(self.unpark());
        }
        go_on
    }

    /// Sends a message once there is room for it.
    ///
    /// The answer to the last message that was received is written at once. Other messages wait for the next turn of the
    /// driver, so that what is sent together leaves together.
    pub(crate) fn poll_send(
        &self,
        message: sockeye_proto::Message<'_>,
        compress: Compress,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut session = self.lock();
        std::task::ready!(session.poll_turn(cx))?;
        let at_once = std::mem::take(&mut session.answers) && session.inbox.is_empty() && !session.attended;
        if !at_once {
            return Poll::Ready(session.send(message, compress));
        }
        // Nobody has to be woken for what is done right here.
        session.attended = true;
        let sent = session.send(message, compress);
        session.attended = false;
        drop(session);
        self.drive();
        Poll::Ready(sent)
    }
}

/// Waits for the next message, chunk or frame; `None` after the last one.
///
/// Runs the driver when that has something to do, if it is one that stands by. When this is dropped before it is done,
/// the standby does.
pub(crate) struct Next<'a> {
    shared: &'a Shared,
    delivery: Option<Delivery>,
    waits: bool,
}

impl<'a> Next<'a> {
    /// Fails if the connection delivers something else than `delivery`.
    pub(crate) fn new(shared: &'a Shared, delivery: impl Into<Option<Delivery>>) -> Self {
        Self {
            shared,
            delivery: delivery.into(),
            waits: false,
        }
    }
}

impl Future for Next<'_> {
    type Output = Result<Option<Incoming>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.waits = false;
        let mut session = self.shared.lock();
        if let Some(delivery) = self.delivery {
            session.check_delivery(delivery)?;
        }
        let mut next = session.poll_incoming(cx);
        if next.is_pending() && session.has_standby {
            if session.is_unattended() {
                // It is looked at again right after the driver has run.
                session.waits = Waits::Joined;
                drop(session);
                self.shared.drive();
                session = self.shared.lock();
                next = session.poll_incoming(cx);
            }
            if next.is_pending() {
                session.waits = Waits::Driving;
                self.waits = true;
            }
        }
        if next.is_ready() && session.has_standby {
            session.answers = session.inbox.is_empty();
        }
        next.map(Option::transpose)
    }
}

impl Drop for Next<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.shared.lock().reader_gone();
        }
    }
}

/// A task that runs the driver of a session when nobody else does; ends with the connection.
///
/// When it is dropped before, the connection is.
pub(crate) struct Standby {
    shared: Arc<Shared>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static> Driver<IO> {
    /// Lets the application's task run this driver, with the future that is returned standing by.
    pub(crate) fn stand_by(mut self) -> Standby {
        // Here and now, in the runtime that the connection belongs to: who receives may be outside of any.
        self.arm_timer();
        let shared = self.shared().clone();
        shared.park(Parked {
            driver: Box::new(self),
            waker: shared.clone().into(),
        });
        {
            let mut session = shared.lock();
            session.has_standby = true;
            session.dirty = true;
        }
        Standby { shared }
    }
}

impl Future for Standby {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shared = &self.shared;
        let unattended = {
            let mut session = shared.lock();
            register(&mut session.driver, cx);
            session.is_summoned = false;
            session.is_unattended() || session.takes_turns()
        };
        if unattended {
            shared.drive();
        }
        if shared.lock().ended {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        self.shared.lock().has_standby = false;
        // Outside of the lock, which the driver takes when it is dropped.
        drop(self.shared.unpark());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::pin;

    use sockeye_proto::{Config, Connection};
    use tokio::io::ReadBuf;

    use super::*;
    use crate::metrics::SessionMetrics;
    use crate::session::QueueLimits;

    /// A transport that always has another Pong, and takes everything.
    struct Chatter;

    impl AsyncRead for Chatter {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            buf.put_slice(&[0x8A, 0]);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Chatter {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_standby_that_comes_before_the_driver_is_back_misses_no_turn() {
        let config = Arc::new(Config::client());
        let connection = Connection::client(config, Box::new(|| [1, 2, 3, 4]), None, crate::session::now());
        let shared = Shared::new(
            connection,
            QueueLimits::default(),
            Arc::new(SessionMetrics::new()),
        );
        let mut standby = pin!(Driver::new(Chatter, shared.clone(), Vec::new()).stand_by());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(standby.as_mut().poll(&mut cx).is_pending());

        // Another task runs the driver, which yields: the standby is woken, and goes on when the driver is back.
        let mut parked = shared.unpark().unwrap();
        assert!(parked.poll_drive().is_pending());
        assert!(!shared.put_back(parked));

        // On another thread the standby may be faster, and finds no driver. Nobody will wake it again.
        let mut parked = shared.unpark().unwrap();
        assert!(parked.poll_drive().is_pending());
        assert!(standby.as_mut().poll(&mut cx).is_pending());
        assert!(shared.put_back(parked));
    }
}
