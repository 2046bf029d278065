//! The options that say how to connect.

use std::path::PathBuf;

use clap::Args;
use http::{HeaderName, HeaderValue};
use sockeye::tls::KeyPin;

use super::proxy::ProxyChoice;
use super::secret::{Credentials, Secret};
use crate::config::units::{OrOff, Period, Size, positive};
use crate::config::values::parse_subprotocol;

/// How to connect, for every command that does.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClientOptions {
    /// Send this header with the request; repeat it for several.
    #[arg(help_heading = HANDSHAKE, short = 'H', long = "header", value_name = "NAME: VALUE",
        value_parser = parse_header)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,

    /// Offer this subprotocol; repeat it for several, the most wanted first.
    #[arg(help_heading = HANDSHAKE, short, long = "subprotocol", value_name = "NAME", value_delimiter = ',',
        value_parser = parse_subprotocol)]
    pub(crate) subprotocols: Vec<String>,

    /// Say that a page of this origin connects, as a browser would.
    #[arg(help_heading = HANDSHAKE, short, long, value_name = "ORIGIN", value_parser = parse_origin)]
    pub(crate) origin: Option<HeaderValue>,

    /// Offer to compress messages (permessage-deflate).
    #[arg(help_heading = HANDSHAKE, long)]
    pub(crate) compress: bool,

    /// Authenticate with a name and a password (Basic); @FILE reads them from a file.
    #[arg(help_heading = HANDSHAKE, short = 'u', long, value_name = "USER:PASSWORD", conflicts_with = "bearer")]
    pub(crate) auth: Option<Credentials>,

    /// Authenticate with a token (Bearer); @FILE reads it from a file.
    #[arg(help_heading = HANDSHAKE, long, value_name = "TOKEN")]
    pub(crate) bearer: Option<Secret>,

    /// Send the cookies in this file (the format of curl and wget), and keep in it those that servers set.
    #[arg(help_heading = HANDSHAKE, long, value_name = "FILE")]
    pub(crate) cookie_jar: Option<PathBuf>,

    /// Give up when a phase of connecting (name, TCP, proxy, TLS, handshake) takes longer.
    #[arg(help_heading = HANDSHAKE, long, default_value = "10s", value_name = "DURATION",
        value_parser = positive::<Period>)]
    pub(crate) connect_timeout: Period,

    /// Follow redirections. Secrets are not taken along to other hosts, and none leads from wss:// to ws://.
    #[arg(help_heading = NETWORK, short = 'L', long)]
    pub(crate) location: bool,

    /// Most redirections that are followed.
    #[arg(help_heading = NETWORK, long, default_value = "10", value_name = "COUNT", requires = "location")]
    pub(crate) max_redirects: u32,

    /// Connect through this proxy (http, https, socks5 or socks5h, with name and password if it needs them); env is
    /// the one that the variables ws_proxy, wss_proxy, https_proxy, http_proxy and all_proxy name, except for the
    /// hosts in no_proxy.
    #[arg(help_heading = NETWORK, short = 'x', long, default_value = "env", value_name = "URL|env|off")]
    pub(crate) proxy: ProxyChoice,

    /// Connect through this Unix socket instead of the host of the URL.
    #[cfg(unix)]
    #[arg(help_heading = NETWORK, long, value_name = "PATH")]
    pub(crate) unix: Option<PathBuf>,

    /// Trust the certificates in this PEM file besides the system's.
    #[arg(help_heading = TLS, long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Show the certificate in this PEM file to servers that ask for one.
    #[arg(help_heading = TLS, long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,

    /// The private key (PEM) of --cert, when it lies in a file of its own.
    #[arg(help_heading = TLS, long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// Connect only to a server whose key has this SHA-256 in base64, as --verbose shows it; repeat it for several keys.
    #[arg(help_heading = TLS, long = "pin", value_name = "PIN", conflicts_with = "insecure")]
    pub(crate) pins: Vec<KeyPin>,

    /// Expect the server's certificate to be for this name instead of the URL's.
    #[arg(help_heading = TLS, long, value_name = "NAME")]
    pub(crate) server_name: Option<String>,

    /// Accept any certificate: whoever sits in between can read and change everything.
    #[arg(help_heading = TLS, short = 'k', long)]
    pub(crate) insecure: bool,

    /// Largest message accepted.
    #[arg(help_heading = LIMITS, long, default_value = "16MiB", value_name = "SIZE",
        value_parser = positive::<Size>)]
    pub(crate) max_message_size: Size,

    /// Send a ping after this much silence. Default: off; 30s with --reconnect.
    #[arg(help_heading = LIMITS, long, value_name = "DURATION|off")]
    pub(crate) ping_interval: Option<OrOff<Period>>,

    /// Time the server has to answer such a ping.
    #[arg(help_heading = LIMITS, long, default_value = "10s", value_name = "DURATION",
        value_parser = positive::<Period>)]
    pub(crate) ping_timeout: Period,

    /// Show the handshake and tell how the connection ends, on standard error.
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Say nothing on standard error but failures.
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

const HANDSHAKE: &str = "Handshake";
const NETWORK: &str = "Network";
const TLS: &str = "TLS";
const LIMITS: &str = "Limits";

pub(crate) fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    text.split_once(':')
        .and_then(|(name, value)| Some((name.trim().parse().ok()?, value.trim().parse().ok()?)))
        .ok_or_else(|| format!("{text:?} is not a header: write 'Name: value'"))
}

pub(crate) fn parse_origin(text: &str) -> Result<HeaderValue, String> {
    text.parse()
        .map_err(|_| format!("{text:?} cannot stand in a header"))
}
