//! Playing in step with the recording, and comparing what comes with what came then.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use regex::bytes::Regex;
use sockeye::{CloseCode, CloseInfo, Message, Receiver, Sender, WebSocket};

use super::{Clock, Next, Played, ReplayOptions, act};
use crate::error::{Failure, chain};
use crate::payload;
use crate::record::{Entry, Event, Recording, Side};
use crate::status;

/// Most bytes of messages that wait to be compared. When there are more, the server has to wait.
const MAX_AHEAD: usize = 64 * 1024 * 1024;

/// What a message costs besides its bytes.
const PER_MESSAGE: usize = 64;

/// Most differences that are told.
const MAX_TOLD: u64 = 20;

/// Most characters of a message that a difference shows.
const SHOWN: usize = 120;

/// Compares connections with a recording.
#[derive(Debug)]
pub(super) struct Checker {
    ignore: Vec<Regex>,
    patience: Duration,
    quiet: bool,
    sent: u64,
    compared: u64,
    differences: u64,
}

impl Checker {
    pub(super) fn new(options: &ReplayOptions) -> Self {
        Self {
            ignore: options.ignore.clone(),
            patience: options.patience.0,
            quiet: options.client.quiet,
            sent: 0,
            compared: 0,
            differences: 0,
        }
    }

    /// Plays one connection.
    pub(super) async fn play(
        &mut self,
        socket: WebSocket,
        first: Vec<Event>,
        recording: &mut Recording,
        clock: Clock,
    ) -> Result<Played, Failure> {
        let (sender, receiver) = socket.split();
        let mut arriving = Arriving::new(receiver);
        let mut closed = false;
        // What was sent behind the end of this connection was for the next one.
        let mut ended = false;
        let mut waiting = Vec::new();
        for event in &first {
            arriving.meanwhile(act(&sender, event, recording)).await?;
        }
        while let Some(entry) = recording.next()? {
            match entry.from {
                _ if matches!(entry.event, Event::Open { .. }) => {
                    let _ = sender.start_close(CloseCode::NORMAL, "");
                    return Ok(Played::OpenAgain(Next {
                        at_us: entry.at_us,
                        first: waiting,
                    }));
                }
                Side::Client => {
                    self.sent += u64::from(matches!(entry.event, Event::Text { .. } | Event::Binary { .. }));
                    if ended {
                        waiting.push(entry.event);
                        continue;
                    }
                    closed |= entry.event.is_end();
                    let due = async {
                        clock.wait_for(entry.at_us).await;
                        act(&sender, &entry.event, recording).await
                    };
                    arriving.meanwhile(due).await?;
                }
                Side::Server => {
                    ended |= entry.event.is_end();
                    closed |= ended;
                    if !self.compare(&entry, &mut arriving, recording).await? {
                        return Ok(Played::Done(self.report(&sender)));
                    }
                }
            }
        }
        // A recording that was interrupted does not say that nothing more came.
        if closed {
            self.expect_no_more(&mut arriving).await;
        }
        Ok(Played::Done(self.report(&sender)))
    }

    /// Compares one thing that the server did. `false` when there is no use in going on.
    async fn compare(
        &mut self,
        entry: &Entry,
        arriving: &mut Arriving,
        recording: &Recording,
    ) -> Result<bool, Failure> {
        let expected = match &entry.event {
            Event::Close { code, reason } => Arrived::Closed(*code, reason.clone()),
            Event::Lost { error } => Arrived::Lost(error.clone()),
            event => match event.to_message().map_err(|complaint| recording.bad(complaint))? {
                Some(message) => Arrived::Message(message),
                None => return Ok(true),
            },
        };
        self.compared += 1;
        let Ok(arrived) = tokio::time::timeout(self.patience, arriving.next()).await else {
            self.differ(
                recording,
                &expected.describe(),
                &format!("nothing in {:?}", self.patience),
            );
            return Ok(false);
        };
        if !self.same(&expected, &arrived) {
            self.differ(recording, &expected.describe(), &arrived.describe());
        }
        Ok(matches!(arrived, Arrived::Message(_))
            || matches!(expected, Arrived::Closed(..) | Arrived::Lost(_)))
    }

