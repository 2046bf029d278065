//! What the handles ask of a session: to send, to receive, to close, to wait.

use std::task::{Context, Poll, Waker};

use sockeye_proto::{CloseFrame, Compress, Connection, Delivery, MessageKind, SendError, State};

use super::inbox::Incoming;
use super::{CloseInfo, Session, Waits, buffers, now, register};
use crate::error::{Error, Kind};
use crate::message::Utf8Bytes;

impl Session {
    /// Runs `command`, which appends to the queue, once there is room in it.
    pub(crate) fn poll_command(
        &mut self,
        cx: &mut Context<'_>,
        command: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Poll<Result<(), Error>> {
        std::task::ready!(self.poll_room(cx))?;
        Poll::Ready(self.command(command))
    }

    /// Waits for room in the queue.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.ended || self.buffered_amount() < self.limits.send {
            return Poll::Ready(Ok(()));
        }
        self.wait_to_write(cx);
        Poll::Pending
    }

    /// Waits for room in the queue, and for the end of a message that is being written piece by piece.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.is_writing && !self.ended {
            self.wait_to_write(cx);
            return Poll::Pending;
        }
        self.poll_room(cx)
    }

    /// Keeps other senders of messages out; waits until no other does.
    pub(crate) fn poll_begin_writing(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        std::task::ready!(self.poll_turn(cx))?;
        if self.connection.is_sending_fragments() {
            return Poll::Ready(Err(SendError::FragmentInProgress.into()));
        }
        self.check_open()?;
        self.is_writing = true;
        Poll::Ready(Ok(()))
    }

    /// Lets other senders of messages in again.
    pub(crate) fn end_writing(&mut self) {
        self.is_writing = false;
        self.wake_writers();
    }

    /// Runs `command` whether or not there is room.
    pub(crate) fn command(
        &mut self,
        command: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        self.check_open()?;
        if self.queue.capacity() == 0 {
            self.queue = buffers::take_output();
        }
        command(&mut self.connection, &mut self.queue)?;
        self.wake_driver();
        Ok(())
    }

    pub(super) fn check_open(&self) -> Result<(), Error> {
        if self.ended {
            Err(SendError::Closed.into())
        } else {
            Ok(())
        }
    }

    pub(crate) fn has_turn(&self) -> bool {
        !self.is_writing && self.buffered_amount() < self.limits.send
    }

    pub(crate) fn send(
        &mut self,
        message: sockeye_proto::Message<'_>,
        compress: Compress,
    ) -> Result<(), Error> {
        self.command(|connection, queue| connection.send_with(message, compress, queue))?;
        self.metrics.sent(message.kind(), message.as_bytes().len());
        Ok(())
    }

    pub(crate) fn send_fragment(
        &mut self,
        fragment: sockeye_proto::Message<'_>,
        fin: bool,
    ) -> Result<(), Error> {
        self.command(|connection, queue| connection.send_fragment(fragment, fin, Compress::Auto, queue))?;
        self.metrics
            .sent_piece(fragment.kind(), fragment.as_bytes().len(), fin);
        Ok(())
    }

    pub(crate) fn send_frame(
        &mut self,
        frame: sockeye_proto::Frame<'_>,
        compress: Compress,
    ) -> Result<(), Error> {
        self.command(|connection, queue| connection.send_frame(frame, compress, now(), queue))?;
        if self.connection.state() != State::Open {
            self.release();
        }
        Ok(())
    }

    /// Sends the next fragment of a message of this kind.
    pub(crate) fn send_piece(
        &mut self,
        kind: MessageKind,
        piece: sockeye_proto::Frame<'_>,
        compress: Compress,
    ) -> Result<(), Error> {
        self.send_frame(piece, compress)?;
        self.metrics.sent_piece(kind, piece.payload.len(), piece.fin);
        Ok(())
    }

    pub(crate) fn close(&mut self, frame: Option<CloseFrame<'_>>) {
        if self.is_open() {
            #[cfg(engine)]
            self.release_published();
            self.connection.close(frame, now(), &mut self.queue);
            self.release();
            self.wake_driver();
        }
    }

    /// Sends a Close frame, and has the driver drop the transport as soon as that has it.
    pub(crate) fn hang_up(&mut self, frame: CloseFrame<'_>) {
        if !self.ended {
            self.close(Some(frame));
            self.hangs_up = true;
            self.fail(Error::new(Kind::Aborted));
            self.wake_driver();
        }
    }

    /// Stops reading.
    pub(crate) fn hold(&mut self) {
        if self.is_open() && !self.held {
            self.held = true;
            self.reading_stops();
        }
    }

    /// Reads again after [`hold`](Self::hold).
    pub(crate) fn release(&mut self) {
        if std::mem::take(&mut self.held) && !self.inbox.is_paused() {
            self.connection.handle_resumed(now());
            self.wake_driver();
        }
    }

    /// How often reading was stopped so far; `None` while it is.
    #[cfg(feature = "client")]
    pub(crate) fn pauses(&self) -> Option<u32> {
        (!self.is_reading_paused()).then_some(self.pauses)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    pub(crate) fn delivery(&self) -> Delivery {
        self.connection.config().delivery
    }

    pub(crate) fn check_delivery(&self, wanted: Delivery) -> Result<(), Error> {
        let delivery = self.delivery();
        if delivery == wanted {
            Ok(())
        } else {
            Err(Error::new(Kind::Delivery(delivery)))
        }
    }

    /// Takes the next message or chunk; `None` after the last one.
    pub(crate) fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        if let Some(incoming) = self.inbox.pop() {
            self.reader = None;
            if self.inbox.is_empty() || self.inbox.size() < self.limits.receive / 2 {
                self.resume();
            }
            return Poll::Ready(Some(Ok(incoming)));
        }
        // Nothing comes after a failure, though the peer may have to be told of it first.
        if self.ended || self.failure.is_some() {
            let told = std::mem::replace(&mut self.failure_told, true);
            if self.last_words.is_some() {
                self.wake_driver();
            }
            return Poll::Ready(self.failure.clone().filter(|_| !told).map(Err));
        }
        register(&mut self.reader, cx);
        // In the driver's task, and while that is at work: this is called by the handler that is joined with it.
        let is_drivers = |task: &Waker| task.will_wake(cx.waker());
        let is_joined = self.attended && self.driver.as_ref().is_some_and(is_drivers);
        self.waits = if is_joined { Waits::Joined } else { Waits::Woken };
        if self.last_words.is_some() {
            self.wake_driver();
        }
        Poll::Pending
    }

    /// How many bytes were queued since the beginning.
    pub(crate) fn queued(&self) -> u64 {
        self.taken + self.queue.len() as u64
    }

    /// Waits until the transport has as many bytes.
    pub(crate) fn poll_flushed(&mut self, bytes: u64, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.flushed >= bytes {
            return Poll::Ready(Ok(()));
        }
        if self.ended {
            return Poll::Ready(Err(SendError::Closed.into()));
        }
        self.wait_to_write(cx);
        Poll::Pending
    }

    /// Waits for the end of the connection. Unlike [`Shared::ended`] it leaves a waker behind when it is given up.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Result<CloseInfo, Error>> {
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        self.wait_to_write(cx);
        Poll::Pending
    }

    /// Whether there is something to take, without asking for more.
    #[cfg(feature = "web")]
    pub(crate) fn has_incoming(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Waits until the connection is closing: until one side has sent a Close frame.
    #[cfg(feature = "web")]
    pub(crate) fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_open() {
            return Poll::Ready(());
        }
        self.wait_to_write(cx);
        Poll::Pending
    }

    /// How many bytes the transport had when the peer's Close frame came; `None` as long as none has.
    #[cfg(feature = "web")]
    pub(crate) fn flushed_before_close(&self) -> Option<u64> {
        self.flushed_before_close
    }

    /// How the connection ended; `None` before that.
    pub(crate) fn outcome(&self) -> Option<Result<CloseInfo, Error>> {
        self.ended.then(|| match &self.failure {
            Some(error) => Err(error.clone()),
            None => Ok(self.close_info()),
        })
    }

    /// How the connection ended; 1006 as long as no Close frame came.
    pub(crate) fn close_info(&self) -> CloseInfo {
        let none = || CloseInfo {
            code: 1006,
            reason: Utf8Bytes::default(),
            clean: false,
        };
        let info = self.peer_close.clone().unwrap_or_else(none);
        CloseInfo {
            clean: self.connection.is_close_complete(),
            ..info
        }
    }

    /// The code under which the end is counted and logged: ours if the connection failed and the peer was told,
    /// since its answer, if any, says nothing new; the peer's otherwise.
    pub(crate) fn end_code(&self) -> u16 {
        let ours = self.failure.as_ref().and_then(Error::close_code);
        ours.map_or_else(|| self.close_info().code, u16::from)
    }

    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.ended && self.connection.state() == State::Open
    }

    pub(crate) fn buffered_amount(&self) -> usize {
        self.queue.len() + self.in_flight
    }

    pub(crate) fn sender_added(&mut self) {
        self.senders += 1;
    }

    pub(crate) fn sender_dropped(&mut self) {
        self.senders -= 1;
        if self.is_abandoned() {
            self.wake_driver();
        }
    }

    pub(crate) fn receiver_dropped(&mut self) {
        self.receiver_alive = false;
        // Nobody will take what is there: reading must go on, or the peer's Close is never seen.
        self.inbox.clear();
        self.resume();
        self.release();
        if self.is_abandoned() {
            self.wake_driver();
        }
    }
}
