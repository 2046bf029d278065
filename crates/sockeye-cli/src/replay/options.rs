//! What `sockeye replay` takes.

use std::path::PathBuf;

use clap::Args;
use regex::bytes::Regex;

use super::speed::Speed;
use crate::client::ClientOptions;
use crate::config::units::{OrOff, Period, positive};
use crate::connect::parse_regex;

/// What `sockeye replay` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReplayOptions {
    /// The recording, as sockeye connect --record wrote it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Where to connect. Default: where the recording was made.
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,

    /// Play faster or slower by this factor; max does not wait at all.
    #[arg(help_heading = PLAYING, long, default_value = "1", value_name = "FACTOR|max")]
    pub(crate) speed: Speed,

    /// After the last line, close when no message has come for this time; off waits for the server to close.
    #[arg(help_heading = PLAYING, short, long, default_value = "1s", value_name = "DURATION|off")]
    pub(crate) wait: OrOff<Period>,

    /// Compare what is received with the recording instead of writing it out. A message is sent only when all that
    /// was received before it in the recording has come.
    #[arg(help_heading = CHECKING, long)]
    pub(crate) check: bool,

    /// Leave out of the comparison what matches this regular expression, such as times; repeat it for several.
    #[arg(help_heading = CHECKING, long, value_name = "REGEX", value_parser = parse_regex, requires = "check")]
    pub(crate) ignore: Vec<Regex>,

    /// How long a message of the recording may keep us waiting.
    #[arg(help_heading = CHECKING, long, default_value = "10s", value_name = "DURATION",
        value_parser = positive::<Period>, requires = "check")]
    pub(crate) patience: Period,

    #[command(flatten)]
    pub(crate) client: ClientOptions,
}

const PLAYING: &str = "Playing";
const CHECKING: &str = "Checking";
