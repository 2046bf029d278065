//! Version 2: a binary block of a fixed part, addresses, and extras (TLV: type, length, value).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use bytes::Bytes;

use super::{Progress, ProxyHeader, ProxyProtocolError};
use crate::server::Address;

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, length.
pub(super) const FIXED: usize = 16;

/// Two paths of Unix sockets.
pub(super) const UNIX_ADDRESSES: usize = 2 * UNIX_PATH;

const UNIX_PATH: usize = 108;

const AUTHORITY: u8 = 0x02;
const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;

/// Reads a header that begins with the [`SIGNATURE`].
pub(super) fn read(received: &[u8], max_size: usize) -> Result<Progress, ProxyProtocolError> {
    let Some((fixed, rest)) = received.split_first_chunk::<FIXED>() else {
        return Ok(Progress::More);
    };
    let &[.., command, family, high, low] = fixed;
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return malformed("an unknown version or command"),
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + len > max_size {
        return Err(ProxyProtocolError::TooLong { limit: max_size });
    }
    let Some(block) = rest.get(..len) else {
        return Ok(Progress::More);
    };
    let consumed = FIXED + len;
    // LOCAL: "the receiver must use the real connection endpoints and must discard the protocol block".
    let header = if is_local {
        ProxyHeader::default()
    } else {
        let (mut header, extras) = addresses(family, block)?;
        read_extras(extras, &received[..consumed], &mut header)?;
        header
    };
    Ok(Progress::Done(header, consumed))
}

/// What the family says, and what lies behind its addresses.
fn addresses(family: u8, block: &[u8]) -> Result<(ProxyHeader, &[u8]), ProxyProtocolError> {
    let (header, rest) = match family {
        // TCP over IPv4.
        0x11 => {
            let (ips, rest) = take::<12>(block)?;
            let &[a, b, c, d, e, f, g, h, p, q, r, s] = ips;
            let client = SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p, q])));
            let server = SocketAddr::from((Ipv4Addr::new(e, f, g, h), u16::from_be_bytes([r, s])));
            (ProxyHeader::between(client, server), rest)
        }
        // TCP over IPv6.
        0x21 => {
            let (client, rest) = take::<16>(block)?;
            let (server, rest) = take::<16>(rest)?;
            let (&[p, q, r, s], rest) = take::<4>(rest)?;
            let client = SocketAddr::from((Ipv6Addr::from(*client), u16::from_be_bytes([p, q])));
            let server = SocketAddr::from((Ipv6Addr::from(*server), u16::from_be_bytes([r, s])));
            (ProxyHeader::between(client, server), rest)
        }
        // Streams over Unix sockets.
        0x31 => {
            let (client, rest) = take::<UNIX_PATH>(block)?;
            let (server, rest) = take::<UNIX_PATH>(rest)?;
            let header = ProxyHeader {
                ends: Some((unix(client), unix(server))),
                ..ProxyHeader::default()
            };
            (header, rest)
        }
        // "UNSPEC": the proxy does not know. Datagrams cannot be what this connection carries, so that the
        // addresses mean nothing here; they are passed over like those of UNSPEC.
        0x00 => (ProxyHeader::default(), block),
        0x12 => (ProxyHeader::default(), take::<12>(block)?.1),
        0x22 => (ProxyHeader::default(), take::<36>(block)?.1),
        0x32 => (ProxyHeader::default(), take::<UNIX_ADDRESSES>(block)?.1),
        _ => return malformed("an unknown family"),
    };
    Ok((header, rest))
}

fn take<const N: usize>(block: &[u8]) -> Result<(&[u8; N], &[u8]), ProxyProtocolError> {
    block
        .split_first_chunk()
        .ok_or(ProxyProtocolError::Malformed("addresses that are cut short"))
}

fn unix(path: &[u8; UNIX_PATH]) -> Address {
    let end = path.iter().position(|&byte| byte == 0).unwrap_or(UNIX_PATH);
    let path = String::from_utf8_lossy(&path[..end]);
    Address::Unix((!path.is_empty()).then(|| PathBuf::from(path.as_ref())))
}

/// Takes what is of use from the extras. `whole` is the header, for its checksum.
fn read_extras(mut extras: &[u8], whole: &[u8], header: &mut ProxyHeader) -> Result<(), ProxyProtocolError> {
    while !extras.is_empty() {
        let Some((&[kind, high, low], rest)) = extras.split_first_chunk() else {
            return malformed("an extra that is cut short");
        };
        let Some((value, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low]))) else {
            return malformed("an extra that is cut short");
        };
        match kind {
            AUTHORITY => {
                let name = str::from_utf8(value)
                    .map_err(|_| ProxyProtocolError::Malformed("a server name that is not UTF-8"))?;
                header.server_name = Some(name.to_owned());
            }
            UNIQUE_ID if value.len() > 128 => return malformed("a unique id of more than 128 bytes"),
            UNIQUE_ID => header.unique_id = Some(Bytes::copy_from_slice(value)),
            SSL => {
                let &[client, ..] = value else {
                    return malformed("an empty extra about TLS");
                };
                header.is_tls = client & 1 != 0;
            }
            CRC32C => {
                let sum: [u8; 4] = value
                    .try_into()
                    .map_err(|_| ProxyProtocolError::Malformed("a checksum that is not of 4 bytes"))?;
                let at = whole.len() - rest.len() - sum.len();
                if checksum(whole, at) != u32::from_be_bytes(sum) {
                    return Err(ProxyProtocolError::Checksum);
                }
            }
            _ => {}
        }
        extras = rest;
    }
    Ok(())
}

/// CRC32c of the header, its own four bytes taken as zeros.
pub(super) fn checksum(header: &[u8], at: usize) -> u32 {
    /// The polynomial of RFC 9260 Appendix A, its bits reversed.
    const POLYNOMIAL: u32 = 0x82f6_3b78;

    // Bit by bit: a header is short, comes once per connection, and has a checksum rarely.
    !header.iter().enumerate().fold(!0, |crc, (index, &byte)| {
        let byte = if (at..at + 4).contains(&index) { 0 } else { byte };
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(crc & 1))
        })
    })
}

fn malformed<T>(how: &'static str) -> Result<T, ProxyProtocolError> {
    Err(ProxyProtocolError::Malformed(how))
}
