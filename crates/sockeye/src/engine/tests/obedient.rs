//! A handler that does what it is told, and tells what it hears.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use super::super::{CloseEvent, Handler, Sent, Socket, SocketHandle};
use crate::server::{Accept, Decline, Rejection, UpgradeRequest};
use crate::{CloseCode, MessageRef};

/// What was heard, in order.
#[derive(Clone, Default)]
pub(super) struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub(super) fn note(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// What was heard since the last look.
    pub(super) fn read(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Messages are orders: a word, and what it needs.
#[derive(Clone, Default)]
pub(super) struct Obedient {
    pub(super) diary: Diary,
    pub(super) handles: Arc<Mutex<Vec<SocketHandle>>>,
}

/// Counts messages, and tells when it is dropped.
#[derive(Default)]
pub(super) struct Tally {
    messages: usize,
    diary: Option<Diary>,
}

impl Drop for Tally {
    fn drop(&mut self) {
        if let Some(diary) = &self.diary {
            diary.note(format!("dropped after {}", self.messages));
        }
    }
}

impl Handler for Obedient {
    type Data = Tally;

    fn upgrade(&self, request: &UpgradeRequest, data: &mut Tally) -> Result<Accept, Decline> {
        data.diary = Some(self.diary.clone());
        match request.header(&http::HeaderName::from_static("x-refuse")) {
            Some(_) => Err(Rejection::forbidden("No.").into()),
            None => Ok(Accept::new()),
        }
    }

    fn open(&self, socket: &mut Socket<'_, Tally>) {
        self.diary.note(format!("open {:?}", socket.state()));
    }

    fn message(&self, socket: &mut Socket<'_, Tally>, message: MessageRef<'_>) {
        socket.data_mut().messages += 1;
        let MessageRef::Text(text) = message else {
            let sent = socket.send(message);
            if sent != Sent::Sent {
                self.diary.note(format!("{sent:?}"));
            }
            return;
        };
        let (order, rest) = text.split_once(' ').unwrap_or((text, ""));
        match order {
            "close" => socket.close(CloseCode::new(4000).unwrap(), rest).unwrap(),
            "leave" => {
                let code = CloseCode::new(4001).unwrap();
                socket.close_after_flush(code, rest).unwrap();
                self.diary.note(format!("then {:?}", socket.send("too late")));
            }
            "abort" => {
                socket.send("never seen");
                socket.abort();
                self.diary.note(format!("then {:?}", socket.send("too late")));
            }
            "panic" => panic!("on purpose"),
            "pause" => socket.pause().unwrap(),
            // Pauses until the subscription is told.
            "nap" => {
                socket.pause().unwrap();
                socket.subscribe(rest).unwrap();
            }
            "ping" => socket.ping(rest.as_bytes()).unwrap(),
            "handle" => self.handles.lock().unwrap().push(socket.handle()),
            // Sends so many bytes.
            "pour" => {
                let sent = socket.send(vec![7; rest.parse().unwrap()]);
                self.diary.note(format!("{sent:?} {}", socket.buffered_amount()));
            }
            "pieces" => {
                for (at, word) in rest.split(' ').enumerate() {
                    socket.send_fragment(word, at == rest.split(' ').count() - 1);
                }
            }
            _ => {
                let mut answer = Vec::new();
                write!(answer, "{text}!").unwrap();
                socket.send(String::from_utf8(answer).unwrap());
            }
        }
    }

    fn fragment(&self, _: &mut Socket<'_, Tally>, fragment: sockeye_proto::Chunk<'_>) {
        let payload = fragment.payload.escape_ascii();
        let (starts, ends) = (fragment.starts_message, fragment.ends_message);
        self.diary
            .note(format!("{:?} {starts} {payload} {ends}", fragment.kind));
    }

    fn ping(&self, _: &mut Socket<'_, Tally>, payload: &[u8]) {
        self.diary.note(format!("ping {}", payload.escape_ascii()));
    }

    fn pong(&self, socket: &mut Socket<'_, Tally>, payload: &[u8]) {
        self.diary.note(format!("pong {}", payload.escape_ascii()));
        if payload == b"resume" {
            socket.resume();
        }
    }

    fn subscription(&self, socket: &mut Socket<'_, Tally>, _: &str, new: usize, old: usize) {
        if new > old {
            socket.resume();
        }
    }

    fn drain(&self, socket: &mut Socket<'_, Tally>) {
        self.diary.note(format!("drain {}", socket.buffered_amount()));
    }

    fn dropped(&self, _: &mut Socket<'_, Tally>, message: MessageRef<'_>, topic: Option<&str>) {
        assert_eq!(topic, None);
        self.diary.note(format!("dropped {}", message.as_bytes().len()));
    }

    fn close(&self, socket: &mut Socket<'_, Tally>, end: CloseEvent<'_>) {
        let CloseEvent {
            code,
            reason,
            was_clean,
            error,
            ..
        } = end;
        let error = error.map_or_else(String::new, |error| format!(": {error}"));
        self.diary
            .note(format!("close {code} {reason:?} {was_clean}{error}"));
        assert_eq!(socket.send("into the void"), Sent::Dropped);
    }
}
