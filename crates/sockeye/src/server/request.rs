//! The request that asks for a WebSocket, as upgrade hooks and handlers see it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Uri};
use sockeye_proto::Subprotocol;
use sockeye_proto::extension::Extension;
use sockeye_proto::handshake::Key;
use sockeye_proto::handshake::server::Upgrade;

use super::cookie::{Cookie, cookies};
use super::forwarded::Client;
use super::{Address, Params, Proxied, TrustedProxies};
use crate::origin::Origin;
#[cfg(feature = "tls")]
use crate::tls::TlsInfo;

/// What is known about a connection before any request: also an extension of every request that the fallback
/// service gets, as `http::Extensions` type `Arc<ConnectionInfo>`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The number of the connection, from 0, in the order in which they were accepted.
    pub id: u64,
    /// The other end: the client, or the proxy before it. If that told whose the connection is with the
    /// [PROXY protocol](super::ProxyProtocol), it is the client all the same.
    pub peer: Address,
    /// This end; with the PROXY protocol, the end that the client connected to.
    pub local: Address,
    /// What a trusted proxy told with the PROXY protocol.
    pub proxied: Option<Proxied>,
    /// What TLS agreed on; `None` on a plain connection.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsInfo>,
}

impl ConnectionInfo {
    /// Whether the connection itself is under TLS. A proxy before it may have ended TLS all the same.
    pub fn is_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        let is_tls = self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        let is_tls = false;
        is_tls
    }
}

/// A request for a WebSocket that passed every check of RFC 6455 §4.2.1 and found its route.
///
/// Cloning it copies nothing.
#[derive(Clone, Debug)]
pub struct UpgradeRequest(Arc<Inner>, Option<Arc<Params>>);

#[derive(Debug)]
struct Inner {
    head: Parts,
    upgrade: Upgrade,
    connection: Arc<ConnectionInfo>,
    client: Client,
}

impl UpgradeRequest {
    pub(crate) fn new(
        head: Parts,
        upgrade: Upgrade,
        connection: Arc<ConnectionInfo>,
        proxies: &TrustedProxies,
    ) -> Self {
        let client = proxies.client(&head.headers, &connection.peer);
        let inner = Inner {
            head,
            upgrade,
            connection,
            client,
        };
        Self(Arc::new(inner), None)
    }

    /// The same request, as the route that these are from sees it.
    pub(super) fn with_params(&self, params: Params) -> Self {
        let has_any = params.iter().next().is_some();
        let params = has_any.then(|| Arc::new(params));
        Self(Arc::clone(&self.0), params)
    }

    /// The method: GET.
    pub fn method(&self) -> &Method {
        &self.0.head.method
    }

    /// The request target.
    pub fn uri(&self) -> &Uri {
        &self.0.head.uri
    }

    /// The path, percent-encoded as it was sent.
    pub fn path(&self) -> &str {
        self.0.head.uri.path()
    }

    /// The decoded value of a parameter of the route's pattern.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params().get(name)
    }

    /// All parameters of the route's pattern.
    pub fn params(&self) -> &Params {
        static NONE: Params = Params::none();
        self.1.as_deref().unwrap_or(&NONE)
    }

    /// The pairs of the query, decoded as HTML forms encode them. Bytes that are not UTF-8 become `U+FFFD`.
    pub fn query(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.0.head.uri.query().unwrap_or_default().as_bytes())
    }

    /// The first value of this name in the query.
    pub fn query_value(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The header fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.head.headers
    }

    /// The first line of a header field, if it is visible ASCII.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Whatever a layer in front of this one left for the request.
    pub fn extensions(&self) -> &http::Extensions {
        &self.0.head.extensions
    }

    /// The cookies. What does not look like one is passed over.
    pub fn cookies(&self) -> impl Iterator<Item = Cookie<'_>> {
        cookies(self.headers())
    }

    /// The value of the first cookie of this name, as sent.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies()
            .find(|cookie| cookie.name == name)
            .map(|cookie| cookie.value)
    }

    /// The `Origin` header: the page that a browser opened the WebSocket from.
    pub fn origin(&self) -> Option<&str> {
        self.0.upgrade.origin()
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> &[Subprotocol] {
        self.0.upgrade.subprotocols()
    }

    /// The `Sec-WebSocket-Key` header, which the answer proves to have seen.
    pub fn key(&self) -> Key {
        self.0.upgrade.key()
    }

    /// The WebSocket extensions that the client offers.
    pub fn websocket_extensions(&self) -> &[Extension] {
        self.0.upgrade.extensions()
    }

    /// The number, ends and TLS facts of the connection.
    pub fn connection(&self) -> &ConnectionInfo {
        &self.0.connection
    }

    /// The other end of the connection: the client, or a proxy.
    pub fn peer_address(&self) -> &Address {
        &self.0.connection.peer
    }

    /// The client's IP address: the peer's, or, if that is a trusted proxy, the one it forwards for. `None`
    /// for Unix sockets.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.0.client.ip
    }

    /// The addresses that the request came through: the [client's](Self::client_ip) first, then each trusted
    /// proxy's, the peer's last. Empty for Unix sockets without a proxy.
    ///
    /// What the headers say beyond the client, anybody can write, so that it is left out.
    pub fn remote_addresses(&self) -> &[IpAddr] {
        &self.0.client.chain
    }

    /// The host and port that the client asked for, from the trusted proxy if there is one.
    pub fn host(&self) -> &str {
        self.0
            .client
            .host
            .as_deref()
            .unwrap_or_else(|| self.0.upgrade.host().as_str())
    }

    /// Whether the client's own connection is under TLS, by the word of the trusted proxy if there is one.
    pub fn is_secure(&self) -> bool {
        match self.0.client.scheme {
            Some(scheme) => scheme == "https",
            None => {
                let proxied = self.0.connection.proxied.as_ref();
                self.0.connection.is_tls() || proxied.is_some_and(|proxied| proxied.is_tls)
            }
        }
    }

    /// The origin that the request was sent to, for the comparison with [`origin`](Self::origin).
    pub(super) fn target_origin(&self) -> Option<Origin> {
        let scheme = if self.is_secure() { "https" } else { "http" };
        Origin::of_request(scheme, self.host()).ok()
    }

    pub(crate) fn upgrade(&self) -> &Upgrade {
        &self.0.upgrade
    }
}

