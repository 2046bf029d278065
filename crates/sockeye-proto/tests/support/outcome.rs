//! What came of a byte stream, to be compared however the bytes arrived.

use sockeye_proto::deflate::Parameters;
use sockeye_proto::{Config, Error, Limit, MessageKind, Opcode, ProtocolError, Role, State};

use super::end::Heard;
use super::peer::Peer;

/// All that an endpoint did with the bytes it received.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What it heard, the chunks of each frame joined: how many there are follows from how the bytes arrived.
    pub(crate) heard: Vec<Heard>,
    pub(crate) error: Option<Error>,
    pub(crate) out: Vec<u8>,
    pub(crate) state: State,
}

impl Outcome {
    /// Lets an endpoint receive pieces of a stream.
    pub(crate) fn of<'a>(
        role: Role,
        config: &Config,
        parameters: Option<Parameters>,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let mut peer = Peer::of(role, config.clone(), parameters);
        for piece in pieces {
            peer.send_bytes(piece);
        }
        Self {
            heard: join_chunks(peer.take_heard()),
            error: peer.error,
            out: std::mem::take(&mut peer.out),
            state: peer.connection.state(),
        }
    }

    /// Both are outcomes of the same bytes, which arrived in different pieces.
    pub(crate) fn assert_same(&self, other: &Self) {
        assert_eq!(self.state, other.state);
        self.assert_same_error(other);
        let (mut one, mut two) = (self.heard.clone(), other.heard.clone());
        // How much of an unfinished frame was handed out before the end depends on how it arrived.
        let ends = [&mut one, &mut two].map(|heard| {
            heard.pop_if(|event| {
                matches!(
                    event,
                    Heard::Chunk {
                        ends_frame: false,
                        ..
                    }
                )
            })
        });
        if let [
            Some(Heard::Chunk { payload: a, .. }),
            Some(Heard::Chunk { payload: b, .. }),
        ] = ends
        {
            assert!(a.starts_with(&b) || b.starts_with(&a));
        }
        assert_eq!(one, two);
    }

    /// Both ended in the same error, and told the peer so.
    pub(crate) fn assert_same_error(&self, other: &Self) {
        let corrupt = Some(ProtocolError::DeflateInvalid.into());
        if self.error == corrupt || other.error == corrupt {
            // The library reports corrupt data before it hands out what it inflated up to there: of several faults
            // in one message either may be told.
            let [one, two] = [self, other].map(|outcome| outcome.error.is_some_and(is_in_payload));
            assert!(one && two, "{:?} {:?}", self.error, other.error);
        } else {
            assert_eq!(self.error, other.error);
            assert_eq!(self.out, other.out);
        }
    }
}

/// Whether the fault lies in the bytes of a message rather than in its frames.
fn is_in_payload(error: Error) -> bool {
    matches!(
        error,
        Error::Protocol(ProtocolError::Utf8Invalid | ProtocolError::DeflateInvalid)
            | Error::Limit(Limit::MessageSize(_))
    )
}

/// Joins the chunks of each frame.
fn join_chunks(heard: Vec<Heard>) -> Vec<Heard> {
    let mut joined: Vec<Heard> = Vec::new();
    for event in heard {
        if let Some(Heard::Chunk {
            payload: before,
            ends_frame: ended @ false,
            ends_message: message_ended,
            ..
        }) = joined.last_mut()
            && let Heard::Chunk {
                payload,
                starts_message: false,
                ends_frame,
                ends_message,
                ..
            } = &event
        {
            before.extend_from_slice(payload);
            *ended = *ends_frame;
            *message_ended = *ends_message;
        } else {
            joined.push(event);
        }
    }
    joined
}

/// Joins the chunks, or the frames, of each message, as whole messages are delivered. An unfinished one is left out.
pub(crate) fn join_messages(heard: impl IntoIterator<Item = Heard>) -> Vec<Heard> {
    let mut joined = Vec::new();
    let mut current = Vec::new();
    let mut first = MessageKind::Binary;
    for event in heard {
        let event = match event {
            Heard::Frame { opcode, fin, payload } => {
                first = match opcode {
                    Opcode::Text => MessageKind::Text,
                    Opcode::Binary => MessageKind::Binary,
                    _ => first,
                };
                Heard::Chunk {
                    kind: first,
                    payload,
                    starts_message: opcode != Opcode::Continuation,
                    ends_frame: true,
                    ends_message: fin,
                }
            }
            other => other,
        };
        match event {
            Heard::Chunk {
                kind,
                payload,
                ends_message,
                ..
            } => {
                current.extend_from_slice(&payload);
                if ends_message {
                    let whole = std::mem::take(&mut current);
                    joined.push(match kind {
                        MessageKind::Text => Heard::Text(String::from_utf8(whole).expect("checked UTF-8")),
                        MessageKind::Binary => Heard::Binary(whole),
                    });
                }
            }
            other => joined.push(other),
        }
    }
    joined
}
