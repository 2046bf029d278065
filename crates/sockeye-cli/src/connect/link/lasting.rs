//! One connection after the other (`--reconnect`).

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sockeye::reconnect::{Backoff, Cause, Event, Events, GaveUp, HookError, Jitter, Receiver, Reconnecting};
use sockeye::{CloseCode, Message, Result, Sender, WebSocket};

use super::super::end::End;
use super::super::options::ConnectOptions;
use super::{Incoming, Link, Source, Way};
use crate::client::{Dialer, Handshake, explain};
use crate::error::{Failure, chain, without_numbers};
use crate::payload;
use crate::record::{self, Recorder, Side};

/// How long to wait before the first further attempt, and at most. One person's client bears down on nobody.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Behind every connection: there is none any more.
const LAST: u64 = u64::MAX;

/// What comes from connections in turn.
pub(super) struct Lasting {
    receiver: Receiver,
    events: Events,
    url: String,
    recorder: Option<Arc<Recorder>>,
    current: Arc<Mutex<Option<Sender>>>,
    /// The number of the connection that events have told of last.
    connection: u64,
    /// The number of the connection that they have to tell of before `held` is.
    awaited: u64,
    held: Option<Incoming>,
    /// What is told next, in this order.
    waiting: VecDeque<Incoming>,
}

/// Sends on whichever connection is open, or the next one.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    sender: sockeye::reconnect::Sender,
    current: Arc<Mutex<Option<Sender>>>,
}

impl Lasting {
    /// Connects for the first time, however many attempts it takes.
    pub(super) async fn open(
        options: &ConnectOptions,
        dialer: Dialer,
        recorder: Option<Arc<Recorder>>,
    ) -> Result<Link, Failure> {
        let current = Arc::new(Mutex::new(None));
        let attempts = options.reconnect.and_then(|reconnect| reconnect.limit());
        let client = Reconnecting::builder(&options.url)
            .client(dialer.client())
            .backoff(Backoff {
                first: FIRST_WAIT,
                max: LONGEST_WAIT,
                jitter: Jitter::Equal,
                ..Backoff::default()
            })
            .max_attempts(attempts.map(|count| u32::try_from(count.0).unwrap_or(u32::MAX)))
            .on_open(opened(dialer, current.clone()))
            .start()
            .map_err(|error| explain(&error))?;
        let mut events = client.events();
        let first = loop {
            match events.recv().await {
                Some(Event::Open { connection, .. }) => break connection,
                Some(Event::GaveUp(gave_up)) => return Err(failure(&gave_up)),
                Some(event) => {
                    if let Some(remark) = remark(&event).filter(|_| !options.client.quiet) {
                        eprintln!("sockeye: {remark}");
                    }
                }
                None => return Err(Failure::new("no connection")),
            }
        };
        let (sender, receiver) = client.split();
        let mut lasting = Self {
            receiver,
            events,
            url: options.url.clone(),
            recorder: recorder.clone(),
            current: current.clone(),
            connection: 0,
            awaited: 0,
            held: None,
            waiting: VecDeque::new(),
        };
        lasting.opened(first);
        Ok(Link {
            incoming: Source::Lasting(Box::new(lasting)),
            outgoing: super::Outgoing {
                way: Way::Lasting(Outgoing { sender, current }),
                recorder,
            },
        })
    }

    /// Waits for what happens next.
    ///
    /// Cancel safe.
    pub(super) async fn next(&mut self, outgoing: &super::Outgoing) -> Incoming {
        loop {
            if let Some(incoming) = self.waiting.pop_front() {
                return incoming;
            }
            if self.connection < self.awaited {
                match self.events.recv().await {
                    Some(event) => self.tell(&event),
                    None => self.connection = LAST,
                }
                continue;
            }
            if let Some(incoming) = self.held.take() {
                return incoming;
            }
            tokio::select! {
                // What was received comes before the news that its connection is gone.
                biased;
                received = self.receiver.recv() => match received {
                    Ok(Some(message)) => {
                        self.awaited = self.receiver.received_from();
                        self.held = Some(Incoming::Message(message));
                    }
                    Ok(None) => return Incoming::Ended(ended(outgoing).await),
                    Err(gave_up) => {
                        self.awaited = LAST;
                        self.held = Some(Incoming::Ended(given_up(&gave_up)));
                    }
                },
                Some(event) = self.events.recv() => self.tell(&event),
            }
        }
    }

