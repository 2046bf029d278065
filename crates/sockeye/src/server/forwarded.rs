//! Who the client is when proxies stand in front: `X-Forwarded-*` and `Forwarded` (RFC 7239), believed only
//! as far as the proxies that wrote them are trusted.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::HeaderMap;
use http::header::FORWARDED;
use ipnet::IpNet;

use super::Address;

/// The proxies whose word about the client is believed. Default: none, and the headers are ignored.
///
/// Only one family of headers is read, the one your proxy writes: a proxy passes the other through as the
/// client sent it.
///
/// ```
/// use sockeye::server::TrustedProxies;
///
/// let proxies = TrustedProxies::list(["10.0.0.0/8", "2001:db8::/32", "127.0.0.1"])?;
/// # Ok::<(), sockeye::server::BadNetwork>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
    header: ForwardedHeader,
}

/// Which headers a proxy writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`: what most proxies write, the default.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// A network that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network; write `10.0.0.0/8`, `2001:db8::/32`, a single address, or `unix`")]
pub struct BadNetwork(String);

impl TrustedProxies {
    /// Trusts these networks: CIDR such as `10.0.0.0/8`, single addresses, or `unix` for whoever connects
    /// through a Unix socket.
    ///
    /// # Errors
    /// When an entry is none of those.
    pub fn list<N: AsRef<str>>(networks: impl IntoIterator<Item = N>) -> Result<Self, BadNetwork> {
        let mut proxies = Self::default();
        for entry in networks {
            let entry = entry.as_ref();
            if entry == "unix" {
                proxies.unix = true;
                continue;
            }
            let network = entry
                .parse()
                .or_else(|_| IpAddr::from_str(entry).map(IpNet::from));
            proxies
                .networks
                .push(network.map_err(|_| BadNetwork(entry.to_owned()))?);
        }
        Ok(proxies)
    }

    /// Which headers to read. Default: `X-Forwarded-*`.
    #[must_use]
    pub fn header(mut self, header: ForwardedHeader) -> Self {
        self.header = header;
        self
    }

    /// Whether this end of a connection is a trusted proxy.
    pub fn contains(&self, peer: &Address) -> bool {
        match peer.ip() {
            Some(ip) => self.contains_ip(ip),
            None => self.unix,
        }
    }

    fn contains_ip(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&ip))
    }

    /// What the headers of a request from `peer` say, as far as they can be believed.
    pub(super) fn client(&self, headers: &HeaderMap, peer: &Address) -> Client {
        let mut client = Client {
            ip: peer.ip(),
            ..Client::default()
        };
        let mut chain: Vec<_> = peer.ip().into_iter().collect();
        if self.contains(peer) {
            let hops = match self.header {
                ForwardedHeader::XForwarded => x_forwarded(headers),
                ForwardedHeader::Forwarded => forwarded(headers),
            };
            // The right-most hop was written by the peer, the one before it by the proxy that the peer names,
            // and so on. The first address that is no trusted proxy is the client; what stands left of it,
            // anybody can write.
            for hop in hops.into_iter().rev() {
                let Some(ip) = hop.ip else { break };
                chain.push(ip);
                client = hop;
                if !self.contains_ip(ip) {
                    break;
                }
            }
        }
        chain.reverse();
        Client { chain, ..client }
    }
}

/// The client of a request, as the last trusted proxy saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) ip: Option<IpAddr>,
    /// Its address, those of the proxies, and the peer's.
    pub(super) chain: Vec<IpAddr>,
    /// `http` or `https`, when the proxy said so.
    pub(super) scheme: Option<&'static str>,
    /// The `Host` that the client sent to the proxy, when the proxy said so.
    pub(super) host: Option<String>,
}

fn x_forwarded(headers: &HeaderMap) -> Vec<Client> {
    let hops = values(headers, "x-forwarded-for");
    let schemes = values(headers, "x-forwarded-proto");
    let hosts = values(headers, "x-forwarded-host");
    // Some proxies append to these two as they do to the first, most overwrite them: with as many values as
    // hops they belong together, otherwise the last value is the nearest proxy's.
    let nth = |list: &[&str], at: usize| {
        let value = if list.len() == hops.len() {
            list.get(at)
        } else {
            list.last()
        };
        value.map(|value| (*value).to_owned())
    };
    hops.iter()
        .enumerate()
        .map(|(at, hop)| Client {
            ip: parse_node(hop),
            scheme: nth(&schemes, at).and_then(|scheme| parse_scheme(&scheme)),
            host: nth(&hosts, at).filter(|host| !host.is_empty()),
            ..Client::default()
        })
        .collect()
}

