//! Which proxy `--proxy` means.

use std::fmt;
use std::str::FromStr;

use sockeye::{Proxy, ProxyPolicy};

use crate::error::{Failure, chain};

/// What `--proxy` takes.
#[derive(Clone)]
pub(crate) enum ProxyChoice {
    /// What the environment says.
    Environment,
    Off,
    Through(Box<Proxy>),
}

impl ProxyChoice {
    pub(super) fn policy(&self) -> Result<ProxyPolicy, Failure> {
        match self {
            Self::Environment => ProxyPolicy::from_env().map_err(|error| Failure::usage(chain(&error))),
            Self::Off => Ok(ProxyPolicy::none()),
            Self::Through(proxy) => Ok(Proxy::clone(proxy).into()),
        }
    }
}

impl FromStr for ProxyChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "env" => Ok(Self::Environment),
            "off" => Ok(Self::Off),
            url => Proxy::new(url)
                .map(|proxy| Self::Through(Box::new(proxy)))
                .map_err(|error| chain(&error)),
        }
    }
}

/// Without the URL, which may have a password in it.
impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::Off => "Off",
            Self::Through(_) => "Through",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_url_env_or_off() {
        assert!(matches!("env".parse(), Ok(ProxyChoice::Environment)));
        assert!(matches!("off".parse(), Ok(ProxyChoice::Off)));
        assert!(matches!(
            "socks5h://me:x@localhost".parse(),
            Ok(ProxyChoice::Through(_))
        ));
        let error = "ftp://me:hunter2@host".parse::<ProxyChoice>().unwrap_err();
        assert!(error.contains("socks5") && !error.contains("hunter2"), "{error}");
    }
}