    fn tell(&mut self, event: &Event) {
        match event {
            Event::Open { connection, .. } => self.opened(*connection),
            Event::Lost { cause, .. } => self.record_loss(cause),
            Event::GaveUp(_) | Event::Closed { .. } => self.connection = LAST,
            // That of an opening may be among them.
            Event::Missed { .. } => self.connection = self.connection.max(self.receiver.received_from()),
            _ => {}
        }
        self.waiting.extend(remark(event).map(Incoming::Remark));
    }

    fn opened(&mut self, connection: u64) {
        self.connection = connection;
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(recorder), Some(sender)) = (&self.recorder, current.as_ref()) {
            recorder.opened(&self.url, Handshake::of(sender));
        }
    }

    /// The end of a connection, by no will of ours.
    fn record_loss(&self, cause: &Cause) {
        let Some(recorder) = &self.recorder else {
            return;
        };
        let event = match cause {
            Cause::Closed(info) => record::Event::closed(info),
            cause => record::Event::Lost {
                error: cause.to_string(),
            },
        };
        recorder.note(Side::Server, event);
    }
}

/// What is done with each connection before it is used.
fn opened(
    mut dialer: Dialer,
    current: Arc<Mutex<Option<Sender>>>,
) -> impl FnMut(WebSocket, u64) -> Ready<Result<WebSocket, HookError>> + Send + 'static {
    move |socket, _| {
        let sender = socket.sender();
        if let Err(failure) = dialer.opened(&sender) {
            return ready(Err(HookError::give_up(failure.to_string())));
        }
        *current.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        ready(Ok(socket))
    }
}

impl Outgoing {
    /// The open connection.
    pub(super) fn current(&self) -> Option<Sender> {
        self.sender.connection()?;
        self.current
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) async fn send(&self, message: Message) -> Result<()> {
        self.sender.send(message).await?;
        Ok(())
    }

    pub(super) async fn flush(&self) {
        self.sender.flush().await;
    }

    pub(super) fn close(&self, code: CloseCode, reason: &str) -> Result<()> {
        self.sender.start_close(code, reason)
    }
}

/// What is said of an event, in one line: servers give reasons.
fn remark(event: &Event) -> Option<String> {
    let remark = match event {
        Event::Lost { cause, queued, .. } if *queued > 0 => format!("{cause}; {queued} messages wait"),
        Event::Lost { cause, .. } => cause.to_string(),
        Event::Failed { attempt, cause } => format!("attempt {attempt}: {}", because(cause)),
        Event::Waiting { delay } => format!("the next attempt is in {:.1} s", delay.as_secs_f64()),
        Event::Open { connection, .. } => format!("connected again: this is connection {connection}"),
        _ => return None,
    };
    Some(payload::one_line(&without_numbers(&remark)))
}

fn because(cause: &Cause) -> String {
    cause
        .error()
        .map_or_else(|| cause.to_string(), |error| chain(error))
}

/// How it ended after we closed.
async fn ended(outgoing: &super::Outgoing) -> End {
    let Way::Lasting(Outgoing { sender, .. }) = &outgoing.way else {
        return End::ByUs;
    };
    let end = match sender.closed().await {
        Ok(Some(info)) => End::Closed(info),
        Ok(None) => End::ByUs,
        Err(error) => End::Failed(error),
    };
    outgoing.record_end(&end);
    end
}

/// How it ended when no further attempt is made.
fn given_up(gave_up: &GaveUp) -> End {
    match &gave_up.cause {
        Cause::Closed(info) => End::Closed(info.clone()),
        Cause::Lost(error) => End::Failed(error.clone()),
        _ => End::NotConnected(failure(gave_up)),
    }
}

fn failure(gave_up: &GaveUp) -> Failure {
    match gave_up.cause.error() {
        // What a server says when it refuses is worth more than the number of attempts.
        Some(error) if error.is_config() || error.refusal().is_some() => explain(error),
        _ => Failure::new(chain(gave_up)),
    }
}