/// All values of a header in order: its lines, split at commas. A line that is not text counts as one empty
/// value, which stops the walk.
fn values<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.to_str().unwrap_or_default().split(','))
        .map(str::trim)
        .collect()
}

fn forwarded(headers: &HeaderMap) -> Vec<Client> {
    headers
        .get_all(FORWARDED)
        .iter()
        .flat_map(|line| split_outside_quotes(line.to_str().unwrap_or_default(), ','))
        .map(forwarded_element)
        .collect()
}

/// RFC 7239 §4: `for=192.0.2.60;proto=http;by=203.0.113.43`, names without regard to case.
fn forwarded_element(element: &str) -> Client {
    let mut client = Client::default();
    for pair in split_outside_quotes(element, ';') {
        let Some((name, value)) = pair.trim().split_once('=') else {
            continue;
        };
        let value = unquote(value);
        match &*name.to_ascii_lowercase() {
            "for" => client.ip = parse_node(&value),
            "proto" => client.scheme = parse_scheme(&value),
            "host" => client.host = Some(value).filter(|host| !host.is_empty()),
            _ => {}
        }
    }
    client
}

fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |next: char| {
        let inside = quoted;
        match next {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        next == separator && !inside
    })
}

/// RFC 9110 §5.6.4: in a quoted string a backslash stands before a character that is meant literally.
fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut chars = inner.chars();
    std::iter::from_fn(|| match chars.next()? {
        '\\' => chars.next(),
        plain => Some(plain),
    })
    .collect()
}

/// An address with or without a port; `None` for `unknown`, obfuscated names and garbage.
fn parse_node(text: &str) -> Option<IpAddr> {
    let bracketed = || {
        text.strip_prefix('[')?
            .strip_suffix(']')?
            .parse()
            .ok()
            .map(IpAddr::V6)
    };
    let ip = text
        .parse()
        .ok()
        .or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()))
        .or_else(bracketed)?;
    Some(ip.to_canonical())
}

