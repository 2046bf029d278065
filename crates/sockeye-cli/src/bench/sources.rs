//! Which addresses connections come from: each has ports for some tens of thousands of them.

use std::net::{IpAddr, Ipv4Addr};

use super::options::AddressRange;
use super::plan::Address;
use crate::error::Failure;

/// The addresses that connections are bound to, in turn; the system's choice if there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sources(Vec<AddressRange>);

impl Sources {
    /// Those that were asked for, or enough of them where that is known to be possible.
    pub(super) fn choose(
        asked: &[AddressRange],
        server: &Address,
        connections: usize,
    ) -> Result<Self, Failure> {
        let Address::Tcp(server) = server else {
            return Ok(Self(Vec::new()));
        };
        let ports = ports_of_an_address();
        if let Some(other) = asked
            .iter()
            .find(|range| range.first.is_ipv4() != server.is_ipv4())
        {
            return Err(Failure::usage(format!(
                "--source {} cannot reach {}: it is of the other IP version",
                other.first,
                server.ip()
            )));
        }
        let addresses: usize = asked.iter().map(|range| range.count as usize).sum();
        let needed = connections.div_ceil(ports);
        if asked.is_empty() && needed > 1 && server.ip().is_loopback() && server.is_ipv4() {
            // All of 127.0.0.0/8 belongs to this machine.
            return Ok(Self(vec![AddressRange {
                first: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)),
                count: u32::try_from(needed).unwrap_or(u32::MAX),
            }]));
        }
        if needed > addresses.max(1) {
            return Err(Failure::usage(format!(
                "{connections} connections need {needed} addresses with {ports} ports each: name them with --source"
            )));
        }
        Ok(Self(asked.to_vec()))
    }

    /// The address of the connection with this number.
    pub(super) fn of(&self, number: usize) -> Option<IpAddr> {
        let addresses: usize = self.0.iter().map(|range| range.count as usize).sum();
        let mut place = number.checked_rem(addresses)?;
        for range in &self.0 {
            let count = range.count as usize;
            if place < count {
                return Some(range.at(place as u32));
            }
            place -= count;
        }
        None
    }
}

/// How many connections an address can have to one server.
fn ports_of_an_address() -> usize {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    parse_range(&text).unwrap_or(16_384)
}

fn parse_range(text: &str) -> Option<usize> {
    let mut numbers = text.split_whitespace().map(str::parse::<usize>);
    let (first, last) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    // Some are in use by others.
    Some((last.checked_sub(first)? * 9 / 10).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Address {
        Address::Tcp(text.parse().unwrap())
    }

    #[test]
    fn addresses_take_turns() {
        let ranges = [
            "127.0.0.5".parse().unwrap(),
            "127.0.0.8-127.0.0.9".parse().unwrap(),
        ];
        let sources = Sources::choose(&ranges, &server("127.0.0.1:80"), 10).unwrap();
        let found: Vec<_> = (0..4)
            .filter_map(|number| sources.of(number))
            .map(|ip| ip.to_string())
            .collect();
        assert_eq!(found, ["127.0.0.5", "127.0.0.8", "127.0.0.9", "127.0.0.5"]);
    }

    #[test]
    fn loopback_takes_as_many_addresses_as_it_needs() {
        let ports = ports_of_an_address();
        let few = Sources::choose(&[], &server("127.0.0.1:80"), ports).unwrap();
        assert_eq!(few.of(0), None);
        let many = Sources::choose(&[], &server("127.0.0.1:80"), 2 * ports + 1).unwrap();
        let mut found: Vec<_> = (0..10).filter_map(|number| many.of(number)).collect();
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn elsewhere_they_must_be_named() {
        let many = 3 * ports_of_an_address();
        let error = Sources::choose(&[], &server("192.0.2.1:80"), many).unwrap_err();
        assert!(error.to_string().contains("--source"), "{error}");
        let asked = ["192.0.2.2-192.0.2.4".parse().unwrap()];
        assert!(Sources::choose(&asked, &server("192.0.2.1:80"), many).is_ok());
        let error = Sources::choose(&asked, &server("[::1]:80"), 1).unwrap_err();
        assert!(error.to_string().contains("other IP version"), "{error}");
    }

    #[test]
    fn the_systems_range_of_ports_is_read() {
        assert_eq!(parse_range("32768\t60999\n"), Some(25_407));
        assert_eq!(parse_range(""), None);
        assert_eq!(parse_range("5 1"), None);
    }
}
