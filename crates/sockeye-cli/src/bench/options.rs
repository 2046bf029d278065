//! What `sockeye bench` takes.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use http::{HeaderName, HeaderValue};
use sockeye::driver::DriverKind;

use super::server;
use crate::client::{parse_header, parse_origin};
use crate::config::units::{Count, Period, Size, positive};
use crate::config::values::parse_subprotocol;

/// What `sockeye bench` takes: which scenario.
#[derive(Debug, Clone, Args)]
pub(crate) struct BenchOptions {
    #[command(subcommand)]
    pub(super) scenario: ScenarioOptions,
}

#[derive(Debug, Clone, Subcommand)]
pub(super) enum ScenarioOptions {
    /// Send messages to an echo server, and time and compare what comes back.
    #[command(after_help = ECHO_EXAMPLES)]
    Echo(Box<EchoOptions>),
    /// Publish messages to subscribers; time the deliveries, and count what is lost, doubled or out of order.
    #[command(after_help = BROADCAST_EXAMPLES)]
    Broadcast(Box<BroadcastOptions>),
    /// Hold connections that do nothing, and measure the memory they take of a server on this machine.
    #[command(after_help = IDLE_EXAMPLES)]
    Idle(Box<IdleOptions>),
    /// Open and close connections all the time, and time the opening.
    #[command(after_help = CHURN_EXAMPLES)]
    Churn(Box<ChurnOptions>),
    /// Echo beside connections that send and read slowly or not at all, which must not delay the others.
    #[command(after_help = SLOW_EXAMPLES)]
    SlowReader(Box<SlowOptions>),
}

impl ScenarioOptions {
    pub(super) fn common(&self) -> &CommonOptions {
        match self {
            Self::Echo(options) => &options.common,
            Self::Broadcast(options) => &options.common,
            Self::Idle(options) => &options.common,
            Self::Churn(options) => &options.common,
            Self::SlowReader(options) => &options.common,
        }
    }
}

/// What `sockeye bench echo` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct EchoOptions {
    #[command(flatten)]
    pub(super) common: CommonOptions,

    #[command(flatten)]
    pub(super) connections: ConnectionOptions,

    #[command(flatten)]
    pub(super) messages: MessageOptions,

    /// Payload of a message.
    #[arg(help_heading = MESSAGES, long, default_value = "20", value_name = "SIZE")]
    pub(super) size: Size,

    /// Most messages of a connection that are on the way at the same time. Without --rate the next one is sent as soon
    /// as one is back.
    #[arg(help_heading = MESSAGES, short, long, default_value = "1", value_name = "COUNT")]
    pub(super) window: Count,

    /// Send so many messages a second in all, on time, whether or not answers come (500, 20k, 1M); times count from when a
    /// message was due. Set --window to what a connection may have on the way, such as 1000.
    #[arg(help_heading = MESSAGES, short, long, value_name = "PER SECOND")]
    pub(super) rate: Option<Rate>,

    /// Do not compare what comes back with what was sent.
    #[arg(help_heading = MESSAGES, long)]
    pub(super) no_check: bool,
}

/// What `sockeye bench broadcast` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct BroadcastOptions {
    #[command(flatten)]
    pub(super) common: CommonOptions,

    /// Connections that publish.
    #[arg(help_heading = LOAD, short, long, default_value = "1", value_name = "COUNT")]
    pub(super) publishers: Count,

    /// Connections that get what is published.
    #[arg(help_heading = LOAD, short = 'S', long, default_value = "100", value_name = "COUNT")]
    pub(super) subscribers: Count,

    /// The publishers are the first of the subscribers, not connections of their own.
    #[arg(help_heading = LOAD, long)]
    pub(super) shared: bool,

    /// With --shared: the server does not send messages back to who sent them.
    #[arg(help_heading = LOAD, long, requires = "shared")]
    pub(super) excludes_sender: bool,

    /// Divide publishers and subscribers among so many topics; {topic} in the URL stands for the name (t0, t1 ...).
    #[arg(help_heading = LOAD, long, value_name = "COUNT")]
    pub(super) topics: Option<Count>,

    #[command(flatten)]
    pub(super) messages: MessageOptions,

    /// Payload of a message; it begins with who sent it and when, in 20 bytes, or 27 as text.
    #[arg(help_heading = MESSAGES, long, default_value = "64", value_name = "SIZE")]
    pub(super) size: Size,

    /// Most messages of a publisher that have not reached everybody. Without --rate the next one is sent as soon as one has,
    /// or after a second.
    #[arg(help_heading = MESSAGES, short, long, default_value = "1", value_name = "COUNT", conflicts_with = "rate")]
    pub(super) window: Count,

    /// Publish so many messages a second in all, on time (500, 20k, 1M); times count from when a message was due.
    #[arg(help_heading = MESSAGES, short, long, value_name = "PER SECOND")]
    pub(super) rate: Option<Rate>,
}

