//! The client on a terminal: a line editor, with messages that arrive shown above the line being typed.

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor, ExternalPrinter};
use sockeye::{CloseCode, Message, Receiver, Sender, WebSocket};
use tokio::sync::mpsc;

use super::{ConnectOptions, End, payload};
use crate::error::Failure;

const PROMPT: &str = "> ";

/// Most bytes of a binary message that are shown.
const BINARY_SHOWN: usize = 1024;

const HELP: &str = "\
/binary HEX           send a binary message
/close [CODE [TEXT]]  close, with 1000 unless a code is given
/help                 this list
//TEXT                send text that begins with /";

/// What a typed line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    Nothing,
    Send(Message),
    Close(CloseCode, String),
    Help,
}

type LineEditor = Editor<(), MemHistory>;

/// The line editor, where this terminal can have one.
pub(super) fn editor() -> Option<LineEditor> {
    Editor::with_history(
        Config::builder().auto_add_history(true).build(),
        MemHistory::new(),
    )
    .ok()
}

/// Talks until either side closes.
pub(super) async fn run(
    socket: WebSocket,
    options: &ConnectOptions,
    mut editor: LineEditor,
) -> Result<End, Failure> {
    let screen = editor.create_external_printer().map_err(|error| {
        Failure::new(format!(
            "this terminal cannot be written to while a line is edited: {error}"
        ))
    })?;
    let mut screen = Screen(screen);
    screen.say(&format!(
        "connected to {}: /help lists the commands, Ctrl-D closes",
        options.url
    ));
    let terminal = terminal::Saved::new();
    let mut typed = read_lines(editor);
    let (sender, mut receiver) = socket.split();
    let end = talk(&sender, &mut receiver, options, &mut typed, &mut screen).await;
    // The editor may still be waiting for a key.
    terminal.restore();
    // Off with the marks that the editor has put around pasted text.
    println!("\x1b[?2004l");
    Ok(end)
}

async fn talk(
    sender: &Sender,
    receiver: &mut Receiver,
    options: &ConnectOptions,
    typed: &mut mpsc::Receiver<String>,
    screen: &mut Screen<impl ExternalPrinter>,
) -> End {
    let mut received = 0;
    let mut closing = None;
    loop {
        tokio::select! {
            incoming = receiver.recv() => match incoming {
                Ok(Some(message)) => {
                    screen.show(&message);
                    received += 1;
                    if options.count == Some(received) {
                        closing = close(sender, CloseCode::NORMAL, "");
                    }
                }
                Ok(None) => return closing.unwrap_or_else(|| End::Closed(receiver.close_info())),
                Err(error) => return closing.unwrap_or(End::Failed(error)),
            },
            line = typed.recv(), if closing.is_none() => {
                let action = match line {
                    Some(line) => action(&line, options.binary),
                    None => Ok(Action::Close(CloseCode::NORMAL, String::new())),
                };
                match action {
                    Ok(Action::Nothing) => {}
                    Ok(Action::Help) => screen.say(HELP),
                    // When the connection has ended, receiving tells why.
                    Ok(Action::Send(message)) => drop(sender.send(message).await),
                    Ok(Action::Close(code, reason)) => closing = close(sender, code, &reason),
                    Err(complaint) => screen.say(&complaint),
                }
            }
        }
    }
}

fn close(sender: &Sender, code: CloseCode, reason: &str) -> Option<End> {
    sender.start_close(code, reason).ok().map(|()| End::ByUs)
}

/// What a line means: a message, or a command when it begins with one slash.
fn action(line: &str, binary: bool) -> Result<Action, String> {
    let Some(command) = line.strip_prefix('/') else {
        return match (binary, line.trim().is_empty()) {
            (_, true) => Ok(Action::Nothing),
            (true, false) => payload::from_hex(line).map(|bytes| Action::Send(Message::binary(bytes))),
            (false, false) => Ok(Action::Send(Message::text(line.to_owned()))),
        };
    };
    if command.starts_with('/') {
        return Ok(Action::Send(Message::text(command.to_owned())));
    }
    let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
    match name {
        "help" => Ok(Action::Help),
        "binary" => payload::from_hex(rest).map(|bytes| Action::Send(Message::binary(bytes))),
        "close" => parse_close(rest.trim()),
        _ => Err(format!(
            "there is no command /{name}: /help lists them, //{command} sends it as text"
        )),
    }
}

