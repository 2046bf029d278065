//! Cookies of servers, kept and sent back as RFC 6265 has it.
//!
//! A [`CookieStore`] given to [`ClientBuilder::cookies`](crate::ClientBuilder::cookies) takes the `Set-Cookie` fields
//! of every answer to an opening handshake (101, redirection, refusal) and adds a `Cookie` field to every request that
//! its cookies are meant for. `jar` has the rules and limits, `file` the formats on disk.

mod error;
mod file;
mod jar;

use std::fmt;
use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{HeaderValue, SET_COOKIE};
use http::{HeaderMap, header};
use sockeye_proto::handshake::client::Target;
use url::Url;

pub use error::CookieError;
use jar::Jar;

/// Cookies, shared by all clones of this value.
///
/// Matching is that of RFC 6265 with what browsers added since: the `__Host-` and `__Secure-` prefixes, no `Secure`
/// cookies from unencrypted connections, no cookies for public suffixes such as `co.uk`. `ws` counts as `http` and
/// `wss` as `https`. On loopback addresses and `localhost`, plain `ws` counts as secure. `SameSite` is kept but
/// changes nothing: a program has no pages of other sites.
///
/// Cookies belong to hosts, so the servers of `ws+unix` URLs, whose host is no more than `localhost`, set none and are
/// sent none. With [`unix_socket`](crate::ClientBuilder::unix_socket) the URL's host counts, whoever answers there: such
/// a client should not share its store with one that connects to hosts of the same names.
///
/// What a server can make grow has limits: [`CookieLimits`].
///
/// ```
/// use sockeye::Client;
/// use sockeye::cookies::CookieStore;
///
/// let cookies = CookieStore::new();
/// cookies.set("https://example.org/", "session=k3Jx; Path=/; Secure; HttpOnly")?;
/// assert_eq!(cookies.get("wss://example.org/chat").as_deref(), Some("session=k3Jx"));
/// assert_eq!(cookies.get("ws://example.org/chat"), None);
///
/// let client = Client::builder().cookies(cookies.clone()).build()?;
/// # drop(client);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct CookieStore {
    jar: Arc<Mutex<Jar>>,
}

/// How much a [`CookieStore`] keeps and sends.
///
/// A server that sets more than it may costs its own oldest cookies; when the whole store is full, the domain with the
/// most cookies pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieLimits {
    /// Cookies of one domain. Default: 50, what RFC 6265 §6.1 asks for at least.
    pub per_domain: usize,
    /// Cookies in all. Default: 3000, from the same section.
    pub total: usize,
    /// Bytes of one cookie: name, value and attributes, as set. Larger ones are not taken. Default: 4096, from the same
    /// section.
    pub cookie_bytes: usize,
    /// Bytes of the `Cookie` field in a request; the cookies with the shortest paths are left out. Default: 8 KiB, so
    /// that a server cannot make itself unreachable by what it sets.
    pub header_bytes: usize,
}

impl Default for CookieLimits {
    fn default() -> Self {
        Self {
            per_domain: 50,
            total: 3000,
            cookie_bytes: 4096,
            header_bytes: 8 * 1024,
        }
    }
}

impl CookieStore {
    /// An empty store with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store with limits of its own.
    #[must_use]
    pub fn with_limits(limits: CookieLimits) -> Self {
        Self {
            jar: Arc::new(Mutex::new(Jar::new(limits))),
        }
    }

    /// Takes a cookie as if the server at `url` had sent this `Set-Cookie` field.
    ///
    /// A cookie of the same name, domain and path is replaced; one that has expired is removed.
    ///
    /// # Errors
    ///
    /// [`CookieError`] says why the cookie was not taken.
    pub fn set(&self, url: impl AsRef<str>, cookie: &str) -> Result<(), CookieError> {
        let url = http_url(url.as_ref()).ok_or(CookieError::Url)?;
        self.lock().set(&url, cookie).map(drop)
    }

    /// What the `Cookie` field of a request for `url` would be; `None` without cookies for it.
    ///
    /// Cookies with longer paths come first, then those that were set earlier (RFC 6265 §5.4).
    #[must_use]
    pub fn get(&self, url: impl AsRef<str>) -> Option<String> {
        let url = http_url(url.as_ref())?;
        // Cookies are text.
        String::from_utf8(self.lock().header(&url, Vec::new())?).ok()
    }