/// What `sockeye bench idle` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct IdleOptions {
    #[command(flatten)]
    pub(super) common: CommonOptions,

    #[command(flatten)]
    pub(super) connections: ConnectionOptions,

    /// Send a message of 20 bytes on each connection first, which an echo server sends back.
    #[arg(help_heading = MESSAGES, long)]
    pub(super) touch: bool,
}

/// What `sockeye bench churn` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct ChurnOptions {
    #[command(flatten)]
    pub(super) common: CommonOptions,

    #[command(flatten)]
    pub(super) connections: ConnectionOptions,

    /// Open so many connections a second in all, on time (500, 20k); times count from when one was due. --connections is how
    /// many there are at the same time at most. Without this the next is opened when one is gone.
    #[arg(help_heading = LOAD, short, long, value_name = "PER SECOND")]
    pub(super) rate: Option<Rate>,

    /// End connections with a reset instead of a closing handshake.
    #[arg(help_heading = LOAD, long)]
    pub(super) reset: bool,
}

/// What `sockeye bench slow-reader` takes.
#[derive(Debug, Clone, Args)]
pub(super) struct SlowOptions {
    #[command(flatten)]
    pub(super) common: CommonOptions,

    #[command(flatten)]
    pub(super) connections: ConnectionOptions,

    /// Connections beside them that send without an end and read slowly, in the second half of the time.
    #[arg(help_heading = LOAD, long, default_value = "10", value_name = "COUNT")]
    pub(super) slow: Count,

    /// What each of them reads in a second; 0 is nothing.
    #[arg(help_heading = LOAD, long, default_value = "0", value_name = "SIZE")]
    pub(super) read_rate: Size,

    /// Payload of the messages of the slow ones.
    #[arg(help_heading = LOAD, long, default_value = "16KiB", value_name = "SIZE", value_parser = positive::<Size>)]
    pub(super) slow_size: Size,

    #[command(flatten)]
    pub(super) messages: MessageOptions,

    /// Payload of the messages of the others.
    #[arg(help_heading = MESSAGES, long, default_value = "20", value_name = "SIZE")]
    pub(super) size: Size,
}

/// How many connections.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct ConnectionOptions {
    /// How many connections.
    #[arg(help_heading = LOAD, short, long, default_value = "100", value_name = "COUNT")]
    pub(super) connections: Count,
}

/// What the messages are like.
#[derive(Debug, Clone, Args)]
pub(super) struct MessageOptions {
    /// Send binary messages instead of text.
    #[arg(help_heading = MESSAGES, short, long)]
    pub(super) binary: bool,

    /// What is in them: bytes or letters without order, JSON that compresses well, Chinese, or emoji.
    #[arg(help_heading = MESSAGES, long, default_value = "random", value_name = "CONTENT")]
    pub(super) payload: PayloadKind,
}

/// What a message is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PayloadKind {
    Random,
    Json,
    Chinese,
    Emoji,
}

impl PayloadKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Json => "json",
            Self::Chinese => "chinese",
            Self::Emoji => "emoji",
        }
    }
}

/// What all scenarios take.
#[derive(Debug, Clone, Args)]
pub(super) struct CommonOptions {
    /// The server: ws://host/path or wss://host/path.
    #[arg(value_name = "URL")]
    pub(super) url: String,

    /// Threads that the connections are divided among.
    #[arg(help_heading = LOAD, short, long, default_value = "1", value_name = "COUNT")]
    pub(super) threads: Count,

    /// How bytes are moved: auto, uring or readiness.
    #[arg(help_heading = LOAD, long, default_value = "auto", value_name = "DRIVER")]
    pub(super) driver: DriverKind,

    /// Spread the opening of the connections over this time, each at a random moment of its share.
    #[arg(help_heading = LOAD, long, default_value = "0s", value_name = "DURATION")]
    pub(super) ramp: Period,

    /// Most connections that are being opened at the same time.
    #[arg(help_heading = LOAD, long, default_value = "100", value_name = "COUNT")]
    pub(super) connecting: Count,

    /// Connect from these addresses in turn, such as 127.0.0.2-127.0.0.20. Default: the system's choice; for a server on
    /// 127.0.0.0/8 as many addresses as the ports of one are too few.
    #[arg(help_heading = LOAD, long = "source", value_name = "ADDRESS|FIRST-LAST", value_delimiter = ',')]
    pub(super) sources: Vec<AddressRange>,

    /// Connect through this Unix socket instead of the host of the URL.
    #[arg(help_heading = LOAD, long, value_name = "PATH", conflicts_with = "sources")]
    pub(super) unix: Option<PathBuf>,

