//! Two endpoints under a simulated clock, driven by a list of operations.
//!
//! Whatever happens: what one end hears is what the other sent, in order, nothing twice, nothing left out before the
//! end; and both ends get to be closed.

use std::num::NonZeroUsize;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use sockeye_proto::deflate::{Deflate, Parameters, WindowBits};
use sockeye_proto::{
    CloseCode, CloseFrame, Compress, Config, Delivery, Frame, Keepalive, Message, Opcode, Prepared,
    SendError, Shutdown, State,
};

use crate::support::end::{End, Heard};
use crate::support::outcome::join_messages;
use crate::support::pair::Pair;

/// What the two ends agreed on.
#[derive(Arbitrary, Debug)]
struct Setup {
    deflate: Option<Agreement>,
    delivery: u8,
    keepalive: bool,
    small_limits: bool,
    /// Messages are sent in frames of at most this many bytes; 0 for whole.
    threshold: u16,
}

#[derive(Arbitrary, Debug)]
struct Agreement {
    server_takeover: bool,
    client_takeover: bool,
    server_bits: u8,
    client_bits: u8,
}

/// Something that the application, the transport or the clock does. `bool` tells the client from the server.
#[derive(Arbitrary, Debug)]
enum Operation {
    Send(bool, Payload, Effort),
    /// A message that was framed ahead.
    Prepared(bool, Payload, Effort),
    Fragment(bool, Payload, Effort, bool),
    /// A frame that carries on the message in progress, or does not.
    Frame(bool, Payload, Effort, bool, bool),
    Ping(bool, u8),
    Pong(bool, u8),
    Close(bool, u16),
    Fail(bool),
    /// The transport takes no output, or takes it again.
    Block(bool, bool),
    /// The application stops reading, or reads again.
    Pause(bool, bool),
    /// This many bytes of what one end sent reach the other, in pieces.
    Deliver(bool, u16, u8),
    Wait(u16),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Payload {
    text: bool,
    length: u16,
    /// Repetitive enough to be compressed well, or not.
    dull: bool,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Effort {
    Auto,
    Always,
    Never,
}

/// Input: a setup, then operations.
pub fn pair(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut input) else {
        return;
    };
    let mut simulation = Simulation::new(&setup);
    while !input.is_empty() {
        let Ok(operation) = Operation::arbitrary(&mut input) else {
            break;
        };
        simulation.act(operation);
        simulation.check_messages();
    }
    simulation.end();
}

struct Simulation {
    pair: Pair,
    client: Side,
    server: Side,
}

/// What the simulation knows of one end.
#[derive(Default)]
struct Side {
    /// Whole messages sent so far.
    sent: Vec<Heard>,
    /// The fragmented message that is being sent.
    unfinished: Option<(bool, Vec<u8>)>,
    /// Bytes that have left this end and not reached the other.
    pipe: Vec<u8>,
    /// Messages heard so far.
    heard: Vec<Heard>,
    /// Chunks of a message whose end was not heard yet.
    chunks: Vec<Heard>,
    paused: bool,
    /// The application ended the connection without regard to what was under way.
    cut_short: bool,
}

impl Simulation {
    fn new(setup: &Setup) -> Self {
        let limits = if setup.small_limits {
            Config {
                max_message_size: 5000,
                max_fragments: 5,
                max_control_rate: 8,
                ..Config::server()
            }
        } else {
            Config {
                max_message_size: u64::MAX,
                max_fragments: u32::MAX,
                max_control_rate: u32::MAX,
                ..Config::server()
            }
        };
        let config = Config {
            delivery: match setup.delivery % 3 {
                0 => Delivery::Messages,
                1 => Delivery::Chunks,
                _ => Delivery::Frames,
            },
            fragmentation_threshold: NonZeroUsize::new(setup.threshold.into()),
            keepalive: setup.keepalive.then_some(Keepalive {
                interval: Duration::from_millis(2000),
                timeout: Duration::from_millis(1000),
            }),
            ..limits
        };
        let bits = |bits: u8| WindowBits::new(8 + bits % 8).expect("from 8 to 15");
        let parameters = setup.deflate.as_ref().map(|agreement| Parameters {
            server_no_context_takeover: !agreement.server_takeover,
            client_no_context_takeover: !agreement.client_takeover,
            server_max_window_bits: bits(agreement.server_bits),
            client_max_window_bits: bits(agreement.client_bits),
        });
        Self {
            pair: Pair::with_deflate(config.clone(), config, parameters, &Deflate::default()),
            client: Side::default(),
            server: Side::default(),
        }
    }

    /// An end, what is known of it, and the time.
    fn end_of(&mut self, client: bool) -> (&mut End, &mut Side, std::time::Instant) {
        let now = self.pair.now;
        if client {
            (&mut self.pair.client, &mut self.client, now)
        } else {
            (&mut self.pair.server, &mut self.server, now)
        }
    }

