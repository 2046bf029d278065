//! The connection of a conversation: what comes in, what goes out, and the recording of both.
//!
//! It is one WebSocket, or with `--reconnect` one after the other; `lasting` has what is different then.

mod lasting;

use std::sync::Arc;
use std::time::Duration;

use sockeye::{CloseCode, Message, Receiver, Result, Sender};

use super::end::End;
use super::options::ConnectOptions;
use crate::client::Handshake;
use crate::error::Failure;
use crate::record::{Event, Recorder, Side};
use lasting::Lasting;

/// The connection of a conversation.
pub(super) struct Link {
    incoming: Source,
    outgoing: Outgoing,
}

/// Where messages come from.
enum Source {
    Once(Receiver),
    Lasting(Box<Lasting>),
}

/// What comes in.
#[derive(Debug)]
pub(super) enum Incoming {
    Message(Message),
    /// Something that a person may want to know.
    Remark(String),
    Ended(End),
}

/// Sends, from any task.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    way: Way,
    recorder: Option<Arc<Recorder>>,
}

/// Where messages go.
#[derive(Debug, Clone)]
enum Way {
    Once(Sender),
    Lasting(lasting::Outgoing),
}

impl Link {
    /// Connects.
    pub(super) async fn open(options: &ConnectOptions) -> Result<Self, Failure> {
        let mut dialer = options.dialer()?;
        let recorder = options.record.as_deref().map(Recorder::create).transpose()?;
        let recorder = recorder.map(Arc::new);
        if options.reconnect.is_some() {
            return Lasting::open(options, dialer, recorder).await;
        }
        let socket = dialer.connect(&options.url).await?;
        let (sender, receiver) = socket.split();
        if let Some(recorder) = &recorder {
            recorder.opened(&options.url, Handshake::of(&sender));
        }
        Ok(Self {
            incoming: Source::Once(receiver),
            outgoing: Outgoing {
                way: Way::Once(sender),
                recorder,
            },
        })
    }

    pub(super) fn outgoing(&self) -> Outgoing {
        self.outgoing.clone()
    }

    /// Waits for what happens next.
    ///
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Incoming {
        let incoming = match &mut self.incoming {
            Source::Once(receiver) => {
                let incoming = receive(receiver).await;
                if let Incoming::Ended(end) = &incoming {
                    self.outgoing.record_end(end);
                }
                incoming
            }
            // Knows of more ends than this one.
            Source::Lasting(lasting) => lasting.next(&self.outgoing).await,
        };
        if let Incoming::Message(message) = &incoming {
            self.outgoing.note(Side::Server, || Event::message(message));
        }
        match self.outgoing.failure() {
            Some(failure) => Incoming::Ended(End::NotRecorded(failure)),
            None => incoming,
        }
    }
}

async fn receive(receiver: &mut Receiver) -> Incoming {
    match receiver.recv().await {
        Ok(Some(message)) => Incoming::Message(message),
        Ok(None) => Incoming::Ended(End::Closed(receiver.close_info())),
        Err(error) => Incoming::Ended(End::Failed(error)),
    }
}

impl Outgoing {
    /// The handshake of the connection that is open; `None` while there is none.
    pub(super) fn handshake(&self) -> Option<Handshake> {
        self.current().map(|sender| Handshake::of(&sender))
    }

    fn current(&self) -> Option<Sender> {
        match &self.way {
            Way::Once(sender) => Some(sender.clone()),
            Way::Lasting(outgoing) => outgoing.current(),
        }
    }

    /// Sends a message. It is recorded when it is handed over, so that no answer can come before it.
    pub(super) async fn send(&self, message: Message) -> Result<()> {
        self.note(Side::Client, || Event::message(&message));
        match &self.way {
            Way::Once(sender) => sender.send(message).await,
            Way::Lasting(outgoing) => outgoing.send(message).await,
        }
    }

    /// Sends a ping and waits for its answer.
    pub(super) async fn ping(&self, payload: &[u8]) -> Result<Duration> {
        let Some(sender) = self.current() else {
            return Err(sockeye::Error::other("there is no connection at the moment"));
        };
        self.note(Side::Client, || Event::ping(payload));
        let round_trip = sender.ping(payload).await?;
        self.note(Side::Server, || Event::Pong {
            rtt_us: u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX),
        });
        Ok(round_trip)
    }

    pub(super) fn close(&self, code: CloseCode, reason: &str) -> Result<()> {
        self.note(Side::Client, || Event::Close {
            code: code.get(),
            reason: reason.to_owned(),
        });
        match &self.way {
            Way::Once(sender) => sender.start_close(code, reason),
            Way::Lasting(outgoing) => outgoing.close(code, reason),
        }
    }

    /// Waits until everything sent so far is on its way, or never will be.
    pub(super) async fn flush(&self) {
        match &self.way {
            // When the connection has ended, receiving tells why.
            Way::Once(sender) => drop(sender.flush().await),
            Way::Lasting(outgoing) => outgoing.flush().await,
        }
    }

    fn record_end(&self, end: &End) {
        match end {
            End::Closed(info) => self.note(Side::Server, || Event::closed(info)),
            End::Failed(error) => self.note(Side::Server, || Event::lost(error)),
            _ => {}
        }
    }

    fn note(&self, from: Side, event: impl FnOnce() -> Event) {
        if let Some(recorder) = &self.recorder {
            recorder.note(from, event());
        }
    }

    fn failure(&self) -> Option<Failure> {
        self.recorder.as_ref()?.failure()
    }
}