fn parse_scheme(text: &str) -> Option<&'static str> {
    match &*text.to_ascii_lowercase() {
        "http" | "ws" => Some("http"),
        "https" | "wss" => Some("https"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "10.0.0.1:4000";

    fn client(header: ForwardedHeader, lines: &[(&'static str, &str)], peer: &str) -> Client {
        let proxies = TrustedProxies::list(["10.0.0.0/8", "::1"])
            .unwrap()
            .header(header);
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        proxies.client(&headers, &Address::Tcp(peer.parse().unwrap()))
    }

    fn ip_of(header: ForwardedHeader, name: &'static str, value: &str, peer: &str) -> String {
        client(header, &[(name, value)], peer).ip.unwrap().to_string()
    }

    #[test]
    fn x_forwarded_for_is_walked_from_the_right() {
        for (value, peer, expected) in [
            // A stranger's word counts for nothing.
            ("1.2.3.4", "192.0.2.9:1", "192.0.2.9"),
            ("1.2.3.4", PEER, "1.2.3.4"),
            ("1.2.3.4, 10.0.0.7", PEER, "1.2.3.4"),
            // What the client itself wrote stands left of its address.
            ("6.6.6.6, 1.2.3.4, 10.0.0.7", PEER, "1.2.3.4"),
            ("10.0.0.9, 1.2.3.4", PEER, "1.2.3.4"),
            ("10.0.0.9, 10.0.0.8", PEER, "10.0.0.9"),
            // Garbage ends the walk at what is known by then.
            ("", PEER, "10.0.0.1"),
            ("unknown", PEER, "10.0.0.1"),
            ("1.2.3.4,", PEER, "10.0.0.1"),
            ("1.2.3.4, garbage, 10.0.0.7", PEER, "10.0.0.7"),
            ("1.2.3.4, , 10.0.0.7", PEER, "10.0.0.7"),
            ("1.2.3.4.5", PEER, "10.0.0.1"),
            ("1.2.3.4:5678", PEER, "1.2.3.4"),
            ("2001:db8::1", PEER, "2001:db8::1"),
            ("[2001:db8::1]:99", PEER, "2001:db8::1"),
            ("[2001:db8::1]", PEER, "2001:db8::1"),
            ("::ffff:1.2.3.4", PEER, "1.2.3.4"),
            ("1.2.3.4", "[::1]:9", "1.2.3.4"),
            ("1.2.3.4", "[::ffff:10.0.0.1]:9", "1.2.3.4"),
        ] {
            let found = ip_of(ForwardedHeader::XForwarded, "x-forwarded-for", value, peer);
            assert_eq!(found, expected, "{value:?} from {peer}");
        }
    }

    #[test]
    fn forwarded_is_walked_from_the_right() {
        for (value, expected) in [
            ("for=1.2.3.4", "1.2.3.4"),
            ("For=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=6.6.6.6, for=1.2.3.4;by=10.0.0.7, for=10.0.0.7", "1.2.3.4"),
            ("for=unknown", "10.0.0.1"),
            ("for=_hidden, for=10.0.0.7", "10.0.0.7"),
            ("by=1.2.3.4", "10.0.0.1"),
            ("for=\"6.6.6.6, for=1.2.3.4", "10.0.0.1"),
            ("for=6.6.6.6;host=\"a, for=5.5.5.5\"", "6.6.6.6"),
            (";;;=,,==", "10.0.0.1"),
        ] {
            let found = ip_of(ForwardedHeader::Forwarded, "forwarded", value, PEER);
            assert_eq!(found, expected, "{value:?}");
        }
    }

    #[test]
    fn the_other_header_is_not_read() {
        assert_eq!(
            ip_of(ForwardedHeader::XForwarded, "forwarded", "for=1.2.3.4", PEER),
            "10.0.0.1"
        );
        assert_eq!(
            ip_of(ForwardedHeader::Forwarded, "x-forwarded-for", "1.2.3.4", PEER),
            "10.0.0.1"
        );
    }

    #[test]
    fn scheme_and_host_are_those_the_clients_proxy_saw() {
        let lists = [
            ("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.7"),
            ("x-forwarded-proto", "http, https, http"),
            ("x-forwarded-host", "evil.test, a.test, inner.test"),
        ];
        let found = client(ForwardedHeader::XForwarded, &lists, PEER);
        assert_eq!(
            (found.scheme, found.host.as_deref()),
            (Some("https"), Some("a.test"))
        );

        let single = [
            ("x-forwarded-for", "1.2.3.4, 10.0.0.7"),
            ("x-forwarded-proto", "WSS"),
            ("x-forwarded-host", ""),
        ];
        let found = client(ForwardedHeader::XForwarded, &single, PEER);
        assert_eq!((found.scheme, found.host), (Some("https"), None));

        let found = client(ForwardedHeader::XForwarded, &lists, "192.0.2.9:1");
        assert_eq!((found.scheme, found.host), (None, None));

        let rfc = [(
            "forwarded",
            "for=1.2.3.4;proto=https;host=\"a.test:8443\", for=10.0.0.7;proto=http",
        )];
        let found = client(ForwardedHeader::Forwarded, &rfc, PEER);
        assert_eq!(
            (found.scheme, found.host.as_deref()),
            (Some("https"), Some("a.test:8443"))
        );
    }

    #[test]
    fn the_chain_begins_with_the_client_and_ends_with_the_peer() {
        for (value, peer, expected) in [
            ("6.6.6.6, 1.2.3.4, 10.0.0.7", PEER, "1.2.3.4 10.0.0.7 10.0.0.1"),
            ("1.2.3.4, garbage, 10.0.0.7", PEER, "10.0.0.7 10.0.0.1"),
            ("1.2.3.4, 10.0.0.7", "192.0.2.9:1", "192.0.2.9"),
            ("", PEER, "10.0.0.1"),
        ] {
            let found = client(ForwardedHeader::XForwarded, &[("x-forwarded-for", value)], peer);
            let chain: Vec<_> = found.chain.iter().map(ToString::to_string).collect();
            assert_eq!(chain.join(" "), expected, "{value:?} from {peer}");
            assert_eq!(found.chain.first(), found.ip.as_ref());
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = [("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "10.0.0.7")];
        let found = client(ForwardedHeader::XForwarded, &lines, PEER);
        assert_eq!(found.ip, Some("1.2.3.4".parse().unwrap()));
    }

    #[test]
    fn unix_peers_are_trusted_only_by_name() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "1.2.3.4".parse().unwrap());
        let peer = Address::Unix(None);
        assert_eq!(TrustedProxies::default().client(&headers, &peer).ip, None);
        let trusting = TrustedProxies::list(["unix"]).unwrap();
        assert_eq!(
            trusting.client(&headers, &peer).ip,
            Some("1.2.3.4".parse().unwrap())
        );
    }

    #[test]
    fn bad_networks_are_errors() {
        for entry in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "localhost",
            "::1/129",
            "10.0.0.0/8/8",
        ] {
            assert!(TrustedProxies::list([entry]).is_err(), "{entry:?}");
        }
    }
}
