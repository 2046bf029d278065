//! Versions of TLS.

use std::fmt;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::TlsError;

/// A version of TLS. Older ones than these are broken, and not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2, the oldest one accepted by default: RFC 9325 still allows it, and older devices need it.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl TlsVersion {
    /// The versions from this one to `newest`, best first.
    pub(super) fn up_to(self, newest: Self) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
        if self > newest {
            return Err(TlsError::NoVersion { oldest: self, newest });
        }
        let all = [(Self::Tls13, &TLS13), (Self::Tls12, &TLS12)];
        let wanted = all
            .into_iter()
            .filter(|(version, _)| (self..=newest).contains(version));
        Ok(wanted.map(|(_, supported)| supported).collect())
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}
