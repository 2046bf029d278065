//! The connection: one state machine for both roles, from the end of the opening handshake to the end of the
//! transport.

mod control;
mod event;
mod gathered;
mod incoming;
mod rate;
mod receive;
mod send;
mod time;
mod workspace;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::close::{CloseCode, CloseFrame};
use crate::config::Config;
use crate::copy;
use crate::deflate::{Compressor, Decompressor};
use crate::error::{Error, ProtocolError, SendError, Timeout};
use crate::frame::{Frame, HeaderBytes, MAX_CONTROL_PAYLOAD, Opcode};
use crate::mask::{Mask, MaskKeys};
use crate::message::{Compress, Message, MessageKind};
use crate::prepared::{Prepared, PreparedForm};
use crate::role::Role;
use crate::utf8;

use control::{ControlPayload, Owed};
pub use event::{Chunk, Event, Received, Shutdown, State};
use receive::{ChunkPlace, Lent, Place, Receiver, Rules};
use send::Sender;
pub(crate) use send::{DataFrame, Piece, pieces};
use time::Timers;
pub use workspace::Workspace;

/// The state of one WebSocket connection, without the connection itself.
///
/// The caller owns the transport, the clock and every buffer. Its methods are of four kinds, called in this order
/// in each turn of the caller's loop:
///
/// - **Inputs**: [`receive`](Self::receive) with bytes that arrived, until they are used up;
///   [`handle_eof`](Self::handle_eof) when the transport ended; [`handle_flushed`](Self::handle_flushed) when all
///   output so far was handed to the transport; [`handle_timeout`](Self::handle_timeout) when the deadline passed.
/// - **Commands** of the application: [`send`](Self::send), [`send_prepared`](Self::send_prepared),
///   [`send_fragment`](Self::send_fragment), [`send_frame`](Self::send_frame), [`ping`](Self::ping), [`pong`](Self::pong), [`close`](Self::close),
///   [`fail`](Self::fail). They append frames to the caller's output buffer. Events do not borrow the connection, so a command may use what an event lent.
/// - **Outputs**: [`poll_output`](Self::poll_output) appends the control frames that the protocol owes by itself:
///   Pongs, the answer to a Close, keepalive Pings. Call it when the transport can take output: what is owed
///   meanwhile does not pile up, since only the newest Ping is answered (RFC 6455 §5.5.3).
///   [`poll_timeout`](Self::poll_timeout) gives the next deadline, [`shutdown`](Self::shutdown) what to do with
///   the transport.
/// - **Getters**, at any time.
///
/// Bytes that a server sent in the same packet as its handshake response, or a client behind its request, are
/// given to [`receive`](Self::receive) first.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Instant;
/// use sockeye_proto::{Config, Connection, Event, Message, Workspace};
///
/// let now = Instant::now();
/// let mut server = Connection::server(Arc::new(Config::server()), None, now);
/// let mut workspace = Workspace::new();
/// let mut out = Vec::new();
///
/// // "Hello", masked, as RFC 6455 §5.7 has it.
/// let mut input = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// let received = server.receive(&mut input, &mut workspace, now)?;
/// assert_eq!(received.consumed, 11);
/// if let Some(Event::Message(message)) = received.event {
///     assert_eq!(message, Message::Text("Hello"));
///     server.send(message, &mut out)?;
/// }
/// assert_eq!(out, b"\x81\x05Hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    receiver: Receiver,
    sender: Sender,
    /// What was negotiated of compression.
    codec: Option<Box<Codec>>,
    timers: Timers,
    owed: Owed,
    /// How many keepalive Pings were sent: their payload.
    keepalives: u32,
    state: State,
    received_close: bool,
    sent_close: bool,
    /// The transport is gone, or must go without another word.
    lost: bool,
}

/// Both directions of compression, each until no data can come or go any more.
#[derive(Debug)]
struct Codec {
    compressor: Option<Compressor>,
    decompressor: Option<Decompressor>,
}

impl Connection {
    /// A server's end, after the opening handshake. `deflate` is what was negotiated of permessage-deflate.
    #[must_use]
    pub fn server(config: Arc<Config>, deflate: Option<(Compressor, Decompressor)>, now: Instant) -> Self {
        Self::new(config, None, deflate, now)
    }

