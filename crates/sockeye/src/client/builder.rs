//! What a client can be told.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::ORIGIN;
use http::{HeaderName, HeaderValue};
use sockeye_proto::Config;
use sockeye_proto::deflate::Deflate;
use sockeye_proto::handshake::{HeadLimits, HeaderError};

use super::{Client, ConnectTimeouts, Resolve, Settings, TcpOptions, address};
use crate::error::{Error, Result};
use crate::session::QueueLimits;
#[cfg(feature = "tls")]
use crate::tls::ClientTls;
use crate::websocket::WebSocket;

/// Builds a [`Client`].
///
/// A value that cannot be used is reported by [`build`](Self::build).
///
/// ```
/// use sockeye::Client;
///
/// let error = Client::builder().subprotocol("two words").build().unwrap_err();
/// assert!(error.is_config());
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct ClientBuilder {
    pub(super) settings: Settings,
    /// The first mistake in a header.
    pub(super) error: Option<HeaderError>,
}

impl ClientBuilder {
    /// Adds a header field to each opening handshake, for instance `Authorization` or `Cookie`.
    ///
    /// The fields of the handshake itself, such as `Host`, `Upgrade` and `Sec-WebSocket-Protocol`, cannot be set
    /// here.
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        if let Err(error) = self.try_header(name, value) {
            self.error.get_or_insert(error);
        }
        self
    }

    fn try_header(
        &mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Result<(), HeaderError> {
        let name = name.try_into().map_err(|_| HeaderError::Name)?;
        let value = value.try_into().map_err(|_| HeaderError::Value)?;
        let headers = &mut self.settings.headers;
        if name == ORIGIN {
            headers.remove(ORIGIN);
        }
        headers
            .try_append(name, value)
            .map_err(|_| HeaderError::TooMany)?;
        Ok(())
    }

    /// Sets the `Origin` field, which servers that check it want to see. Default: none.
    pub fn origin(self, origin: impl TryInto<HeaderValue>) -> Self {
        self.header(ORIGIN, origin)
    }

    /// Offers a subprotocol, less preferred than those offered before. Default: none.
    ///
    /// What the server chose is in [`WebSocket::subprotocol`]. A server that chooses what was not offered is
    /// refused (RFC 6455 §4.1).
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.settings.subprotocols.push(name.into());
        self
    }

    /// Offers these subprotocols and no others.
    #[cfg(feature = "web")]
    pub(crate) fn only_subprotocols(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.settings.subprotocols = names.into_iter().collect();
        self
    }

    /// Whether a server that chooses none of the offered subprotocols is refused, as browsers do. Default: no.
    pub fn require_subprotocol(mut self, required: bool) -> Self {
        self.settings.subprotocol_required = required;
        self
    }

    /// Offers permessage-deflate (RFC 7692). Default: off, since it costs memory and time, and mixing secrets with
    /// text that others choose leaks the secrets by the size of messages.
    ///
    /// ```
    /// use sockeye::Client;
    /// use sockeye::proto::deflate::Deflate;
    ///
    /// let client = Client::builder().compression(Deflate::default()).build()?;
    /// # Ok::<(), sockeye::Error>(())
    /// ```
    pub fn compression(mut self, options: impl Into<Option<Deflate>>) -> Self {
        self.settings.compression = options.into();
        self
    }

    /// The limits and timeouts of the open connection. Default: [`Config::client`].
    pub fn limits(mut self, limits: Config) -> Self {
        self.settings.config = Arc::new(limits);
        self
    }

    /// How much waits for a slow application or a slow peer. Default: [`QueueLimits::default`].
    pub fn queues(mut self, queues: QueueLimits) -> Self {
        self.settings.queues = queues;
        self
    }

    /// How large the head of the server's response may be. Default: [`HeadLimits::default`].
    pub fn response_limits(mut self, limits: HeadLimits) -> Self {
        self.settings.head_limits = limits;
        self
    }

    /// How long each phase of connecting may take. Default: [`ConnectTimeouts::default`].
    pub fn timeouts(mut self, timeouts: ConnectTimeouts) -> Self {
        self.settings.timeouts = timeouts;
        self
    }

    /// Who looks hosts up. Default: the system's resolver, `getaddrinfo`.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.settings.dialer.resolver = Arc::new(resolver);
        self
    }

    /// The addresses of a host, which is not looked up then. Port 0 stands for the port of the URL.
    ///
    /// ```
    /// use sockeye::Client;
    ///
    /// let client = Client::builder().resolve("chat.example.org", [([127, 0, 0, 1], 0).into()]).build()?;
    /// # Ok::<(), sockeye::Error>(())
    /// ```
    pub fn resolve(mut self, host: impl AsRef<str>, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        let host = host.as_ref().to_ascii_lowercase();
        let known = &mut self.settings.dialer.known_hosts;
        known.insert(host, addresses.into_iter().collect());
        self
    }

    /// Whether an attempt to connect waits while another one of this process, by whatever client, is under way to the
    /// same IP address and port. Default: yes, as RFC 6455 §4.1 demands; they come in the order of asking.
    ///
    /// An attempt is under way from TCP to the end of the opening handshake. Waiting counts against
    /// [`ConnectTimeouts::total`] only. Switch it off for load tests, and where slow handshakes must not hold up each
    /// other.
    pub fn one_pending_per_host(mut self, wait: bool) -> Self {
        self.settings.one_pending_per_host = wait;
        self
    }

    /// The address of this machine to connect from; hosts are then tried at addresses of its family only. Default:
    /// whichever the system chooses.
    pub fn local_address(mut self, address: IpAddr) -> Self {
        self.settings.dialer.local_address = Some(address);
        self
    }

    /// Connects to this Unix socket, whatever the host of the URL is. The URL still says what to ask the server for,
    /// the `Host`, and with `wss://` the name that the certificate is checked for. Default: none.
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.settings.unix_socket = Some(path.into());
        self
    }

    /// How TCP sockets are set up. Default: [`TcpOptions::default`].
    pub fn tcp_options(mut self, options: TcpOptions) -> Self {
        self.settings.dialer.tcp = options;
        self
    }

    /// Whom to trust on `wss://`, and the certificate to show. Default: the system's root certificates, read once
    /// when the program first needs them.
    ///
    /// ```no_run
    /// use sockeye::Client;
    /// use sockeye::tls::{ClientTls, Pem};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tls = ClientTls::builder().root(Pem::file("private-ca.pem")).build()?;
    /// let client = Client::builder().tls(tls).build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.settings.tls = Some(tls);
        self
    }

    /// Makes the client.
    ///
    /// # Errors
    ///
    /// A header field or a subprotocol that cannot be used.
    pub fn build(self) -> Result<Client> {
        if let Some(error) = self.error {
            return Err(Error::config(error.to_string()));
        }
        // Requests differ in their target only: if one can be made, all can.
        self.settings.request(address::parse("ws://localhost/")?)?;
        Ok(Client {
            settings: Arc::new(self.settings),
        })
    }

    /// Makes a client for one connection and opens it.
    ///
    /// ```no_run
    /// # async fn example() -> sockeye::Result<()> {
    /// let ws = sockeye::Client::builder()
    ///     .origin("https://example.org")
    ///     .connect("wss://example.org/live")
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build) and [`Client::connect`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up and closes what was opened.
    pub async fn connect(self, url: impl AsRef<str>) -> Result<WebSocket> {
        self.build()?.connect(url).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_sent_is_found_by_build() {
        let new = Client::builder;
        for (builder, want) in [
            (new().header("a b", "c"), "name"),
            (new().header("a", "b\r\nc: d"), "value"),
            (new().header("Host", "elsewhere"), "belongs to the handshake"),
            (new().header("sec-websocket-key", "x"), "belongs to the handshake"),
            (new().origin("\0"), "value"),
            (new().subprotocol(""), "subprotocol"),
            (new().subprotocol("a").subprotocol("a"), "subprotocol"),
        ] {
            let error = builder.build().unwrap_err();
            assert!(error.is_config());
            assert!(error.to_string().contains(want), "{error}");
        }
    }

    #[test]
    fn the_last_origin_counts() {
        let client = Client::builder()
            .origin("https://a")
            .origin("https://b")
            .build()
            .unwrap();
        let origins: Vec<_> = client.settings.headers.get_all(ORIGIN).iter().collect();
        assert_eq!(origins, ["https://b"]);
    }
}
