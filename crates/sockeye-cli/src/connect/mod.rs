//! `sockeye connect`: a line client for a terminal, and a filter for a pipe.

mod interactive;
mod payload;
mod pipe;
mod status;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use http::{HeaderName, HeaderValue};
use sockeye::proto::deflate::Deflate;
use sockeye::tls::{ClientTls, Pem};
use sockeye::{Client, CloseInfo, Config, ConnectTimeouts, Keepalive, WebSocket};
use tokio::sync::mpsc;

use crate::config::units::{OrOff, Period, Size, Switch, positive};
use crate::config::values::parse_subprotocol;
use crate::error::{Failure, chain};

/// What `sockeye connect` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConnectOptions {
    /// Where to connect: ws://host/path or wss://host/path.
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    /// Send this header with the request; repeat it for several.
    #[arg(
        help_heading = HANDSHAKE, short = 'H', long = "header", value_name = "NAME: VALUE",
        value_parser = parse_header
    )]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,

    /// Offer this subprotocol; repeat it for several, the most wanted first.
    #[arg(help_heading = HANDSHAKE, short, long = "subprotocol", value_name = "NAME", value_delimiter = ',',
        value_parser = parse_subprotocol)]
    pub(crate) subprotocols: Vec<String>,

    /// Say that a page of this origin connects, as a browser would.
    #[arg(help_heading = HANDSHAKE, short, long, value_name = "ORIGIN", value_parser = parse_origin)]
    pub(crate) origin: Option<HeaderValue>,

    /// Offer to compress messages (permessage-deflate).
    #[arg(
        help_heading = HANDSHAKE, long, default_value = "off", default_missing_value = "on", num_args = 0..=1,
        value_name = "on|off", hide_possible_values = true
    )]
    pub(crate) compression: Switch,

    /// Give up when the connection is not open after this time.
    #[arg(help_heading = HANDSHAKE, long, default_value = "10s", value_name = "DURATION",
        value_parser = positive::<Period>)]
    pub(crate) timeout: Period,

    /// Trust the certificates in this PEM file besides the system's.
    #[arg(help_heading = TLS, long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Accept any certificate: whoever sits in between can read and change everything.
    #[arg(help_heading = TLS, short = 'k', long)]
    pub(crate) insecure: bool,

    /// Send each line as a binary message, written in hexadecimal; spaces are allowed.
    #[arg(help_heading = MESSAGES, short, long)]
    pub(crate) binary: bool,

    /// Binary messages are bytes, not hexadecimal: lines are sent and messages written as they are.
    #[arg(help_heading = MESSAGES, long)]
    pub(crate) raw: bool,

    /// Largest message accepted.
    #[arg(help_heading = MESSAGES, long, default_value = "16MiB", value_name = "SIZE",
        value_parser = positive::<Size>)]
    pub(crate) max_message_size: Size,

    /// Send a ping after this much silence.
    #[arg(help_heading = MESSAGES, long, default_value = "off", value_name = "DURATION|off")]
    pub(crate) ping_interval: OrOff<Period>,

    /// In a pipe: when standard input has ended, close after this time without a message; off waits for the
    /// server to close.
    #[arg(help_heading = MESSAGES, short, long, default_value = "1s", value_name = "DURATION|off")]
    pub(crate) wait: OrOff<Period>,

    /// Close after this many messages were received.
    #[arg(help_heading = MESSAGES, short = 'n', long, value_name = "COUNT",
        value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Tell what was negotiated, on standard error.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

const HANDSHAKE: &str = "Handshake";
const TLS: &str = "TLS";
const MESSAGES: &str = "Messages";

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    text.split_once(':')
        .and_then(|(name, value)| Some((name.trim().parse().ok()?, value.trim().parse().ok()?)))
        .ok_or_else(|| format!("{text:?} is not a header: write 'Name: value'"))
}

fn parse_origin(text: &str) -> Result<HeaderValue, String> {
    text.parse()
        .map_err(|_| format!("{text:?} cannot stand in a header"))
}

/// How a conversation ended.
#[derive(Debug)]
enum End {
    /// The server closed.
    Closed(CloseInfo),
    /// The connection failed: it broke off, or somebody broke the rules.
    Failed(sockeye::Error),
    /// We closed because there was no more to do.
    ByUs,
    /// We closed because of Ctrl-C.
    Interrupted,
    /// Nobody reads our output any more.
    ReaderGone,
}

