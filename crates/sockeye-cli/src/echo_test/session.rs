//! A connection to the server under test, renewed when a check has cost it.

use std::time::Duration;

use sockeye::{CloseInfo, Message, WebSocket};
use tokio::time::{Instant, timeout};

use super::options::EchoTestOptions;
use crate::client::Dialer;
use crate::connect::closed;
use crate::error::{Failure, chain};
use crate::payload;

/// Most messages before the first echo that are taken for a greeting.
const MAX_GREETINGS: usize = 16;

/// Connects to the server under test, and exchanges messages with it.
#[derive(Debug)]
pub(super) struct Session<'a> {
    options: &'a EchoTestOptions,
    dialer: Dialer,
    socket: Option<WebSocket>,
}

/// Why a message did not come back.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Something else came.
    Different(String),
    /// Nothing came in time.
    Silence(Duration),
    /// The server closed.
    Closed(CloseInfo),
    /// The connection failed.
    Failed(sockeye::Error),
}

impl Trouble {
    /// Whether the server says that the message was larger than it takes.
    pub(super) fn is_too_big(&self) -> bool {
        matches!(self, Self::Closed(info) if info.code == 1009)
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Different(what) => what.clone(),
            Self::Silence(patience) => format!("no answer in {patience:?}"),
            Self::Closed(info) => closed(info),
            Self::Failed(error) => payload::one_line(&chain(error)),
        }
    }
}

impl Trouble {
    /// The reason, where this says no more than that the connection is closing.
    pub(super) fn explained(self, socket: &WebSocket) -> Self {
        match (self, socket.close_info()) {
            (Self::Failed(error), Some(info)) if error.is_closed() => Self::Closed(info),
            (trouble, _) => trouble,
        }
    }
}

impl From<sockeye::Error> for Trouble {
    fn from(error: sockeye::Error) -> Self {
        Self::Failed(error)
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(options: &'a EchoTestOptions) -> Result<Self, Failure> {
        let mut settings = options.client.clone();
        // What is sent comes back.
        settings.max_message_size.0 = settings.max_message_size.0.max(options.max_size.0);
        Ok(Self {
            options,
            dialer: settings.dialer()?,
            socket: None,
        })
    }

    pub(super) fn patience(&self) -> Duration {
        self.options.patience.0
    }

    /// Connects anew; gives the time it took.
    pub(super) async fn connect(&mut self) -> Result<Duration, Failure> {
        let started = Instant::now();
        let socket = self.dialer.connect(&self.options.url).await?;
        self.socket = Some(socket);
        Ok(started.elapsed())
    }

    /// The open connection. A new one, behind its greeting, if the last one is gone.
    pub(super) async fn socket(&mut self) -> Result<&mut WebSocket, Failure> {
        if self.socket.is_none() {
            self.connect().await?;
            if let Err(trouble) = self.greeting().await {
                return Err(Failure::new(format!(
                    "a further connection fails: {}",
                    trouble.describe()
                )));
            }
        }
        self.socket
            .as_mut()
            .ok_or_else(|| Failure::new("the connection is gone"))
    }

    /// Gives the connection away.
    pub(super) async fn take(&mut self) -> Result<WebSocket, Failure> {
        self.socket().await?;
        self.socket
            .take()
            .ok_or_else(|| Failure::new("the connection is gone"))
    }

    /// Takes back what was given away.
    pub(super) fn give_back(&mut self, socket: WebSocket) {
        self.socket = Some(socket);
    }

    /// Forgets a connection that a check has spoilt.
    pub(super) fn give_up(&mut self) {
        self.socket = None;
    }

    /// Sends the first message; gives what came before its echo.
    pub(super) async fn greeting(&mut self) -> Result<Vec<Message>, Trouble> {
        let patience = self.patience();
        let Some(socket) = &mut self.socket else {
            return Ok(Vec::new());
        };
        let marker = Message::text(format!("sockeye echo-test {:016x}", marker()));
        // When the connection has ended, receiving tells why.
        let _ = socket.send(&marker).await;
        let mut greetings = Vec::new();
        while greetings.len() < MAX_GREETINGS {
            let message = receive(socket, patience).await?;
            if message == marker {
                return Ok(greetings);
            }
            greetings.push(message);
        }
        Err(Trouble::Different(format!(
            "{MAX_GREETINGS} other messages came, and not the one that was sent: this is no echo server"
        )))
    }

    /// Sends a message and waits for its echo; gives the round trip.
    pub(super) async fn echo(&mut self, message: &Message) -> Result<Result<Duration, Trouble>, Failure> {
        let patience = self.patience();
        let socket = self.socket().await?;
        let result = async {
            let started = Instant::now();
            // When the connection has ended, receiving tells why.
            let _ = socket.send(message).await;
            expect(socket, message, patience).await?;
            Ok(started.elapsed())
        }
        .await;
        if result.is_err() {
            self.give_up();
        }
        Ok(result)
    }
}

/// A number that no other run has.
fn marker() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// Waits for a message.
pub(super) async fn receive(socket: &mut WebSocket, patience: Duration) -> Result<Message, Trouble> {
    match timeout(patience, socket.recv()).await {
        Err(_) => Err(Trouble::Silence(patience)),
        Ok(Ok(Some(message))) => Ok(message),
        Ok(Ok(None)) => Err(match socket.close_info() {
            Some(info) => Trouble::Closed(info),
            None => Trouble::Different("the connection ended".to_owned()),
        }),
        Ok(Err(error)) => Err(Trouble::Failed(error)),
    }
}

/// Waits for the echo of a message.
pub(super) async fn expect(
    socket: &mut WebSocket,
    sent: &Message,
    patience: Duration,
) -> Result<(), Trouble> {
    let received = receive(socket, patience).await?;
    if received == *sent {
        return Ok(());
    }
    Err(Trouble::Different(difference(sent, &received)))
}

fn difference(sent: &Message, received: &Message) -> String {
    let kind = |message: &Message| match message {
        Message::Text(_) => "text",
        Message::Binary(_) => "binary",
    };
    if sent.as_bytes() == received.as_bytes() {
        return format!("{} came back as {}", kind(sent), kind(received));
    }
    if sent.len() != received.len() {
        return format!(
            "{} bytes of {} came back for {} of {}",
            received.len(),
            kind(received),
            sent.len(),
            kind(sent)
        );
    }
    let at = sent
        .as_bytes()
        .iter()
        .zip(received.as_bytes())
        .position(|(sent, received)| sent != received)
        .unwrap_or_default();
    format!("other bytes came back, from byte {at} on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named() {
        let text = |text: &str| Message::text(text.to_owned());
        let table = [
            (
                text("a"),
                Message::binary(b"a".to_vec()),
                "text came back as binary",
            ),
            (text("abc"), text("ab"), "2 bytes of text came back for 3 of text"),
            (text("abc"), text("abd"), "other bytes came back, from byte 2 on"),
        ];
        for (sent, received, want) in table {
            assert_eq!(difference(&sent, &received), want);
        }
    }
}
