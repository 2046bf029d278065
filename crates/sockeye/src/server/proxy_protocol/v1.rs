//! Version 1: one line of text, `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Progress, ProxyHeader, ProxyProtocolError};

pub(super) const PREFIX: &[u8] = b"PROXY ";

/// The longest line that the specification allows, CRLF included.
pub(super) const MAX_SIZE: usize = 107;

/// Reads a header that begins with the [`PREFIX`].
pub(super) fn read(received: &[u8]) -> Result<Progress, ProxyProtocolError> {
    let window = &received[..received.len().min(MAX_SIZE)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        if window.len() == MAX_SIZE {
            return Err(ProxyProtocolError::TooLong { limit: MAX_SIZE });
        }
        return Ok(Progress::More);
    };
    let header = parse(&window[PREFIX.len()..end]).map_err(ProxyProtocolError::Malformed)?;
    Ok(Progress::Done(header, end + 2))
}

fn parse(line: &[u8]) -> Result<ProxyHeader, &'static str> {
    // "The receiver must ignore anything presented before the CRLF is found", which need not be text.
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Ok(ProxyHeader::default());
    }
    let line = str::from_utf8(line).map_err(|_| "not ASCII")?;
    let mut fields = line.split(' ');
    let mut field = || fields.next().ok_or("too few fields");
    let family = field()?;
    let (client, server) = (field()?, field()?);
    let (client_port, server_port) = (port(field()?)?, port(field()?)?);
    let (client, server) = match family {
        "TCP4" => (ip::<Ipv4Addr>(client)?, ip::<Ipv4Addr>(server)?),
        "TCP6" => (ip::<Ipv6Addr>(client)?, ip::<Ipv6Addr>(server)?),
        _ => return Err("an unknown family"),
    };
    if fields.next().is_some() {
        return Err("too many fields");
    }
    Ok(ProxyHeader::between(
        SocketAddr::new(client, client_port),
        SocketAddr::new(server, server_port),
    ))
}

fn ip<T: FromStr + Into<IpAddr>>(text: &str) -> Result<IpAddr, &'static str> {
    text.parse().map(T::into).map_err(|_| "an address that is none")
}

/// "In the range 0..65535", decimal, without a sign or leading zeros.
fn port(text: &str) -> Result<u16, &'static str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse()
        .ok()
        .filter(|_| is_plain)
        .ok_or("a port that is none")
}
