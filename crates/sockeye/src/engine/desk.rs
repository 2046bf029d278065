//! Where the tasks of a worker have its handlers with callbacks asked about requests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::mailbox::{Letter, Mailbox};
use super::route::{AnyHandler, Routes, Seat};
use crate::driver::Key;
use crate::server::{Accept, Callbacks, Decline, Endpoint, Rejection, UpgradeRequest};

/// The way to the handlers for one connection.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    mailbox: Arc<Mailbox>,
    connection: Key,
}

/// What a handler is asked, and who wants to know.
pub(crate) struct Question {
    endpoint: Arc<Endpoint>,
    handler: Arc<dyn AnyHandler>,
    request: UpgradeRequest,
    reply: oneshot::Sender<Answer>,
}

/// What a handler says: its terms, and where the data of the WebSocket to be lies.
type Answer = Result<(Accept, Seat), Decline>;

impl Desk {
    pub(super) fn new(mailbox: Arc<Mailbox>, connection: Key) -> Self {
        Self { mailbox, connection }
    }

    /// Asks a handler about a request.
    pub(crate) async fn upgrade(
        &self,
        endpoint: &Arc<Endpoint>,
        handler: &Arc<dyn AnyHandler>,
        request: &UpgradeRequest,
    ) -> Answer {
        let (reply, answer) = oneshot::channel();
        let question = Question {
            endpoint: Arc::clone(endpoint),
            handler: Arc::clone(handler),
            request: request.clone(),
            reply,
        };
        self.mailbox
            .post(Letter::Ask(self.connection, Box::new(question)));
        // Nobody answers when the connection is gone, or the worker.
        let gone = |_| Err(Rejection::unavailable("The connection is lost.").into());
        answer.await.unwrap_or_else(gone)
    }
}

impl Question {
    /// Asks the handler, and gives its seat if there is still somebody who waits for one.
    pub(super) fn answer(self, routes: &mut Routes) -> Option<Seat> {
        let answer = routes.upgrade(&self.endpoint, &self.handler, &self.request);
        let seat = answer.as_ref().ok().map(|(_, seat)| *seat);
        let Err(answer) = self.reply.send(answer) else {
            return seat;
        };
        if let Ok((_, seat)) = answer {
            routes.leave(seat);
        }
        None
    }
}

impl Callbacks for Routes {
    fn upgrade(
        &mut self,
        endpoint: &Arc<Endpoint>,
        handler: &Arc<dyn AnyHandler>,
        request: &UpgradeRequest,
    ) -> Answer {
        let route = self.number(endpoint, handler);
        let Some(entry) = self.get_mut(route) else {
            return Err(Rejection::internal_error("").into());
        };
        let upgrade = AssertUnwindSafe(|| entry.seats.upgrade(request));
        let (accept, number) = catch_unwind(upgrade).unwrap_or_else(|_| {
            tracing::error!(path = request.path(), "a handler panicked in `upgrade`");
            let text = "The server made a mistake; its log says which.";
            Err(Rejection::internal_error(text).into())
        })?;
        Ok((accept, Seat { route, number }))
    }

    fn leave(&mut self, seat: Seat) {
        if let Some(entry) = self.get_mut(seat.route) {
            let leave = AssertUnwindSafe(|| entry.seats.leave(seat.number));
            if catch_unwind(leave).is_err() {
                tracing::error!("the data of a WebSocket panicked as it was dropped");
            }
        }
    }
}

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}
