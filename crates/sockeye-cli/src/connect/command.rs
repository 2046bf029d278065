//! What a typed line means.

use std::path::{Path, PathBuf};

use sockeye::proto::{MAX_CLOSE_REASON, MAX_CONTROL_PAYLOAD};
use sockeye::{CloseCode, Message};

use super::json;
use super::options::ConnectOptions;
use crate::error::without_numbers;
use crate::payload::{self, Encoding};

/// The commands, with what `/help` says about them.
pub(super) const COMMANDS: &[(&str, &str, &str)] = &[
    (
        "/ping",
        "[TEXT]",
        "send a ping, and tell how long the answer took",
    ),
    (
        "/close",
        "[CODE [TEXT]]",
        "close, with 1000 unless a code is given",
    ),
    (
        "/binary",
        "BYTES",
        "send a binary message: hexadecimal, hex:… or base64:…",
    ),
    (
        "/file",
        "PATH",
        "send a file as one message: text if it is UTF-8, else binary",
    ),
    ("/headers", "", "show the opening handshake"),
    ("/help", "", "this list"),
    ("/quit", "", "close and end, like Ctrl-D"),
];

/// What a typed line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Send(Message),
    SendFile(PathBuf),
    Ping(String),
    Close(CloseCode, String),
    Headers,
    Help,
}

/// How lines become messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) binary: Option<Encoding>,
    pub(super) json: bool,
}

impl Reading {
    pub(super) fn of(options: &ConnectOptions) -> Self {
        Self {
            binary: options.binary,
            json: options.checks_json(),
        }
    }

    /// The message that a line stands for.
    pub(super) fn message(self, line: Vec<u8>) -> Result<Message, String> {
        if let Some(encoding) = self.binary {
            return encoding.decode(line).map(Message::binary);
        }
        let text = String::from_utf8(line)
            .map_err(|_| "that is not UTF-8: --binary=raw sends bytes as they are".to_owned())?;
        if self.json {
            json::check(&text).map_err(|error| format!("that is not JSON: {error}"))?;
        }
        Ok(Message::text(text))
    }

    /// The content of a file as a message.
    pub(super) fn file(self, path: &Path) -> Result<Message, String> {
        let content = std::fs::read(path)
            .map_err(|error| without_numbers(&format!("cannot read {}: {error}", path.display())))?;
        if self.binary.is_some() {
            return Ok(Message::binary(content));
        }
        match String::from_utf8(content) {
            Ok(text) => Ok(Message::text(text)),
            Err(error) => Ok(Message::binary(error.into_bytes())),
        }
    }

    /// What a typed line means: a message, or a command when it begins with one slash. What has several lines was
    /// pasted or put together, and is a message.
    pub(super) fn action(self, line: &str) -> Result<Action, String> {
        let line = line.trim_end_matches('\n');
        let command = line.strip_prefix('/').filter(|_| !line.contains('\n'));
        let Some(command) = command else {
            if line.trim().is_empty() {
                return Ok(Action::Nothing);
            }
            return self.message(line.as_bytes().to_vec()).map(Action::Send);
        };
        if command.starts_with('/') {
            return self.message(command.as_bytes().to_vec()).map(Action::Send);
        }
        let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
        match name {
            "ping" => parse_ping(rest),
            "close" => parse_close(rest.trim()),
            "binary" => parse_bytes(rest.trim()).map(|bytes| Action::Send(Message::binary(bytes))),
            "file" if rest.trim().is_empty() => Err("which file? write /file PATH".to_owned()),
            "file" => Ok(Action::SendFile(rest.trim().into())),
            "headers" => Ok(Action::Headers),
            "help" => Ok(Action::Help),
            "quit" => Ok(Action::Close(CloseCode::NORMAL, String::new())),
            _ => Err(format!(
                "there is no command /{name}: /help lists them, //{command} sends it as text"
            )),
        }
    }
}

/// Whether a line may ask for the end.
pub(super) fn may_close(line: &str) -> bool {
    line.starts_with("/close") || line.starts_with("/quit")
}

/// The list of commands.
pub(super) fn help() -> String {
    let mut lines: Vec<_> = COMMANDS
        .iter()
        .map(|(name, arguments, what)| format!("{:<22} {what}", format!("{name} {arguments}")))
        .collect();
    lines.extend([
        "//TEXT                 send text that begins with /".to_owned(),
        "Tab completes commands and earlier messages, Ctrl-R searches them.".to_owned(),
        "A line that ends with \\ goes on in the next, and so it does after Alt-Enter;".to_owned(),
        "what is pasted is one message, whatever lines it has.".to_owned(),
    ]);
    lines.join("\n")
}

