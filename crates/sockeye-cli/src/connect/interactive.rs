//! The client on a terminal: a line editor, with messages that arrive shown above the line being typed.

use std::path::PathBuf;
use std::time::Duration;

use rustyline::ExternalPrinter;
use sockeye::{CloseCode, Message};
use tokio::sync::mpsc;

use super::command::{self, Action, Reading};
use super::editor::{Keyboard, LineEditor, Typed};
use super::end::End;
use super::goal::{Goal, Verdict};
use super::link::{Incoming, Link, Outgoing};
use super::options::ConnectOptions;
use super::{Interruptions, Render, outgoing, until};
use crate::error::{Failure, chain};

/// Talks until either side closes.
pub(super) async fn run(
    mut link: Link,
    options: &ConnectOptions,
    goal: &mut Goal,
    mut editor: LineEditor,
    interruptions: &mut Interruptions,
) -> Result<End, Failure> {
    let printer = editor.printer().map_err(|error| {
        Failure::new(format!(
            "this terminal cannot be written to while a line is edited: {error}"
        ))
    })?;
    let render = Render::of(options);
    let (reports, reported) = mpsc::unbounded_channel();
    let reading = Reading::of(options);
    let mut talk = Talk {
        queue: Queue::start(link.outgoing(), reading, options, reports.clone()),
        outgoing: link.outgoing(),
        reading,
        screen: Screen { printer, render },
        reports,
        closing: None,
    };
    if !options.client.quiet {
        talk.screen.say(&format!(
            "connected to {}: /help lists the commands, Ctrl-D closes",
            options.url
        ));
    }
    let terminal = terminal::Saved::new();
    let keyboard = editor.read();
    let end = talk.run(&mut link, goal, keyboard, reported, interruptions).await;
    // The editor may still be waiting for a key.
    terminal.restore();
    // Off with the marks that the editor has put around pasted text.
    println!("\x1b[?2004l");
    Ok(end)
}

/// A conversation with a person.
struct Talk<P> {
    queue: Queue,
    outgoing: Outgoing,
    reading: Reading,
    screen: Screen<P>,
    /// Where commands that take their time tell what came of them.
    reports: mpsc::UnboundedSender<String>,
    /// How it will end, once it has begun to.
    closing: Option<End>,
}

impl<P: ExternalPrinter> Talk<P> {
    async fn run(
        mut self,
        link: &mut Link,
        goal: &mut Goal,
        mut keyboard: Keyboard,
        mut reported: mpsc::UnboundedReceiver<String>,
        interruptions: &mut Interruptions,
    ) -> End {
        loop {
            tokio::select! {
                incoming = link.next() => match incoming {
                    Incoming::Message(message) => {
                        let verdict = goal.receive(&message);
                        if verdict != Verdict::Ignore {
                            self.screen.show(&message);
                        }
                        if verdict == Verdict::ShowAndClose {
                            self.close(CloseCode::NORMAL, "", End::ByUs);
                        }
                    }
                    Incoming::Remark(remark) => self.screen.say(&remark),
                    Incoming::Ended(end) => return self.closing.unwrap_or(end),
                },
                Some(report) = reported.recv() => self.screen.say(&report),
                typed = keyboard.next() => {
                    match typed {
                        Some(Typed::Line(line)) => self.follow(&line),
                        Some(Typed::Interrupt) if self.closing.is_some() => return End::Interrupted,
                        Some(Typed::Interrupt) => self.close(CloseCode::GOING_AWAY, "", End::Interrupted),
                        Some(Typed::End) => self.leave(CloseCode::NORMAL, String::new()),
                        // The end was told before.
                        None => return self.finish(link, interruptions).await,
                    }
                    // From here on Ctrl-C is a signal again.
                    if self.closing.is_none() {
                        keyboard.proceed();
                    }
                }
                () = until(interruptions.deadline), if self.closing.is_none() => {
                    self.close(CloseCode::NORMAL, "", End::TimedOut);
                }
                Some(()) = interruptions.ctrl_c.recv() => {
                    if self.closing.is_some() {
                        return End::Interrupted;
                    }
                    self.close(CloseCode::GOING_AWAY, "", End::Interrupted);
                }
            }
        }
    }

    /// Waits for the end when the keyboard is gone.
    async fn finish(self, link: &mut Link, interruptions: &mut Interruptions) -> End {
        let mut screen = self.screen;
        loop {
            tokio::select! {
                incoming = link.next() => match incoming {
                    Incoming::Message(message) => screen.show(&message),
                    Incoming::Remark(remark) => screen.say(&remark),
                    Incoming::Ended(end) => return self.closing.unwrap_or(end),
                },
                Some(()) = interruptions.ctrl_c.recv() => return End::Interrupted,
            }
        }
    }