    /// Time that is measured.
    #[arg(help_heading = TIMES, short, long, default_value = "10s", value_name = "DURATION",
        value_parser = positive::<Period>)]
    pub(super) duration: Period,

    /// Time between the last opening and the first message, for a server that has still to do.
    #[arg(help_heading = TIMES, long, default_value = "100ms", value_name = "DURATION")]
    pub(super) settle: Period,

    /// Time before that with the same load, which does not count.
    #[arg(help_heading = TIMES, long, default_value = "1s", value_name = "DURATION")]
    pub(super) warmup: Period,

    /// Time that is waited at the end for what is still on the way.
    #[arg(help_heading = TIMES, long, default_value = "5s", value_name = "DURATION")]
    pub(super) patience: Period,

    /// Give a connection up that is not open after this time.
    #[arg(help_heading = TIMES, long, default_value = "10s", value_name = "DURATION",
        value_parser = positive::<Period>)]
    pub(super) connect_timeout: Period,

    /// Send this header with the request; repeat it for several.
    #[arg(help_heading = HANDSHAKE, short = 'H', long = "header", value_name = "NAME: VALUE",
        value_parser = parse_header)]
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,

    /// Offer this subprotocol; repeat it for several, the most wanted first.
    #[arg(help_heading = HANDSHAKE, short, long = "subprotocol", value_name = "NAME", value_delimiter = ',',
        value_parser = parse_subprotocol)]
    pub(super) subprotocols: Vec<String>,

    /// Say that a page of this origin connects, as a browser would.
    #[arg(help_heading = HANDSHAKE, short, long, value_name = "ORIGIN", value_parser = parse_origin)]
    pub(super) origin: Option<HeaderValue>,

    /// Offer to compress messages (permessage-deflate). What is sent is compressed once and kept.
    #[arg(help_heading = HANDSHAKE, long)]
    pub(super) compress: bool,

    /// Let the server keep its compression context between messages.
    #[arg(help_heading = HANDSHAKE, long, requires = "compress")]
    pub(super) context_takeover: bool,

    /// Trust the certificates in this PEM file besides the system's.
    #[arg(help_heading = TLS, long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,

    /// Expect the server's certificate to be for this name instead of the URL's.
    #[arg(help_heading = TLS, long, value_name = "NAME")]
    pub(super) server_name: Option<String>,

    /// Accept any certificate: whoever sits in between can read and change everything.
    #[arg(help_heading = TLS, short = 'k', long)]
    pub(super) insecure: bool,

    /// Resume TLS sessions where the server lets us; without this each handshake is a full one.
    #[arg(help_heading = TLS, long)]
    pub(super) resume: bool,

    /// Measure the CPU time and memory of this process; repeat it for several. Default: those that listen on the
    /// server's port, if it is on this machine.
    #[arg(help_heading = RESULTS, long = "server-pid", value_name = "PID", value_parser = parse_pid)]
    pub(super) server_pids: Vec<u32>,

    /// Write the results as JSON to this file, or to standard output (-) instead of the table.
    #[arg(help_heading = RESULTS, long, value_name = "FILE|-")]
    pub(super) json: Option<PathBuf>,

    /// Write the latencies to this file: percentiles if its name ends in .hgrm, else an interval log (HdrHistogram V2).
    #[arg(help_heading = RESULTS, long, value_name = "FILE")]
    pub(super) histogram: Option<PathBuf>,

    /// Draw latencies and rate to this SVG file.
    #[arg(help_heading = RESULTS, long, value_name = "FILE")]
    pub(super) plot: Option<PathBuf>,

    /// Show no progress and no table, only failures.
    #[arg(help_heading = RESULTS, short, long)]
    pub(super) quiet: bool,
}

const MESSAGES: &str = "Messages";
const LOAD: &str = "Load";
const TIMES: &str = "Times";
const HANDSHAKE: &str = "Handshake";
const TLS: &str = "TLS";
const RESULTS: &str = "Results";

const ECHO_EXAMPLES: &str = "\
Examples:
  sockeye bench echo ws://localhost:3000/echo
  sockeye bench echo ws://localhost:3000/echo -c 1000 -w 16 --size 1KiB -d 30s
  sockeye bench echo ws://localhost:3000/echo --rate 20k -w 1000 --plot echo.svg
  sockeye bench echo wss://localhost:3000/echo -k --compress --payload json --size 4KiB
  sockeye bench echo ws://localhost:3000/echo --json - | jq .latency.p99_us";

const BROADCAST_EXAMPLES: &str = "\
Works with any server that sends what one connection sends to all others, or to
those on the same path: --topics puts names into the URL.