#[cfg(test)]
pub(super) mod tests {
    use http::Request;

    use super::*;

    /// A request for tests: the minimal handshake and these headers besides.
    pub(in crate::server) fn request(
        target: &str,
        headers: &[(&'static str, &str)],
        proxies: &TrustedProxies,
    ) -> UpgradeRequest {
        let mut builder = Request::get(target)
            .header("host", "example.test:3000")
            .header("upgrade", "websocket")
            .header("connection", "Upgrade")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let (head, ()) = builder.body(()).unwrap().into_parts();
        let upgrade = Upgrade::check(&head.method, head.version, &head.uri, &head.headers).unwrap();
        let connection = ConnectionInfo {
            id: 7,
            peer: Address::Tcp("10.0.0.1:4000".parse().unwrap()),
            local: Address::Tcp("10.0.0.2:3000".parse().unwrap()),
            proxied: None,
            #[cfg(feature = "tls")]
            tls: None,
        };
        UpgradeRequest::new(head, upgrade, Arc::new(connection), proxies)
    }

    #[test]
    fn a_request_shows_all_its_parts() {
        let request = request(
            "/rooms/a%20b?token=x%2By&tag=1&tag=caf%C3%A9+au+lait&bad=%ff",
            &[
                ("origin", "http://example.test:3000"),
                ("sec-websocket-protocol", "chat.v2, chat.v1"),
                (
                    "sec-websocket-extensions",
                    "permessage-deflate; client_max_window_bits",
                ),
                ("cookie", "sid=\"abc\"; junk; theme=dark"),
            ],
            &TrustedProxies::default(),
        );
        assert_eq!(request.path(), "/rooms/a%20b");
        assert_eq!(request.query_value("token").as_deref(), Some("x+y"));
        assert_eq!(request.query_value("tag").as_deref(), Some("1"));
        assert_eq!(request.query().nth(2).unwrap().1, "café au lait");
        assert_eq!(request.query_value("bad").as_deref(), Some("\u{fffd}"));
        assert_eq!(request.query_value("absent"), None);
        assert_eq!(request.cookie("sid"), Some("abc"));
        assert_eq!(request.cookie("theme"), Some("dark"));
        assert_eq!(request.subprotocols(), ["chat.v2", "chat.v1"]);
        assert_eq!(request.websocket_extensions()[0].name(), "permessage-deflate");
        assert_eq!(request.header(&http::header::HOST), Some("example.test:3000"));
        assert_eq!(request.client_ip(), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(request.remote_addresses(), request.client_ip().as_slice());
        assert_eq!(request.connection().id, 7);
        assert_eq!(request.key().to_string(), "dGhlIHNhbXBsZSBub25jZQ==");
        assert!(!request.is_secure());
        assert_eq!(
            request.target_origin().unwrap().to_string(),
            "http://example.test:3000"
        );
    }

    #[test]
    fn a_trusted_proxy_says_who_asked_and_for_what() {
        let headers = [
            ("x-forwarded-for", "192.0.2.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "public.test"),
        ];
        let request = request("/", &headers, &TrustedProxies::list(["10.0.0.1"]).unwrap());
        assert_eq!(request.client_ip(), Some("192.0.2.9".parse().unwrap()));
        assert!(request.is_secure());
        assert_eq!(
            request.target_origin().unwrap().to_string(),
            "https://public.test"
        );
    }

    #[test]
    fn a_stranger_says_nothing_of_the_kind() {
        let headers = [
            ("x-forwarded-for", "192.0.2.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "public.test"),
        ];
        let request = request("/", &headers, &TrustedProxies::list(["10.9.9.9"]).unwrap());
        assert_eq!(request.client_ip(), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(
            request.target_origin().unwrap().to_string(),
            "http://example.test:3000"
        );
    }

    #[test]
    fn absolute_form_names_the_host() {
        let request = request("ws://other.test/chat", &[], &TrustedProxies::default());
        assert_eq!(request.path(), "/chat");
        assert_eq!(request.host(), "other.test");
    }
}
