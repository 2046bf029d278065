//! The table of everything `sockeye serve` can be told.
//!
//! A field is an option: `max_message_size` is the flag `--max-message-size`, the variable
//! `SOCKEYE_MAX_MESSAGE_SIZE` and the key `max-message-size` of a configuration file. Its doc comment is the
//! help of the flag and the comment that `sockeye config print` writes. Nothing else repeats the list.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::units::{Count, OrAuto, OrOff, Period, Port, Size, Switch, Workers, positive, within};
use super::values::{
    Driver, ForwardedName, LogFormat, Mode, OriginRule, Rate, TopicAccess, parse_address, parse_filter,
    parse_proxy, parse_subprotocol,
};

/// The options of `sockeye serve`, with their embedded defaults.
#[derive(Debug, Clone, PartialEq, Args)]
pub(crate) struct ServeOptions {
    /// Address or name to listen on; repeat it, or separate several with commas.
    ///
    /// The default can be reached from this machine only. 0.0.0.0 is every IPv4 address, :: every address.
    #[arg(help_heading = LISTENING, long, default_value = "localhost", value_delimiter = ',')]
    pub(crate) host: Vec<String>,

    /// TCP port. auto is 3000 or the next free one; 0 lets the system choose; off listens on no TCP port.
    #[arg(help_heading = LISTENING, long, default_value = "auto")]
    pub(crate) port: Port,

    /// Also listen on a Unix socket at this path.
    #[arg(help_heading = LISTENING, long, value_name = "PATH")]
    pub(crate) unix: Option<PathBuf>,

    /// Permissions of the Unix socket, in octal: who may write to it may connect.
    #[arg(help_heading = LISTENING, long, value_name = "MODE")]
    pub(crate) unix_mode: Option<Mode>,

    /// Threads that serve, each with connections of its own, at most 4096. auto is one per core.
    #[arg(help_heading = LISTENING, long, default_value = "auto", value_name = "COUNT|auto")]
    pub(crate) workers: OrAuto<Workers>,

    /// What moves the bytes of the workers: uring, readiness, or auto, which is uring where the system allows it.
    #[arg(help_heading = LISTENING, long, default_value = "auto")]
    pub(crate) driver: Driver,