    fn follow(&mut self, line: &str) {
        if self.closing.is_some() {
            return self.screen.say("the connection is closing");
        }
        match self.reading.action(line) {
            Ok(Action::Nothing) => {}
            Ok(Action::Help) => self.screen.say(&command::help()),
            Ok(Action::Headers) => self.screen.say(&match self.outgoing.handshake() {
                Some(handshake) => handshake.lines().join("\n"),
                None => "there is no connection at the moment".to_owned(),
            }),
            Ok(Action::Send(message)) => self.queue.push(Item::Message(message)),
            Ok(Action::SendFile(path)) => self.queue.push(Item::File(path)),
            Ok(Action::Ping(text)) => self.ping(text),
            Ok(Action::Close(code, reason)) => self.leave(code, reason),
            Err(complaint) => self.screen.say(&complaint),
        }
    }

    fn ping(&self, text: String) {
        let (outgoing, reports) = (self.outgoing.clone(), self.reports.clone());
        tokio::spawn(async move {
            let report = match outgoing.ping(text.as_bytes()).await {
                Ok(round_trip) => format!("pong after {}", milliseconds(round_trip)),
                Err(error) => format!("no pong: {}", chain(&error)),
            };
            // Nobody listens any more when the conversation is over.
            let _ = reports.send(report);
        });
    }

    /// Closes behind everything that was typed.
    fn leave(&mut self, code: CloseCode, reason: String) {
        if self.closing.is_none() {
            self.queue.push(Item::Close(code, reason));
            self.closing = Some(End::ByUs);
        }
    }

    /// Closes at once.
    fn close(&mut self, code: CloseCode, reason: &str, end: End) {
        if self.closing.is_none() {
            // Fails when the connection is closing already, which is as good.
            let _ = self.outgoing.close(code, reason);
            self.closing = Some(end);
        }
    }
}

/// What was typed and is on its way, in its order. A task sends it, so that a server which takes nothing does not
/// keep what it sends from being shown.
struct Queue(mpsc::UnboundedSender<Item>);

enum Item {
    Message(Message),
    File(PathBuf),
    Close(CloseCode, String),
}

impl Queue {
    fn start(
        outgoing: Outgoing,
        reading: Reading,
        options: &ConnectOptions,
        reports: mpsc::UnboundedSender<String>,
    ) -> Self {
        let (queue, mut items) = mpsc::unbounded_channel();
        let options = options.clone();
        tokio::spawn(async move {
            if let Err(failure) = outgoing::send_first(&outgoing, &options).await {
                let _ = reports.send(failure.to_string());
            }
            while let Some(item) = items.recv().await {
                if let Some(report) = send(&outgoing, reading, item).await {
                    // Nobody listens any more when the conversation is over.
                    let _ = reports.send(report);
                }
            }
        });
        Self(queue)
    }

    fn push(&self, item: Item) {
        // The task ends after this.
        let _ = self.0.send(item);
    }
}

/// Sends one thing, and tells what is to be told.
async fn send(outgoing: &Outgoing, reading: Reading, item: Item) -> Option<String> {
    match item {
        // When the connection has ended, receiving tells why.
        Item::Message(message) => {
            let _ = outgoing.send(message).await;
            None
        }
        Item::Close(code, reason) => {
            let _ = outgoing.close(code, &reason);
            None
        }
        Item::File(path) => Some(match outgoing::read_file(reading, &path).await {
            Ok(message) => {
                let length = message.len();
                match outgoing.send(message).await {
                    Ok(()) => format!("sent {length} bytes"),
                    Err(error) => format!("not sent: {}", chain(&error)),
                }
            }
            Err(complaint) => complaint,
        }),
    }
}

/// A time as people compare them.
fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

/// Shows lines without disturbing the one that is being typed.
struct Screen<P> {
    printer: P,
    render: Render,
}

impl<P: ExternalPrinter> Screen<P> {
    fn show(&mut self, message: &Message) {
        let line = self.render.screen(message);
        self.print(line);
    }

    fn say(&mut self, text: &str) {
        let line = self.render.remark(text);
        self.print(line);
    }

    fn print(&mut self, text: String) {
        // Fails when the editor is gone, and then the program is about to end.
        let _ = self.printer.print(text + "\n");
    }
}

/// The modes of the terminal, to be put back when the program ends in the middle of a line.
#[cfg(unix)]
mod terminal {
    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

    pub(super) struct Saved(Option<Termios>);

    impl Saved {
        pub(super) fn new() -> Self {
            Self(tcgetattr(std::io::stdin()).ok())
        }

        pub(super) fn restore(self) {
            if let Some(modes) = self.0 {
                // There is nothing to do about a terminal that is gone.
                let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &modes);
            }
        }
    }
}

#[cfg(not(unix))]
mod terminal {
    pub(super) struct Saved;

    impl Saved {
        pub(super) fn new() -> Self {
            Self
        }

        pub(super) fn restore(self) {}
    }
}
