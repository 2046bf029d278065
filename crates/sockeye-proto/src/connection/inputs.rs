//! What a connection is told: bytes that came, time that passed, what became of the transport.

use std::time::Instant;

use super::control::ControlPayload;
use super::receive::{ChunkPlace, Lent, Place, Rules};
use super::{Chunk, Connection, Event, Received, State, Workspace};
use crate::close::{CloseCode, CloseFrame};
use crate::error::{Error, ProtocolError};
use crate::frame::{Frame, Opcode};
use crate::mask::Mask;
use crate::message::{Message, MessageKind};
use crate::utf8;

impl Connection {
    /// Has the connection end before its [`max_lifetime`](crate::Config::max_lifetime), by this share (0 to 1) of what
    /// [`lifetime_jitter`](crate::Config::lifetime_jitter) allows. To be called when the connection begins, with another
    /// share for each: then those that begin together do not end together.
    pub fn shorten_lifetime(&mut self, share: f64) {
        self.timers.shorten_lifetime(&self.config, share);
    }

    /// Reads the next event from the front of `input`; call it again with the rest while there is any.
    ///
    /// Once all input is consumed no event is pending. Payloads are unmasked in place. After a Close frame or an error the rest of the input is dropped
    /// (RFC 6455 §1.4, §7.1.7).
    ///
    /// # Errors
    ///
    /// The connection failed: the peer broke the protocol or reached a limit. The Close frame that says so is owed
    /// ([`poll_output`](Self::poll_output)), and events that came before the fault have been handed out.
    #[inline]
    pub fn receive<'a>(
        &mut self,
        input: &'a mut [u8],
        workspace: &'a mut Workspace,
        now: Instant,
    ) -> Result<Received<'a>, Error> {
        let expects_mask = !self.sender.is_client();
        if !self.reads() {
            return Ok(Received {
                consumed: input.len(),
                event: None,
                takeable: false,
            });
        }
        let Some(whole) = self.receiver.whole_message(input, &self.config, expects_mask) else {
            return self.receive_piece(input, workspace, now);
        };
        self.timers.received(false, now);
        let payload = &mut input[whole.start..whole.end];
        if let Some(key) = whole.mask {
            Mask::apply_whole(key, payload);
        }
        let message = match whole.kind {
            MessageKind::Binary => Message::Binary(payload),
            MessageKind::Text => match utf8::validate(payload) {
                Ok(text) => Message::Text(text),
                Err(_) => return Err(self.failed(ProtocolError::Utf8Invalid.into(), now)),
            },
        };
        Ok(Received {
            consumed: whole.end,
            event: Some(Event::Message(message)),
            takeable: false,
        })
    }

    /// Where the next bytes from the transport may be received, in place of an input: in the memory of a large message that is
    /// being gathered, so that they need not be copied there. `None` while there is no such message.
    ///
    /// It is never more than what is still to come of the frame, nor, in memory that was not used before, more than what
    /// came of the message and some KiB. Go on with [`receive_in_room`](Self::receive_in_room) if anything was received; otherwise nothing
    /// has changed.
    #[inline]
    pub fn room(&mut self, workspace: &mut Workspace) -> Option<&mut [u8]> {
        if !self.reads() {
            return None;
        }
        self.receiver.room(workspace, &self.config)
    }

    /// Reads the first `count` bytes of the [`room`](Self::room), which were received there: all of them are consumed.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    ///
    /// # Panics
    ///
    /// If the room has not so many bytes.
    pub fn receive_in_room<'a>(
        &mut self,
        count: usize,
        workspace: &'a mut Workspace,
        now: Instant,
    ) -> Result<Received<'a>, Error> {
        self.timers.received(true, now);
        let is_whole = match self.receiver.fill(count, workspace, &self.config) {
            Ok(is_whole) => is_whole,
            Err(error) => return Err(self.failed(error, now)),
        };
        Ok(Received {
            consumed: count,
            takeable: is_whole && workspace.is_takeable(MessageKind::Binary),
            event: is_whole.then(|| Event::Message(Message::Binary(workspace.binary.as_bytes()))),
        })
    }

    /// Reads what is not a whole message in one frame.
    fn receive_piece<'a>(
        &mut self,
        input: &'a mut [u8],
        workspace: &'a mut Workspace,
        now: Instant,
    ) -> Result<Received<'a>, Error> {
        if !input.is_empty() {
            let incomplete = self.receiver.incomplete_since().is_some();
            self.timers.received(incomplete, now);
        }
        let rules = Rules {
            config: &self.config,
            expects_mask: !self.sender.is_client(),
            opened: self.timers.opened(),
            now,
        };
        let codec = self.codec.as_deref_mut();
        let decompressor = codec.and_then(|codec| codec.decompressor.as_mut());
        let (consumed, lent) = match self.receiver.advance(input, workspace, decompressor, rules) {
            Ok(advanced) => advanced,
            Err(error) => return Err(self.failed(error, now)),
        };
        let takeable = match &lent {
            Some(Lent::Message {
                kind,
                place: Place::Workspace,
            }) => workspace.is_takeable(*kind),
            Some(Lent::Frame {
                place: Place::Workspace,
                ..
            }) => workspace.is_takeable(MessageKind::Binary),
            _ => false,
        };
        let event = match lent {
            None => None,
            Some(Lent::Message {
                kind: MessageKind::Binary,
                place,
            }) => Some(Event::Message(Message::Binary(lend(
                place,
                input,
                workspace.binary.as_bytes(),
            )))),
            Some(Lent::Message {
                kind: MessageKind::Text,
                place: Place::Workspace,
            }) => Some(Event::Message(Message::Text(&workspace.text))),
            Some(Lent::Message {
                kind: MessageKind::Text,
                place: Place::Input(range),
            }) => match utf8::validate(&input[range]) {
                Ok(text) => Some(Event::Message(Message::Text(text))),
                Err(_) => return Err(self.failed(ProtocolError::Utf8Invalid.into(), now)),
            },
            Some(Lent::Chunk {
                kind,
                place,
                starts_message,
                ends_frame,
                ends_message,
            }) => {
                let payload = match place {
                    ChunkPlace::Input(range) => &input[range],
                    ChunkPlace::Inflated(len) => &workspace.inflated[..len],
                };
                Some(Event::Chunk(Chunk {
                    kind,
                    payload,
                    starts_message,
                    ends_frame,
                    ends_message,
                }))
            }
            Some(Lent::Frame { opcode, fin, place }) => Some(Event::Frame(Frame {
                opcode,
                fin,
                payload: lend(place, input, workspace.binary.as_bytes()),
            })),
            Some(Lent::Control { opcode, place }) => {
                let payload = lend(place, input, &workspace.control);
                match self.control(opcode, payload, now) {
                    Ok(event) => Some(event),
                    Err(error) => return Err(self.failed(error, now)),
                }
            }
        };
        Ok(Received {
            consumed,
            event,
            takeable,
        })
    }

    /// Whether what comes in is looked at.
    fn reads(&self) -> bool {
        !self.received_close && self.state != State::Closed
    }

    /// Acts on the deadline of [`poll_timeout`](Self::poll_timeout). Harmless when called early.
    ///
    /// # Errors
    ///
    /// A timeout ended the connection. At the end of its [lifetime](crate::Config::max_lifetime) the closing
    /// handshake begins instead, and messages are handed out until the peer's Close.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.lost {
            return Ok(());
        }
        match self
            .timers
            .expire(&self.config, self.receiver.incomplete_since(), now)
        {
            Ok(()) => Ok(()),
            // All frames were exchanged, or the failure was reported: only the transport did not end in time.
            Err(_) if self.state == State::Closed => {
                self.lose();
                Ok(())
            }
            Err(timeout) => Err(self.failed(timeout.into(), now)),
        }
    }

    /// Notes that the caller stopped reading, because the application is behind: until
    /// [`handle_resumed`](Self::handle_resumed) the peer's silence is no fault of its own, and the clocks of
    /// keepalive, idle and message timeouts stand still.
    ///
    /// Instead of a Ping, after each interval of [`keepalive`](crate::Config::keepalive) an unsolicited Pong is owed, which asks
    /// for no answer (RFC 6455 §5.5.3): a transport whose peer has gone fails when it is written to.
    pub fn handle_paused(&mut self) {
        self.timers.pause();
    }

    /// Notes that the caller reads again: the clocks that stood still start anew.
    pub fn handle_resumed(&mut self, now: Instant) {
        self.timers.resume(now);
        self.receiver.restart_clock(now);
    }

    /// Notes that all output so far was handed to the transport: the clock of an outstanding Ping starts. Gives whether
    /// there was one; then [`poll_timeout`](Self::poll_timeout) may be earlier than before. Whether it matters at all,
    /// [`awaits_flush`](Self::awaits_flush) says.
    pub fn handle_flushed(&mut self, now: Instant) -> bool {
        self.timers.flushed(now)
    }

    /// Notes that the transport ended.
    ///
    /// # Errors
    ///
    /// [`Error::ConnectionLost`] if the connection had not failed before and no Close frame had come, which RFC 6455
    /// §7.1.5 calls code 1006.
    pub fn handle_eof(&mut self) -> Result<(), Error> {
        let ended = self.received_close || self.state == State::Closed;
        self.lose();
        if ended { Ok(()) } else { Err(Error::ConnectionLost) }
    }

    fn control<'a>(&mut self, opcode: Opcode, payload: &'a [u8], now: Instant) -> Result<Event<'a>, Error> {
        match opcode {
            Opcode::Ping => {
                if self.config.auto_pong {
                    self.owed.owe_pong(payload);
                }
                Ok(Event::Ping(payload))
            }
            Opcode::Pong => {
                if self.timers.is_ping_outstanding() && self.answers_ping(payload) {
                    self.timers.pong_received();
                }
                Ok(Event::Pong(payload))
            }
            _ => self.peer_closed(payload, now),
        }
    }

    /// Whether a Pong answers the latest keepalive Ping, or one sent after it: a peer may answer the newest only
    /// (RFC 6455 §5.5.3).
    fn answers_ping(&self, payload: &[u8]) -> bool {
        *payload == self.keepalive_pings().to_be_bytes() || self.owed.newest_ping() == Some(payload)
    }

    fn peer_closed<'a>(&mut self, payload: &'a [u8], now: Instant) -> Result<Event<'a>, Error> {
        let frame = parse_close(payload)?;
        self.received_close = true;
        self.stop_reading();
        self.timers.closing(now);
        if self.sent_close {
            self.state = State::Closed;
        } else {
            // RFC 6455 §5.5.1: "When sending a Close frame in response, the endpoint typically echos the status
            // code it received."
            self.state = State::Closing;
            self.owed.owe_close(ControlPayload::close(frame));
        }
        Ok(Event::Close(frame))
    }
}

fn lend<'a>(place: Place, input: &'a [u8], workspace: &'a [u8]) -> &'a [u8] {
    match place {
        Place::Input(range) => &input[range],
        Place::Workspace => workspace,
    }
}

/// RFC 6455 §5.5.1: the body of a Close frame is empty, or a code and UTF-8 text.
pub(super) fn parse_close(payload: &[u8]) -> Result<Option<CloseFrame<'_>>, Error> {
    match payload {
        [] => Ok(None),
        [_] => Err(ProtocolError::CloseTooShort.into()),
        [high, low, reason @ ..] => {
            let code =
                CloseCode::new(u16::from_be_bytes([*high, *low])).ok_or(ProtocolError::CloseCodeInvalid)?;
            let reason = utf8::validate(reason).map_err(|_| ProtocolError::Utf8Invalid)?;
            Ok(Some(CloseFrame::truncated(code, reason)))
        }
    }
}
