//! What `sockeye connect` takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use regex::bytes::Regex;

use crate::client::{ClientOptions, Dialer};
use crate::config::units::{Count, OrOff, Period};
use crate::error::Failure;
use crate::payload::Encoding;

/// What `sockeye connect` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConnectOptions {
    /// Where to connect: ws://host/path or wss://host/path.
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    /// Send this message first; repeat it for several.
    #[arg(help_heading = SENDING, short, long = "message", value_name = "TEXT")]
    pub(crate) messages: Vec<String>,

    /// Then send this file as one message: text if it is UTF-8, else binary; repeat it for several.
    #[arg(help_heading = SENDING, short, long = "file", value_name = "PATH")]
    pub(crate) files: Vec<PathBuf>,

    /// Send binary messages: lines are hexadecimal, or base64, or the bytes themselves (raw).
    #[arg(help_heading = SENDING, short, long, value_name = "hex|base64|raw", num_args = 0..=1,
        require_equals = true, default_missing_value = "hex", hide_possible_values = true)]
    pub(crate) binary: Option<Encoding>,

    /// Messages are JSON: what is sent is checked first. What is received is shown pretty on a terminal, and written
    /// as one line in a pipe; pretty does the former everywhere, off shows messages as they came. Without --json,
    /// nothing is checked, and only a terminal gets JSON pretty.
    #[arg(help_heading = MESSAGES, long, value_name = "lines|pretty|off", num_args = 0..=1, require_equals = true,
        default_missing_value = "lines", hide_possible_values = true)]
    pub(crate) json: Option<JsonMode>,

    /// In a pipe: messages end with NUL instead of a line feed, both ways.
    #[arg(help_heading = MESSAGES, short = '0', long)]
    pub(crate) null: bool,

    /// Write binary messages like this. Default: as --binary has it, else hex.
    #[arg(help_heading = RECEIVING, long, value_name = "hex|base64|raw", hide_possible_values = true)]
    pub(crate) binary_output: Option<Encoding>,

    /// Write the time before each message.
    #[arg(help_heading = RECEIVING, short, long)]
    pub(crate) timestamps: bool,

    /// Write everything sent and received to this new file, with its time; sockeye replay plays it.
    #[arg(help_heading = RECEIVING, long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,

    /// Close after the first message received.
    #[arg(help_heading = ENDING, short = '1', long, conflicts_with = "count")]
    pub(crate) once: bool,

    /// Close after this many messages were received.
    #[arg(help_heading = ENDING, short = 'n', long, value_name = "COUNT")]
    pub(crate) count: Option<Count>,

    /// Close when a message matches this regular expression; it is a failure (6) if the server closes before one does. A
    /// server that sends on without a match is waited for without end, unless --timeout is given.
    #[arg(help_heading = ENDING, short, long, value_name = "REGEX", value_parser = parse_regex)]
    pub(crate) expect: Option<Regex>,

    /// In a pipe: when standard input has ended, close after this time without a message; off waits for the
    /// server to close. Default: 1s; off with --once, --count and --expect.
    #[arg(help_heading = ENDING, short, long, value_name = "DURATION|off")]
    pub(crate) wait: Option<OrOff<Period>>,

    /// Close after this time in all; it is a failure (124).
    #[arg(help_heading = ENDING, long, default_value = "off", value_name = "DURATION|off")]
    pub(crate) timeout: OrOff<Period>,

    /// Connect again when the connection is lost, and keep what is sent until then; give up after this many attempts in
    /// a row. Alone, --reconnect never gives up, unless the server says that there is no use.
    #[arg(help_heading = ENDING, long, value_name = "ATTEMPTS|off", num_args = 0..=1, require_equals = true,
        default_missing_value = "off")]
    pub(crate) reconnect: Option<OrOff<Count>>,

    /// On a terminal: neither read nor write the history of what was typed.
    #[arg(long)]
    pub(crate) no_history: bool,

    #[command(flatten)]
    pub(crate) client: ClientOptions,
}

const SENDING: &str = "Sending";
const RECEIVING: &str = "Receiving";
const MESSAGES: &str = "Messages";
const ENDING: &str = "Ending";

/// What is done about messages that are JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum JsonMode {
    /// Checked; one line each in a pipe.
    Lines,
    /// Checked; pretty everywhere.
    Pretty,
    /// Nothing, not even on a terminal.
    Off,
}

/// A connection that shall last has to notice when its server is gone without a word.
const PING_INTERVAL_OF_RECONNECT: Duration = Duration::from_secs(30);

impl ConnectOptions {
    /// What connects as these options say.
    pub(super) fn dialer(&self) -> Result<Dialer, Failure> {
        let mut options = self.client.clone();
        if self.reconnect.is_some() {
            let interval = OrOff::At(Period(PING_INTERVAL_OF_RECONNECT));
            options.ping_interval.get_or_insert(interval);
        }
        options.dialer()
    }

    /// How many messages are waited for.
    pub(super) fn count(&self) -> Option<u64> {
        if self.once {
            return Some(1);
        }
        self.count
            .map(|Count(count)| u64::try_from(count).unwrap_or(u64::MAX))
    }

    pub(super) fn ends_by_itself(&self) -> bool {
        self.count().is_some() || self.expect.is_some()
    }

    /// Whether there is something to send that nobody has to type.
    pub(super) fn sends_at_once(&self) -> bool {
        !self.messages.is_empty() || !self.files.is_empty()
    }

    /// How long the silence after the end of the input may last.
    pub(super) fn wait(&self) -> Option<Duration> {
        match self.wait {
            Some(wait) => wait.duration(),
            None if self.ends_by_itself() => None,
            None => Some(Duration::from_secs(1)),
        }
    }

    /// Whether what is sent has to be JSON.
    pub(super) fn checks_json(&self) -> bool {
        matches!(self.json, Some(JsonMode::Lines | JsonMode::Pretty))
    }
}

pub(crate) fn parse_regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        // The last line says what is wrong; those before it draw where.
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or_default();
        format!(
            "{text:?} is no regular expression: {}",
            reason.trim_start_matches("error: ")
        )
    })
}
