//! Proxies: HTTP CONNECT (RFC 9110 §9.3.6) and SOCKS5 (RFC 1928, RFC 1929).
//!
//! `policy` says which proxy a URL goes through, `bypass` which hosts go through none, `environment` reads both from
//! variables. `http_connect` and `socks` ask a proxy that is connected for a way to the server; `tunnel` connects to it
//! first.

mod bypass;
mod environment;
mod http_connect;
mod policy;
mod socks;
mod tunnel;

use std::fmt;
use std::str::FromStr;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use sockeye_proto::handshake::HeaderError;
use url::{Host, Url};

use super::auth;
use super::dial::Endpoint;
use crate::error::{Error, Result};
#[cfg(feature = "tls")]
use crate::tls::ClientTls;
pub use policy::ProxyPolicy;
pub(super) use tunnel::Way;

/// The longest user name and password of SOCKS5, in bytes (RFC 1929 §2).
const MAX_SOCKS_CREDENTIAL: usize = 255;

/// A proxy, and how to speak to it.
///
/// | URL | the proxy is asked by | the server's name is looked up by |
/// |---|---|---|
/// | `http://host:port` | HTTP CONNECT; port 80 unless given | the proxy |
/// | `https://host:port` | HTTP CONNECT over TLS; port 443 unless given | the proxy |
/// | `socks5://host:port` | SOCKS5; port 1080 unless given | this program |
/// | `socks5h://host:port` | SOCKS5; port 1080 unless given | the proxy |
///
/// Without a scheme, `http://` is meant. `socks5` and `socks5h` differ as with curl. User name and password may stand
/// before the host, percent-encoded: `http://user:p%40ss@host:3128`. A proxy is asked for a tunnel for `ws://` and
/// `wss://` alike (RFC 6455 §4.1).
///
/// ```
/// use sockeye::{Client, Proxy};
///
/// let proxy = Proxy::new("http://proxy.example.org:3128")?.credentials("user", "p@ss")?;
/// let client = Client::builder().proxy(proxy).build()?;
/// # drop(client);
/// # Ok::<(), sockeye::Error>(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    kind: Kind,
    endpoint: Endpoint,
    credentials: Option<Credentials>,
    /// For the CONNECT request.
    headers: HeaderMap,
    #[cfg(feature = "tls")]
    tls: Option<ClientTls>,
}

/// How a proxy is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
    /// The name of the server is looked up here.
    Socks5,
    /// The name of the server is looked up by the proxy.
    Socks5h,
}

impl Kind {
    const fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 | Self::Socks5h => 1080,
        }
    }

    const fn is_socks(self) -> bool {
        matches!(self, Self::Socks5 | Self::Socks5h)
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Credentials {
    user: String,
    password: String,
}

impl Proxy {
    /// The proxy at a URL.
    ///
    /// # Errors
    ///
    /// A URL that is malformed or has another scheme ([`Error::is_config`]).
    pub fn new(url: impl AsRef<str>) -> Result<Self> {
        let text = url.as_ref();
        // The text itself stays out of messages: it may have a password in it.
        let invalid = |reason: &dyn fmt::Display| Error::config(format!("unusable proxy URL: {reason}"));
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}"))
        }
        .map_err(|error| invalid(&error))?;
        let kind = match url.scheme() {
            "http" => Kind::Http,
            "https" => Kind::Https,
            "socks5" => Kind::Socks5,
            "socks5h" => Kind::Socks5h,
            _ => return Err(invalid(&"its scheme is none of http, https, socks5 and socks5h")),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        // `Url` reads hosts of schemes that browsers do not know as they are.
        let host = match Host::parse(host.ok_or_else(|| invalid(&"it has no host"))?) {
            Ok(Host::Domain(name)) => name,
            Ok(Host::Ipv4(address)) => address.to_string(),
            Ok(Host::Ipv6(address)) => address.to_string(),
            Err(error) => return Err(invalid(&error)),
        };
        let proxy = Self {
            kind,
            endpoint: Endpoint::proxy(host, url.port().unwrap_or_else(|| kind.default_port())),
            credentials: None,
            headers: HeaderMap::new(),
            #[cfg(feature = "tls")]
            tls: None,
        };
        if url.username().is_empty() && url.password().is_none() {
            return Ok(proxy);
        }
        let decode = |text| percent_decode_str(text).decode_utf8();
        match (decode(url.username()), decode(url.password().unwrap_or_default())) {
            (Ok(user), Ok(password)) => proxy.credentials(user, password),
            _ => Err(invalid(&"its user name or password is not UTF-8")),
        }
    }

    /// The user name and password: Basic authentication for HTTP (RFC 7617), RFC 1929 for SOCKS5. Default: those of
    /// the URL.
    ///
    /// # Errors
    ///
    /// What cannot be sent ([`Error::is_config`]): for HTTP a colon in the user name and control characters, for SOCKS5
    /// an empty text or one of more than 255 bytes.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Result<Self> {
        let (user, password) = (user.into(), password.into());
        if self.kind.is_socks() {
            let fits = |text: &str| (1..=MAX_SOCKS_CREDENTIAL).contains(&text.len());
            if !fits(&user) || !fits(&password) {
                return Err(Error::config(
                    "user name and password for a SOCKS5 proxy must have 1 to 255 bytes each",
                ));
            }
        } else {
            auth::basic(&user, &password).map_err(Error::config)?;
        }
        self.credentials = Some(Credentials { user, password });
        Ok(self)
    }

    /// Adds a header field to the CONNECT request. `Proxy-Authorization` takes the place of the credentials.
    ///
    /// # Errors
    ///
    /// A name or value that cannot be sent, a field that belongs to the request itself, and any field for a SOCKS5
    /// proxy, which has none ([`Error::is_config`]).
    pub fn header(
        mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Result<Self> {
        let unusable = |error: HeaderError| Error::config(format!("{error} (for the proxy)"));
        if self.kind.is_socks() {
            return Err(Error::config("a SOCKS5 proxy takes no header fields"));
        }
        let name = name.try_into().map_err(|_| unusable(HeaderError::Name))?;
        let mut value = value.try_into().map_err(|_| unusable(HeaderError::Value))?;
        if [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            return Err(unusable(HeaderError::Reserved));
        }
        if name == PROXY_AUTHORIZATION {
            value.set_sensitive(true);
            self.headers.remove(&name);
        }
        self.headers
            .try_append(name, value)
            .map_err(|_| unusable(HeaderError::TooMany))?;
        Ok(self)
    }

    /// Whom to trust as an `https://` proxy, and the certificate to show to it. Default: the system's root certificates
    /// and none; the settings of the client are those for servers.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = Some(tls);
        self
    }
}

