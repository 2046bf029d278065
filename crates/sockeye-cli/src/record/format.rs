//! The lines of a recording.

use serde::{Deserialize, Serialize};
use sockeye::{CloseInfo, Message};

use crate::client::Handshake;
use crate::payload;

/// The version of the format that is written, and the only one that is read.
pub(crate) const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Tells a recording from other files, and which version of the format it is in.
    #[serde(rename = "sockeye-recording")]
    pub(crate) version: u32,
    /// Where the connection went, without name and password.
    pub(crate) url: String,
    /// When it was open, RFC 3339.
    pub(crate) started: String,
    /// Later programs may know more about a handshake, and others less.
    #[serde(default)]
    pub(crate) handshake: Handshake,
}

/// Every further line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Microseconds since the connection was open.
    pub(crate) at_us: u64,
    pub(crate) from: Side,
    #[serde(flatten)]
    pub(crate) event: Event,
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    Client,
    Server,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Event {
    /// A text message.
    Text { text: String },
    /// A binary message.
    Binary { base64: String },
    /// A ping that was asked for; those of `--ping-interval` are not recorded.
    Ping { base64: String },
    /// The answer to it.
    Pong { rtt_us: u64 },
    /// A Close frame; 1005 is one without a code.
    Close { code: u16, reason: String },
    /// The connection ended without one.
    Lost { error: String },
    /// A further connection (`--reconnect`), with what its handshake brought.
    Open { handshake: Box<Handshake> },
}

impl Event {
    pub(crate) fn message(message: &Message) -> Self {
        match message {
            Message::Text(text) => Self::Text {
                text: text.as_str().to_owned(),
            },
            Message::Binary(bytes) => Self::Binary {
                base64: payload::to_base64(bytes),
            },
        }
    }

    pub(crate) fn closed(info: &CloseInfo) -> Self {
        Self::Close {
            code: info.code,
            reason: info.reason.as_str().to_owned(),
        }
    }

    pub(crate) fn lost(error: &sockeye::Error) -> Self {
        Self::Lost {
            error: error.to_string(),
        }
    }

    pub(crate) fn ping(payload: &[u8]) -> Self {
        Self::Ping {
            base64: payload::to_base64(payload),
        }
    }

    /// Whether nothing can come behind this on its connection.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self, Self::Close { .. } | Self::Lost { .. })
    }

    /// The message, if this is one.
    pub(crate) fn to_message(&self) -> Result<Option<Message>, String> {
        Ok(match self {
            Self::Text { text } => Some(Message::text(text.clone())),
            Self::Binary { base64 } => Some(Message::binary(payload::from_base64(base64)?)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_line_is_as_the_guide_has_it() {
        let server = Side::Server;
        let table = [
            (
                Side::Client,
                Event::message(&Message::text("a\n\u{1b}")),
                r#"{"at_us":7,"from":"client","kind":"text","text":"a\n\u001b"}"#,
            ),
            (
                server,
                Event::message(&Message::binary(vec![0, 255])),
                r#"{"at_us":7,"from":"server","kind":"binary","base64":"AP8="}"#,
            ),
            (
                Side::Client,
                Event::ping(b"p"),
                r#"{"at_us":7,"from":"client","kind":"ping","base64":"cA=="}"#,
            ),
            (
                server,
                Event::Pong { rtt_us: 12 },
                r#"{"at_us":7,"from":"server","kind":"pong","rtt_us":12}"#,
            ),
            (
                server,
                Event::Close {
                    code: 1000,
                    reason: "bye".into(),
                },
                r#"{"at_us":7,"from":"server","kind":"close","code":1000,"reason":"bye"}"#,
            ),
            (
                server,
                Event::Lost {
                    error: "connection lost".into(),
                },
                r#"{"at_us":7,"from":"server","kind":"lost","error":"connection lost"}"#,
            ),
        ];
        for (from, event, line) in table {
            let entry = Entry {
                at_us: 7,
                from,
                event,
            };
            assert_eq!(serde_json::to_string(&entry).unwrap(), line);
            assert_eq!(serde_json::from_str::<Entry>(line).unwrap(), entry);
        }
    }
}
