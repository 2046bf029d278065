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

    /// Ends the connection once nothing more of interest will come.
    fn result(&self) -> Result<(), Trouble> {
        if self.body.len() >= self.length.unwrap_or(Self::BODY).min(Self::BODY) {
            return Err(self.trouble());
        }
        Ok(())
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

    /// Takes a part of the response. Once the handshake is done, gives what was agreed on, and what came
    /// behind it.
    ///
    /// # Errors
    /// Why the connection ends.
    pub(super) fn respond(
        &mut self,
        bytes: &[u8],
        common: &Common,
        now: Instant,
    ) -> Result<Option<(Negotiated, Vec<u8>)>, Trouble> {
        match &mut self.stage {
            Stage::Opening(opening) => {
                opening.received.extend_from_slice(bytes);
                let Some(head) = opening.reader.read(&opening.received).map_err(failed)? else {
                    return Ok(None);
                };
                let rest = opening.received.split_off(head.len);
                if head.response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    let agreed = opening.request.verify(&head.response).map_err(failed)?;
                    self.stage = Stage::Open(Box::new(common.connection(agreed.deflate, now)));
                    return Ok(Some((agreed, rest)));
                }
                let refusal = Box::new(Refusal::new(&head.response, &rest));
                let result = refusal.result();
                self.stage = Stage::Refused(refusal);
                result.map(|()| None)
            }
            Stage::Refused(refusal) => {
                let left = Refusal::BODY.saturating_sub(refusal.body.len());
                refusal.body.extend_from_slice(&bytes[..left.min(bytes.len())]);
                refusal.result().map(|()| None)
            }
            Stage::Open(_) => Ok(None),
        }
    }

    /// Takes what came on an open connection, and hands its messages over. What the protocol owes goes to
    /// `out`.
    ///
    /// # Errors
    /// Why the connection ends.
    pub(super) fn receive(
        &mut self,
        bytes: &mut [u8],
        workspace: &mut Workspace,
        now: Instant,
        out: &mut Vec<u8>,
        mut message: impl FnMut(Message<'_>),
    ) -> Result<(), Trouble> {
        let Stage::Open(connection) = &mut self.stage else {
            return Ok(());
        };
        let was_open = connection.state() == State::Open;
        let mut at = 0;
        while at < bytes.len() {
            let received = match connection.receive(&mut bytes[at..], workspace, now) {
                Ok(received) => received,
                Err(error) => {
                    connection.poll_output(out);
                    return Err(Trouble::new(Kind::Protocol, error.to_string()));
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
                        return Err(closed_by_server(frame));
                    }
                }
                _ => {}
            }
        }
        Ok(())
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

fn failed(error: impl ToString) -> Trouble {
    Trouble::new(Kind::Handshake, error.to_string())
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