    fn act(&mut self, operation: Operation) {
        match operation {
            Operation::Send(client, payload, effort) => {
                let bytes = payload.bytes();
                let (end, side, _) = self.end_of(client);
                let result =
                    end.connection
                        .send_with(message(&bytes, payload.text), effort.into(), &mut end.out);
                match result {
                    Ok(()) => side.sent.push(heard(bytes, payload.text)),
                    Err(error) => side.expect_refused(error),
                }
            }
            Operation::Prepared(client, payload, effort) => {
                let bytes = payload.bytes();
                let prepared = Prepared::new(message(&bytes, payload.text));
                let (end, side, _) = self.end_of(client);
                let result = end
                    .connection
                    .send_prepared(&prepared, effort.into(), &mut end.out);
                match result {
                    Ok(()) => side.sent.push(heard(bytes, payload.text)),
                    Err(error) => side.expect_refused(error),
                }
            }
            Operation::Fragment(client, payload, effort, fin) => {
                let bytes = payload.bytes();
                let (end, side, _) = self.end_of(client);
                let fragment = message(&bytes, payload.text);
                match end
                    .connection
                    .send_fragment(fragment, fin, effort.into(), &mut end.out)
                {
                    Ok(()) => {
                        let (text, whole) = side.unfinished.get_or_insert((payload.text, Vec::new()));
                        assert_eq!(*text, payload.text, "a fragment of another kind was sent");
                        whole.extend(bytes);
                        if fin && let Some((text, whole)) = side.unfinished.take() {
                            side.sent.push(heard(whole, text));
                        }
                    }
                    Err(error) => side.expect_refused(error),
                }
            }
            Operation::Frame(client, payload, effort, fin, continues) => {
                let bytes = payload.bytes();
                let (end, side, now) = self.end_of(client);
                let opcode = match (continues, payload.text) {
                    (true, _) => Opcode::Continuation,
                    (false, true) => Opcode::Text,
                    (false, false) => Opcode::Binary,
                };
                let frame = Frame {
                    opcode,
                    fin,
                    payload: &bytes,
                };
                match end.connection.send_frame(frame, effort.into(), now, &mut end.out) {
                    Ok(()) => {
                        assert_eq!(
                            side.unfinished.is_some(),
                            continues,
                            "a frame out of order was sent"
                        );
                        let (_, whole) = side.unfinished.get_or_insert((payload.text, Vec::new()));
                        whole.extend(bytes);
                        if fin && let Some((text, whole)) = side.unfinished.take() {
                            side.sent.push(heard(whole, text));
                        }
                    }
                    Err(error) => side.expect_refused(error),
                }
            }
            Operation::Ping(client, length) => {
                let (end, ..) = self.end_of(client);
                let result = end.connection.ping(&vec![b'p'; length.into()], &mut end.out);
                let long = Err(SendError::ControlTooLong(length.into()));
                assert_eq!(length > 125 && result != Err(SendError::Closed), result == long);
            }
            Operation::Pong(client, length) => {
                let (end, ..) = self.end_of(client);
                // Whether it is refused is tested elsewhere; here it has to do no harm.
                let _ = end.connection.pong(&vec![b'p'; length.into()], &mut end.out);
            }
            Operation::Close(client, code) => {
                let (end, _, now) = self.end_of(client);
                let frame =
                    CloseCode::new(code).map(|code| CloseFrame::truncated(code, "closed by the simulation"));
                end.connection.close(frame, now, &mut end.out);
            }
            Operation::Fail(client) => {
                let (end, side, now) = self.end_of(client);
                let frame = CloseFrame::truncated(CloseCode::INTERNAL_ERROR, "failed by the simulation");
                end.connection.fail(frame, now);
                side.cut_short = true;
            }
            Operation::Block(client, blocked) => self.end_of(client).0.blocked = blocked,
            Operation::Pause(client, paused) => {
                let (end, side, now) = self.end_of(client);
                side.paused = paused;
                if paused {
                    end.connection.handle_paused();
                } else {
                    end.connection.handle_resumed(now);
                }
            }
            Operation::Deliver(from_client, bytes, piece) => {
                self.deliver(from_client, bytes.into(), usize::from(piece) + 1);
            }
            Operation::Wait(milliseconds) => {
                self.pair.now += Duration::from_millis(milliseconds.into());
                let now = self.pair.now;
                self.pair.client.expire(now);
                self.pair.server.expire(now);
            }
        }
    }

    /// Moves bytes into the pipe, and some of the pipe to the other end.
    fn deliver(&mut self, from_client: bool, bytes: usize, piece: usize) {
        let (end, side, now) = self.end_of(from_client);
        if !end.blocked {
            side.pipe.extend(end.flush(now));
        }
        let mut pipe = std::mem::take(&mut side.pipe);
        let (receiver, receiving, _) = self.end_of(!from_client);
        if !receiving.paused {
            let rest = pipe.split_off(bytes.min(pipe.len()));
            for piece in pipe.chunks(piece) {
                receiver.receive(piece, now);
            }
            pipe = rest;
        }
        self.end_of(from_client).1.pipe = pipe;
    }

