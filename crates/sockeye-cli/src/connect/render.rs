//! Messages as lines, for a person or for a program.

use std::io::{IsTerminal, Write};

use jiff::Zoned;
use sockeye::Message;

use super::json::{self, Layout};
use super::options::{ConnectOptions, JsonMode};
use crate::error::Failure;
use crate::payload::{self, Encoding};
use crate::style::{FAINT, Painter, WORD};

/// Most bytes of a text that a terminal is shown.
const TEXT_SHOWN: usize = 64 * 1024;

/// Most bytes of a binary message that a terminal is shown.
const BINARY_SHOWN: usize = 1024;

/// How messages are shown.
#[derive(Debug, Clone)]
pub(crate) struct Render {
    json: Option<JsonMode>,
    binary: Encoding,
    null: bool,
    timestamps: bool,
    terminal: bool,
    painter: Painter,
}

impl Render {
    pub(super) fn of(options: &ConnectOptions) -> Self {
        Self {
            json: options.json,
            binary: options.binary_output.or(options.binary).unwrap_or(Encoding::Hex),
            null: options.null,
            timestamps: options.timestamps,
            ..Self::plain()
        }
    }

    /// As without any option.
    pub(crate) fn plain() -> Self {
        let out = std::io::stdout();
        Self {
            json: None,
            binary: Encoding::Hex,
            null: false,
            timestamps: false,
            terminal: out.is_terminal(),
            painter: Painter::of(&out),
        }
    }