    /// Bind each worker to a processor.
    #[arg(
        help_heading = LISTENING, long, default_value = "off", default_missing_value = "on",
        num_args = 0..=1, value_name = "on|off", hide_possible_values = true
    )]
    pub(crate) pin: Switch,

    /// Certificate chain (PEM). With it, pages are https:// and endpoints wss://.
    #[arg(help_heading = TLS, long, value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key (PEM) of the certificate.
    #[arg(help_heading = TLS, long, value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Make a certificate for this run, to try wss:// locally. Its fingerprint is printed.
    #[arg(
        help_heading = TLS, long, default_value = "off", default_missing_value = "on", num_args = 0..=1,
        value_name = "on|off", hide_possible_values = true
    )]
    pub(crate) tls_self_signed: Switch,

    /// Accept only clients that show a certificate signed by one of these (PEM).
    #[arg(help_heading = TLS, long, value_name = "FILE")]
    pub(crate) tls_client_ca: Option<PathBuf>,

    /// Compress messages when the client offers it (permessage-deflate).
    ///
    /// It costs memory and time: leave it off unless messages are large and alike.
    #[arg(
        help_heading = COMPRESSION, long, default_value = "off", default_missing_value = "on",
        num_args = 0..=1, value_name = "on|off", hide_possible_values = true
    )]
    pub(crate) compression: Switch,

    /// 0 stores, 1 is fast, 9 is small.
    #[arg(
        help_heading = COMPRESSION, long, default_value = "2", value_name = "0-9",
        value_parser = within::<0, 9>
    )]
    pub(crate) compression_level: u8,

    /// Messages shorter than this are sent as they are.
    #[arg(help_heading = COMPRESSION, long, default_value = "128", value_name = "SIZE")]
    pub(crate) compression_threshold: Size,

    /// Keep the window from one message to the next: smaller messages, and memory held per connection.
    #[arg(
        help_heading = COMPRESSION, long, default_value = "off", default_missing_value = "on",
        num_args = 0..=1, value_name = "on|off", hide_possible_values = true
    )]
    pub(crate) compression_context_takeover: Switch,

    /// Size of the window as a power of two.
    #[arg(
        help_heading = COMPRESSION, long, default_value = "15", value_name = "9-15",
        value_parser = within::<9, 15>
    )]
    pub(crate) compression_window_bits: u8,

    /// Largest message accepted, counted after decompression. A larger one closes with 1009.
    #[arg(
        help_heading = MESSAGES, long, default_value = "1MiB", value_name = "SIZE",
        value_parser = positive::<Size>
    )]
    pub(crate) max_message_size: Size,

    /// Largest frame accepted; a frame is never larger than its message. A larger one closes with 1009.
    #[arg(help_heading = MESSAGES, long, default_value = "off", value_name = "SIZE|off")]
    pub(crate) max_frame_size: OrOff<Size>,

    /// Most fragments one message may come in.
    #[arg(
        help_heading = MESSAGES, long, default_value = "1024", value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) max_fragments: u32,

    /// Most pings and pongs a client may send in a second.
    #[arg(
        help_heading = MESSAGES, long, default_value = "1000", value_name = "COUNT",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) max_control_rate: u32,

    /// Bytes received from one client that may wait to be echoed before reading stops.
    #[arg(
        help_heading = MESSAGES, long, default_value = "64KiB", value_name = "SIZE",
        value_parser = positive::<Size>
    )]
    pub(crate) receive_queue_size: Size,

    /// Bytes that may wait to be sent to one client before its next message waits too.
    #[arg(
        help_heading = MESSAGES, long, default_value = "1MiB", value_name = "SIZE",
        value_parser = positive::<Size>
    )]
    pub(crate) queue_size: Size,

    /// Most connections at once. auto leaves some of the process's open files for everything else.
    #[arg(help_heading = HANDSHAKE, long, default_value = "auto", value_name = "COUNT|auto")]
    pub(crate) max_connections: OrAuto<Count>,

    /// Most connections at once of one IPv4 address or one IPv6 /64.
    #[arg(help_heading = HANDSHAKE, long, default_value = "off", value_name = "COUNT|off")]
    pub(crate) max_connections_per_address: OrOff<Count>,

    /// Most connections at once whose first request has not come yet.
    #[arg(help_heading = HANDSHAKE, long, default_value = "off", value_name = "COUNT|off")]
    pub(crate) max_half_open: OrOff<Count>,

    /// New connections per second in the long run, and how many may come at once: 100 or 100:500.
    #[arg(help_heading = HANDSHAKE, long, default_value = "off", value_name = "RATE[:BURST]|off")]
    pub(crate) connection_rate: OrOff<Rate>,

    /// Only log what these limits on connections would refuse, to find the right numbers.
    #[arg(
        help_heading = HANDSHAKE, long, default_value = "off", default_missing_value = "on",
        num_args = 0..=1, value_name = "on|off", hide_possible_values = true
    )]
    pub(crate) limits_dry_run: Switch,

    /// Largest request head.
    #[arg(
        help_heading = HANDSHAKE, long, default_value = "16KiB", value_name = "SIZE",
        value_parser = positive::<Size>
    )]
    pub(crate) max_header_size: Size,

    /// Most header fields of a request.
    #[arg(help_heading = HANDSHAKE, long, default_value = "100", value_name = "COUNT")]
    pub(crate) max_headers: usize,

    /// Web pages that may connect: any, same-origin, or origins such as https://example.org:8443.
    ///
    /// Scheme, host and port are compared exactly; null never passes. Clients that are not browsers send no
    /// origin and are not affected.
    #[arg(help_heading = HANDSHAKE, long, default_value = "same-origin", value_delimiter = ',')]
    pub(crate) origin: Vec<OriginRule>,

    /// Subprotocols to choose from, the most wanted first. None: the first one the client offers.
    #[arg(
        help_heading = HANDSHAKE, long, value_name = "NAME", value_delimiter = ',',
        value_parser = parse_subprotocol
    )]
    pub(crate) subprotocol: Vec<String>,

    /// Proxies whose word about the client is believed: an address, a range (10.0.0.0/8), or unix.
    #[arg(
        help_heading = HANDSHAKE, long, value_name = "RANGE", value_delimiter = ',',
        value_parser = parse_proxy
    )]
    pub(crate) trusted_proxy: Vec<String>,

    /// The headers that these proxies write: X-Forwarded-For, -Proto and -Host, or Forwarded (RFC 7239).
    #[arg(
        help_heading = HANDSHAKE, long, default_value = "x-forwarded", value_name = "x-forwarded|forwarded",
        hide_possible_values = true
    )]
    pub(crate) forwarded_header: ForwardedName,

    /// Balancers that begin each connection with a header of the PROXY protocol, version 1 or 2; written as trusted proxies are.
    #[arg(
        help_heading = HANDSHAKE, long, value_name = "RANGE", value_delimiter = ',',
        value_parser = parse_proxy
    )]
    pub(crate) proxy_protocol: Vec<String>,

    /// Time for the TLS handshake.
    #[arg(
        help_heading = TIMES, long, default_value = "5s", value_name = "DURATION",
        value_parser = positive::<Period>
    )]
    pub(crate) tls_timeout: Period,

    /// Time from accepting a connection to the end of its request head, TLS included.
    #[arg(
        help_heading = TIMES, long, default_value = "10s", value_name = "DURATION",
        value_parser = positive::<Period>
    )]
    pub(crate) handshake_timeout: Period,

    /// Time for a message to arrive completely once it has begun.
    #[arg(help_heading = TIMES, long, default_value = "30s", value_name = "DURATION|off")]
    pub(crate) message_timeout: OrOff<Period>,

    /// A client that takes nothing for this long, with data waiting for it, is cut off.
    #[arg(
        help_heading = TIMES, long, default_value = "10s", value_name = "DURATION",
        value_parser = positive::<Period>
    )]
    pub(crate) write_timeout: Period,

    /// Time the client has to answer a close frame.
    #[arg(
        help_heading = TIMES, long, default_value = "10s", value_name = "DURATION",
        value_parser = positive::<Period>
    )]
    pub(crate) close_timeout: Period,

    /// Send a ping after this much silence.
    #[arg(help_heading = TIMES, long, default_value = "25s", value_name = "DURATION|off")]
    pub(crate) ping_interval: OrOff<Period>,

    /// Time the client has to answer a ping.
    #[arg(
        help_heading = TIMES, long, default_value = "10s", value_name = "DURATION",
        value_parser = positive::<Period>
    )]
    pub(crate) ping_timeout: Period,

    /// Close a connection without messages for this long, pings or not.
    #[arg(help_heading = TIMES, long, default_value = "off", value_name = "DURATION|off")]
    pub(crate) idle_timeout: OrOff<Period>,

    /// Close every connection at this age, or up to a tenth earlier, so that not all come back at once.
    #[arg(help_heading = TIMES, long, default_value = "off", value_name = "DURATION|off")]
    pub(crate) max_lifetime: OrOff<Period>,

    /// Send "Request served by HOSTNAME" as the first message of a connection.
    #[arg(
        help_heading = SERVICE, long, default_value = "off", default_missing_value = "on", num_args = 0..=1,
        value_name = "on|off", hide_possible_values = true
    )]
    pub(crate) greeting: Switch,

    /// What clients may do at /topics/NAME: connecting subscribes them to the topic, and with publish, what they send goes
    /// to all its subscribers. With off, that path echoes like any other.
    #[arg(
        help_heading = TOPICS, long, default_value = "off", value_name = "off|subscribe|publish",
        hide_possible_values = true
    )]
    pub(crate) topics: TopicAccess,

    /// How many messages of each topic are kept, for clients that connect with ?history=COUNT.
    #[arg(help_heading = TOPICS, long, default_value = "100", value_name = "COUNT|off")]
    pub(crate) topic_history: OrOff<Count>,

    /// How many bytes of each topic are kept at most; of 1024 topics, those that were published to last.
    #[arg(
        help_heading = TOPICS, long, default_value = "64KiB", value_name = "SIZE",
        value_parser = positive::<Size>
    )]
    pub(crate) topic_history_size: Size,

    /// A file with the token that backends show at /api. Without it there is no API.
    #[arg(help_heading = TOPICS, long, value_name = "FILE")]
    pub(crate) api_token_file: Option<PathBuf>,

    /// Serve the API on this address and port, as in 127.0.0.1:3001, rather than beside everything else.
    #[arg(help_heading = TOPICS, long, value_name = "ADDRESS:PORT", value_parser = parse_address)]
    pub(crate) api_listen: Option<SocketAddr>,

    /// Serve counters and histograms for Prometheus at /metrics.
    #[arg(
        help_heading = SERVICE, long, default_value = "on", default_missing_value = "on", num_args = 0..=1,
        value_name = "on|off", hide_possible_values = true
    )]
    pub(crate) metrics: Switch,

    /// On Ctrl-C or SIGTERM: keep accepting this long while /readyz already fails, so that balancers notice.
    #[arg(help_heading = SERVICE, long, default_value = "0s", value_name = "DURATION")]
    pub(crate) drain_delay: Period,

    /// Then close the connections with 1001, spread over this time, lest all clients return at once.
    #[arg(help_heading = SERVICE, long, default_value = "5s", value_name = "DURATION")]
    pub(crate) drain_time: Period,

    /// Cut off whatever is still open this long after the listeners were closed.
    #[arg(help_heading = SERVICE, long, default_value = "30s", value_name = "DURATION")]
    pub(crate) drain_deadline: Period,

    /// off, error, warn, info, debug or trace; or by module, as in info,sockeye=debug.
    #[arg(
        help_heading = LOGGING, long, default_value = "info", value_name = "LEVEL",
        value_parser = parse_filter
    )]
    pub(crate) log_level: String,

    /// How a line of the log on standard error is written.
    #[arg(
        help_heading = LOGGING, long, default_value = "text", value_name = "text|json",
        hide_possible_values = true
    )]
    pub(crate) log_format: LogFormat,
}

const LISTENING: &str = "Listening";
const TLS: &str = "TLS";
const COMPRESSION: &str = "Compression";
const MESSAGES: &str = "Messages";
const HANDSHAKE: &str = "Connections and handshake";
const TIMES: &str = "Times";
const TOPICS: &str = "Topics and API";
const SERVICE: &str = "Service";
const LOGGING: &str = "Logging";
