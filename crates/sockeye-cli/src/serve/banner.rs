//! What a person reads on standard output when the server is ready: where everything is.

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use sockeye::driver::DriverKind;

/// The facts of the banner.
#[derive(Debug)]
pub(super) struct Banner<'a> {
    /// As the user wrote it.
    pub(super) host: &'a str,
    pub(super) addresses: &'a [SocketAddr],
    pub(super) unix: Option<&'a Path>,
    pub(super) tls: bool,
    /// SHA-256 of a certificate made for this run.
    pub(super) fingerprint: Option<&'a str>,
    pub(super) metrics: bool,
    /// How many there are, and what moves their bytes.
    pub(super) workers: Option<(usize, DriverKind)>,
}

impl Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Sockeye {}\n", env!("CARGO_PKG_VERSION"))?;
        let mut line = |name: &str, value: &dyn Display| writeln!(f, "  {name:<12}{value}");
        if let Some(address) = self.addresses.first() {
            let (http, ws) = if self.tls {
                ("https", "wss")
            } else {
                ("http", "ws")
            };
            let authority = self.authority(*address);
            line("Page", &format_args!("{http}://{authority}/"))?;
            line(
                "Echo",
                &format_args!("{ws}://{authority}/echo  (so does every other path)"),
            )?;
            line("Test page", &format_args!("{http}://{authority}/.ws"))?;
            line("Events", &format_args!("{http}://{authority}/.sse"))?;
            line(
                "Health",
                &format_args!("{http}://{authority}/healthz  {http}://{authority}/readyz"),
            )?;
            if self.metrics {
                line("Metrics", &format_args!("{http}://{authority}/metrics"))?;
            }
        }
        let unix = self.unix.map(|path| format!("unix:{}", path.display()));
        let places: Vec<_> = self
            .addresses
            .iter()
            .map(ToString::to_string)
            .chain(unix)
            .collect();
        line("Listening", &places.join(", "))?;
        if let Some((workers, driver)) = self.workers {
            line("Workers", &format_args!("{workers} ({driver})"))?;
        }
        if let Some(fingerprint) = self.fingerprint {
            line("Certificate", &format_args!("self-signed, SHA-256 {fingerprint}"))?;
        }
        writeln!(f, "\nCtrl-C stops it.")
    }
}

impl Banner<'_> {
    /// The host and port to put into a URL on this machine.
    fn authority(&self, address: SocketAddr) -> String {
        let port = address.port();
        match self.host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() => format!("localhost:{port}"),
            Ok(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
            _ => format!("{}:{port}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(host: &str, address: &str, tls: bool) -> String {
        let addresses = [address.parse().unwrap()];
        let fingerprint = tls.then_some("AB:CD");
        Banner {
            host,
            addresses: &addresses,
            unix: None,
            tls,
            fingerprint,
            metrics: true,
            workers: None,
        }
        .to_string()
    }

    #[test]
    fn the_banner_gives_every_address() {
        let text = banner("localhost", "127.0.0.1:3000", false);
        for address in [
            "http://localhost:3000/\n",
            "ws://localhost:3000/echo ",
            "http://localhost:3000/.ws\n",
            "http://localhost:3000/.sse\n",
            "http://localhost:3000/healthz ",
            "http://localhost:3000/readyz\n",
            "http://localhost:3000/metrics\n",
            "127.0.0.1:3000\n",
        ] {
            assert!(text.contains(address), "{address}: {text}");
        }
    }

    #[test]
    fn the_addresses_can_be_opened_on_this_machine() {
        assert!(banner("0.0.0.0", "0.0.0.0:80", false).contains("http://localhost:80/\n"));
        assert!(banner("::", "[::]:80", false).contains("http://localhost:80/\n"));
        assert!(banner("::1", "[::1]:80", false).contains("http://[::1]:80/\n"));
        assert!(banner("[::1]", "[::1]:80", false).contains("http://[::1]:80/\n"));
    }

    #[test]
    fn with_tls_the_schemes_are_secure_and_the_fingerprint_is_shown() {
        let text = banner("localhost", "127.0.0.1:3000", true);
        assert!(text.contains("https://localhost:3000/\n") && text.contains("wss://localhost:3000/echo "));
        assert!(!text.contains(" http://") && !text.contains(" ws://"));
        assert!(text.contains("SHA-256 AB:CD"));
    }
}
