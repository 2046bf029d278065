//! The connection: one state machine for both roles, from the end of the opening handshake to the end of the
//! transport. What it is told and what it is asked for are in `inputs` and `commands`.

mod commands;
mod control;
mod event;
mod gathered;
mod incoming;
mod inputs;
mod rate;
mod receive;
mod send;
mod time;
mod workspace;

use std::sync::Arc;
use std::time::Instant;

use crate::close::CloseFrame;
use crate::config::Config;
use crate::deflate::{Compressor, Decompressor};
use crate::error::{Error, Timeout};
use crate::frame::Opcode;
use crate::mask::MaskKeys;
use crate::role::Role;

use control::{ControlPayload, Owed};
pub use event::{Chunk, Event, Received, Shutdown, State};
use receive::Receiver;
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
            if self.timers.take_owed_sign() {
                let _ = self.sender.control(Opcode::Pong, &[], out);
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
            State::Open => self.owed.owes_pong() || self.timers.is_ping_owed() || self.timers.is_sign_owed(),
            _ => self.owed.owes_close(),
        }
    }

    /// Whether a Ping was written whose clock starts with [`handle_flushed`](Self::handle_flushed).
    #[must_use]
    pub fn awaits_flush(&self) -> bool {
        self.timers.awaits_flush()
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
