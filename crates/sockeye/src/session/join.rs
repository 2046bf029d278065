//! A driver and the application's handler in one task: what arrives is handled, and answered, in the same turn,
//! without a hop from task to task.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use sockeye_proto::{CloseCode, CloseFrame};
use tokio::io::{AsyncRead, AsyncWrite};

use super::stream::{Driver, TURNS, Turn};
use crate::HandlerResult;

/// A handler at work.
pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = HandlerResult> + Send>>;

/// Runs a driver and a handler until both are done.
///
/// A handler that fails or panics closes its connection with 1011 and harms no other.
pub(crate) struct Joined<IO> {
    driver: Driver<IO>,
    driver_done: bool,
    handler: Option<HandlerFuture>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Joined<IO> {
    pub(crate) fn new(
        driver: Driver<IO>,
        handler: impl Future<Output = HandlerResult> + Send + 'static,
    ) -> Self {
        Self {
            driver,
            driver_done: false,
            handler: Some(Box::pin(handler)),
        }
    }

    fn poll_handler(&mut self, cx: &mut Context<'_>) {
        let Some(handler) = &mut self.handler else { return };
        match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(Ok(()))) => {}
            Ok(Poll::Ready(Err(error))) => {
                // The end of a connection that the handler passes on is everyday; anything else is its own.
                if error.is::<crate::Error>() {
                    tracing::debug!(%error, "handler ended with its connection");
                } else {
                    tracing::warn!(%error, "handler failed");
                }
                self.close_internal_error();
            }
            Err(panic) => {
                let message = panic
                    .downcast_ref::<&str>()
                    .copied()
                    .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                tracing::error!(message, "handler panicked");
                self.close_internal_error();
            }
        }
        // Dropping it may drop the last handle, which closes the connection unless that has begun.
        self.handler = None;
    }

    fn close_internal_error(&self) {
        self.driver
            .shared()
            .close(Some(CloseFrame::truncated(CloseCode::INTERNAL_ERROR, "")));
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for Joined<IO> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        for _ in 0..TURNS {
            let mut turn = Turn::Idle;
            if !this.driver_done {
                turn = this.driver.turn(cx);
                this.driver_done = turn == Turn::Ended;
            }
            this.poll_handler(cx);
            if this.driver_done {
                return if this.handler.is_none() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                };
            }
            if turn == Turn::Idle && !this.driver.shared().lock().dirty {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<IO> std::fmt::Debug for Joined<IO> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined").finish_non_exhaustive()
    }
}
