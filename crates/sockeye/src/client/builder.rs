//! What a client can be told.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{AUTHORIZATION, ORIGIN};
use http::{HeaderName, HeaderValue};
use sockeye_proto::Config;
use sockeye_proto::deflate::Deflate;
use sockeye_proto::handshake::{HeadLimits, HeaderError};

use super::{Client, ConnectTimeouts, ProxyPolicy, Resolve, Settings, TcpOptions, address, auth};
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
    /// The first mistake in a header or in credentials.
    pub(super) error: Option<String>,
}

impl ClientBuilder {
    /// Adds a header field to each opening handshake, for instance `Authorization` or `Cookie`.
    ///
    /// The fields of the handshake itself, such as `Host`, `Upgrade` and `Sec-WebSocket-Protocol`, cannot be set
    /// here. A second `Origin` or `Authorization` takes the place of the first. Values that are
    /// [marked sensitive](HeaderValue::set_sensitive) stay with the host they are meant for when
    /// [redirections](Self::redirects) lead elsewhere; `Authorization`, `Proxy-Authorization` and `Cookie` are always
    /// so marked.
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        if let Err(error) = self.try_header(name, value) {
            self.error.get_or_insert_with(|| error.to_string());
        }
        self
    }

    fn try_header(
        &mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Result<(), HeaderError> {
        let name = name.try_into().map_err(|_| HeaderError::Name)?;
        let mut value = value.try_into().map_err(|_| HeaderError::Value)?;
        let headers = &mut self.settings.headers;
        if [ORIGIN, AUTHORIZATION].contains(&name) {
            headers.remove(&name);
        }
        if auth::is_secret(&name) {
            value.set_sensitive(true);
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

    /// Sends `Authorization: Basic` with each opening handshake (RFC 7617), in the place of what
    /// [`header`](Self::header) or [`bearer_auth`](Self::bearer_auth) set before. Default: user name and password of
    /// the URL, if it has any; this wins over them.
    ///
    /// The user name cannot have a colon, and neither can have control characters.
    pub fn basic_auth(self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        self.authorization(auth::basic(user.as_ref(), password.as_ref()))
    }

    /// Sends `Authorization: Bearer` with each opening handshake (RFC 6750), in the place of what
    /// [`header`](Self::header) or [`basic_auth`](Self::basic_auth) set before.
    pub fn bearer_auth(self, token: impl AsRef<str>) -> Self {
        self.authorization(auth::bearer(token.as_ref()))
    }

    fn authorization(mut self, value: Result<HeaderValue, &'static str>) -> Self {
        match value {
            Ok(value) => self.header(AUTHORIZATION, value),
            Err(error) => {
                self.error.get_or_insert_with(|| error.to_owned());
                self
            }
        }
    }

    /// Offers a subprotocol, less preferred than those offered before. Default: none.
    ///
    /// What the server chose is in [`WebSocket::subprotocol`]. A server that chooses what was not offered is
    /// refused (RFC 6455 §4.1).
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.settings.subprotocols.push(name.into());
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

    /// The proxies to go through: a [`Proxy`](crate::Proxy) for everything, or a [`ProxyPolicy`]. Default: none, and
    /// the environment is not read unless [`ProxyPolicy::from_env`] is given here.
    pub fn proxy(mut self, policy: impl Into<ProxyPolicy>) -> Self {
        self.settings.proxy = policy.into();
        self
    }

    /// How many redirections (301, 302, 303, 307, 308) are followed in a row. Default: 0, a redirection is a
    /// [refusal](crate::Error::refusal), as browsers have it.
    ///
    /// `Location` may be relative, and `http` means `ws`; its fragment and its user information are dropped. Each
    /// request goes through all phases and their time limits anew.
    ///
    /// A redirection to another host or port takes no secrets along: not `Authorization`, `Proxy-Authorization`,
    /// `Cookie`, the credentials of the URL, nor fields marked sensitive, and they do not come back if a later one
    /// leads home. From `ws` to `wss` on the same host they are kept, but not from the Unix socket of a `ws+unix` URL.
    /// `Origin` stays as it was set. Cookies of a [store](Self::cookies) go where they belong.
    ///
    /// More redirections than `max`, one to a URL that was there before (unless there are cookies that may change the
    /// answer), and one from `wss` to `ws` are errors that tell the way.
    pub fn redirects(mut self, max: u32) -> Self {
        self.settings.redirects.max = max;
        self
    }

    /// Whether redirections from `wss` to `ws` are followed, without secrets. Default: no, since whoever wrote `wss`
    /// wants encryption.
    pub fn allow_insecure_redirects(mut self, allow: bool) -> Self {
        self.settings.redirects.insecure = allow;
        self
    }

    /// Keeps the cookies that servers set in this store, and sends them back. Default: none.
    ///
    /// Cookies given with [`header`](Self::header) are sent too, in the same field; they win over those in the store
    /// that have the same name. A `ws+unix` URL is asked without the store.
    #[cfg(feature = "cookies")]
    pub fn cookies(mut self, store: crate::cookies::CookieStore) -> Self {
        self.settings.cookies = Some(store);
        self.settings.redirects.repeated = true;
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

    /// Keeps what is about the way to the server, and for the rest takes what the WebSockets Standard says: these
    /// subprotocols, one of which has to be chosen, no redirections, whole messages.
    #[cfg(feature = "web")]
    pub(crate) fn by_the_standard(mut self, subprotocols: impl IntoIterator<Item = String>) -> Self {
        self.settings.subprotocols = subprotocols.into_iter().collect();
        self.settings.redirects.max = 0;
        self.settings.config = Arc::new(Config {
            delivery: sockeye_proto::Delivery::Messages,
            ..Config::clone(&self.settings.config)
        });
        self.require_subprotocol(true)
    }

    /// Makes the client.
    ///
    /// # Errors
    ///
    /// A header field or a subprotocol that cannot be used.
    pub fn build(self) -> Result<Client> {
        if let Some(error) = self.error {
            return Err(Error::config(error));
        }
        // Requests differ in their target only: if one can be made, all can.
        let journey = self.settings.journey(address::parse("ws://localhost/")?);
        self.settings.request(&journey)?;
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
    use crate::Proxy;

    #[test]
    fn what_cannot_be_sent_is_found_by_build() {
        let new = Client::builder;
        for (builder, want) in [
            (new().header("a b", "c"), "name"),
            (new().header("a", "b\r\nc: d"), "value"),
            (new().header("Host", "elsewhere"), "belongs to the handshake"),
            (new().header("sec-websocket-key", "x"), "belongs to the handshake"),
            (new().origin("\0"), "value"),
            (new().basic_auth("a:b", "c"), "colon"),
            (new().basic_auth("a", "\n"), "control"),
            (new().bearer_auth("a b"), "token"),
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

    #[test]
    fn the_last_authorization_counts() {
        let basic = "Basic dTpw";
        let new = Client::builder;
        for (builder, want) in [
            (new().bearer_auth("t").basic_auth("u", "p"), basic),
            (new().header("authorization", basic).bearer_auth("t"), "Bearer t"),
            (
                new().basic_auth("u", "p").header("Authorization", "Digest x"),
                "Digest x",
            ),
        ] {
            let client = builder.build().unwrap();
            let sent: Vec<_> = client.settings.headers.get_all(AUTHORIZATION).iter().collect();
            assert_eq!(sent, [want]);
        }
    }

    #[test]
    fn secrets_are_never_printed() {
        for builder in [
            Client::builder().basic_auth("user", "secret"),
            Client::builder().bearer_auth("secret"),
            Client::builder().header("Authorization", "secret"),
            Client::builder().header("Cookie", "a=secret"),
            Client::builder().header("Proxy-Authorization", "secret"),
            Client::builder().proxy(Proxy::new("http://user:secret@a").unwrap()),
        ] {
            let printed = format!("{builder:?}") + &format!("{:?}", builder.build());
            // Of Basic authentication, this is the word in base64.
            assert!(
                !printed.contains("secret") && !printed.contains("c2VjcmV0"),
                "{printed}"
            );
        }
    }
}
