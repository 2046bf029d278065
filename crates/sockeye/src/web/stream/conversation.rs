//! The open connection between the handle, the readable and the writable.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use futures_core::Stream;
use sockeye_proto::{CloseCode, CloseFrame, Compress};

use super::error::{StreamError, WebSocketError};
use super::handle::{WebSocketCloseInfo, WebSocketOpenInfo};
use super::readable::WebSocketReadable;
use super::writable::WebSocketWritable;
use crate::error::Error;
use crate::message::{AsMessage, Message, Utf8Bytes};
use crate::session::{Incoming, Shared};
use crate::web::connection;
use crate::web::websocket::close_frame;
use crate::web::{DomException, core::End};
use crate::websocket::{Receiver, Sender, WebSocket};

/// How the connection ended: cleanly, or not.
pub(super) type Outcome = Result<WebSocketCloseInfo, WebSocketError>;

pub(super) struct Conversation {
    shared: Arc<Shared>,
    inbound: Mutex<Inbound>,
    /// Where the newest message ends in the output of the session.
    written: AtomicU64,
    /// The same of the newest one that was written while the connection was open.
    written_in_time: AtomicU64,
    outcome: OnceLock<Outcome>,
    /// Keeps the session from closing by itself.
    _sender: Sender,
}

/// What arrives.
struct Inbound {
    /// Takes it from the session, as long as somebody may want it.
    receiver: Option<Receiver>,
    /// What had arrived when this side began to close.
    kept: VecDeque<Message>,
    canceled: bool,
    reader: Option<Waker>,
}

impl Conversation {
    pub(super) fn new(ws: WebSocket) -> (Arc<Self>, WebSocketOpenInfo) {
        let shared = ws.shared();
        let extensions = ws.negotiated_extensions().into();
        let protocol = ws.subprotocol().unwrap_or_default().into();
        let (sender, receiver) = ws.split();
        let conversation = Arc::new(Self {
            shared,
            inbound: Mutex::new(Inbound {
                receiver: Some(receiver),
                kept: VecDeque::new(),
                canceled: false,
                reader: None,
            }),
            written: AtomicU64::new(0),
            written_in_time: AtomicU64::new(0),
            outcome: OnceLock::new(),
            _sender: sender,
        });
        let info = WebSocketOpenInfo {
            extensions,
            protocol,
            readable: WebSocketReadable::new(conversation.clone()),
            writable: WebSocketWritable::new(conversation.clone()),
        };
        (conversation, info)
    }

    fn inbound(&self) -> MutexGuard<'_, Inbound> {
        self.inbound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Reading