    /// Writes a message to standard output. `false` when nobody reads any more.
    pub(crate) fn print(&self, message: &Message) -> Result<bool, Failure> {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(&self.bytes(message)).and_then(|()| out.flush());
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::new(format!("cannot write to standard output: {error}"))),
        }
    }

    /// A message as standard output gets it.
    fn bytes(&self, message: &Message) -> Vec<u8> {
        let mut line = self.time("%Y-%m-%dT%H:%M:%S%.3f%:z").into_bytes();
        match message {
            // Only the input is a pipe.
            Message::Text(text) if self.terminal => line.extend(self.text_for_terminal(text).into_bytes()),
            Message::Text(text) => {
                let layout = match self.json {
                    Some(JsonMode::Lines) => Some(Layout::Line),
                    Some(JsonMode::Pretty) => Some(Layout::Pretty),
                    _ => None,
                };
                let laid_out = layout.and_then(|layout| json::format(text, layout, self.painter, false));
                line.extend_from_slice(laid_out.as_deref().unwrap_or(text).as_bytes());
            }
            Message::Binary(bytes) => match self.binary.encode(bytes) {
                Some(text) => line.extend(text.into_bytes()),
                // Not even an end: nobody could tell it from the bytes.
                None => return bytes.to_vec(),
            },
        }
        line.push(if self.null { 0 } else { b'\n' });
        line
    }

    /// A message as it appears between the lines of a person who types.
    pub(super) fn screen(&self, message: &Message) -> String {
        let shown = match message {
            Message::Text(text) => self.text_for_terminal(text),
            Message::Binary(bytes) => {
                let head = &bytes[..bytes.len().min(BINARY_SHOWN)];
                let more = if head.len() < bytes.len() { " …" } else { "" };
                let text = match self.binary {
                    Encoding::Base64 => payload::to_base64(head),
                    // Raw bytes are nothing for a terminal.
                    Encoding::Hex | Encoding::Raw => payload::to_hex(head),
                };
                let what = self
                    .painter
                    .paint(WORD, format_args!("[binary, {} bytes]", bytes.len()));
                format!("{what} {text}{more}")
            }
        };
        // Indented, so that no message can look like several, or like a word of this program.
        format!(
            "{}{} {}",
            self.time("%H:%M:%S%.3f"),
            self.painter.paint(FAINT, "<"),
            shown.replace('\n', "\n  ")
        )
    }

    /// What the program itself says between the lines.
    pub(super) fn remark(&self, text: &str) -> String {
        let time = self.time("%H:%M:%S%.3f");
        let lines: Vec<_> = text
            .lines()
            .map(|line| format!("{time}{} {line}", self.painter.paint(FAINT, "*")))
            .collect();
        lines.join("\n")
    }

    fn text_for_terminal(&self, text: &str) -> String {
        if text.len() > TEXT_SHOWN {
            let mut end = TEXT_SHOWN;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            let head = &text[..end];
            let more = self
                .painter
                .paint(FAINT, format_args!("… ({} of {} bytes)", head.len(), text.len()));
            return format!("{} {more}", payload::for_terminal(head));
        }
        if self.json != Some(JsonMode::Off)
            && json::is_structured(text)
            && let Some(pretty) = json::format(text, Layout::Pretty, self.painter, true)
        {
            return pretty;
        }
        payload::for_terminal(text)
    }

    fn time(&self, format: &str) -> String {
        if !self.timestamps {
            return String::new();
        }
        let time = Zoned::now().strftime(format).to_string();
        format!("{} ", self.painter.paint(FAINT, time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(terminal: bool) -> Render {
        Render {
            json: None,
            binary: Encoding::Hex,
            null: false,
            timestamps: false,
            terminal,
            painter: Painter::plain(),
        }
    }

    fn text(text: &str) -> Message {
        Message::text(text.to_owned())
    }

    #[test]
    fn a_pipe_gets_messages_as_they_came() {
        let render = render(false);
        assert_eq!(render.bytes(&text("{ \"a\" :1}\u{1b}")), b"{ \"a\" :1}\x1b\n");
        assert_eq!(render.bytes(&Message::binary(vec![0, 255])), b"00ff\n");
    }

    #[test]
    fn json_is_one_line_or_pretty_in_a_pipe_when_asked_for() {
        let mut render = render(false);
        render.json = Some(JsonMode::Lines);
        assert_eq!(render.bytes(&text("{ \"a\" :\n1}")), b"{\"a\":1}\n");
        assert_eq!(render.bytes(&text("no json")), b"no json\n");
        render.json = Some(JsonMode::Pretty);
        assert_eq!(render.bytes(&text("{\"a\":1}")), b"{\n  \"a\": 1\n}\n");
    }

    #[test]
    fn a_terminal_gets_json_pretty_unless_told_otherwise() {
        let mut render = render(true);
        assert_eq!(render.screen(&text("[1]")), "< [\n    1\n  ]");
        render.json = Some(JsonMode::Off);
        assert_eq!(render.screen(&text("[1]")), "< [1]");
    }

    #[test]
    fn a_message_of_several_lines_is_indented_on_a_terminal() {
        assert_eq!(render(true).screen(&text("a\n* closed")), "< a\n  * closed");
    }

    #[test]
    fn a_terminal_is_shown_the_beginning_of_a_long_message() {
        let shown = render(true).screen(&text(&"é".repeat(40_000)));
        assert!(
            shown.ends_with("… (65536 of 80000 bytes)"),
            "{}",
            &shown[65_500..]
        );
        let shown = render(true).screen(&Message::binary(vec![7; 2000]));
        assert!(
            shown.starts_with("< [binary, 2000 bytes] 0707") && shown.ends_with("07 …"),
            "{shown}"
        );
    }

    #[test]
    fn messages_can_end_with_nul() {
        let mut render = render(false);
        render.null = true;
        assert_eq!(render.bytes(&text("a\nb")), b"a\nb\0");
    }

    #[test]
    fn raw_bytes_have_no_end_and_no_time() {
        let mut render = render(false);
        render.binary = Encoding::Raw;
        render.timestamps = true;
        assert_eq!(render.bytes(&Message::binary(vec![1, 2])), [1, 2]);
    }

    #[test]
    fn the_time_stands_before_a_message() {
        let mut render = render(false);
        render.timestamps = true;
        let line = String::from_utf8(render.bytes(&text("x"))).unwrap();
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        assert_eq!(rest, "x\n");
    }
}
