//! What a driver does to a session: hands it what was read, takes what is to be written, tells of the end.

use std::time::Instant;

use sockeye_proto::{Delivery, Event, MessageKind, Opcode, State, Workspace};

use super::inbox::Inbox;
use super::{CloseInfo, LAST_WORDS, Session};
use crate::error::Error;
use crate::message::Frame;

impl Session {
    /// Whether the driver is not to read: the application is behind, or asked for it.
    pub(super) fn is_reading_paused(&self) -> bool {
        (self.inbox.is_paused() || self.held) && self.connection.state() != State::Closed
    }

    pub(super) fn reading_stops(&mut self) {
        self.pauses = self.pauses.wrapping_add(1);
        self.connection.handle_paused();
    }

    /// Reads `input` until it is used up or the inbox is full; gives how much was read.
    ///
    /// `writable` says whether the transport takes output, so that each Ping can be answered rather than only the
    /// newest.
    pub(super) fn receive(
        &mut self,
        input: &mut [u8],
        workspace: &mut Workspace,
        writable: bool,
        now: Instant,
    ) -> usize {
        let mut at = 0;
        while at < input.len() {
            let is_behind = self.inbox.size() >= self.limits.receive && self.receiver_alive;
            // What comes after the end is dropped, so that nobody is behind with it.
            if is_behind && self.connection.state() != State::Closed {
                self.inbox.pause();
                self.reading_stops();
                break;
            }
            match self.connection.receive(&mut input[at..], workspace, now) {
                Ok(received) => {
                    at += received.consumed;
                    match received.event {
                        Some(Event::Message(message)) => {
                            self.metrics.received(message.kind(), message.as_bytes().len());
                            if self.receiver_alive {
                                let message = match message.kind() {
                                    _ if !received.takeable => self.inbox.copy_message(message),
                                    MessageKind::Text => workspace.take_text().into(),
                                    MessageKind::Binary => workspace.take_binary().into(),
                                };
                                self.inbox.push_message(message);
                            }
                        }
                        Some(Event::Frame(frame)) => {
                            self.count_frame(frame);
                            if self.receiver_alive {
                                let (opcode, fin) = (frame.opcode, frame.fin);
                                let payload = if received.takeable {
                                    workspace.take_binary().into()
                                } else {
                                    self.inbox.copy(frame.payload)
                                };
                                self.inbox.push_frame(Frame { opcode, fin, payload });
                            }
                        }
                        Some(Event::Chunk(chunk)) => {
                            self.metrics
                                .received_piece(chunk.kind, chunk.payload.len(), chunk.ends_message);
                            if self.receiver_alive {
                                self.inbox.push_chunk(&chunk);
                            }
                        }
                        Some(Event::Ping(payload)) => {
                            self.push_control(|inbox| Frame::ping(inbox.copy(payload)))
                        }
                        Some(Event::Pong(payload)) => {
                            self.pong_received(payload);
                            self.push_control(|inbox| Frame::pong(inbox.copy(payload)));
                        }
                        Some(Event::Close(frame)) => {
                            self.push_control(|_| Frame::from_close(frame));
                            self.peer_close = Some(CloseInfo {
                                code: frame.map_or(1005, |frame| frame.code().get()),
                                reason: frame.map_or("", |frame| frame.reason()).into(),
                                clean: false,
                            });
                            #[cfg(feature = "web")]
                            self.flushed_before_close.get_or_insert(self.flushed);
                            self.wake_writers();
                            self.wake_pings();
                        }
                        None => {}
                    }
                }
                Err(error) => {
                    self.fail(error.into());
                    at = input.len();
                }
            }
            if self.owes_close() && !self.inbox.is_empty() {
                self.last_words.get_or_insert(now + LAST_WORDS);
            }
            if writable {
                self.poll_output(now);
            }
        }
        at
    }

    pub(super) fn count_frame(&mut self, frame: sockeye_proto::Frame<'_>) {
        self.frames_of = match frame.opcode {
            Opcode::Text => MessageKind::Text,
            Opcode::Binary => MessageKind::Binary,
            _ => self.frames_of,
        };
        self.metrics
            .received_piece(self.frames_of, frame.payload.len(), frame.fin);
    }

    /// Hands a control frame to an application that looks at frames.
    pub(super) fn push_control(&mut self, frame: impl FnOnce(&Inbox) -> Frame) {
        if self.receiver_alive && self.delivery() == Delivery::Frames {
            let frame = frame(&self.inbox);
            self.inbox.push_frame(frame);
        }
    }

    /// Queues the control frames that are owed; a Close frame not before the application has had its last words.
    pub(super) fn poll_output(&mut self, now: Instant) {
        // Nothing is left in the inbox and the application asks for more: it has answered what it will.
        let asks = self.reader.is_some() || self.failure_told;
        let answered = !self.receiver_alive || self.hangs_up || (self.inbox.is_empty() && asks);
        if self.last_words.is_none_or(|until| answered || until <= now) {
            self.last_words = None;
            self.connection.poll_output(&mut self.queue);
        }
    }

    /// Whether the peer closed, or broke a rule, and was not sent our Close frame yet.
    pub(super) fn owes_close(&self) -> bool {
        self.connection.state() != State::Open && self.connection.has_output()
    }

    pub(super) fn fail(&mut self, error: Error) {
        if let Some(error) = error.protocol() {
            self.metrics.failed(&error);
        } else if error.is_connection_lost() {
            self.metrics.failed(&sockeye_proto::Error::ConnectionLost);
        }
        self.failure.get_or_insert(error);
        self.release();
        self.wake_pings();
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    pub(super) fn end(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        // What is lost was queued all the same.
        self.taken = self.queued();
        self.queue = Vec::new();
        self.in_flight = 0;
        let driver = self.driver.take();
        if self.has_standby
            && let Some(driver) = driver
        {
            driver.wake();
        }
        self.is_writing = false;
        self.metrics.closed(self.end_code());
        self.wake_pings();
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        self.wake_writers();
    }
}
