//! One connection: its socket, its handshake, its messages.

use std::time::Instant;

use http::StatusCode;
use sockeye::driver::{Key, Outbox};
use sockeye::proto::deflate::{Compressor, Decompressor, Parameters};
use sockeye_proto::handshake::client::{Request, ResponseReader};
use sockeye_proto::handshake::{HeadLimits, Negotiated};
use sockeye_proto::{CloseCode, CloseFrame, Connection, Event, Message, Role, State, Workspace};

use super::Common;
use super::tls::Encryption;
use crate::bench::clock::Moment;
use crate::bench::frames::masking_key;
use crate::bench::trouble::{Kind, Trouble};
use crate::client::status_text;

/// A connection that was begun.
#[derive(Debug)]
pub(super) struct Client<S> {
    pub(super) key: Key,
    pub(super) socket: S,
    pub(super) outbox: Outbox,
    pub(super) encryption: Option<Box<Encryption>>,
    pub(super) stage: Stage,
    /// When it was due to be opened.
    pub(super) begun: Moment,
    /// Whether what comes is read.
    pub(super) reads: bool,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// TCP, TLS or the WebSocket handshake is under way.
    Opening(Box<Opening>),
    Open(Box<Connection>),
    /// The server said no, and is saying why.
    Refused(Box<Refusal>),
}

/// An opening handshake under way.
#[derive(Debug)]
pub(super) struct Opening {
    request: Request,
    reader: ResponseReader,
    /// What came of the response.
    received: Vec<u8>,
}

/// A refusal, whose body is still to come.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: Vec<u8>,
    /// What the body will have, if that was said.
    length: Option<usize>,
}

impl Refusal {
    /// Most of a body that is waited for.
    const BODY: usize = 4096;

    fn new(response: &http::Response<()>, body: &[u8]) -> Self {
        let length = response.headers().get(http::header::CONTENT_LENGTH);
        Self {
            status: response.status(),
            body: body.to_vec(),
            length: length.and_then(|length| length.to_str().ok()?.parse().ok()),
        }
    }

    /// Whether nothing more of interest will come.
    fn is_whole(&self) -> bool {
        self.body.len() >= self.length.unwrap_or(Self::BODY).min(Self::BODY)
    }

    /// What it amounts to.
    pub(super) fn trouble(&self) -> Trouble {
        let status = status_text(self.status.as_u16());
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(Self::BODY)]);
        let line = body.lines().map(str::trim).find(|line| !line.is_empty());
        Trouble::new(
            Kind::Refused,
            match line {
                Some(line) => format!("{status}: {line}"),
                None => status,
            },
        )
    }
}

/// What bytes amounted to, for whoever owns the connection.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing that ends it.
    Continues,
    /// The handshake is done.
    Opened(Negotiated),
    /// It has come to an end, for this reason.
    Ends(Trouble),
}

impl Opening {
    pub(super) fn new(request: Request) -> Self {
        Self {
            request,
            reader: ResponseReader::new(HeadLimits::default()),
            received: Vec::new(),
        }
    }

    /// The request.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.request.write(out);
    }
}

impl<S> Client<S> {
    /// Whether messages can be sent.
    pub(super) fn is_open(&self) -> bool {
        matches!(&self.stage, Stage::Open(connection) if connection.state() == State::Open)
    }

    /// Takes a part of the response. Once the handshake is done, gives what came behind it.
    pub(super) fn respond(&mut self, bytes: &[u8], common: &Common, now: Instant) -> (Outcome, Vec<u8>) {
        match &mut self.stage {
            Stage::Opening(opening) => {
                opening.received.extend_from_slice(bytes);
                let head = match opening.reader.read(&opening.received) {
                    Ok(Some(head)) => head,
                    Ok(None) => return (Outcome::Continues, Vec::new()),
                    Err(error) => {
                        let trouble = Trouble::new(Kind::Handshake, error.to_string());
                        return (Outcome::Ends(trouble), Vec::new());
                    }
                };
                let rest = opening.received.split_off(head.len);
                if head.response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    self.stage = Stage::Refused(Box::new(Refusal::new(&head.response, &rest)));
                    return (self.refused(), Vec::new());
                }
                match opening.request.verify(&head.response) {
                    Ok(agreed) => {
                        let connection = common.connection(agreed.deflate, now);
                        self.stage = Stage::Open(Box::new(connection));
                        (Outcome::Opened(agreed), rest)
                    }
                    Err(error) => {
                        let trouble = Trouble::new(Kind::Handshake, error.to_string());
                        (Outcome::Ends(trouble), Vec::new())
                    }
                }
            }
            Stage::Refused(refusal) => {
                let left = Refusal::BODY.saturating_sub(refusal.body.len());
                refusal.body.extend_from_slice(&bytes[..left.min(bytes.len())]);
                (self.refused(), Vec::new())
            }
            Stage::Open(_) => (Outcome::Continues, Vec::new()),
        }
    }

    fn refused(&self) -> Outcome {
        match &self.stage {
            Stage::Refused(refusal) if refusal.is_whole() => Outcome::Ends(refusal.trouble()),
            _ => Outcome::Continues,
        }
    }

    /// Takes what came on an open connection, and hands its messages over. What the protocol owes goes to `out`.
    pub(super) fn receive(
        &mut self,
        bytes: &mut [u8],
        workspace: &mut Workspace,
        now: Instant,
        out: &mut Vec<u8>,
        mut message: impl FnMut(Message<'_>),
    ) -> Outcome {
        let Stage::Open(connection) = &mut self.stage else {
            return Outcome::Continues;
        };
        let was_open = connection.state() == State::Open;
        let mut at = 0;
        while at < bytes.len() {
            let received = match connection.receive(&mut bytes[at..], workspace, now) {
                Ok(received) => received,
                Err(error) => {
                    connection.poll_output(out);
                    return Outcome::Ends(Trouble::new(Kind::Protocol, error.to_string()));
                }
            };
            at += received.consumed;
            match received.event {
                Some(Event::Message(came)) => message(came),
                Some(Event::Ping(_)) => {
                    connection.poll_output(out);
                }
                Some(Event::Close(frame)) => {
                    connection.poll_output(out);
                    if was_open {
                        return Outcome::Ends(closed_by_server(frame));
                    }
                }
                _ => {}
            }
        }
        Outcome::Continues
    }

    /// Begins the closing handshake; gives whether there is one to wait for.
    pub(super) fn close(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let Stage::Open(connection) = &mut self.stage else {
            return false;
        };
        if connection.state() == State::Open {
            connection.close(CloseFrame::new(CloseCode::NORMAL, "").ok(), now, out);
        }
        true
    }
}

fn closed_by_server(frame: Option<CloseFrame<'_>>) -> Trouble {
    let detail = match frame {
        None => "without a code".to_owned(),
        Some(frame) if frame.reason().is_empty() => format!("with {}", frame.code().get()),
        Some(frame) => format!("with {}: {}", frame.code().get(), frame.reason()),
    };
    Trouble::new(Kind::Closed, detail)
}

impl Common {
    fn connection(&self, agreed: Option<Parameters>, now: Instant) -> Connection {
        let deflate = agreed
            .zip(self.plan.deflate.as_ref())
            .map(|(parameters, options)| {
                let compressor =
                    Compressor::new(Role::Client, parameters, options, self.deflate_pool.clone());
                let decompressor = Decompressor::new(Role::Client, parameters, self.deflate_pool.clone());
                (compressor, decompressor)
            });
        Connection::client(self.plan.config.clone(), Box::new(masking_key), deflate, now)
    }
}
