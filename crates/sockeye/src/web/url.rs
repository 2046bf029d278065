//! The rules for the URL that a WebSocket is constructed with, and the ports that are blocked.

use url::Url;

use super::DomException;

/// Steps 2 to 7 of the constructor: parses `url` against `base`, makes `ws` of `http`, and checks scheme and fragment.
pub(crate) fn parse(url: &str, base: Option<&Url>) -> Result<Url, DomException> {
    let syntax = |reason: &dyn std::fmt::Display| {
        DomException::syntax(format!("the URL of a WebSocket cannot be used: {reason}"))
    };
    let mut url = Url::options()
        .base_url(base)
        .parse(url)
        .map_err(|error| syntax(&error))?;
    let scheme = match url.scheme() {
        "http" => Some("ws"),
        "https" => Some("wss"),
        "ws" | "wss" => None,
        other => return Err(syntax(&format_args!("its scheme is `{other}`"))),
    };
    if let Some(scheme) = scheme
        && url.set_scheme(scheme).is_err()
    {
        return Err(syntax(&"its scheme cannot be changed"));
    }
    if url.fragment().is_some() {
        return Err(syntax(&"it has a fragment"));
    }
    Ok(url)
}

/// Whether connections to this port are refused, since protocols live there that could be led to take a request for
/// something of theirs (Fetch Standard §2.9, "port blocking").
pub(crate) fn is_blocked(url: &Url) -> bool {
    url.port_or_known_default()
        .is_some_and(|port| BAD_PORTS.binary_search(&port).is_ok())
}

/// The bad ports of the Fetch Standard, in ascending order.
const BAD_PORTS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103,
    104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514,
    515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723,
    2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_blocked_ports_can_be_searched() {
        assert!(BAD_PORTS.is_sorted());
        for (url, want) in [
            ("ws://a:25/", true),
            ("wss://a:6697/", true),
            ("ws://a:10080/", true),
            ("ws://a:0/", true),
            ("ws://a/", false),
            ("wss://a/", false),
            ("ws://a:8080/", false),
            ("ws://a:10081/", false),
        ] {
            assert_eq!(is_blocked(&parse(url, None).unwrap()), want, "{url}");
        }
    }

    #[test]
    fn the_scheme_changes_before_it_is_checked_and_keeps_its_default_port() {
        for (url, want) in [
            ("http://a:80/", "ws://a/"),
            ("https://a:443/", "wss://a/"),
            ("https://a:80/", "wss://a:80/"),
            ("http://user:secret@a/x?y", "ws://user:secret@a/x?y"),
        ] {
            assert_eq!(parse(url, None).unwrap().as_str(), want);
        }
    }
}