    /// Each end has heard a part from the front of what the other sent.
    fn check_messages(&mut self) {
        for client in [true, false] {
            let (end, side, _) = self.end_of(client);
            side.hear(end.take_heard());
        }
        for (hearing, sending) in [(&self.client, &self.server), (&self.server, &self.client)] {
            let heard = hearing.heard.len();
            assert!(heard <= sending.sent.len(), "a message came out of nowhere");
            assert_eq!(hearing.heard, sending.sent[..heard]);
        }
    }

    /// Lets everything arrive, closes, and looks whether all is done.
    fn end(mut self) {
        for client in [true, false] {
            let (end, side, now) = self.end_of(client);
            end.blocked = false;
            side.paused = false;
            end.connection.handle_resumed(now);
        }
        self.run();
        let (end, _, now) = self.end_of(true);
        end.connection.close(None, now, &mut end.out);
        self.run();
        self.check_messages();
        // An end that has given up drops its transport.
        if self.pair.client.connection.shutdown() == Shutdown::Now {
            let _ = self.pair.server.connection.handle_eof();
        }
        if self.pair.server.connection.shutdown() == Shutdown::Now {
            let _ = self.pair.client.connection.handle_eof();
        }
        for client in [true, false] {
            let (end, side, _) = self.end_of(client);
            assert_eq!(end.connection.state(), State::Closed);
            // An end that failed, or was failed, may have dropped what came in.
            let complete = end.error.is_none() && !side.cut_short;
            let (heard, sent) = (side.heard.len(), self.end_of(!client).1.sent.len());
            assert!(
                !complete || heard == sent,
                "{heard} of {sent} messages were heard"
            );
        }
        let now = self.pair.now + Duration::from_secs(3600);
        for end in [&mut self.pair.client, &mut self.pair.server] {
            end.expire(now);
            assert_eq!(end.connection.shutdown(), Shutdown::Now);
            assert_eq!(end.connection.poll_timeout(), None);
        }
    }

    /// Moves bytes until none are left.
    fn run(&mut self) {
        loop {
            for client in [true, false] {
                self.deliver(client, usize::MAX, usize::MAX);
            }
            let quiet = |end: &End, side: &Side| {
                side.pipe.is_empty() && end.out.is_empty() && !end.connection.has_output()
            };
            if quiet(&self.pair.client, &self.client) && quiet(&self.pair.server, &self.server) {
                return;
            }
        }
    }
}

impl Side {
    fn hear(&mut self, events: Vec<Heard>) {
        for event in events {
            match event {
                Heard::Text(_) | Heard::Binary(_) => self.heard.push(event),
                Heard::Chunk { ends_message, .. }
                | Heard::Frame {
                    fin: ends_message, ..
                } => {
                    self.chunks.push(event);
                    if ends_message {
                        self.heard.extend(join_messages(self.chunks.drain(..)));
                    }
                }
                Heard::Ping(_) | Heard::Pong(_) | Heard::Close(..) => {}
            }
        }
    }

    /// A command may be refused for a reason that the simulation can see.
    fn expect_refused(&self, error: SendError) {
        match error {
            SendError::Closed => {}
            SendError::FragmentInProgress | SendError::FragmentKind => assert!(self.unfinished.is_some()),
            SendError::OrphanContinuation => assert!(self.unfinished.is_none()),
            // Bytes without order, sent as the continuation of text.
            SendError::Utf8Invalid => {
                assert!(self.unfinished.as_ref().is_some_and(|(text, _)| *text));
            }
            other => panic!("{other}"),
        }
    }
}

impl Payload {
    fn bytes(self) -> Vec<u8> {
        let length = usize::from(self.length % 20_000);
        if self.dull {
            return vec![b'd'; length];
        }
        crate::support::noise(length as u64)
            .map(|byte| if self.text { b' ' + byte % 90 } else { byte })
            .take(length)
            .collect()
    }
}

impl From<Effort> for Compress {
    fn from(effort: Effort) -> Self {
        match effort {
            Effort::Auto => Self::Auto,
            Effort::Always => Self::Always,
            Effort::Never => Self::Never,
        }
    }
}

fn message(bytes: &[u8], text: bool) -> Message<'_> {
    match std::str::from_utf8(bytes) {
        Ok(valid) if text => Message::Text(valid),
        _ => Message::Binary(bytes),
    }
}

fn heard(bytes: Vec<u8>, text: bool) -> Heard {
    if text {
        Heard::Text(String::from_utf8(bytes).expect("payloads of text are ASCII"))
    } else {
        Heard::Binary(bytes)
    }
}