    /// A client's end, after the opening handshake; it masks what it sends with `keys`.
    #[must_use]
    pub fn client(
        config: Arc<Config>,
        keys: Box<dyn MaskKeys>,
        deflate: Option<(Compressor, Decompressor)>,
        now: Instant,
    ) -> Self {
        Self::new(config, Some(keys), deflate, now)
    }

    fn new(
        config: Arc<Config>,
        keys: Option<Box<dyn MaskKeys>>,
        deflate: Option<(Compressor, Decompressor)>,
        now: Instant,
    ) -> Self {
        let codec = deflate.map(|(compressor, decompressor)| {
            Box::new(Codec {
                compressor: Some(compressor),
                decompressor: Some(decompressor),
            })
        });
        Self {
            config,
            receiver: Receiver::new(),
            sender: Sender::new(keys),
            codec,
            timers: Timers::new(now),
            owed: Owed::default(),
            keepalives: 0,
            state: State::Open,
            received_close: false,
            sent_close: false,
            lost: false,
        }
    }

    // Getters

    /// How far the connection is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Which end this is.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.sender.is_client() {
            Role::Client
        } else {
            Role::Server
        }
    }

    /// Whether a message is being sent whose last fragment was not.
    #[must_use]
    pub fn is_sending_fragments(&self) -> bool {
        self.sender.is_midway()
    }

    /// Whether messages may go out compressed.
    #[must_use]
    pub fn is_compressing(&self) -> bool {
        self.codec
            .as_ref()
            .is_some_and(|codec| codec.compressor.is_some())
    }

    /// How many keepalive Pings were sent so far.
    ///
    /// The payload of the n-th is n as eight bytes, most significant first: by it the Pongs for Pings of the
    /// application's own are told from theirs.
    #[must_use]
    pub const fn keepalive_pings(&self) -> u64 {
        self.keepalives as u64
    }

    /// The limits and timeouts.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether a Close frame was both sent and received: what the browser API calls a clean close, once the
    /// transport has ended too.
    #[must_use]
    pub const fn is_close_complete(&self) -> bool {
        self.received_close && self.sent_close
    }

    // Inputs

    /// Has the connection end before its [`Config::max_lifetime`], by this share (0 to 1) of what
    /// [`Config::lifetime_jitter`] allows. To be called when the connection begins, with another share for each: then
    /// those that begin together do not end together.
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
    pub fn handle_paused(&mut self) {
        self.timers.pause();
    }

    /// Notes that the caller reads again: the clocks that stood still start anew.
    pub fn handle_resumed(&mut self, now: Instant) {
        self.timers.resume(now);
        self.receiver.restart_clock(now);
    }

    /// Notes that all output so far was handed to the transport: the clock of an outstanding Ping starts. Gives whether
    /// there was one; then [`poll_timeout`](Self::poll_timeout) may be earlier than before.
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

    // Commands

    /// Appends a whole message to `out`, compressed if that was negotiated and the message is long enough.
    ///
    /// # Errors
    ///
    /// The connection is closing, or a fragmented message is being sent.
    pub fn send(&mut self, message: Message<'_>, out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_with(message, Compress::Auto, out)
    }

    /// As [`send`](Self::send), with the choice whether to compress.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_with(
        &mut self,
        message: Message<'_>,
        compress: Compress,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.send_bytes(message.kind(), message.as_bytes(), compress, out)
    }

    #[inline]
    fn send_bytes(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        compress: Compress,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        let compressor = compressor(&mut self.codec, compress, payload.len());
        self.sender.message(
            kind,
            payload,
            compressor,
            self.config.fragmentation_threshold,
            out,
        )
    }

    /// Appends a message that was framed ahead to `out`: on a server, without framing or compressing it again.
    ///
    /// The message goes out compressed where [`send_with`](Self::send_with) would compress it. On a connection
    /// that keeps its context this makes our window start afresh: see [`Prepared`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(
        &mut self,
        prepared: &Prepared,
        compress: Compress,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        match self.prepared(prepared, compress)? {
            Some(frames) => {
                copy::append(out, frames);
                Ok(())
            }
            None => self.send_bytes(prepared.kind(), prepared.as_bytes(), compress, out),
        }
    }

    /// The bytes that [`send_prepared`](Self::send_prepared) would append, for a caller that refers to them rather than to copy
    /// them: `None` on a client, which has to mask them.
    ///
    /// This counts as sending: the bytes must go out next, whole.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn prepared<'p>(
        &mut self,
        prepared: &'p Prepared,
        compress: Compress,
    ) -> Result<Option<&'p Bytes>, SendError> {
        self.check_open()?;
        let compressor = compressor(&mut self.codec, compress, prepared.as_bytes().len());
        self.sender
            .prepared(prepared, compressor, self.config.fragmentation_threshold)
    }

    /// What the bytes depend on that [`prepared`](Self::prepared) gives: connections of equal forms are given the same.
    /// `None` on a client.
    ///
    /// A server that sends many prepared messages to many connections asks one connection of each form for the
    /// bytes, and sends them to the others of that form too, each of which it tells so by
    /// [`sent_prepared`](Self::sent_prepared).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn prepared_form(&self) -> Result<Option<PreparedForm>, SendError> {
        self.check_open()?;
        let compressor = self.codec.as_ref().and_then(|codec| codec.compressor.as_ref());
        self.sender
            .prepared_form(compressor, self.config.fragmentation_threshold)
    }

    /// Notes that messages were sent on this connection whose bytes another connection of the same
    /// [form](Self::prepared_form) gave, some of them compressed. A connection that keeps its context forgets it here.
    pub fn sent_prepared(&mut self) {
        if let Some(compressor) = any_compressor(&mut self.codec) {
            compressor.forget();
        }
    }

    /// The header of a whole message whose payload the caller writes behind it by itself, so that a large payload
    /// need not be copied.
    ///
    /// `None` if the payload cannot go out as it is, because it is to be masked (on a client), compressed or
    /// cut into frames: [`send_with`](Self::send_with) does that. `Some` counts as sending: the header and `payload_len` bytes
    /// must go out next, and be UTF-8 if they are text.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Instant;
    /// # use sockeye_proto::{Compress, Config, Connection, MessageKind};
    /// # let mut server = Connection::server(Arc::new(Config::server()), None, Instant::now());
    /// let payload = vec![0; 100_000];
    /// let header = server.send_header(MessageKind::Binary, payload.len(), Compress::Auto)?;
    /// // Not compressed and not cut: now to write both in one go.
    /// assert_eq!(header.as_deref(), Some(&[0x82, 127, 0, 0, 0, 0, 0, 0x01, 0x86, 0xA0][..]));
    /// # Ok::<(), sockeye_proto::SendError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_header(
        &mut self,
        kind: MessageKind,
        payload_len: usize,
        compress: Compress,
    ) -> Result<Option<HeaderBytes>, SendError> {
        self.check_open()?;
        let compressor = compressor(&mut self.codec, compress, payload_len);
        self.sender
            .header(kind, payload_len, compressor, self.config.fragmentation_threshold)
    }

    /// Appends one fragment of a message to `out`; `fin` marks the last one (RFC 6455 §5.4).
    ///
    /// The first fragment decides the kind of the message and whether it is compressed; later ones only carry it
    /// on. A text fragment is a `&str`, so a code point is never cut.
    ///
    /// # Errors
    ///
    /// The connection is closing, or the fragment is of another kind than its message, or follows a
    /// [frame](Self::send_frame) of text that ended inside a code point.
    pub fn send_fragment(
        &mut self,
        fragment: Message<'_>,
        fin: bool,
        compress: Compress,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        let compresses = self.sender.compresses_fragment(compress);
        let compressor = any_compressor(&mut self.codec).filter(|_| compresses);
        self.sender.fragment(fragment, fin, compressor, out)
    }

    /// Appends one frame to `out`, of any opcode, once it is sure that it breaks no rule: for programs that choose the
    /// framing themselves.
    ///
    /// A data frame begins a message or carries on the one in progress, whichever way that was begun; the first
    /// decides about compression, and text may be cut inside a code point. A Close frame starts the closing
    /// handshake, as [`close`](Self::close) does.
    ///
    /// # Errors
    ///
    /// Nothing was appended. The connection is closing; or a control frame is fragmented or longer than 125 bytes; or
    /// the body of a Close frame is invalid; or the opcode does not fit the message in progress; or text is not
    /// UTF-8.
    pub fn send_frame(
        &mut self,
        frame: Frame<'_>,
        compress: Compress,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        self.check_open()?;
        if frame.opcode.is_control() && !frame.fin {
            return Err(SendError::FragmentedControl);
        }
        match frame.opcode {
            Opcode::Ping => self.ping(frame.payload, out),
            Opcode::Pong => self.pong(frame.payload, out),
            Opcode::Close if frame.payload.len() > MAX_CONTROL_PAYLOAD => {
                Err(SendError::ControlTooLong(frame.payload.len()))
            }
            Opcode::Close if self.state != State::Open => Err(SendError::Closed),
            Opcode::Close => {
                let body = parse_close(frame.payload).map_err(|_| SendError::InvalidClose)?;
                self.close(body, now, out);
                Ok(())
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                let compresses = self.sender.compresses_fragment(compress);
                let compressor = any_compressor(&mut self.codec).filter(|_| compresses);
                self.sender.data_frame(frame, compressor, out)
            }
        }
    }

    /// Appends a Ping to `out`.
    ///
    /// # Errors
    ///
    /// The connection is closing, or `payload` is longer than 125 bytes.
    pub fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_open()?;
        self.sender.control(Opcode::Ping, payload, out)?;
        if self.timers.is_ping_outstanding() {
            self.owed.remember_ping(payload);
        }
        Ok(())
    }

    /// Appends an unsolicited Pong to `out`: a sign of life that asks for no answer (RFC 6455 §5.5.3).
    ///
    /// # Errors
    ///
    /// The connection is closing, or `payload` is longer than 125 bytes.
    pub fn pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.check_open()?;
        self.sender.control(Opcode::Pong, payload, out)
    }

    /// Starts the closing handshake: appends a Close frame to `out`, behind everything sent before.
    ///
    /// Messages that the peer sent before it saw our Close frame are still handed out. Does nothing if the
    /// connection is closing already.
    pub fn close(&mut self, frame: Option<CloseFrame<'_>>, now: Instant, out: &mut Vec<u8>) {
        if self.state != State::Open {
            return;
        }
        self.write_owed_pong(out);
        self.write_close(&ControlPayload::close(frame), out);
        self.state = State::Closing;
        self.timers.closing(now);
    }

    /// Fails the connection for a reason of the application's: no more input is read, and the Close frame is owed.
    ///
    /// Unlike [`close`](Self::close) this does not wait for the peer's Close. Does nothing if the connection is
    /// closed already.
    pub fn fail(&mut self, frame: CloseFrame<'_>, now: Instant) {
        if self.state != State::Closed {
            self.end(now);
            self.owe_close(frame);
        }
    }

    // Outputs

    /// Appends the control frames that are owed to `out`; gives whether there were any.
    ///
    /// Call it when the transport can take output, not while earlier output waits. Once it has appended a Close frame
    /// nothing more can be sent, so answers to what the peer sent before it closed, or broke a rule, go first.
    #[inline]
    pub fn poll_output(&mut self, out: &mut Vec<u8>) -> bool {
        self.has_output() && self.write_owed(out)
    }

    fn write_owed(&mut self, out: &mut Vec<u8>) -> bool {
        let before = out.len();
        if self.state == State::Open {
            self.write_owed_pong(out);
            if self.timers.take_owed_ping() {
                self.keepalives = self.keepalives.wrapping_add(1);
                let payload = self.keepalive_pings().to_be_bytes();
                // Eight bytes always fit into a control frame.
                let _ = self.sender.control(Opcode::Ping, &payload, out);
                self.owed.forget_ping();
            }
        } else if let Some(body) = self.owed.take_close() {
            self.write_owed_pong(out);
            if self.received_close {
                self.state = State::Closed;
            }
            self.write_close(&body, out);
        }
        out.len() > before
    }

    /// Whether [`poll_output`](Self::poll_output) has something to append.
    #[must_use]
    pub fn has_output(&self) -> bool {
        match self.state {
            State::Open => self.owed.owes_pong() || self.timers.is_ping_owed(),
            _ => self.owed.owes_close(),
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), `None` if nothing is timed.
    ///
    /// Traffic moves most deadlines back, so a caller may keep an earlier timer and arm it anew when it fires.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.lost {
            return None;
        }
        self.timers.next(&self.config, self.receiver.incomplete_since())
    }

    /// What to do with the transport.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        if self.lost {
            return Shutdown::Now;
        }
        if self.state != State::Closed {
            return Shutdown::NotYet;
        }
        match (self.is_close_complete(), self.sender.is_client()) {
            (false, _) => Shutdown::Linger,
            (true, true) => Shutdown::AwaitPeer,
            (true, false) => Shutdown::AfterFlush,
        }
    }

    /// RFC 6455 §5.5.1: no data follows our Close frame. Before it, what the peer sent in front of its own Close, or
    /// of its fault, can still be answered.
    fn check_open(&self) -> Result<(), SendError> {
        if self.sent_close || self.lost {
            Err(SendError::Closed)
        } else {
            Ok(())
        }
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

    fn failed(&mut self, error: Error, now: Instant) -> Error {
        let Some(code) = error.close_code() else {
            self.lose();
            return error;
        };
        if let Error::Timeout(Timeout::Lifetime(_)) = error {
            // Nobody did wrong: what the peer has under way is heard until its Close answers ours.
            self.state = State::Closing;
            self.timers.closing(now);
        } else {
            self.end(now);
        }
        let reason = error.to_string();
        self.owe_close(CloseFrame::truncated(code, &reason));
        error
    }

    /// Stops reading.
    fn end(&mut self, now: Instant) {
        self.state = State::Closed;
        self.stop_reading();
        self.timers.closing(now);
        self.owed.take_pong();
    }

    /// Owes a Close frame, unless one was sent.
    fn owe_close(&mut self, frame: CloseFrame<'_>) {
        if !self.sent_close {
            self.owed.owe_close(ControlPayload::close(Some(frame)));
        }
    }

    /// Ends without a word: the transport is gone, or the peer had its chance.
    fn lose(&mut self) {
        self.state = State::Closed;
        self.stop_reading();
        self.stop_sending();
        self.owed.discard();
        self.lost = true;
    }

    /// Gives back the memory of what was being received.
    fn stop_reading(&mut self) {
        self.receiver.discard();
        if let Some(codec) = &mut self.codec {
            codec.decompressor = None;
        }
    }

    /// Gives back the memory of what was being sent.
    fn stop_sending(&mut self) {
        self.sender.discard();
        if let Some(codec) = &mut self.codec {
            codec.compressor = None;
        }
    }

    fn write_owed_pong(&mut self, out: &mut Vec<u8>) {
        if let Some(payload) = self.owed.take_pong() {
            // It came in a control frame, so it fits into one.
            let _ = self.sender.control(Opcode::Pong, payload.as_bytes(), out);
        }
    }

    fn write_close(&mut self, body: &ControlPayload, out: &mut Vec<u8>) {
        // It fits by its type.
        let _ = self.sender.control(Opcode::Close, body.as_bytes(), out);
        self.stop_sending();
        self.sent_close = true;
    }
}

/// What compresses a message of this length, if anything does.
fn compressor(codec: &mut Option<Box<Codec>>, compress: Compress, length: usize) -> Option<&mut Compressor> {
    let compressor = any_compressor(codec)?;
    let compresses = match compress {
        Compress::Never => false,
        Compress::Always => true,
        Compress::Auto => compressor.is_worthwhile(length),
    };
    compresses.then_some(compressor)
}

fn any_compressor(codec: &mut Option<Box<Codec>>) -> Option<&mut Compressor> {
    codec.as_mut()?.compressor.as_mut()
}

fn lend<'a>(place: Place, input: &'a [u8], workspace: &'a [u8]) -> &'a [u8] {
    match place {
        Place::Input(range) => &input[range],
        Place::Workspace => workspace,
    }
}

/// RFC 6455 §5.5.1: the body of a Close frame is empty, or a code and UTF-8 text.
fn parse_close(payload: &[u8]) -> Result<Option<CloseFrame<'_>>, Error> {
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