Examples:
  sockeye bench broadcast ws://localhost:3000/room --subscribers 1000
  sockeye bench broadcast ws://localhost:3000/topics/{topic} -p 50 -S 500 --topics 10
  sockeye bench broadcast ws://localhost:3000/room -p 200 -S 200 --shared
  sockeye bench broadcast ws://localhost:3000/room -S 1000 --rate 100 --json -";

const IDLE_EXAMPLES: &str = "\
The memory is that of the processes that listen on the server's port, or those
that --server-pid names; the system's own memory is told apart.

Examples:
  sockeye bench idle ws://localhost:3000/echo -c 10000 --touch
  sockeye bench idle wss://localhost:3000/echo -k -c 5000 --ramp 5s -d 60s";

const CHURN_EXAMPLES: &str = "\
Examples:
  sockeye bench churn ws://localhost:3000/echo
  sockeye bench churn wss://localhost:3000/echo -k --rate 500 -c 200 -d 30s
  sockeye bench churn ws://localhost:3000/echo --reset --source 127.0.0.2-127.0.0.9";

const SLOW_EXAMPLES: &str = "\
The first half of the time has no slow readers: what the others' latency was
without them is told beside what it was with them.

Examples:
  sockeye bench slow-reader ws://localhost:3000/echo --slow 50
  sockeye bench slow-reader ws://localhost:3000/echo --read-rate 10KiB -d 60s";

/// How many of something happen in a second: `500`, `20k`, `1.5M`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate(pub(super) f64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let complaint = || format!("{text:?} is not a rate: write how many a second, as in 500, 20k or 1.5M");
        let (digits, factor) = match text.strip_suffix(['k', 'K']) {
            Some(digits) => (digits, 1e3),
            None => text.strip_suffix('M').map_or((text, 1.0), |digits| (digits, 1e6)),
        };
        if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(complaint());
        }
        let rate = digits.parse::<f64>().map_err(|_| complaint())? * factor;
        // A message a day, and more than any machine does: the moments when messages are due stay exact.
        if (1e-5..=1e9).contains(&rate) {
            Ok(Self(rate))
        } else {
            Err(complaint())
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads the number of a process of this machine.
fn parse_pid(text: &str) -> Result<u32, String> {
    let pid = text
        .parse()
        .map_err(|_| format!("{text:?} is not a process: write its number"))?;
    if server::is_gone(pid) {
        return Err(format!("there is no process {pid}"));
    }
    Ok(pid)
}

/// One address, or all from one to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AddressRange {
    pub(super) first: IpAddr,
    /// How many addresses.
    pub(super) count: u32,
}

impl AddressRange {
    /// More are not needed by anybody's number of descriptors.
    const MAX: u32 = 65_536;

    /// The address at this place of the range.
    pub(super) fn at(self, index: u32) -> IpAddr {
        match self.first {
            IpAddr::V4(first) => IpAddr::V4((u32::from(first).wrapping_add(index)).into()),
            IpAddr::V6(first) => IpAddr::V6((u128::from(first).wrapping_add(index.into())).into()),
        }
    }
}

impl FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let complaint = || {
            format!(
                "{text:?} is no address of this machine: write one, or the first and the last, as in 127.0.0.2-127.0.0.20"
            )
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let first: IpAddr = first.trim().parse().map_err(|_| complaint())?;
        let last: IpAddr = last.trim().parse().map_err(|_| complaint())?;
        let steps = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                u32::from(last).checked_sub(first.into()).map(u128::from)
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => u128::from(last).checked_sub(first.into()),
            _ => None,
        };
        let steps = steps.ok_or_else(complaint)?;
        match u32::try_from(steps) {
            Ok(steps) if steps < Self::MAX => Ok(Self {
                first,
                count: steps + 1,
            }),
            _ => Err(format!("{text} are too many addresses: at most {}", Self::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_units() {
        for (text, rate) in [("500", 500.0), ("20k", 20e3), ("1.5M", 1.5e6), ("0.5", 0.5)] {
            assert_eq!(text.parse(), Ok(Rate(rate)), "{text}");
        }
        for text in ["", "k", "-1", "0", "1e3", "inf", "NaN", "1 k", "10G", "2000M"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_come_as_ranges() {
        let range: AddressRange = "127.0.0.250-127.0.1.3".parse().unwrap();
        assert_eq!(range.count, 10);
        assert_eq!(range.at(0).to_string(), "127.0.0.250");
        assert_eq!(range.at(9).to_string(), "127.0.1.3");
        assert_eq!("::1".parse::<AddressRange>().unwrap().count, 1);
        for text in [
            "",
            "localhost",
            "127.0.0.2-127.0.0.1",
            "127.0.0.1-::1",
            "::-::ffff:ffff",
        ] {
            assert!(text.parse::<AddressRange>().is_err(), "{text}");
        }
    }
}