    fn same(&self, expected: &Arrived, arrived: &Arrived) -> bool {
        match (expected, arrived) {
            (Arrived::Message(expected), Arrived::Message(arrived)) => {
                expected.kind() == arrived.kind()
                    && self.masked(expected.as_bytes()) == self.masked(arrived.as_bytes())
            }
            (Arrived::Closed(code, reason), Arrived::Closed(other, other_reason)) => {
                code == other && self.masked(reason.as_bytes()) == self.masked(other_reason.as_bytes())
            }
            // Systems name it differently.
            (Arrived::Lost(_), Arrived::Lost(_)) => true,
            _ => false,
        }
    }

    /// The bytes without what is to be ignored.
    fn masked<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        self.ignore.iter().fold(Cow::Borrowed(bytes), |bytes, ignore| {
            let replaced = ignore.replace_all(&bytes, &b"\x00"[..]);
            match replaced {
                Cow::Borrowed(_) => bytes,
                Cow::Owned(replaced) => Cow::Owned(replaced),
            }
        })
    }

    async fn expect_no_more(&mut self, arriving: &mut Arriving) {
        while !arriving.has_ended()
            && let Ok(Arrived::Message(message)) = tokio::time::timeout(self.patience, arriving.next()).await
        {
            self.differences += 1;
            self.tell(format!(
                "after the end: {} came, and nothing was recorded",
                describe(&message)
            ));
        }
    }

    fn differ(&mut self, recording: &Recording, expected: &str, arrived: &str) {
        self.differences += 1;
        self.tell(format!(
            "line {}: {expected} was recorded, {arrived} came",
            recording.line()
        ));
    }

    fn tell(&self, text: String) {
        if self.differences <= MAX_TOLD {
            eprintln!("sockeye: {text}");
        } else if self.differences == MAX_TOLD + 1 {
            eprintln!("sockeye: further differences are only counted");
        }
    }

    /// Closes, says what came of it, and gives the exit status.
    fn report(&self, sender: &Sender) -> u8 {
        let _ = sender.start_close(CloseCode::NORMAL, "");
        if self.differences > 0 {
            eprintln!(
                "sockeye: {} of {} compared differ",
                self.differences, self.compared
            );
            return status::UNEXPECTED;
        }
        if !self.quiet {
            eprintln!(
                "sockeye: sent {}, and received {} as recorded",
                self.sent, self.compared
            );
        }
        0
    }
}

/// Something that the server did.
#[derive(Debug, PartialEq, Eq)]
enum Arrived {
    Message(Message),
    Closed(u16, String),
    Lost(String),
}

impl Arrived {
    fn of(end: Result<CloseInfo, sockeye::Error>) -> Self {
        match end {
            Ok(info) => Self::Closed(info.code, info.reason.as_str().to_owned()),
            Err(error) => Self::Lost(chain(&error)),
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Message(message) => describe(message),
            Self::Closed(code, reason) if reason.is_empty() => format!("a close with {code}"),
            Self::Closed(code, reason) => format!("a close with {code} ({})", payload::one_line(reason)),
            Self::Lost(error) => format!("a failure ({})", payload::one_line(error)),
        }
    }
}

fn describe(message: &Message) -> String {
    match message {
        Message::Text(text) => {
            let line = payload::one_line(&text.chars().take(SHOWN).collect::<String>());
            let more = if text.chars().nth(SHOWN).is_some() {
                "…"
            } else {
                ""
            };
            format!("\"{line}{more}\"")
        }
        Message::Binary(bytes) => {
            let head = &bytes[..bytes.len().min(SHOWN / 2)];
            let more = if head.len() < bytes.len() { "…" } else { "" };
            format!("{} bytes {}{more}", bytes.len(), payload::to_hex(head))
        }
    }
}

