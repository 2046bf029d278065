//! The variables that say which proxy to use.

use std::ffi::OsString;

use super::bypass::Bypass;
use super::{Proxy, ProxyPolicy};
use crate::error::{Error, Result};

/// For `ws://`, the first that is set and not empty. RFC 6455 §4.1: implementations are "encouraged … to prefer the
/// proxy configured for HTTPS connections over the proxy configured for HTTP connections".
///
/// `HTTP_PROXY` is missing on purpose: under CGI it holds what a client sent as `Proxy:` (CVE-2016-5385).
const FOR_WS: [&str; 7] = [
    "ws_proxy",
    "WS_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "all_proxy",
    "ALL_PROXY",
];

/// For `wss://`, the first that is set and not empty.
const FOR_WSS: [&str; 6] = [
    "wss_proxy",
    "WSS_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

const BYPASS: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// Makes a policy of the variables that `variable` gives.
pub(super) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<ProxyPolicy> {
    let first_of = |names: &[&'static str]| -> Result<Option<(&'static str, String)>> {
        for &name in names {
            // Passed over, it would send the connections elsewhere than was said.
            let not_unicode = |_| Error::config(format!("{name}: the variable is not Unicode"));
            let text = variable(name)
                .unwrap_or_default()
                .into_string()
                .map_err(not_unicode)?;
            if !text.trim().is_empty() {
                return Ok(Some((name, text)));
            }
        }
        Ok(None)
    };
    let proxy = |names| {
        let Some((name, url)) = first_of(names)? else {
            return Ok(None);
        };
        match Proxy::new(url.trim()) {
            Ok(proxy) => Ok(Some(proxy)),
            Err(error) => Err(Error::config(format!("{name}: {error}"))),
        }
    };
    Ok(ProxyPolicy {
        ws: proxy(&FOR_WS)?,
        wss: proxy(&FOR_WSS)?,
        bypass: first_of(&BYPASS)?.map_or_else(Bypass::default, |(_, rules)| Bypass::parse(&rules)),
    })
}

#[cfg(test)]
mod tests {
    use sockeye_proto::handshake::client::Target;

    use super::*;

    fn policy(variables: &[(&str, &str)]) -> Result<ProxyPolicy> {
        read(|name| {
            let set = variables.iter().find(|(key, _)| *key == name);
            set.map(|(_, text)| (*text).into())
        })
    }

    fn chosen(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let policy = policy(variables).unwrap();
        policy
            .proxy_for(&Target::parse(url).unwrap())
            .map(ToString::to_string)
    }

    #[test]
    fn the_variable_of_the_scheme_comes_first() {
        const ALL: [(&str, &str); 5] = [
            ("ws_proxy", "http://ws:1"),
            ("wss_proxy", "http://wss:1"),
            ("https_proxy", "http://https:1"),
            ("http_proxy", "http://http:1"),
            ("all_proxy", "socks5://all"),
        ];
        for (variables, ws, wss) in [
            (&ALL[..], Some("http://ws:1"), Some("http://wss:1")),
            (&ALL[2..], Some("http://https:1"), Some("http://https:1")),
            (&ALL[3..], Some("http://http:1"), Some("socks5://all:1080")),
            (&ALL[4..], Some("socks5://all:1080"), Some("socks5://all:1080")),
            (&[], None, None),
        ] {
            assert_eq!(chosen(variables, "ws://a/").as_deref(), ws, "{variables:?}");
            assert_eq!(chosen(variables, "wss://a/").as_deref(), wss, "{variables:?}");
        }
    }

    #[test]
    fn lower_case_beats_upper_case_and_empty_is_unset() {
        for (variables, want) in [
            (&[("HTTPS_PROXY", "upper:1")][..], Some("http://upper:1")),
            (
                &[("HTTPS_PROXY", "upper:1"), ("https_proxy", "lower:1")],
                Some("http://lower:1"),
            ),
            (
                &[("HTTPS_PROXY", "upper:1"), ("https_proxy", " ")],
                Some("http://upper:1"),
            ),
            (
                &[("https_proxy", ""), ("ALL_PROXY", "all:1")],
                Some("http://all:1"),
            ),
        ] {
            assert_eq!(chosen(variables, "wss://a/").as_deref(), want, "{variables:?}");
        }
    }

    #[test]
    fn what_a_client_of_a_cgi_program_sends_is_not_read() {
        assert_eq!(chosen(&[("HTTP_PROXY", "http://evil:1")], "ws://a/"), None);
        assert!(chosen(&[("http_proxy", "http://good:1")], "ws://a/").is_some());
    }

    #[test]
    fn no_proxy_bypasses_and_loopback_has_no_exception() {
        let variables = [("all_proxy", "p:1"), ("NO_PROXY", "example.org,10.0.0.0/8,b:99")];
        for (url, proxied) in [
            ("ws://example.org/", false),
            ("wss://www.example.org/", false),
            ("ws://10.1.2.3/", false),
            ("ws://b:99/", false),
            ("ws://b/", true),
            ("ws://127.0.0.1/", true),
            ("ws://localhost/", true),
            ("ws://[::1]/", true),
        ] {
            assert_eq!(chosen(&variables, url).is_some(), proxied, "{url}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_unicode_is_an_error_that_names_it() {
        use std::os::unix::ffi::OsStringExt;

        for wrong in ["https_proxy", "NO_PROXY"] {
            let read = read(|name| match name {
                name if name == wrong => Some(OsString::from_vec(b"a.test:1\xFF".to_vec())),
                "all_proxy" => Some("a.test:1".into()),
                _ => None,
            });
            let error = read.unwrap_err();
            assert!(error.is_config());
            assert!(error.to_string().starts_with(wrong), "{error}");
        }
    }

    #[test]
    fn an_unusable_variable_is_an_error_that_names_it_and_not_its_value() {
        let error = policy(&[("WSS_PROXY", "socks4://user:secret@a")]).unwrap_err();
        assert!(error.is_config());
        let text = error.to_string();
        assert!(
            text.starts_with("WSS_PROXY: ") && !text.contains("secret"),
            "{text}"
        );
    }
}