/// The URL, without user name and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.kind.scheme(), self.endpoint)
    }
}

/// Without the password. The values of header fields are shown unless they are marked sensitive.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &format_args!("{self}"))
            .field("user", &self.credentials.as_ref().map(|given| &given.user))
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl FromStr for Proxy {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self> {
        Self::new(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_urls_are_read_as_curl_reads_them() {
        for (url, want) in [
            ("http://proxy.example:3128", "http://proxy.example:3128"),
            ("http://Proxy.Example/", "http://proxy.example:80"),
            ("https://proxy.example", "https://proxy.example:443"),
            ("http://proxy.example:80", "http://proxy.example:80"),
            ("proxy.example:3128", "http://proxy.example:3128"),
            ("localhost:3128", "http://localhost:3128"),
            ("192.0.2.1", "http://192.0.2.1:80"),
            ("SOCKS5://192.0.2.1", "socks5://192.0.2.1:1080"),
            ("socks5h://proxy.example:9050/", "socks5h://proxy.example:9050"),
            ("socks5://proxy.example:80", "socks5://proxy.example:80"),
            ("socks5://[2001:DB8::0:1]", "socks5://[2001:db8::1]:1080"),
            ("socks5://exämple.org", "socks5://xn--exmple-cua.org:1080"),
            ("user:pw@proxy.example:3128", "http://proxy.example:3128"),
        ] {
            assert_eq!(Proxy::new(url).unwrap().to_string(), want, "{url}");
        }
    }

    #[test]
    fn unusable_proxy_urls_are_told_without_their_text() {
        for url in [
            "",
            "http://",
            "socks5://",
            "socks4://secret.example",
            "ftp://secret.example",
            "ws://secret.example",
            "http://user:secret@proxy.example:99999",
            "http://user:secret%ff@proxy.example",
            "http://us%3Aer:secret@proxy.example",
            "socks5://secret@proxy.example",
            "socks5://:secret@proxy.example",
            "socks5://a b/secret",
        ] {
            let error = Proxy::new(url).unwrap_err();
            assert!(error.is_config(), "{url}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn credentials_of_the_url_are_decoded() {
        for url in ["http://us%C3%A9r:p%40:ss@a", "socks5h://us%C3%A9r:p%40:ss@a"] {
            let credentials = Proxy::new(url).unwrap().credentials.unwrap();
            assert_eq!((&*credentials.user, &*credentials.password), ("usér", "p@:ss"));
        }
        let user_alone = Proxy::new("http://user@a").unwrap().credentials.unwrap();
        assert_eq!(user_alone.password, "");
    }

    #[test]
    fn socks_credentials_have_the_sizes_of_rfc_1929() {
        let proxy = || Proxy::new("socks5://a").unwrap();
        assert!(proxy().credentials("u".repeat(255), "p".repeat(255)).is_ok());
        assert!(proxy().credentials("u".repeat(256), "p").is_err());
        assert!(proxy().credentials("u", "p".repeat(256)).is_err());
        assert!(proxy().credentials("u", "").is_err());
    }

    #[test]
    fn fields_of_the_request_itself_cannot_be_set() {
        let http = || Proxy::new("http://a").unwrap();
        for (name, value) in [
            ("Host", "b"),
            ("content-length", "3"),
            ("Transfer-Encoding", "chunked"),
            ("X Y", "z"),
            ("X", "y\r\nz: w"),
        ] {
            assert!(http().header(name, value).unwrap_err().is_config(), "{name}");
        }
        assert!(http().header("X-Team", "fish").is_ok());
        assert!(
            Proxy::new("socks5://a")
                .unwrap()
                .header("X-Team", "fish")
                .is_err()
        );
    }

    #[test]
    fn passwords_are_never_printed() {
        let proxy = Proxy::new("http://user:secret@a:1")
            .unwrap()
            .header("Proxy-Authorization", "Bearer secret")
            .unwrap();
        let printed = format!("{proxy:?} {proxy}");
        assert!(
            printed.contains("http://a:1") && printed.contains("user"),
            "{printed}"
        );
        assert!(!printed.contains("secret"), "{printed}");
    }
}
