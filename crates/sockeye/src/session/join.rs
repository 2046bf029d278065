//! A driver and the application's handler in one task: what arrives is handled, and answered, in the same turn,
//! without a hop from task to task.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use sockeye_proto::{CloseCode, CloseFrame};
use tokio::io::{AsyncRead, AsyncWrite};

use super::stream::Driver;
use super::{Shared, register};
use crate::HandlerResult;

/// A handler at work.
pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = HandlerResult> + Send>>;

/// Runs a driver and a handler until both are done.
///
/// A handler that fails or panics closes its connection with 1011 and harms no other.
pub(crate) struct Joined<IO> {
    shared: Arc<Shared>,
    /// Dropped, and the transport with it, as soon as the connection has ended.
    driver: Option<Driver<IO>>,
    handler: Option<HandlerFuture>,
    has_told: bool,
}

/// How far both are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// The connection has failed and the handler is done; the peer was told why, and is waited for to end the transport.
    Failed,
    /// Both are done.
    Over,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Joined<IO> {
    pub(crate) fn new(driver: Driver<IO>, handler: HandlerFuture) -> Self {
        Self {
            shared: driver.shared().clone(),
            driver: Some(driver),
            handler: Some(handler),
            has_told: false,
        }
    }

    /// Waits for the next stage. After [`Stage::Over`] there is none.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn next_stage(&mut self) -> Stage {
        poll_fn(|cx| {
            if Pin::new(&mut *self).poll(cx).is_ready() {
                return Poll::Ready(Stage::Over);
            }
            if self.has_told || self.handler.is_some() || self.shared.lock().failure().is_none() {
                return Poll::Pending;
            }
            self.has_told = true;
            Poll::Ready(Stage::Failed)
        })
        .await
    }
}

/// Runs the handler until it is done.
fn poll_handler(handler: &mut Option<HandlerFuture>, shared: &Shared, cx: &mut Context<'_>) {
    let Some(running) = handler else { return };
    let close = || shared.close(Some(CloseFrame::truncated(CloseCode::INTERNAL_ERROR, "")));
    match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx))) {
        Ok(Poll::Pending) => return,
        Ok(Poll::Ready(Ok(()))) => {}
        Ok(Poll::Ready(Err(error))) => {
            // The end of a connection that the handler passes on is everyday; anything else is its own.
            if error.is::<crate::Error>() {
                tracing::debug!(%error, "handler ended with its connection");
            } else {
                tracing::warn!(%error, "handler failed");
            }
            close();
        }
        Err(panic) => {
            let message = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            tracing::error!(message, "handler panicked");
            close();
        }
    }
    // Dropping it may drop the last handle, which closes the connection unless that has begun.
    *handler = None;
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for Joined<IO> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            shared,
            driver,
            handler,
            ..
        } = &mut *self;
        if let Some(running) = driver {
            {
                let mut session = shared.lock();
                session.is_summoned = false;
                register(&mut session.driver, cx);
            }
            ready!(running.poll_turns(cx, |cx| poll_handler(handler, shared, cx)));
            *driver = None;
        }
        poll_handler(handler, shared, cx);
        if handler.is_none() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl<IO> std::fmt::Debug for Joined<IO> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined").finish_non_exhaustive()
    }
}
