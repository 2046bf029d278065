//! What `sockeye echo-test` takes.

use clap::Args;

use crate::client::ClientOptions;
use crate::config::units::{Period, Size, positive};

/// What `sockeye echo-test` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct EchoTestOptions {
    /// The echo server: ws://host/path or wss://host/path.
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    /// How many messages are timed, and how many pings: at most 100 of these, since servers close on a flood.
    #[arg(help_heading = CHECKS, short = 'n', long, default_value = "100", value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) count: u32,

    /// Largest message tried.
    #[arg(help_heading = CHECKS, long, default_value = "1MiB", value_name = "SIZE", value_parser = positive::<Size>)]
    pub(crate) max_size: Size,

    /// Time the server has for each answer.
    #[arg(help_heading = CHECKS, long, default_value = "10s", value_name = "DURATION",
        value_parser = positive::<Period>)]
    pub(crate) patience: Period,

    /// Print the report as JSON.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) client: ClientOptions,
}

const CHECKS: &str = "Checks";