    /// How many cookies are in the store, not counting expired ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().unexpired().count()
    }

    /// Whether there are no cookies.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Writes all cookies as JSON, those without an expiry date too: an array in the format of the crate
    /// `cookie_store`.
    ///
    /// # Errors
    ///
    /// Those of `writer`.
    pub fn write_json(&self, writer: impl Write) -> io::Result<()> {
        file::write_json(&self.lock(), writer)
    }

    /// Adds the cookies that [`write_json`](Self::write_json) wrote, under the limits of this store; gives how many
    /// were taken. Expired ones are passed over.
    ///
    /// # Errors
    ///
    /// Those of `reader`; [`InvalidData`](io::ErrorKind::InvalidData) or
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if this is not such JSON. Nothing has been added then.
    pub fn read_json(&self, reader: impl BufRead) -> io::Result<usize> {
        file::read_json(&mut self.lock(), reader)
    }

    /// Writes all cookies in the Netscape format (`cookies.txt`) that curl and wget read. `SameSite` has no place in
    /// it.
    ///
    /// # Errors
    ///
    /// Those of `writer`.
    pub fn write_netscape(&self, writer: impl Write) -> io::Result<()> {
        file::write_netscape(&self.lock(), writer)
    }

    /// Adds the cookies of a file in the Netscape format, under the limits and rules of this store; gives how many
    /// were taken. Expired ones are passed over.
    ///
    /// # Errors
    ///
    /// Those of `reader`; [`InvalidData`](io::ErrorKind::InvalidData) for a line that is not in this format, with its
    /// number. The lines before it have been added.
    pub fn read_netscape(&self, reader: impl BufRead) -> io::Result<usize> {
        file::read_netscape(&mut self.lock(), reader)
    }

    /// Takes the cookies of an answer of the server at `target`.
    pub(super) fn take(&self, target: &Target, headers: &HeaderMap) {
        let mut lines = headers.get_all(SET_COOKIE).iter().peekable();
        if lines.peek().is_none() {
            return;
        }
        let Some(url) = http_url(&target.to_string()) else {
            return;
        };
        let mut jar = self.lock();
        for line in lines {
            let taken = match std::str::from_utf8(line.as_bytes()) {
                Ok(line) => jar.set(&url, line).map(drop),
                Err(_) => Err(CookieError::Syntax),
            };
            if let Err(error) = taken {
                // Not the cookie: it may be a secret.
                tracing::debug!(%error, server = target.host_header(), "cookie not taken");
            }
        }
    }

    /// The `Cookie` field for a request to `target`: the caller's own cookies, then those of the store under other
    /// names (RFC 6265 §5.4: not more than one such field).
    pub(super) fn header(&self, target: &Target, own: &HeaderMap) -> Option<HeaderValue> {
        let own: Vec<_> = own
            .get_all(header::COOKIE)
            .iter()
            .map(|line| trimmed(line.as_bytes()))
            .filter(|line| !line.is_empty())
            .collect();
        let url = http_url(&target.to_string())?;
        let field = self.lock().header(&url, own.join(&b"; "[..]))?;
        let mut value = HeaderValue::try_from(field).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn lock(&self) -> MutexGuard<'_, Jar> {
        // No call under the lock can leave the jar half changed.
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many, not which: cookies are secrets.
impl fmt::Debug for CookieStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieStore")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// Without spaces and semicolons around it.
fn trimmed(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b';', rest @ ..] | [rest @ .., b' ' | b';'] = line {
        line = rest;
    }
    line
}

/// The URL as cookies see it: RFC 6265 knows `http` and `https`.
fn http_url(url: &str) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    match url.scheme() {
        "http" | "https" => Some(url),
        "ws" | "wss" => Url::parse(&url.as_str().replacen("ws", "http", 1)).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ws_is_http_and_wss_is_https() {
        for (url, want) in [
            ("ws://a.example/b?c", Some("http://a.example/b?c")),
            ("WSS://a.example:8443/", Some("https://a.example:8443/")),
            ("https://a.example", Some("https://a.example/")),
            ("ftp://a.example/", None),
            ("a.example", None),
        ] {
            assert_eq!(http_url(url).as_ref().map(Url::as_str), want, "{url}");
        }
    }

    #[test]
    fn clones_share_their_cookies() {
        let store = CookieStore::new();
        let clone = store.clone();
        store.set("ws://a.example/", "a=1").unwrap();
        assert_eq!(clone.get("ws://a.example/").as_deref(), Some("a=1"));
        clone.clear();
        assert!(store.is_empty());
    }

    #[test]
    fn values_are_never_printed() {
        let store = CookieStore::new();
        store.set("ws://a.example/", "name=secret").unwrap();
        let printed = format!("{store:?}");
        assert!(
            printed.contains("len: 1") && !printed.contains("secret"),
            "{printed}"
        );
    }

    #[test]
    fn what_an_answer_sets_is_taken_as_far_as_it_is_usable() {
        let store = CookieStore::new();
        let target = Target::parse("ws://a.example/").unwrap();
        let mut headers = HeaderMap::new();
        for line in ["a=1", "no cookie", "b=2; Domain=elsewhere.example", "c=3"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(line));
        }
        headers.append(SET_COOKIE, HeaderValue::from_bytes(b"d=\xff").unwrap());
        store.take(&target, &headers);
        assert_eq!(store.get("ws://a.example/").as_deref(), Some("a=1; c=3"));
    }

    #[test]
    fn the_callers_own_cookies_come_first_and_win() {
        let store = CookieStore::new();
        store.set("ws://a.example/", "a=store").unwrap();
        store.set("ws://a.example/", "b=store").unwrap();
        let header = |url: &str, own: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in own {
                headers.append(header::COOKIE, HeaderValue::from_static(line));
            }
            let value = store.header(&Target::parse(url).unwrap(), &headers)?;
            assert!(value.is_sensitive());
            Some(value.to_str().unwrap().to_owned())
        };
        for (url, own, want) in [
            ("ws://a.example/", &[][..], Some("a=store; b=store")),
            (
                "ws://a.example/",
                &["a=own; c=own"],
                Some("a=own; c=own; b=store"),
            ),
            (
                "ws://a.example/",
                &["c=1;", "d=2"],
                Some("c=1; d=2; a=store; b=store"),
            ),
            ("ws://b.example/", &["a=own"], Some("a=own")),
            ("ws://b.example/", &[], None),
        ] {
            assert_eq!(header(url, own).as_deref(), want, "{url} {own:?}");
        }
    }

    #[test]
    fn the_callers_own_cookies_need_not_be_text() {
        let store = CookieStore::new();
        store.set("ws://a.example/", "a=store").unwrap();
        let mut own = HeaderMap::new();
        for line in [&b" b=\xFF; c=\xE9;"[..], b"d=1"] {
            own.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        let value = store.header(&Target::parse("ws://a.example/").unwrap(), &own);
        assert_eq!(value.unwrap(), &b"b=\xFF; c=\xE9; d=1; a=store"[..]);
    }
}