    /// Takes the next message: what arrived, then the end.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, StreamError>> {
        let mut inbound = self.inbound();
        if let Some(message) = inbound.kept.pop_front() {
            return Poll::Ready(Ok(Some(message)));
        }
        if inbound.canceled {
            return Poll::Ready(Ok(None));
        }
        if let Some(receiver) = &mut inbound.receiver {
            let received = std::pin::Pin::new(receiver).poll_next(cx);
            if received.is_pending() {
                inbound.reader = Some(cx.waker().clone());
            }
            if let Some(Ok(message)) = ready!(received) {
                return Poll::Ready(Ok(Some(message)));
            }
        }
        drop(inbound);
        // Nothing more arrives; how that is to be called is known when the connection has ended.
        Poll::Ready(match ready!(self.poll_ended(cx)) {
            Ok(_) => Ok(None),
            Err(error) => Err(error.clone().into()),
        })
    }

    /// Nobody wants what arrives: it is thrown away, so that the peer's Close frame is seen.
    pub(super) fn stop_reading(&self) {
        let mut inbound = self.inbound();
        inbound.kept = VecDeque::new();
        inbound.canceled = true;
        inbound.receiver = None;
        inbound.wake_reader();
    }

    // Writing

    /// Queues a message once there is room for it; gives where it ends.
    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        message: &(impl AsMessage + ?Sized),
    ) -> Poll<Result<u64, StreamError>> {
        // There is room for everything when the connection has ended: nothing is sent then.
        let _ = ready!(self.poll_room(cx));
        Poll::Ready(self.write(message))
    }

    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        let _ = ready!(self.shared.lock().poll_turn(cx));
        Poll::Ready(match self.outcome() {
            Some(_) => Err(self.refusal()),
            None => Ok(()),
        })
    }

    /// Queues a message; gives where it ends.
    pub(super) fn write(&self, message: &(impl AsMessage + ?Sized)) -> Result<u64, StreamError> {
        let mut session = self.shared.lock();
        let in_time = session.is_open();
        match session.send(message.as_message(), Compress::Auto) {
            Ok(()) => {
                let end = session.queued();
                self.written.store(end, Ordering::Relaxed);
                if in_time {
                    self.written_in_time.store(end, Ordering::Relaxed);
                }
                Ok(end)
            }
            Err(error) if error.is_closed() => {
                drop(session);
                Err(self.refusal())
            }
            Err(error) => Err(DomException::new(error.to_string(), "OperationError").into()),
        }
    }

    /// Waits until the network has a message that ends there.
    pub(super) fn poll_written(&self, end: u64, cx: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
        {
            let mut session = self.shared.lock();
            let sent = ready!(session.poll_flushed(end, cx)).is_ok();
            let in_time = end > self.written_in_time.load(Ordering::Relaxed)
                || session
                    .flushed_before_close()
                    .is_none_or(|flushed| end <= flushed);
            if sent && in_time {
                return Poll::Ready(Ok(()));
            }
        }
        // The peer did not take it: it had closed.
        ready!(self.poll_ended(cx)).clone()?;
        Poll::Ready(Err(self.refusal()))
    }

    /// Where the newest message ends.
    pub(super) fn newest(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Why nothing can be written any more.
    pub(super) fn refusal(&self) -> StreamError {
        match self.outcome() {
            Some(Err(error)) => error.clone().into(),
            Some(Ok(_)) => {
                StreamError::invalid_state("a WebSocketStream that is closed cannot be written to")
            }
            None => StreamError::invalid_state("a WebSocketStream that is closing cannot be written to"),
        }
    }

    // Closing

    /// Begins the closing handshake, unless it has begun.
    pub(super) fn close(&self, frame: Option<(CloseCode, Utf8Bytes)>) {
        let mut inbound = self.inbound();
        let mut session = self.shared.lock();
        if !session.is_open() {
            return;
        }
        // What arrived can still be read. What arrives from now on is dropped; it has to be read for that, or the
        // peer's Close frame would never be reached.
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(Ok(incoming))) = session.poll_incoming(&mut cx) {
            if let Incoming::Message(message) = incoming {
                inbound.kept.push_back(message);
            }
        }
        session.close(
            frame
                .as_ref()
                .map(|(code, reason)| CloseFrame::truncated(*code, reason)),
        );
        drop(session);
        inbound.receiver = None;
        inbound.wake_reader();
    }

    /// Closes with the code and the reason of a `WebSocketError` if a Close frame can carry them, and with an empty
    /// Close frame otherwise.
    pub(super) fn close_using_reason(&self, reason: Option<&StreamError>) {
        let close = reason
            .and_then(StreamError::as_websocket_error)
            .map(WebSocketError::close);
        let frame = close.and_then(|close| close_frame(close.close_code, close.given_reason()).ok());
        self.close(frame.flatten());
    }

    // The end

    pub(super) async fn ended(&self) -> &Outcome {
        loop {
            let _ = self.shared.ended().await;
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
        }
    }

    pub(super) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<&Outcome> {
        let end = ready!(self.shared.lock().poll_ended(cx));
        Poll::Ready(self.sum_up(end.err()))
    }

    /// How the connection ended; `None` before that.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        let end = self.shared.lock().outcome()?;
        Some(self.sum_up(end.err()))
    }

    /// The same for everybody who asks, also in what they cannot compare but by identity.
    fn sum_up(&self, error: Option<Error>) -> &Outcome {
        self.outcome.get_or_init(|| {
            let End { close, error, .. } = connection::ended(&self.shared, error);
            let info = WebSocketCloseInfo {
                close_code: Some(close.code),
                reason: close.reason,
            };
            if !close.was_clean {
                let message = "the connection was not closed cleanly";
                Err(WebSocketError::of(message, info, error))
            } else if !self.is_all_sent() {
                let message = "the connection was closed before everything was sent";
                Err(WebSocketError::of(message, info, error))
            } else {
                Ok(info)
            }
        })
    }

    /// Whether everything was sent, and in time: what waited when the peer's Close frame came is nothing that the peer
    /// takes note of.
    fn is_all_sent(&self) -> bool {
        let mut session = self.shared.lock();
        let written = self.written.load(Ordering::Relaxed);
        let mut cx = Context::from_waker(Waker::noop());
        let sent = matches!(session.poll_flushed(written, &mut cx), Poll::Ready(Ok(())));
        let in_time = self.written_in_time.load(Ordering::Relaxed);
        sent && session
            .flushed_before_close()
            .is_none_or(|flushed| in_time <= flushed)
    }
}

impl Inbound {
    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// The handle and both streams are gone: what was written is sent, then the connection is closed "with no status code
/// for the Close message".
impl Drop for Conversation {
    fn drop(&mut self) {
        self.shared.close(None);
    }
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(f)
    }
}