/// What comes while something else is waited for.
struct Arriving {
    receiver: Receiver,
    waiting: VecDeque<Arrived>,
    bytes: usize,
    ended: bool,
}

impl Arriving {
    fn new(receiver: Receiver) -> Self {
        Self {
            receiver,
            waiting: VecDeque::new(),
            bytes: 0,
            ended: false,
        }
    }

    /// Does some work, and receives meanwhile: a server that cannot send may take nothing either.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                arrived = receive(&mut self.receiver), if !self.ended && self.bytes < MAX_AHEAD => {
                    self.put(arrived);
                }
            }
        }
    }

    /// Whether there is nothing more to come.
    fn has_ended(&self) -> bool {
        self.ended && self.waiting.is_empty()
    }

    /// The next thing that the server does; waits for ever after the end.
    async fn next(&mut self) -> Arrived {
        if self.waiting.is_empty() && !self.ended {
            let arrived = receive(&mut self.receiver).await;
            self.put(arrived);
        }
        match self.waiting.pop_front() {
            Some(Arrived::Message(message)) => {
                self.bytes -= message.len() + PER_MESSAGE;
                Arrived::Message(message)
            }
            Some(arrived) => arrived,
            None => std::future::pending().await,
        }
    }

    fn put(&mut self, arrived: Arrived) {
        match &arrived {
            Arrived::Message(message) => self.bytes += message.len() + PER_MESSAGE,
            _ => self.ended = true,
        }
        self.waiting.push_back(arrived);
    }
}

async fn receive(receiver: &mut Receiver) -> Arrived {
    match receiver.recv().await {
        Ok(Some(message)) => Arrived::Message(message),
        Ok(None) => Arrived::of(Ok(receiver.close_info())),
        Err(error) => Arrived::of(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checker(ignore: &[&str]) -> Checker {
        Checker {
            ignore: ignore.iter().map(|text| Regex::new(text).unwrap()).collect(),
            patience: Duration::from_secs(1),
            quiet: true,
            sent: 0,
            compared: 0,
            differences: 0,
        }
    }

    fn text(text: &str) -> Arrived {
        Arrived::Message(Message::text(text.to_owned()))
    }

    #[test]
    fn messages_are_the_same_in_kind_and_bytes() {
        let checker = checker(&[]);
        assert!(checker.same(&text("a"), &text("a")));
        assert!(!checker.same(&text("a"), &text("b")));
        assert!(!checker.same(&text("a"), &Arrived::Message(Message::binary(b"a".to_vec()))));
    }

    #[test]
    fn what_is_ignored_may_differ_and_the_rest_may_not() {
        let checker = checker(&["[0-9]+", "id=[a-f]*"]);
        assert!(checker.same(&text("at 12, id=ab"), &text("at 7, id=cdef")));
        assert!(!checker.same(&text("at 12, id=ab"), &text("at , id=ab")));
        assert!(!checker.same(&text("at 12"), &text("by 12")));
    }

    #[test]
    fn an_end_is_compared_by_code_and_reason() {
        let checker = checker(&[]);
        let close = |code, reason: &str| Arrived::Closed(code, reason.to_owned());
        assert!(checker.same(&close(1000, "a"), &close(1000, "a")));
        assert!(!checker.same(&close(1000, "a"), &close(1001, "a")));
        assert!(!checker.same(&close(1000, "a"), &close(1000, "b")));
        assert!(checker.same(&Arrived::Lost("x".into()), &Arrived::Lost("y".into())));
    }

    #[test]
    fn a_difference_shows_messages_in_one_line() {
        assert_eq!(text("a\n\u{1b}").describe(), "\"a\\n\\u{1b}\"");
        assert_eq!(text(&"x".repeat(200)).describe().chars().count(), SHOWN + 3);
        let bytes = Arrived::Message(Message::binary(vec![255; 100]));
        assert!(bytes.describe().starts_with("100 bytes ffff") && bytes.describe().ends_with("ff…"));
    }
}
