//! Which proxy a URL goes through.

use sockeye_proto::handshake::client::Target;

use super::bypass::Bypass;
use super::{Proxy, environment};
use crate::error::Result;

/// Which proxy each connection goes through, if any.
///
/// The default is none. A library that read the environment by itself would send a server's connections to its own
/// backends, or to loopback, wherever a shell happens to point: programs ask for it, with
/// [`from_env`](Self::from_env). A [`Proxy`] is a policy too: everything goes through it.
///
/// ```
/// use sockeye::{Client, Proxy, ProxyPolicy};
///
/// let everywhere = Client::builder().proxy(Proxy::new("socks5h://127.0.0.1:9050")?).build()?;
/// let office = ProxyPolicy::from(Proxy::new("http://proxy.example.org:3128")?).bypass("localhost, .example.org, 10.0.0.0/8");
/// let office = Client::builder().proxy(office).build()?;
/// let like_curl = Client::builder().proxy(ProxyPolicy::from_env()?).build()?;
/// # drop((everywhere, office, like_curl));
/// # Ok::<(), sockeye::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ProxyPolicy {
    pub(super) ws: Option<Proxy>,
    pub(super) wss: Option<Proxy>,
    pub(super) bypass: Bypass,
}

impl ProxyPolicy {
    /// No proxy.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What the environment of this process says now.
    ///
    /// | for | the first of these that is set and not empty |
    /// |---|---|
    /// | `ws://` | `ws_proxy`, `WS_PROXY`, `https_proxy`, `HTTPS_PROXY`, `http_proxy`, `all_proxy`, `ALL_PROXY` |
    /// | `wss://` | `wss_proxy`, `WSS_PROXY`, `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` |
    /// | exceptions | `no_proxy`, `NO_PROXY`, as in [`bypass`](Self::bypass) |
    ///
    /// `ws://` prefers the proxy for HTTPS to the one for HTTP, as RFC 6455 §4.1 recommends. `HTTP_PROXY` in upper
    /// case is not read: under CGI a client of the program can set it. Loopback is no exception unless `no_proxy`
    /// says so.
    ///
    /// # Errors
    ///
    /// A variable that is not the URL of a proxy, or not Unicode ([`Error::is_config`](crate::Error::is_config)); the
    /// message names it.
    pub fn from_env() -> Result<Self> {
        environment::read(|name| std::env::var_os(name))
    }

    /// Sets the hosts that are reached without a proxy, in the format of `NO_PROXY`: separated by commas or white space,
    ///
    /// - `example.org`, `.example.org` or `*.example.org`: the domain and every name in it,
    /// - `192.0.2.1`, `2001:db8::1`: an address, as it stands in the URL,
    /// - `10.0.0.0/8`, `2001:db8::/32`: a network, for addresses that stand in the URL,
    /// - each of them with a port, `example.org:8080`, `[2001:db8::1]:8080`,
    /// - `*`: everything.
    #[must_use]
    pub fn bypass(mut self, rules: &str) -> Self {
        self.bypass = Bypass::parse(rules);
        self
    }

    /// The proxy on the way to `target`.
    pub(in crate::client) fn proxy_for(&self, target: &Target) -> Option<&Proxy> {
        let proxy = if target.is_secure() { &self.wss } else { &self.ws };
        proxy
            .as_ref()
            .filter(|_| !self.bypass.covers(target.host(), target.port()))
    }
}

/// Everything goes through this proxy.
impl From<Proxy> for ProxyPolicy {
    fn from(proxy: Proxy) -> Self {
        Self {
            ws: Some(proxy.clone()),
            wss: Some(proxy),
            bypass: Bypass::default(),
        }
    }
}

/// Everything goes through this proxy, or nothing goes through any.
impl From<Option<Proxy>> for ProxyPolicy {
    fn from(proxy: Option<Proxy>) -> Self {
        proxy.map_or_else(Self::default, Self::from)
    }
}