/// Connects, talks, and gives the exit status.
pub(crate) fn run(options: &ConnectOptions) -> Result<ExitCode, Failure> {
    // A slow reader of our output blocks one thread; the other keeps the connection alive.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let end = runtime.block_on(converse(options));
    // A thread may still wait for standard input, for ever.
    runtime.shutdown_background();
    end.map(|end| report(&end, options.verbose || on_terminal()))
}

/// Whether a person types and reads.
fn on_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

async fn converse(options: &ConnectOptions) -> Result<End, Failure> {
    let mut interrupts = interrupts();
    let socket = tokio::select! {
        socket = connect(options) => socket?,
        Some(()) = interrupts.recv() => return Ok(End::Interrupted),
    };
    if options.verbose {
        let subprotocol = socket.subprotocol().map_or_else(
            || "no subprotocol".to_owned(),
            |name| format!("subprotocol {name}"),
        );
        let extensions = match socket.negotiated_extensions() {
            "" => "no extensions",
            extensions => extensions,
        };
        eprintln!("connected: {subprotocol}, {extensions}");
    }
    if on_terminal()
        && let Some(editor) = interactive::editor()
    {
        interactive::run(socket, options, editor).await
    } else {
        pipe::run(socket, options, &mut interrupts).await
    }
}

async fn connect(options: &ConnectOptions) -> Result<WebSocket, Failure> {
    let timeout = options.timeout.0;
    let mut client = Client::builder()
        .limits(Config {
            max_message_size: options.max_message_size.0 as u64,
            keepalive: options
                .ping_interval
                .duration()
                .map(|interval| Keepalive { interval, timeout }),
            ..Config::client()
        })
        .timeouts(ConnectTimeouts::each(timeout))
        .compression(options.compression.is_on().then(Deflate::default));
    for (name, value) in &options.headers {
        client = client.header(name, value);
    }
    for name in &options.subprotocols {
        client = client.subprotocol(name);
    }
    if let Some(origin) = &options.origin {
        client = client.origin(origin);
    }
    if options.ca.is_some() || options.insecure {
        client = client.tls(tls(options)?);
    }
    client
        .connect(&options.url)
        .await
        .map_err(|error| explain(&error))
}

fn tls(options: &ConnectOptions) -> Result<ClientTls, Failure> {
    let mut tls = ClientTls::builder().danger_accept_invalid_certs(options.insecure);
    if let Some(authorities) = &options.ca {
        tls = tls.root(Pem::file(authorities));
    }
    tls.build().map_err(|error| Failure::new(format!("TLS: {error}")))
}

/// Most characters of the body of a refusal that are shown.
const REFUSAL_SHOWN: usize = 200;

/// Why there is no connection.
fn explain(error: &sockeye::Error) -> Failure {
    if error.is_config() {
        return Failure::usage(chain(error));
    }
    // Servers that refuse often say why in the body.
    let said = error.refusal().and_then(|refusal| {
        let body = String::from_utf8_lossy(&refusal.body);
        let line = body.lines().map(str::trim).find(|line| !line.is_empty())?;
        let beginning: String = line.chars().take(REFUSAL_SHOWN).collect();
        let more = if beginning.len() < line.len() { " …" } else { "" };
        Some(payload::one_line(&beginning) + more)
    });
    let said = said.map_or_else(String::new, |said| format!(": {said}"));
    Failure::new(format!("{}{said}", chain(error)))
}

/// One for each Ctrl-C.
fn interrupts() -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if sender.send(()).await.is_err() {
                return;
            }
        }
    });
    receiver
}

/// Says how it ended, where that is news, and gives the status for it.
fn report(end: &End, verbose: bool) -> ExitCode {
    let (text, status) = match end {
        End::Closed(info) => {
            let reason = if info.reason.as_str().is_empty() {
                String::new()
            } else {
                format!(": {}", payload::one_line(info.reason.as_str()))
            };
            (
                format!("the server closed with {}{reason}", info.code),
                status::of_code(Some(info.code)),
            )
        }
        End::Failed(error) => {
            let code = error.close_code().map_or(1006, |code| code.get());
            (chain(error), status::of_code(Some(code)))
        }
        End::ByUs => ("closed".to_owned(), 0),
        End::Interrupted => ("interrupted".to_owned(), status::INTERRUPTED),
        End::ReaderGone => ("nobody reads standard output any more".to_owned(), 0),
    };
    if verbose || !matches!(status, 0 | status::INTERRUPTED) {
        eprintln!("sockeye: {text}");
    }
    ExitCode::from(status)
}