fn parse_ping(text: &str) -> Result<Action, String> {
    if text.len() > MAX_CONTROL_PAYLOAD {
        return Err(format!(
            "a ping carries at most {MAX_CONTROL_PAYLOAD} bytes; this text has {}",
            text.len()
        ));
    }
    Ok(Action::Ping(text.to_owned()))
}

fn parse_bytes(text: &str) -> Result<Vec<u8>, String> {
    if let Some(hex) = text.strip_prefix("hex:") {
        return payload::from_hex(hex);
    }
    if let Some(base64) = text.strip_prefix("base64:") {
        return payload::from_base64(base64);
    }
    // Text that is both is taken for hexadecimal.
    payload::from_hex(text).or_else(|complaint| {
        let padded = text.ends_with('=');
        payload::from_base64(text).map_err(|other| if padded { other } else { complaint })
    })
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
    if reason.len() > MAX_CLOSE_REASON {
        return Err(format!(
            "a reason has at most {MAX_CLOSE_REASON} bytes; this one has {}",
            reason.len()
        ));
    }
    Ok(Action::Close(code, reason.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Reading = Reading {
        binary: None,
        json: false,
    };

    fn bytes(bytes: &[u8]) -> Result<Action, String> {
        Ok(Action::Send(Message::binary(bytes.to_vec())))
    }

    #[test]
    fn a_line_is_a_message_or_a_command() {
        let text = |text: &str| Ok(Action::Send(Message::text(text.to_owned())));
        let table = [
            ("hello", text("hello")),
            ("  ", Ok(Action::Nothing)),
            ("//help", text("/help")),
            ("/not a\n/command", text("/not a\n/command")),
            ("pasted\nlines\n", text("pasted\nlines")),
            ("/help", Ok(Action::Help)),
            ("/headers", Ok(Action::Headers)),
            ("/quit", Ok(Action::Close(CloseCode::NORMAL, String::new()))),
            ("/ping", Ok(Action::Ping(String::new()))),
            ("/ping a b", Ok(Action::Ping("a b".into()))),
            ("/file a b.txt", Ok(Action::SendFile("a b.txt".into()))),
            ("/binary 00ff", bytes(&[0, 255])),
            ("/binary AP8=", bytes(&[0, 255])),
            ("/binary base64:abcd", bytes(&[0x69, 0xb7, 0x1d])),
            ("/binary hex:abcd", bytes(&[0xab, 0xcd])),
            ("/binary", bytes(&[])),
        ];
        for (line, want) in table {
            assert_eq!(PLAIN.action(line), want, "{line}");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        let table = [
            (
                "/pong",
                "there is no command /pong: /help lists them, //pong sends it as text",
            ),
            ("/file ", "which file? write /file PATH"),
            ("/binary 0g", "'g' is not a hexadecimal digit"),
            ("/binary A=", "that is not base64: "),
        ];
        for (line, want) in table {
            let complaint = PLAIN.action(line).unwrap_err();
            assert!(complaint.starts_with(want), "{complaint}");
        }
        let long = format!("/ping {}", "x".repeat(126));
        assert!(PLAIN.action(&long).unwrap_err().contains("at most 125 bytes"));
    }

    #[test]
    fn lines_may_stand_for_bytes() {
        let reading = |encoding| Reading {
            binary: Some(encoding),
            json: false,
        };
        assert_eq!(reading(Encoding::Hex).action("00 ff"), bytes(&[0, 255]));
        assert_eq!(reading(Encoding::Base64).action("AP8="), bytes(&[0, 255]));
        assert_eq!(reading(Encoding::Raw).action("ab"), bytes(b"ab"));
        assert!(reading(Encoding::Hex).action("xyz").is_err());
    }

    #[test]
    fn json_is_checked_when_it_is_promised() {
        let reading = Reading {
            binary: None,
            json: true,
        };
        assert!(reading.action("{\"a\":1}").is_ok());
        let complaint = reading.action("{'a':1}").unwrap_err();
        assert!(
            complaint.starts_with("that is not JSON: key must be a string"),
            "{complaint}"
        );
    }

    #[test]
    fn close_takes_a_code_and_a_reason() {
        let close = |line: &str| match PLAIN.action(line) {
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

    #[test]
    fn help_lists_every_command() {
        for (name, ..) in COMMANDS {
            assert!(help().contains(name), "{name}");
            let action = PLAIN.action(name);
            assert!(action.as_ref().is_ok_and(|action| *action != Action::Nothing) || *name == "/file");
            assert_eq!(may_close(name), matches!(action, Ok(Action::Close(..))), "{name}");
        }
    }
}
