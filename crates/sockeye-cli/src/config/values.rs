//! Values of options that are more than a number: origins, address ranges, drivers, log filters.

use std::net::SocketAddr;
use std::str::FromStr;

use sockeye::driver::DriverKind;

use clap::ValueEnum;
use sockeye::Origin;
use sockeye::proto::Subprotocol;
use sockeye::server::{ForwardedHeader, TrustedProxies};
use tracing_subscriber::filter::LevelFilter;

/// Which driver of the library moves the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Driver(pub(crate) DriverKind);

impl FromStr for Driver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("there is no driver {text:?}: write auto, uring or readiness"))
    }
}

/// What clients may do at `/topics/{name}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TopicAccess {
    Off,
    Subscribe,
    Publish,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// One entry of the list of web pages that may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OriginRule {
    Any,
    SameOrigin,
    /// Scheme, host and port, as a browser writes them in `Origin`.
    Exact(String),
}

impl FromStr for OriginRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "any" => return Ok(Self::Any),
            "same-origin" => return Ok(Self::SameOrigin),
            _ => {}
        }
        text.parse::<Origin>().map(|_| Self::Exact(text.to_owned())).map_err(|_| {
            format!(
                "{text:?} is not an origin: write any, same-origin, or scheme, host and port without a path, \
                 as in https://example.org:8443"
            )
        })
    }
}

/// Checks an entry of the list of trusted proxies.
pub(crate) fn parse_proxy(text: &str) -> Result<String, String> {
    match TrustedProxies::list([text]) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The headers in which proxies name the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ForwardedName {
    XForwarded,
    Forwarded,
}

impl From<ForwardedName> for ForwardedHeader {
    fn from(name: ForwardedName) -> Self {
        match name {
            ForwardedName::XForwarded => Self::XForwarded,
            ForwardedName::Forwarded => Self::Forwarded,
        }
    }
}

/// Permissions of a file, as `chmod` takes them in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode(pub(crate) u32);

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match u32::from_str_radix(text, 8) {
            Ok(mode @ 0..=0o777) => Ok(Self(mode)),
            _ => Err(format!(
                "{text:?} is not a mode: write three octal digits, as in 660"
            )),
        }
    }
}

/// How fast connections may come: `100`, or `100:500` with the number that may come at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_second: u32,
    pub(crate) burst: u32,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (per_second, burst) = text.split_once(':').unwrap_or((text, text));
        match (per_second.parse(), burst.parse()) {
            (Ok(per_second @ 1..), Ok(burst @ 1..)) => Ok(Self { per_second, burst }),
            _ => Err(format!(
                "{text:?} is not a rate: write connections per second, as in 100, or with a burst, as in 100:500"
            )),
        }
    }
}

/// Reads an address with its port.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is not an address with a port: write them as in 127.0.0.1:3001 or [::1]:3001")
    })
}

/// Checks a log filter: a level, or a list of `module=level`.
pub(crate) fn parse_filter(text: &str) -> Result<String, String> {
    // The library takes a single word for a module: a misspelt level would switch everything else off.
    let is_understood =
        |part: &str| part.is_empty() || part.contains(['=', '[', ']']) || part.parse::<LevelFilter>().is_ok();
    match tracing_subscriber::EnvFilter::builder().parse(text) {
        Ok(_) if !text.trim().is_empty() && text.split(',').map(str::trim).all(is_understood) => {
            Ok(text.to_owned())
        }
        _ => Err(format!(
            "{text:?} is not a log level: write off, error, warn, info, debug or trace, or by module as in \
             info,sockeye=debug"
        )),
    }
}

/// Checks a subprotocol name. RFC 6455 §4.1: it is a token of RFC 2616.
pub(crate) fn parse_subprotocol(text: &str) -> Result<String, String> {
    match text.parse::<Subprotocol>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{text:?} is not a subprotocol: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_no_path() {
        for text in [
            "https://example.org",
            "http://localhost:3000",
            "https://[::1]:8443",
        ] {
            assert_eq!(text.parse(), Ok(OriginRule::Exact(text.to_owned())));
        }
        for text in [
            "null",
            "",
            "example.org",
            "https://example.org/",
            "https://example.org/page",
            "https://",
        ] {
            assert!(text.parse::<OriginRule>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_a_range_or_unix() {
        for text in ["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8", "unix"] {
            assert!(parse_proxy(text).is_ok(), "{text}");
        }
        for text in [
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "proxy.example",
            "10.0.0.0/",
            "",
        ] {
            assert!(parse_proxy(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mode_is_octal() {
        assert_eq!("660".parse(), Ok(Mode(0o660)));
        for text in ["", "668", "1000", "rw-"] {
            assert!(text.parse::<Mode>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_may_have_a_burst() {
        assert_eq!(
            "100".parse(),
            Ok(Rate {
                per_second: 100,
                burst: 100
            })
        );
        assert_eq!(
            "100:500".parse(),
            Ok(Rate {
                per_second: 100,
                burst: 500
            })
        );
        for text in ["0", "100:0", ":5", "5:", "fast", "1:2:3", ""] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_driver_that_does_not_exist_is_refused_by_name() {
        assert_eq!("readiness".parse(), Ok(Driver(DriverKind::Readiness)));
        let error = "epoll".parse::<Driver>().unwrap_err();
        assert!(
            error.contains("epoll") && error.contains("auto, uring or readiness"),
            "{error}"
        );
    }

    #[test]
    fn a_log_filter_is_checked() {
        assert!(parse_filter("info").is_ok());
        assert!(parse_filter("info,sockeye=debug").is_ok());
        assert!(parse_filter("off,sockeye=debug").is_ok());
        assert!(parse_filter("info,[connection{id}]=debug,").is_ok());
        assert!(parse_filter("sockeye=loud").is_err());
        assert!(parse_filter("debg").is_err());
        assert!(parse_filter("").is_err());
    }

    #[test]
    fn a_subprotocol_is_a_token() {
        assert!(parse_subprotocol("graphql-ws").is_ok());
        assert!(parse_subprotocol("a b").is_err());
        assert!(parse_subprotocol("").is_err());
    }
}
