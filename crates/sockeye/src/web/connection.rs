//! The connection behind a WebSocket: runs in parallel to scripts, and tells them what happens by tasks.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ::url::Url;

use super::core::{Core, End, GivingUp, Outgoing};
use super::data::Data;
use super::event::CloseEventInit;
use super::url;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::message::{Message, Utf8Bytes};
use crate::session::Shared;
use crate::websocket::{Sender, WebSocket};
use sockeye_proto::{CloseCode, Timeout};

/// Opens the connection and carries messages both ways until it has ended.
pub(super) async fn run(core: Arc<Core>, client: Result<Client>) {
    let end = match open(&core, client).await {
        Ok(ws) => converse(&core, ws).await,
        Err(error) => End::failed(error),
    };
    core.closed(end);
}

async fn open(core: &Core, client: Result<Client>) -> Result<WebSocket> {
    tokio::select! {
        biased;
        giving_up = core.given_up() => Err(giving_up.error),
        opened = dial(&core.url, client) => opened,
    }
}

/// "Establish a WebSocket connection" (WebSockets Standard §4).
pub(super) async fn dial(url: &Url, client: Result<Client>) -> Result<WebSocket> {
    if url::is_blocked(url) {
        return Err(Error::config("connections to this port are blocked"));
    }
    client?.connect(url.as_str()).await
}

async fn converse(core: &Arc<Core>, mut ws: WebSocket) -> End {
    let (sender, shared) = (ws.sender(), ws.shared());
    let text = |text: &str| Utf8Bytes::from(text);
    core.established(
        text(ws.subprotocol().unwrap_or_default()),
        text(ws.negotiated_extensions()),
    );
    let mut leaving = Leaving {
        core,
        shared: &shared,
        messages: VecDeque::new(),
    };
    let outcome = tokio::select! {
        biased;
        giving_up = core.given_up() => Err(giving_up),
        end = receive(core, &mut ws, &shared) => Ok(end),
        never = send(&mut leaving, &sender) => match never {},
    };
    // What still comes is of no interest: RFC 6455 §7.1.7 forbids to process it.
    drop(ws);
    let end = match outcome {
        Ok(end) => end,
        Err(giving_up) => fail(core, &sender, giving_up).await,
    };
    leaving.settle();
    end
}

/// "_Fail the WebSocket Connection_" (RFC 6455 §7.1.7).
async fn fail(core: &Arc<Core>, sender: &Sender, giving_up: GivingUp) -> End {
    match giving_up.close {
        Some(code) => {
            core.closing();
            // The reason is empty, so it is not too long.
            let _ = sender.start_close(code, "");
        }
        None => sender.abort(),
    }
    let _ = sender.closed().await;
    End::failed(giving_up.error)
}

/// Hands out what is received, until the connection has ended.
async fn receive(core: &Arc<Core>, ws: &mut WebSocket, shared: &Shared) -> End {
    let mut closing = false;
    loop {
        core.room().await;
        if is_drained(shared) {
            if !std::mem::replace(&mut closing, true) {
                core.closing();
            }
            // To ask for more means that there are no answers to come, and the Close frame that is owed leaves.
            core.settled().await;
        }
        tokio::select! {
            biased;
            received = ws.recv() => match received {
                Ok(Some(message)) => core.message(message),
                // The failure is told again by the end.
                Ok(None) | Err(_) => break,
            },
            () = poll_fn(|cx| shared.lock().poll_closing(cx)), if !closing => {}
        }
    }
    if !closing {
        core.closing();
    }
    match shared.ended().await {
        Ok(_) => ended(shared, None),
        Err(error) => ended(shared, Some(error)),
    }
}

/// Whether the connection is closing, and everything that came before was taken.
fn is_drained(shared: &Shared) -> bool {
    let session = shared.lock();
    !session.is_open() && !session.has_incoming()
}

/// What scripts learn of the end.
pub(super) fn ended(shared: &Shared, error: Option<Error>) -> End {
    // The connection was failed, and the peer told why: its answer, if any, is not to be processed.
    if let Some(error) = &error
        && error.close_code().is_some()
    {
        return End::failed(error.clone());
    }
    let info = shared.lock().close_info();
    End {
        close: CloseEventInit {
            was_clean: info.clean,
            code: info.code,
            reason: info.reason,
        },
        // A transport that is lost is a failure: RFC 6455 §7.2.1, "the client MUST _Fail the WebSocket Connection_".
        // A peer that does not finish the closing handshake in time is left alone, which is none.
        failed: error.as_ref().is_some_and(|error| !is_late_close(error)),
        error,
    }
}

fn is_late_close(error: &Error) -> bool {
    matches!(
        error.protocol(),
        Some(sockeye_proto::Error::Timeout(Timeout::Close(_)))
    )
}

/// Sends what the WebSocket was given, in its order, and follows how much of it has left.
async fn send(leaving: &mut Leaving<'_>, sender: &Sender) -> Infallible {
    let (core, shared) = (leaving.core, leaving.shared);
    loop {
        match leaving.during(core.next_outgoing()).await {
            Outgoing::Data(data) => {
                let length = data.len();
                let message = match data {
                    Data::Text(text) => Message::Text(text),
                    Data::Bytes(bytes) => Message::Binary(bytes),
                    Data::Blob(blob) => match leaving.during(blob.read()).await {
                        Ok(bytes) => Message::Binary(bytes),
                        Err(error) => {
                            core.give_up(Error::other(error), Some(CloseCode::INTERNAL_ERROR));
                            return pending().await;
                        }
                    },
                };
                // Once the connection is closing nothing is sent, and what was not counts as buffered for ever.
                if leaving.during(sender.send(message)).await.is_ok() {
                    let end = shared.lock().queued();
                    leaving.messages.push_back((end, length));
                }
            }
            Outgoing::Close(frame) => match frame {
                // The length of the reason was checked by `close`.
                Some((code, reason)) => drop(sender.start_close(code, &reason)),
                None => shared.close(None),
            },
        }
        core.sent();
    }
}

/// Messages that are on their way to the network.
struct Leaving<'a> {
    core: &'a Arc<Core>,
    shared: &'a Shared,
    /// Where each ends in the output of the session, and the length of its payload.
    messages: VecDeque<(u64, u64)>,
}

impl Leaving<'_> {
    /// Does `work`, and reports what leaves meanwhile.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let left = poll_fn(|cx| self.poll_left(cx));
            tokio::select! {
                biased;
                length = left => self.core.transmitted(length),
                done = &mut work => return done,
            }
        }
    }

    /// Reports what had left when the connection ended.
    fn settle(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(length) = self.poll_left(&mut cx) {
            self.core.transmitted(length);
        }
    }

    /// Waits until the network has the oldest message; for ever if there is none, or it never will. Gives the message's
    /// length.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<u64> {
        let Some(&(end, length)) = self.messages.front() else {
            return Poll::Pending;
        };
        match self.shared.lock().poll_flushed(end, cx) {
            Poll::Ready(Ok(())) => {
                self.messages.pop_front();
                Poll::Ready(length)
            }
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}
