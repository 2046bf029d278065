//! One endpoint with the buffers that its caller owns.

use std::time::Instant;

use sockeye_proto::{Connection, Error, Event, Message, MessageKind, Opcode, Workspace};

/// An event that outlives the buffers it was lent from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Chunk {
        kind: MessageKind,
        payload: Vec<u8>,
        starts_message: bool,
        ends_frame: bool,
        ends_message: bool,
    },
    Frame {
        opcode: Opcode,
        fin: bool,
        payload: Vec<u8>,
    },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// Code and reason; 1005 stands for a Close frame without either.
    Close(u16, String),
}

impl From<Event<'_>> for Heard {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Message(Message::Text(text)) => Self::Text(text.to_owned()),
            Event::Message(Message::Binary(payload)) => Self::Binary(payload.to_vec()),
            Event::Chunk(chunk) => Self::Chunk {
                kind: chunk.kind,
                payload: chunk.payload.to_vec(),
                starts_message: chunk.starts_message,
                ends_frame: chunk.ends_frame,
                ends_message: chunk.ends_message,
            },
            Event::Frame(frame) => Self::Frame {
                opcode: frame.opcode,
                fin: frame.fin,
                payload: frame.payload.to_vec(),
            },
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close(None) => Self::Close(1005, String::new()),
            Event::Close(Some(frame)) => Self::Close(frame.code().get(), frame.reason().to_owned()),
        }
    }
}

/// An endpoint, what it heard and what it wants to send.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) connection: Connection,
    /// Output that was not taken yet.
    pub(crate) out: Vec<u8>,
    /// Whether the transport takes no output: then owed control frames wait, as they would in a driver.
    pub(crate) blocked: bool,
    pub(crate) heard: Vec<Heard>,
    pub(crate) error: Option<Error>,
    workspace: Workspace,
}

impl End {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            out: Vec::new(),
            blocked: false,
            heard: Vec::new(),
            error: None,
            workspace: Workspace::new(),
        }
    }

    /// Receives bytes that arrived together.
    pub(crate) fn receive(&mut self, bytes: &[u8], now: Instant) {
        let mut input = bytes.to_vec();
        let (mut at, len) = (0, input.len());
        while at < len {
            match self
                .connection
                .receive(&mut input[at..], &mut self.workspace, now)
            {
                Ok(received) => {
                    at += received.consumed;
                    assert!(at <= len, "consumed more than there was");
                    match received.event {
                        Some(event) => self.heard.push(event.into()),
                        None => assert_eq!(at, len, "no event, and input left"),
                    }
                }
                Err(error) => {
                    assert_eq!(self.error.replace(error), None, "failed twice");
                    at = len;
                }
            }
            self.poll_output();
        }
    }

    /// Receives bytes that arrive one at a time.
    pub(crate) fn receive_bytewise(&mut self, bytes: &[u8], now: Instant) {
        for byte in bytes {
            self.receive(std::slice::from_ref(byte), now);
        }
    }

    pub(crate) fn poll_output(&mut self) {
        if !self.blocked {
            self.connection.poll_output(&mut self.out);
            assert!(!self.connection.has_output());
        }
    }

    /// The transport takes all output.
    pub(crate) fn flush(&mut self, now: Instant) -> Vec<u8> {
        assert!(!self.blocked);
        self.poll_output();
        self.connection.handle_flushed(now);
        std::mem::take(&mut self.out)
    }

    /// Lets the deadlines pass that `now` has reached.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(deadline) = self.connection.poll_timeout()
            && deadline <= now
        {
            if let Err(error) = self.connection.handle_timeout(now) {
                self.error.get_or_insert(error);
            }
            assert!(
                self.connection.poll_timeout().is_none_or(|next| next > now),
                "a deadline came back"
            );
        }
        self.poll_output();
    }

    pub(crate) fn take_heard(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }
}