fn parse_close(text: &str) -> Result<Action, String> {
    if text.is_empty() {
        return Ok(Action::Close(CloseCode::NORMAL, String::new()));
    }
    let (code, reason) = text.split_once(' ').unwrap_or((text, ""));
    let code = code.parse().ok().and_then(|code: u16| CloseCode::new(code));
    let code =
        code.ok_or_else(|| format!("{text:?} has no close code: write 1000 to 1014 or 3000 to 4999 first"))?;
    // RFC 6455 §5.5: a control frame carries 125 bytes, and the code takes two.
    if reason.len() > 123 {
        return Err(format!(
            "a reason has at most 123 bytes; this one has {}",
            reason.len()
        ));
    }
    Ok(Action::Close(code, reason.to_owned()))
}

/// Shows lines without disturbing the one that is being typed.
struct Screen<P>(P);

impl<P: ExternalPrinter> Screen<P> {
    fn show(&mut self, message: &Message) {
        let line = match message {
            Message::Text(text) => format!("< {}", payload::for_terminal(text.as_str())),
            Message::Binary(bytes) => {
                let shown = &bytes[..bytes.len().min(BINARY_SHOWN)];
                let more = if shown.len() < bytes.len() { " …" } else { "" };
                format!(
                    "< [binary, {} bytes] {}{more}",
                    bytes.len(),
                    payload::to_hex(shown)
                )
            }
        };
        self.print(line);
    }

    fn say(&mut self, text: &str) {
        self.print(
            text.lines()
                .map(|line| format!("* {line}"))
                .collect::<Vec<_>>()
                .join("\n"),
        );
    }

    fn print(&mut self, text: String) {
        // Fails when the editor is gone, and then the program is about to end.
        let _ = self.0.print(text + "\n");
    }
}

/// The lines that are typed, until Ctrl-D or Ctrl-C.
fn read_lines(mut editor: LineEditor) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        loop {
            match editor.readline(PROMPT) {
                Ok(line) => {
                    if sender.blocking_send(line).is_err() {
                        return;
                    }
                }
                Err(ReadlineError::Signal(_)) => {}
                Err(_) => return,
            }
        }
    });
    receiver
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_message_or_a_command() {
        let text = |text: &str| Ok(Action::Send(Message::text(text.to_owned())));
        assert_eq!(action("hello", false), text("hello"));
        assert_eq!(action("  ", false), Ok(Action::Nothing));
        assert_eq!(action("//help", false), text("/help"));
        assert_eq!(action("/help", false), Ok(Action::Help));
        assert_eq!(
            action("/binary 00ff", false),
            Ok(Action::Send(Message::binary(vec![0, 255])))
        );
        assert_eq!(
            action("00 ff", true),
            Ok(Action::Send(Message::binary(vec![0, 255])))
        );
        assert!(action("xyz", true).is_err());
        assert!(action("/ping", false).unwrap_err().contains("no command /ping"));
    }

    #[test]
    fn close_takes_a_code_and_a_reason() {
        let close = |line: &str| match action(line, false) {
            Ok(Action::Close(code, reason)) => Some((code.get(), reason)),
            _ => None,
        };
        assert_eq!(close("/close"), Some((1000, String::new())));
        assert_eq!(close("/close 3001"), Some((3001, String::new())));
        assert_eq!(
            close("/close 3001 see you later"),
            Some((3001, "see you later".to_owned()))
        );
        for line in ["/close 1005", "/close 999", "/close 5000", "/close later"] {
            assert_eq!(close(line), None, "{line}");
        }
        assert_eq!(close(&format!("/close 3001 {}", "x".repeat(124))), None);
    }
}
